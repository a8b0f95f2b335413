//! Nix's builtin builders, against what Nix 2.8.0 made of the same packages.
//!
//! `tests/fixtures/builtins/buildenv.json` holds package trees and the
//! environments that Nix's own `builtin:buildenv` built from them, in its
//! sandbox; `null` where it failed. `@name@` stands for the store path of the
//! package of that name. Packages of equal priority are linked in the order of
//! their paths, so each has the base name it had in Nix's store.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests state what they expect and may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix_verify::build::builtin::{Environment, run_builtin};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    packages: Vec<Package>,
    derivations: String,
    expected: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    path: String,
    #[serde(default)]
    tree: BTreeMap<String, String>,
    contents: Option<String>,
}

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn make(root: &Path, tree: &BTreeMap<String, String>, put_in: &dyn Fn(&str) -> String) {
    fs::create_dir_all(root).unwrap();
    for (name, what) in tree {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if what == "directory" {
            fs::create_dir_all(path).unwrap();
        } else if let Some(target) = what.strip_prefix("-> ") {
            symlink(put_in(target), path).unwrap();
        } else {
            fs::write(path, put_in(what.strip_prefix("file ").unwrap())).unwrap();
        }
    }
}

fn list(root: &Path, below: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = Path::new(below).join(entry.file_name()).to_str().unwrap().to_owned();
        let kind = entry.file_type().unwrap();
        let what = if kind.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().to_str().unwrap())
        } else if kind.is_dir() {
            list(root, &name, found);
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
            "directory".to_owned()
        } else {
            let executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let contents = fs::read(entry.path()).unwrap();
            let contents = if contents.len() < 100 {
                String::from_utf8(contents).unwrap()
            } else {
                format!("sha256:{}", Hash::of(HashAlgorithm::Sha256, &contents).base16())
            };
            format!("{} {contents}", if executable { "executable" } else { "file" })
        };
        found.insert(name, what);
    }
}

#[test]
fn environments_are_those_of_nix() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("fixtures/builtins/buildenv.json")).unwrap();
    assert!(cases.len() > 60);
    for case in cases {
        let temp = tempfile::tempdir().unwrap();
        let store = temp.path().canonicalize().unwrap();
        let place = |name: &str| store.join(name).to_str().unwrap().to_owned();
        let put_in = |text: &str| {
            let mut text = text.to_owned();
            for package in &case.packages {
                text = text.replace(&format!("@{}@", package.name), &place(&package.path));
            }
            text
        };
        for package in &case.packages {
            match &package.contents {
                Some(contents) => fs::write(place(&package.path), contents).unwrap(),
                None => make(Path::new(&place(&package.path)), &package.tree, &put_in),
            }
        }
        let status = run_builtin(
            "builtin:buildenv",
            &environment(&[
                ("out", &place("out")),
                ("derivations", &put_in(&case.derivations)),
                ("manifest", "@manifest@"),
            ]),
        );
        let Some(expected) = &case.expected else {
            assert_eq!(status, 1, "{}: Nix fails", case.name);
            continue;
        };
        assert_eq!(status, 0, "{}: Nix succeeds", case.name);
        let mut found = BTreeMap::new();
        list(Path::new(&place("out")), "", &mut found);
        for target in found.values_mut() {
            for package in &case.packages {
                let (place, name) = (place(&package.path), &package.name);
                *target = target.replace(&format!("{place}/"), &format!("@{name}@/"));
            }
        }
        assert_eq!(&found, expected, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct Channel {
    name: String,
    channel: String,
    expected: Option<BTreeMap<String, String>>,
}

/// Tarballs that come out otherwise than in Nix 2.8.0, and why.
const OTHERWISE: [(&str, Option<usize>, &str); 3] = [
    ("zip.zip", None, "libarchive reads everything, this only tar"),
    ("sparse-pax.tar.gz", None, "sparse files in PAX notation are refused"),
    (
        "dot-writable.tar",
        Some(2),
        "its mode for the output itself, which 2.8 takes over, is ignored as by 2.35",
    ),
];

/// `tests/fixtures/builtins/channel` holds tarballs and `channel.json` what
/// Nix's `builtin:unpack-channel` made of them; `null` where the build failed.
#[test]
fn channels_are_those_of_nix() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/builtins");
    let cases = fs::read_to_string(fixtures.join("channel.json")).unwrap();
    let cases: Vec<Channel> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() > 45);
    for case in cases {
        let temp = tempfile::tempdir().unwrap();
        let out = temp.path().join("out");
        let source = fixtures.join("channel").join(&case.name);
        let status = run_builtin(
            "builtin:unpack-channel",
            &environment(&[
                ("out", out.to_str().unwrap()),
                ("channelName", &case.channel),
                ("src", source.to_str().unwrap()),
            ]),
        );
        let mut found = BTreeMap::new();
        if status == 0 {
            list(&out, "", &mut found);
        }
        let beside: Vec<_> = fs::read_dir(temp.path()).unwrap().flatten().collect();
        assert!(beside.len() <= 1, "{}: nothing outside the output", case.name);
        if let Some((.., entries, why)) = OTHERWISE.iter().find(|(name, ..)| *name == case.name) {
            assert_ne!((status == 0).then_some(&found), case.expected.as_ref(), "no longer: {why}");
            assert_eq!((status == 0).then_some(found.len()), *entries, "{why}");
            continue;
        }
        assert_eq!((status == 0).then_some(found), case.expected, "{}", case.name);
    }
}
