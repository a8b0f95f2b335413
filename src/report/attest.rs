//! How attestations look: what was signed, and what was found in them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Cell, Column, Report, Section, Table, Tone, View};
use crate::attest::judge::{Answer, Judgement};
use crate::attest::pool::{Entry, Kind, Pool, Standing, Trust};
use crate::attest::rebuild::ObjectPath;
use crate::attest::statement::{Digest, Subject as About};
use crate::check::{Coverage, Examination, Subject, Verdict};

/// A statement that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The report it was made from.
    pub file: String,
    /// What kind of thing it says.
    pub predicate_type: String,
    /// What it is about.
    pub subjects: BTreeSet<About>,
    /// The keys that signed it.
    pub keys: Vec<String>,
    /// Outputs in it that Nix signatures can be made over.
    pub signatures: usize,
}

/// The report of `verify attest make`.
#[must_use]
pub fn made(statements: Vec<Made>, nix_cache: Option<&str>) -> Report {
    let count = u64::try_from(statements.len()).unwrap_or(u64::MAX);
    let subjects = statements.iter().map(|one| Subject {
        id: one.file.clone(),
        verdict: Verdict::Pass,
        status: "signed".to_owned(),
    });
    let facts = json!({
        "nix_cache": nix_cache,
        "statements": statements
            .iter()
            .map(|one| json!({
                "file": one.file,
                "predicate_type": one.predicate_type,
                "keys": one.keys,
                "subjects": one.subjects.iter().map(about).collect::<Vec<Value>>(),
                "nix_signatures": nix_cache.map_or(0, |_| one.signatures),
            }))
            .collect::<Vec<Value>>(),
    });
    let rows = statements.iter().map(|one| {
        vec![
            Cell::judged(Tone::Good, one.file.clone()),
            kind_of(&one.predicate_type).into(),
            one.subjects.len().to_string().into(),
            nix_cache.map_or(0, |_| one.signatures).to_string().into(),
            one.keys.join(", ").into(),
        ]
    });
    let table = Table {
        title: "Signed".to_owned(),
        columns: vec![
            Column::text("report"),
            Column::text("says"),
            Column::number("contents"),
            Column::number("for Nix"),
            Column::text("keys"),
        ],
        rows: rows.collect(),
    };
    let examination = Examination {
        command: "attest make",
        subjects: subjects.collect(),
        facts,
        findings: Vec::new(),
        coverage: Coverage { asked: count, answered: count, ..Coverage::default() },
    };
    Report::from(examination).with_view(View {
        sections: vec![Section::Table(table)],
        noun: Some(("report", "reports")),
        lists_subjects: true,
    })
}

/// The report of `verify attest verify`.
#[must_use]
pub fn verified(pool: &Pool, judgement: Judgement, trust: Trust<'_>, min_agree: usize) -> Report {
    let Judgement { mut answers, findings, coverage } = judgement;
    answers.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    let facts = json!({
        "min_agree": min_agree,
        "counted": if trust.operators.all().is_empty() { "keys" } else { "operators" },
        "trusted_keys": trust.keys.iter().map(|key| key.name().as_str()).collect::<Vec<_>>(),
        "statements": pool.entries.iter().map(entry_json).collect::<Vec<Value>>(),
        "subjects": answers.iter().map(answer_json).collect::<Vec<Value>>(),
    });
    let subjects = answers
        .iter()
        .map(|answer| Subject {
            id: id(answer),
            verdict: answer.verdict,
            status: answer.status.to_owned(),
        })
        .collect();
    let mut sections = Vec::new();
    if !answers.is_empty() {
        sections.push(Section::Table(subject_table(&answers)));
    }
    sections.push(Section::Table(statement_table(&pool.entries)));
    let examination = Examination { command: "attest verify", subjects, facts, findings, coverage };
    Report::from(examination).with_view(View {
        sections,
        noun: Some(("subject", "subjects")),
        lists_subjects: true,
    })
}

/// What a subject is called among others: a store path by itself is one that
/// was built again.
fn id(answer: &Answer) -> String {
    match answer.kind {
        Kind::Rebuild => answer.name.clone(),
        kind => format!("{}: {}", kind.name(), answer.name),
    }
}

fn kind_of(predicate_type: &str) -> String {
    use crate::attest::{bill, rebuild, summary};
    match predicate_type {
        rebuild::PREDICATE_TYPE => Kind::Rebuild.name().to_owned(),
        summary::PREDICATE_TYPE => Kind::Summary.name().to_owned(),
        bill::PREDICATE_TYPE => Kind::Bill.name().to_owned(),
        other => other.to_owned(),
    }
}

fn about(subject: &About) -> Value {
    content_json(&subject.name, subject.sha256, &[])
}

/// A content; of a store object also as Nix writes it.
fn content_json(name: &str, digest: Digest, keys: &[&str]) -> Value {
    let mut content = json!({ "name": name, "sha256": digest.to_string() });
    if let Some(content) = content.as_object_mut() {
        if ObjectPath::parse(name).is_some() {
            content.insert("nar_hash".to_owned(), digest.nar_hash().to_string().into());
        }
        if !keys.is_empty() {
            content.insert("keys".to_owned(), keys.into());
        }
    }
    content
}

pub(super) fn entry_json(entry: &Entry) -> Value {
    let names = |keys: &BTreeSet<_>| keys.iter().map(ToString::to_string).collect::<Vec<String>>();
    json!({
        "place": entry.place,
        "standing": entry.standing.name(),
        "keys": names(&entry.keys),
        "forged_keys": names(&entry.forged),
        "unknown_keys": entry.unknown,
        "predicate_type": entry.predicate_type,
        "subjects": entry.subjects,
    })
}

fn answer_json(answer: &Answer) -> Value {
    let contents = answer.contents.iter().map(|(digest, keys)| {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        content_json(&answer.name, *digest, &keys)
    });
    json!({
        "kind": answer.kind.name(),
        "name": answer.name,
        "verdict": answer.verdict.name(),
        "status": answer.status,
        "contents": contents.collect::<Vec<Value>>(),
        "attested_by": answer.agree,
    })
}

pub(super) const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Inconclusive => Tone::Doubtful,
        Verdict::Fail => Tone::Bad,
    }
}

fn subject_table(answers: &[Answer]) -> Table {
    let mut worst: Vec<&Answer> = answers.iter().collect();
    worst.sort_by_key(|answer| std::cmp::Reverse(answer.verdict));
    let rows = worst.into_iter().map(|answer| {
        let by: Vec<&str> = answer.agree.iter().map(String::as_str).collect();
        vec![
            Cell::judged(tone(answer.verdict), answer.status),
            answer.kind.name().to_owned().into(),
            answer.name.clone().into(),
            if by.is_empty() { "nobody".to_owned() } else { by.join(", ") }.into(),
        ]
    });
    Table {
        title: "Subjects".to_owned(),
        columns: vec![
            Column::text("result"),
            Column::text("says"),
            Column::text("subject"),
            Column::text("attested by"),
        ],
        rows: rows.collect(),
    }
}

fn statement_table(entries: &[Entry]) -> Table {
    let rows = entries.iter().map(|entry| {
        let tone = match entry.standing {
            Standing::Trusted => Tone::Good,
            Standing::Unsupported | Standing::Untrusted => Tone::Doubtful,
            Standing::Forged | Standing::Malformed(_) => Tone::Bad,
        };
        let good = entry.keys.iter().map(ToString::to_string);
        let forged = entry.forged.iter().map(|key| format!("{key} (forged)"));
        let unknown = entry.unknown.iter().map(|key| match key.as_str() {
            "" => "no name (unknown)".to_owned(),
            key => format!("{key} (unknown)"),
        });
        let keys: Vec<String> = good.chain(forged).chain(unknown).collect();
        vec![
            Cell::judged(tone, entry.standing.name()),
            entry.place.clone().into(),
            entry.predicate_type.as_deref().map_or_else(String::new, kind_of).into(),
            entry.subjects.to_string().into(),
            keys.join(", ").into(),
        ]
    });
    Table {
        title: "Statements".to_owned(),
        columns: vec![
            Column::text("standing"),
            Column::text("file"),
            Column::text("says"),
            Column::number("contents"),
            Column::text("keys"),
        ],
        rows: rows.collect(),
    }
}
