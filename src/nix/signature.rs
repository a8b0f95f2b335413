//! Ed25519 keys and detached signatures as Nix writes them:
//! `<key name>:<base64>`.
//!
//! Follows `src/libutil/signature/local-keys.cc`. Verification is strict
//! (RFC 8032 without low-order keys or non-canonical encodings), which accepts
//! exactly what Nix's libsodium accepts. Base64 must be canonical, so that
//! there is one text for every key and signature.

mod multiples;
mod trusted;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use multiples::Memory;

pub use trusted::{CheckedSignatures, MAX_TRUSTED_KEYS, TrustedKeys};

/// Bytes of a public key.
pub const PUBLIC_KEY_LEN: usize = 32;

/// Bytes of a secret key: the seed, then the public key.
pub const SECRET_KEY_LEN: usize = 64;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// Longest key name: far beyond any in use (they are host names with a
/// number), short enough to print.
pub const MAX_KEY_NAME_LEN: usize = 255;

/// The key of `cache.nixos.org`, as the Nix manual and every installation of
/// Nix publish it.
pub const CACHE_NIXOS_ORG_KEY: &str =
    "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

/// Why a text is no key or signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No colon between key name and base64.
    #[error("a {0} is written '<key name>:<base64>', found no ':'")]
    NoColon(&'static str),
    /// The key name is empty or too long.
    #[error("the key name has {0} characters (expected 1 to {MAX_KEY_NAME_LEN})")]
    NameLength(usize),
    /// A byte that key names may not hold.
    #[error(
        "byte {byte:#04x} at offset {offset} may not stand in a key name (expected printable ASCII other than space and ':')"
    )]
    NameByte {
        /// Offset in the name.
        offset: usize,
        /// The byte found.
        byte: u8,
    },
    /// Not canonical base64 of the right length.
    #[error("the {what} of key '{name}' is not canonical base64 of {expected} bytes")]
    Base64 {
        /// Public key, secret key or signature.
        what: &'static str,
        /// The key's name.
        name: KeyName,
        /// The length expected, decoded.
        expected: usize,
    },
    /// The bytes are no point of the curve, or not its canonical encoding.
    #[error("the public key of '{0}' is no point of the curve in canonical encoding")]
    NotAPoint(KeyName),
    /// A key of low order: signatures under it prove nothing.
    #[error("the public key of '{0}' has a low order: signatures under it prove nothing")]
    Weak(KeyName),
    /// The public half of a secret key is not that of its seed.
    #[error("the halves of the secret key '{0}' do not belong together")]
    Halves(KeyName),
    /// One name for two different keys.
    #[error("key '{0}' is given twice with different bytes: remove one or rename it")]
    Ambiguous(KeyName),
    /// Too many keys.
    #[error("more than {MAX_TRUSTED_KEYS} trusted keys are given")]
    TooManyKeys,
}

/// The name of a key, without a colon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = SignatureError;

    fn from_str(name: &str) -> Result<Self, SignatureError> {
        if name.is_empty() || name.len() > MAX_KEY_NAME_LEN {
            return Err(SignatureError::NameLength(name.len()));
        }
        match name.bytes().enumerate().find(|(_, byte)| !byte.is_ascii_graphic() || *byte == b':') {
            Some((offset, byte)) => Err(SignatureError::NameByte { offset, byte }),
            None => Ok(Self(name.to_owned())),
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits `<name>:<base64>`.
fn split<const N: usize>(
    text: &str,
    what: &'static str,
) -> Result<(KeyName, [u8; N]), SignatureError> {
    let (name, digits) = text.split_once(':').ok_or(SignatureError::NoColon(what))?;
    let name: KeyName = name.parse()?;
    // The length is looked at first: nothing is decoded that cannot fit.
    let bytes = (digits.len() == N.div_ceil(3) * 4)
        .then(|| BASE64.decode(digits).ok())
        .flatten()
        .and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    match bytes {
        Some(bytes) => Ok((name, bytes)),
        None => Err(SignatureError::Base64 { what, name, expected: N }),
    }
}

/// A signature with the name of the key it claims to be made by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    key_name: KeyName,
    bytes: [u8; SIGNATURE_LEN],
}

impl Signature {
    /// Joins a key name and the signature's bytes.
    #[must_use]
    pub const fn new(key_name: KeyName, bytes: [u8; SIGNATURE_LEN]) -> Self {
        Self { key_name, bytes }
    }

    /// The name of the key that is said to have made it.
    #[must_use]
    pub const fn key_name(&self) -> &KeyName {
        &self.key_name
    }

    /// The signature itself.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.bytes
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (key_name, bytes) = split(text, "signature")?;
        Ok(Self { key_name, bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, BASE64.encode(self.bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A public key with its name.
#[derive(Clone)]
pub struct PublicKey {
    name: KeyName,
    key: VerifyingKey,
    memory: Arc<Memory>,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.key) == (&other.name, &other.key)
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    /// Takes the bytes of a public key.
    ///
    /// # Errors
    /// Bytes that are no point of the curve, or one of low order.
    pub fn new(name: KeyName, bytes: &[u8; PUBLIC_KEY_LEN]) -> Result<Self, SignatureError> {
        let key = match VerifyingKey::from_bytes(bytes) {
            Ok(key) => key,
            Err(_) => return Err(SignatureError::NotAPoint(name)),
        };
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(SignatureError::NotAPoint(name));
        }
        if key.is_weak() {
            return Err(SignatureError::Weak(name));
        }
        Ok(Self::of(name, key))
    }

    fn of(name: KeyName, key: VerifyingKey) -> Self {
        Self { name, key, memory: Arc::default() }
    }

    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        self.key.as_bytes()
    }

    /// Whether these bytes are a signature of `message` by this key, whatever
    /// the signature says its key is called.
    #[must_use]
    pub fn verify_strict(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        if let Some(multiples) = self.memory.multiples(&self.key.to_edwards()) {
            return multiples.verify_strict(self.bytes(), message, signature);
        }
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = split(text, "public key")?;
        Self::new(name, &bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A secret key with its name. Never printed, not even by `Debug`.
#[derive(Clone)]
pub struct SecretKey {
    name: KeyName,
    key: SigningKey,
}

impl SecretKey {
    /// The key that grows from a seed.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        Self { name, key: SigningKey::from_bytes(seed) }
    }

    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::of(self.name.clone(), self.key.verifying_key())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::new(self.name.clone(), self.key.sign(message).to_bytes())
    }

    /// The text that `nix-store --generate-binary-cache-key` writes.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        format!("{}:{}", self.name, BASE64.encode(self.key.to_keypair_bytes()))
    }
}

impl FromStr for SecretKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = split::<SECRET_KEY_LEN>(text, "secret key")?;
        match SigningKey::from_keypair_bytes(&bytes) {
            Ok(key) => Ok(Self { name, key }),
            Err(_) => Err(SignatureError::Halves(name)),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:(secret)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, seed: u8) -> SecretKey {
        SecretKey::from_seed(name.parse().unwrap(), &[seed; 32])
    }

    #[test]
    fn keys_and_signatures_read_back() {
        let key = secret("test-1", 1);
        let text = key.to_secret_text();
        assert_eq!(text.parse::<SecretKey>().unwrap().to_secret_text(), text);
        let public = key.public_key();
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
        let signature = key.sign(b"x");
        assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
        assert_eq!(format!("{key:?}"), "test-1:(secret)");
        let published: PublicKey = CACHE_NIXOS_ORG_KEY.parse().unwrap();
        assert_eq!(published.to_string(), CACHE_NIXOS_ORG_KEY);
    }

    #[test]
    fn every_flipped_bit_breaks_the_signature() {
        let key = secret("a", 1);
        let message = b"1;/nix/store/x;sha256:y;1;";
        let signature = *key.sign(message).bytes();
        let public = key.public_key();
        assert!(public.verify_strict(message, &signature));
        for bit in 0..SIGNATURE_LEN * 8 {
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!public.verify_strict(message, &other), "bit {bit} of the signature");
        }
        for bit in 0..message.len() * 8 {
            let mut other = *message;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!public.verify_strict(&other, &signature), "bit {bit} of the message");
        }
    }

    #[test]
    fn bad_texts_are_named() {
        let a = secret("a", 1).public_key().to_string();
        let digits = &a[2..];
        // The last digit before the padding has two spare bits.
        let spare = format!("a:{}", digits.replace("w=", "x="));
        assert_ne!(spare, a);
        for (text, wanted) in [
            (digits.to_owned(), "no ':'"),
            (format!(":{digits}"), "0 characters"),
            (format!("{}:{digits}", "n".repeat(MAX_KEY_NAME_LEN + 1)), "256 characters"),
            (format!("a b:{digits}"), "byte 0x20 at offset 1"),
            (format!("a\u{e9}:{digits}"), "byte 0xc3 at offset 1"),
            (format!("a:{}", digits.trim_end_matches('=')), "not canonical base64 of 32 bytes"),
            (format!("a:{digits}="), "not canonical base64"),
            (format!("a: {digits}"), "not canonical base64"),
            (format!("{a}\n"), "not canonical base64"),
            (format!("a:{digits}{digits}"), "not canonical base64"),
            (format!("a:{}", digits.replace('=', "-")), "not canonical base64"),
            (spare, "not canonical base64"),
            (format!("a:{}", BASE64.encode([0; 32])), "low order"),
            (format!("a:{}", BASE64.encode([0xff; 32])), "no point of the curve"),
            (format!("a:{}", BASE64.encode([2; 32])), "no point of the curve"),
        ] {
            let error = text.parse::<PublicKey>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn secret_keys_with_foreign_halves_are_refused() {
        let mut pair = [1; SECRET_KEY_LEN];
        pair[32..].copy_from_slice(secret("a", 2).public_key().bytes());
        let text = format!("a:{}", BASE64.encode(pair));
        let error = text.parse::<SecretKey>().unwrap_err();
        assert_eq!(error, SignatureError::Halves("a".parse().unwrap()));
        assert!(!error.to_string().contains(&BASE64.encode(pair)));
    }
}
