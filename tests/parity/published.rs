//! What Nix published, read by us: narinfos, signatures, trees, derivations
//! and realisations agree with what Nix registered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::derivation::Derivation;
use nix_verify::nix::derivation::paths::PathChecker;
use nix_verify::nix::hash::NarHash;
use nix_verify::nix::narinfo::NarInfo;
use nix_verify::nix::realisation::Realisation;
use nix_verify::nix::signature::TrustedKeys;
use nix_verify::nix::store_path::{StoreDir, StorePath};

use super::Oracle;

/// Compares every file of the cache with the store it came from.
pub fn check(oracle: &Oracle, cache: &Path) {
    let dir = StoreDir::default();
    let keys = TrustedKeys::parse(&oracle.nix.public_key()).unwrap();
    let registered = oracle.nix.everything();
    assert_eq!(files(cache, "narinfo").len(), registered.len());
    for (path, info) in &registered {
        let store_path = dir.parse(path).unwrap();
        let bytes = fs::read(cache.join(format!("{}.narinfo", store_path.hash_part()))).unwrap();
        let narinfo = NarInfo::parse(&bytes, &dir).unwrap();
        assert!(narinfo.verify(&dir, &keys).verified().is_some(), "the signature of {path}");
        let nar_hash = NarHash::parse(&info.nar_hash).unwrap();
        let references: BTreeSet<StorePath> =
            info.references.iter().map(|path| dir.parse(path).unwrap()).collect();
        assert_eq!(narinfo.reference_set(), references, "{path}");
        let ours = hash_tree(&oracle.nix.host_path(path), &mut []).unwrap();
        assert_eq!(ours, (nar_hash, info.nar_size), "{path}");
    }
    derivations(oracle, &dir, registered.keys());
    let realisations = files(&cache.join("realisations"), "doi");
    assert!(realisations.len() > 20, "only {} realisations", realisations.len());
    for file in realisations {
        let realisation =
            Realisation::parse(&fs::read(cache.join("realisations").join(&file)).unwrap()).unwrap();
        assert!(realisation.verify(&keys).is_trusted(), "the signature of {file}");
        assert_eq!(format!("{}.doi", realisation.id), file);
    }
}

/// Every derivation reads, prints back and computes to its own paths.
fn derivations<'a>(oracle: &Oracle, dir: &StoreDir, paths: impl Iterator<Item = &'a String>) {
    let mut graph = BTreeMap::new();
    for path in paths.filter(|path| path.ends_with(".drv")) {
        let bytes = fs::read(oracle.nix.host_path(path)).unwrap();
        let derivation =
            Derivation::parse(&bytes, dir).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(derivation.to_aterm(dir) == bytes, "{path} prints back");
        graph.insert(dir.parse(path).unwrap(), derivation);
    }
    let mut checker = PathChecker::new(dir, &graph);
    for (path, derivation) in &graph {
        let report = checker.check(derivation, path).unwrap();
        assert!(report.is_right(), "{path}: {report:?}");
    }
}

fn files(dir: &Path, extension: &str) -> Vec<String> {
    let all =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.filter(|name| name.rsplit('.').next() == Some(extension)).collect()
}
