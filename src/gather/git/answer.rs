//! Answers to what is asked about pins, from clones of their repositories.
//!
//! What a commit is (its contents, time, ancestors, signature) follows from its
//! id, so any clone that has it will do. What is on the branches and tags of a
//! repository only a clone of that repository can tell, and only as of when it
//! was made: what it does not have is unknown, unless it was fetched in this
//! run or its branch is newer than the commit.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::content::{self, reason_of};
use super::mirrors::{Mirror, Mirrors, RevTrouble, Tips, name_of_source};
use super::{GitError, Kind, Object, Reference, Repository, signatures};
use crate::check::Reason;
use crate::check::lock::evidence::{Answer, PinEvidence, PinQuestion, PinSource};
use crate::check::signers::Signers;
use crate::nix::git::commit::Commit;
use crate::nix::git::date::utc;
use crate::nix::git::{ObjectId, RepositoryName};
use crate::report::progress::Phase;

/// Largest commit or tag read, in bytes; messages of some have a megabyte.
pub const MAX_COMMIT: u64 = 16 << 20;

/// References of others than branches and tags that are named in a finding.
const MAX_NAMED: usize = 3;

/// Answers all questions, in their order.
#[must_use]
pub fn answer_all(
    questions: &[PinQuestion],
    mirrors: &Mirrors,
    signers: &Signers,
    phase: &Phase,
) -> Vec<PinEvidence> {
    phase.grow(u64::try_from(questions.len()).unwrap_or(u64::MAX));
    let one = |question| {
        let evidence = answer(question, mirrors, signers);
        phase.advance(1);
        evidence
    };
    questions.iter().map(one).collect()
}

/// Answers one question. Signatures are looked at if a key is known or a
/// signer required.
#[must_use]
pub fn answer(question: &PinQuestion, mirrors: &Mirrors, signers: &Signers) -> PinEvidence {
    let mut evidence = PinEvidence::default();
    let Some(rev) = question.locked.rev else {
        if is_git(&question.source) {
            let detail = "the lock names no revision, so there is nothing to look for";
            evidence.exists = Answer::unknown(Reason::Unsupported, detail);
        }
        return evidence;
    };
    if let ObjectId::Sha256(_) = rev {
        let detail = format!("{} is a commit of a repository with SHA-256 ids", rev.short());
        evidence.exists = Answer::unknown(Reason::Unsupported, detail);
        return evidence;
    }
    let name = name_of_source(&question.source);
    let own: Vec<&Mirror> = name.iter().flat_map(|name| mirrors.of(name)).collect();
    let has = |mirror: &&&Mirror| matches!(mirror.repository.header(rev), Ok(Some(_)));
    let holder = own.iter().find(has).copied();
    let Some(holder) = holder.or_else(|| mirrors.with(rev).next()) else {
        if is_git(&question.source) {
            evidence.exists = absent(rev, name.as_ref(), &own, mirrors);
            evidence.fresh = own.iter().any(|mirror| mirror.is_fresh());
        }
        return evidence;
    };
    let repository = &holder.repository;
    evidence.repository = Some(repository.path().display().to_string());
    evidence.fresh = holder.is_fresh();
    let commit = match commit_at(repository, rev) {
        Ok(commit) => commit,
        Err(answer) => {
            evidence.exists = answer;
            return evidence;
        }
    };
    evidence.commit_time = Some(commit.time);
    evidence.exists = match &name {
        _ if own.iter().any(|mirror| std::ptr::eq(*mirror, holder)) => {
            Answer::Proven(format!("{} is a commit of it", rev.short()))
        }
        Some(name) if own.iter().any(|mirror| mirror.rev_trouble(rev).is_some()) => {
            absent(rev, Some(name), &own, mirrors)
        }
        Some(name) => Answer::unknown(
            Reason::NotInMirror,
            format!(
                "{} is in '{}', which is not known to be a clone of {name}; to say so: --mirror {name}=DIRECTORY",
                rev.short(),
                repository.path().display()
            ),
        ),
        None => Answer::NotAsked,
    };
    evidence.nar_hash = content::nar_hash(repository, rev, commit.tree, &question.locked);
    if let Answer::Unknown { .. } = &evidence.nar_hash
        && let Some(RevTrouble::Other(trouble)) = holder.rev_trouble(rev)
    {
        evidence.nar_hash = trouble.answer();
    }
    if name.is_none()
        && let Answer::Refuted { detail, .. } = &evidence.nar_hash
    {
        // An archive may hold other things than the repository.
        evidence.nar_hash = Answer::unknown(Reason::Unsupported, detail.clone());
    }
    evidence.last_modified = last_modified(question, &commit);
    evidence.rev_count = rev_count(question, repository, rev);
    descent(question, repository, rev, &mut evidence);
    if let Some(name) = &name
        && !own.is_empty()
    {
        on_branches(question, name, &own, rev, commit.time, &mut evidence);
    }
    if !signers.is_empty() || !question.required_signers.is_empty() {
        signatures::add(question, holder, name.as_ref(), &commit, signers, &mut evidence);
    }
    evidence
}

/// Whether git can be asked about it.
const fn is_git(source: &PinSource) -> bool {
    matches!(source, PinSource::Forge { .. } | PinSource::Git { .. })
}

/// No clone has the commit.
fn absent(
    rev: ObjectId,
    name: Option<&RepositoryName>,
    own: &[&Mirror],
    mirrors: &Mirrors,
) -> Answer {
    let Some(name) = name else {
        let detail = "its URL names no repository that could be asked";
        return Answer::unknown(Reason::Unsupported, detail);
    };
    match own.iter().find_map(|mirror| mirror.rev_trouble(rev)) {
        Some(RevTrouble::Other(trouble)) => return trouble.answer(),
        Some(RevTrouble::NotOurs(_)) => {
            return Answer::Refuted {
                expected: format!("a commit of {name}"),
                found: "nothing".to_owned(),
                detail: format!("{name} has no commit {rev}"),
            };
        }
        None => {}
    }
    if let Some(trouble) = mirrors.troubles.get(name) {
        return trouble.answer();
    }
    let Some(first) = own.first() else {
        let refused = mirrors.refused.first();
        let beside = refused.map(|error| format!(" ({error})")).unwrap_or_default();
        let detail = format!("no clone of {name} was named, and no other has the commit{beside}");
        return Answer::unknown(Reason::NotInMirror, detail);
    };
    let detail = format!(
        "'{}' does not have the commit {}: the clone is older, or the branch was rewritten, or the commit was never there",
        first.repository.path().display(),
        rev.short()
    );
    Answer::unknown(Reason::NotInMirror, detail)
}

/// The commit of that id, or why it is none.
pub(super) fn commit_at(repository: &Repository, rev: ObjectId) -> Result<Commit, Answer> {
    let object = repository
        .object(rev, MAX_COMMIT)
        .map_err(|error| Answer::unknown(reason_of(&error), error.to_string()))?;
    let (data, kind) = match object {
        Some(Object { kind: Kind::Commit, data }) => (data, "commit"),
        Some(Object { kind: Kind::Tag, data }) => (data, "annotated tag"),
        Some(Object { kind: Kind::Tree, data }) => (data, "tree"),
        Some(Object { kind: Kind::Blob, data }) => (data, "blob"),
        None => return Err(Answer::unknown(Reason::NotInMirror, "the commit is not there")),
    };
    if kind != "commit" {
        return Err(Answer::Refuted {
            expected: "a commit".to_owned(),
            found: format!("a {kind}"),
            detail: format!("rev names a {kind}, not a commit"),
        });
    }
    Commit::parse(&data).map_err(|error| {
        let detail = format!("the commit {} cannot be read: {error}", rev.short());
        Answer::unknown(Reason::Unsupported, detail)
    })
}

fn last_modified(question: &PinQuestion, commit: &Commit) -> Answer {
    let by_git = matches!(question.source, PinSource::Forge { .. } | PinSource::Git { .. });
    let Some(claimed) = question.locked.last_modified.filter(|_| by_git) else {
        return Answer::NotAsked;
    };
    if claimed == commit.time {
        return Answer::Proven(format!("committed at {}", utc(commit.time)));
    }
    let distance = claimed.abs_diff(commit.time);
    let beside = if distance % 3600 == 0 && distance <= 14 * 3600 {
        ", off by whole hours as if from a time zone"
    } else {
        ""
    };
    Answer::Refuted {
        expected: format!("{claimed} ({})", utc(claimed)),
        found: format!("{} ({})", commit.time, utc(commit.time)),
        detail: format!("lastModified is not the time of the commit{beside}"),
    }
}

fn rev_count(question: &PinQuestion, repository: &Repository, rev: ObjectId) -> Answer {
    let Some(claimed) = question.locked.rev_count else { return Answer::NotAsked };
    if repository.is_shallow() {
        let detail = "the history of the clone is cut off, so commits cannot be counted";
        return Answer::unknown(Reason::NotInMirror, detail);
    }
    let mut count = 0_u64;
    let walked = repository.walk([rev], |_| {
        count = count.saturating_add(1);
        ControlFlow::Continue(())
    });
    match walked {
        Err(error) => Answer::unknown(reason_of(&error), error.to_string()),
        Ok(()) if count == claimed => Answer::Proven(format!("{count} commits")),
        Ok(()) => Answer::Refuted {
            expected: claimed.to_string(),
            found: count.to_string(),
            detail: "revCount is not the number of commits up to rev".to_owned(),
        },
    }
}

/// What became of the base's commit.
fn descent(
    question: &PinQuestion,
    repository: &Repository,
    rev: ObjectId,
    evidence: &mut PinEvidence,
) {
    let Some(base) = question.base_rev.filter(|base| *base != rev) else { return };
    if !matches!(repository.header(base), Ok(Some((Kind::Commit, _)))) {
        let detail = format!("the commit {} of the base is not in the clone", base.short());
        evidence.descends = Answer::unknown(Reason::NotInMirror, detail);
        return;
    }
    evidence.base_time = commit_at(repository, base).ok().map(|commit| commit.time);
    evidence.commits_between = repository.commits_between(base, rev).ok();
    evidence.descends = match repository.descends(rev, base) {
        Ok(true) => Answer::Proven(format!("{} descends from {}", rev.short(), base.short())),
        Ok(false) if repository.is_shallow() => Answer::unknown(
            Reason::NotInMirror,
            "the history of the clone is cut off before the base's commit",
        ),
        Ok(false) => {
            let back = repository.descends(base, rev).unwrap_or(false);
            Answer::Refuted {
                expected: format!("a descendant of {base}"),
                found: rev.to_string(),
                detail: if back {
                    format!(
                        "{} is older: the base's {} descends from it",
                        rev.short(),
                        base.short()
                    )
                } else {
                    format!("{} does not descend from the base's {}", rev.short(), base.short())
                },
            }
        }
        Err(error) => Answer::unknown(reason_of(&error), error.to_string()),
    };
}

/// Where the commit is on the branches and tags of its repository.
fn on_branches(
    question: &PinQuestion,
    name: &RepositoryName,
    own: &[&Mirror],
    rev: ObjectId,
    time: i64,
    evidence: &mut PinEvidence,
) {
    let wanted = question.original_ref.as_deref().or(question.locked.git_ref.as_deref());
    // It stands for whichever branch the server says.
    let wanted = wanted.filter(|wanted| *wanted != "HEAD");
    // What the server says now counts, whatever older clones say.
    let fresh: Vec<&Mirror> = own.iter().copied().filter(|mirror| mirror.is_fresh()).collect();
    let own = if fresh.is_empty() { own } else { &fresh };
    for mirror in own {
        if let Some(trouble) = mirror.history_trouble() {
            better(&mut evidence.reachable, trouble.answer());
            if wanted.is_some() {
                better(&mut evidence.on_ref, trouble.answer());
            }
            continue;
        }
        let place = match Place::read(mirror, name, rev, time) {
            Ok(place) => place,
            Err(error) => {
                let unknown = Answer::unknown(reason_of(&error), error.to_string());
                better(&mut evidence.reachable, unknown.clone());
                if wanted.is_some() {
                    better(&mut evidence.on_ref, unknown);
                }
                continue;
            }
        };
        if let Some(wanted) = wanted {
            let (on_ref, one_ref) = place.on(wanted);
            better(&mut evidence.on_ref, on_ref);
            // Two meanings in one clone are not mended by another.
            if !matches!(evidence.one_ref, Answer::Refuted { .. }) {
                evidence.one_ref = one_ref;
            }
        }
        let reachable = match &evidence.on_ref {
            Answer::Proven(detail) => Answer::Proven(detail.clone()),
            _ => place.anywhere(),
        };
        better(&mut evidence.reachable, reachable);
    }
}

/// Keeps the answer that says more: of several clones, one that has a commit
/// on a branch proves it, and a newer one refutes what an older does not know.
fn better(kept: &mut Answer, other: Answer) {
    const fn rank(answer: &Answer) -> u8 {
        match answer {
            Answer::NotAsked => 0,
            Answer::Unknown { .. } => 1,
            Answer::Refuted { .. } => 2,
            Answer::Proven(_) => 3,
        }
    }
    if rank(&other) > rank(kept) {
        *kept = other;
    }
}

/// A commit before the branches of its repository.
struct Place<'m> {
    mirror: &'m Mirror,
    name: &'m RepositoryName,
    tips: Tips,
    rev: ObjectId,
    time: i64,
}

impl<'m> Place<'m> {
    fn read(
        mirror: &'m Mirror,
        name: &'m RepositoryName,
        rev: ObjectId,
        time: i64,
    ) -> Result<Self, GitError> {
        Ok(Self { mirror, name, tips: mirror.tips(name)?, rev, time })
    }

    /// Whether the clone knows these tips at a time when they could have had
    /// the commit.
    fn is_newer(&self, tips: &[&Reference]) -> bool {
        self.mirror.is_fresh()
            || tips.iter().any(|tip| {
                commit_at(&self.mirror.repository, tip.commit)
                    .is_ok_and(|commit| commit.time >= self.time)
            })
    }

    fn shallow(&self) -> Option<Answer> {
        self.mirror.repository.is_shallow().then(|| {
            let detail = "the history of the clone is cut off, so branches cannot be followed";
            Answer::unknown(Reason::NotInMirror, detail)
        })
    }

    /// Whether the commit is on the branch or tag of that name, and whether
    /// there is one of that name only.
    fn on(&self, wanted: &str) -> (Answer, Answer) {
        let find = |list: &[Reference], prefix: &str| {
            let full = if wanted.starts_with("refs/") {
                wanted.to_owned()
            } else {
                format!("{prefix}{wanted}")
            };
            list.iter().find(|reference| reference.name == full).cloned()
        };
        let head = find(&self.tips.heads, "refs/heads/");
        let tag = find(&self.tips.tags, "refs/tags/");
        let one_ref = match (&head, &tag) {
            (Some(head), Some(tag)) if head.commit != tag.commit => Answer::Refuted {
                expected: format!("one meaning of '{wanted}'"),
                found: format!(
                    "the branch at {} and the tag at {}",
                    head.commit.short(),
                    tag.commit.short()
                ),
                detail: format!(
                    "'{wanted}' is both a branch and a tag of {}, and they lead to different commits",
                    self.name
                ),
            },
            (None, None) => Answer::NotAsked,
            _ => Answer::Proven(format!("'{wanted}' has one meaning")),
        };
        let on_ref = match (head, tag) {
            (Some(head), _) => self.on_branch(wanted, &head),
            (None, Some(tag)) if tag.commit == self.rev => {
                Answer::Proven(format!("the tag '{wanted}' leads to it"))
            }
            (None, Some(tag)) => Answer::Refuted {
                expected: format!("{} of the tag '{wanted}'", tag.commit),
                found: self.rev.to_string(),
                detail: format!("the tag '{wanted}' leads to another commit"),
            },
            (None, None) if find(&self.tips.unclear_tags, "refs/tags/").is_some() => {
                self.whose_tag(&format!("the tag '{wanted}'"))
            }
            (None, None) => self.on_other(wanted),
        };
        (on_ref, one_ref)
    }

    /// Other repositories are fetched into the clone, whose tags lie among ours.
    fn whose_tag(&self, tag: &str) -> Answer {
        let detail = format!(
            "the clone has remotes besides {}, so {tag} may be of another repository: name a clone without them",
            self.name
        );
        Answer::unknown(Reason::NotInMirror, detail)
    }

    fn on_branch(&self, wanted: &str, head: &Reference) -> Answer {
        match self.mirror.repository.descends(head.commit, self.rev) {
            Ok(true) => Answer::Proven(format!("on the branch '{wanted}'")),
            Err(error) => Answer::unknown(reason_of(&error), error.to_string()),
            Ok(false) => self.shallow().unwrap_or_else(|| {
                if !self.is_newer(&[head]) {
                    let detail = format!(
                        "the branch '{wanted}' of the clone ends before the commit was made"
                    );
                    return Answer::unknown(Reason::NotInMirror, detail);
                }
                Answer::Refuted {
                    expected: format!("a commit on '{wanted}', which is at {}", head.commit),
                    found: self.rev.to_string(),
                    detail: format!(
                        "the commit is not on the branch '{wanted}': it is from elsewhere, or the branch was rewritten"
                    ),
                }
            }),
        }
    }

    /// A name that is neither branch nor tag.
    fn on_other(&self, wanted: &str) -> Answer {
        if let Ok(id) = ObjectId::parse(wanted) {
            return if id == self.rev {
                Answer::Proven("named by its id".to_owned())
            } else {
                Answer::Refuted {
                    expected: id.to_string(),
                    found: self.rev.to_string(),
                    detail: "ref is the id of another commit".to_owned(),
                }
            };
        }
        let foreign = wanted.starts_with("refs/")
            && !["refs/heads/", "refs/tags/"].iter().any(|prefix| wanted.starts_with(prefix));
        if foreign {
            let detail =
                format!("'{wanted}' is neither a branch nor a tag, and others are not asked for");
            return Answer::unknown(Reason::Unsupported, detail);
        }
        if self.mirror.is_fresh() {
            return Answer::Refuted {
                expected: format!("a branch or tag '{wanted}'"),
                found: "none".to_owned(),
                detail: format!("{} has no branch and no tag '{wanted}'", self.name),
            };
        }
        let detail = format!("the clone has no branch and no tag '{wanted}' of {}", self.name);
        Answer::unknown(Reason::NotInMirror, detail)
    }

    /// Whether the commit is on any branch or tag.
    fn anywhere(&self) -> Answer {
        let repository = &self.mirror.repository;
        let tips: BTreeSet<ObjectId> =
            self.tips.heads.iter().chain(&self.tips.tags).map(|tip| tip.commit).collect();
        match reaches(repository, tips, self.rev) {
            Err(error) => Answer::unknown(reason_of(&error), error.to_string()),
            Ok(true) => Answer::Proven("on a branch or tag".to_owned()),
            Ok(false) => self.shallow().unwrap_or_else(|| self.nowhere()),
        }
    }

    /// Whether a tag leads to the commit that may be of another repository.
    fn on_unclear_tag(&self) -> bool {
        let tips = self.tips.unclear_tags.iter().map(|tag| tag.commit).collect();
        reaches(&self.mirror.repository, tips, self.rev).unwrap_or(true)
    }

    fn nowhere(&self) -> Answer {
        if self.on_unclear_tag() {
            return self.whose_tag("a tag that has the commit");
        }
        let heads: Vec<&Reference> = self.tips.heads.iter().collect();
        let others: BTreeSet<ObjectId> =
            self.tips.others.iter().map(|other| other.commit).collect();
        let in_others = reaches(&self.mirror.repository, others, self.rev).unwrap_or(false);
        let found = if in_others {
            format!("only in {}", self.others().join(", "))
        } else {
            "in no reference at all".to_owned()
        };
        if !self.is_newer(&heads) {
            let detail = format!(
                "the commit is {found}, but all branches of the clone end before it was made"
            );
            return Answer::unknown(Reason::NotInMirror, detail);
        }
        if !in_others && !self.mirror.is_fresh() {
            let detail = "the clone has the commit on no branch, no tag and no other reference: its branch was rewritten or removed, or it is from a fork";
            return Answer::unknown(Reason::NotInMirror, detail);
        }
        Answer::Refuted {
            expected: format!("a commit on a branch or tag of {}", self.name),
            found: found.clone(),
            detail: format!(
                "the commit is on no branch and no tag of {}, {found}: anybody can put such a commit there",
                self.name
            ),
        }
    }

    /// Some references other than branches and tags that have the commit.
    fn others(&self) -> Vec<String> {
        /// Each one takes a walk.
        const MOST_WALKS: usize = 200;
        let others = &self.tips.others;
        let mut names: Vec<String> = others
            .iter()
            .filter(|other| other.commit == self.rev)
            .take(MAX_NAMED)
            .map(|other| other.name.clone())
            .collect();
        if names.is_empty() {
            names = others
                .iter()
                .take(MOST_WALKS)
                .filter(|other| {
                    self.mirror.repository.descends(other.commit, self.rev).unwrap_or(false)
                })
                .take(MAX_NAMED)
                .map(|other| other.name.clone())
                .collect();
        }
        if names.is_empty() {
            names.push("references that are neither branches nor tags".to_owned());
        }
        names
    }
}

/// Whether `rev` is an ancestor of any of `tips` or one of them.
fn reaches(
    repository: &Repository,
    tips: BTreeSet<ObjectId>,
    rev: ObjectId,
) -> Result<bool, GitError> {
    if tips.contains(&rev) {
        return Ok(true);
    }
    if tips.is_empty() {
        return Ok(false);
    }
    let mut found = false;
    repository.walk(tips, |commit| {
        found = commit == rev;
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}
