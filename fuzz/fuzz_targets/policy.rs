//! Policies and what they judge: a policy, a line of three dashes, and a report
//! or bill. What is damaged never passes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::check::{Level, Verdict};
use nix_verify::policy::{Material, Policy, Setting, judge};

fuzz_target!(|bytes: &[u8]| {
    let line = b"\n---\n";
    let cut = bytes.windows(line.len()).position(|part| part == line);
    let (policy, material) = match cut {
        Some(at) => (&bytes[..at], &bytes[at + line.len()..]),
        None => (bytes, &[][..]),
    };
    let Ok(policy) = Policy::parse("p.toml", policy) else { return };
    let materials = [Material::read("m.json", material)];
    let setting = Setting { now: 1_790_000_000, baselines: &[], advisories: None, rego: None };
    let verdict = judge(&[policy], &materials, &setting).verdict(Level::Warning);
    assert!(materials[0].defects.is_empty() || verdict != Verdict::Pass);
});
