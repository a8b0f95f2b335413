//! The renderer for GitLab: a Code Quality report, the JSON array that its
//! documentation describes.
//!
//! What got no answer is an entry too, for whoever reads nothing but this
//! must not take it for a pass.

use serde_json::{Value, json};

use super::text::printable;
use super::{Report, fingerprint, json};
use crate::check::{Finding, Level};

/// Renders a sorted report.
///
/// # Errors
/// Numbers that JSON does not have; never for what commands report.
pub fn render(report: &Report) -> serde_json::Result<Vec<u8>> {
    let examination = &report.examination;
    let command = examination.command;
    let prints = fingerprint::of(command, &examination.findings);
    let mut entries: Vec<Value> = examination
        .findings
        .iter()
        .zip(&prints)
        .map(|(finding, print)| {
            let description =
                format!("{}: {}", printable(&finding.subject), printable(&finding.message));
            let (path, line) = place(finding);
            let severity = match finding.level {
                Level::Error => "critical",
                Level::Warning => "minor",
                Level::Note => "info",
            };
            entry(
                &format!("{command}/{}", finding.rule.id),
                &description,
                print,
                severity,
                &path,
                line,
            )
        })
        .collect();
    for open in &examination.coverage.inconclusive {
        let description = format!(
            "{}: no answer to {} ({}): {}",
            printable(&open.subject),
            printable(&open.check),
            open.reason,
            printable(&open.detail)
        );
        let print =
            fingerprint::digest(&[command, "no-answer", &open.subject, &open.check, &open.detail]);
        let name = format!("{command}/no-answer");
        entries.push(entry(&name, &description, &print, "major", &relative(&open.subject), 1));
    }
    for trouble in &report.troubles {
        let print = fingerprint::digest(&[command, "trouble", &trouble.message]);
        let text = [std::slice::from_ref(&trouble.message), &trouble.causes].concat().join(": ");
        let name = format!("{command}/error");
        entries.push(entry(&name, &printable(&text), &print, "blocker", command, 1));
    }
    json::pretty(&Value::Array(entries))
}

fn entry(
    name: &str,
    description: &str,
    print: &str,
    severity: &str,
    path: &str,
    line: usize,
) -> Value {
    json!({
        "description": description,
        "check_name": name,
        "fingerprint": print,
        "severity": severity,
        "location": { "path": path, "lines": { "begin": line } },
    })
}

/// Where it stands; a finding without a file stands at its subject.
fn place(finding: &Finding) -> (String, usize) {
    match &finding.location {
        Some(place) => (relative(&place.file), place.start.line),
        None => (relative(&finding.subject), 1),
    }
}

/// Without `./` before it, which would be another file.
fn relative(path: &str) -> String {
    printable(path.strip_prefix("./").unwrap_or(path)).into_owned()
}
