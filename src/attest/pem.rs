//! Ed25519 keys as OpenSSL writes them: PEM (RFC 7468) around PKCS#8 for
//! secret keys and SubjectPublicKeyInfo for public ones (RFC 8410).
//!
//! All fields of these are fixed but the key itself, so that what is read is
//! the few forms there are, byte for byte, and no general DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::nix::hash::{Hash, HashAlgorithm, base16};
use crate::nix::signature::{KeyName, PublicKey, SecretKey, SignatureError};

/// How a secret key in PEM begins.
pub const SECRET_LABEL: &str = "PRIVATE KEY";

/// How a public key in PEM begins.
pub const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// PKCS#8 without the public half (RFC 8410, section 7), up to the seed.
const SECRET_V1: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// PKCS#8 with the public half, up to the seed: as RFC 8410 has it, and as
/// *ring* does, which tags the public half otherwise.
const SECRET_V2: [([u8; 16], &[u8]); 2] = [
    ([0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20], &[0x81, 0x21, 0]),
    (
        [0x30, 0x53, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20],
        &[0xa1, 0x23, 3, 0x21, 0],
    ),
];

/// SubjectPublicKeyInfo up to the key.
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// Digits of a key's digest in the name it gets when it has none: enough to
/// tell keys apart. What counts is the key, not its name.
const NAME_DIGITS: usize = 16;

/// Why a text is no key.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// No PEM, or more than one block.
    #[error("it is not one block of PEM from '-----BEGIN {0}-----' to its end")]
    Block(&'static str),
    /// A block that holds something else.
    #[error(
        "it holds '{found}' (expected '{expected}'; an encrypted key has to be decrypted first, with 'openssl pkey')"
    )]
    Label {
        /// The label found.
        found: String,
        /// The label expected.
        expected: &'static str,
    },
    /// No base64.
    #[error("the block is not base64")]
    Base64,
    /// Another algorithm, or a form that nobody writes.
    #[error(
        "it is no Ed25519 key in the form of RFC 8410 ('openssl genpkey -algorithm ed25519' makes one)"
    )]
    Form,
    /// The public half is not that of the seed.
    #[error("the halves of the secret key do not belong together")]
    Halves,
    /// A key that nobody can use.
    #[error(transparent)]
    Key(#[from] SignatureError),
}

/// The label of a text that is PEM, whatever is in it.
#[must_use]
pub fn label(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix("-----BEGIN ")?.split("-----").next()
}

/// Reads a secret key; without a name it gets [`name_of`] its public half.
///
/// # Errors
/// What is wrong with the text. No error shows any of it.
pub fn secret_key(text: &str, name: Option<KeyName>) -> Result<SecretKey, PemError> {
    let bytes = block(text, SECRET_LABEL)?;
    let after =
        |prefix: &[u8]| bytes.strip_prefix(prefix).and_then(|rest| rest.split_first_chunk());
    let (seed, half): (&[u8; 32], Option<&[u8]>) = if let Some((seed, rest)) = after(&SECRET_V1) {
        if !rest.is_empty() {
            return Err(PemError::Form);
        }
        (seed, None)
    } else {
        let found = SECRET_V2.iter().find_map(|(prefix, tag)| {
            let (seed, rest) = after(prefix)?;
            Some((seed, Some(rest.strip_prefix(*tag)?)))
        });
        found.ok_or(PemError::Form)?
    };
    // The name of a key has no part in it.
    let nameless = SecretKey::from_seed("key".parse()?, seed);
    if half.is_some_and(|half| half != nameless.public_key().bytes()) {
        return Err(PemError::Halves);
    }
    let name = match name {
        Some(name) => name,
        None => name_of(nameless.public_key().bytes())?,
    };
    Ok(SecretKey::from_seed(name, seed))
}

/// Reads a public key; without a name it gets [`name_of`] it.
///
/// # Errors
/// What is wrong with the text.
pub fn public_key(text: &str, name: Option<KeyName>) -> Result<PublicKey, PemError> {
    let bytes = block(text, PUBLIC_LABEL)?;
    let key = bytes.strip_prefix(&PUBLIC).and_then(|rest| <&[u8; 32]>::try_from(rest).ok());
    let key = key.ok_or(PemError::Form)?;
    let name = match name {
        Some(name) => name,
        None => name_of(key)?,
    };
    Ok(PublicKey::new(name, key)?)
}

/// A public key as `openssl pkey -pubin` reads it.
#[must_use]
pub fn public_text(key: &PublicKey) -> String {
    let digits = BASE64.encode([&PUBLIC[..], key.bytes()].concat());
    format!("-----BEGIN {PUBLIC_LABEL}-----\n{digits}\n-----END {PUBLIC_LABEL}-----\n")
}

/// The name of a key that has none: `ed25519-` and the first digits of the
/// SHA-256 of its SubjectPublicKeyInfo.
///
/// # Errors
/// None in practice: the name is a good one.
pub fn name_of(key: &[u8; 32]) -> Result<KeyName, SignatureError> {
    let digest = Hash::of(HashAlgorithm::Sha256, &[&PUBLIC[..], key].concat());
    let digits: String = base16(digest.digest()).chars().take(NAME_DIGITS).collect();
    format!("ed25519-{digits}").parse()
}

fn block(text: &str, expected: &'static str) -> Result<Vec<u8>, PemError> {
    let no_block = || PemError::Block(expected);
    let found = label(text).ok_or_else(no_block)?;
    if found != expected {
        return Err(PemError::Label { found: found.to_owned(), expected });
    }
    let inside = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {expected}-----"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {expected}-----")))
        .ok_or_else(no_block)?;
    let digits: String = inside.split_ascii_whitespace().collect();
    BASE64.decode(digits).map_err(|_| PemError::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10.3.
    const RFC_SECRET: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

    /// RFC 8410, section 10.1: the public half of the same.
    const RFC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn the_keys_of_the_rfc() {
        let secret = secret_key(RFC_SECRET, None).unwrap();
        let public = public_key(RFC_PUBLIC, None).unwrap();
        assert_eq!(secret.public_key(), public);
        assert_eq!(public_text(&public), RFC_PUBLIC);
        assert!(secret.name().as_str().starts_with("ed25519-"));
        let named = secret_key(RFC_SECRET, Some("ci-1".parse().unwrap())).unwrap();
        assert_eq!(named.name().as_str(), "ci-1");
        assert_eq!(named.public_key().bytes(), public.bytes());
    }

    #[test]
    fn both_forms_with_a_public_half() {
        let secret = secret_key(RFC_SECRET, None).unwrap();
        let seed = BASE64.decode("1O5y2/kTWErVttjx92n4rTr+fCjL8dT74Jeoj0R1WEI=").unwrap();
        for (prefix, tag) in SECRET_V2 {
            let mut bytes = [&prefix[..], &seed, tag, secret.public_key().bytes()].concat();
            let text = |bytes: &[u8]| {
                let digits = BASE64.encode(bytes);
                format!("-----BEGIN PRIVATE KEY-----\n{digits}\n-----END PRIVATE KEY-----")
            };
            let read = secret_key(&text(&bytes), None).unwrap();
            assert_eq!(read.public_key(), secret.public_key());
            *bytes.last_mut().unwrap() ^= 1;
            assert!(matches!(secret_key(&text(&bytes), None), Err(PemError::Halves)));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "ci-1:AAAA",
            RFC_PUBLIC,
            &RFC_SECRET.replace("MC4C", "MC8C"),
            &RFC_SECRET.replace("VhC", "Vh!"),
            &RFC_SECRET.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            &RFC_SECRET.replace("VhC", "VhCAAAA"),
            &format!("{RFC_SECRET}{RFC_SECRET}"),
            RFC_SECRET.trim_end_matches("-----END PRIVATE KEY-----\n"),
        ] {
            let error = secret_key(bad, None).unwrap_err().to_string();
            assert!(!error.contains("INTuctv5"), "{error}");
        }
        assert!(public_key(RFC_SECRET, None).is_err());
        let zero =
            RFC_PUBLIC.replace("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=", &"A".repeat(43));
        assert!(public_key(&zero, None).is_err());
    }
}
