//! How several parts look together: one verdict, and where each report is.

use serde_json::{Value, json};

use super::human::{sentence, verdict};
use super::{Cell, Column, Report, Section, Table, Tone, Trouble, View};
use crate::check::{Coverage, Examination, Level, NotRun, Subject, Verdict};
use crate::policy::Policy;

/// A part that was run.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name: the command.
    pub name: &'static str,
    /// Its report, or why there is none.
    pub outcome: Result<Report, Trouble>,
    /// Where its report was written.
    pub file: Option<String>,
}

impl Part {
    /// What it came to, in a word and a sentence.
    fn answer(&self, fail_on: Level) -> (Verdict, &'static str, String) {
        match &self.outcome {
            Ok(report) if report.troubles.is_empty() => {
                let verdict = verdict(report, fail_on);
                (verdict, verdict.name(), sentence(report, fail_on))
            }
            Ok(report) => {
                let why = report.troubles.first().map(|one| one.message.clone());
                (Verdict::Inconclusive, "trouble", why.unwrap_or_default())
            }
            Err(trouble) => (Verdict::Inconclusive, "trouble", trouble.message.clone()),
        }
    }
}

/// The report over all parts. What policies say is in it whole.
#[must_use]
pub fn all(parts: Vec<Part>, left_out: Vec<NotRun>, policies: &[Policy], fail_on: Level) -> Report {
    let mut coverage = Coverage { not_run: left_out, ..Coverage::default() };
    let mut findings = Vec::new();
    let mut troubles = Vec::new();
    let mut subjects = Vec::new();
    let mut rows = Vec::new();
    let mut facts: Vec<Value> = Vec::new();
    let mut rules: Vec<Value> = Vec::new();
    for part in parts {
        let (verdict, word, sentence) = part.answer(fail_on);
        subjects.push(Subject { id: part.name.to_owned(), verdict, status: word.to_owned() });
        let tone = match verdict {
            Verdict::Pass => Tone::Good,
            Verdict::Inconclusive => Tone::Doubtful,
            Verdict::Fail => Tone::Bad,
        };
        rows.push((
            verdict,
            vec![Cell::judged(tone, word), part.name.to_owned().into(), sentence.clone().into()],
        ));
        facts.push(json!({
            "part": part.name,
            "verdict": verdict.name(),
            "status": word,
            "sentence": sentence,
            "report": part.file,
        }));
        match part.outcome {
            Ok(report) => {
                let run = report.examination;
                if run.command == "policy" {
                    rules.extend(run.subjects.iter().map(|rule| {
                        json!({ "id": rule.id, "verdict": rule.verdict.name(), "status": rule.status })
                    }));
                }
                findings.extend(run.findings);
                troubles.extend(report.troubles);
                // A part that examined nothing is an open question, even if
                // others examined something.
                let nothing = u64::from(run.coverage.answered == 0 && run.coverage.asked == 0);
                coverage.asked += run.coverage.asked + nothing;
                coverage.answered += run.coverage.answered;
                coverage.inconclusive.extend(run.coverage.inconclusive);
                coverage.not_run.extend(run.coverage.not_run.into_iter().map(|one| NotRun {
                    check: format!("{}: {}", part.name, one.check),
                    because: one.because,
                }));
            }
            Err(trouble) => troubles.push(trouble),
        }
    }
    rows.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    let table = Table {
        title: "Parts".to_owned(),
        columns: vec![Column::text("result"), Column::text("part"), Column::text("what it says")],
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    };
    let policies = policies
        .iter()
        .map(|policy| json!({ "file": policy.file, "name": policy.name, "sha256": policy.sha256 }));
    let facts = json!({
        "parts": facts,
        "policies": policies.collect::<Vec<Value>>(),
        "rules": rules,
    });
    let examination = Examination { command: "all", subjects, facts, findings, coverage };
    let view = View {
        sections: vec![Section::Table(table)],
        noun: Some(("part", "parts")),
        lists_subjects: true,
    };
    let mut report = Report::from(examination).with_view(view);
    report.troubles = troubles;
    report
}
