//! The build trace: which store path an output turned out to be, as Nix 2.35
//! and later say it.
//!
//! Follows `src/libstore/realisation.cc` and `binary-cache-store.cc` from 2.35
//! on: the file `build-trace-v2/<derivation>/<output>.doi` of a cache, about
//! the *resolved* derivation, in which every input is a source. Releases differ
//! in whether the file names that key once more, and whether a signature is a
//! text or an object; both are read. Signatures cover the compact JSON of key
//! and value without them. Older releases write [`super::realisation`].

use std::fmt;

use serde::Deserialize;

use super::realisation::{MAX_SIGNATURES, json_string};
use super::signature::{CheckedSignatures, SecretKey, Signature, SignatureError, TrustedKeys};
use super::store_path::{NameError, StorePath, StorePathError, check_name};

/// Longest file that is read: room for all signatures several times over.
pub const MAX_ENTRY_LEN: usize = 1 << 20;

/// Why a file is no entry of a build trace.
#[derive(Debug, thiserror::Error)]
pub enum BuildTraceError {
    /// Too long.
    #[error("the build trace entry has {0} bytes (expected at most {MAX_ENTRY_LEN})")]
    TooLong(usize),
    /// Not the JSON it should be.
    #[error("the build trace entry is not the JSON that Nix writes: {0}")]
    Json(#[source] serde_json::Error),
    /// Not an object at all.
    #[error("the build trace entry is not a JSON object")]
    NotAnObject,
    /// A bad store path.
    #[error("bad {field} in the build trace entry: {source}")]
    Path {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: StorePathError,
    },
    /// A bad output name.
    #[error("bad outputName in the build trace entry: {0}")]
    Name(#[source] NameError),
    /// A damaged signature.
    #[error("signature {index} of the build trace entry is bad: {source}")]
    Signature {
        /// Which, counted from 1.
        index: usize,
        /// What is wrong.
        source: SignatureError,
    },
    /// Too many signatures.
    #[error("the build trace entry has {0} signatures (expected at most {MAX_SIGNATURES})")]
    TooManySignatures(usize),
    /// The file describes another output.
    #[error("the build trace entry describes {found} where {asked} was asked for")]
    OtherOutput {
        /// The output described.
        found: Box<BuildTraceKey>,
        /// The output asked for.
        asked: Box<BuildTraceKey>,
    },
}

/// An output of a resolved derivation: `<derivation>^<output>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildTraceKey {
    drv_path: StorePath,
    output: String,
}

impl BuildTraceKey {
    /// Joins the path of a resolved derivation and the output's name.
    ///
    /// # Errors
    /// A name that outputs may not have.
    pub fn new(drv_path: StorePath, output: &str) -> Result<Self, NameError> {
        check_name(output)?;
        Ok(Self { drv_path, output: output.to_owned() })
    }

    /// The path of the file inside a cache.
    #[must_use]
    pub fn cache_path(&self) -> String {
        format!("build-trace-v2/{}/{}.doi", self.drv_path, self.output)
    }
}

impl fmt::Display for BuildTraceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}^{}", self.drv_path, self.output)
    }
}

/// An entry as a cache claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildTraceEntry {
    /// The output that is described.
    pub key: BuildTraceKey,
    /// What it turned out to be.
    pub out_path: StorePath,
    /// The signatures in the order of the file.
    pub signatures: Vec<Signature>,
}

impl BuildTraceEntry {
    /// Reads what a cache answered when it was asked for `asked`.
    ///
    /// # Errors
    /// Says which field is wrong, and how, or that it is about something else.
    pub fn parse(bytes: &[u8], asked: &BuildTraceKey) -> Result<Self, BuildTraceError> {
        if bytes.len() > MAX_ENTRY_LEN {
            return Err(BuildTraceError::TooLong(bytes.len()));
        }
        // Derived readers would take an array for an object.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(BuildTraceError::NotAnObject);
        }
        let path = |field, text: &str| {
            text.parse().map_err(|source| BuildTraceError::Path { field, source })
        };
        let file: File = serde_json::from_slice(bytes).map_err(BuildTraceError::Json)?;
        let value = match file {
            File { key: None, value: None, out_path: Some(out_path), signatures } => {
                Value { out_path, signatures: signatures.unwrap_or_default() }
            }
            File { key: Some(key), value: Some(value), out_path: None, signatures: None } => {
                let found = BuildTraceKey::new(path("drvPath", &key.drv_path)?, &key.output_name)
                    .map_err(BuildTraceError::Name)?;
                if found != *asked {
                    let (found, asked) = (Box::new(found), Box::new(asked.clone()));
                    return Err(BuildTraceError::OtherOutput { found, asked });
                }
                value
            }
            _ => {
                return Err(BuildTraceError::Json(serde::de::Error::custom(
                    "expected either outPath and signatures, or key and value",
                )));
            }
        };
        if value.signatures.len() > MAX_SIGNATURES {
            return Err(BuildTraceError::TooManySignatures(value.signatures.len()));
        }
        let mut signatures = Vec::new();
        for (index, written) in (1..).zip(&value.signatures) {
            let error = |source| BuildTraceError::Signature { index, source };
            signatures.push(written.text().parse().map_err(error)?);
        }
        let out_path = path("outPath", &value.out_path)?;
        Ok(Self { key: asked.clone(), out_path, signatures })
    }

    /// The text that is signed. No part of it can hold a character that JSON
    /// escapes.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!(
            "{{\"key\":{{\"drvPath\":\"{}\",\"outputName\":\"{}\"}},\"value\":{{\"outPath\":\"{}\"}}}}",
            self.key.drv_path, self.key.output, self.out_path
        )
    }

    /// Judges the signatures.
    #[must_use]
    pub fn verify(&self, trusted: &TrustedKeys) -> CheckedSignatures {
        trusted.check(self.fingerprint().as_bytes(), &self.signatures)
    }

    /// Adds a signature by `key`.
    pub fn sign(&mut self, key: &SecretKey) {
        self.signatures.push(key.sign(self.fingerprint().as_bytes()));
    }

    /// The file as the newest Nix writes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let signatures = self.signatures.iter().map(|signature| {
            let text = signature.to_string();
            let (name, bytes) = text.rsplit_once(':').unwrap_or_default();
            format!("{{\"keyName\":{},\"sig\":\"{bytes}\"}}", json_string(name))
        });
        let signatures: Vec<String> = signatures.collect();
        format!("{{\"outPath\":\"{}\",\"signatures\":[{}]}}", self.out_path, signatures.join(","))
    }
}

/// The file's shapes, with the key and without it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    key: Option<Key>,
    value: Option<Value>,
    out_path: Option<String>,
    signatures: Option<Vec<Written>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    drv_path: String,
    output_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    out_path: String,
    #[serde(default)]
    signatures: Vec<Written>,
}

/// A signature in either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    #[serde(rename_all = "camelCase")]
    Parts {
        key_name: String,
        sig: String,
    },
}

impl Written {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts { key_name, sig } => format!("{key_name}:{sig}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-foo";

    /// The vectors of Nix's own tests (`src/libstore-tests/data/realisation`).
    const PUBLIC: &str = "test-key:rAWTx0noOtf7tqHO5iDnsH7gGNVdQYl99oaJk2gydic=";
    const SIMPLE: &str =
        "WsjxK4/EI74COtzMDI+VCjQU9O4FydK0+YeY1CE5hUevogd+T+CPvNXza7oog3GTMS+ZlBwsC2S3ppwusKnJDg==";

    fn asked() -> BuildTraceKey {
        let drv_path = "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-bar.drv".parse().unwrap();
        BuildTraceKey::new(drv_path, "foo").unwrap()
    }

    fn parse(text: &str) -> Result<BuildTraceEntry, BuildTraceError> {
        BuildTraceEntry::parse(text.as_bytes(), &asked())
    }

    fn keyed(drv: &str, signature: &str) -> String {
        format!(
            "{{\"key\":{{\"drvPath\":\"g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-{drv}.drv\",\"outputName\":\"foo\"}},\
             \"value\":{{\"outPath\":\"{OUT}\",\"signatures\":[{signature}]}}}}"
        )
    }

    #[test]
    fn nix_signs_what_is_verified_here() {
        let trusted = TrustedKeys::parse(PUBLIC).unwrap();
        let parts = format!("{{\"keyName\":\"test-key\",\"sig\":\"{SIMPLE}\"}}");
        let text = format!("\"test-key:{SIMPLE}\"");
        let unkeyed = format!("{{\"outPath\":\"{OUT}\",\"signatures\":[{parts}]}}");
        for file in [keyed("bar", &parts), keyed("bar", &text), unkeyed.clone()] {
            let entry = parse(&file).unwrap();
            assert!(entry.verify(&trusted).is_trusted(), "{file}");
            assert_eq!(entry.to_json(), unkeyed);
            let mut other = entry;
            other.out_path = "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-fop".parse().unwrap();
            assert!(!other.verify(&trusted).bad().is_empty());
        }
        assert_eq!(
            asked().cache_path(),
            "build-trace-v2/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-bar.drv/foo.doi"
        );
    }

    #[test]
    fn what_is_signed_by_us_reads_back() {
        let key = SecretKey::from_seed("test-1".parse().unwrap(), &[7; 32]);
        let mut entry = parse(&keyed("bar", "")).unwrap();
        entry.sign(&key);
        let again = parse(&entry.to_json()).unwrap();
        assert_eq!(again, entry);
        let trusted = TrustedKeys::parse(&key.public_key().to_string()).unwrap();
        assert!(again.verify(&trusted).is_trusted());
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(matches!(
            parse(&keyed("baz", "")).unwrap_err(),
            BuildTraceError::OtherOutput { .. }
        ));
        let both =
            format!("{{\"outPath\":\"{OUT}\",{}", keyed("bar", "").strip_prefix('{').unwrap());
        let twice = format!("{{\"outPath\":\"{OUT}\",\"outPath\":\"{OUT}\",\"signatures\":[]}}");
        let many = format!(
            "{{\"outPath\":\"{OUT}\",\"signatures\":[{}\"\"]}}",
            "\"\",".repeat(MAX_SIGNATURES)
        );
        for text in [
            "",
            "{}",
            "[]",
            "[\"a\",[]]",
            "{\"outPath\":\"/nix/store/x\",\"signatures\":[]}",
            "{\"outPath\":1}",
            "{\"outPath\":null}",
            &format!("{{\"outPath\":\"{OUT}\",\"signatures\":[\"x\"]}}"),
            &format!("{{\"outPath\":\"{OUT}\",\"signatures\":[{{\"keyName\":\"a\"}}]}}"),
            &both,
            &twice,
            &many,
            &" ".repeat(MAX_ENTRY_LEN + 1),
        ] {
            let shown: String = text.chars().take(200).collect();
            assert!(parse(text).is_err(), "{shown}");
        }
    }
}
