//! The SARIF renderer: Static Analysis Results Interchange Format 2.1.0
//! (OASIS), for code scanning.
//!
//! Rules have the id `command/rule`. What got no answer and what kept the tool
//! from its work are notifications of the run, for they are no results.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::text::{printable, uri};
use super::{Exit, Manner, Report, fingerprint, json};
use crate::check::{Finding, Level, Location, Rule};

/// Where the format's schema is.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Renders a sorted report.
///
/// # Errors
/// Numbers that JSON does not have; never for what commands report.
pub fn render(report: &Report, manner: &Manner) -> serde_json::Result<Vec<u8>> {
    let examination = &report.examination;
    let mut rules: BTreeMap<&str, &'static Rule> = BTreeMap::new();
    for finding in &examination.findings {
        rules.insert(finding.rule.id, finding.rule);
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(at, id)| (*id, at)).collect();
    let prints = fingerprint::of(examination.command, &examination.findings);
    let results: Vec<Value> = examination
        .findings
        .iter()
        .zip(&prints)
        .map(|(finding, print)| {
            let index = index.get(finding.rule.id).copied().unwrap_or(0);
            result(examination.command, finding, index, print)
        })
        .collect();
    let mut driver = json!({
        "name": "verify",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": rules.values().map(|rule| descriptor(examination.command, rule)).collect::<Vec<_>>(),
    });
    if let (false, Value::Object(driver)) = (HOME.is_empty(), &mut driver) {
        driver.insert("informationUri".to_owned(), HOME.into());
    }
    let run = json!({
        "tool": { "driver": driver },
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation(report, manner)],
        "results": results,
    });
    json::pretty(&json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] }))
}

/// The project's address, if its manifest has one.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

fn descriptor(command: &str, rule: &'static Rule) -> Value {
    // What reads it weighs findings by a number up to ten.
    let severity = match rule.level {
        Level::Error => "8.0",
        Level::Warning => "5.0",
        Level::Note => "2.0",
    };
    let mut descriptor = json!({
        "id": format!("{command}/{}", rule.id),
        "name": rule.id,
        "shortDescription": { "text": rule.summary },
        "fullDescription": { "text": format!("{}. What to do: {}", rule.summary, rule.remedy) },
        "help": { "text": rule.remedy, "markdown": rule.page },
        "defaultConfiguration": { "level": rule.level.name() },
        "properties": { "security-severity": severity, "tags": ["security", "supply-chain"] },
    });
    if let (false, Value::Object(descriptor)) = (HOME.is_empty(), &mut descriptor) {
        let page = format!("{HOME}/blob/main/docs/checks/{}.md", rule.id);
        descriptor.insert("helpUri".to_owned(), page.into());
    }
    descriptor
}

fn result(command: &str, finding: &Finding, index: usize, print: &str) -> Value {
    let mut message = format!("{}: {}", printable(&finding.subject), printable(&finding.message));
    if let Some(repair) = &finding.repair {
        message.push_str(&format!(" (repair: {})", printable(repair)));
    }
    let evidence: Map<String, Value> = finding
        .evidence
        .iter()
        .map(|item| (printable(&item.label).into_owned(), printable(&item.value).into()))
        .collect();
    let logical = json!([{ "fullyQualifiedName": printable(&finding.subject) }]);
    let mut location = json!({ "logicalLocations": logical });
    let mut related = Vec::new();
    if let (Some(place), Value::Object(location)) = (&finding.location, &mut location) {
        location.insert("physicalLocation".to_owned(), physical(place));
        related.extend(place.marks.iter().enumerate().skip(1).map(|(id, mark)| {
            json!({
                "id": id,
                "message": { "text": printable(&mark.label) },
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(&place.file) },
                    "region": { "startLine": mark.line },
                },
            })
        }));
    }
    json!({
        "ruleId": format!("{command}/{}", finding.rule.id),
        "ruleIndex": index,
        "level": finding.level.name(),
        "message": { "text": message },
        "locations": [location],
        "relatedLocations": related,
        "partialFingerprints": { "ruleAndSubject/v1": print },
        "properties": { "evidence": evidence },
    })
}

fn physical(place: &Location) -> Value {
    // An end that is no later than its start would be no region.
    let same = place.end <= place.start;
    let end_column = if same { place.start.column + 1 } else { place.end.column };
    let end_line = if same { place.start.line } else { place.end.line };
    json!({
        "artifactLocation": { "uri": uri(&place.file) },
        "region": {
            "startLine": place.start.line,
            "startColumn": place.start.column,
            "endLine": end_line,
            "endColumn": end_column,
            "byteOffset": place.span.start,
            "byteLength": place.span.end.saturating_sub(place.span.start),
        },
    })
}

fn invocation(report: &Report, manner: &Manner) -> Value {
    let open = report.examination.coverage.inconclusive.iter().map(|one| {
        json!({
            "level": "warning",
            "message": {
                "text": format!(
                    "{}: no answer to {} ({}): {}",
                    printable(&one.subject), printable(&one.check), one.reason, printable(&one.detail)
                ),
            },
        })
    });
    let troubles = report.troubles.iter().map(|trouble| {
        let mut text = printable(&trouble.message).into_owned();
        for cause in &trouble.causes {
            text.push_str(": ");
            text.push_str(&printable(cause));
        }
        json!({ "level": "error", "message": { "text": text } })
    });
    let exit = Exit::of(report, manner.fail_on);
    json!({
        "executionSuccessful": report.troubles.is_empty(),
        "exitCode": exit.code(),
        "exitCodeDescription": super::human::sentence(report, manner.fail_on),
        "toolExecutionNotifications": troubles.chain(open).collect::<Vec<_>>(),
    })
}
