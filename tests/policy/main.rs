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

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Where the policies and their cases are.
fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// A file of the cases.
fn case(name: &str) -> String {
    policies().join("cases").join(name).display().to_string()
}

/// What a run left.
struct Ran {
    code: i32,
    out: Vec<u8>,
    err: String,
}

/// The binary with nothing in its environment.
fn verify(directory: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_verify"))
        .args(arguments)
        .env_clear()
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A judgement as JSON: the exit code and the report.
fn judge(directory: &Path, arguments: &[&str]) -> (i32, Value) {
    let all = [&["policy", "check", "--now", "2026-11-01", "--format", "json"], arguments].concat();
    let ran = verify(directory, &all);
    assert_eq!(ran.err, "", "{arguments:?}");
    let report: Value = serde_json::from_slice(&ran.out).unwrap();
    check_schema(&report);
    assert_eq!(report["verdict"]["exit_code"], ran.code);
    (ran.code, report)
}

/// Fails with every place that breaks the published schema.
fn check_schema(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for facts in ["facts_policy", "facts_policy_test"] {
        schema["$defs"][facts]["additionalProperties"] = false.into();
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|one| format!("{}: {one}", one.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
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
