//! What is found is what the ecosystem's own tool lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use nix_verify::gather::vendored::scan_tree;
use nix_verify::sbom::vendored::{Ecosystem, Inventory, Technique};

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vendored").join(name)
}

pub fn listed(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(fixture(&format!("{name}.txt"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What is built or locked, as the lists have it.
fn found(inventory: &Inventory, ecosystem: Ecosystem) -> BTreeSet<String> {
    let found = inventory.found.iter().filter(|one| {
        assert_eq!(one.ecosystem, ecosystem);
        one.evidence.iter().any(|evidence| evidence.technique != Technique::Mentioned)
    });
    found.map(|one| format!("{} {}", one.name, one.version.as_deref().unwrap())).collect()
}

fn same(file: &str, name: &str, ecosystem: Ecosystem) -> Inventory {
    let inventory = scan_tree(&fixture(file)).unwrap().inventory;
    assert_eq!(inventory.unread, []);
    let (ours, theirs) = (found(&inventory, ecosystem), listed(name));
    let missed: Vec<_> = theirs.difference(&ours).collect();
    let invented: Vec<_> = ours.difference(&theirs).collect();
    assert!(missed.is_empty() && invented.is_empty(), "missed {missed:?}, invented {invented:?}");
    assert!(inventory.found.iter().all(|one| one.purl.is_some()));
    inventory
}

#[test]
fn cargo() {
    let inventory = same("cargo.tar.xz", "cargo", Ecosystem::Cargo);
    assert!(inventory.found.iter().all(|one| one.digests.len() == 1 && one.sources.len() == 1));
}

#[test]
fn npm() {
    let inventory = same("npm.tar.xz", "npm", Ecosystem::Npm);
    assert!(inventory.found.iter().all(|one| !one.digests.is_empty() && !one.sources.is_empty()));
}

#[test]
fn yarn_classic() {
    same("yarn-classic.tar.xz", "yarn-classic", Ecosystem::Npm);
}

#[test]
fn yarn_berry() {
    same("yarn-berry.tar.xz", "yarn-berry", Ecosystem::Npm);
}

#[test]
fn pnpm() {
    let inventory = same("pnpm.tar.xz", "pnpm", Ecosystem::Npm);
    assert!(inventory.found.iter().all(|one| !one.digests.is_empty()));
}

#[test]
fn go() {
    let inventory = same("go.tar.xz", "go", Ecosystem::Golang);
    // The checksums stand in another file and are joined.
    let locked = listed("go");
    let locked = inventory.found.iter().filter(|one| {
        locked.contains(&format!("{} {}", one.name, one.version.as_deref().unwrap()))
    });
    assert!(locked.into_iter().all(|one| one.digests.len() == 1 && one.evidence.len() == 2));
}

#[test]
fn python() {
    let inventory = same("python.tar.xz", "python", Ecosystem::Pypi);
    // One is taken from a repository, which has a revision and no digest.
    let (hashed, other): (Vec<_>, Vec<_>) =
        inventory.found.iter().partition(|one| !one.digests.is_empty());
    assert_eq!((hashed.len(), other.len()), (inventory.found.len() - 1, 1));
    assert!(other[0].purl.as_deref().unwrap().contains("vcs_url=git%2Bhttps"));
}

#[test]
fn maven() {
    same("maven.tar.xz", "maven", Ecosystem::Maven);
}

#[test]
fn a_program_of_go() {
    let inventory = same("go-program", "go-program", Ecosystem::Golang);
    let modules = inventory.found.iter().filter(|one| one.name != "stdlib");
    assert!(modules.into_iter().all(|one| one.digests.len() == 1));
}

#[test]
fn a_program_of_rust() {
    same("rust-program", "rust-program", Ecosystem::Cargo);
}
