//! The reader: one pass over the text, with what is open on a stack of its own.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{
    Defect, Document, DuplicateKey, Duplicates, JsonError, MAX_DEPTH, MAX_DUPLICATES, MAX_LEN,
    MAX_VALUES, Member, Node, Shown, Value,
};

/// Reads a whole text.
///
/// # Errors
/// The first byte that breaks the grammar or a bound.
pub fn parse(bytes: &[u8]) -> Result<Document<'_>, JsonError> {
    let fail = |offset, defect| Err(JsonError { offset, defect });
    if bytes.len() > MAX_LEN {
        return fail(MAX_LEN, Defect::TooLong(bytes.len()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return fail(error.valid_up_to(), Defect::NotUtf8),
    };
    let mut reader =
        Reader { text, bytes, at: 0, nodes: Vec::new(), members: Vec::new(), open: Vec::new() };
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
struct Frame<'t> {
    offset: usize,
    inside: Inside<'t>,
}

/// Where what is inside begins on the stack of its kind; of an object also
/// the keys met and the one whose value comes next.
enum Inside<'t> {
    Array { first: usize },
    Object { first: usize, seen: Seen<'t>, key: Key<'t> },
}

/// A key with where it begins and ends.
#[derive(Default)]
struct Key<'t> {
    name: Cow<'t, str>,
    offset: usize,
    end: usize,
}

/// Members up to which an object is searched for a doubled key one by one;
/// most objects of a lock are this small, and a table for each costs more.
pub(super) const FEW: usize = 12;

/// The keys of an object under way.
#[derive(Default)]
struct Seen<'t> {
    /// Whether one stands before a smaller or equal one. As long as none does,
    /// the last one tells that the next is new; Nix writes all keys so.
    unsorted: bool,
    /// Where each was met first, if there are more than [`FEW`] unsorted ones.
    table: HashMap<Cow<'t, str>, usize>,
}

impl<'t> Seen<'t> {
    /// Where `key` stood before, if it did.
    fn first(&mut self, key: &Key<'t>, members: &[Member<'t>]) -> Option<usize> {
        if !self.unsorted {
            if members.last().is_none_or(|last| last.key < key.name) {
                return None;
            }
            self.unsorted = true;
        }
        if members.len() <= FEW {
            return members.iter().find(|one| one.key == key.name).map(|one| one.offset);
        }
        if self.table.is_empty() {
            for member in members {
                self.table.entry(member.key.clone()).or_insert(member.offset);
            }
        }
        match self.table.get(&key.name) {
            Some(first) => Some(*first),
            None => {
                self.table.insert(key.name.clone(), key.offset);
                None
            }
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// The items of all open arrays, one after the other: each is moved into
    /// a vector of the right size when its array ends.
    nodes: Vec<Node<'t>>,
    /// The members of all open objects, likewise.
    members: Vec<Member<'t>>,
    open: Vec<Frame<'t>>,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
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

    fn document(&mut self, duplicates: &mut Duplicates) -> Result<Node<'t>, JsonError> {
        let mut values = 0_usize;
        loop {
            self.blanks();
            values += 1;
            if values > MAX_VALUES {
                return Err(self.error(Defect::TooMany));
            }
            let Some(mut done) = self.begin()? else { continue };
            // A finished value goes into what encloses it, which may be
            // finished by that in turn.
            loop {
                self.blanks();
                let more = match (self.open.last().map(|frame| &frame.inside), self.peek()) {
                    (None, _) => return Ok(done),
                    (Some(_), Some(b',')) => true,
                    (Some(Inside::Array { .. }), Some(b']'))
                    | (Some(Inside::Object { .. }), Some(b'}')) => false,
                    (Some(Inside::Array { .. }), _) => return Err(self.unexpected("',' or ']'")),
                    (Some(Inside::Object { .. }), _) => return Err(self.unexpected("',' or '}'")),
                };
                self.at += 1;
                self.put(done);
                if more {
                    self.next_key(duplicates)?;
                    break;
                }
                let Some(Frame { offset, inside }) = self.open.pop() else {
                    return Err(self.unexpected("the end of the text"));
                };
                let value = match inside {
                    Inside::Array { first } => Value::Array(self.nodes.split_off(first)),
                    Inside::Object { first, .. } => Value::Object(self.members.split_off(first)),
                };
                done = Node { offset, end: self.at, value };
            }
        }
    }

    /// Reads a value that holds no others, or opens one that does.
    fn begin(&mut self) -> Result<Option<Node<'t>>, JsonError> {
        let offset = self.at;
        let value = match self.peek() {
            Some(bracket @ (b'[' | b'{')) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(self.error(Defect::TooDeep));
                }
                self.at += 1;
                self.blanks();
                let is_array = bracket == b'[';
                if self.peek() != Some(if is_array { b']' } else { b'}' }) {
                    let inside = if is_array {
                        Inside::Array { first: self.nodes.len() }
                    } else {
                        let key = self.key()?;
                        Inside::Object { first: self.members.len(), seen: Seen::default(), key }
                    };
                    self.open.push(Frame { offset, inside });
                    return Ok(None);
                }
                self.at += 1;
                if is_array { Value::Array(Vec::new()) } else { Value::Object(Vec::new()) }
            }
            _ => self.scalar()?,
        };
        Ok(Some(Node { offset, end: self.at, value }))
    }

    /// Puts a finished value into the innermost open array or object.
    fn put(&mut self, done: Node<'t>) {
        match self.open.last_mut().map(|frame| &mut frame.inside) {
            Some(Inside::Array { .. }) => self.nodes.push(done),
            Some(Inside::Object { key, .. }) => {
                let Key { name, offset, end } = std::mem::take(key);
                self.members.push(Member { key: name, offset, key_end: end, value: done });
            }
            None => {}
        }
    }

    /// Behind a comma: in an object, the key of the next member.
    fn next_key(&mut self, duplicates: &mut Duplicates) -> Result<(), JsonError> {
        if !matches!(self.open.last(), Some(Frame { inside: Inside::Object { .. }, .. })) {
            return Ok(());
        }
        self.blanks();
        let next = self.key()?;
        let Some(Frame { inside: Inside::Object { first, seen, key }, .. }) = self.open.last_mut()
        else {
            return Ok(());
        };
        let before = self.members.get(*first..).unwrap_or_default();
        let doubled = seen.first(&next, before).map(|first| (next.name.to_string(), first));
        let again = next.offset;
        *key = next;
        if let Some((key, first)) = doubled {
            duplicates.count += 1;
            if duplicates.named.len() < MAX_DUPLICATES {
                duplicates.named.push(DuplicateKey { path: self.path(), key, first, again });
            }
        }
        Ok(())
    }

    /// The keys and indices that lead into the innermost open object.
    fn path(&self) -> Vec<String> {
        let arrays = self.open.iter().filter_map(|frame| match frame.inside {
            Inside::Array { first } => Some(first),
            Inside::Object { .. } => None,
        });
        // Where the items of each array end: where those of the next begin.
        let mut ends = arrays.skip(1).chain([self.nodes.len()]);
        let above = self.open.len().saturating_sub(1);
        self.open
            .iter()
            .take(above)
            .map(|frame| match &frame.inside {
                Inside::Array { first } => {
                    ends.next().unwrap_or_default().saturating_sub(*first).to_string()
                }
                Inside::Object { key, .. } => key.name.to_string(),
            })
            .collect()
    }

    /// A key with its colon.
    fn key(&mut self) -> Result<Key<'t>, JsonError> {
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

    fn scalar(&mut self) -> Result<Value<'t>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => {
                for (word, value) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                ] {
                    if self.rest().starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected("a value"))
            }
        }
    }

    fn number(&mut self) -> Result<&'t str, JsonError> {
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
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// A string, from its opening quote on.
    fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let start = self.at;
            let rest = self.rest();
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
                .unwrap_or(rest.len());
            self.at += plain;
            let part = self.text.get(start..self.at).unwrap_or_default();
            if text.is_empty() {
                text = Cow::Borrowed(part);
            } else {
                text.to_mut().push_str(part);
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    text.to_mut().push(character);
                }
                Some(byte) => return Err(self.error(Defect::Control(byte))),
                None => return Err(self.error(Defect::Ended("the closing quote of a string"))),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let bad = JsonError { offset: start, defect: Defect::Escape };
        let letter = self.bytes.get(start + 1).copied();
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
                    if !self.rest().starts_with(b"\\u") {
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
