//! Why a text is no derivation, and at which byte.

use super::super::hash::HashError;
use super::super::store_path::{NameError, StorePathError};
use super::aterm::{MAX_DRV_LEN, MAX_ITEMS};

/// A `.drv` text that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad derivation at byte {offset}: {defect}")]
pub struct DerivationError {
    /// Where the defect begins, counted from the first byte of the text.
    pub offset: usize,
    /// What is wrong there.
    pub defect: Defect,
}

/// What is wrong with a `.drv` text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Longer than any derivation may be.
    #[error("the text has {0} bytes (at most {MAX_DRV_LEN} are read)")]
    TooLong(usize),
    /// Lists with more items than any derivation has.
    #[error("the list of {0} makes more than {MAX_ITEMS} items in all lists")]
    TooManyItems(&'static str),
    /// The text stops in the middle.
    #[error("the text ends where {0} is expected (it was cut off)")]
    Ended(&'static str),
    /// Another byte than the grammar allows.
    #[error("found byte {found:#04x} where {expected} is expected")]
    Unexpected {
        /// The byte found.
        found: u8,
        /// What may stand there.
        expected: &'static str,
    },
    /// Bytes behind the closing parenthesis.
    #[error("{0} bytes follow the end of the derivation (expected none, not even a newline)")]
    Trailing(usize),
    /// The versioned form with inputs that are outputs of other inputs.
    #[error(
        "this is the versioned form 'DrvWithVersion' of the experimental dynamic derivations, \
         which is unsupported (expected 'Derive(')"
    )]
    DynamicDerivation,
    /// A backslash before a byte that needs none.
    #[error("needless escape '\\' before byte {0:#04x} (Nix would write the byte alone)")]
    NeedlessEscape(u8),
    /// A newline, carriage return or tab that stands raw in a string.
    #[error("raw byte {0:#04x} in a string (Nix writes it as an escape)")]
    MissingEscape(u8),
    /// A backslash in a field that Nix writes without escapes.
    #[error("backslash in {0}, which is written without escapes")]
    EscapeInPlain(&'static str),
    /// A list whose items do not strictly ascend.
    #[error("the list of {list} is not sorted: {found} stands after {previous}")]
    Unsorted {
        /// Which list.
        list: &'static str,
        /// The item found.
        found: String,
        /// The item before it.
        previous: String,
    },
    /// The same item twice.
    #[error("{found} stands twice in the list of {list}")]
    Doubled {
        /// Which list.
        list: &'static str,
        /// The item found.
        found: String,
    },
    /// A store path that is none.
    #[error("bad path among the {list}: {source}")]
    Path {
        /// Where it stands.
        list: &'static str,
        /// What is wrong with it.
        source: StorePathError,
    },
    /// An input derivation whose path does not end in `.drv`.
    #[error("the input derivation '{0}' is no '.drv' file")]
    NotDrv(String),
    /// An input derivation of which nothing is used.
    #[error("the input derivation '{0}' names no outputs (expected at least one)")]
    NoInputOutputs(String),
    /// A field that must be text.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// An output name that cannot end a store path's name.
    #[error("bad output name {name}: {source}")]
    OutputName {
        /// The name found.
        name: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// An ingestion method Nix knows only as an experiment.
    #[error("the output method '{0}' is experimental and unsupported (expected '' or 'r:')")]
    UnsupportedMethod(String),
    /// An unknown hash algorithm, or a hash that is none.
    #[error("bad output hash: {0}")]
    Hash(#[source] HashError),
    /// A hash that is not lower-case base16.
    #[error("the output hash is not lower-case base16")]
    HashNotBase16,
    /// A fixed output without a path.
    #[error("the fixed output '{0}' has no path")]
    FixedWithoutPath(String),
    /// A path where the kind of output knows none.
    #[error("the output '{0}' has a path, yet its hash is not known before the build")]
    FloatingWithPath(String),
    /// A hash without an algorithm.
    #[error("the output '{0}' has a hash but no hash algorithm")]
    HashWithoutAlgorithm(String),
    /// A derivation of nothing.
    #[error("the derivation has no outputs (expected at least one)")]
    NoOutputs,
    /// Outputs that may not stand together.
    #[error("output '{name}' is {found}, the others are {expected}: kinds may not be mixed")]
    MixedKinds {
        /// The first output that differs.
        name: String,
        /// Its kind.
        found: super::Kind,
        /// The kind of the outputs before it.
        expected: super::Kind,
    },
    /// A fixed output that is not the only one or not called `out`.
    #[error("a fixed output must be the only one and called 'out', found '{0}'")]
    FixedNotOut(String),
    /// Floating outputs with different algorithms.
    #[error("floating output '{0}' uses another hash algorithm than the others")]
    MixedAlgorithms(String),
}

impl DerivationError {
    /// Whether the text is one that Nix knows as an experiment, rather than
    /// none at all: then nothing is wrong with it, but that it is unsupported.
    #[must_use]
    pub const fn is_experimental(&self) -> bool {
        matches!(self.defect, Defect::DynamicDerivation | Defect::UnsupportedMethod(_))
    }

    /// Joins an offset and a defect.
    pub(super) const fn new(offset: usize, defect: Defect) -> Self {
        Self { offset, defect }
    }
}

/// Hostile bytes as printable ASCII, cut short.
pub(super) fn printable(bytes: &[u8]) -> String {
    /// Enough to recognise any store path.
    const MAX_SHOWN: usize = 256;
    let cut = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
    let dots = if cut.len() < bytes.len() { "..." } else { "" };
    format!("{}{dots}", cut.escape_ascii())
}

/// The same in quotes.
pub(super) fn shown(bytes: &[u8]) -> String {
    format!("'{}'", printable(bytes))
}
