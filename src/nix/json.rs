//! JSON, read strictly and with places: every value knows its byte offset,
//! and no key is lost when an object names one twice.
//!
//! Follows RFC 8259. Readers that keep only one of two equal keys disagree on
//! which, so a doubled key lets one file mean two things.
//! The reader does not recurse.

use std::collections::HashMap;
use std::fmt;

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
pub struct Document {
    /// The value.
    pub root: Node,
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
pub struct Node {
    /// Offset of its first byte.
    pub offset: usize,
    /// Offset behind its last byte.
    pub end: usize,
    /// What it is.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string, its escapes resolved.
    String(String),
    /// The items.
    Array(Vec<Node>),
    /// The members as they stand, doubled keys included.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// Offset of the key's opening quote.
    pub offset: usize,
    /// Offset behind the key's closing quote.
    pub key_end: usize,
    /// Its value.
    pub value: Node,
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

impl Node {
    /// The members, if it is an object.
    #[must_use]
    pub fn members(&self) -> Option<&[Member]> {
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

impl Member {
    /// Where its key stands.
    #[must_use]
    pub const fn key_span(&self) -> Span {
        Span::new(self.offset, self.key_end)
    }
}

/// Reads a whole text.
///
/// # Errors
/// The first byte that breaks the grammar or a bound.
pub fn parse(bytes: &[u8]) -> Result<Document, JsonError> {
    let fail = |offset, defect| Err(JsonError { offset, defect });
    if bytes.len() > MAX_LEN {
        return fail(MAX_LEN, Defect::TooLong(bytes.len()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return fail(error.valid_up_to(), Defect::NotUtf8),
    };
    let mut reader = Reader { text, at: 0 };
    let mut duplicates = Duplicates::default();
    let root = reader.document(&mut duplicates)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(Document { root, duplicates }),
        Some(byte) => fail(
            reader.at,
            Defect::Unexpected { found: Shown(byte), expected: "the end of the text" },
        ),
    }
}

/// An array or object under way.
struct Frame {
    offset: usize,
    inside: Inside,
}

enum Inside {
    Array(Vec<Node>),
    Object { members: Vec<Member>, seen: Seen, key: Key },
}

/// A key with where it begins and ends.
#[derive(Default)]
struct Key {
    name: String,
    offset: usize,
    end: usize,
}

/// Members up to which an object is searched for a doubled key one by one;
/// most objects of a lock are this small, and a table for each costs more.
const FEW: usize = 12;

/// Where the keys of an object under way were met first, once it has more
/// than [`FEW`].
#[derive(Default)]
struct Seen(HashMap<String, usize>);

impl Seen {
    /// Where `key` stood before, if it did.
    fn first(&mut self, key: &Key, members: &[Member]) -> Option<usize> {
        if members.len() <= FEW {
            return members.iter().find(|one| one.key == key.name).map(|one| one.offset);
        }
        if self.0.is_empty() {
            for member in members {
                self.0.entry(member.key.clone()).or_insert(member.offset);
            }
        }
        match self.0.get(&key.name) {
            Some(first) => Some(*first),
            None => {
                self.0.insert(key.name.clone(), key.offset);
                None
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    const fn error(&self, defect: Defect) -> JsonError {
        JsonError { offset: self.at, defect }
    }

    fn unexpected(&self, expected: &'static str) -> JsonError {
        self.error(match self.peek() {
            Some(found) => Defect::Unexpected { found: Shown(found), expected },
            None => Defect::Ended(expected),
        })
    }

    fn document(&mut self, duplicates: &mut Duplicates) -> Result<Node, JsonError> {
        let mut open: Vec<Frame> = Vec::new();
        let mut values = 0_usize;
        loop {
            self.blanks();
            let offset = self.at;
            values += 1;
            if values > MAX_VALUES {
                return Err(self.error(Defect::TooMany));
            }
            let mut done = match self.peek() {
                Some(bracket @ (b'[' | b'{')) => {
                    if open.len() >= MAX_DEPTH {
                        return Err(self.error(Defect::TooDeep));
                    }
                    self.at += 1;
                    self.blanks();
                    let empty = if bracket == b'[' { b']' } else { b'}' };
                    if self.peek() == Some(empty) {
                        self.at += 1;
                        let value = if bracket == b'[' {
                            Value::Array(Vec::new())
                        } else {
                            Value::Object(Vec::new())
                        };
                        Node { offset, end: self.at, value }
                    } else if bracket == b'[' {
                        open.push(Frame { offset, inside: Inside::Array(Vec::new()) });
                        continue;
                    } else {
                        let key = self.key()?;
                        let inside =
                            Inside::Object { members: Vec::new(), seen: Seen::default(), key };
                        open.push(Frame { offset, inside });
                        continue;
                    }
                }
                _ => {
                    let value = self.scalar()?;
                    Node { offset, end: self.at, value }
                }
            };
            // A finished value goes into what encloses it, which may be
            // finished by that in turn.
            loop {
                let Some(frame) = open.last_mut() else { return Ok(done) };
                self.blanks();
                let more = match (&frame.inside, self.peek()) {
                    (_, Some(b',')) => true,
                    (Inside::Array(_), Some(b']')) | (Inside::Object { .. }, Some(b'}')) => false,
                    (Inside::Array(_), _) => return Err(self.unexpected("',' or ']'")),
                    (Inside::Object { .. }, _) => return Err(self.unexpected("',' or '}'")),
                };
                self.at += 1;
                let mut doubled = None;
                match &mut frame.inside {
                    Inside::Array(items) => items.push(done),
                    Inside::Object { members, seen, key } => {
                        let Key { name, offset, end } = std::mem::take(key);
                        members.push(Member { key: name, offset, key_end: end, value: done });
                        if more {
                            self.blanks();
                            *key = self.key()?;
                            if let Some(first) = seen.first(key, members) {
                                doubled = Some((key.name.clone(), first, key.offset));
                            }
                        }
                    }
                }
                if let Some((key, first, again)) = doubled {
                    duplicates.count += 1;
                    if duplicates.named.len() < MAX_DUPLICATES {
                        let path = path_of(&open);
                        duplicates.named.push(DuplicateKey { path, key, first, again });
                    }
                }
                if more {
                    break;
                }
                let Some(Frame { offset, inside }) = open.pop() else {
                    return Err(self.unexpected("the end of the text"));
                };
                done = match inside {
                    Inside::Array(items) => {
                        Node { offset, end: self.at, value: Value::Array(items) }
                    }
                    Inside::Object { members, .. } => {
                        Node { offset, end: self.at, value: Value::Object(members) }
                    }
                };
            }
        }
    }

    /// A key with its colon.
    fn key(&mut self) -> Result<Key, JsonError> {
        let offset = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let name = self.string()?;
        let end = self.at;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("':'"));
        }
        self.at += 1;
        Ok(Key { name, offset, end })
    }

    fn scalar(&mut self) -> Result<Value, JsonError> {
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let bad = JsonError { offset: start, defect: Defect::Number };
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while let Some(b'0'..=b'9') = reader.peek() {
                reader.at += 1;
            }
            reader.at - from
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = digits(self);
        if whole == 0 || (zero && whole > 1) {
            return Err(bad);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err(bad);
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if digits(self) == 0 {
                return Err(bad);
            }
        }
        Ok(Value::Number(self.text.get(start..self.at).unwrap_or_default().to_owned()))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .unwrap_or(rest.len());
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(byte) => return Err(self.error(Defect::Control(byte))),
                None => return Err(self.error(Defect::Ended("the closing quote of a string"))),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let bad = JsonError { offset: start, defect: Defect::Escape };
        let letter = self.text.as_bytes().get(start + 1).copied();
        self.at += 2;
        Ok(match letter {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let lone = JsonError { offset: start, defect: Defect::Surrogate };
                let first = self.hex4().ok_or_else(|| bad.clone())?;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) {
                    if !self.rest().starts_with("\\u") {
                        return Err(lone);
                    }
                    self.at += 2;
                    units.push(self.hex4().ok_or(bad)?);
                }
                match char::decode_utf16(units).collect::<Result<Vec<_>, _>>().as_deref() {
                    Ok([character]) => *character,
                    _ => return Err(lone),
                }
            }
            _ => return Err(bad),
        })
    }

    fn hex4(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }
}

/// The keys and indices that lead into the innermost open object.
fn path_of(open: &[Frame]) -> Vec<String> {
    let above = open.len().saturating_sub(1);
    open.iter()
        .take(above)
        .map(|frame| match &frame.inside {
            Inside::Array(items) => items.len().to_string(),
            Inside::Object { key, .. } => key.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
