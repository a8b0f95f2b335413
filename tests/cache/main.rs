//! `verify cache` through the real binary: genuine narinfos, caches and stores
//! by real Nix, caches made by hand to be wrong in one place, and servers that
//! behave as the common ones do.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

#[path = "../http_faults/bombs.rs"]
mod bombs;
mod faults;
#[path = "../gather_support/mod.rs"]
mod gather_support;
mod genuine;
mod handmade;
mod hygiene;
#[path = "../parity/nix.rs"]
mod nix;
mod nix_store;
mod servers;
mod styles;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where the fixtures are.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

/// What a run came to.
struct Ran {
    code: i32,
    report: Value,
}

/// Runs `verify cache` with nothing in its environment.
fn cache(arguments: &[&str]) -> Ran {
    cache_with(arguments, None)
}

/// The same with a listing on standard input.
fn cache_with(arguments: &[&str], input: Option<&str>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().env("PATH", "/usr/bin:/bin").arg("cache").args(arguments);
    command.args(["--format", "json"]).current_dir(fixtures());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    if let Some(input) = input {
        use std::io::Write as _;
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report of {arguments:?}: {error}"));
    Ran { code: output.status.code().unwrap(), report }
}

/// The exit code and error of a run that gives no report.
fn refused(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().arg("cache").args(arguments).current_dir(fixtures()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

impl Ran {
    /// The status of every subject.
    fn statuses(&self) -> BTreeMap<String, String> {
        let subjects = self.report["subjects"].as_array().unwrap().iter();
        subjects
            .map(|subject| {
                (subject["id"].as_str().unwrap().into(), subject["status"].as_str().unwrap().into())
            })
            .collect()
    }

    /// The status of the only subject.
    fn status(&self) -> String {
        let statuses = self.statuses();
        assert_eq!(statuses.len(), 1, "{:#}", self.report);
        statuses.into_values().next().unwrap()
    }

    /// The rules of the findings, each once, sorted.
    fn rules(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        let mut rules: Vec<&str> = findings.map(|one| one["rule"].as_str().unwrap()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// The reasons of open questions, each once, sorted.
    fn reasons(&self) -> Vec<&str> {
        let open = self.report["coverage"]["inconclusive"].as_array().unwrap().iter();
        let mut reasons: Vec<&str> = open.map(|one| one["reason"].as_str().unwrap()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// Code, status of the only subject, and rules.
    #[track_caller]
    fn is(&self, code: i32, status: &str, rules: &[&str]) {
        let found = (self.code, self.status(), self.rules());
        assert_eq!(found, (code, status.to_owned(), rules.to_vec()), "{:#}", self.report);
    }
}

/// The report's facts fit the published schema.
fn fits_schema(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}
