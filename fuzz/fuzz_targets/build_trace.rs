//! What is read prints back, and is about what was asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::build_trace::{BuildTraceEntry, BuildTraceKey};
use nix_verify::nix::signature::TrustedKeys;

fuzz_target!(|bytes: &[u8]| {
    let drv_path = "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-bar.drv".parse().expect("a store path");
    let asked = BuildTraceKey::new(drv_path, "out").expect("an output");
    let Ok(entry) = BuildTraceEntry::parse(bytes, &asked) else { return };
    assert_eq!(entry.key, asked);
    let text = entry.to_json();
    let again = BuildTraceEntry::parse(text.as_bytes(), &asked).expect("what is printed is read");
    assert_eq!(again, entry);
    assert_eq!(again.to_json(), text);
    assert!(!entry.verify(&TrustedKeys::new()).is_trusted());
});
