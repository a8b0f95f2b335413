//! Any byte of an attestation, changed, is noticed.

use nix_verify::attest::judge::judge;
use nix_verify::attest::pool::{Line, Pool, Trust};
use nix_verify::check::Verdict;
use nix_verify::check::operators::Operators;
use nix_verify::nix::signature::TrustedKeys;

use super::scene::{Scene, key};

/// A real attestation of some thousand bytes, every byte in turn made another:
/// nothing in it passes any more.
#[test]
fn every_changed_byte_of_a_real_attestation_is_noticed() {
    let scene = Scene::with_report();
    let made = scene.verify(&["attest", "make", "rebuild.json", "--key", "ci.secret"]);
    let mut trusted = TrustedKeys::new();
    for name in ["ci-1", "ci-2", "bi-1"] {
        trusted.insert(key(name, u8::from(name == "ci-1")).public_key()).unwrap();
    }
    let operators = Operators::default();
    let trust = Trust { keys: &trusted, operators: &operators };
    let passes = |bytes: &[u8]| {
        let line = Line { file: "a", number: 1, bytes };
        let judgement = judge(&Pool::collect([line], trust), &[], 1);
        judgement.answers.iter().any(|answer| answer.verdict == Verdict::Pass)
    };
    let bytes = made.out.trim_end().as_bytes();
    assert!(passes(bytes) && bytes.len() > 5_000);
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x20, 0x80] {
            changed[at] ^= mask;
            assert!(!passes(&changed), "byte {at} with {mask:#04x}");
            changed[at] = bytes[at];
        }
    }
}

#[test]
fn the_binary_notices_too() {
    let scene = Scene::with_report();
    let made = scene.verify(&["attest", "make", "rebuild.json", "--key", "ci.secret"]);
    let bytes = made.out.as_bytes();
    for part in 0..20 {
        let mut changed = bytes.to_vec();
        // The end of the line, which stands last, ends it as well by not being there.
        let at = (bytes.len() - 2) * part / 19;
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        scene.write("a.jsonl", &changed);
        let (code, report) = scene.check("a.jsonl", &[]);
        assert_ne!(code, 0, "byte {at}");
        let subjects = report["facts"]["subjects"].as_array().unwrap();
        assert!(subjects.is_empty(), "byte {at}: {report:#}");
    }
}
