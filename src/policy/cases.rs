//! Example cases of a policy: what it has to say to given files.
//!
//! ```toml
//! [[case]]
//! name = "an input of another owner"
//! now = "2026-11-01"
//! materials = ["cases/lock-owner.json"]
//! expect = "fail"                    # pass, fail or inconclusive
//! denied = ["allowed-owners"]        # exactly the rules that are not met
//! ```

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::file::{MAX_LEN, Policy, PolicyError};
use super::judge::Judgement;
use super::reader::{self, Mistake, Table};
use crate::check::policy::CASE_FAILED;
use crate::check::{Finding, Level, Source, Span, Verdict};
use crate::nix::time::Timestamp;

/// Most cases of one policy.
const MAX_CASES: usize = 1_000;

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// The moment it is judged at, in seconds since 1970.
    pub now: i64,
    /// The files that are judged, from the directory of the policy.
    pub materials: Vec<String>,
    /// Earlier files.
    pub baselines: Vec<String>,
    /// Directories of advisories.
    pub osv: Vec<String>,
    /// Statements.
    pub vex: Vec<String>,
    /// What has to come out.
    pub expect: Verdict,
    /// The rules that are not met, all of them.
    pub denied: BTreeSet<String>,
}

/// What came of the cases of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The policy's file.
    pub file: String,
    /// The policy's name.
    pub name: String,
    /// Each case: its name, what was expected, and what came.
    pub cases: Vec<(String, Verdict, Verdict)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Reads the cases of a policy.
///
/// # Errors
/// What is wrong with them, and where.
pub fn cases(policy: &Policy, bytes: &[u8]) -> Result<Vec<Case>, PolicyError> {
    if bytes.len() > MAX_LEN {
        return Err(PolicyError::TooLong);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| PolicyError::NotUtf8(error.valid_up_to()))?;
    read(policy, text).map_err(|mistake| {
        let place = Span::new(mistake.offset, mistake.offset);
        let at = Source::new("", bytes).at(place).start;
        PolicyError::Mistake { at, message: mistake.message }
    })
}

fn read(policy: &Policy, text: &str) -> Result<Vec<Case>, Mistake> {
    let document = DeTable::parse(text).map_err(|error| {
        Mistake::new(error.span().map_or(0, |span| span.start), error.message())
    })?;
    let root = Table::new(document.get_ref(), 0, "a file of cases");
    let listed = reader::items(root.need("case")?, "case")?;
    root.finish()?;
    if listed.len() > MAX_CASES {
        return Err(Mistake::new(0, format!("there are more than {MAX_CASES} cases")));
    }
    listed.into_iter().map(|one| case(policy, &reader::table(one, "case")?)).collect()
}

fn case(policy: &Policy, table: &Table<'_>) -> Result<Case, Mistake> {
    let name = table.text("name")?.value;
    let now = table.text("now")?;
    let seconds = now
        .value
        .parse::<Timestamp>()
        .map_err(|error| Mistake::new(now.offset, error.to_string()))?
        .seconds();
    let list = |key| match table.get(key) {
        None => Ok(Vec::new()),
        Some(value) => reader::texts(value, key),
    };
    let materials = reader::texts(table.need("materials")?, "materials")?;
    let (baselines, osv, vex) = (list("baselines")?, list("osv")?, list("vex")?);
    let words = [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail].map(|one| (one.name(), one));
    let expect = reader::word(table.need("expect")?, "expect", &words)?;
    let denied: BTreeSet<String> = list("denied")?.into_iter().collect();
    if let Some(stranger) = denied.iter().find(|id| !policy.rules.iter().any(|one| one.id == **id))
    {
        let message = format!("the policy has no rule '{stranger}'");
        return Err(Mistake::new(table.offset(), message));
    }
    table.finish()?;
    Ok(Case { name, now: seconds, materials, baselines, osv, vex, expect, denied })
}

/// Holds what came against what was expected. A policy has to have a case that
/// passes and one that fails; a rule that no case denies is worth a note.
#[must_use]
pub fn outcome(policy: Policy, ran: Vec<(Case, Judgement)>) -> Outcome {
    let mut findings = Vec::new();
    let mut shown: BTreeSet<String> = BTreeSet::new();
    let mut cases = Vec::new();
    let mut find = |subject: String, message: String, level: Level| {
        findings.push(Finding::new(&CASE_FAILED, subject, message).weighed(level));
    };
    for (case, judgement) in ran {
        let came = judgement.verdict(Level::Error);
        let denied: BTreeSet<String> = judgement
            .rules
            .iter()
            .filter(|rule| rule.answer().0 != Verdict::Pass)
            .map(|rule| rule.rule.clone())
            .collect();
        let subject = format!("{}: {}", policy.file, case.name);
        if came != case.expect {
            let message = format!("it comes out as '{came}' (expected '{}')", case.expect);
            find(subject.clone(), message, Level::Error);
        }
        if denied != case.denied {
            let list = |rules: &BTreeSet<String>| match rules.len() {
                0 => "none".to_owned(),
                _ => rules.iter().cloned().collect::<Vec<_>>().join(", "),
            };
            let message = format!(
                "the rules that are not met are {} (expected {})",
                list(&denied),
                list(&case.denied)
            );
            find(subject, message, Level::Error);
        }
        shown.extend(denied);
        cases.push((case.name, case.expect, came));
    }
    for wanted in [Verdict::Pass, Verdict::Fail] {
        if !cases.iter().any(|(_, expect, _)| *expect == wanted) {
            let message = format!("it has no case that is to come out as '{wanted}'");
            find(policy.file.clone(), message, Level::Error);
        }
    }
    for rule in policy.rules.iter().filter(|rule| !shown.contains(&rule.id)) {
        let message = format!("no case shows that the rule '{}' denies anything", rule.id);
        find(policy.file.clone(), message, Level::Note);
    }
    Outcome { file: policy.file, name: policy.name, cases, findings }
}
