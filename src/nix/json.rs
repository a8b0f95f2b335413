//! JSON, read strictly and with places: every value knows its byte offset,
//! and no key is lost when an object names one twice.
//!
//! Follows RFC 8259. Readers that keep only one of two equal keys disagree on
//! which, so a doubled key lets one file mean two things.
//! The reader does not recurse. Texts are borrowed from the file; only those
//! with escapes are copies.

mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use read::parse;

/// Longest text that is read. The longest genuine `flake.lock` known has some
/// hundred kilobytes.
pub const MAX_LEN: usize = 64 << 20;

/// Deepest nesting that is read. A `flake.lock` nests six levels.
pub const MAX_DEPTH: usize = 128;

/// Most values that are read: each takes some hundred bytes of memory, so that
/// a text full of tiny ones would be a bomb. A lock file with 100,000 nodes
/// has some 1.5 million.
pub const MAX_VALUES: usize = 4_000_000;

/// Most doubled keys that are named; the rest is counted.
pub const MAX_DUPLICATES: usize = 100;

/// A text that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<'t> {
    /// The value.
    pub root: Node<'t>,
    /// Keys that stand twice in one object.
    pub duplicates: Duplicates,
}

/// Keys that stand twice in one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// The first [`MAX_DUPLICATES`], in the order they were met.
    pub named: Vec<DuplicateKey>,
    /// How many there are in all.
    pub count: usize,
}

/// A stretch of bytes in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

impl Span {
    /// From `start` up to `end`.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'t> {
    /// Offset of its first byte.
    pub offset: usize,
    /// Offset behind its last byte.
    pub end: usize,
    /// What it is.
    pub value: Value<'t>,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(&'t str),
    /// A string, its escapes resolved.
    String(Cow<'t, str>),
    /// The items.
    Array(Vec<Node<'t>>),
    /// The members as they stand, doubled keys included.
    Object(Vec<Member<'t>>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'t> {
    /// Its key.
    pub key: Cow<'t, str>,
    /// Offset of the key's opening quote.
    pub offset: usize,
    /// Offset behind the key's closing quote.
    pub key_end: usize,
    /// Its value.
    pub value: Node<'t>,
}

/// A key that stands twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuplicateKey {
    /// The keys and indices that lead to the object.
    pub path: Vec<String>,
    /// The key.
    pub key: String,
    /// Where it stands first.
    pub first: usize,
    /// Where it stands again.
    pub again: usize,
}

/// Why a text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {defect}")]
pub struct JsonError {
    /// Where.
    pub offset: usize,
    /// What.
    pub defect: Defect,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Too long.
    #[error("the text has {0} bytes (at most {MAX_LEN} are read)")]
    TooLong(usize),
    /// Too deep.
    #[error("more than {MAX_DEPTH} levels nest")]
    TooDeep,
    /// Too many values.
    #[error("the text holds more than {MAX_VALUES} values")]
    TooMany,
    /// No UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// The text stops in the middle.
    #[error("the text ends where {0} is expected")]
    Ended(&'static str),
    /// Something else than the grammar allows.
    #[error("found {found} where {expected} is expected")]
    Unexpected {
        /// What stands there.
        found: Shown,
        /// What may stand there.
        expected: &'static str,
    },
    /// A control character inside a string.
    #[error("control character {0:#04x} in a string (expected an escape)")]
    Control(u8),
    /// A backslash before something that cannot be escaped.
    #[error("bad escape in a string")]
    Escape,
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair in a string")]
    Surrogate,
    /// A number that breaks the grammar.
    #[error("bad number")]
    Number,
}

/// A byte as it is shown in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() {
            write!(f, "'{}'", char::from(self.0))
        } else {
            write!(f, "byte {:#04x}", self.0)
        }
    }
}

impl<'t> Node<'t> {
    /// The members, if it is an object.
    #[must_use]
    pub fn members(&self) -> Option<&[Member<'t>]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value of a key, if it is an object that has it; of two the last, as
    /// Nix reads it.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Self> {
        self.members()?.iter().rev().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn string(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span::new(self.offset, self.end)
    }

    /// What it is, in a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

impl Member<'_> {
    /// Where its key stands.
    #[must_use]
    pub const fn key_span(&self) -> Span {
        Span::new(self.offset, self.key_end)
    }
}
