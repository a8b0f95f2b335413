//! A derivation is accepted exactly if printing it gives the same bytes.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::derivation::aterm::Term;
use nix_verify::nix::derivation::options::Options;
use nix_verify::nix::derivation::{Derivation, check_paths, json, resolve};
use nix_verify::nix::store_path::StoreDir;

fuzz_target!(|bytes: &[u8]| {
    let dir = StoreDir::default();
    let Ok(term) = Term::parse(bytes) else {
        assert!(Derivation::parse(bytes, &dir).is_err());
        return;
    };
    assert_eq!(term.to_bytes(), bytes);
    let Ok(derivation) = Derivation::parse(bytes, &dir) else { return };
    assert_eq!(derivation.to_aterm(&dir), bytes);
    // Nothing that follows from it may panic, whatever it says.
    let _ = Options::of(&derivation, &dir);
    let _ = json::facts(&derivation, &dir);
    let _ = derivation.needs_resolving();
    let _ = resolve(&derivation, "fuzz", &dir, &BTreeMap::new());
    if let Ok(path) = derivation.drv_path("fuzz", &dir) {
        let graph = BTreeMap::from([(path.clone(), derivation.clone())]);
        let _ = check_paths(&derivation, &path, &dir, &graph);
    }
});
