//! The id of a git object: SHA-1 or SHA-256 in base16, as a lock's `rev` has it.

use std::fmt;

use crate::nix::hash::base16;

/// The id of a commit, tree, blob or tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// Of a repository in the usual format.
    Sha1([u8; 20]),
    /// Of a repository with `extensions.objectFormat = sha256`.
    Sha256([u8; 32]),
}

/// Why a text is no object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectIdError {
    /// Neither 40 nor 64 characters.
    #[error("{0} characters are no git object id (expected 40 base16 digits, or 64 for SHA-256)")]
    Length(usize),
    /// A character that is no base16 digit.
    #[error("byte {byte:#04x} at offset {offset} is not a base16 digit of a git object id")]
    Digit {
        /// Where it stands.
        offset: usize,
        /// The byte.
        byte: u8,
    },
}

impl ObjectId {
    /// Reads 40 or 64 base16 digits in either case.
    ///
    /// # Errors
    /// Another length, or another character.
    pub fn parse(text: &str) -> Result<Self, ObjectIdError> {
        match text.len() {
            40 => decode(text).map(Self::Sha1),
            64 => decode(text).map(Self::Sha256),
            other => Err(ObjectIdError::Length(other)),
        }
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8] {
        match self {
            Self::Sha1(digest) => digest,
            Self::Sha256(digest) => digest,
        }
    }

    /// The first seven digits, as people write it.
    #[must_use]
    pub fn short(&self) -> String {
        base16(self.digest()).chars().take(7).collect()
    }
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], ObjectIdError> {
    let mut digest = [0u8; N];
    for (offset, &byte) in text.as_bytes().iter().enumerate() {
        let digit = char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or(ObjectIdError::Digit { offset, byte })?;
        if let Some(slot) = digest.get_mut(offset / 2) {
            *slot = *slot << 4 | digit;
        }
    }
    Ok(digest)
}

/// Lower-case base16.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16(self.digest()))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        for text in ["0123456789abcdef0123456789abcdef01234567", &"ef".repeat(32)] {
            assert_eq!(ObjectId::parse(text).unwrap().to_string(), text);
            assert_eq!(ObjectId::parse(&text.to_uppercase()), ObjectId::parse(text));
        }
        assert_eq!(ObjectId::parse(&"ab".repeat(20)).unwrap().short(), "abababa");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        assert_eq!(ObjectId::parse(""), Err(ObjectIdError::Length(0)));
        assert_eq!(ObjectId::parse(&"a".repeat(41)), Err(ObjectIdError::Length(41)));
        let text = format!("{}g", "a".repeat(39));
        assert_eq!(ObjectId::parse(&text), Err(ObjectIdError::Digit { offset: 39, byte: b'g' }));
        assert!(ObjectId::parse(&"é".repeat(20)).is_err());
    }
}
