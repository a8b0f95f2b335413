//! What a commit holds, as a list in the order of its NAR.

use std::collections::BTreeMap;

use super::{GitError, Kind, Object, Repository};
use crate::nix::git::ObjectId;
use crate::nix::git::tree::{self, Entry, EntryKind};
use crate::nix::nar::MAX_DEPTH;

/// Most entries of a snapshot; nixpkgs has 80,000, Linux 100,000. A few small
/// trees that name each other often can stand for billions.
const MAX_ENTRIES: usize = 4_000_000;

/// Most bytes of names together.
const MAX_NAMES: usize = 256 << 20;

/// Largest tree object, in bytes: a directory of a million files.
const MAX_TREE: u64 = 64 << 20;

/// Why a commit has no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// An object is not there, as in a partial clone.
    #[error("the tree {0} is not in the repository (a partial clone lacks some)")]
    Absent(ObjectId),
    /// A tree that breaks git's format.
    #[error("the tree {id} is malformed: {source}")]
    Malformed {
        /// The tree.
        id: ObjectId,
        /// What is wrong.
        source: tree::TreeError,
    },
    /// Too much of something.
    #[error("the tree {id} has more than {max} {what}")]
    TooLarge {
        /// The root.
        id: ObjectId,
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// One step through a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a directory; [`Step::Leave`] ends it.
    Enter,
    /// Out of the directory entered last.
    Leave,
    /// A file.
    File {
        /// Whether it may be executed.
        executable: bool,
        /// Its contents.
        blob: ObjectId,
    },
    /// A symlink.
    Symlink {
        /// Its target.
        blob: ObjectId,
    },
    /// A submodule, which git leaves as an empty directory.
    Submodule,
}

/// A step and the name that it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name in its directory; empty for the root and for leaving.
    pub name: Box<[u8]>,
    /// The step.
    pub step: Step,
}

/// All steps through the tree of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The steps; the first enters the root, the last leaves it.
    pub items: Vec<Item>,
    /// The `.gitattributes` of directories, by the index of their entering.
    pub attributes: BTreeMap<usize, ObjectId>,
    /// How many submodules it has.
    pub submodules: usize,
}

impl Snapshot {
    /// Reads all trees below `root`.
    ///
    /// # Errors
    /// A tree that is absent or malformed, or too many entries.
    pub fn read(repository: &Repository, root: ObjectId) -> Result<Self, SnapshotError> {
        let mut snapshot = Self::default();
        let too_large = |what, max| SnapshotError::TooLarge { id: root, what, max };
        let enter = |name: Vec<u8>| Item { name: name.into(), step: Step::Enter };
        let mut names = 0_usize;
        let mut open = vec![directory(repository, root)?.into_iter()];
        snapshot.items.push(enter(Vec::new()));
        snapshot.note_attributes(open.last().map_or(&[], |entries| entries.as_slice()));
        while let Some(entries) = open.last_mut() {
            let Some(Entry { name, kind, id }) = entries.next() else {
                open.pop();
                snapshot.items.push(Item { name: Box::default(), step: Step::Leave });
                continue;
            };
            names = names.saturating_add(name.len());
            if snapshot.items.len() >= MAX_ENTRIES {
                return Err(too_large("entries", MAX_ENTRIES));
            }
            if names > MAX_NAMES {
                return Err(too_large("bytes of names", MAX_NAMES));
            }
            let step = match kind {
                EntryKind::Tree => {
                    if open.len() >= MAX_DEPTH {
                        return Err(too_large("nested directories", MAX_DEPTH));
                    }
                    let entries = directory(repository, id)?;
                    snapshot.items.push(enter(name));
                    snapshot.note_attributes(&entries);
                    open.push(entries.into_iter());
                    continue;
                }
                EntryKind::File { executable } => Step::File { executable, blob: id },
                EntryKind::Symlink => Step::Symlink { blob: id },
                EntryKind::Submodule => {
                    snapshot.submodules += 1;
                    Step::Submodule
                }
            };
            snapshot.items.push(Item { name: name.into(), step });
        }
        Ok(snapshot)
    }

    /// Notes the attributes of the directory entered last.
    fn note_attributes(&mut self, entries: &[Entry]) {
        let file = entries.iter().find(|entry| entry.name == b".gitattributes");
        // Git does not follow a symlink of that name.
        if let Some(Entry { kind: EntryKind::File { .. }, id, .. }) = file {
            self.attributes.insert(self.items.len().saturating_sub(1), *id);
        }
    }

    /// How many files and symlinks it has.
    #[must_use]
    pub fn files(&self) -> usize {
        let is_file = |item: &&Item| matches!(item.step, Step::File { .. } | Step::Symlink { .. });
        self.items.iter().filter(is_file).count()
    }
}

fn directory(repository: &Repository, id: ObjectId) -> Result<Vec<Entry>, SnapshotError> {
    match repository.object(id, MAX_TREE)? {
        Some(Object { kind: Kind::Tree, data }) => {
            tree::parse(&data).map_err(|source| SnapshotError::Malformed { id, source })
        }
        _ => Err(SnapshotError::Absent(id)),
    }
}
