//! From evidence to outcomes.

use super::evidence::{Answer, PinEvidence, PinQuestion, Signed, Signer, VoidReason};
use super::evidence_rules as rules;
use crate::check::signers::service_of;
use crate::check::{Coverage, Finding, Inconclusive, Rule};

/// What came of the evidence about one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// What is refuted, and what is worth saying.
    pub findings: Vec<Finding>,
    /// What was asked, what was answered, and what was not.
    pub coverage: Coverage,
}

/// Judges the evidence about one input. `subject` is what findings are about.
#[must_use]
pub fn judge(subject: &str, question: &PinQuestion, evidence: &PinEvidence) -> Judged {
    let mut judged = Judged::default();
    for (rule, answer) in [
        (&rules::REV_NOT_FOUND, &evidence.exists),
        (&rules::IMPOSTOR_COMMIT, &evidence.reachable),
        (&rules::REV_OFF_BRANCH, &evidence.on_ref),
        (&rules::AMBIGUOUS_REF, &evidence.one_ref),
        (&rules::COMMIT_TIME_MISMATCH, &evidence.last_modified),
        (&rules::REV_COUNT_MISMATCH, &evidence.rev_count),
        (&rules::REV_NOT_DESCENDANT, &evidence.descends),
        (&rules::NAR_HASH_NOT_OF_REV, &evidence.nar_hash),
        (&rules::NAR_HASH_NOT_OF_URL, &evidence.served),
        (&rules::MISSING_SIGNER, &evidence.signature),
    ] {
        take(&mut judged, subject, rule, answer, question);
    }
    signatures(&mut judged, subject, evidence);
    judged
}

fn take(
    judged: &mut Judged,
    subject: &str,
    rule: &'static Rule,
    answer: &Answer,
    question: &PinQuestion,
) {
    let coverage = &mut judged.coverage;
    match answer {
        Answer::NotAsked => return,
        Answer::Proven(_) => coverage.answered += 1,
        Answer::Unknown { reason, detail } => coverage.inconclusive.push(Inconclusive {
            subject: subject.to_owned(),
            check: rule.id.to_owned(),
            reason: *reason,
            detail: detail.clone(),
        }),
        Answer::Refuted { expected, found, detail } => {
            coverage.answered += 1;
            let mut finding = Finding::new(rule, subject, detail)
                .with("input", &question.input)
                .with("expected", expected)
                .with("found", found);
            if let Some(rev) = question.locked.rev {
                finding = finding.with("rev", rev);
            }
            judged.findings.push(finding);
        }
    }
    judged.coverage.asked += 1;
}

fn signatures(judged: &mut Judged, subject: &str, evidence: &PinEvidence) {
    let finding = match &evidence.signer {
        Signed::NotAsked => return,
        Signed::Unsigned => {
            Finding::new(&rules::UNSIGNED_COMMIT, subject, "the locked commit is not signed")
        }
        Signed::By(signer) => match signer.service {
            None => {
                changed(judged, subject, evidence);
                return;
            }
            Some(service) => Finding::new(
                &rules::SERVICE_SIGNATURE,
                subject,
                format!("the commit is signed by {service} itself"),
            )
            .with("key", &signer.key),
        },
        Signed::UnknownKey { key } => {
            let whose = service_of(key).map_or_else(String::new, |service| {
                format!("; it says that it is {service}'s own")
            });
            let message = format!("the commit is signed by a key that nobody named{whose}");
            Finding::new(&rules::UNKNOWN_SIGNER, subject, message).with("key", key)
        }
        Signed::Void { signer, why } => Finding::new(
            &rules::VOID_SIGNATURE,
            subject,
            format!("the signature of {} does not count: {}", name(signer), void(*why)),
        )
        .with("key", &signer.key),
        Signed::Bad { key, why } => {
            Finding::new(&rules::BAD_SIGNATURE, subject, format!("the signature is bad: {why}"))
                .with("key", key)
        }
        Signed::Unreadable { why } => Finding::new(
            &rules::UNKNOWN_SIGNER,
            subject,
            format!("the commit has a signature that is not understood: {why}"),
        ),
    };
    judged.findings.push(finding);
    changed(judged, subject, evidence);
}

/// Another signer than the base's commit had.
fn changed(judged: &mut Judged, subject: &str, evidence: &PinEvidence) {
    let key = |signed: &Signed| match signed {
        Signed::By(signer) | Signed::Void { signer, .. } => Some(signer.key.clone()),
        Signed::UnknownKey { key } | Signed::Bad { key, .. } => Some(key.clone()),
        Signed::NotAsked | Signed::Unsigned | Signed::Unreadable { .. } => None,
    };
    let Some(before) = key(&evidence.base_signer) else { return };
    let after = key(&evidence.signer);
    if after.as_ref() == Some(&before) {
        return;
    }
    let message = if after.is_some() {
        "the new commit is signed by another key than the old one"
    } else {
        "the old commit was signed, the new one is not"
    };
    judged.findings.push(
        Finding::new(&rules::SIGNER_CHANGED, subject, message)
            .with("before", before)
            .with("now", after.unwrap_or_else(|| "no key".to_owned())),
    );
}

fn name(signer: &Signer) -> &str {
    signer.names.first().unwrap_or(&signer.key)
}

const fn void(why: VoidReason) -> &'static str {
    match why {
        VoidReason::KeyExpired => "the key was not valid when it signed",
        VoidReason::KeyRevoked => "the key was revoked",
        VoidReason::SignatureExpired => "the signature has run out",
        VoidReason::NotForGit => "the key may not sign for git",
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{LockedFacts, PinSource};
    use super::*;
    use crate::check::Reason;

    fn question() -> PinQuestion {
        PinQuestion {
            input: "nixpkgs".to_owned(),
            source: PinSource::Git { url: "https://example.org/a/b".to_owned() },
            locked: LockedFacts::default(),
            original_ref: None,
            base_rev: None,
            required_signers: Vec::new(),
        }
    }

    fn refuted() -> Answer {
        Answer::Refuted {
            expected: "this".to_owned(),
            found: "that".to_owned(),
            detail: "words".to_owned(),
        }
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let evidence = PinEvidence {
            exists: Answer::Proven("there".to_owned()),
            nar_hash: refuted(),
            reachable: Answer::unknown(Reason::NotInMirror, "older"),
            ..PinEvidence::default()
        };
        let judged = judge("flake.lock", &question(), &evidence);
        assert_eq!((judged.coverage.asked, judged.coverage.answered), (3, 2));
        assert_eq!(judged.coverage.inconclusive.len(), 1);
        assert_eq!(judged.coverage.inconclusive[0].check, "impostor-commit");
        assert_eq!(judged.findings.len(), 1);
        assert_eq!(judged.findings[0].rule.id, "nar-hash-not-of-rev");
    }

    #[test]
    fn a_change_of_signer_is_seen_whatever_the_new_one_is() {
        let by = |key: &str| {
            Signed::By(Signer { key: key.to_owned(), names: Vec::new(), service: None })
        };
        for (before, now, wanted) in [
            (by("a"), by("a"), 0),
            (by("a"), by("b"), 1),
            (by("a"), Signed::Unsigned, 1),
            (by("a"), Signed::UnknownKey { key: "b".to_owned() }, 1),
            (Signed::Unsigned, by("a"), 0),
            (Signed::NotAsked, by("a"), 0),
        ] {
            let evidence =
                PinEvidence { base_signer: before, signer: now, ..PinEvidence::default() };
            let judged = judge("flake.lock", &question(), &evidence);
            let changes = judged.findings.iter().filter(|f| f.rule.id == "signer-changed").count();
            assert_eq!(changes, wanted, "{evidence:?}");
        }
    }
}
