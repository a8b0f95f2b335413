//! `verify lock` through the real binary, over real locks and hostile ones.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod base;
mod ci;
mod fixtures;
mod forged;
#[path = "../gather_support/mod.rs"]
mod gather_support;
mod hostile;
mod online;
#[path = "../support/program.rs"]
mod program;
mod public;
mod real;
mod rules;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{Ran, verify};
use serde_json::Value;

/// The day the tests take as today.
const NOW: &str = "2026-08-22";

/// Where the real locks are.
fn locks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/locks")
}

/// An audit as JSON: the exit code and the report.
fn audit(directory: &Path, arguments: &[&str]) -> (i32, Value) {
    let all = [&["lock", "--now", NOW, "--format", "json"], arguments].concat();
    let ran = verify(directory, &all);
    assert_eq!(ran.err, "", "{arguments:?}");
    (ran.code, ran.json())
}

/// An audit of a text.
fn audit_text(text: &str, arguments: &[&str]) -> (i32, Value) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("flake.lock"), text).unwrap();
    audit(place.path(), arguments)
}

/// Findings of a level, as `rule input:line`.
fn found(report: &Value, level: &str) -> Vec<String> {
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["level"] == level)
        .map(|finding| {
            let line = &finding["location"]["line"];
            format!(
                "{} {}:{line}",
                finding["rule"].as_str().unwrap(),
                finding["subject"].as_str().unwrap()
            )
        })
        .collect()
}

/// The rules that were broken, whatever the level.
fn rules(report: &Value) -> Vec<&str> {
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}
