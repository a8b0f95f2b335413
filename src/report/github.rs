//! The renderer for GitHub Actions: workflow commands that annotate files.
//!
//! A step shows about ten annotations of each kind, so the worst come first;
//! the whole is for the summary (`--format markdown`).

use super::text::printable;
use super::{Manner, Report, human};
use crate::check::{Finding, Level};

/// Renders a sorted report.
#[must_use]
pub fn render(report: &Report, manner: &Manner) -> String {
    let examination = &report.examination;
    let mut text = String::new();
    for trouble in &report.troubles {
        let mut message = printable(&trouble.message).into_owned();
        for cause in &trouble.causes {
            message.push_str(": ");
            message.push_str(&printable(cause));
        }
        line(&mut text, "error", &[("title", "verify".to_owned())], &message);
    }
    for finding in &examination.findings {
        annotate(&mut text, finding);
    }
    for open in &examination.coverage.inconclusive {
        let title = format!("no answer ({}): {}", open.reason, printable(&open.subject));
        let message = format!("{}: {}", printable(&open.check), printable(&open.detail));
        line(&mut text, "warning", &[("title", title)], &message);
    }
    let verdict = human::verdict(report, manner.fail_on);
    let kind = if verdict == crate::check::Verdict::Pass { "notice" } else { "error" };
    let title = format!("verify {}: {}", examination.command, verdict.name());
    line(
        &mut text,
        kind,
        &[("title", title)],
        &printable(&human::sentence(report, manner.fail_on)),
    );
    text
}

fn annotate(text: &mut String, finding: &Finding) {
    let kind = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = &finding.location {
        properties.push(("file", printable(&place.file).into_owned()));
        properties.push(("line", place.start.line.to_string()));
        properties.push(("endLine", place.end.line.to_string()));
        // Columns only count within one line.
        if place.start.line == place.end.line {
            properties.push(("col", place.start.column.to_string()));
            properties.push(("endColumn", place.end.column.to_string()));
        }
    }
    properties.push(("title", format!("{}: {}", finding.rule.id, printable(&finding.subject))));
    let mut message = printable(&finding.message).into_owned();
    if let Some(repair) = &finding.repair {
        message.push_str("\nrepair: ");
        message.push_str(&printable(repair));
    } else {
        message.push_str("\nwhat to do: ");
        message.push_str(finding.rule.remedy);
    }
    line(text, kind, &properties, &message);
}

/// One command, escaped as the runner takes it apart.
fn line(text: &mut String, kind: &str, properties: &[(&str, String)], message: &str) {
    text.push_str("::");
    text.push_str(kind);
    for (at, (name, value)) in properties.iter().enumerate() {
        text.push(if at == 0 { ' ' } else { ',' });
        text.push_str(name);
        text.push('=');
        text.push_str(&data(value).replace(':', "%3A").replace(',', "%2C"));
    }
    text.push_str("::");
    text.push_str(&data(message));
    text.push('\n');
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
