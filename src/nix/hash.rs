//! Hashes in every notation Nix writes and reads.
//!
//! Follows `src/libutil/hash.cc`: base16, base64 with padding, SRI
//! (`<algo>-<base64>`) and Nix32; `<algo>:` may stand before any of the first
//! three, and without an SRI dash the *length* decides the notation.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest as _;

use super::nix32;

/// The algorithms that Nix accepts without experimental features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// MD5: broken, still met in old fixed outputs.
    Md5,
    /// SHA-1: broken, still met in old fixed outputs.
    Sha1,
    /// SHA-256: what the store itself uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// All algorithms, weakest first.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// The name as Nix writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a digest, in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => MAX_SIZE,
        }
    }

    /// The algorithm of that name, if it is one Nix knows.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Digest length of the widest algorithm, SHA-512.
const MAX_SIZE: usize = 64;

/// Why a text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// An algorithm Nix does not know, or knows only as an experiment.
    #[error("unknown hash algorithm '{0}' (expected md5, sha1, sha256 or sha512)")]
    Algorithm(String),
    /// The text names no algorithm and none is known from its place.
    #[error("the hash names no algorithm (expected '<algorithm>:' or '<algorithm>-' before it)")]
    NoAlgorithm,
    /// The text names another algorithm than its place demands.
    #[error("the hash is {found} where {expected} is expected")]
    OtherAlgorithm {
        /// The algorithm named.
        found: HashAlgorithm,
        /// The algorithm demanded.
        expected: HashAlgorithm,
    },
    /// No notation of this algorithm has that many characters.
    #[error("{found} characters are no {algorithm} hash (expected {base16} for base16, {nix32} for Nix32 or {base64} for base64)",
        base16 = algorithm.size() * 2, nix32 = nix32::encoded_len(algorithm.size()), base64 = base64_len(algorithm.size()))]
    Length {
        /// Characters after the prefix.
        found: usize,
        /// The algorithm.
        algorithm: HashAlgorithm,
    },
    /// A digit that base16 does not have.
    #[error("byte {byte:#04x} at offset {offset} is not a base16 digit")]
    Base16 {
        /// Offset after the prefix.
        offset: usize,
        /// The byte found there.
        byte: u8,
    },
    /// Not canonical base64 of the right length.
    #[error("the hash is not canonical base64 of {0} bytes")]
    Base64(usize),
    /// Not Nix32.
    #[error(transparent)]
    Nix32(#[from] nix32::Nix32Error),
}

/// A digest with its algorithm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    algorithm: HashAlgorithm,
    /// The digest, followed by zeros up to the widest algorithm's length.
    bytes: [u8; MAX_SIZE],
}

impl Hash {
    /// Takes a digest of the right length for `algorithm`.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_SIZE];
        if digest.len() != algorithm.size() {
            return None;
        }
        bytes.get_mut(..digest.len())?.copy_from_slice(digest);
        Some(Self { algorithm, bytes })
    }

    /// The hash of `content`.
    #[must_use]
    pub fn of(algorithm: HashAlgorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// Reads a hash in any notation. `expected` is the algorithm its place
    /// demands; without it the text must name one.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str, expected: Option<HashAlgorithm>) -> Result<Self, HashError> {
        let (named, rest, sri) = match text.split_once([':', '-']) {
            Some((name, rest)) => {
                let algorithm = HashAlgorithm::from_name(name)
                    .ok_or_else(|| HashError::Algorithm(name.to_owned()))?;
                (Some(algorithm), rest, text.as_bytes().get(name.len()) == Some(&b'-'))
            }
            None => (None, text, false),
        };
        let algorithm = match (named, expected) {
            (Some(found), Some(expected)) if found != expected => {
                return Err(HashError::OtherAlgorithm { found, expected });
            }
            (Some(algorithm), _) | (None, Some(algorithm)) => algorithm,
            (None, None) => return Err(HashError::NoAlgorithm),
        };
        let size = algorithm.size();
        let length = rest.len();
        if sri || length == base64_len(size) {
            Self::from_base64(algorithm, rest)
        } else if length == size * 2 {
            Self::from_base16(algorithm, rest.as_bytes())
        } else if length == nix32::encoded_len(size) {
            let mut digest = [0; MAX_SIZE];
            let slot = digest.get_mut(..size).unwrap_or_default();
            nix32::decode_into(rest.as_bytes(), slot)?;
            Ok(Self { algorithm, bytes: digest })
        } else {
            Err(HashError::Length { found: length, algorithm })
        }
    }

    fn from_base64(algorithm: HashAlgorithm, text: &str) -> Result<Self, HashError> {
        let bad = || HashError::Base64(algorithm.size());
        let digest = BASE64.decode(text).map_err(|_| bad())?;
        Self::new(algorithm, &digest).ok_or_else(bad)
    }

    fn from_base16(algorithm: HashAlgorithm, text: &[u8]) -> Result<Self, HashError> {
        let mut bytes = [0; MAX_SIZE];
        for (offset, &byte) in text.iter().enumerate() {
            let digit = char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or(HashError::Base16 { offset, byte })?;
            if let Some(slot) = bytes.get_mut(offset / 2) {
                *slot = *slot << 4 | digit;
            }
        }
        Ok(Self { algorithm, bytes })
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.size()).unwrap_or_default()
    }

    /// The digest in lower-case base16, without the algorithm.
    #[must_use]
    pub fn base16(&self) -> String {
        base16(self.digest())
    }

    /// The digest in Nix32, without the algorithm.
    #[must_use]
    pub fn nix32(&self) -> String {
        nix32::encode(self.digest())
    }

    /// The SRI notation, `<algorithm>-<base64>`.
    #[must_use]
    pub fn sri(&self) -> String {
        format!("{}-{}", self.algorithm, BASE64.encode(self.digest()))
    }
}

/// Characters that canonical base64 with padding takes for `bytes` bytes.
const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Lower-case base16 of any bytes.
#[must_use]
pub fn base16(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// `<algorithm>:<nix32>`, the notation of narinfos and of the database.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.nix32())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A running hash.
#[derive(Clone)]
pub enum Hasher {
    /// MD5.
    Md5(md5::Md5),
    /// SHA-1.
    Sha1(sha1::Sha1),
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-512.
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts over nothing.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Md5 => Self::Md5(md5::Md5::new()),
            HashAlgorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            HashAlgorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(self) -> Hash {
        let mut bytes = [0; MAX_SIZE];
        let mut keep = |digest: &[u8]| {
            for (slot, byte) in bytes.iter_mut().zip(digest) {
                *slot = *byte;
            }
        };
        let algorithm = match self {
            Self::Md5(hasher) => {
                keep(&hasher.finalize());
                HashAlgorithm::Md5
            }
            Self::Sha1(hasher) => {
                keep(&hasher.finalize());
                HashAlgorithm::Sha1
            }
            Self::Sha256(hasher) => {
                keep(&hasher.finalize());
                HashAlgorithm::Sha256
            }
            Self::Sha512(hasher) => {
                keep(&hasher.finalize());
                HashAlgorithm::Sha512
            }
        };
        Hash { algorithm, bytes }
    }
}

/// SHA-256 of a NAR: the identity of a store object's content.
///
/// Distinct from [`FileHash`], the hash of the (compressed) file a cache
/// serves, so that one can never be compared with the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarHash([u8; 32]);

impl NarHash {
    /// Takes a SHA-256 digest.
    #[must_use]
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Reads a NAR hash in any notation; the algorithm must be SHA-256.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let hash = Hash::parse(text, Some(HashAlgorithm::Sha256))?;
        Self::from_sha256(&hash).ok_or(HashError::OtherAlgorithm {
            found: hash.algorithm,
            expected: HashAlgorithm::Sha256,
        })
    }

    /// The same digest, if `hash` is SHA-256.
    #[must_use]
    pub fn from_sha256(hash: &Hash) -> Option<Self> {
        (hash.algorithm == HashAlgorithm::Sha256)
            .then(|| hash.digest().try_into().ok())
            .flatten()
            .map(Self)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// As a general hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut bytes = [0; MAX_SIZE];
        for (slot, byte) in bytes.iter_mut().zip(self.0) {
            *slot = byte;
        }
        Hash { algorithm: HashAlgorithm::Sha256, bytes }
    }
}

/// `sha256:<nix32>`.
impl fmt::Display for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash().fmt(f)
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The hash of a file as a cache serves it, compressed or not. An unsigned hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHash(pub Hash);

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Folds a digest to `N` bytes: byte `i` is XORed into position `i mod N`
/// (`compressHash`). Store paths fold SHA-256 to 20 bytes.
#[must_use]
pub fn fold<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut folded = [0; N];
    for chunk in digest.chunks(N.max(1)) {
        for (slot, byte) in folded.iter_mut().zip(chunk) {
            *slot ^= byte;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hello⏎` in the notations of worked example A.
    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    #[test]
    fn notations_agree() {
        let hash = Hash::of(HashAlgorithm::Sha256, b"hello\n");
        assert_eq!(hash.base16(), HELLO);
        for text in [
            hash.base16(),
            hash.base16().to_uppercase(),
            hash.nix32(),
            format!("sha256:{}", hash.base16()),
            hash.to_string(),
            hash.sri(),
            hash.sri().replace('-', ":"),
            hash.sri()[7..].to_owned(),
        ] {
            assert_eq!(Hash::parse(&text, Some(HashAlgorithm::Sha256)), Ok(hash), "{text}");
        }
    }

    #[test]
    fn every_algorithm_reads_back() {
        for algorithm in HashAlgorithm::ALL {
            let hash = Hash::of(algorithm, b"x");
            assert_eq!(hash.digest().len(), algorithm.size());
            for text in [hash.to_string(), hash.sri(), format!("{algorithm}:{}", hash.base16())] {
                assert_eq!(Hash::parse(&text, None), Ok(hash), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let sha256 = Some(HashAlgorithm::Sha256);
        assert!(matches!(Hash::parse("blake3:00", None), Err(HashError::Algorithm(_))));
        assert_eq!(Hash::parse(HELLO, None), Err(HashError::NoAlgorithm));
        assert!(matches!(Hash::parse("sha256:", None), Err(HashError::Length { found: 0, .. })));
        assert!(matches!(
            Hash::parse(&format!("sha1:{HELLO}"), sha256),
            Err(HashError::OtherAlgorithm { .. })
        ));
        assert!(matches!(
            Hash::parse(&HELLO.replace('5', "g"), sha256),
            Err(HashError::Base16 { .. })
        ));
        assert!(matches!(
            Hash::parse(&format!("sha256-{HELLO}"), None),
            Err(HashError::Base64(32))
        ));
        let trailing_bits = "sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgN=";
        assert!(matches!(Hash::parse(trailing_bits, None), Err(HashError::Base64(32))));
    }
}
