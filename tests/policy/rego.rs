//! Rules in Rego, with the feature and without it.

use super::*;

/// Judges the rebuild of the cases (or another report of them) by a module.
fn by(module: &str, report: &str) -> (i32, Value, String) {
    let place = tempfile::tempdir().unwrap();
    let text = format!(
        "format = 1\nname = \"ours\"\ndescription = \"d\"\n\n[[rule]]\nid = \"asked\"\n\
         scope = \"rebuild\"\nreason = \"r\"\nrego = '''\n{module}\n'''\n"
    );
    std::fs::write(place.path().join("ours.toml"), text).unwrap();
    let arguments = ["policy", "check", "--policy", "ours.toml", "--format", "json"];
    let ran = verify(place.path(), &[&arguments[..], &[&case(report)]].concat());
    if ran.code == 2 {
        return (2, Value::Null, ran.err);
    }
    let report = ran.json();
    check(&report, "a judgement");
    (ran.code, report, ran.err)
}

const REPRODUCED: &str = "package verify\n\nallow if input.output.status in {\"reproduced\", \"fixed-by-hash\"}\n\
     allow := false if not input.output.status in {\"reproduced\", \"fixed-by-hash\"}";

/// A program without Rego says what is lacking, and judges nothing.
#[test]
#[cfg(not(feature = "rego"))]
fn rego_is_refused_by_a_program_built_without() {
    let (code, _, error) = by(REPRODUCED, "rebuild.json");
    assert_eq!(code, 2);
    assert!(error.contains("--features rego"), "{error}");
    let typo = by(&REPRODUCED.replace(".status", ".statsu"), "rebuild.json");
    assert!(typo.0 == 2 && typo.2.contains("'statsu'"), "{}", typo.2);
}

#[cfg(feature = "rego")]
mod evaluated {
    use super::*;

    fn status(module: &str, report: &str) -> (i32, String) {
        let (code, report, error) = by(module, report);
        assert_ne!(code, 2, "{error}");
        (code, statuses(&report)["asked"].clone())
    }

    #[test]
    fn rego_decides() {
        assert_eq!(status(REPRODUCED, "rebuild.json"), (0, "met".to_owned()));
        assert_eq!(status(REPRODUCED, "rebuild-differs.json"), (1, "denied".to_owned()));
        let whole = "package verify\nallow if input.report.verdict == \"pass\"";
        assert_eq!(status(whole, "rebuild.json"), (0, "met".to_owned()));
        assert_eq!(status(whole, "rebuild-differs.json"), (1, "unknown".to_owned()));
    }

    #[test]
    fn rego_without_an_answer_denies() {
        for (body, part) in [
            // Undefined, no truth value, two values, an error, a name that is none.
            ("allow if input.output.status == \"\"", "undefined"),
            ("allow := input.output.status", "neither true nor false"),
            ("allow := true if input.output.status\nallow := false if input.output.name", ""),
            ("allow if not to_number(input.output.status) == 1", ""),
            ("allow if not typo(input.output.status)", ""),
            ("allow if not missing == input.output.status", ""),
            ("deny contains \"x\" if input.output.status == \"y\"", ""),
        ] {
            let (code, report, error) = by(&format!("package verify\n{body}"), "rebuild.json");
            if code == 2 {
                assert!(error.contains("not Rego"), "{body}: {error}");
                continue;
            }
            assert_eq!((code, statuses(&report)["asked"].as_str()), (1, "unknown"), "{body}");
            assert!(report["findings"].to_string().contains(part), "{body}: {report:#}");
        }
    }

    /// `not` makes truth of what is undefined; what a report does not state
    /// never comes that far.
    #[test]
    fn rego_is_not_asked_about_what_is_missing() {
        let absent = "package verify\nallow if not input.output.builds < 2";
        let (code, report, _) = by(absent, "rebuild-open.json");
        let (_, whole, _) =
            by("package verify\nallow if input.output.name != \"\"", "rebuild-open.json");
        assert_eq!(statuses(&whole)["asked"], "met", "there are outputs");
        assert_eq!(code, 1, "{report:#}");
        for module in [
            "package verify\nallow if not input.output.typo",
            "package verify\nallow if { o := input.output; not o.typo }",
            "package verify\nallow if not data.verify.typo == input.output.name",
            "package other\nallow if input.output.name",
            "package verify\nallow if input.output.name ==",
        ] {
            assert_eq!(by(module, "rebuild.json").0, 2, "{module}");
        }
    }

    /// Doubled forty times a text has a terabyte; a product of ten lists takes
    /// years.
    #[test]
    fn rego_has_bounds() {
        let mut doubled =
            "package verify\nx0 := concat(\"\", [\"xxxxxxxxxxxxxxxx\", input.output.name])\n"
                .to_owned();
        for at in 0..40 {
            doubled.push_str(&format!("x{} := concat(\"\", [x{at}, x{at}])\n", at + 1));
        }
        doubled.push_str("allow if count(x40) > 0\n");
        let range = "numbers.range(1, 100)";
        let lists: String = (0..10).map(|at| format!("some a{at} in {range}\n")).collect();
        let product = format!(
            "package verify\nallow if {{ count(input.output.name) > 0\n{lists}a0 + a1 + a9 == 0 }}"
        );
        for module in [doubled, product] {
            let begun = std::time::Instant::now();
            let (code, report, _) = by(&module, "rebuild.json");
            assert_eq!((code, statuses(&report)["asked"].as_str()), (1, "unknown"), "{module}");
            assert!(report["findings"].to_string().contains("ended early"), "{report:#}");
            assert!(begun.elapsed() < std::time::Duration::from_secs(300));
        }
    }
}
