//! JSON as nlohmann::json reads it, strictly and without recursion.
//!
//! What Nix does with doubled keys (the last one wins), large numbers and
//! strings decides the bytes a builder sees, so no general JSON library is
//! used here.

use std::collections::BTreeMap;

use super::number::Number;

/// Deepest nesting that is read. Attributes written by people stay below 20;
/// the bound keeps dropping and comparing values within any stack.
pub const MAX_DEPTH: usize = 256;

/// Most values of one text; bounds memory to some hundred bytes times this.
/// The largest attributes of nixpkgs have some 10⁴.
pub const MAX_VALUES: usize = 1 << 20;

/// A JSON value. Objects are sorted by the bytes of their keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

/// A JSON text that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad JSON at byte {offset}: {defect}")]
pub struct JsonError {
    /// Offset in the JSON text.
    pub offset: usize,
    /// What is wrong there.
    pub defect: JsonDefect,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonDefect {
    /// The text stops in the middle.
    #[error("the text ends where {0} is expected")]
    Ended(&'static str),
    /// Another byte than the grammar allows.
    #[error("found byte {found:#04x} where {expected} is expected")]
    Unexpected {
        /// The byte found.
        found: u8,
        /// What may stand there.
        expected: &'static str,
    },
    /// Something follows the value.
    #[error("text follows the end of the value")]
    Trailing,
    /// Nested too deeply.
    #[error("nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// More values than are read.
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
    /// A number no double can hold.
    #[error("the number is too large")]
    NumberTooLarge,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A control character in a string.
    #[error("control character {0:#04x} stands raw in a string (expected an escape)")]
    Control(u8),
    /// Half a surrogate pair.
    #[error("half a surrogate pair")]
    Surrogate,
}

/// A container that is not closed yet.
enum Open {
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>, String),
}

impl Json {
    /// Reads one value.
    ///
    /// # Errors
    /// Whatever nlohmann::json refuses, and too deep nesting.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        // A byte order mark is skipped, as nlohmann's lexer does.
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if let Err(error) = std::str::from_utf8(text) {
            return Err(JsonError { offset: error.valid_up_to(), defect: JsonDefect::NotUtf8 });
        }
        let mut reader = Reader { text, at, values: 0 };
        let mut open: Vec<Open> = Vec::new();
        loop {
            let Some(mut value) = reader.value(&mut open)? else { continue };
            // Puts the value where it belongs, closing what ends behind it.
            loop {
                match open.last_mut() {
                    None => {
                        reader.space();
                        return match reader.peek() {
                            None => Ok(value),
                            Some(_) => Err(reader.error(JsonDefect::Trailing)),
                        };
                    }
                    Some(Open::Array(items)) => items.push(value),
                    Some(Open::Object(members, key)) => {
                        members.insert(std::mem::take(key), value);
                    }
                }
                if let Some(closed) = reader.next(&mut open)? {
                    value = closed;
                } else {
                    break;
                }
            }
        }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Values begun so far.
    values: usize,
}

impl Reader<'_> {
    const fn error(&self, defect: JsonDefect) -> JsonError {
        JsonError { offset: self.at, defect }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    const fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by);
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.advance(1);
        }
    }

    fn unexpected(&self, expected: &'static str) -> JsonError {
        self.error(match self.peek() {
            Some(found) => JsonDefect::Unexpected { found, expected },
            None => JsonDefect::Ended(expected),
        })
    }

    fn expect(&mut self, token: &[u8], what: &'static str) -> Result<(), JsonError> {
        for &byte in token {
            if self.peek() != Some(byte) {
                return Err(self.unexpected(what));
            }
            self.advance(1);
        }
        Ok(())
    }

    /// A whole value, or `None` if a container was opened that has members.
    fn value(&mut self, open: &mut Vec<Open>) -> Result<Option<Json>, JsonError> {
        self.space();
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(JsonDefect::TooManyValues));
        }
        let value = match self.peek() {
            Some(b'n') => self.expect(b"null", "'null'").map(|()| Json::Null)?,
            Some(b't') => self.expect(b"true", "'true'").map(|()| Json::Bool(true))?,
            Some(b'f') => self.expect(b"false", "'false'").map(|()| Json::Bool(false))?,
            Some(b'"') => Json::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Json::Number(self.number()?),
            Some(b'[') => {
                self.deeper(open)?;
                if self.peek() != Some(b']') {
                    open.push(Open::Array(Vec::new()));
                    return Ok(None);
                }
                self.advance(1);
                Json::Array(Vec::new())
            }
            Some(b'{') => {
                self.deeper(open)?;
                if self.peek() != Some(b'}') {
                    let key = self.key()?;
                    open.push(Open::Object(BTreeMap::new(), key));
                    return Ok(None);
                }
                self.advance(1);
                Json::Object(BTreeMap::new())
            }
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Some(value))
    }

    fn deeper(&mut self, open: &[Open]) -> Result<(), JsonError> {
        if open.len() >= MAX_DEPTH {
            return Err(self.error(JsonDefect::TooDeep));
        }
        self.advance(1);
        self.space();
        Ok(())
    }

    /// Behind a member: `None` if another one follows, else the container.
    fn next(&mut self, open: &mut Vec<Open>) -> Result<Option<Json>, JsonError> {
        self.space();
        match (self.peek(), open.last_mut()) {
            (Some(b','), Some(Open::Array(_))) => {
                self.advance(1);
                return Ok(None);
            }
            (Some(b','), Some(Open::Object(_, key))) => {
                self.advance(1);
                self.space();
                *key = self.key()?;
                return Ok(None);
            }
            (Some(b']'), Some(Open::Array(_))) | (Some(b'}'), Some(Open::Object(..))) => {}
            (_, Some(Open::Array(_))) => return Err(self.unexpected("',' or ']'")),
            _ => return Err(self.unexpected("',' or '}'")),
        }
        self.advance(1);
        Ok(open.pop().map(|container| match container {
            Open::Array(items) => Json::Array(items),
            Open::Object(members, _) => Json::Object(members),
        }))
    }

    fn key(&mut self) -> Result<String, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key"));
        }
        let key = self.string()?;
        self.space();
        self.expect(b":", "':'")?;
        Ok(key)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.advance(1);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.advance(1);
        }
        if self.peek() == Some(b'0') {
            self.advance(1);
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.advance(1);
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.advance(1);
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.advance(1);
            }
            self.digits()?;
        }
        self.text
            .get(start..self.at)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(Number::read)
            .ok_or(JsonError { offset: start, defect: JsonDefect::NumberTooLarge })
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect(b"\"", "a string")?;
        let mut bytes = Vec::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = rest
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')
                .unwrap_or(rest.len());
            bytes.extend_from_slice(rest.get(..length).unwrap_or_default());
            self.advance(length);
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    // The whole text is UTF-8, and it was cut at ASCII only.
                    let not_utf8 = |_| self.error(JsonDefect::NotUtf8);
                    return String::from_utf8(bytes).map_err(not_utf8);
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(control) => return Err(self.error(JsonDefect::Control(control))),
                None => return Err(self.error(JsonDefect::Ended("'\"'"))),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.advance(1);
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.advance(1);
                let high = self.hex()?;
                let surrogate = JsonError { offset: start, defect: JsonDefect::Surrogate };
                let code = match high {
                    0xd800..=0xdbff => {
                        if !self.text.get(self.at..).unwrap_or_default().starts_with(b"\\u") {
                            return Err(surrogate);
                        }
                        self.advance(2);
                        let low = self.hex()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(surrogate);
                        }
                        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    }
                    code => code,
                };
                return char::from_u32(code).ok_or(surrogate);
            }
            _ => return Err(self.unexpected("one of \" \\ / b f n r t u")),
        };
        self.advance(1);
        Ok(character)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            value = value << 4 | digit.ok_or_else(|| self.unexpected("a base16 digit"))?;
            self.advance(1);
        }
        Ok(value)
    }
}

/// Compact, as nlohmann's `dump()` writes.
impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&print(vec![Step::Value(self)]))
    }
}

/// Prints an object without taking it.
pub(super) fn print_object(members: &BTreeMap<String, Json>) -> String {
    print(vec![Step::Object(members)])
}

/// What is left to print, the next last.
enum Step<'a> {
    Value(&'a Json),
    Object(&'a BTreeMap<String, Json>),
    Key(&'a str),
    Text(char),
}

fn print(mut steps: Vec<Step<'_>>) -> String {
    let mut out = String::new();
    while let Some(step) = steps.pop() {
        match step {
            Step::Text(text) => out.push(text),
            Step::Key(key) => {
                print_string(key, &mut out);
                out.push(':');
            }
            Step::Value(Json::Null) => out.push_str("null"),
            Step::Value(Json::Bool(value)) => out.push_str(if *value { "true" } else { "false" }),
            Step::Value(Json::Number(number)) => number.print(&mut out),
            Step::Value(Json::String(text)) => print_string(text, &mut out),
            Step::Value(Json::Array(items)) => {
                out.push('[');
                steps.push(Step::Text(']'));
                for (index, item) in items.iter().enumerate().rev() {
                    steps.push(Step::Value(item));
                    if index > 0 {
                        steps.push(Step::Text(','));
                    }
                }
            }
            Step::Value(Json::Object(members)) | Step::Object(members) => {
                out.push('{');
                steps.push(Step::Text('}'));
                for (index, (key, member)) in members.iter().enumerate().rev() {
                    steps.push(Step::Value(member));
                    steps.push(Step::Key(key));
                    if index > 0 {
                        steps.push(Step::Text(','));
                    }
                }
            }
        }
    }
    out
}

fn print_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
