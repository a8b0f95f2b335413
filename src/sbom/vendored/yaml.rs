//! YAML as lock files have it: mappings, sequences and text, one tree for each
//! document. The grammar is `saphyr-parser`'s; anchors, aliases and keys that
//! are no text are refused, for no lock file has them and a few of them can
//! stand for gigabytes.

use saphyr_parser::{Event, Parser};

use super::statement::{ReadError, text};

/// Deepest nesting; a lock file of pnpm nests seven levels.
const MAX_DEPTH: usize = 64;

/// Most values; each takes some hundred bytes. A lock file with ten thousand
/// packages has some 200,000.
const MAX_VALUES: usize = 4_000_000;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Yaml {
    /// Text, a number, a truth value or nothing: as written.
    Text(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping in its order.
    Map(Vec<(String, Self)>),
}

impl Yaml {
    /// The members, if it is a mapping.
    #[must_use]
    pub fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Map(members) => members,
            _ => &[],
        }
    }

    /// The value of a key; of two the last.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Self> {
        self.members().iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a key.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<&str> {
        match self.member(key)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the value of a key is `true`.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.string(key) == Some("true")
    }
}

/// A mapping or sequence under way.
enum Open {
    List(Vec<Yaml>),
    Map { members: Vec<(String, Yaml)>, key: Option<String> },
}

/// Reads all documents of a file.
///
/// # Errors
/// [`ReadError::NotUtf8`], [`ReadError::Yaml`].
pub fn documents(bytes: &[u8]) -> Result<Vec<Yaml>, ReadError> {
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0_usize;
    for event in Parser::new_from_str(text(bytes)?) {
        let (event, span) = event.map_err(|error| ReadError::Yaml {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        let line = span.start.line();
        let refuse = |what: &str| Err(ReadError::Yaml { line, what: what.to_owned() });
        values = values.saturating_add(1);
        if values > MAX_VALUES {
            return refuse("more values than any lock file has (a limit of this tool)");
        }
        let done = match event {
            Event::Alias(_) => return refuse("an alias, which no lock file has"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return refuse("an anchor, which no lock file has");
            }
            Event::Scalar(text, ..) => Yaml::Text(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                return refuse("deeper nesting than any lock file has (a limit of this tool)");
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map { members: Vec::new(), key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Yaml::List(items),
                Some(Open::Map { members, .. }) => Yaml::Map(members),
                None => continue,
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        match open.last_mut() {
            None => found.push(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map { members, key }) => match (key.take(), done) {
                (Some(key), done) => members.push((key, done)),
                (None, Yaml::Text(text)) => *key = Some(text),
                (None, _) => return refuse("a key that is no text"),
            },
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_sequences_and_text_of_all_styles() {
        let read = documents(b"a: 'it''s'\n? b c\n: {x: [1, \"\\u0041\"], y: }\n---\n- |\n  z\n");
        let read = read.unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].string("a"), Some("it's"));
        let inner = read[0].member("b c").unwrap();
        let list = vec![Yaml::Text("1".to_owned()), Yaml::Text("A".to_owned())];
        assert_eq!(inner.member("x"), Some(&Yaml::List(list)));
        assert_eq!(read[1], Yaml::List(vec![Yaml::Text("z\n".to_owned())]));
    }

    #[test]
    fn what_could_stand_for_gigabytes_is_refused() {
        for bomb in ["a: &x 1\nb: *x\n", "&x a: 1\n", "a: &x [1]\n", "{[1]: 2}\n"] {
            assert!(matches!(documents(bomb.as_bytes()), Err(ReadError::Yaml { .. })), "{bomb}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(matches!(documents(deep.as_bytes()), Err(ReadError::Yaml { .. })));
        let deep = "[".repeat(200_000);
        assert!(matches!(documents(deep.as_bytes()), Err(ReadError::Yaml { .. })));
    }
}
