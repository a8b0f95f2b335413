//! Whether enough trusted statements agree, and none speaks against.
//!
//! A content passes if at least so many witnesses as were asked for attest it
//! with a pass that their statement bears out, and no trusted statement says
//! anything else. Statements without a pass count for nothing and, if they got
//! another content, against. What is asked about and attested by too few is
//! inconclusive: others may know more.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::pool::{Kind, Pool, Said, Standing, Vote};
use super::statement::Digest;
use crate::check::attest::{
    ATTESTATIONS_DISAGREE, ATTESTED_FAILURE, ATTESTED_OTHERWISE, FORGED_ATTESTATION,
    MALFORMED_ATTESTATION,
};
use crate::check::{Coverage, Finding, Inconclusive, Reason, Verdict};

/// The check that enough statements agree.
pub const ATTESTED: &str = "attested";

/// The check that an envelope is signed by somebody trusted.
pub const SIGNED: &str = "signed";

/// Content that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// What it is called, if that is known.
    pub name: Option<String>,
    /// Its digest, if that is known.
    pub digest: Option<Digest>,
    /// What kind of statement has to speak of it; any if none is named.
    pub kind: Option<Kind>,
}

/// What came of one content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What kind of thing is said of it.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// The contents that it is said to have, each with who says so.
    pub contents: Vec<(Digest, BTreeSet<String>)>,
    /// The judgement.
    pub verdict: Verdict,
    /// The word for it.
    pub status: &'static str,
    /// Witnesses whose statement passes it.
    pub agree: BTreeSet<String>,
    /// What fails.
    pub finding: Option<Finding>,
    /// Why there is no answer.
    pub open: Option<(Reason, String)>,
}

/// Everything that was judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Content by content.
    pub answers: Vec<Answer>,
    /// What fails.
    pub findings: Vec<Finding>,
    /// What was asked and answered.
    pub coverage: Coverage,
}

impl Judgement {
    fn take(&mut self, answer: Answer) {
        self.coverage.asked += 1;
        match &answer.open {
            None => self.coverage.answered += 1,
            Some((reason, detail)) => self.coverage.inconclusive.push(Inconclusive {
                subject: answer.name.clone(),
                check: ATTESTED.to_owned(),
                reason: *reason,
                detail: detail.clone(),
            }),
        }
        self.findings.extend(answer.finding.clone());
        self.answers.push(answer);
    }
}

/// Judges what is asked about or, if nothing is, everything that is said and
/// every envelope.
#[must_use]
pub fn judge(pool: &Pool, asked: &[Asked], min_agree: usize) -> Judgement {
    let mut judgement = Judgement::default();
    envelopes(pool, asked.is_empty(), &mut judgement);
    if asked.is_empty() {
        for ((kind, name), said) in &pool.said {
            let described = kind == &Kind::Rebuild || !said.contents.is_empty();
            if described && !(said.contents.is_empty() && said.without.is_empty()) {
                judgement.take(answer(*kind, name, said, None, min_agree));
            }
        }
        return judgement;
    }
    for one in asked {
        let fits = |(kind, name): &(Kind, String), said: &Said| {
            one.kind.is_none_or(|wanted| wanted == *kind)
                && one.name.as_ref().is_none_or(|wanted| wanted == name)
                && (one.name.is_some()
                    || one.digest.is_some_and(|digest| {
                        said.contents.contains_key(&digest) || said.refuted.contains(&digest)
                    }))
        };
        let mut any = false;
        for ((kind, name), said) in pool.said.iter().filter(|(key, said)| fits(key, said)) {
            any = true;
            judgement.take(answer(*kind, name, said, one.digest, min_agree));
        }
        if !any {
            judgement.coverage.asked += 1;
            judgement.coverage.inconclusive.push(Inconclusive {
                subject: shown(one),
                check: ATTESTED.to_owned(),
                reason: Reason::NoReference,
                detail: "no trusted statement speaks of it".to_owned(),
            });
        }
    }
    judgement
}

/// How something asked about is called.
fn shown(asked: &Asked) -> String {
    match (&asked.name, asked.digest) {
        (Some(name), _) => name.clone(),
        (None, Some(digest)) => digest.nar_hash().to_string(),
        (None, None) => String::new(),
    }
}

/// What is wrong with envelopes themselves. What nobody trusted has signed is
/// open only if the envelopes are what was asked about.
pub fn envelopes(pool: &Pool, each: bool, judgement: &mut Judgement) {
    for entry in &pool.entries {
        let keys = |names: &BTreeSet<_>| {
            names.iter().map(ToString::to_string).collect::<Vec<String>>().join(", ")
        };
        let (reason, detail) = match &entry.standing {
            Standing::Trusted => continue,
            Standing::Malformed(why) => {
                judgement.coverage.asked += 1;
                judgement.coverage.answered += 1;
                judgement.findings.push(Finding::new(
                    &MALFORMED_ATTESTATION,
                    &entry.place,
                    format!("this is no attestation that can be judged: {why}"),
                ));
                continue;
            }
            Standing::Forged => {
                judgement.coverage.asked += 1;
                judgement.coverage.answered += 1;
                let names = keys(&entry.forged);
                judgement.findings.push(
                    Finding::new(
                        &FORGED_ATTESTATION,
                        &entry.place,
                        format!("the signature in the name of {names} is bad"),
                    )
                    .with("key", names),
                );
                continue;
            }
            Standing::Unsupported => (
                Reason::Unsupported,
                format!(
                    "its predicate is not known here: {}",
                    entry.predicate_type.as_deref().unwrap_or("no in-toto statement")
                ),
            ),
            Standing::Untrusted => (
                Reason::NoReference,
                format!("no trusted key has signed it, only: {}", unnamed(&entry.unknown)),
            ),
        };
        if each {
            judgement.coverage.asked += 1;
            judgement.coverage.inconclusive.push(Inconclusive {
                subject: entry.place.clone(),
                check: SIGNED.to_owned(),
                reason,
                detail,
            });
        }
    }
}

/// Names of keys, with a word for a key without one.
fn unnamed(names: &BTreeSet<String>) -> String {
    let names =
        names.iter().map(|name| if name.is_empty() { "a key without a name" } else { name });
    names.collect::<Vec<_>>().join(", ")
}

/// Judges one name by all that is said of it.
#[must_use]
pub fn answer(
    kind: Kind,
    name: &str,
    said: &Said,
    expected: Option<Digest>,
    min_agree: usize,
) -> Answer {
    let votes = || said.contents.values().flatten();
    let passing = |votes: &[Vote]| -> BTreeSet<String> {
        let passing = votes.iter().filter(|vote| vote.verdict == Verdict::Pass);
        passing.flat_map(|vote| vote.witnesses.iter().cloned()).collect()
    };
    let contents = said.contents.iter();
    let contents: Vec<(Digest, BTreeSet<String>)> = contents
        .map(|(digest, votes)| {
            (*digest, votes.iter().flat_map(|vote| vote.keys.iter().cloned()).collect())
        })
        .collect();
    let only = match contents.as_slice() {
        [(digest, _)] => Some(*digest),
        _ => None,
    };
    let mut answer = Answer {
        kind,
        name: name.to_owned(),
        contents,
        verdict: Verdict::Fail,
        status: "",
        agree: BTreeSet::new(),
        finding: None,
        open: None,
    };
    let passed = votes().any(|vote| vote.verdict == Verdict::Pass);
    let failed = votes().chain(&said.without).any(|vote| vote.verdict == Verdict::Fail);
    // Files of one name may be different ones; a store path has one content.
    let one_content = kind == Kind::Rebuild && said.contents.len() > 1;
    let fail = |rule, message: &str| {
        let mut finding = Finding::new(rule, name, message);
        for (digest, votes) in &said.contents {
            for vote in votes {
                finding = finding.with(statement(vote), digest.nar_hash());
            }
        }
        for vote in &said.without {
            finding = finding.with(statement(vote), "no content");
        }
        Some(finding)
    };
    if one_content || (passed && failed) {
        answer.status = "disagree";
        answer.finding =
            fail(&ATTESTATIONS_DISAGREE, "trusted statements about this contradict each other");
    } else if failed {
        answer.status = "failed";
        answer.finding = fail(&ATTESTED_FAILURE, "a trusted statement says that this failed");
    } else if expected.is_some_and(|expected| {
        said.refuted.contains(&expected)
            || (!said.contents.is_empty() && !said.contents.contains_key(&expected))
    }) {
        answer.status = "otherwise";
        let finding = fail(&ATTESTED_OTHERWISE, "what is attested is another content");
        answer.finding = finding
            .zip(expected)
            .map(|(finding, expected)| finding.with("asked about", expected.nar_hash()));
    } else {
        let agree = match expected.or(only) {
            Some(digest) => said.contents.get(&digest).map(|votes| passing(votes)),
            // Different files of one name, all of which have to be attested.
            None => said
                .contents
                .values()
                .map(|votes| passing(votes))
                .reduce(|one, other| one.intersection(&other).cloned().collect()),
        };
        answer.agree = agree.unwrap_or_default();
        if answer.agree.len() >= min_agree.max(1) {
            answer.verdict = Verdict::Pass;
            answer.status = "attested";
        } else {
            answer.verdict = Verdict::Inconclusive;
            answer.status = "too-few";
            answer.open = Some(too_few(said, &answer.agree, min_agree));
        }
    }
    answer
}

/// The label of a vote in evidence.
fn statement(vote: &Vote) -> String {
    let keys: Vec<&str> = vote.keys.iter().map(String::as_str).collect();
    format!("{} by {} ({})", vote.status, keys.join(", "), vote.place)
}

/// Why too few agree.
fn too_few(said: &Said, agree: &BTreeSet<String>, min_agree: usize) -> (Reason, String) {
    let mut detail = format!("{} of {} asked for attest it", agree.len(), min_agree.max(1));
    if !agree.is_empty() {
        let names: Vec<&str> = agree.iter().map(String::as_str).collect();
        // Writing to a String cannot fail.
        let _ = write!(detail, " ({})", names.join(", "));
    }
    let others = said.contents.values().flatten().chain(&said.without);
    let others: BTreeSet<String> = others
        .filter(|vote| vote.verdict != Verdict::Pass || vote.witnesses.is_empty())
        .map(|vote| match vote.verdict {
            Verdict::Pass => format!("{}: no operator has the key", statement(vote)),
            _ => statement(vote),
        })
        .collect();
    if !others.is_empty() {
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let _ = write!(detail, "; without a pass that counts: {}", others.join("; "));
    }
    (Reason::NoReference, detail)
}
