//! Policies over files as they come, through the real binary.

use super::*;

#[test]
fn every_policy_has_cases_and_all_come_out_as_they_say() {
    let place = policies();
    let ran = verify(&place, &["policy", "test", ".", "--format", "json", "--fail-on", "note"]);
    let report = ran.json();
    check(&report, "a test of policies");
    assert_eq!(ran.code, 0, "{report:#}");
    let tested: Vec<&str> = report["facts"]["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(tested, ["baseline", "bsi", "cisa", "example", "reproducible", "strict"]);
    assert!(report["subjects"].as_array().unwrap().len() > 30);
}

#[test]
fn a_case_that_comes_out_otherwise_is_found() {
    let place = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str, change: &dyn Fn(String) -> String| {
        let text = std::fs::read_to_string(policies().join(from)).unwrap();
        std::fs::write(place.path().join(to), change(text)).unwrap();
    };
    std::fs::create_dir(place.path().join("cases")).unwrap();
    for name in
        ["lock", "lock-swapped", "lock-unlocked", "cache", "cache-conflict", "bill", "bill-bad"]
    {
        let name = format!("cases/{name}.json");
        copy(&name, &name, &|text| text);
    }
    copy("baseline.toml", "a.toml", &|text| text);
    copy("baseline.cases.toml", "a.cases.toml", &|text| text);
    let test = || verify(place.path(), &["policy", "test", "."]).code;
    assert_eq!(test(), 0);
    copy("baseline.cases.toml", "a.cases.toml", &|text| {
        text.replacen("expect = \"fail\"", "expect = \"pass\"", 1)
    });
    assert_eq!(test(), 1);
    copy("baseline.cases.toml", "a.cases.toml", &|text| {
        text.replacen("denied = [\"no-known-backdoors\"]", "denied = []", 1)
    });
    assert_eq!(test(), 2);
    copy("baseline.cases.toml", "a.cases.toml", &|text| text);
    copy("baseline.toml", "a.toml", &|text| text.replace("5.6.0", "5.7.0"));
    assert_eq!(test(), 1);
    copy("baseline.toml", "a.toml", &|text| text);
    std::fs::remove_file(place.path().join("a.cases.toml")).unwrap();
    assert_eq!(test(), 1);
    copy("baseline.cases.toml", "b.cases.toml", &|text| text);
    assert_eq!(test(), 2);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(verify(empty.path(), &["policy", "test", "."]).code, 3);
}

#[test]
fn one_call_judges_everything_there_is() {
    let place = tempfile::tempdir().unwrap();
    let (lock, cache, rebuild, bill) =
        (case("lock.json"), case("cache.json"), case("rebuild.json"), case("bill.json"));
    let osv = case("osv");
    let all = [
        "--policy", "strict", "--policy", "baseline", "--osv", &osv, &lock, &cache, &rebuild, &bill,
    ];
    let (code, report) = judge(place.path(), &all);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["facts"]["materials"].as_array().unwrap().len(), 4);
    // Every rule needs its evidence: without one of the files nothing passes.
    for left_out in 6..10 {
        let fewer: Vec<&str> =
            all.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, one)| *one).collect();
        let (code, report) = judge(place.path(), &fewer);
        assert_eq!(code, 1);
        assert!(statuses(&report).values().any(|status| status == "no-evidence"));
    }
    // The same report, byte by byte.
    let again = |_| {
        let arguments = [
            &["policy", "check", "--reproducible", "--now", "2026-11-01", "--format", "json"],
            &all[..],
        ];
        verify(place.path(), &arguments.concat()).out
    };
    assert_eq!(again(0), again(1));
}

#[test]
fn real_locks_are_judged_by_their_real_reports() {
    let place = tempfile::tempdir().unwrap();
    let locks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/locks");
    let policy = place.path().join("ours.toml");
    std::fs::write(
        &policy,
        r#"
format = 1
name = "ours"
description = "a test"
[[rule]]
id = "known"
scope = "lock"
reason = "we know who runs these"
allowed-hosts = ["github.com", "codeberg.org", "*.flakehub.com", "*.determinate.systems"]
[[rule]]
id = "fresh"
scope = "lock"
reason = "fixes"
when = 'input.name == "nixpkgs"'
require = 'age_days(input.last_modified) < 3650'
[[rule]]
id = "no-errors"
scope = "lock"
reason = "errors are errors"
findings = "warnings"
"#,
    )
    .unwrap();
    let mut passed = 0;
    for name in ["DeterminateSystems+nix-installer.lock", "NixOS+hydra.lock", "NixOS+nix.lock"] {
        let report = place.path().join("lock.json");
        let lock = locks.join(name);
        let arguments = [
            "lock",
            lock.to_str().unwrap(),
            "--now",
            "2026-11-01",
            "--format",
            "json",
            "--output",
            report.to_str().unwrap(),
        ];
        let audited = verify(place.path(), &arguments).code;
        let (code, judged) = judge(place.path(), &["--policy", "ours.toml", "lock.json"]);
        assert_eq!(judged["facts"]["materials"][0]["defects"], 0, "{name}: {judged:#}");
        // What the audit fails, the policy does not let pass either.
        assert_eq!(audited == 0, code == 0, "{name}: {judged:#}");
        assert!(code != 0 || statuses(&judged)["known"] == "met", "{name}: {judged:#}");
        passed += i32::from(code == 0);
    }
    assert!(passed > 0);
}

#[test]
fn waivers_end_and_are_seen() {
    let place = tempfile::tempdir().unwrap();
    let policy = place.path().join("p.toml");
    let with = |waiver: &str| {
        let text = format!(
            "format = 1\nname = \"p\"\ndescription = \"d\"\n[[rule]]\nid = \"agpl\"\nscope = \"runtime\"\n\
             reason = \"r\"\ndenied-licences = [\"AGPL-3.0-or-later\"]\n{waiver}"
        );
        std::fs::write(&policy, text).unwrap();
        judge(place.path(), &["--policy", "p.toml", &case("bill-bad.json")])
    };
    let waiver = |subject: &str, until: &str| {
        format!(
            "[[waiver]]\nrule = \"agpl\"\nsubject = \"{subject}\"\nreason = \"w\"\nexpires = \"{until}\"\n"
        )
    };
    let rules = |report: &Value| -> Vec<String> {
        let all = report["findings"].as_array().unwrap();
        all.iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect()
    };
    let (code, report) = with("");
    assert_eq!((code, rules(&report)), (1, vec!["policy-denied".to_owned()]));
    let (code, report) = with(&waiver("ghostscript", "2026-11-01"));
    assert_eq!((code, rules(&report)), (0, vec![]));
    assert_eq!(report["facts"]["waived"][0]["subject"], "ghostscript 10.04.0");
    let (code, report) = with(&waiver("ghostscript", "2026-10-31"));
    assert_eq!(
        (code, rules(&report)),
        (1, vec!["expired-waiver".to_owned(), "policy-denied".to_owned()])
    );
    let (code, report) =
        with(&format!("{}{}", waiver("ghostscript*", "2027-01-01"), waiver("other", "2027-01-01")));
    assert_eq!((code, rules(&report)), (0, vec!["unused-waiver".to_owned()]));
}

#[test]
fn what_is_no_policy_is_wrong_usage_and_what_is_no_report_is_a_finding() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("bad.toml"), "format = 1\nnam = \"x\"\n").unwrap();
    std::fs::write(place.path().join("bad.json"), "{\"format\":\"nix-verify-report\"").unwrap();
    std::fs::create_dir(place.path().join("empty")).unwrap();
    let lock = case("lock.json");
    let check =
        |arguments: &[&str]| verify(place.path(), &[&["policy", "check"], arguments].concat());
    let ran = check(&["--policy", "bad.toml", &lock]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean 'name'?"), "{}", ran.err);
    assert_eq!(check(&["--policy", "none.toml", &lock]).code, 2);
    assert_eq!(check(&["--policy", "baseline", "none.json"]).code, 2);
    assert_eq!(check(&["--policy", "baseline", "--policy", "baseline", &lock]).code, 2);
    assert_eq!(check(&["--osv", "empty", &lock]).code, 2);
    let (code, report) = judge(place.path(), &["bad.json"]);
    assert_eq!(code, 1);
    assert_eq!(report["facts"]["materials"][0]["kind"], "unreadable");
    let found = report["findings"].as_array().unwrap();
    assert!(found.iter().any(|one| one["rule"] == "malformed-material"), "{report:#}");
}

#[test]
fn text_from_input_reaches_no_terminal_raw() {
    let place = tempfile::tempdir().unwrap();
    let bill = std::fs::read_to_string(case("bill-bad.json")).unwrap();
    let bill = bill.replace("\"ghostscript\"", "\"ghost\\u001b[31m\\u202escript\"");
    std::fs::write(place.path().join("bill.json"), bill).unwrap();
    let policy = std::fs::read_to_string(policies().join("example.toml")).unwrap();
    std::fs::write(
        place.path().join("p.toml"),
        policy.replace("reason = \"we run a service\"", "reason = \"\\u001b[2Jx\\u202e\""),
    )
    .unwrap();
    for format in ["human", "sarif", "junit", "github", "gitlab", "markdown", "json"] {
        let arguments = ["policy", "check", "--policy", "p.toml", "bill.json", "--format", format];
        let ran = verify(place.path(), &arguments);
        assert_eq!(ran.code, 1, "{format}: {}", ran.err);
        let text = ran.out;
        assert!(text.contains("script"), "{format}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{format}: {text}");
    }
}
