//! From a survey to its outcomes.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Answer, Content, RealisationFacts, SubjectFacts, Survey};
use super::judge::judge;
use super::paths::PathId;
use super::rules::{CLOSURE_HOLE, REALISATIONS_DISAGREE};
use super::siblings;
use super::versions::Trust;
use crate::check::rebuild::Standing;
use crate::check::rebuild::rules::FORGED_SIGNATURE;
use crate::check::sample::Bound;
use crate::check::{
    Coverage, Examination, Finding, Inconclusive, Level, NotRun, Reason, Subject, Verdict,
};

/// The check that realisations of one output agree.
const REALISED: &str = "trusted realisation";

/// How many that refer to a missing path are named.
const SHOWN_REFERRERS: usize = 3;

/// What one source had to say, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Paths it was asked about.
    pub asked: u64,
    /// Paths it has.
    pub present: u64,
    /// Paths it does not have.
    pub absent: u64,
    /// Paths about which it gave no answer.
    pub silent: u64,
    /// Answers that cannot be used.
    pub bad: u64,
    /// Claims that a trusted key has signed or that prove themselves.
    pub trusted: u64,
    /// Claims with a bad signature under a trusted name.
    pub forged: u64,
    /// Objects whose bytes were read and are right.
    pub right: u64,
    /// Objects whose bytes were read and are wrong.
    pub wrong: u64,
    /// Objects that should have been read and could not be.
    pub unread: u64,
    /// Paths that something it has refers to and that it does not have itself.
    pub holes: u64,
    /// What the sample says about all its objects; `None` if all were to be
    /// read, or some of the sample could not be.
    pub bound: Option<Bound>,
}

/// The outcomes of a survey, and its numbers.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The outcomes.
    pub examination: Examination,
    /// One for each source.
    pub tallies: Vec<Tally>,
    /// What changes nothing and has to be known: default caches that gave no
    /// answer, caches that say "forbidden" for "absent".
    pub remarks: Vec<String>,
}

/// Judges every path of a survey.
#[must_use]
pub fn examine(survey: &Survey) -> Examined {
    let mut examination = Examination {
        command: "cache",
        subjects: Vec::with_capacity(survey.subjects.len()),
        facts: serde_json::Value::Null,
        findings: survey.findings.clone(),
        coverage: Coverage::default(),
    };
    for subject in &survey.subjects {
        let Some(path) = survey.table.path(subject.id) else { continue };
        let judgement = judge(subject, survey);
        let coverage = &mut examination.coverage;
        coverage.asked += judgement.asked;
        coverage.answered += judgement.answered();
        coverage.inconclusive.extend(judgement.open);
        examination.findings.extend(judgement.findings);
        examination.subjects.push(Subject {
            id: survey.store_dir.full(path),
            verdict: judgement.verdict,
            status: judgement.status.to_owned(),
        });
    }
    for realisation in &survey.realisations {
        examine_realisation(realisation, survey, &mut examination);
    }
    let coverage = &mut examination.coverage;
    coverage.asked += u64::try_from(survey.unanswered.len()).unwrap_or(u64::MAX);
    coverage.inconclusive.extend(survey.unanswered.iter().cloned());
    coverage.not_run = not_run(survey);
    examination.findings.extend(siblings::mixed(survey));
    let mut tallies = tallies(survey);
    holes(survey, &mut tallies, &mut examination.findings);
    examination.sort();
    Examined { examination, tallies, remarks: remarks(survey) }
}

/// What nobody asked for.
fn not_run(survey: &Survey) -> Vec<NotRun> {
    let asked = &survey.asked;
    let left = [
        (!asked.contents, "bytes of NARs and local objects", "--contents was not given"),
        (asked.sample.is_some(), "bytes of objects outside the sample", "--sample was given"),
        (!asked.local_store, "the local store", "--local-store was not given"),
        (!asked.closure && !asked.all, "references of the paths", "--closure was not given"),
        (asked.min_agree.is_none(), "agreement of operators", "--min-agree was not given"),
    ];
    left.into_iter()
        .filter(|(left, _, _)| *left)
        .map(|(_, check, because)| NotRun { check: check.to_owned(), because: because.to_owned() })
        .collect()
}

/// Default caches that did not answer, and how "absent" was understood.
fn remarks(survey: &Survey) -> Vec<String> {
    let sources = survey.sources.iter().enumerate().filter(|(_, source)| !source.named);
    let forbidden = survey.sources.iter().filter(|source| source.forbidden > 0).map(|source| {
        format!(
            "{source} answered 403 {} times in the manner of S3, which does not tell a file that is \
             not there from one that may not be read: counted as absent",
            source.forbidden
        )
    });
    sources
        .filter_map(|(at, source)| {
            let silence =
                survey.subjects.iter().find_map(|subject| match subject.answers.get(at) {
                    Some(Answer::Silent(silence)) => Some(silence),
                    _ => None,
                })?;
            Some(format!("{source} does not answer: {}", silence.detail))
        })
        .chain(forbidden)
        .collect()
}

fn tallies(survey: &Survey) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); survey.sources.len()];
    for subject in &survey.subjects {
        for (tally, answer) in tallies.iter_mut().zip(&subject.answers) {
            tally.asked += u64::from(!matches!(answer, Answer::NotAsked));
            match answer {
                Answer::NotAsked => {}
                Answer::Absent => tally.absent += 1,
                Answer::Silent(_) => tally.silent += 1,
                Answer::Bad(_) => tally.bad += 1,
                Answer::Claim(claim) => {
                    tally.present += 1;
                    let trust = Trust::of(claim);
                    tally.trusted += u64::from(trust.decides());
                    tally.forged += u64::from(trust == Trust::Forged);
                    match &claim.content {
                        Content::NotAsked | Content::NotSampled => {}
                        Content::Holds { .. } => tally.right += 1,
                        Content::Unanswered(_) => tally.unread += 1,
                        Content::Found(findings) => {
                            let wrong = findings.iter().any(|found| found.level == Level::Error);
                            tally.right += u64::from(!wrong);
                            tally.wrong += u64::from(wrong);
                        }
                    }
                }
            }
        }
    }
    if survey.asked.sample.is_some() && survey.asked.contents {
        for tally in tallies.iter_mut().filter(|tally| tally.unread == 0) {
            tally.bound = Some(Bound::of(tally.right + tally.wrong, tally.wrong, tally.present));
        }
    }
    tallies
}

/// Paths that are referred to and missing: in each cache, as a number; in all
/// sources together, as a finding.
fn holes(survey: &Survey, tallies: &mut [Tally], findings: &mut Vec<Finding>) {
    if !survey.asked.closure && !survey.asked.all {
        return;
    }
    let by_id: BTreeMap<PathId, &SubjectFacts> =
        survey.subjects.iter().map(|subject| (subject.id, subject)).collect();
    let lacks = |subject: &SubjectFacts, source: usize| {
        matches!(subject.answers.get(source), Some(Answer::Absent))
    };
    for (source, tally) in tallies.iter_mut().enumerate() {
        let mut missing = BTreeSet::new();
        for subject in &survey.subjects {
            let claim = subject.answers.get(source).and_then(Answer::claim);
            for id in claim.into_iter().flat_map(|claim| &claim.references) {
                if by_id.get(id).is_some_and(|subject| lacks(subject, source)) {
                    missing.insert(*id);
                }
            }
        }
        tally.holes = u64::try_from(missing.len()).unwrap_or(u64::MAX);
    }
    let nobody_has = |subject: &SubjectFacts| {
        subject.answers.iter().all(|answer| matches!(answer, Answer::Absent | Answer::NotAsked))
    };
    let missing: BTreeSet<PathId> = survey
        .subjects
        .iter()
        .filter(|subject| nobody_has(subject))
        .map(|subject| subject.id)
        .collect();
    if missing.is_empty() {
        return;
    }
    let mut referrers: BTreeMap<PathId, Vec<PathId>> = BTreeMap::new();
    for subject in &survey.subjects {
        let all: BTreeSet<PathId> =
            subject.claims().flat_map(|(_, claim)| claim.references.iter().copied()).collect();
        for id in all.intersection(&missing).filter(|id| **id != subject.id) {
            referrers.entry(*id).or_default().push(subject.id);
        }
    }
    for (id, referrers) in referrers {
        let Some(path) = survey.table.path(id) else { continue };
        let mut finding = Finding::new(
            &CLOSURE_HOLE,
            survey.store_dir.full(path),
            match referrers.len() {
                1 => "no source has it, but one of the paths refers to it".to_owned(),
                several => format!("no source has it, but {several} of the paths refer to it"),
            },
        );
        for referrer in survey.table.sorted(&referrers).into_iter().take(SHOWN_REFERRERS) {
            finding = finding.with("referred to by", survey.store_dir.full(referrer));
        }
        findings.push(finding);
    }
}

/// What sources say an output of a content-addressed derivation turned out to
/// be: one trusted answer, and no other.
fn examine_realisation(
    realisation: &RealisationFacts,
    survey: &Survey,
    examination: &mut Examination,
) {
    let id = realisation.id.to_string();
    let source = |at: usize| survey.sources.get(at).map(ToString::to_string).unwrap_or_default();
    let mut findings = Vec::new();
    let mut trusted = BTreeSet::new();
    let mut others = BTreeSet::new();
    for claim in &realisation.claims {
        match &claim.standing {
            Standing::Trusted { .. } => {
                trusted.insert(&claim.path);
            }
            Standing::Forged { keys } => findings.push(
                Finding::new(
                    &FORGED_SIGNATURE,
                    id.as_str(),
                    format!(
                        "{} has a realisation whose signature does not verify",
                        source(claim.source)
                    ),
                )
                .with("key", keys.join(", "))
                .with("claimed StorePath", survey.store_dir.full(&claim.path)),
            ),
            Standing::UnsortedReferences { .. } | Standing::Untrusted { .. } => {
                others.insert(&claim.path);
            }
        }
    }
    let all: BTreeSet<_> = trusted.union(&others).collect();
    if all.len() > 1 {
        let message = format!("sources name {} different store paths", all.len());
        let mut finding = Finding::new(&REALISATIONS_DISAGREE, id.as_str(), message);
        if trusted.len() < 2 {
            finding = finding.weighed(Level::Warning);
        }
        for claim in &realisation.claims {
            let what = format!("{} ({})", source(claim.source), claim.standing.name());
            finding = finding.with(what, survey.store_dir.full(&claim.path));
        }
        findings.push(finding);
    }
    let failed = findings.iter().find(|finding| finding.level == Level::Error);
    let (verdict, status) = match failed {
        Some(finding) if finding.rule == &FORGED_SIGNATURE => (Verdict::Fail, "forged"),
        Some(_) => (Verdict::Fail, "conflict"),
        None if trusted.is_empty() => (Verdict::Inconclusive, Reason::NoReference.name()),
        None => (Verdict::Pass, "verified"),
    };
    let coverage = &mut examination.coverage;
    coverage.asked += 1;
    if verdict == Verdict::Inconclusive {
        let detail = if realisation.claims.is_empty() {
            "no source has a realisation of this output"
        } else {
            "no realisation of this output is signed by a trusted key"
        };
        coverage.inconclusive.push(Inconclusive {
            subject: id.clone(),
            check: REALISED.to_owned(),
            reason: Reason::NoReference,
            detail: detail.to_owned(),
        });
    } else {
        coverage.answered += 1;
    }
    examination.findings.extend(findings);
    examination.subjects.push(Subject { id, verdict, status: status.to_owned() });
}
