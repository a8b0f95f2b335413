//! Our sandbox beside that of real Nix 2.8.0.
//!
//! Every derivation of `tests/fixtures/parity` writes the world it sees into
//! its outputs. Nix builds it, we rebuild it from a signed cache, and the
//! outputs must be the same to the byte. Needs root, Nix and build users;
//! under CI they must be there.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod busybox;
mod compare;
mod differing;
mod material;
mod nix;
mod ours;
mod overhead;
mod published;
mod real;
mod web;

use std::collections::BTreeMap;
use std::path::Path;

use material::Case;
use nix::Nix;
use nix_verify::nix::derivation::Derivation;
use nix_verify::nix::store_path::StoreDir;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

/// What Nix made of a case: its outputs by name, or its complaint.
type Built = Result<BTreeMap<String, String>, String>;

/// How many cases there are at least, so that none is lost by accident.
const LEAST_CASES: usize = 240;

/// Variables that `impureEnvVars` lets in.
const IMPURE: [(&str, &str); 2] =
    [("PARITY_IMPURE", "from outside"), ("PARITY_OWN", "the caller's")];

/// A store in which all cases were evaluated and built.
struct Oracle {
    nix: Nix,
    cases: Vec<Case>,
    built: Vec<Built>,
}

impl Oracle {
    fn new(dir: &Path, http: &str) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let mut nix = Nix::new(dir);
        nix.set("sandbox-paths", &format!("/bin/sh={}", busybox::PATH));
        for (name, value) in IMPURE {
            nix.set_variable(name, value);
        }
        remove_left_overs();
        let cases = material::cases(&nix, dir, http);
        assert!(cases.len() >= LEAST_CASES, "only {} cases", cases.len());
        let built = cases.par_iter().map(|case| nix.build(&case.drv_path)).collect();
        remove_left_overs();
        Self { nix, cases, built }
    }

    /// Cases that Nix did not treat as the fixture says.
    fn surprises(&self) -> Vec<String> {
        let both = self.cases.iter().zip(&self.built);
        let wrong = both.filter(|(case, built)| case.fails.is_some() != built.is_err());
        wrong.map(|(case, built)| format!("{} ({}): {built:?}", case.name, case.row)).collect()
    }
}

/// All cases, beside Nix.
#[test]
fn beside_real_nix() {
    if nix::missing().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let http = material::serve(dir.path());
    let oracle = Oracle::new(dir.path(), &http);
    assert_eq!(oracle.surprises(), Vec::<String>::new());
    let cache = dir.path().join("cache");
    let built: Vec<&str> = oracle
        .cases
        .iter()
        .filter(|case| case.fails.is_none())
        .map(|case| case.drv_path.as_str())
        .collect();
    let url = oracle.nix.publish(&cache, &built);
    published::check(&oracle, &cache);
    // A cache that has the outputs would spare us the builders of fixed ones.
    withhold_fixed(&oracle, &cache);
    let rebuild = ours::Rebuild {
        nix: &oracle.nix,
        cache: &url,
        state: dir.path().join("state"),
        options: ["--allow-network-builders", "--shell", busybox::PATH, "--cache", &http]
            .map(str::to_owned)
            .to_vec(),
        variables: IMPURE.to_vec(),
    };
    let targets: Vec<&str> = oracle.cases.iter().map(|case| case.drv_path.as_str()).collect();
    let (_, outcomes) = rebuild.run(&targets);
    compare::check(&oracle, &rebuild, &outcomes);
}

/// Removes build directories that real Nix leaves behind when it aborts in one
/// case, and that would change the name of the directory seen in the other.
fn remove_left_overs() {
    for entry in std::fs::read_dir("/tmp").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let cases = ["env-structured-paths", "fixed-flat-references"];
        if cases.iter().any(|case| name.starts_with(&format!("nix-build-{case}.drv-"))) {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Takes the fixed outputs among the targets out of the cache.
fn withhold_fixed(oracle: &Oracle, cache: &Path) {
    let dir = StoreDir::default();
    for (case, built) in oracle.cases.iter().zip(&oracle.built) {
        let bytes = std::fs::read(oracle.nix.host_path(&case.drv_path)).unwrap();
        if !Derivation::parse(&bytes, &dir).unwrap().is_fixed() {
            continue;
        }
        for path in built.iter().flat_map(BTreeMap::values) {
            let narinfo = format!("{}.narinfo", dir.parse(path).unwrap().hash_part());
            std::fs::remove_file(cache.join(narinfo)).unwrap();
        }
    }
}

/// A case that is not the same in two builds by Nix itself could not be
/// compared with ours.
#[test]
#[ignore = "builds everything twice"]
fn nix_agrees_with_itself() {
    if nix::missing().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let http = material::serve(dir.path());
    let oracle = Oracle::new(&dir.path().join("first"), &http);
    assert_eq!(oracle.surprises(), Vec::<String>::new());
    let again = Oracle::new(&dir.path().join("second"), &http);
    let (first, second) = (oracle.nix.everything(), again.nix.everything());
    let differ: Vec<_> =
        first.iter().filter(|(path, info)| second.get(*path) != Some(*info)).collect();
    assert!(differ.is_empty(), "not the same twice: {differ:#?}");
}
