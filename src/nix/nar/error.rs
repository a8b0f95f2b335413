//! Why bytes are no NAR, or events make none.

use std::fmt;
use std::io;

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset} of the NAR: {kind}")]
pub struct NarError {
    /// Offset of the first byte that is wrong, or where input ended.
    pub offset: u64,
    /// What was found and what was expected.
    #[source]
    pub kind: NarErrorKind,
}

impl NarError {
    /// The failure of the source or sink, if it was that and not the NAR.
    #[must_use]
    pub const fn io_error(&self) -> Option<&io::Error> {
        match &self.kind {
            NarErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// What was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum NarErrorKind {
    /// The input ends too early.
    #[error("the input ends where {missing} more bytes of {expected} are expected")]
    Truncated {
        /// The part that is incomplete.
        expected: &'static str,
        /// How many of its bytes are missing.
        missing: u64,
    },
    /// Another word than the grammar allows here.
    #[error("found {found} where {expected} is expected")]
    Token {
        /// What stands there.
        found: Excerpt,
        /// The words that may stand there.
        expected: &'static str,
    },
    /// A string longer than its place allows.
    #[error("{what} of {found} bytes is longer than the {max} that are allowed")]
    TooLong {
        /// The part that is too long.
        what: &'static str,
        /// Its length as written.
        found: u64,
        /// The longest length allowed.
        max: u64,
    },
    /// Padding that is not zero.
    #[error("a padding byte is {0:#04x} (expected 0x00)")]
    Padding(u8),
    /// A name that may not stand in a directory.
    #[error("bad entry name {name}: {problem}")]
    Name {
        /// The name.
        name: Excerpt,
        /// The rule it breaks.
        problem: NameProblem,
    },
    /// Entries that do not ascend.
    #[error("entry {name} comes after {previous} (expected names ascending by bytes)")]
    Unsorted {
        /// The name before.
        previous: Excerpt,
        /// The name found.
        name: Excerpt,
    },
    /// The same name twice in one directory.
    #[error("entry {0} appears twice in one directory")]
    Duplicate(Excerpt),
    /// An empty target, or one that holds a NUL.
    #[error("bad symlink target {target}: {problem}")]
    Target {
        /// The target.
        target: Excerpt,
        /// The rule it breaks.
        problem: NameProblem,
    },
    /// Too many directories within each other.
    #[error("more than {} directories nest", super::MAX_DEPTH)]
    Depth,
    /// More entries than a listing holds.
    #[error("the NAR has more than {} entries (too many to list)", super::MAX_LISTED)]
    TooManyEntries,
    /// Something follows the archive.
    #[error("bytes follow the end of the archive (expected the end of the input)")]
    Trailing,
    /// An event that may not stand here; only from a writer.
    #[error("{found} cannot be written where {expected} is expected")]
    Event {
        /// The event that was to be written.
        found: &'static str,
        /// What may be written here.
        expected: &'static str,
    },
    /// The source or the sink failed.
    #[error("{0}")]
    Io(#[source] io::Error),
}

/// Why a name or a target is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// No byte at all.
    #[error("it is empty")]
    Empty,
    /// `.` or `..`.
    #[error("it names the directory itself or its parent")]
    Dots,
    /// A `/` in a name.
    #[error("'/' at offset {0}")]
    Slash(usize),
    /// A NUL.
    #[error("NUL at offset {0}")]
    Nul(usize),
    /// Too many bytes.
    #[error("it is longer than the format allows")]
    Long,
}

/// The beginning of some bytes, printed in quotes with everything that is not
/// printable ASCII escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Vec<u8>, usize);

/// Longest excerpt: enough for any sensible name.
const MAX_EXCERPT: usize = 120;

impl Excerpt {
    /// Takes the beginning of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let shown = bytes.get(..MAX_EXCERPT).unwrap_or(bytes);
        Self(shown.to_vec(), bytes.len())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())?;
        match self.1.saturating_sub(self.0.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more bytes"),
        }
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
