//! What is asked for may be costly; nothing runs without an end.

use std::time::{Duration, Instant};

use nix_verify::check::{Level, Verdict};
use nix_verify::policy::{Material, Policy, Setting, judge};

fn policy(rule: &str) -> Policy {
    let text = format!(
        "format = 1\nname = \"p\"\ndescription = \"d\"\n[[rule]]\nid = \"r\"\nscope = \"runtime\"\nreason = \"r\"\n{rule}\n"
    );
    Policy::parse("p.toml", text.as_bytes()).unwrap()
}

/// A bill in which every component has many store paths.
fn bill(components: usize, paths: usize) -> Material {
    let property = r#"{"name":"nix:store_path","value":"/nix/store/x"}"#;
    let properties = vec![property; paths].join(",");
    let components: Vec<String> = (0..components)
        .map(|at| {
            format!(r#"{{"type":"library","bom-ref":"c{at}","name":"c{at}","properties":[{properties}]}}"#)
        })
        .collect();
    let text = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{}]}}"#,
        components.join(",")
    );
    let material = Material::read("bill.json", text.as_bytes());
    assert!(material.defects.is_empty(), "{:?}", material.defects);
    material
}

#[test]
fn costly_expressions_have_no_answer_and_take_no_time() {
    let all = |depth: usize| {
        let open: String = (0..depth).map(|at| format!("component.paths.all(x{at}, ")).collect();
        format!("require = \"{open}component.name != 'x'{}\"", ")".repeat(depth))
    };
    let literal = "[1,1,1,1,1,1,1,1,1,1].all(x, ".repeat(9);
    let literal = format!("require = \"{literal}component.name != 'x'{}\"", ")".repeat(9));
    let bill = bill(20, 300);
    let judged = |rule: &str| {
        let begun = Instant::now();
        let judgement = judge(&[policy(rule)], std::slice::from_ref(&bill), &Setting::default());
        // A loaded machine is slow; without a bound it would be hours.
        assert!(begun.elapsed() < Duration::from_secs(120), "{rule}");
        judgement
    };
    assert_eq!(judged(&all(1)).verdict(Level::Error), Verdict::Pass);
    for rule in [all(3), all(6), literal] {
        let judgement = judged(&rule);
        assert_eq!(judgement.verdict(Level::Error), Verdict::Fail);
        assert!(judgement.rules[0].unknown > 0, "{rule}");
    }
}

#[test]
fn floods_are_counted_and_not_listed() {
    let bill = bill(5_000, 1);
    let judgement = judge(
        &[policy("require = \"component.name == 'x'\"")],
        std::slice::from_ref(&bill),
        &Setting::default(),
    );
    assert_eq!(judgement.rules[0].denied, 5_000);
    assert_eq!(judgement.findings.len(), 1_001);
    let last = judgement.findings.last().unwrap();
    assert_eq!(last.message, "4000 more findings of this rule are not listed");
    let open = judge(
        &[policy("require = \"component.purl == 'x'\"\nunknown = \"inconclusive\"")],
        std::slice::from_ref(&bill),
        &Setting::default(),
    );
    assert_eq!(open.verdict(Level::Error), Verdict::Inconclusive);
    assert_eq!(open.coverage.inconclusive.len(), 1_000);
    assert_eq!((open.coverage.asked, open.coverage.answered), (5_000, 0));
}
