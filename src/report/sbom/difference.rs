//! How a difference between two bills of materials looks.

use serde_json::{Value, json};

use super::super::{Cell, Column, Report, Section, Table, Tone, View};
use crate::check::sbom::Checked;
use crate::check::{Coverage, Examination, Finding, Subject, Verdict};
use crate::sbom::difference::{Change, Difference};
use crate::sbom::outline::{Outline, Part};

/// Most lines of a table; the JSON has all.
const MAX_LINES: usize = 200;

/// Longest value of a cell in characters: hashes and lists are longer than
/// anybody reads.
const MAX_VALUE: usize = 40;

/// Two documents that were compared.
#[derive(Debug)]
pub struct Compared {
    /// What the old document says.
    pub old: Outline,
    /// What the new document says.
    pub new: Outline,
    /// What has changed.
    pub difference: Difference,
    /// What that is worth.
    pub findings: Vec<Finding>,
}

/// The report of `verify sbom diff`; without a comparison where a document
/// could not be read.
#[must_use]
pub fn compared(old: Checked, new: Checked, compared: Option<Compared>) -> Report {
    let document = |one: &Checked| {
        json!({
            "file": one.file,
            "format": one.spec.map(|spec| if spec.is_cyclonedx() { "CycloneDX" } else { "SPDX" }),
            "version": one.spec.map(|spec| spec.version()),
            "components": one.components,
        })
    };
    let mut facts = json!({
        "old": document(&old), "new": document(&new),
        "added": [], "removed": [], "changed": [], "same": null, "same_by_name_only": null,
    });
    let mut sections = vec![Section::Facts { title: String::new(), entries: entries(&old, &new) }];
    let mut examination = Examination {
        command: "sbom diff",
        subjects: Vec::new(),
        facts: Value::Null,
        findings: Vec::new(),
        coverage: Coverage { asked: 1, ..Coverage::default() },
    };
    if let Some(compared) = compared {
        fill(&mut facts, &compared);
        sections
            .push(Section::Facts { title: String::new(), entries: counts(&compared.difference) });
        sections.extend(tables(&compared));
        examination.coverage.answered += 1;
        examination.findings.extend(compared.findings);
    }
    examination.facts = facts;
    for file in [old, new] {
        let (verdict, status) = file.outcome();
        let status = if verdict == Verdict::Pass { "read" } else { status };
        let subject = Subject { id: file.file.clone(), verdict, status: status.to_owned() };
        examination.subjects.push(subject);
        examination.findings.extend(file.findings);
        let coverage = &mut examination.coverage;
        coverage.asked += file.asked;
        coverage.answered += file.answered;
        coverage.inconclusive.extend(file.inconclusive);
    }
    let view = View { sections, noun: Some(("document", "documents")), lists_subjects: true };
    Report::from(examination).with_view(view)
}

fn entries(old: &Checked, new: &Checked) -> Vec<(String, Cell)> {
    let shown = |one: &Checked| {
        let format = one.spec.map_or_else(|| "not read".to_owned(), |spec| spec.to_string());
        Cell::from(format!("{} ({format}, {} components)", one.file, one.components))
    };
    vec![("old".into(), shown(old)), ("new".into(), shown(new))]
}

fn counts(difference: &Difference) -> Vec<(String, Cell)> {
    let same = match difference.same_by_name_only {
        0 => difference.same.to_string(),
        some => format!("{} ({some} of them by name and version only)", difference.same),
    };
    vec![
        ("added".into(), difference.added.len().to_string().into()),
        ("removed".into(), difference.removed.len().to_string().into()),
        ("changed".into(), difference.changed.len().to_string().into()),
        ("the same".into(), same.into()),
    ]
}

fn fill(facts: &mut Value, compared: &Compared) {
    let Some(facts) = facts.as_object_mut() else { return };
    let part = |outline: &Outline, at: usize| {
        let part = outline.parts.get(at)?;
        Some(json!({
            "name": part.name.as_ref().map(|at| &at.text),
            "version": part.version.as_ref().map(|at| &at.text),
            "output": part.output(),
            "pointer": part.pointer,
        }))
    };
    let list = |outline: &Outline, places: &[usize]| -> Value {
        places.iter().filter_map(|at| part(outline, *at)).collect()
    };
    let difference = &compared.difference;
    let changed: Value = difference
        .changed
        .iter()
        .filter_map(|one| {
            let mut value = part(&compared.new, one.new)?;
            let changes: Value = one
                .changed
                .iter()
                .map(|one| json!({ "aspect": one.aspect.name(), "was": one.was, "now": one.now }))
                .collect();
            value.as_object_mut()?.insert("changes".to_owned(), changes);
            Some(value)
        })
        .collect();
    facts.insert("added".to_owned(), list(&compared.new, &difference.added));
    facts.insert("removed".to_owned(), list(&compared.old, &difference.removed));
    facts.insert("changed".to_owned(), changed);
    facts.insert("same".to_owned(), difference.same.into());
    facts.insert("same_by_name_only".to_owned(), difference.same_by_name_only.into());
}

/// Name, with the output if it is not the first.
fn name(part: &Part) -> String {
    let name = part.name.as_ref().map_or(part.pointer.as_str(), |at| at.text.as_str());
    match part.output() {
        Some(output) if output != "out" => format!("{name}:{output}"),
        _ => name.to_owned(),
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= MAX_VALUE {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX_VALUE - 1).collect();
    short.push('…');
    short
}

fn tables(compared: &Compared) -> Vec<Section> {
    let difference = &compared.difference;
    let version = |part: &Part| part.version.as_ref().map(|at| at.text.clone()).unwrap_or_default();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (word, tone, outline, places) in [
        ("added", Tone::Doubtful, &compared.new, &difference.added),
        ("removed", Tone::Doubtful, &compared.old, &difference.removed),
    ] {
        for part in places.iter().filter_map(|at| outline.parts.get(*at)) {
            let cells = [Cell::toned(tone, word), name(part).into(), short(&version(part)).into()];
            rows.push(cells.to_vec());
        }
    }
    for change in &difference.changed {
        rows.extend(changed(change, compared));
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let left = rows.len().saturating_sub(MAX_LINES);
    rows.truncate(MAX_LINES);
    let columns = ["what", "component", "was", "is"].map(Column::text).to_vec();
    let table = Table { title: "Changes".to_owned(), columns, rows };
    let mut sections = vec![Section::Table(table)];
    if left > 0 {
        let lines = vec![format!("and {left} more lines; --format json has all")];
        sections.push(Section::Lines { title: String::new(), lines });
    }
    sections
}

fn changed(change: &Change, compared: &Compared) -> Vec<Vec<Cell>> {
    let Some(part) = compared.new.parts.get(change.new) else { return Vec::new() };
    change
        .changed
        .iter()
        .map(|one| {
            let name = Cell::from(name(part));
            vec![one.aspect.name().into(), name, short(&one.was).into(), short(&one.now).into()]
        })
        .collect()
}
