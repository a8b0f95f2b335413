//! No report of whatever form makes the comparison fail, or a run that found
//! something forged pass.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::check::baseline::Baseline;
use nix_verify::check::rebuild::rules::FORGED_SIGNATURE;
use nix_verify::check::{Coverage, Examination, Finding, Level, Subject, Verdict};

fuzz_target!(|bytes: &[u8]| {
    let Ok(baseline) = Baseline::parse(bytes, "rebuild") else { return };
    let id = "/nix/store/00000000000000000000000000000000-a".to_owned();
    let mut examination = Examination {
        command: "rebuild",
        subjects: vec![Subject {
            id: id.clone(),
            verdict: Verdict::Fail,
            status: "forged".to_owned(),
        }],
        facts: serde_json::Value::Null,
        findings: vec![Finding::new(&FORGED_SIGNATURE, id, "bad")],
        coverage: Coverage { asked: 1, answered: 1, ..Coverage::default() },
    };
    let comparison = baseline.apply(&mut examination);
    assert!(!comparison.sentence().is_empty());
    assert_eq!(examination.verdict(Level::Error), Verdict::Fail);
});
