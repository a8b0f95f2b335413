//! How the answer of a gate looks: activate or not, and why not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::attest::{entry_json, tone};
use super::{Cell, Column, Report, Section, Table, Tone, View};
use crate::attest::gate::Passage;
use crate::attest::pool::{Pool, Standing};
use crate::attest::rebuild::ObjectPath;
use crate::check::{Coverage, Examination, Finding, Inconclusive, Level, NotRun, Subject, Verdict};
use crate::nix::hash::NarHash;
use crate::policy::{Judgement, Policy};

/// Most paths that people are shown; the JSON has all.
const MAX_SHOWN: usize = 30;

/// The check that paths are attested.
pub const EVIDENCE: &str = "evidence";

/// A file that was judged or relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceFile {
    /// The file.
    pub file: String,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// What it is.
    pub kind: String,
}

/// What a gate has looked at.
#[derive(Debug)]
pub struct Gate<'a> {
    /// What is to be activated.
    pub target: &'a ObjectPath,
    /// What lies there, if it is registered.
    pub target_hash: Option<NarHash>,
    /// The store.
    pub store: String,
    /// How many witnesses a path needs.
    pub min_agree: usize,
    /// Its closure.
    pub passages: Vec<Passage>,
    /// What attestations say.
    pub pool: &'a Pool,
    /// The evidence, file by file.
    pub materials: Vec<EvidenceFile>,
    /// The policies.
    pub policies: &'a [Policy],
    /// What they say.
    pub judgement: Option<Judgement>,
    /// What else is wrong.
    pub findings: Vec<Finding>,
    /// What else was asked, answered and left out.
    pub coverage: Coverage,
    /// The least level of a finding that denies.
    pub fail_on: Level,
}

/// The report of a gate.
#[must_use]
pub fn gate(mut gate: Gate<'_>) -> Report {
    let mut findings = std::mem::take(&mut gate.findings);
    let mut coverage = std::mem::take(&mut gate.coverage);
    let by_policy = gate.judgement.is_some();
    let mut without = 0_usize;
    for passage in &gate.passages {
        findings.extend(passage.finding.clone());
        match &passage.open {
            // With a policy it is the policy that says what needs evidence.
            Some(_) if by_policy => without += 1,
            Some((reason, detail)) => {
                coverage.asked += 1;
                coverage.inconclusive.push(Inconclusive {
                    subject: passage.member.path.to_string(),
                    check: EVIDENCE.to_owned(),
                    reason: *reason,
                    detail: detail.clone(),
                });
            }
            None => {
                coverage.asked += 1;
                coverage.answered += 1;
            }
        }
    }
    if without > 0 {
        coverage.not_run.push(NotRun {
            check: format!("{EVIDENCE} for each of {without} paths that have none"),
            because: "the policies decide what needs evidence (without --policy every path does)"
                .to_owned(),
        });
    }
    let mut subjects: Vec<Subject> = gate
        .passages
        .iter()
        .map(|passage| Subject {
            id: passage.member.path.to_string(),
            verdict: passage.verdict,
            status: passage.status.to_owned(),
        })
        .collect();
    let mut rules = Vec::new();
    if let Some(judgement) = &gate.judgement {
        subjects.extend(judgement.subjects());
        rules = judgement.subjects();
        findings.extend(judgement.findings.iter().cloned());
        coverage.asked += judgement.coverage.asked;
        coverage.answered += judgement.coverage.answered;
        coverage.inconclusive.extend(judgement.coverage.inconclusive.iter().cloned());
        coverage.not_run.extend(judgement.coverage.not_run.iter().cloned());
    }
    let mut examination =
        Examination { command: "gate", subjects, facts: Value::Null, findings, coverage };
    let verdict = examination.verdict(gate.fail_on);
    examination.facts = facts(&gate.parts(), &rules, &examination, verdict);
    let sections = sections(&gate.parts(), &rules, verdict);
    Report::from(examination).with_view(View {
        sections,
        noun: Some(("path or rule", "paths and rules")),
        lists_subjects: true,
    })
}

/// What is shown of a gate.
struct Parts<'a> {
    target: &'a ObjectPath,
    target_hash: Option<NarHash>,
    store: &'a str,
    min_agree: usize,
    passages: &'a [Passage],
    pool: &'a Pool,
    materials: &'a [EvidenceFile],
    policies: &'a [Policy],
}

impl Gate<'_> {
    fn parts(&self) -> Parts<'_> {
        Parts {
            target: self.target,
            target_hash: self.target_hash,
            store: &self.store,
            min_agree: self.min_agree,
            passages: &self.passages,
            pool: self.pool,
            materials: &self.materials,
            policies: self.policies,
        }
    }
}

fn facts(gate: &Parts<'_>, rules: &[Subject], run: &Examination, verdict: Verdict) -> Value {
    let mut facts = json!({
        "store": gate.store,
        "min_agree": gate.min_agree,
        "decision": {
            "activate": verdict == Verdict::Pass,
            "reasons": reasons(run),
        },
        "policies": gate.policies.iter().map(|policy| json!({
            "file": policy.file,
            "name": policy.name,
            "sha256": policy.sha256,
        })).collect::<Vec<Value>>(),
        "materials": gate.materials.iter().map(|one| json!({
            "file": one.file,
            "kind": one.kind,
            "sha256": one.sha256,
        })).collect::<Vec<Value>>(),
        "statements": gate.pool.entries.iter().map(entry_json).collect::<Vec<Value>>(),
        "rules": rules.iter().map(|rule| json!({
            "id": rule.id,
            "verdict": rule.verdict.name(),
            "status": rule.status,
        })).collect::<Vec<Value>>(),
        "paths": gate.passages.iter().map(|passage| json!({
            "path": passage.member.path.to_string(),
            "nar_hash": passage.member.nar_hash.to_string(),
            "role": if passage.member.is_target { "target" } else { "closure" },
            "verdict": passage.verdict.name(),
            "status": passage.status,
            "attested_by": passage.attested_by,
        })).collect::<Vec<Value>>(),
    });
    if let (Some(facts), Some(hash)) = (facts.as_object_mut(), gate.target_hash) {
        let target = json!({ "path": gate.target.to_string(), "nar_hash": hash.to_string() });
        facts.insert("target".to_owned(), target);
    }
    facts
}

/// Why not, by rules of findings and reasons without an answer, each with how
/// often.
fn reasons(run: &Examination) -> Vec<Value> {
    let mut counts: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for finding in &run.findings {
        *counts.entry(("finding", finding.rule.id, finding.level.name())).or_default() += 1;
    }
    for open in &run.coverage.inconclusive {
        *counts.entry(("inconclusive", open.reason.name(), "")).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((kind, code, level), count)| {
            let mut reason = json!({ "kind": kind, "code": code, "count": count });
            if let (Some(reason), false) = (reason.as_object_mut(), level.is_empty()) {
                reason.insert("level".to_owned(), level.into());
            }
            reason
        })
        .collect()
}

fn sections(gate: &Parts<'_>, rules: &[Subject], verdict: Verdict) -> Vec<Section> {
    let count =
        |wanted: Verdict| gate.passages.iter().filter(|passage| passage.verdict == wanted).count();
    let decision = match verdict {
        Verdict::Pass => Cell::judged(Tone::Good, "activate"),
        Verdict::Inconclusive => Cell::judged(Tone::Doubtful, "do not activate: open questions"),
        Verdict::Fail => Cell::judged(Tone::Bad, "do not activate"),
    };
    let trusted =
        gate.pool.entries.iter().filter(|entry| entry.standing == Standing::Trusted).count();
    let mut sections = vec![Section::Facts {
        title: "Gate".to_owned(),
        entries: vec![
            ("target".to_owned(), gate.target.to_string().into()),
            ("decision".to_owned(), decision),
            (
                "closure".to_owned(),
                format!(
                    "{} paths: {} with evidence, {} without, {} with evidence against them",
                    gate.passages.len(),
                    count(Verdict::Pass),
                    count(Verdict::Inconclusive),
                    count(Verdict::Fail)
                )
                .into(),
            ),
            (
                "statements".to_owned(),
                format!("{} of {} by trusted keys", trusted, gate.pool.entries.len()).into(),
            ),
        ],
    }];
    if !rules.is_empty() {
        let mut rules: Vec<&Subject> = rules.iter().collect();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.verdict));
        let rows = rules.into_iter().map(|rule| {
            vec![Cell::judged(tone(rule.verdict), rule.status.clone()), rule.id.clone().into()]
        });
        sections.push(Section::Table(Table {
            title: "Rules".to_owned(),
            columns: vec![Column::text("result"), Column::text("rule")],
            rows: rows.collect(),
        }));
    }
    let mut worst: Vec<&Passage> =
        gate.passages.iter().filter(|passage| passage.verdict != Verdict::Pass).collect();
    worst.sort_by_key(|passage| std::cmp::Reverse(passage.verdict));
    let rows = worst.iter().take(MAX_SHOWN).map(|passage| {
        vec![
            Cell::judged(tone(passage.verdict), passage.status),
            passage.member.path.to_string().into(),
        ]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    if !rows.is_empty() {
        let title = match worst.len().saturating_sub(MAX_SHOWN) {
            0 => "Paths without a pass".to_owned(),
            more => format!("Paths without a pass (and {more} more)"),
        };
        let columns = vec![Column::text("result"), Column::text("path")];
        sections.push(Section::Table(Table { title, columns, rows }));
    }
    sections
}
