//! Structured attributes print to a text that reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::structured_attrs::StructuredAttrs;

fuzz_target!(|bytes: &[u8]| {
    let Ok(attrs) = StructuredAttrs::parse(bytes) else { return };
    let printed = attrs.to_json();
    let again = StructuredAttrs::parse(printed.as_bytes()).expect("what is printed is JSON");
    assert_eq!(again.to_json(), printed);
    assert_eq!(again.to_shell(), attrs.to_shell());
});
