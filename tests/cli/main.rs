//! The real binary, with a scrubbed environment, over the fixtures.

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

mod clean;
mod command_line;
mod doctor;
mod help;
mod hostile;
mod inspect;
mod output;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/report_schema.rs"]
mod report_schema;
mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::Ran;
use serde_json::Value;

/// Where the fixtures are; commands run there.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The binary with nothing in its environment.
fn command(arguments: &[&str]) -> Command {
    program::command(&fixtures(), arguments)
}

fn verify(arguments: &[&str]) -> Ran {
    program::verify(&fixtures(), arguments)
}

/// A run with its report as JSON.
fn report(arguments: &[&str]) -> (i32, Value) {
    let ran = verify(&[arguments, &["--format", "json"]].concat());
    assert_eq!(ran.err, "", "{}", ran.all());
    (ran.code, ran.json())
}

/// The rules of a report's findings.
fn rules(report: &Value) -> Vec<&str> {
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}

/// The value of a label in a finding's evidence.
fn evidence<'r>(finding: &'r Value, label: &str) -> &'r str {
    finding["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["label"] == label)
        .unwrap_or_else(|| panic!("no {label} in {finding}"))["value"]
        .as_str()
        .unwrap()
}
