//! Sets of trusted keys, and what they make of signatures.

use std::collections::{BTreeMap, BTreeSet};

use super::{KeyName, PublicKey, Signature, SignatureError};

/// Most keys in one set: far beyond any configuration, and a bound on the work
/// a hostile file can cause.
pub const MAX_TRUSTED_KEYS: usize = 10_000;

/// The keys whose signatures count, one for each name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys(BTreeMap<KeyName, PublicKey>);

impl TrustedKeys {
    /// No key at all: every signature is by an unknown key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads keys between any white space, as in `trusted-public-keys` of
    /// `nix.conf` or in a file with a key a line. From a word that begins with
    /// `#` on, the rest of a line is a comment.
    ///
    /// # Errors
    /// Says which key is damaged, or which name has two keys.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let mut keys = Self::new();
        for line in text.lines() {
            for word in line.split_whitespace().take_while(|word| !word.starts_with('#')) {
                keys.insert(word.parse()?)?;
            }
        }
        Ok(keys)
    }

    /// Adds a key. The same key twice is the same as once.
    ///
    /// # Errors
    /// The name already stands for another key, or there are too many.
    pub fn insert(&mut self, key: PublicKey) -> Result<(), SignatureError> {
        if self.0.get(key.name()).is_some_and(|known| *known != key) {
            return Err(SignatureError::Ambiguous(key.name));
        }
        if self.0.len() >= MAX_TRUSTED_KEYS {
            return Err(SignatureError::TooManyKeys);
        }
        self.0.insert(key.name.clone(), key);
        Ok(())
    }

    /// Adds all keys of another set.
    ///
    /// # Errors
    /// As [`TrustedKeys::insert`].
    pub fn merge(&mut self, others: Self) -> Result<(), SignatureError> {
        others.0.into_values().try_for_each(|key| self.insert(key))
    }

    /// The key of that name.
    #[must_use]
    pub fn find(&self, name: &KeyName) -> Option<&PublicKey> {
        self.0.get(name)
    }

    /// The keys, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.values()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges every signature of `message`. None is passed over: each lands in
    /// exactly one of the three lists.
    #[must_use]
    pub fn check<'a>(
        &self,
        message: &[u8],
        signatures: impl IntoIterator<Item = &'a Signature>,
    ) -> CheckedSignatures {
        let mut good = BTreeSet::new();
        let mut bad = BTreeSet::new();
        let mut unknown = BTreeSet::new();
        for signature in signatures {
            match self.find(&signature.key_name) {
                None => {
                    unknown.insert(signature.key_name.clone());
                }
                Some(key) if key.verify_strict(message, &signature.bytes) => {
                    good.insert(signature.key_name.clone());
                }
                Some(_) => {
                    bad.insert(signature.clone());
                }
            }
        }
        CheckedSignatures {
            good: good.into_iter().collect(),
            bad: bad.into_iter().collect(),
            unknown: unknown.into_iter().collect(),
        }
    }
}

/// What signatures over one message turned out to be. Only
/// [`TrustedKeys::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSignatures {
    good: Vec<KeyName>,
    bad: Vec<Signature>,
    unknown: Vec<KeyName>,
}

impl CheckedSignatures {
    /// Trusted keys with a good signature, sorted.
    #[must_use]
    pub fn good(&self) -> &[KeyName] {
        &self.good
    }

    /// Bad signatures under the name of a trusted key, sorted: always worth a
    /// finding, even beside a good one.
    #[must_use]
    pub fn bad(&self) -> &[Signature] {
        &self.bad
    }

    /// Names of keys that are not trusted, sorted: their signatures say
    /// nothing, for or against.
    #[must_use]
    pub fn unknown(&self) -> &[KeyName] {
        &self.unknown
    }

    /// Whether at least one signature is good and none is bad.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        !self.good.is_empty() && self.bad.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::*;

    fn secret(name: &str, seed: u8) -> SecretKey {
        SecretKey::from_seed(name.parse().unwrap(), &[seed; 32])
    }

    #[test]
    fn every_signature_lands_in_one_list() {
        let mut trusted = TrustedKeys::new();
        trusted.insert(secret("a", 1).public_key()).unwrap();
        trusted.insert(secret("b", 2).public_key()).unwrap();
        let wrong_key = Signature::new("b".parse().unwrap(), *secret("b", 9).sign(b"x").bytes());
        let signatures = [
            secret("a", 1).sign(b"x"),
            secret("a", 1).sign(b"y"),
            wrong_key.clone(),
            secret("c", 3).sign(b"x"),
            secret("a", 1).sign(b"x"),
        ];
        let checked = trusted.check(b"x", &signatures);
        assert_eq!(checked.good(), ["a".parse().unwrap()]);
        let mut bad = vec![signatures[1].clone(), wrong_key];
        bad.sort();
        assert_eq!(checked.bad(), bad);
        assert_eq!(checked.unknown(), ["c".parse().unwrap()]);
        assert!(!checked.is_trusted(), "a bad signature is never outvoted");
        assert!(trusted.check(b"x", &signatures[..1]).is_trusted());
        assert!(!trusted.check(b"x", []).is_trusted(), "nothing signed is not trusted");
        assert!(!TrustedKeys::new().check(b"x", &signatures).is_trusted());
    }

    #[test]
    fn lists_of_keys() {
        let a = secret("a", 1).public_key();
        let b = secret("b", 2).public_key();
        let other = secret("a", 3).public_key();
        let keys = TrustedKeys::parse(&format!("# ours\n{a} {b} # both\n\n\t{a}\n")).unwrap();
        assert_eq!(keys.iter().collect::<Vec<_>>(), [&a, &b]);
        assert_eq!(keys.find(a.name()), Some(&a));
        assert_eq!(
            TrustedKeys::parse(&format!("{a}\n{other}")),
            Err(SignatureError::Ambiguous(a.name().clone()))
        );
        let mut merged = keys.clone();
        merged.merge(keys.clone()).unwrap();
        assert_eq!(merged, keys);
        assert!(merged.merge(TrustedKeys::parse(&other.to_string()).unwrap()).is_err());
        assert!(TrustedKeys::parse("").unwrap().is_empty());
    }
}
