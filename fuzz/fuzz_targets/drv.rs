//! A derivation is accepted exactly if printing it gives the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::derivation::Derivation;
use nix_verify::nix::store_path::StoreDir;

fuzz_target!(|bytes: &[u8]| {
    let dir = StoreDir::default();
    if let Ok(derivation) = Derivation::parse(bytes, &dir) {
        assert_eq!(derivation.to_aterm(&dir), bytes);
        // Computing the path must not panic whatever the name.
        let _ = derivation.drv_path("fuzz", &dir);
    }
});
