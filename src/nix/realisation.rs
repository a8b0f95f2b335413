//! Realisations: which store path a content-addressed output turned out to be.
//!
//! Follows `src/libstore/realisation.cc` up to Nix 2.34 (later releases write
//! [`super::build_trace`]): the file
//! `realisations/<id>.doi` of a cache, whose signatures cover the compact JSON
//! without them, keys sorted. That text is rebuilt from the parsed fields. A
//! realisation is a claim: nothing follows from it without a good signature.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::hash::{Hash, HashError};
use super::signature::{CheckedSignatures, SecretKey, Signature, SignatureError, TrustedKeys};
use super::store_path::{NameError, StorePath, StorePathError, check_name};

/// Longest file that is read: room for 100,000 dependent realisations.
pub const MAX_REALISATION_LEN: usize = 16 << 20;

/// Most signatures of one realisation, as for narinfos.
pub const MAX_SIGNATURES: usize = 256;

/// Why a file is no realisation.
#[derive(Debug, thiserror::Error)]
pub enum RealisationError {
    /// Too long.
    #[error("the realisation has {0} bytes (expected at most {MAX_REALISATION_LEN})")]
    TooLong(usize),
    /// Not the JSON it should be.
    #[error("the realisation is not the JSON that Nix writes: {0}")]
    Json(#[source] serde_json::Error),
    /// Not an object at all.
    #[error("the realisation is not a JSON object")]
    NotAnObject,
    /// A bad id.
    #[error("bad {field} in the realisation: {source}")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: DrvOutputError,
    },
    /// A bad store path.
    #[error("bad {field} in the realisation: {source}")]
    Path {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: StorePathError,
    },
    /// A damaged signature.
    #[error("signature {index} of the realisation is bad: {source}")]
    Signature {
        /// Which, counted from 1.
        index: usize,
        /// What is wrong.
        source: SignatureError,
    },
    /// Too many signatures.
    #[error("the realisation has {0} signatures (expected at most {MAX_SIGNATURES})")]
    TooManySignatures(usize),
    /// The file describes another output.
    #[error("the realisation describes {found} where {asked} was asked for")]
    OtherOutput {
        /// The output described.
        found: Box<DrvOutput>,
        /// The output asked for.
        asked: Box<DrvOutput>,
    },
}

/// Why a text is no derivation output id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrvOutputError {
    /// No `!`.
    #[error("an id is written '<hash>!<output>', found no '!'")]
    NoMark,
    /// A bad hash.
    #[error("bad hash: {0}")]
    Hash(#[from] HashError),
    /// A bad output name.
    #[error("bad output name: {0}")]
    Name(#[from] NameError),
}

/// An output of a derivation: `<algorithm>:<hex of the masked modulo>!<output>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrvOutput {
    modulo: Hash,
    output: String,
}

impl DrvOutput {
    /// Joins the hash modulo and the output's name.
    ///
    /// # Errors
    /// A name that outputs may not have.
    pub fn new(modulo: Hash, output: &str) -> Result<Self, NameError> {
        check_name(output)?;
        Ok(Self { modulo, output: output.to_owned() })
    }

    /// The hash modulo of the derivation, its own outputs masked.
    #[must_use]
    pub const fn modulo(&self) -> &Hash {
        &self.modulo
    }

    /// The output's name.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The path of the file inside a cache.
    #[must_use]
    pub fn cache_path(&self) -> String {
        format!("realisations/{self}.doi")
    }
}

impl FromStr for DrvOutput {
    type Err = DrvOutputError;

    fn from_str(text: &str) -> Result<Self, DrvOutputError> {
        let (hash, output) = text.split_once('!').ok_or(DrvOutputError::NoMark)?;
        Ok(Self::new(Hash::parse(hash, None)?, output)?)
    }
}

impl fmt::Display for DrvOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}!{}", self.modulo.algorithm(), self.modulo.base16(), self.output)
    }
}

/// A realisation as a cache claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realisation {
    /// The output that is described.
    pub id: DrvOutput,
    /// What it turned out to be.
    pub out_path: StorePath,
    /// What its inputs turned out to be.
    pub dependent_realisations: BTreeMap<DrvOutput, StorePath>,
    /// The signatures in the order of the file.
    pub signatures: Vec<Signature>,
}

impl Realisation {
    /// Reads a realisation.
    ///
    /// # Errors
    /// Says which field is wrong, and how.
    pub fn parse(bytes: &[u8]) -> Result<Self, RealisationError> {
        if bytes.len() > MAX_REALISATION_LEN {
            return Err(RealisationError::TooLong(bytes.len()));
        }
        // Derived readers would take an array for an object.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(RealisationError::NotAnObject);
        }
        let file: File = serde_json::from_slice(bytes).map_err(RealisationError::Json)?;
        if file.signatures.len() > MAX_SIGNATURES {
            return Err(RealisationError::TooManySignatures(file.signatures.len()));
        }
        let id = |field, text: &str| {
            text.parse().map_err(|source| RealisationError::Id { field, source })
        };
        let path = |field, text: &str| {
            text.parse().map_err(|source| RealisationError::Path { field, source })
        };
        let mut dependent_realisations = BTreeMap::new();
        for (key, value) in &file.dependent_realisations.0 {
            const FIELD: &str = "dependentRealisations";
            let key: DrvOutput = id(FIELD, key)?;
            let twice = RealisationError::Json(serde_json::Error::custom(format!(
                "{key} stands twice in {FIELD}"
            )));
            if dependent_realisations.insert(key, path(FIELD, value)?).is_some() {
                return Err(twice);
            }
        }
        let mut signatures = Vec::new();
        for (index, text) in (1..).zip(&file.signatures) {
            let error = |source| RealisationError::Signature { index, source };
            signatures.push(text.parse().map_err(error)?);
        }
        Ok(Self {
            id: id("id", &file.id)?,
            out_path: path("outPath", &file.out_path)?,
            dependent_realisations,
            signatures,
        })
    }

    /// Checks that the file describes the output that was asked for.
    ///
    /// # Errors
    /// It describes another one.
    pub fn check_id(&self, asked: &DrvOutput) -> Result<(), RealisationError> {
        if self.id == *asked {
            Ok(())
        } else {
            Err(RealisationError::OtherOutput {
                found: Box::new(self.id.clone()),
                asked: Box::new(asked.clone()),
            })
        }
    }

    /// The text that is signed.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.json(None)
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

    /// The file as Nix writes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.json(Some(&self.signatures))
    }

    /// Compact, keys sorted. No part can hold a character that JSON escapes.
    fn json(&self, signatures: Option<&[Signature]>) -> String {
        let dependent: Vec<String> = self
            .dependent_realisations
            .iter()
            .map(|(id, path)| format!("\"{id}\":\"{path}\""))
            .collect();
        let mut text = format!(
            "{{\"dependentRealisations\":{{{}}},\"id\":\"{}\",\"outPath\":\"{}\"",
            dependent.join(","),
            self.id,
            self.out_path
        );
        if let Some(signatures) = signatures {
            let quoted: Vec<String> =
                signatures.iter().map(|signature| json_string(&signature.to_string())).collect();
            text.push_str(&format!(",\"signatures\":[{}]", quoted.join(",")));
        }
        text.push('}');
        text
    }
}

/// Quotes printable ASCII: key names may hold quotes and backslashes.
pub(super) fn json_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The file's shape.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    dependent_realisations: UniqueMap,
    id: String,
    out_path: String,
    #[serde(default)]
    signatures: Vec<String>,
}

/// An object of strings in which no key stands twice.
#[derive(Default)]
struct UniqueMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueMap, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if entries.insert(key, value).is_some() {
                        return Err(A::Error::custom("a key stands twice"));
                    }
                }
                Ok(UniqueMap(entries))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:6f869f9ea2823bda165e06076fd0de4366dead2c0e8d2dbbad277d4f15c373f5!out";
    const OTHER: &str =
        "sha256:0f869f9ea2823bda165e06076fd0de4366dead2c0e8d2dbbad277d4f15c373f5!dev";
    const PATH: &str = "c5asc3lmr2jn3f0m2y77cf48078qb9mg-ca";

    fn key() -> SecretKey {
        SecretKey::from_seed("test-1".parse().unwrap(), &[7; 32])
    }

    #[test]
    fn what_is_printed_reads_back() {
        let text = format!(
            "{{\"dependentRealisations\":{{\"{OTHER}\":\"{PATH}\"}},\"id\":\"{ID}\",\"outPath\":\"{PATH}\",\"signatures\":[]}}"
        );
        let mut realisation = Realisation::parse(text.as_bytes()).unwrap();
        assert_eq!(realisation.to_json(), text);
        assert_eq!(realisation.fingerprint(), text.replace(",\"signatures\":[]", ""));
        assert_eq!(realisation.id.cache_path(), format!("realisations/{ID}.doi"));
        realisation.sign(&key());
        let again = Realisation::parse(realisation.to_json().as_bytes()).unwrap();
        assert_eq!(again, realisation);
        let mut trusted = TrustedKeys::new();
        trusted.insert(key().public_key()).unwrap();
        assert!(again.verify(&trusted).is_trusted());
    }

    #[test]
    fn signatures_cover_every_other_field() {
        let text = format!("{{\"id\":\"{ID}\",\"outPath\":\"{PATH}\"}}");
        let mut realisation = Realisation::parse(text.as_bytes()).unwrap();
        realisation.sign(&key());
        let mut trusted = TrustedKeys::new();
        trusted.insert(key().public_key()).unwrap();
        assert!(realisation.verify(&trusted).is_trusted());
        let mut other = realisation.clone();
        other.id = OTHER.parse().unwrap();
        assert_eq!(other.verify(&trusted).bad().len(), 1);
        let mut other = realisation.clone();
        other.out_path = "fj6lb7gkbaynfim0zqiqiykjk08bjnm6-ca".parse().unwrap();
        assert_eq!(other.verify(&trusted).bad().len(), 1);
        let mut other = realisation.clone();
        other.dependent_realisations.insert(OTHER.parse().unwrap(), PATH.parse().unwrap());
        assert_eq!(other.verify(&trusted).bad().len(), 1);
        assert!(!realisation.verify(&TrustedKeys::new()).is_trusted());
    }

    #[test]
    fn bad_files_are_named() {
        let hex = &ID[7..71];
        for (text, wanted) in [
            ("x".to_owned(), "not a JSON object"),
            (format!("[{{}},\"{ID}\",\"{PATH}\",[]]"), "not a JSON object"),
            (format!("{{\"id\":\"{ID}\""), "not the JSON"),
            (format!("{{\"id\":\"{ID}\"}}"), "missing field `outPath`"),
            (format!("{{\"id\":\"{ID}\",\"id\":\"{ID}\",\"outPath\":\"{PATH}\"}}"), "duplicate"),
            (
                format!(
                    "{{\"dependentRealisations\":{{\"{ID}\":\"{PATH}\",\"{ID}\":\"{PATH}\"}},\"id\":\"{ID}\",\"outPath\":\"{PATH}\"}}"
                ),
                "twice",
            ),
            (
                format!(
                    "{{\"dependentRealisations\":{{\"{ID}\":\"{PATH}\",\"sha256:{}!out\":\"{PATH}\"}},\"id\":\"{ID}\",\"outPath\":\"{PATH}\"}}",
                    hex.to_uppercase()
                ),
                "twice",
            ),
            (format!("{{\"id\":\"{hex}!out\",\"outPath\":\"{PATH}\"}}"), "names no algorithm"),
            (format!("{{\"id\":\"sha256:{hex}\",\"outPath\":\"{PATH}\"}}"), "no '!'"),
            (format!("{{\"id\":\"sha256:{hex}!a/b\",\"outPath\":\"{PATH}\"}}"), "output name"),
            (format!("{{\"id\":\"{ID}\",\"outPath\":\"/nix/store/{PATH}\"}}"), "bad outPath"),
            (
                format!("{{\"id\":\"{ID}\",\"outPath\":\"{PATH}\",\"signatures\":[\"x\"]}}"),
                "signature 1",
            ),
            (format!("{{\"x\":{}", "[".repeat(100_000)), "not the JSON"),
        ] {
            let error = Realisation::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text:.200}: {error}");
        }
    }

    #[test]
    fn another_output_is_refused() {
        let text = format!("{{\"id\":\"{ID}\",\"outPath\":\"{PATH}\"}}");
        let realisation = Realisation::parse(text.as_bytes()).unwrap();
        assert!(realisation.check_id(&ID.parse().unwrap()).is_ok());
        assert!(realisation.check_id(&OTHER.parse().unwrap()).is_err());
    }
}
