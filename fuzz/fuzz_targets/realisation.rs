//! What is read prints back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::realisation::Realisation;
use nix_verify::nix::signature::TrustedKeys;

fuzz_target!(|bytes: &[u8]| {
    let Ok(realisation) = Realisation::parse(bytes) else { return };
    let text = realisation.to_json();
    let again = Realisation::parse(text.as_bytes()).expect("what is printed is read");
    assert_eq!(again, realisation);
    assert_eq!(again.to_json(), text);
    assert!(!realisation.verify(&TrustedKeys::new()).is_trusted());
});
