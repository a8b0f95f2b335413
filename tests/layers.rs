//! The layer rule of `docs/architecture.md`: which room may use what.
//!
//! Reads the sources as text. Comments and unit tests do not count.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms of plain functions over values, and the rooms they may not look into.
const PURE: [(&str, &[&str]); 6] = [
    (
        "nix",
        &[
            "sbom", "check", "policy", "attest", "report", "gather", "build", "state", "sys",
            "command",
        ],
    ),
    (
        "sbom",
        &["check", "policy", "attest", "report", "gather", "build", "state", "sys", "command"],
    ),
    ("check", &["policy", "attest", "report", "gather", "build", "state", "sys", "command"]),
    ("policy", &["attest", "report", "gather", "build", "state", "sys", "command"]),
    ("attest", &["report", "gather", "build", "state", "sys", "command"]),
    ("report", &["gather", "build", "state", "sys", "command"]),
];

/// What touches the world.
const WORLD: [&str; 14] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::os",
    "std::thread::spawn",
    "std::time::SystemTime",
    "std::time::Instant",
    "rustix::",
    "libc::",
    "reqwest::",
    "rusqlite::",
    "tempfile::",
    "fastrand::",
];

/// Longest file, unit tests apart; past it, split by idea.
const MAX_LINES: usize = 600;

/// Crates that are named in one file only.
const ONE_FILE: [&str; 2] = ["git2", "reqwest"];

fn sources(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_tests(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name == "tests.rs" || name.ends_with("_tests.rs")
}

/// The code of a file without comments and unit tests, grouped imports
/// written out.
fn code(path: &Path) -> String {
    if is_tests(path) {
        return String::new();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let text: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .fold(String::new(), |all, line| all + line + "\n");
    flatten_std_groups(&text)
}

/// `use std::{fs, io::Read};` as `std::fs std::io::Read`.
fn flatten_std_groups(text: &str) -> String {
    let mut flat = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("std::{") {
        let (before, group) = rest.split_at(at);
        flat.push_str(before);
        let group = &group["std::{".len()..];
        let end = group.find(';').unwrap_or(group.len());
        for item in group[..end].split([',', '{']) {
            flat.push_str(&format!("std::{} ", item.trim()));
        }
        rest = &group[end..];
    }
    flat + rest
}

/// Whether `word` stands in the text with nothing that would make it part of
/// a longer name.
fn names(text: &str, word: &str) -> bool {
    let part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    text.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        let after = text.as_bytes().get(at + word.len());
        !part(before) && (word.ends_with(':') || !part(after))
    })
}

#[test]
fn plain_rooms_do_not_touch_the_world() {
    let mut broken = Vec::new();
    for (room, others) in PURE {
        for file in sources(room) {
            let code = code(&file);
            let rooms = others.iter().map(|other| format!("crate::{other}"));
            for word in WORLD.iter().map(ToString::to_string).chain(rooms) {
                if names(&code, &word) {
                    broken.push(format!("{} names {word}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_four_rooms_are_exempt_from_the_bans() {
    let broken: Vec<_> = ["nix", "sbom", "check", "report", "command", "policy"]
        .iter()
        .flat_map(|room| sources(room))
        .filter(|file| code(file).contains("disallowed_methods"))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn unsafe_stays_in_sys() {
    let broken: Vec<_> = sources("")
        .into_iter()
        .filter(|file| !file.components().any(|part| part.as_os_str() == "sys"))
        .filter(|file| names(&code(file), "unsafe"))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn files_stay_short_and_have_a_heading() {
    let mut broken = Vec::new();
    for file in sources("") {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.split("\n#[cfg(test)]\nmod ").next().unwrap().lines().count();
        if lines > MAX_LINES {
            broken.push(format!("{} has {lines} lines", file.display()));
        }
        if !text.starts_with("//!") && !is_tests(&file) {
            broken.push(format!("{} does not open with //!", file.display()));
        }
        let name = file.file_stem().unwrap().to_str().unwrap();
        if ["util", "utils", "common", "helpers", "misc"].contains(&name) {
            broken.push(format!("{} is named after no idea", file.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn some_crates_are_named_once() {
    let mut users: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    for file in sources("") {
        let code = code(&file);
        for name in ONE_FILE {
            if names(&code, &format!("{name}::")) {
                users.entry(name).or_default().push(file.clone());
            }
        }
    }
    for (name, files) in users {
        assert_eq!(files.len(), 1, "{name} is named in {files:?}");
    }
}

#[test]
fn the_reader_of_this_test_sees_what_it_should() {
    assert!(names("use std::fs::File;", "std::fs"));
    assert!(!names("use std::fstat;", "std::fs"));
    assert!(!names("mystd::fs", "std::fs"));
    let flat = flatten_std_groups("use std::{fmt, env, io::{self, Read}};\nlet x = 1;");
    assert!(names(&flat, "std::env") && names(&flat, "std::io") && flat.contains("let x = 1;"));
}
