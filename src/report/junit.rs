//! The JUnit renderer: a test case for each subject, failed by findings that
//! fail the run, in error where something got no answer. What nobody asked for
//! is skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::printable;
use super::{Manner, Report};
use crate::check::{Finding, Inconclusive, Level};

/// What is known of one case.
#[derive(Default)]
struct Case<'r> {
    failures: Vec<&'r Finding>,
    remarks: Vec<&'r Finding>,
    open: Vec<&'r Inconclusive>,
}

/// Renders a sorted report.
#[must_use]
pub fn render(report: &Report, manner: &Manner) -> String {
    let examination = &report.examination;
    let mut cases: BTreeMap<&str, Case<'_>> =
        examination.subjects.iter().map(|one| (one.id.as_str(), Case::default())).collect();
    for finding in &examination.findings {
        let case = cases.entry(&finding.subject).or_default();
        if finding.level >= manner.fail_on {
            case.failures.push(finding);
        } else {
            case.remarks.push(finding);
        }
    }
    for open in &examination.coverage.inconclusive {
        cases.entry(&open.subject).or_default().open.push(open);
    }
    let failures = cases.values().filter(|case| !case.failures.is_empty()).count();
    let errors = report.troubles.len()
        + cases.values().filter(|case| case.failures.is_empty() && !case.open.is_empty()).count();
    // A run that examined nothing is no run that passed.
    let nothing = cases.is_empty() && report.troubles.is_empty();
    let errors = errors + usize::from(nothing);
    let skipped = examination.coverage.not_run.len();
    let tests = cases.len() + report.troubles.len() + skipped + usize::from(nothing);
    let counts = format!(
        "name=\"verify {}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"",
        examination.command
    );
    let class = format!("verify.{}", examination.command);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(xml, "<testsuites {counts}>\n  <testsuite {counts}>");
    for (subject, case) in &cases {
        write_case(&mut xml, &class, subject, case);
    }
    for one in &examination.coverage.not_run {
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{class}\" name=\"{}\">\n      <skipped message=\"{}\"/>\n    </testcase>",
            escape(&one.check),
            escape(&one.because)
        );
    }
    for trouble in &report.troubles {
        let text = [std::slice::from_ref(&trouble.message), &trouble.causes].concat().join(": ");
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{class}\" name=\"verify itself\">\n      <error type=\"error\" message=\"{}\"/>\n    </testcase>",
            escape(&text)
        );
    }
    if nothing {
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{class}\" name=\"verify itself\">\n      <error type=\"nothing-examined\" message=\"nothing was examined\"/>\n    </testcase>"
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn write_case(xml: &mut String, class: &str, subject: &str, case: &Case<'_>) {
    // Writing to a String cannot fail.
    let _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{}\"", escape(subject));
    if let Some(place) =
        case.failures.iter().chain(&case.remarks).find_map(|one| one.location.as_ref())
    {
        let _ = write!(xml, " file=\"{}\" line=\"{}\"", escape(&place.file), place.start.line);
    }
    if case.failures.is_empty() && case.remarks.is_empty() && case.open.is_empty() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    for finding in &case.failures {
        let _ = writeln!(
            xml,
            "      <failure type=\"{}\" message=\"{}\">{}</failure>",
            finding.rule.id,
            escape(&finding.message),
            escape_lines(&details(finding))
        );
    }
    for open in &case.open {
        let _ = writeln!(
            xml,
            "      <error type=\"{}\" message=\"{}\"/>",
            open.reason,
            escape(&format!("no answer to {}: {}", open.check, open.detail))
        );
    }
    if !case.remarks.is_empty() {
        let text: String = case
            .remarks
            .iter()
            .map(|one| format!("{}: {}\n", level(one.level), details(one)))
            .collect();
        let _ = writeln!(xml, "      <system-out>{}</system-out>", escape_lines(&text));
    }
    xml.push_str("    </testcase>\n");
}

const fn level(level: Level) -> &'static str {
    level.name()
}

/// All that is known of a finding, a line for each thing.
fn details(finding: &Finding) -> String {
    let mut text = format!("{}: {}", finding.rule.id, printable(&finding.message));
    if let Some(place) = &finding.location {
        let _ = write!(
            text,
            "\n  at {}:{}:{}",
            printable(&place.file),
            place.start.line,
            place.start.column
        );
    }
    for item in &finding.evidence {
        let _ = write!(text, "\n  {}: {}", printable(&item.label), printable(&item.value));
    }
    match &finding.repair {
        Some(repair) => {
            let _ = write!(text, "\n  repair: {}", printable(repair));
        }
        None => {
            let _ = write!(text, "\n  what to do: {}", finding.rule.remedy);
        }
    }
    text
}

/// A value inside quotes.
fn escape(text: &str) -> String {
    escape_lines(&printable(text))
}

/// Text that is printable but for line feeds.
fn escape_lines(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // Characters that XML 1.0 does not have.
            '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(xml, "\\u{{{:x}}}", u32::from(character));
            }
            other => xml.push(other),
        }
    }
    xml
}
