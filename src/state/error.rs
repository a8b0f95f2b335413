//! What can go wrong with the state directory.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the state directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused.
    #[error("could not {doing} '{}'", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk or the quota is full.
    #[error("no room is left to {doing} '{}'; what was finished is kept: free some space ('verify clean') and run the same command again", path.display())]
    NoSpace {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory belongs to somebody else.
    #[error("the state directory '{}' belongs to uid {owner}, but this process runs as uid {us}: name another with --state-dir", path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// The directory holds something else.
    #[error("'{}' is neither empty nor a state directory of verify: name another with --state-dir", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The layout is of another version.
    #[error("the state directory '{}' has layout '{found}' (expected '1'): remove it or name another with --state-dir", path.display())]
    Layout {
        /// The directory.
        path: PathBuf,
        /// The layout it names.
        found: String,
    },
    /// Something that would be removed is in use.
    #[error("the state directory '{}' is in use by another verify: wait for it to end and try again", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A record of ours does not read back.
    #[error("'{}' is damaged: {problem}; remove it and run again", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl StateError {
    /// That what was written to a room of the state directory did not get there.
    #[must_use]
    pub fn written(room: &Path, source: io::Error) -> Self {
        Self::io("write a file in", room, source)
    }

    /// What the system refused, a full disk told apart.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Self::NoSpace { doing, path, source }
            }
            _ => Self::Io { doing, path, source },
        }
    }
}
