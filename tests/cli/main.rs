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
mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Where the fixtures are; commands run there.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The binary with nothing in its environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.args(arguments).env_clear().current_dir(fixtures()).stdin(Stdio::null());
    command
}

/// What a run left.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Self {
            code: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Both streams, for failure messages.
    fn all(&self) -> String {
        format!("exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }
}

fn verify(arguments: &[&str]) -> Ran {
    Ran::of(command(arguments))
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
