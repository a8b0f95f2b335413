//! In-toto statements: about which content is said what.
//!
//! Follows the in-toto attestation framework, Statement v1
//! (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>).
//! Subjects are matched by digest: for a store object it is the SHA-256 of its
//! NAR, which is its NarHash. Every subject has a name and this one digest;
//! other digests beside it are not read.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::canonical::{self, CanonicalError};
use crate::nix::hash::{Hash, HashAlgorithm, NarHash, base16};

/// What tells this format from others.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The digest that every subject has.
const SHA256: &str = "sha256";

/// Content that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// What it is called: a store path, or a file.
    pub name: String,
    /// Its SHA-256; of a store object that of its NAR.
    pub sha256: Digest,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is about, each once.
    pub subjects: BTreeSet<Subject>,
    /// What kind of thing it says.
    pub predicate_type: String,
    /// What it says.
    pub predicate: Value,
}

/// Why a payload is no statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON in canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A field that is missing or makes no sense.
    #[error("its field '{field}' is not {expected}")]
    Field {
        /// The field, as a JSON pointer.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A subject that stands twice.
    #[error("it names the subject '{0}' twice with the same digest")]
    Twice(String),
    /// It is about nothing.
    #[error("it is about no content at all")]
    NoSubject,
}

fn wrong(field: impl Into<String>, expected: &'static str) -> StatementError {
    StatementError::Field { field: field.into(), expected }
}

impl Statement {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// Nothing that it is about, or a number that cannot be written.
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        if self.subjects.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let subjects: Vec<Value> = self
            .subjects
            .iter()
            .map(|subject| json!({ "name": subject.name, "digest": { SHA256: subject.sha256 } }))
            .collect();
        let value = json!({
            "_type": STATEMENT,
            "subject": subjects,
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        });
        Ok(canonical::write(&value)?.into_bytes())
    }

    /// Reads what was signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let mut value = canonical::read(payload)?;
        let root = value.as_object_mut().ok_or_else(|| wrong("", "an object"))?;
        if root.get("_type").and_then(Value::as_str) != Some(STATEMENT) {
            return Err(wrong("/_type", "https://in-toto.io/Statement/v1"));
        }
        let predicate_type = root.get("predicateType").and_then(Value::as_str);
        let predicate_type =
            predicate_type.ok_or_else(|| wrong("/predicateType", "a string"))?.to_owned();
        let listed = root.get("subject").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| wrong("/subject", "a list"))?;
        let mut subjects = BTreeSet::new();
        for (at, item) in listed.iter().enumerate() {
            let field = |name: &str| format!("/subject/{at}/{name}");
            let text = item.get("name").and_then(Value::as_str);
            let name = text.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| wrong(field("name"), "a name"))?.to_owned();
            let digest = item.get("digest").and_then(|digest| digest.get(SHA256));
            let sha256 = digest.and_then(Value::as_str).and_then(Digest::from_hex);
            let sha256 = sha256.ok_or_else(|| {
                wrong(field("digest/sha256"), "a SHA-256 in 64 lower-case digits")
            })?;
            if !subjects.insert(Subject { name: name.clone(), sha256 }) {
                return Err(StatementError::Twice(name));
            }
        }
        if subjects.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let predicate = root.remove("predicate").unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Self { subjects, predicate_type, predicate })
    }
}

/// A SHA-256 as in-toto writes it: 64 lower-case digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 lower-case digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let lower = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(lower) {
            return None;
        }
        let hash = Hash::parse(text, Some(HashAlgorithm::Sha256)).ok()?;
        hash.digest().try_into().ok().map(Self)
    }

    /// The same as the hash of a NAR, where the subject is a store object.
    #[must_use]
    pub const fn nar_hash(self) -> NarHash {
        NarHash::from_digest(self.0)
    }
}

impl From<NarHash> for Digest {
    fn from(hash: NarHash) -> Self {
        Self(*hash.digest())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| serde::de::Error::custom("expected a SHA-256 in 64 lower-case digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let subject =
            |name: &str, byte| Subject { name: name.to_owned(), sha256: Digest([byte; 32]) };
        Statement {
            subjects: BTreeSet::from([subject("/nix/store/b", 2), subject("/nix/store/a", 1)]),
            predicate_type: "urn:x".to_owned(),
            predicate: json!({ "z": 1, "a": [true] }),
        }
    }

    #[test]
    fn statements_read_back() {
        let payload = statement().to_payload().unwrap();
        assert_eq!(Statement::parse(&payload).unwrap(), statement());
        assert!(payload.starts_with(br#"{"_type":"https://in-toto.io/Statement/v1","predicate":"#));
        let none = Statement { subjects: BTreeSet::new(), ..statement() };
        assert!(none.to_payload().is_err());
    }

    #[test]
    fn digests() {
        let text = Digest::of(b"").to_string();
        assert!(text.starts_with("e3b0c44298fc1c14"));
        assert_eq!(Digest::from_hex(&text), Some(Digest::of(b"")));
        assert_eq!(Digest::from(Digest::of(b"x").nar_hash()), Digest::of(b"x"));
        assert_eq!(Digest::from_hex(&text.to_uppercase()), None);
        assert_eq!(Digest::from_hex("00"), None);
    }

    #[test]
    fn what_is_no_statement_is_said() {
        let text = String::from_utf8(statement().to_payload().unwrap()).unwrap();
        for (from, to, wanted) in [
            ("Statement/v1", "Statement/v0.1", "/_type"),
            ("\"predicateType\":\"urn:x\"", "\"predicateType\":1", "/predicateType"),
            ("/nix/store/a", "", "/subject/0/name"),
            ("\"sha256\":\"01", "\"sha256\":\"0", "/subject/0/digest/sha256"),
            ("\"sha256\":\"01", "\"sha512\":\"01", "/subject/0/digest/sha256"),
            ("\"subject\":", "\"subjects\":", "/subject"),
            (":[true]", ": [true]", "canonical"),
        ] {
            assert!(text.contains(from), "{from}");
            let error = Statement::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(wanted), "{to}: {error}");
        }
        let twice = text.replace("/nix/store/b", "/nix/store/a").replace("02", "01");
        assert!(matches!(Statement::parse(twice.as_bytes()), Err(StatementError::Twice(_))));
        let none =
            r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"x","subject":[]}"#;
        assert!(matches!(Statement::parse(none.as_bytes()), Err(StatementError::NoSubject)));
    }
}
