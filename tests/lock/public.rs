//! Pins of public repositories, recomputed from the commits they name: the
//! hashes were published by other people's Nix in a lock of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::forged::git;
use super::*;

/// The lock that was published.
const LOCK: &str = "Lehmanator+nix-configs.lock";

/// Bare repositories as `github.com/owner/repository.git`, made of the packs,
/// whose branches end at the commits that are there.
fn clones(at: &Path) {
    for entry in fs::read_dir(locks().join("public")).unwrap() {
        let pack = entry.unwrap().path();
        let Some(name) = pack.file_name().unwrap().to_str().unwrap().strip_suffix(".pack") else {
            continue;
        };
        let bare = at.join("github.com").join(format!("{}.git", name.replace('+', "/")));
        fs::create_dir_all(&bare).unwrap();
        git(&bare, &["init", "-q", "--bare", "."]);
        let kept = bare.join("objects/pack/pack-1.pack");
        fs::copy(&pack, &kept).unwrap();
        git(&bare, &["index-pack", kept.to_str().unwrap()]);
        let objects = git(
            &bare,
            &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)"],
        );
        let commits: Vec<&str> =
            objects.lines().filter_map(|line| line.strip_prefix("commit ")).collect();
        // What was before them is not here.
        fs::write(bare.join("shallow"), commits.join("\n") + "\n").unwrap();
        for (at, commit) in commits.iter().enumerate() {
            git(&bare, &["update-ref", &format!("refs/heads/b{at}"), commit]);
        }
    }
}

/// For each of the repositories: revisions whose `narHash` has that answer.
fn answers(report: &Value, answer: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for input in report["facts"]["inputs"].as_array().unwrap() {
        if input["evidence"]["nar_hash"] == answer {
            let name =
                format!("{}/{}", input["owner"].as_str().unwrap(), input["repo"].as_str().unwrap());
            let rev = input["rev"].as_str().unwrap().to_owned();
            found.entry(name.to_lowercase()).or_default().insert(rev);
        }
    }
    found
}

#[test]
fn published_hashes_are_those_of_the_public_commits() {
    let place = tempfile::tempdir().unwrap();
    let mirror = place.path().join("clones");
    clones(&mirror);
    let mirror = mirror.to_str().unwrap();
    let lock = locks().join(LOCK);
    let (_, report) = audit(place.path(), &[lock.to_str().unwrap(), "--mirror", mirror]);
    assert_eq!(answers(&report, "refuted"), BTreeMap::new());
    let proven = answers(&report, "proven");
    let counts: Vec<(&str, usize)> =
        proven.iter().map(|(name, revs)| (name.as_str(), revs.len())).collect();
    assert_eq!(
        counts,
        [
            ("edolstra/flake-compat", 6),
            ("hercules-ci/flake-parts", 9),
            ("nix-systems/default", 1),
            ("numtide/devshell", 8),
            ("numtide/flake-utils", 19),
            ("numtide/treefmt-nix", 5),
        ]
    );

    // The same lock in which each of these revisions has a foreign hash.
    let mut forged: Value = serde_json::from_slice(&fs::read(&lock).unwrap()).unwrap();
    let revs: BTreeSet<&String> = proven.values().flatten().collect();
    let foreign = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    for node in forged["nodes"].as_object_mut().unwrap().values_mut() {
        let rev = node["locked"]["rev"].as_str().unwrap_or_default().to_owned();
        if revs.contains(&rev) {
            node["locked"]["narHash"] = foreign.into();
        }
    }
    fs::write(place.path().join("flake.lock"), forged.to_string()).unwrap();
    let (code, report) = audit(place.path(), &["--mirror", mirror]);
    assert_eq!(code, 1);
    assert_eq!(answers(&report, "refuted"), proven);
    assert_eq!(answers(&report, "proven"), BTreeMap::new());
}
