//! DSSE envelopes: bytes of a stated type with signatures over both.
//!
//! Follows the Dead Simple Signing Envelope 1.0.2
//! (<https://github.com/secure-systems-lab/dsse>) and is stricter, so that
//! nothing in a file can be changed unnoticed: an envelope is compact JSON
//! without escapes, holds no field twice and none that is unknown, and its
//! base64 is canonical. What is signed is
//! `DSSEv1 <length of type> <type> <length of payload> <payload>`.
//!
//! A `keyid` is a hint that nobody has signed. A signature counts for the
//! trusted key of that name or, if it names none, for the trusted key that made
//! it; under the name of a trusted key that did not make it, it is forged.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::nix::json::{self, JsonError, Node, Value};
use crate::nix::signature::{KeyName, SIGNATURE_LEN, SecretKey, TrustedKeys};

/// The type of the payload of every in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Most signatures of one envelope: far more than anybody adds, few enough to
/// check each with every key.
pub const MAX_SIGNATURES: usize = 64;

/// What stands in an envelope.
const FIELDS: [&str; 3] = ["payload", "payloadType", "signatures"];

/// Why a text is no envelope.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// No JSON.
    #[error("it is no JSON: {0}")]
    Json(#[from] JsonError),
    /// A key that stands twice.
    #[error("the field '{0}' stands twice")]
    Duplicate(String),
    /// Blanks or escapes.
    #[error(
        "byte {0} is not where compact JSON without escapes has it (write one envelope a line, as 'jq -c .' does)"
    )]
    Form(usize),
    /// A field that envelopes do not have.
    #[error("'{0}' is no field of an envelope")]
    Unknown(String),
    /// A field that is missing or of another kind.
    #[error("the field '{field}' is {found} (expected {expected})")]
    Field {
        /// The field.
        field: &'static str,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Bytes that are not canonical base64.
    #[error("the field '{0}' is not canonical base64 (standard alphabet, padded)")]
    Base64(&'static str),
    /// No signature, or too many.
    #[error("it has {0} signatures (expected 1 to {MAX_SIGNATURES})")]
    Signatures(usize),
    /// A key name that would need an escape.
    #[error("the key name '{0}' cannot stand in an envelope: it has a quote or a backslash")]
    KeyName(KeyName),
}

/// A payload with signatures that nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Claimed>,
}

/// A signature as an envelope states it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claimed {
    keyid: String,
    sig: Vec<u8>,
}

/// What came of the signatures of one envelope: each is in exactly one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Trusted keys that have signed.
    pub good: BTreeSet<KeyName>,
    /// Trusted names whose signature is bad.
    pub forged: BTreeSet<KeyName>,
    /// Names that are not trusted, as written; empty for none given.
    pub unknown: BTreeSet<String>,
}

impl Envelope {
    /// Signs a payload with every key.
    ///
    /// # Errors
    /// No key, too many, or one with a name that cannot be written.
    pub fn sign(
        payload_type: &str,
        payload: Vec<u8>,
        keys: &[SecretKey],
    ) -> Result<Self, DsseError> {
        if keys.is_empty() || keys.len() > MAX_SIGNATURES {
            return Err(DsseError::Signatures(keys.len()));
        }
        let message = encoded(payload_type, &payload);
        let mut signatures = Vec::new();
        for key in keys {
            if key.name().as_str().contains(['"', '\\']) {
                return Err(DsseError::KeyName(key.name().clone()));
            }
            let sig = key.sign(&message).bytes().to_vec();
            signatures.push(Claimed { keyid: key.name().to_string(), sig });
        }
        Ok(Self { payload_type: payload_type.to_owned(), payload, signatures })
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        let document = json::parse(bytes)?;
        if let Some(double) = document.duplicates.named.first() {
            return Err(DsseError::Duplicate(double.key.clone()));
        }
        let root = document.root;
        compact(&root, bytes)?;
        known(&root, "the envelope", &FIELDS)?;
        let payload = base64(&root, "payload")?;
        let payload_type = string(&root, "payloadType")?.to_owned();
        let Some(listed) = root.member("signatures") else {
            return Err(missing("signatures", "a list"));
        };
        let Value::Array(items) = &listed.value else {
            return Err(of_kind("signatures", listed, "a list"));
        };
        if items.is_empty() || items.len() > MAX_SIGNATURES {
            return Err(DsseError::Signatures(items.len()));
        }
        let mut signatures = Vec::new();
        for item in items {
            known(item, "signatures", &["keyid", "sig"])?;
            let keyid = match item.member("keyid") {
                None => String::new(),
                Some(_) => string(item, "keyid")?.to_owned(),
            };
            signatures.push(Claimed { keyid, sig: base64(item, "sig")? });
        }
        Ok(Self { payload_type, payload, signatures })
    }

    /// The type of the payload.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// What is signed. Nobody should read it before [`Envelope::check`] has
    /// found a good signature.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Judges every signature.
    #[must_use]
    pub fn check(&self, trusted: &TrustedKeys) -> Checked {
        let message = encoded(&self.payload_type, &self.payload);
        let mut checked = Checked::default();
        for Claimed { keyid, sig } in &self.signatures {
            let made_by = |key: &crate::nix::signature::PublicKey| {
                <&[u8; SIGNATURE_LEN]>::try_from(sig.as_slice())
                    .is_ok_and(|sig| key.verify_strict(&message, sig))
            };
            let named = keyid.parse().ok().and_then(|name: KeyName| trusted.find(&name));
            match named {
                Some(key) if made_by(key) => {
                    checked.good.insert(key.name().clone());
                }
                Some(key) => {
                    checked.forged.insert(key.name().clone());
                }
                None => match trusted.iter().find(|key| keyid.is_empty() && made_by(key)) {
                    Some(key) => {
                        checked.good.insert(key.name().clone());
                    }
                    None => {
                        checked.unknown.insert(keyid.clone());
                    }
                },
            }
        }
        checked
    }

    /// The envelope as one line, its end included.
    #[must_use]
    pub fn to_line(&self) -> String {
        let signatures: Vec<String> = self
            .signatures
            .iter()
            .map(|one| {
                format!(r#"{{"keyid":"{}","sig":"{}"}}"#, one.keyid, BASE64.encode(&one.sig))
            })
            .collect();
        format!(
            "{{\"payload\":\"{}\",\"payloadType\":\"{}\",\"signatures\":[{}]}}\n",
            BASE64.encode(&self.payload),
            self.payload_type,
            signatures.join(",")
        )
    }
}

/// The bytes that are signed (PAE, the pre-authentication encoding).
#[must_use]
pub fn encoded(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// That a text is compact and holds no escape: then it is what its values,
/// written one after the other in their order, give.
fn compact(root: &Node, bytes: &[u8]) -> Result<(), DsseError> {
    let mut written = String::new();
    write(root, &mut written);
    if written.as_bytes() == bytes {
        return Ok(());
    }
    Err(DsseError::Form(
        written.bytes().zip(bytes).take_while(|(one, other)| one == *other).count(),
    ))
}

/// Nodes are read with a bound on their depth, so that this one may recurse.
fn write(node: &Node, text: &mut String) {
    match &node.value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(digits) => text.push_str(digits),
        Value::String(string) => {
            text.push('"');
            text.push_str(string);
            text.push('"');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push('"');
                text.push_str(&member.key);
                text.push_str("\":");
                write(&member.value, text);
            }
            text.push('}');
        }
    }
}

fn known(node: &Node, field: &'static str, fields: &[&str]) -> Result<(), DsseError> {
    let Some(members) = node.members() else { return Err(of_kind(field, node, "an object")) };
    match members.iter().find(|member| !fields.contains(&member.key.as_ref())) {
        None => Ok(()),
        Some(member) => Err(DsseError::Unknown(member.key.to_string())),
    }
}

fn string<'a>(node: &'a Node, field: &'static str) -> Result<&'a str, DsseError> {
    let Some(found) = node.member(field) else { return Err(missing(field, "a string")) };
    found.string().ok_or_else(|| of_kind(field, found, "a string"))
}

fn base64(node: &Node, field: &'static str) -> Result<Vec<u8>, DsseError> {
    BASE64.decode(string(node, field)?).map_err(|_| DsseError::Base64(field))
}

const fn missing(field: &'static str, expected: &'static str) -> DsseError {
    DsseError::Field { field, found: "missing", expected }
}

const fn of_kind(field: &'static str, found: &Node, expected: &'static str) -> DsseError {
    DsseError::Field { field, found: found.kind(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, seed: u8) -> SecretKey {
        SecretKey::from_seed(name.parse().unwrap(), &[seed; 32])
    }

    fn trusted(keys: &[SecretKey]) -> TrustedKeys {
        let mut trusted = TrustedKeys::new();
        for key in keys {
            trusted.insert(key.public_key()).unwrap();
        }
        trusted
    }

    fn names(names: &[&str]) -> BTreeSet<KeyName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_example_of_the_protocol() {
        let encoded = encoded("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn envelopes_read_back() {
        let keys = [key("a-1", 1), key("b-1", 2)];
        let envelope = Envelope::sign(IN_TOTO, b"{}".to_vec(), &keys).unwrap();
        let line = envelope.to_line();
        let read = Envelope::parse(line.trim_end().as_bytes()).unwrap();
        assert_eq!(read, envelope);
        assert_eq!(read.check(&trusted(&keys)).good, names(&["a-1", "b-1"]));
        let checked = read.check(&trusted(&keys[..1]));
        assert_eq!(checked.good, names(&["a-1"]));
        assert_eq!(checked.unknown, BTreeSet::from(["b-1".to_owned()]));
        let checked = read.check(&trusted(&[key("a-1", 9)]));
        assert_eq!((checked.good.len(), checked.forged), (0, names(&["a-1"])));
    }

    #[test]
    fn a_signature_without_a_name_is_found_by_its_key() {
        let keys = [key("a-1", 1), key("b-1", 2)];
        let line = Envelope::sign(IN_TOTO, b"{}".to_vec(), &keys[1..]).unwrap().to_line();
        for nameless in [
            line.replace(r#""keyid":"b-1","#, ""),
            line.replace(r#""keyid":"b-1""#, r#""keyid":"""#),
        ] {
            let read = Envelope::parse(nameless.trim_end().as_bytes()).unwrap();
            assert_eq!(read.check(&trusted(&keys)).good, names(&["b-1"]));
            assert!(read.check(&trusted(&keys[..1])).good.is_empty());
        }
    }

    /// Any byte, made any other: no envelope, no good signature, or a forged
    /// one. Never two good ones.
    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = [key("ci-1", 1), key("ci-2", 2)];
        let trusted = trusted(&keys);
        let line = Envelope::sign(IN_TOTO, br#"{"a":1}"#.to_vec(), &keys[..1]).unwrap().to_line();
        let line = line.trim_end().as_bytes();
        let mut read = 0;
        for at in 0..line.len() {
            for byte in 0..=u8::MAX {
                let mut other = line.to_vec();
                if other[at] == byte {
                    continue;
                }
                other[at] = byte;
                if let Ok(envelope) = Envelope::parse(&other) {
                    read += 1;
                    assert!(envelope.check(&trusted).good.is_empty(), "byte {at} as {byte}");
                }
            }
        }
        assert!(read > 100, "{read}: some changes have to leave an envelope");
    }

    #[test]
    fn other_forms_are_refused() {
        let line = Envelope::sign(IN_TOTO, b"{}".to_vec(), &[key("a", 1)]).unwrap().to_line();
        let line = line.trim_end();
        for (bad, wanted) in [
            (line.replace("{\"payload\"", "{ \"payload\""), "compact"),
            (line.replace("payloadType\":\"a", "payloadType\":\"\\u0061"), "compact"),
            (line.replace("\"keyid\"", "\"keyId\""), "no field"),
            (line.replace("{\"payload\":", "{\"payload\":\"\",\"payload\":"), "twice"),
            (line.replace("e30=", "e30"), "canonical base64"),
            (line.replace("e30=", "e31="), "canonical base64"),
            (line.replace("\"signatures\":", "\"signature\":"), "no field"),
            (r#"{"payload":"","payloadType":"x","signatures":[]}"#.to_owned(), "0 signatures"),
            (r#"{"payload":1,"payloadType":"x","signatures":[]}"#.to_owned(), "a number"),
            (r#"{"payload":"","signatures":[]}"#.to_owned(), "missing"),
            ("[]".to_owned(), "an array"),
            (format!("{line}\n"), "compact"),
        ] {
            let error = Envelope::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{bad}: {error}");
        }
        assert!(Envelope::sign(IN_TOTO, Vec::new(), &[]).is_err());
        assert!(Envelope::sign(IN_TOTO, Vec::new(), &[key("a\"b", 1)]).is_err());
    }
}
