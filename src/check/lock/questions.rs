//! What git is asked about the inputs of a lock, and where its answers stand
//! in the file.

use super::audit::{Audit, Input};
use super::change::{Change, Pairs};
use super::evidence::{Answer, Forge, LockedFacts, PinEvidence, PinQuestion, PinSource, Signed};
use super::evidence_judge::{Judged, judge};
use crate::nix::git::ObjectId;

/// The questions about the inputs that the root reaches, each with the place of its input in `Audit::inputs`.
#[must_use]
pub fn of(
    head: &Audit<'_>,
    base: Option<&Audit<'_>>,
    pairs: Option<&Pairs>,
) -> Vec<(usize, PinQuestion)> {
    let mut before: Vec<Option<ObjectId>> = vec![None; head.inputs.len()];
    for change in pairs.iter().flat_map(|pairs| &pairs.changes) {
        if let (Change::Changed { before: old, now }, Some(base)) = (change, base)
            && let Some(slot) = before.get_mut(*now)
        {
            *slot = base.inputs.get(*old).and_then(rev);
        }
    }
    head.inputs
        .iter()
        .enumerate()
        .zip(before)
        .filter(|((_, input), _)| input.depth.is_some())
        .map(|((at, input), old)| {
            let locked = input.locked;
            let question = PinQuestion {
                input: input.path.clone(),
                source: source(input),
                locked: LockedFacts {
                    rev: rev(input),
                    nar_hash: input.good_nar_hash().copied(),
                    last_modified: input.last_modified(),
                    rev_count: locked.number("revCount").and_then(|count| count.try_into().ok()),
                    git_ref: locked.git_ref().map(str::to_owned),
                    submodules: locked.switch("submodules"),
                    lfs: locked.switch("lfs"),
                },
                original_ref: input.original.git_ref().map(str::to_owned),
                base_rev: old.filter(|old| Some(*old) != rev(input)),
                required_signers: head.config.required_signers(&input.path).to_vec(),
            };
            (at, question)
        })
        .collect()
}

/// How many inputs are archives and files, to which git has nothing to say.
#[must_use]
pub fn archives(head: &Audit<'_>) -> usize {
    head.reached().filter(|input| matches!(input.locked.kind(), "tarball" | "file")).count()
}

/// The judgement over the evidence about one input, its findings pointing at
/// what is refuted.
#[must_use]
pub fn judged(
    audit: &Audit<'_>,
    input: &Input<'_>,
    question: &PinQuestion,
    evidence: &PinEvidence,
) -> Judged {
    let mut judged = judge(&input.path, question, evidence);
    for finding in &mut judged.findings {
        let place = match finding.rule.id {
            "nar-hash-not-of-rev" | "nar-hash-not-of-url" => audit.at_locked(input, "narHash"),
            "commit-time-mismatch" => audit.at_locked(input, "lastModified"),
            "rev-count-mismatch" => audit.at_locked(input, "revCount"),
            "rev-off-branch" | "ambiguous-ref" => audit.at_both(input, "ref"),
            _ => audit.at_locked(input, "rev"),
        };
        finding.location = Some(Box::new(place));
        if finding.level == crate::check::Level::Error {
            finding.repair = Some(input.update());
        }
    }
    judged
}

/// The evidence in its public shape: a word for each question that was asked.
#[must_use]
pub fn facts(evidence: &PinEvidence) -> serde_json::Value {
    let word = |answer: &Answer| match answer {
        Answer::Proven(_) => Some("proven"),
        Answer::Refuted { .. } => Some("refuted"),
        Answer::Unknown { .. } => Some("unknown"),
        Answer::NotAsked => None,
    };
    let mut facts = serde_json::Map::new();
    for (name, answer) in [
        ("exists", &evidence.exists),
        ("reachable", &evidence.reachable),
        ("on_ref", &evidence.on_ref),
        ("one_ref", &evidence.one_ref),
        ("last_modified", &evidence.last_modified),
        ("rev_count", &evidence.rev_count),
        ("descends", &evidence.descends),
        ("nar_hash", &evidence.nar_hash),
        ("served", &evidence.served),
        ("signature", &evidence.signature),
    ] {
        if let Some(word) = word(answer) {
            facts.insert(name.to_owned(), word.into());
        }
    }
    if let Signed::By(signer) = &evidence.signer {
        let names = std::iter::once(&signer.key).chain(&signer.names);
        let names: Vec<serde_json::Value> = names.map(|name| name.as_str().into()).collect();
        facts.insert("signed_by".to_owned(), names.into());
    }
    serde_json::Value::Object(facts)
}

fn rev(input: &Input<'_>) -> Option<ObjectId> {
    ObjectId::parse(input.locked.rev()?).ok()
}

fn source(input: &Input<'_>) -> PinSource {
    let locked = input.locked;
    let text = |name| locked.text(name).unwrap_or_default().to_owned();
    let forge = match locked.kind() {
        "github" => Forge::GitHub,
        "gitlab" => Forge::GitLab,
        "sourcehut" => Forge::SourceHut,
        "git" => return PinSource::Git { url: text("url") },
        "tarball" => return PinSource::Tarball { url: text("url") },
        "file" => return PinSource::File { url: text("url") },
        other => return PinSource::Other(other.to_owned()),
    };
    PinSource::Forge {
        forge,
        host: locked.text("host").unwrap_or(forge.host()).to_owned(),
        owner: text("owner"),
        repo: text("repo"),
    }
}
