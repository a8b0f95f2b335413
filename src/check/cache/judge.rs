//! One path: everything that was said about it, judged.
//!
//! A path passes if a trusted signature or its content address vouches for
//! one content, no trusted claim is about another, and whatever else was asked
//! for (NARs, local objects, agreement) was answered and holds.

use std::collections::BTreeSet;

use super::facts::{Answer, Asked, Content, Silence, SourceKind, SubjectFacts, Survey};
use super::rules::{
    CLAIMS_CONFLICT, LOCAL_STORE_DIFFERS, TOO_FEW_OPERATORS, UNTRUSTED_CLAIM_DIFFERS,
};
use super::versions::{Trust, Version, versions};
use crate::check::rebuild::Standing;
use crate::check::rebuild::rules::FORGED_SIGNATURE;
use crate::check::{Finding, Inconclusive, Level, Reason, Verdict};

/// The check that somebody trusted vouches for a path.
pub const VOUCHED: &str = "trusted claim";

/// The check that enough operators agree.
pub const AGREED: &str = "agreement of operators";

/// What came of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The judgement.
    pub verdict: Verdict,
    /// The word for it.
    pub status: &'static str,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What got no answer.
    pub open: Vec<Inconclusive>,
    /// Checks that were asked for.
    pub asked: u64,
}

impl Judgement {
    /// Checks that were answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.asked.saturating_sub(u64::try_from(self.open.len()).unwrap_or(u64::MAX))
    }
}

/// Judges one path of a survey.
#[must_use]
pub fn judge(subject: &SubjectFacts, survey: &Survey) -> Judgement {
    let name =
        survey.table.path(subject.id).map_or_else(String::new, |path| survey.store_dir.full(path));
    let mut judge =
        Judge { survey, subject, name, findings: Vec::new(), open: Vec::new(), asked: 0 };
    let versions = versions(subject);
    judge.answers();
    judge.contents();
    judge.differences(&versions);
    let vouched = judge.vouched(&versions);
    judge.agreement(&versions);
    judge.conclude(vouched)
}

struct Judge<'a> {
    survey: &'a Survey,
    subject: &'a SubjectFacts,
    name: String,
    findings: Vec<Finding>,
    open: Vec<Inconclusive>,
    asked: u64,
}

impl Judge<'_> {
    fn open(&mut self, check: impl Into<String>, reason: Reason, detail: impl Into<String>) {
        let (check, detail) = (check.into(), detail.into());
        self.open.push(Inconclusive { subject: self.name.clone(), check, reason, detail });
    }

    fn source(&self, source: usize) -> String {
        self.survey.sources.get(source).map(ToString::to_string).unwrap_or_default()
    }

    /// Bad answers, remarks on good ones, forgeries, and missing ones.
    fn answers(&mut self) {
        self.findings.extend(self.subject.findings.iter().cloned());
        for (source, answer) in self.subject.answers.iter().enumerate() {
            let named = self.survey.sources.get(source).is_some_and(|source| source.named);
            let asked = !matches!(answer, Answer::NotAsked);
            if asked && named {
                self.asked += 1;
            }
            match answer {
                Answer::NotAsked | Answer::Absent => {}
                Answer::Silent(silence) if named => {
                    let Silence { reason, detail } = &**silence;
                    let check = format!("claim of {}", self.source(source));
                    self.open(check, *reason, detail.clone());
                }
                // The default cache may be silent; the report says so once.
                Answer::Silent(_) => {}
                Answer::Bad(finding) => self.findings.push((**finding).clone()),
                Answer::Claim(claim) => {
                    self.findings.extend(claim.remarks.iter().cloned());
                    if let Standing::Forged { keys } = &*claim.standing {
                        let message = format!(
                            "{} has a claim whose signature does not verify",
                            self.source(source)
                        );
                        let finding = Finding::new(&FORGED_SIGNATURE, self.name.as_str(), message)
                            .with("key", keys.join(", "))
                            .with("claimed NarHash", claim.nar_hash)
                            .with("claimed NarSize", claim.nar_size);
                        self.findings.push(finding);
                    }
                }
            }
        }
    }

    /// What reading the bytes gave.
    fn contents(&mut self) {
        for (source, claim) in self.subject.claims() {
            match &claim.content {
                // Nothing that was to be read is passed over in silence.
                Content::NotAsked if self.survey.asked.contents && !claim.is_missing() => {
                    self.asked += 1;
                    let check = format!("content of {}", self.source(source));
                    self.open(check, Reason::Interrupted, "the bytes were not read");
                }
                Content::NotAsked | Content::NotSampled => {}
                Content::Holds { .. } => self.asked += 1,
                Content::Found(findings) => {
                    self.asked += 1;
                    self.findings.extend(findings.iter().cloned());
                }
                Content::Unanswered(silence) => {
                    self.asked += 1;
                    let Silence { reason, detail } = &**silence;
                    let check = format!("content of {}", self.source(source));
                    self.open(check, *reason, detail.clone());
                }
            }
        }
    }

    /// Claims against each other.
    fn differences(&mut self, versions: &[Version<'_>]) {
        let trusted: Vec<&Version<'_>> =
            versions.iter().filter(|version| version.is_trusted()).collect();
        match trusted.as_slice() {
            [] => {
                if let [first, others @ ..] = versions
                    && !others.is_empty()
                {
                    let message =
                        "sources claim different contents, and nobody trusted says which is right";
                    let mut finding =
                        Finding::new(&UNTRUSTED_CLAIM_DIFFERS, self.name.as_str(), message);
                    for version in std::iter::once(first).chain(others) {
                        finding = self.evidence(finding, version);
                    }
                    self.findings.push(finding);
                }
            }
            [right] => {
                for version in versions.iter().filter(|version| !version.is_trusted()) {
                    self.deviation(version, right);
                }
            }
            several => {
                let differences: BTreeSet<&str> = several
                    .iter()
                    .flat_map(|version| several.iter().flat_map(|other| version.differences(other)))
                    .collect();
                let differences: Vec<&str> = differences.into_iter().collect();
                let message = format!(
                    "trusted claims differ in {}: {} different contents are signed",
                    differences.join(", "),
                    several.len()
                );
                let mut finding = Finding::new(&CLAIMS_CONFLICT, self.name.as_str(), message);
                for version in versions {
                    finding = self.evidence(finding, version);
                }
                self.findings.push(finding);
            }
        }
    }

    /// An untrusted version beside the one trusted version: one finding for
    /// the local store, one for all caches.
    fn deviation(&mut self, version: &Version<'_>, right: &Version<'_>) {
        let differences = version.differences(right).join(", ");
        let is_local = |source: usize| {
            let source = self.survey.sources.get(source);
            source.is_some_and(|source| source.kind == SourceKind::LocalStore)
        };
        // A forged claim has its own finding.
        let plain = |source: usize, trust: Trust| !is_local(source) && trust != Trust::Forged;
        let local = version.claims.iter().any(|(source, _)| is_local(*source));
        let caches: Vec<String> = version
            .claims
            .iter()
            .filter(|(source, trust)| plain(*source, *trust))
            .map(|(source, _)| self.source(*source))
            .collect();
        let mut found = Vec::new();
        if local {
            let message =
                format!("the local store differs from the trusted claim in {differences}");
            found.push(Finding::new(&LOCAL_STORE_DIFFERS, self.name.as_str(), message));
        }
        if !caches.is_empty() {
            let message = format!(
                "what {} claims without a trusted signature differs from the trusted claim in {differences}",
                caches.join(", ")
            );
            found.push(Finding::new(&UNTRUSTED_CLAIM_DIFFERS, self.name.as_str(), message));
        }
        for finding in found {
            let finding = self.evidence(finding, right);
            let finding = self.evidence(finding, version);
            self.findings.push(finding);
        }
    }

    /// Who claims a version and what it is.
    fn evidence(&self, finding: Finding, version: &Version<'_>) -> Finding {
        let who: Vec<String> = version
            .claims
            .iter()
            .map(|(source, trust)| {
                let keys = self
                    .subject
                    .answers
                    .get(*source)
                    .and_then(Answer::claim)
                    .map(|claim| claim.standing.keys().join(", "))
                    .filter(|keys| !keys.is_empty() && *trust != Trust::ContentAddress)
                    .map_or_else(String::new, |keys| match trust {
                        Trust::Signed => format!(" by {keys}"),
                        Trust::Forged => format!(" in the name of {keys}"),
                        _ => format!(", signed by {keys}"),
                    });
                format!("{} ({}{keys})", self.source(*source), trust.name())
            })
            .collect();
        let references = self.survey.table.sorted(version.references);
        let references: Vec<String> = references.iter().map(ToString::to_string).collect();
        finding
            .with("claimed by", who.join("; "))
            .with("NarHash", version.nar_hash)
            .with("NarSize", version.nar_size)
            .with("References", references.join(" "))
    }

    /// Whether somebody trusted vouches for the path, and by what; else why
    /// not.
    fn vouched(&mut self, versions: &[Version<'_>]) -> Option<Trust> {
        self.asked += 1;
        let all = || versions.iter().flat_map(|version| &version.claims).map(|(_, trust)| *trust);
        let best = all().filter(|trust| trust.decides()).max();
        if best.is_some() || all().any(|trust| trust == Trust::Forged) {
            return best;
        }
        let bad = self.subject.answers.iter().any(|answer| matches!(answer, Answer::Bad(_)));
        let silent = self.subject.answers.iter().find_map(|answer| match answer {
            Answer::Silent(silence) => Some(silence.clone()),
            _ => None,
        });
        match (all().max(), silent) {
            (Some(Trust::Unsorted), _) => self.open(
                VOUCHED,
                Reason::NoReference,
                "the only signatures by trusted keys are over unsorted references",
            ),
            (Some(_), _) if self.only_address() => self.open(
                VOUCHED,
                Reason::NoReference,
                "no trusted key has signed it, and its content address is proven by its bytes only (--contents)",
            ),
            (Some(_), _) => {
                self.open(VOUCHED, Reason::NoReference, "no trusted key has signed it")
            }
            (None, Some(silence)) => self.open(VOUCHED, silence.reason, silence.detail.clone()),
            (None, None) if bad => {
                self.open(VOUCHED, Reason::NoReference, "the only answers cannot be used")
            }
            (None, None) => self.open(VOUCHED, Reason::NoReference, "no source has it"),
        }
        None
    }

    /// Whether a claim's content address gives the path and nothing was read.
    fn only_address(&self) -> bool {
        self.subject.claims().any(|(_, claim)| {
            let unread = matches!(claim.content, Content::NotAsked | Content::NotSampled);
            unread && claim.ca.as_ref().is_some_and(|ca| ca.proof == super::facts::CaProof::Path)
        })
    }

    /// Whether enough operators attest one content.
    fn agreement(&mut self, versions: &[Version<'_>]) {
        let Asked { min_agree: Some(wanted), .. } = self.survey.asked else { return };
        self.asked += 1;
        if versions.iter().any(Version::proves_itself) {
            return;
        }
        let operators = &self.survey.operators;
        let attested = versions
            .iter()
            .map(|version| version.witnesses(self.subject, operators))
            .max_by_key(BTreeSet::len)
            .unwrap_or_default();
        if attested.len() >= wanted {
            return;
        }
        let count = attested.len();
        let silent: Vec<String> = self
            .subject
            .answers
            .iter()
            .enumerate()
            .filter(|(_, answer)| matches!(answer, Answer::Silent(_)))
            .map(|(source, _)| self.source(source))
            .collect();
        if !silent.is_empty() {
            let detail = format!(
                "{count} of {wanted} operators attest it, and {} did not answer",
                silent.join(", ")
            );
            self.open(AGREED, Reason::Unreachable, detail);
            return;
        }
        let who: Vec<&str> = attested.into_iter().collect();
        let message = format!("{count} of {wanted} operators attest the same content");
        let finding = Finding::new(&TOO_FEW_OPERATORS, self.name.as_str(), message)
            .with("attested by", if who.is_empty() { "nobody".to_owned() } else { who.join(", ") })
            .with("operators known", operators.witnesses());
        self.findings.push(finding);
    }

    fn conclude(self, vouched: Option<Trust>) -> Judgement {
        let Self { findings, open, asked, subject, .. } = self;
        let worst = findings.iter().filter(|finding| finding.level == Level::Error);
        let worst = worst.map(|finding| (rank(finding.rule.id), finding.rule.id)).min();
        let (verdict, status) = if let Some((_, rule)) = worst {
            (Verdict::Fail, word(rule))
        } else if let Some(first) = open.iter().find(|one| one.check == VOUCHED).or(open.first()) {
            let nothing = |answer: &Answer| matches!(answer, Answer::Absent | Answer::NotAsked);
            let had = !subject.answers.iter().all(nothing);
            (Verdict::Inconclusive, if had { first.reason.name() } else { "absent" })
        } else {
            let proven = vouched == Some(Trust::ContentAddress);
            (Verdict::Pass, if proven { "content-addressed" } else { "verified" })
        };
        Judgement { verdict, status, findings, open, asked }
    }
}

/// Rules whose word says more than that of others, worst first.
const WORDS: [(&str, &str); 8] = [
    ("forged-signature", "forged"),
    ("claims-conflict", "conflict"),
    ("nar-mismatch", "corrupt"),
    ("modified-path", "modified"),
    ("local-store-differs", "differs"),
    ("missing-nar", "missing-nar"),
    ("missing-path", "missing"),
    ("too-few-operators", "too-few-operators"),
];

fn rank(rule: &str) -> usize {
    WORDS.iter().position(|(id, _)| *id == rule).unwrap_or(WORDS.len())
}

/// The status of a path that fails by a rule.
fn word(rule: &'static str) -> &'static str {
    WORDS.iter().find(|(id, _)| *id == rule).map_or(rule, |(_, word)| word)
}
