//! Whether a `narHash` is that of what a commit holds.
//!
//! Nix gets a commit in more than one way: from git itself, or as an archive
//! that a forge made with `git archive`, which leaves out what the attribute
//! `export-ignore` names. A hash that equals one of these is proven, for it can
//! come from nothing else. One that equals none is refuted only if nothing in
//! the commit could give other bytes yet: submodules, Git LFS and attributes
//! that rewrite contents make it unknown.

use std::collections::BTreeSet;

use super::nar::{SnapshotNarError, hash};
use super::snapshot::{Item, Snapshot, SnapshotError, Step};
use super::{GitError, Kind, Object, Repository};
use crate::check::Reason;
use crate::check::lock::evidence::{Answer, LockedFacts};
use crate::nix::git::ObjectId;
use crate::nix::git::attributes::{self, Attributes, Effects};
use crate::nix::hash::NarHash;

/// Largest file that is searched for `$Format:`.
const MAX_SUBSTITUTED: u64 = 16 << 20;

/// Most patterns tried against paths; each may take a microsecond.
const MAX_COMPARISONS: usize = 50_000_000;

/// Compares `narHash` with what the tree of a commit gives.
#[must_use]
pub fn nar_hash(
    repository: &Repository,
    rev: ObjectId,
    tree: ObjectId,
    locked: &LockedFacts,
) -> Answer {
    let Some(claimed) = locked.nar_hash else { return Answer::NotAsked };
    match compare(repository, rev, tree, locked, claimed) {
        Ok(answer) => answer,
        Err(failure) => failure.into_answer(),
    }
}

fn compare(
    repository: &Repository,
    rev: ObjectId,
    tree: ObjectId,
    locked: &LockedFacts,
    claimed: NarHash,
) -> Result<Answer, Failure> {
    let snapshot = Snapshot::read(repository, tree)?;
    if locked.submodules && snapshot.submodules > 0 {
        let detail = format!(
            "{} was fetched with its {}, whose contents are in other repositories",
            rev.short(),
            plural(snapshot.submodules, "submodule")
        );
        return Ok(Answer::unknown(Reason::Unsupported, detail));
    }
    let (found, _) = hash(repository, &snapshot, &|_| false)?;
    let files = plural(snapshot.files(), "file");
    if found == claimed {
        return Ok(Answer::Proven(format!(
            "the {files} of {} have this hash, computed from the git objects",
            rev.short()
        )));
    }
    let effects = effects(repository, &snapshot)?;
    if effects.ignored.iter().any(|ignored| *ignored) {
        let ignored = |index: usize| effects.ignored.get(index).copied().unwrap_or(false);
        let mut archive = hash(repository, &snapshot, &ignored)?.0 == claimed;
        if !archive {
            // `git archive` also leaves out directories that it finds no file in.
            let emptied = emptied(&snapshot, &effects.ignored);
            let pruned = |index: usize| emptied.get(index).copied().unwrap_or(false);
            archive =
                emptied != effects.ignored && hash(repository, &snapshot, &pruned)?.0 == claimed;
        }
        if archive {
            return Ok(Answer::Proven(format!(
                "the files of {} have this hash without those that archives leave out (export-ignore), computed from the git objects",
                rev.short()
            )));
        }
    }
    let mut doubts: Vec<String> = effects.doubts.into_iter().collect();
    if snapshot.submodules > 0 {
        doubts.push(format!(
            "it has {}, whose contents are in other repositories",
            plural(snapshot.submodules, "submodule")
        ));
    }
    if !doubts.is_empty() {
        let detail = format!(
            "the plain files of {} have the hash {}, which is another, but {}",
            rev.short(),
            found.hash().sri(),
            doubts.join("; ")
        );
        return Ok(Answer::unknown(Reason::Unsupported, detail));
    }
    Ok(Answer::Refuted {
        expected: claimed.hash().sri(),
        found: found.hash().sri(),
        detail: format!(
            "narHash is not the hash of what the commit {} holds ({files}, computed from the git objects)",
            rev.short()
        ),
    })
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Why there is nothing to compare with.
enum Failure {
    Snapshot(SnapshotError),
    Nar(SnapshotNarError),
    Attributes,
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl From<SnapshotNarError> for Failure {
    fn from(error: SnapshotNarError) -> Self {
        Self::Nar(error)
    }
}

impl Failure {
    fn into_answer(self) -> Answer {
        let (reason, detail) = match self {
            Self::Snapshot(error) => {
                let reason = match &error {
                    SnapshotError::Git(error) => reason_of(error),
                    SnapshotError::Absent(_) => Reason::NotInMirror,
                    SnapshotError::Malformed { .. } => Reason::Unsupported,
                    SnapshotError::TooLarge { .. } => Reason::TooLarge,
                };
                (reason, error.to_string())
            }
            Self::Nar(error) => {
                let reason = match &error {
                    SnapshotNarError::Git(error) => reason_of(error),
                    SnapshotNarError::Absent(_) => Reason::NotInMirror,
                    SnapshotNarError::Nar(_) => Reason::Unsupported,
                    SnapshotNarError::TooLarge => Reason::TooLarge,
                    SnapshotNarError::Thread => Reason::Environment,
                };
                (reason, error.to_string())
            }
            Self::Attributes => (
                Reason::TooLarge,
                "its .gitattributes files have too many or too intricate patterns".to_owned(),
            ),
        };
        Answer::unknown(reason, detail)
    }
}

/// The reason that an error of a repository stands for.
#[must_use]
pub const fn reason_of(error: &GitError) -> Reason {
    match error {
        GitError::Sha256(_) => Reason::Unsupported,
        GitError::NotFound(_) | GitError::Damaged(_) | GitError::Failed { .. } => {
            Reason::NotInMirror
        }
        GitError::Owner(_) => Reason::Environment,
        GitError::TooLarge { .. } | GitError::References(_) => Reason::TooLarge,
    }
}

/// What the attributes of a commit do to its files.
struct AllEffects {
    /// Which items archives leave out, by their index.
    ignored: Vec<bool>,
    /// What else could make Nix see other bytes.
    doubts: BTreeSet<String>,
}

fn effects(repository: &Repository, snapshot: &Snapshot) -> Result<AllEffects, Failure> {
    let mut all =
        AllEffects { ignored: vec![false; snapshot.items.len()], doubts: BTreeSet::new() };
    if snapshot.attributes.is_empty() {
        return Ok(all);
    }
    let mut attributes = Attributes::new();
    let mut path: Vec<u8> = Vec::new();
    // For each open directory: the length of its path, and whether its
    // attributes were added.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut comparisons = 0_usize;
    for (index, Item { name, step }) in snapshot.items.iter().enumerate() {
        if *step == Step::Leave {
            if let Some((length, added)) = open.pop() {
                path.truncate(length);
                if added {
                    attributes.pop();
                }
            }
            continue;
        }
        let length = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if index > 0 && !attributes.is_empty() {
            comparisons = comparisons.saturating_add(attributes.lines());
            if comparisons > MAX_COMPARISONS {
                return Err(Failure::Attributes);
            }
            let directory = matches!(step, Step::Enter | Step::Submodule);
            let effects = attributes.of(&path, directory).ok_or(Failure::Attributes)?;
            if let Some(slot) = all.ignored.get_mut(index) {
                *slot = effects.export_ignore;
            }
            if let Step::File { blob, .. } = step {
                doubt(repository, &path, *blob, &effects, &mut all.doubts)?;
            }
        }
        if *step == Step::Enter {
            let file = snapshot.attributes.get(&index);
            if let Some(file) = file {
                match repository.object(*file, attributes::MAX_FILE) {
                    Ok(Some(Object { kind: Kind::Blob, data })) => attributes.push(&path, &data),
                    Ok(_) => return Err(SnapshotNarError::Absent(*file).into()),
                    Err(error) => return Err(SnapshotNarError::Git(error).into()),
                }
            }
            open.push((length, file.is_some()));
        } else {
            path.truncate(length);
        }
    }
    Ok(all)
}

fn doubt(
    repository: &Repository,
    path: &[u8],
    blob: ObjectId,
    effects: &Effects,
    doubts: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    /// One example of each kind says enough.
    const EXAMPLES: usize = 4;
    if doubts.len() >= EXAMPLES {
        return Ok(());
    }
    let name = String::from_utf8_lossy(path);
    let add = |doubts: &mut BTreeSet<String>, kind: &str, words: String| {
        if !doubts.iter().any(|doubt| doubt.contains(kind)) {
            doubts.insert(words);
        }
    };
    if effects.lfs {
        add(doubts, "Git LFS", format!("'{name}' is kept outside by Git LFS"));
    } else if let Some(attribute) = effects.rewritten {
        let kind = format!("the attribute '{attribute}'");
        add(doubts, &kind, format!("{kind} rewrites '{name}'"));
    }
    if effects.export_subst && !effects.export_ignore {
        let substituted = match repository.object(blob, MAX_SUBSTITUTED) {
            Ok(Some(object)) => object.data.windows(8).any(|part| part == b"$Format:"),
            Ok(None) => return Err(SnapshotNarError::Absent(blob).into()),
            // Too large to be searched.
            Err(_) => true,
        };
        if substituted {
            let words = format!("archives fill in '{name}' (export-subst)");
            add(doubts, "export-subst", words);
        }
    }
    Ok(())
}

/// As `ignored`, and also the directories that `git archive` does not write:
/// it writes one when it comes to a first file in it or below, even if it then
/// leaves that file out, and does not look into directories that it leaves out.
fn emptied(snapshot: &Snapshot, ignored: &[bool]) -> Vec<bool> {
    let mut all = ignored.to_vec();
    // For each open directory: its index and whether anything in it is kept.
    let mut open: Vec<(usize, bool)> = Vec::new();
    for (index, item) in snapshot.items.iter().enumerate() {
        match item.step {
            Step::Enter => open.push((index, false)),
            Step::Leave => {
                let Some((entered, mut kept)) = open.pop() else { continue };
                kept &= !all.get(entered).copied().unwrap_or(false);
                if let Some(outer) = open.last_mut() {
                    outer.1 |= kept;
                    if let Some(slot) = all.get_mut(entered) {
                        *slot = !kept;
                    }
                }
            }
            Step::File { .. } | Step::Symlink { .. } | Step::Submodule => {
                if let Some(outer) = open.last_mut() {
                    outer.1 = true;
                }
            }
        }
    }
    all
}
