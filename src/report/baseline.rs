//! How a run compares with an earlier one, as JSON and for people.

use serde::Serialize;
use serde_json::Value;

use super::view::{Cell, Column, Section, Table, Tone};
use crate::check::baseline::{Change, Comparison};

/// The comparison in the report's facts.
#[derive(Serialize)]
struct Facts<'a> {
    regressed: Vec<ChangePart<'a>>,
    lost: Vec<ChangePart<'a>>,
    known: Vec<ChangePart<'a>>,
    mended: Vec<ChangePart<'a>>,
    unknown: Vec<SubjectPart<'a>>,
    gone: Vec<SubjectPart<'a>>,
}

#[derive(Serialize)]
struct ChangePart<'a> {
    subject: &'a str,
    was: &'a str,
    now: &'a str,
}

#[derive(Serialize)]
struct SubjectPart<'a> {
    subject: &'a str,
    status: &'a str,
}

/// The facts as JSON.
///
/// # Errors
/// Never in practice: all keys are texts.
pub fn facts(comparison: &Comparison) -> Result<Value, serde_json::Error> {
    let Comparison { regressed, lost, known, mended, unknown, gone } = comparison;
    serde_json::to_value(Facts {
        regressed: changes(regressed),
        lost: changes(lost),
        known: changes(known),
        mended: changes(mended),
        unknown: subjects(unknown),
        gone: subjects(gone),
    })
}

fn changes(changes: &[Change]) -> Vec<ChangePart<'_>> {
    let mut parts: Vec<_> = changes
        .iter()
        .map(|Change { subject, was, now }| ChangePart { subject, was, now })
        .collect();
    parts.sort_by_key(|part| part.subject);
    parts
}

fn subjects(subjects: &[(String, String)]) -> Vec<SubjectPart<'_>> {
    let mut parts: Vec<_> =
        subjects.iter().map(|(subject, status)| SubjectPart { subject, status }).collect();
    parts.sort_by_key(|part| part.subject);
    parts
}

/// What people see: the sum, and what changed for the worse.
#[must_use]
pub fn sections(comparison: &Comparison) -> Vec<Section> {
    let sum = Section::Facts {
        title: String::new(),
        entries: vec![("Baseline".to_owned(), comparison.sentence().into())],
    };
    let worse = [(&comparison.regressed, Tone::Bad), (&comparison.lost, Tone::Doubtful)];
    let mut rows = Vec::new();
    for (changes, tone) in worse {
        for change in changes {
            rows.push(vec![
                change.subject.as_str().into(),
                change.was.as_str().into(),
                Cell::judged(tone, &change.now),
            ]);
        }
    }
    let table = Section::Table(Table {
        title: "Worse than in the baseline".to_owned(),
        columns: vec![Column::text("Output"), Column::text("Was"), Column::text("Is")],
        rows,
    });
    let worse = !comparison.regressed.is_empty() || !comparison.lost.is_empty();
    std::iter::once(sum).chain(worse.then_some(table)).collect()
}
