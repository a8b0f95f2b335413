//! What a `flake.lock` may and may not say: the checks of `verify lock`.
//!
//! [`judge`] holds a lock against the rules that look at it alone, against the
//! lock before a change, and against what the configuration allows. It takes
//! nothing but values; evidence from git comes apart ([`evidence`]).

pub mod alone;
pub mod audit;
pub mod change;
pub mod config;
pub mod evidence;
pub mod evidence_judge;
pub mod evidence_rules;
pub mod identity;
pub mod policy;
pub mod questions;
pub mod reading;
pub mod suppress;
pub mod well_known;

use std::collections::BTreeSet;

use crate::check::inspect::rules::MALFORMED_LOCK;
use crate::check::{Evidence, Finding, Level, NotRun, Rule, Source};
use crate::nix::flake_lock::FlakeLockError;
use audit::Audit;
use change::{Both, Pairs};

/// What came of the rules.
#[derive(Debug, Default)]
pub struct Judgement {
    /// What failed.
    pub findings: Vec<Finding>,
    /// How many answers there are.
    pub answered: u64,
    /// What nobody asked for.
    pub not_run: Vec<NotRun>,
    /// What became of the inputs, if there is a base.
    pub pairs: Option<Pairs>,
}

/// All rules of this command that no other command has.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let others = change::RULES.iter().chain(&policy::RULES).chain(&suppress::RULES).copied();
    alone::rules().chain(others)
}

/// Judges a lock whose defects were met while reading it.
#[must_use]
pub fn judge(head: &Audit<'_>, base: Option<&Audit<'_>>, defects: &[FlakeLockError]) -> Judgement {
    let mut judged = Judgement::default();
    judged.findings.extend(defects.iter().map(|defect| malformed(head.source, defect)));
    // That it could be read.
    judged.answered += 1;
    judged.answered += alone::check(head, &mut judged.findings);
    if head.config.has_policy() {
        judged.answered += policy::check(head, &mut judged.findings);
    } else {
        judged.not_run.push(NotRun {
            check: "what is allowed".to_owned(),
            because: "no .verify.toml says what (--config)".to_owned(),
        });
    }
    match base {
        Some(base) => {
            let both = Both { base, head };
            stood_before(base, &mut judged.findings);
            let pairs = Pairs::new(&both);
            judged.answered += change::check(&both, &pairs, &mut judged.findings);
            judged.pairs = Some(pairs);
        }
        None => judged.not_run.push(NotRun {
            check: "what the change does".to_owned(),
            because: "there is no lock to compare with (--base)".to_owned(),
        }),
    }
    judged
}

/// Warnings that the base deserves as well are not the change's: they become
/// notes. Errors stay what they are.
fn stood_before(base: &Audit<'_>, findings: &mut [Finding]) {
    let warnings = findings.iter().filter(|one| one.level == Level::Warning);
    let rules: BTreeSet<&'static str> = warnings.map(|one| one.rule.id).collect();
    if rules.is_empty() {
        return;
    }
    let mut before = Vec::new();
    alone::check_for(&rules, base, &mut before);
    let before: BTreeSet<(&str, &str)> =
        before.iter().map(|one| (one.rule.id, one.subject.as_str())).collect();
    for finding in findings.iter_mut().filter(|one| one.level == Level::Warning) {
        if before.contains(&(finding.rule.id, finding.subject.as_str())) {
            finding.level = Level::Note;
            finding.evidence.push(Evidence {
                label: "before the change".to_owned(),
                value: "it was there too".to_owned(),
            });
        }
    }
}

/// A defect of the format as a finding.
#[must_use]
pub fn malformed(source: &Source<'_>, error: &FlakeLockError) -> Finding {
    Finding::new(&MALFORMED_LOCK, source.name(), error.to_string())
        .located(source.at(error.span()))
        .with("byte offset", error.offset())
}
