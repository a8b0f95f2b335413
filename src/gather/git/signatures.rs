//! Who signed a locked commit, or the annotated tag that was asked for.

use super::answer::{MAX_COMMIT, commit_at};
use super::mirrors::Mirror;
use super::{Kind, Object};
use crate::check::Reason;
use crate::check::lock::evidence::{Answer, PinEvidence, PinQuestion, Signed, Signer};
use crate::check::signers::Signers;
use crate::nix::git::RepositoryName;
use crate::nix::git::commit::{Commit, Tag};

/// Looks at the signatures and says whether a required signer made one.
pub(super) fn add(
    question: &PinQuestion,
    mirror: &Mirror,
    name: Option<&RepositoryName>,
    commit: &Commit,
    signers: &Signers,
    evidence: &mut PinEvidence,
) {
    let by_commit = of_commit(commit, signers);
    let by_tag = name.and_then(|name| of_tag(question, mirror, name, signers));
    let required = &question.required_signers;
    let meets = |signed: &Signed| matches!(signed, Signed::By(signer) if is_one(signer, required));
    if !required.is_empty() {
        let by = [Some(&by_commit), by_tag.as_ref()].into_iter().flatten().find(|by| meets(by));
        evidence.signature = match by {
            Some(Signed::By(signer)) => Answer::Proven(format!("signed by {}", shown(signer))),
            _ => lacking(required, &by_commit, by_tag.as_ref(), signers),
        };
    }
    evidence.signer = match by_tag {
        // A commit that says less than its tag.
        Some(tag) if !matches!(by_commit, Signed::By(_) | Signed::Bad { .. }) => tag,
        Some(tag @ Signed::Bad { .. }) => tag,
        _ => by_commit,
    };
    if let Some(base) = question.base_rev
        && let Ok(base) = commit_at(&mirror.repository, base)
    {
        evidence.base_signer = of_commit(&base, signers);
    }
}

fn of_commit(commit: &Commit, signers: &Signers) -> Signed {
    match &commit.signature {
        None => Signed::Unsigned,
        Some(signature) => signers.verify(signature, commit.time),
    }
}

/// The signature of the annotated tag that `original.ref` names, if it leads
/// to the locked commit.
fn of_tag(
    question: &PinQuestion,
    mirror: &Mirror,
    name: &RepositoryName,
    signers: &Signers,
) -> Option<Signed> {
    let wanted = question.original_ref.as_deref()?;
    let full =
        if wanted.starts_with("refs/") { wanted.to_owned() } else { format!("refs/tags/{wanted}") };
    let tips = mirror.tips(name).ok()?;
    let tag = tips.tags.into_iter().find(|tag| tag.name == full)?;
    if Some(tag.commit) != question.locked.rev || tag.target == tag.commit {
        return None;
    }
    let Ok(Some(Object { kind: Kind::Tag, data })) =
        mirror.repository.object(tag.target, MAX_COMMIT)
    else {
        return None;
    };
    let parsed = Tag::parse(&data).ok()?;
    // A signed tag must be of this very commit and bear the name that it is
    // found under: one can be copied to another name, or wrapped by another tag.
    if Some(parsed.object) != question.locked.rev
        || full.strip_prefix("refs/tags/").map(str::as_bytes) != Some(parsed.name.as_slice())
    {
        let why = "the tag was made for another commit or under another name".to_owned();
        return Some(Signed::Unreadable { why });
    }
    let signature = parsed.signature?;
    Some(signers.verify(&signature, parsed.time.unwrap_or_default()))
}

/// Whether a signer is one of those required: by a name, a key, or the key's
/// last sixteen digits and more.
fn is_one(signer: &Signer, required: &[String]) -> bool {
    required.iter().any(|wanted| {
        let digits = wanted.replace(' ', "").to_ascii_lowercase();
        let by_key = signer.key == *wanted
            || (digits.len() >= 16
                && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
                && signer.key.ends_with(&digits));
        // `Name <address>` is also known by its address.
        let by_name = signer.names.iter().any(|name| {
            let address = name.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>'));
            name == wanted || address == Some(wanted.as_str())
        });
        by_key || by_name
    })
}

fn lacking(
    required: &[String],
    commit: &Signed,
    tag: Option<&Signed>,
    signers: &Signers,
) -> Answer {
    let expected = format!("a signature by {}", required.join(" or "));
    if signers.is_empty() {
        let detail = format!("{expected} is required, and no key was named to check it with");
        return Answer::unknown(Reason::NoReference, detail);
    }
    let mut found = words(commit);
    if let Some(tag) = tag {
        found = format!("{found}; its tag: {}", words(tag));
    }
    let unreadable = |signed: &Signed| matches!(signed, Signed::Unreadable { .. });
    if unreadable(commit) || tag.is_some_and(unreadable) {
        return Answer::unknown(Reason::Unsupported, format!("{expected} is required: {found}"));
    }
    Answer::Refuted {
        expected,
        found: found.clone(),
        detail: format!("no required signer signed the commit or its tag: {found}"),
    }
}

fn shown(signer: &Signer) -> String {
    match signer.names.first() {
        Some(name) => format!("{name} ({})", signer.key),
        None => signer.key.clone(),
    }
}

fn words(signed: &Signed) -> String {
    match signed {
        Signed::NotAsked | Signed::Unsigned => "not signed".to_owned(),
        Signed::By(signer) => format!("signed by {}", shown(signer)),
        Signed::UnknownKey { key } => format!("signed by the key {key}, which nobody named"),
        Signed::Void { signer, .. } => {
            format!("signed by {}, whose signature does not count", shown(signer))
        }
        Signed::Bad { key, .. } => format!("a bad signature in the name of {key}"),
        Signed::Unreadable { why } => why.clone(),
    }
}
