//! `verify policy` through the real binary, and what no mutation may do.

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

mod bounds;
mod genuine;
mod mutations;
#[path = "../support/program.rs"]
mod program;
mod rego;
#[path = "../support/report_schema.rs"]
mod report_schema;
mod same_call;

use std::path::{Path, PathBuf};

use program::verify;
use report_schema::check;
use serde_json::Value;

/// Where the policies and their cases are.
fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// A file of the cases.
fn case(name: &str) -> String {
    policies().join("cases").join(name).display().to_string()
}

/// A judgement as JSON: the exit code and the report.
fn judge(directory: &Path, arguments: &[&str]) -> (i32, Value) {
    let all = [&["policy", "check", "--now", "2026-11-01", "--format", "json"], arguments].concat();
    let ran = verify(directory, &all);
    assert_eq!(ran.err, "", "{arguments:?}");
    let report: Value = ran.json();
    check(&report, "a judgement");
    assert_eq!(report["verdict"]["exit_code"], ran.code);
    (ran.code, report)
}

/// The status of every rule.
fn statuses(report: &Value) -> std::collections::BTreeMap<String, String> {
    let rules = report["facts"]["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|one| {
            (one["rule"].as_str().unwrap().to_owned(), one["status"].as_str().unwrap().to_owned())
        })
        .collect()
}
