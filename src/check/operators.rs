//! Who runs which caches and keys (`--operators FILE`, `docs/operators.md`).
//!
//! Agreement is counted in operators, not in answers: several keys of one
//! operator are one witness, a mirror is no second witness beside its origin,
//! and a re-signer signs what others have built. A key that no operator owns
//! may be trusted, but it is nobody's witness.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use crate::nix::signature::{KeyName, PublicKey, SignatureError};

/// Longest file that is read: room for thousands of operators.
pub const MAX_OPERATORS_LEN: usize = 1 << 20;

/// Most operators in one file; each costs a little work for every path.
pub const MAX_OPERATORS: usize = 1000;

/// The version of the format.
pub const VERSION: u32 = 1;

/// Longest name of an operator, short enough for a column of a table.
const MAX_NAME_LEN: usize = 60;

/// What is wrong with a file of operators. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorsError {
    /// Too long.
    #[error("the file has {0} bytes (expected at most {MAX_OPERATORS_LEN})")]
    TooLong(usize),
    /// Not TOML, or with fields that this version does not know.
    #[error("line {line}: {message}")]
    Toml {
        /// The line.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Another version.
    #[error("line {line}: version is {found} (expected {VERSION})")]
    Version {
        /// The line.
        line: usize,
        /// The version found.
        found: u32,
    },
    /// Too many operators.
    #[error("more than {MAX_OPERATORS} operators are named")]
    TooMany,
    /// A name that is empty, too long or not printable.
    #[error(
        "line {line}: the name of an operator has 1 to {MAX_NAME_LEN} printable ASCII characters"
    )]
    Name {
        /// The line.
        line: usize,
    },
    /// A name, a cache or a key stands for two operators.
    #[error("line {line}: {what} '{value}' is given twice: it can belong to one operator only")]
    Twice {
        /// The line.
        line: usize,
        /// What: `operator`, `cache` or `key`.
        what: &'static str,
        /// The name or URL.
        value: String,
    },
    /// A mirror of nobody.
    #[error("line {line}: the mirror '{name}' does not say whose (add: of = \"OPERATOR\")")]
    NoOrigin {
        /// The line.
        line: usize,
        /// The mirror.
        name: String,
    },
    /// An origin that is not in the file.
    #[error("line {line}: '{name}' is of '{origin}', but no operator has that name")]
    UnknownOrigin {
        /// The line.
        line: usize,
        /// The operator.
        name: String,
        /// The origin that is missing.
        origin: String,
    },
    /// A builder with an origin.
    #[error(
        "line {line}: '{name}' is of '{origin}', so it is no builder (say role = \"mirror\" or \"re-signer\")"
    )]
    BuilderOfAnother {
        /// The line.
        line: usize,
        /// The operator.
        name: String,
        /// Its origin.
        origin: String,
    },
    /// Mirrors of each other.
    #[error("line {line}: following 'of' from '{name}' leads back to it")]
    Circle {
        /// The line.
        line: usize,
        /// The operator.
        name: String,
    },
    /// A damaged key.
    #[error("line {line}: {source}")]
    Key {
        /// The line.
        line: usize,
        /// What is wrong.
        source: SignatureError,
    },
    /// An address that names no cache.
    #[error("line {line}: {message}")]
    Cache {
        /// The line.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// What an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Builds what it signs.
    #[default]
    Builder,
    /// Serves what its origin has built.
    Mirror,
    /// Signs what it has not built.
    ReSigner,
}

impl Role {
    /// The word used in the file and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Mirror => "mirror",
            Self::ReSigner => "re-signer",
        }
    }
}

/// Somebody who runs caches or holds keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Whose builds it hands on.
    pub origin: Option<String>,
    /// Its caches, as reports name them.
    pub caches: Vec<String>,
    /// The names of its keys.
    pub keys: Vec<KeyName>,
}

/// All operators of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators {
    operators: Vec<Operator>,
    by_name: BTreeMap<String, usize>,
    by_key: BTreeMap<String, usize>,
    by_cache: BTreeMap<String, usize>,
    public_keys: Vec<PublicKey>,
    bare_keys: Vec<KeyName>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    #[serde(default, rename = "operator")]
    operators: Vec<Entry>,
}

/// One `[[operator]]` of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    #[serde(default)]
    role: Role,
    of: Option<Spanned<String>>,
    #[serde(default)]
    caches: Vec<Spanned<String>>,
    #[serde(default)]
    keys: Vec<Spanned<String>>,
}

/// The line that a byte of the text is on.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
}

impl Operators {
    /// Reads a file of operators. `cache` turns the address of a cache into
    /// the form that reports use, or says why it is none.
    ///
    /// # Errors
    /// Says which line is wrong, and how.
    pub fn parse(
        text: &str,
        cache: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, OperatorsError> {
        if text.len() > MAX_OPERATORS_LEN {
            return Err(OperatorsError::TooLong(text.len()));
        }
        let file: File = toml::from_str(text).map_err(|error| OperatorsError::Toml {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let line = |span: std::ops::Range<usize>| line_of(text, span.start);
        if *file.version.get_ref() != VERSION {
            let found = *file.version.get_ref();
            return Err(OperatorsError::Version { line: line(file.version.span()), found });
        }
        if file.operators.len() > MAX_OPERATORS {
            return Err(OperatorsError::TooMany);
        }
        let mut all = Self::default();
        let mut origins = Vec::new();
        for entry in file.operators {
            let at = line(entry.name.span());
            let name = entry.name.into_inner();
            let printable = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if name.trim().is_empty() || name.len() > MAX_NAME_LEN || !printable {
                return Err(OperatorsError::Name { line: at });
            }
            let index = all.operators.len();
            once(&mut all.by_name, &name, index, at, "operator")?;
            let mut operator = Operator {
                name: name.clone(),
                role: entry.role,
                origin: None,
                caches: Vec::new(),
                keys: Vec::new(),
            };
            for address in entry.caches {
                let at = line(address.span());
                let shown = cache(address.get_ref())
                    .map_err(|message| OperatorsError::Cache { line: at, message })?;
                once(&mut all.by_cache, &shown, index, at, "cache")?;
                operator.caches.push(shown);
            }
            for key in entry.keys {
                let at = line(key.span());
                let name = all.take_key(key.get_ref(), at)?;
                once(&mut all.by_key, name.as_str(), index, at, "key")?;
                operator.keys.push(name);
            }
            match (entry.role, entry.of) {
                (Role::Mirror, None) => return Err(OperatorsError::NoOrigin { line: at, name }),
                (Role::Builder, Some(origin)) => {
                    let (line, origin) = (line(origin.span()), origin.into_inner());
                    return Err(OperatorsError::BuilderOfAnother { line, name, origin });
                }
                (_, Some(origin)) => {
                    origins.push((index, line(origin.span())));
                    operator.origin = Some(origin.into_inner());
                }
                (_, None) => {}
            }
            all.operators.push(operator);
        }
        all.check_origins(&origins)?;
        Ok(all)
    }

    /// A key in full, or the name of one that is given elsewhere.
    fn take_key(&mut self, text: &str, line: usize) -> Result<KeyName, OperatorsError> {
        let failed = |source| OperatorsError::Key { line, source };
        if text.contains(':') {
            let key: PublicKey = text.parse().map_err(failed)?;
            let name = key.name().clone();
            self.public_keys.push(key);
            Ok(name)
        } else {
            let name: KeyName = text.parse().map_err(failed)?;
            self.bare_keys.push(name.clone());
            Ok(name)
        }
    }

    /// Every origin is in the file, and nobody hands on its own builds.
    fn check_origins(&self, origins: &[(usize, usize)]) -> Result<(), OperatorsError> {
        for (index, line) in origins {
            let Some(operator) = self.operators.get(*index) else { continue };
            let (line, name) = (*line, operator.name.clone());
            let mut seen = BTreeSet::from([name.as_str()]);
            let mut at = operator;
            while let Some(origin) = &at.origin {
                let Some(next) = self.named(origin) else {
                    let origin = origin.clone();
                    return Err(OperatorsError::UnknownOrigin { line, name, origin });
                };
                if !seen.insert(&next.name) {
                    return Err(OperatorsError::Circle { line, name });
                }
                at = next;
            }
        }
        Ok(())
    }

    /// The operators in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Operator] {
        &self.operators
    }

    /// The keys that the file gives in full; their signatures count.
    #[must_use]
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.public_keys
    }

    /// The keys that the file only names; they have to be given elsewhere.
    #[must_use]
    pub fn bare_keys(&self) -> &[KeyName] {
        &self.bare_keys
    }

    /// The operator of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Operator> {
        self.by_name.get(name).and_then(|index| self.operators.get(*index))
    }

    /// Who runs a cache, by the name that reports give it.
    #[must_use]
    pub fn of_cache(&self, cache: &str) -> Option<&Operator> {
        self.by_cache.get(cache).and_then(|index| self.operators.get(*index))
    }

    /// Who holds a key.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Option<&Operator> {
        self.by_key.get(key).and_then(|index| self.operators.get(*index))
    }

    /// Whose testimony a good signature by `key` is: that of the builder who
    /// holds it, or whose builds its holder hands on. `None` for a key that no
    /// operator owns, and for a re-signer of nobody in particular.
    #[must_use]
    pub fn witness(&self, key: &str) -> Option<&str> {
        self.builder_behind(self.of_key(key)?)
    }

    /// The builder whose builds an operator makes or hands on.
    #[must_use]
    pub fn builder_behind<'a>(&'a self, operator: &'a Operator) -> Option<&'a str> {
        let mut at = operator;
        // No circles: they are refused when the file is read.
        while let Some(origin) = &at.origin {
            at = self.named(origin)?;
        }
        (at.role == Role::Builder).then_some(at.name.as_str())
    }

    /// How many witnesses there can be at most.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        let all = self.operators.iter().flat_map(|operator| &operator.keys);
        all.filter_map(|key| self.witness(key.as_str())).collect::<BTreeSet<_>>().len()
    }
}

/// Takes a name for one operator, unless it is taken.
fn once(
    taken: &mut BTreeMap<String, usize>,
    value: &str,
    index: usize,
    line: usize,
    what: &'static str,
) -> Result<(), OperatorsError> {
    match taken.insert(value.to_owned(), index) {
        None => Ok(()),
        Some(_) => Err(OperatorsError::Twice { line, what, value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::signature::SecretKey;

    fn key(name: &str) -> String {
        SecretKey::from_seed(name.parse().unwrap(), &[7; 32]).public_key().to_string()
    }

    fn parse(text: &str) -> Result<Operators, OperatorsError> {
        Operators::parse(text, |url| {
            if url.starts_with("https://") { Ok(url.to_owned()) } else { Err("no URL".to_owned()) }
        })
    }

    fn example() -> Operators {
        let text = format!(
            "version = 1\n\
             [[operator]]\nname = 'a'\ncaches = ['https://a', 'https://a2']\nkeys = ['{}', 'a-2']\n\
             [[operator]]\nname = 'm'\nrole = 'mirror'\nof = 'a'\ncaches = ['https://m']\nkeys = ['m-1']\n\
             [[operator]]\nname = 'mm'\nrole = 'mirror'\nof = 'm'\nkeys = ['mm-1']\n\
             [[operator]]\nname = 'r'\nrole = 're-signer'\nkeys = ['r-1']\n\
             [[operator]]\nname = 'ra'\nrole = 're-signer'\nof = 'a'\nkeys = ['ra-1']\n",
            key("a-1")
        );
        parse(&text).unwrap()
    }

    #[test]
    fn mirrors_stand_for_their_origin_and_resigners_for_nobody() {
        let operators = example();
        for (key, wanted) in [
            ("a-1", Some("a")),
            ("a-2", Some("a")),
            ("m-1", Some("a")),
            ("mm-1", Some("a")),
            ("r-1", None),
            ("ra-1", Some("a")),
            ("unknown", None),
        ] {
            assert_eq!(operators.witness(key), wanted, "{key}");
        }
        assert_eq!(operators.witnesses(), 1);
        assert_eq!(operators.of_cache("https://m").unwrap().name, "m");
        assert_eq!(operators.of_cache("https://x"), None);
        assert_eq!(operators.public_keys().len(), 1);
        assert_eq!(operators.bare_keys().len(), 5);
    }

    #[test]
    fn wrong_files_are_named_by_line() {
        let one = "version = 1\n[[operator]]\nname = 'a'\n";
        for (text, wanted) in [
            (String::new(), "missing field `version`"),
            ("version = 2".to_owned(), "line 1: version is 2 (expected 1)"),
            ("version = 1\nx = 2\n".to_owned(), "line 2: unknown field `x`"),
            (format!("{one}cache = ['https://a']\n"), "line 4: unknown field `cache`"),
            (format!("{one}role = 'pope'\n"), "line 4: unknown variant `pope`"),
            (format!("{one}role = 'mirror'\n"), "line 3: the mirror 'a' does not say whose"),
            (format!("{one}of = 'b'\n"), "line 4: 'a' is of 'b', so it is no builder"),
            (format!("{one}role = 'mirror'\nof = 'b'\n"), "line 5: 'a' is of 'b', but no operator"),
            (format!("{one}role = 'mirror'\nof = 'a'\n"), "line 5: following 'of' from 'a'"),
            (format!("{one}keys = ['a b']\n"), "line 4: byte 0x20"),
            (format!("{one}keys = ['a:b']\n"), "line 4: the public key of key 'a'"),
            (format!("{one}keys = ['k']\n[[operator]]\nname='b'\nkeys=['k']\n"), "line 7: key 'k'"),
            (format!("{one}[[operator]]\nname='a'\n"), "line 5: operator 'a' is given twice"),
            (format!("{one}caches = ['ftp']\n"), "line 4: no URL"),
            (format!("{one}caches = ['https://a',\n'https://a']\n"), "line 5: cache 'https://a'"),
            ("version = 1\n[[operator]]\nname = ''\n".to_owned(), "line 3: the name"),
            ("version = 1\n[[operator]]\nname = \"a\\u001b\"\n".to_owned(), "line 3: the name"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert!(matches!(
            parse(&"#".repeat(MAX_OPERATORS_LEN + 1)),
            Err(OperatorsError::TooLong(_))
        ));
        assert_eq!(parse("version = 1").unwrap().all(), []);
    }
}
