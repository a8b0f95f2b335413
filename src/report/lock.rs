//! How an audit of a lock looks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Cell, Column, Report, Section, Table, Tone, View};
use crate::check::lock::audit::{Audit, Input};
use crate::check::lock::change::{Change, Pairs};
use crate::check::lock::suppress::Suppressed;
use crate::check::{
    Coverage, Examination, Finding, Inconclusive, Level, NotRun, Rule, Source, Subject, Verdict,
};
use crate::nix::flake_lock::LockInput;
use crate::nix::flake_ref::short_rev;
use crate::nix::flake_secrets::brief;
use crate::nix::time::Timestamp;

/// Most findings of one rule that are listed; a hostile lock can earn one with
/// every few bytes. Code scanning of GitHub takes 5,000 in all.
const MAX_OF_RULE: usize = 1_000;

/// What a lock is compared with, as it is shown.
#[derive(Debug, Clone)]
pub enum BaseShown {
    /// A file.
    File(String),
    /// A commit.
    Commit {
        /// The revision as it was named.
        revision: String,
        /// The commit.
        commit: String,
        /// Whether it has a lock.
        has_lock: bool,
    },
}

impl BaseShown {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Commit { revision, .. } => revision.clone(),
        }
    }
}

/// Where the configuration is from.
#[derive(Debug, Clone)]
pub enum ConfigOrigin {
    /// There is none.
    None,
    /// It was named.
    Named(String),
    /// It stands beside the lock.
    Beside(String),
    /// It is that of the base.
    Base {
        /// Its path.
        name: String,
        /// The revision.
        revision: String,
    },
}

/// An audit, as it comes together.
#[derive(Debug)]
pub struct LockReport<'a> {
    source: &'a Source<'a>,
    config: ConfigOrigin,
    /// What the lock is compared with.
    pub base: Option<BaseShown>,
    /// What failed.
    pub findings: Vec<Finding>,
    /// What was put up with.
    pub suppressed: Vec<Suppressed>,
    /// Questions asked.
    pub asked: u64,
    /// Questions answered.
    pub answered: u64,
    /// Questions without an answer.
    pub inconclusive: Vec<Inconclusive>,
    /// Questions nobody asked.
    pub not_run: Vec<NotRun>,
    /// Commits between the base's revision and the lock's, by input.
    pub commits_between: BTreeMap<String, u64>,
    /// What git had to say, by input, in its public shape.
    pub evidence: BTreeMap<String, Value>,
}

/// What was found of one input.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    worst: Option<(Level, &'static str)>,
    count: usize,
    open: bool,
}

impl<'a> LockReport<'a> {
    /// Nothing found yet.
    #[must_use]
    pub const fn new(source: &'a Source<'a>, config: ConfigOrigin) -> Self {
        Self {
            source,
            config,
            base: None,
            findings: Vec::new(),
            suppressed: Vec::new(),
            asked: 0,
            answered: 0,
            inconclusive: Vec::new(),
            not_run: Vec::new(),
            commits_between: BTreeMap::new(),
            evidence: BTreeMap::new(),
        }
    }

    /// The report of a file that is no lock.
    #[must_use]
    pub fn without_lock(self) -> Report {
        let facts = json!({
            "file": self.source.name(),
            "version": null,
            "base": self.base_json(),
            "config": self.config_json(),
            "inputs": [],
            "changes": [],
            "suppressed": [],
        });
        let subjects = vec![Subject {
            id: self.source.name().to_owned(),
            verdict: Verdict::Fail,
            status: "malformed".to_owned(),
        }];
        let view =
            View { sections: Vec::new(), noun: Some(("file", "files")), lists_subjects: false };
        self.into_report(subjects, facts, view)
    }

    /// The report of a lock.
    #[must_use]
    pub fn finish(
        self,
        head: &Audit<'_>,
        base: Option<&Audit<'_>>,
        pairs: Option<&Pairs>,
    ) -> Report {
        let scores = self.scores();
        let score = |path: &str| scores.get(path).copied().unwrap_or_default();
        let mut subjects: Vec<Subject> = head
            .inputs
            .iter()
            .map(|input| {
                let (verdict, status) = score(&input.path).verdict();
                Subject { id: input.path.clone(), verdict, status: status.to_owned() }
            })
            .collect();
        let noun = if subjects.is_empty() {
            let (verdict, status) = score(self.source.name()).verdict();
            let id = self.source.name().to_owned();
            subjects.push(Subject { id, verdict, status: status.to_owned() });
            ("file", "files")
        } else {
            ("input", "inputs")
        };
        let mut sections =
            vec![Section::Facts { title: String::new(), entries: self.entries(head) }];
        match (base, pairs) {
            (Some(base), Some(pairs)) => {
                sections.push(self.change_table(head, base, pairs, &scores));
            }
            _ => sections.push(input_table(head, &scores)),
        }
        if !self.suppressed.is_empty() {
            let lines = self
                .suppressed
                .iter()
                .map(|one| {
                    let until = one.expires.as_ref().map(|day| format!(" until {day}"));
                    let until = until.unwrap_or_default();
                    format!("{}: {} ({}{until})", one.subject, one.rule, one.reason)
                })
                .collect();
            sections.push(Section::Lines { title: "Put up with".into(), lines });
        }
        let facts = self.facts(head, base, pairs, &scores);
        let view = View { sections, noun: Some(noun), lists_subjects: true };
        self.into_report(subjects, facts, view)
    }

    fn into_report(mut self, subjects: Vec<Subject>, facts: Value, view: View) -> Report {
        let findings = std::mem::take(&mut self.findings);
        self.findings = limited(findings, self.source.name());
        Report::from(Examination {
            command: "lock",
            subjects,
            facts,
            findings: self.findings,
            coverage: Coverage {
                asked: self.asked,
                answered: self.answered,
                not_run: self.not_run,
                inconclusive: self.inconclusive,
            },
        })
        .with_view(view)
    }

    fn scores(&self) -> BTreeMap<String, Score> {
        let mut scores: BTreeMap<String, Score> = BTreeMap::new();
        for finding in &self.findings {
            let score = scores.entry(finding.subject.clone()).or_default();
            let this = (finding.level, finding.rule.id);
            // The worst; of equal ones the first by name.
            let worse = score.worst.is_none_or(|(level, id)| {
                finding.level > level || (finding.level == level && finding.rule.id < id)
            });
            if worse {
                score.worst = Some(this);
            }
            score.count += usize::from(finding.level > Level::Note);
        }
        for open in &self.inconclusive {
            scores.entry(open.subject.clone()).or_default().open = true;
        }
        scores
    }

    fn entries(&self, head: &Audit<'_>) -> Vec<(String, Cell)> {
        let follows = head
            .lock
            .nodes
            .values()
            .flat_map(|node| node.inputs.values())
            .filter(|edge| matches!(edge.target, LockInput::Follows(_)))
            .count();
        let direct = head.inputs.iter().filter(|input| input.depth == Some(1)).count();
        let mut entries: Vec<(String, Cell)> = vec![
            (
                "lock".into(),
                format!("{} (version {})", self.source.name(), head.lock.version).into(),
            ),
            (
                "inputs".into(),
                format!(
                    "{}, {direct} of them the flake's own, {follows} follow others",
                    head.inputs.len()
                )
                .into(),
            ),
        ];
        match &self.base {
            Some(BaseShown::File(path)) => {
                entries.push(("compared with".into(), path.as_str().into()))
            }
            Some(BaseShown::Commit { revision, commit, has_lock }) => {
                let mut text = revision.clone();
                if commit != revision {
                    text = format!("{revision} ({})", short_rev(commit));
                }
                if !has_lock {
                    text.push_str(", which has no lock");
                }
                entries.push(("compared with".into(), text.into()));
            }
            None => {}
        }
        match &self.config {
            ConfigOrigin::None => {}
            ConfigOrigin::Named(name) => {
                entries.push(("configuration".into(), format!("{name} (--config)").into()));
            }
            ConfigOrigin::Beside(name) => {
                entries.push(("configuration".into(), name.as_str().into()))
            }
            ConfigOrigin::Base { name, revision } => {
                entries.push(("configuration".into(), format!("{name} as of {revision}").into()));
            }
        }
        entries
    }

    fn change_table(
        &self,
        head: &Audit<'_>,
        base: &Audit<'_>,
        pairs: &Pairs,
        scores: &BTreeMap<String, Score>,
    ) -> Section {
        let mut rows: Vec<(Score, String, Vec<Cell>)> = Vec::new();
        let mut same = 0_usize;
        let with_commits = !self.commits_between.is_empty();
        for change in &pairs.changes {
            let (before, now) = sides(change, head, base);
            if matches!(change, Change::Same { .. }) {
                same += 1;
                continue;
            }
            let Some(path) = now.or(before).map(|input| input.path.clone()) else { continue };
            let score = if now.is_some() { scores.get(&path) } else { None };
            let score = score.copied().unwrap_or_default();
            let (from, to) = pins(change, before, now);
            let mut row: Vec<Cell> = vec![path.as_str().into(), from.into(), to.into()];
            if with_commits {
                row.push(
                    self.commits_between.get(&path).map_or_else(String::new, u64::to_string).into(),
                );
            }
            row.push(if now.is_some() { score.cell() } else { Cell::toned(Tone::Dim, "gone") });
            rows.push((score, path, row));
        }
        rows.sort_by(|a, b| b.0.rank().cmp(&a.0.rank()).then_with(|| a.1.cmp(&b.1)));
        if rows.is_empty() {
            let lines = vec![format!("no input changed ({same} are as before)")];
            return Section::Lines { title: "Changes".into(), lines };
        }
        let mut columns = vec![Column::text("input"), Column::text("from"), Column::text("to")];
        if with_commits {
            columns.push(Column::number("commits"));
        }
        columns.push(Column::text("verdict"));
        Section::Table(Table {
            title: format!("Changes ({} of {})", rows.len(), rows.len() + same),
            columns,
            rows: rows.into_iter().map(|(_, _, row)| row).collect(),
        })
    }

    fn base_json(&self) -> Value {
        match &self.base {
            None => Value::Null,
            Some(BaseShown::File(path)) => json!({ "kind": "file", "file": path }),
            Some(BaseShown::Commit { revision, commit, has_lock }) => json!({
                "kind": "revision", "revision": revision, "commit": commit, "has_lock": has_lock,
            }),
        }
    }

    fn config_json(&self) -> Value {
        match &self.config {
            ConfigOrigin::None => Value::Null,
            ConfigOrigin::Named(name) => json!({ "from": "option", "file": name }),
            ConfigOrigin::Beside(name) => json!({ "from": "file", "file": name }),
            ConfigOrigin::Base { name, revision } => {
                json!({ "from": "base", "file": name, "revision": revision })
            }
        }
    }

    fn facts(
        &self,
        head: &Audit<'_>,
        base: Option<&Audit<'_>>,
        pairs: Option<&Pairs>,
        scores: &BTreeMap<String, Score>,
    ) -> Value {
        let inputs: Vec<Value> = head
            .inputs
            .iter()
            .map(|input| {
                let mut value = pin_json(input);
                let more = json!({
                    "input": input.path,
                    "depth": input.depth,
                    "original": input.original.show(),
                    "flake": input.node.flake,
                    "type": input.locked.kind(),
                    "host": input.locked.host(),
                    "owner": input.locked.owner_and_repo().map(|(owner, _)| owner),
                    "repo": input.locked.owner_and_repo().map(|(_, repo)| repo),
                    "ref": input.original.git_ref().or_else(|| input.locked.git_ref()),
                });
                if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
                    value.extend(more);
                    if let Some(evidence) = self.evidence.get(&input.path) {
                        value.insert("evidence".to_owned(), evidence.clone());
                    }
                }
                value
            })
            .collect();
        let mut changes = Vec::new();
        for change in pairs.iter().flat_map(|pairs| &pairs.changes) {
            let Some(base) = base else { break };
            if matches!(change, Change::Same { .. }) {
                continue;
            }
            let (before, now) = sides(change, head, base);
            let Some(path) = now.or(before).map(|input| input.path.as_str()) else { continue };
            let word = match change {
                Change::Added { followed: Some(_), .. } => "follows-removed",
                Change::Added { .. } => "added",
                Change::Removed { .. } => "removed",
                Change::Same { .. } | Change::Changed { .. } => "changed",
            };
            let before = match change {
                Change::Added { .. } => None,
                _ => before,
            };
            let score = scores.get(path).copied().unwrap_or_default();
            changes.push(json!({
                "input": path,
                "change": word,
                "from": before.map(pin_json),
                "to": now.map(pin_json),
                "commits_between": self.commits_between.get(path),
                "verdict": score.verdict().0.name(),
            }));
        }
        let suppressed: Vec<Value> = self
            .suppressed
            .iter()
            .map(|one| {
                json!({
                    "rule": one.rule, "input": one.subject, "message": one.message,
                    "reason": one.reason, "expires": one.expires,
                })
            })
            .collect();
        json!({
            "file": self.source.name(),
            "version": head.lock.version,
            "base": self.base_json(),
            "config": self.config_json(),
            "inputs": inputs,
            "changes": changes,
            "suppressed": suppressed,
        })
    }
}

impl Score {
    const fn verdict(&self) -> (Verdict, &'static str) {
        match self.worst {
            Some((Level::Error, _)) => (Verdict::Fail, "bad"),
            _ if self.open => (Verdict::Inconclusive, "unproven"),
            Some((Level::Warning, _)) => (Verdict::Pass, "doubtful"),
            _ => (Verdict::Pass, "sound"),
        }
    }

    fn rank(&self) -> (Option<Level>, bool, usize) {
        (self.worst.map(|(level, _)| level), self.open, self.count)
    }

    fn cell(&self) -> Cell {
        let more = match self.count {
            0 | 1 => String::new(),
            count => format!(" +{}", count - 1),
        };
        match self.worst {
            Some((Level::Error, id)) => Cell::judged(Tone::Bad, format!("{id}{more}")),
            _ if self.open => Cell::judged(Tone::Doubtful, "unproven"),
            Some((Level::Warning, id)) => Cell::judged(Tone::Doubtful, format!("{id}{more}")),
            Some((Level::Note, _)) | None => Cell::judged(Tone::Good, "ok"),
        }
    }
}

/// The first [`MAX_OF_RULE`] findings of each rule; the rest as one that
/// counts them, as heavy as the heaviest of them.
fn limited(findings: Vec<Finding>, file: &str) -> Vec<Finding> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut rest: BTreeMap<&'static str, (usize, Level, &'static Rule)> = BTreeMap::new();
    let mut kept = Vec::with_capacity(findings.len().min(MAX_OF_RULE));
    for finding in findings {
        let count = counts.entry(finding.rule.id).or_default();
        *count += 1;
        if *count <= MAX_OF_RULE {
            kept.push(finding);
            continue;
        }
        let (more, level, _) =
            rest.entry(finding.rule.id).or_insert((0, finding.level, finding.rule));
        *more += 1;
        *level = (*level).max(finding.level);
    }
    kept.extend(rest.into_values().map(|(count, level, rule)| {
        Finding::new(rule, file, format!("{count} more findings of this rule are not listed"))
            .weighed(level)
    }));
    kept
}

/// The inputs that the flake names itself.
fn input_table(head: &Audit<'_>, scores: &BTreeMap<String, Score>) -> Section {
    let mut rows: Vec<(Score, Vec<Cell>)> = head
        .inputs
        .iter()
        .filter(|input| input.depth == Some(1))
        .map(|input| {
            let score = scores.get(&input.path).copied().unwrap_or_default();
            let row = vec![
                input.path.as_str().into(),
                input.locked.show().into(),
                pin(input).into(),
                score.cell(),
            ];
            (score, row)
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.0.rank()));
    Section::Table(Table {
        title: "Inputs of the flake".into(),
        columns: ["input", "source", "locked to", "verdict"].map(Column::text).into(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    })
}

/// An input before and now.
fn sides<'i, 'a>(
    change: &Change,
    head: &'i Audit<'a>,
    base: &'i Audit<'a>,
) -> (Option<&'i Input<'a>>, Option<&'i Input<'a>>) {
    let (before, now) = match *change {
        Change::Same { before, now } | Change::Changed { before, now } => (Some(before), Some(now)),
        Change::Added { now, followed, .. } => (followed, Some(now)),
        Change::Removed { before } => (Some(before), None),
    };
    (before.and_then(|at| base.inputs.get(at)), now.and_then(|at| head.inputs.get(at)))
}

/// What is shown of both sides: revisions and dates, and the source where it
/// is another one.
fn pins(change: &Change, before: Option<&Input<'_>>, now: Option<&Input<'_>>) -> (String, String) {
    let (Some(old), Some(new)) = (before, now) else {
        let full = |side: Option<&Input<'_>>| {
            side.map_or_else(|| "-".to_owned(), |one| format!("{} {}", one.locked.show(), pin(one)))
        };
        return (full(before), full(now));
    };
    if let Change::Added { .. } = change {
        return (format!("follows {}", old.path), format!("{} {}", new.locked.show(), pin(new)));
    }
    let (from, to) = (old.locked.show(), new.locked.show());
    if from == to {
        (pin(old), pin(new))
    } else {
        (format!("{from} {}", pin(old)), format!("{to} {}", pin(new)))
    }
}

/// Revision and date of an input; of one without revision its hash.
fn pin(input: &Input<'_>) -> String {
    let date = input.last_modified().and_then(Timestamp::from_seconds).map(Timestamp::date);
    let name = match (input.locked.rev(), input.locked.text("narHash")) {
        (Some(rev), _) => brief(short_rev(rev)),
        (None, Some(hash)) => {
            let hash = brief(hash);
            let short: String = hash.chars().take(18).collect();
            if short.len() < hash.len() { format!("{short}…") } else { short }
        }
        (None, None) => "unlocked".to_owned(),
    };
    date.map_or_else(|| name.clone(), |date| format!("{name} {date}"))
}

/// What an input is locked to.
fn pin_json(input: &Input<'_>) -> Value {
    json!({
        "locked": input.locked.show(),
        "rev": input.locked.rev().map(brief),
        "nar_hash": input.good_nar_hash().map(|hash| hash.hash().sri()),
        "last_modified": input.last_modified().and_then(Timestamp::from_seconds).map(|date| date.to_string()),
    })
}
