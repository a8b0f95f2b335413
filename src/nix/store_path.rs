//! Store directories, store paths and how their hash part is made.
//!
//! Follows `src/libstore/path.cc` (names: the rules of the newest Nix) and
//! `src/libstore/store-api.cc` (`makeStorePath`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::hash::{Hash, HashAlgorithm, fold};
use super::nix32::{self, Nix32Error};

/// Bytes in the hash part of a store path.
pub const HASH_PART_BYTES: usize = 20;

/// Characters in the hash part of a store path.
pub const HASH_PART_LEN: usize = nix32::encoded_len(HASH_PART_BYTES);

/// Longest name of a store path (`StorePath::MaxPathLen`).
pub const MAX_NAME_LEN: usize = 211;

/// Longest store directory that is accepted; Linux's `PATH_MAX` less room for
/// a store path.
const MAX_STORE_DIR_LEN: usize = 3800;

/// Why a text is no store path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// The path is not below the store directory.
    #[error("'{path}' is not in the store directory '{store_dir}'")]
    OutsideStore {
        /// The path found.
        path: String,
        /// The store directory expected.
        store_dir: String,
    },
    /// The path names something inside a store object, or the store itself.
    #[error("'{0}' is not the path of a store object itself")]
    NotTopLevel(String),
    /// The hash part is damaged.
    #[error("the hash part of '{path}' is bad: {source}")]
    HashPart {
        /// The base name found.
        path: String,
        /// What is wrong with it.
        source: Nix32Error,
    },
    /// No dash behind the hash part.
    #[error("'{0}' has no '-' after its 32 character hash part")]
    NoDash(String),
    /// The name breaks the rules.
    #[error("bad store path name: {0}")]
    Name(#[from] NameError),
    /// The store directory is not an absolute, normalised path.
    #[error("'{0}' is not an absolute store directory without '.', '..', doubled or trailing '/'")]
    StoreDir(String),
}

/// Why a store path's name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("it has {0} characters (expected 1 to {MAX_NAME_LEN})")]
    Length(usize),
    /// A byte that names may not hold.
    #[error("byte {byte:#04x} at offset {offset} is not one of 0-9 a-z A-Z + - . _ ? =")]
    Byte {
        /// Offset in the name.
        offset: usize,
        /// The byte found.
        byte: u8,
    },
    /// `.`, `..` or either followed by a dash.
    #[error("'{0}' begins with a '.' or '..' component")]
    Dots(String),
}

/// Whether `name` may be the name of a store path.
///
/// # Errors
/// Says which rule is broken and where.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return Err(NameError::Length(name.len()));
    }
    for (offset, byte) in name.bytes().enumerate() {
        if !(byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)) {
            return Err(NameError::Byte { offset, byte });
        }
    }
    if matches!(name.split('-').next(), Some("." | "..")) {
        return Err(NameError::Dots(name.to_owned()));
    }
    Ok(())
}

/// The directory that holds the store objects, usually `/nix/store`.
///
/// It is part of what store paths are computed from, so paths of different
/// store directories never compare equal by accident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreDir(String);

impl Default for StoreDir {
    fn default() -> Self {
        Self("/nix/store".to_owned())
    }
}

impl StoreDir {
    /// Takes an absolute, normalised path.
    ///
    /// # Errors
    /// Relative paths, `.`, `..`, doubled or trailing slashes.
    pub fn new(path: &str) -> Result<Self, StorePathError> {
        let normal = path.len() <= MAX_STORE_DIR_LEN
            && !path.bytes().any(|byte| byte.is_ascii_control())
            && path
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
        if normal {
            Ok(Self(path.to_owned()))
        } else {
            Err(StorePathError::StoreDir(path.to_owned()))
        }
    }

    /// The directory as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full path of a store object.
    #[must_use]
    pub fn full(&self, path: &StorePath) -> String {
        let mut full = String::with_capacity(self.0.len() + 2 + HASH_PART_LEN + path.name.len());
        full.push_str(&self.0);
        full.push('/');
        path.write_to(&mut full);
        full
    }

    /// Reads the full path of a store object.
    ///
    /// # Errors
    /// A path outside this store directory, below a store object, or with a
    /// bad base name.
    pub fn parse(&self, full: &str) -> Result<StorePath, StorePathError> {
        let base = full
            .strip_prefix(self.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| StorePathError::OutsideStore {
                path: full.to_owned(),
                store_dir: self.0.clone(),
            })?;
        if base.is_empty() || base.contains('/') {
            return Err(StorePathError::NotTopLevel(full.to_owned()));
        }
        base.parse()
    }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A store path, held as what stands behind the store directory:
/// `<hash part>-<name>`. Ordered as Nix orders full paths.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StorePath {
    hash_part: [u8; HASH_PART_BYTES],
    /// Shared: paths are copied far more often than they are read.
    name: Arc<str>,
}

impl StorePath {
    /// Joins a hash part and a name.
    ///
    /// # Errors
    /// A name that breaks the rules.
    pub fn new(hash_part: [u8; HASH_PART_BYTES], name: &str) -> Result<Self, NameError> {
        check_name(name)?;
        Ok(Self { hash_part, name: name.into() })
    }

    /// Makes the path of an object of type `kind` (with its references, as in
    /// `text:<ref>`, `source:self` or `output:out`) that is identified by
    /// `inner`, a SHA-256: `makeStorePath`.
    ///
    /// # Errors
    /// A name that breaks the rules.
    pub fn make(
        store_dir: &StoreDir,
        kind: &str,
        inner: &Hash,
        name: &str,
    ) -> Result<Self, NameError> {
        let text = format!("{kind}:{}:{}:{store_dir}:{name}", inner.algorithm(), inner.base16());
        let digest = Hash::of(HashAlgorithm::Sha256, text.as_bytes());
        Self::new(fold(digest.digest()), name)
    }

    /// The hash part, decoded.
    #[must_use]
    pub const fn hash_bytes(&self) -> &[u8; HASH_PART_BYTES] {
        &self.hash_part
    }

    /// The hash part as it is written.
    #[must_use]
    pub fn hash_part(&self) -> String {
        nix32::encode(&self.hash_part)
    }

    /// The name behind the hash part.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Appends what stands behind the store directory.
    fn write_to(&self, text: &mut String) {
        nix32::encode_to(&self.hash_part, text);
        text.push('-');
        text.push_str(&self.name);
    }

    /// Whether this is the path of a `.drv` file.
    #[must_use]
    pub fn is_derivation(&self) -> bool {
        self.name.ends_with(".drv")
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(base: &str) -> Result<Self, StorePathError> {
        let no_dash = || StorePathError::NoDash(base.to_owned());
        let digits = base.as_bytes().get(..HASH_PART_LEN).ok_or_else(no_dash)?;
        let hash_part = nix32::decode(digits)
            .map_err(|source| StorePathError::HashPart { path: base.to_owned(), source })?;
        let rest = base.get(HASH_PART_LEN..).ok_or_else(no_dash)?;
        let name = rest.strip_prefix('-').ok_or_else(no_dash)?;
        Ok(Self::new(hash_part, name)?)
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(HASH_PART_LEN + 1 + self.name.len());
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Ord for StorePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Nix32 writes the last byte first, and its alphabet ascends. Of two
        // paths the last eight bytes nearly always differ.
        let last = |path: &Self| path.hash_part.last_chunk().copied().map(u64::from_le_bytes);
        let digits = || self.hash_part.iter().rev().cmp(other.hash_part.iter().rev());
        let names = || self.name.cmp(&other.name);
        last(self).cmp(&last(other)).then_with(digits).then_with(names)
    }
}

impl PartialOrd for StorePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example_of_a_fixed_output() {
        let inner = Hash::of(
            HashAlgorithm::Sha256,
            b"fixed:out:sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03:",
        );
        let path = StorePath::make(&StoreDir::default(), "output:out", &inner, "data.txt").unwrap();
        assert_eq!(path.to_string(), "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt");
    }

    #[test]
    fn paths_read_back_and_sort_as_written() {
        let mut paths: Vec<StorePath> = (0..200_u8)
            .map(|seed| {
                StorePath::new(fold(&[seed.wrapping_mul(37), seed, 1, 2, seed ^ 0x5a]), "x")
                    .unwrap()
            })
            .collect();
        for path in &paths {
            assert_eq!(path.to_string().parse().as_ref(), Ok(path));
        }
        let mut texts: Vec<String> = paths.iter().map(ToString::to_string).collect();
        paths.sort();
        texts.sort();
        assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn bad_paths_are_named() {
        let dir = StoreDir::default();
        let hash = "snvwng24c1v75d5hqy346rp3122n7yk4";
        for (text, wanted) in [
            ("/gnu/store/x".to_owned(), "not in the store directory"),
            (format!("/nix/store/{hash}-a/b"), "not the path of a store object itself"),
            ("/nix/store/".to_owned(), "not the path of a store object itself"),
            (format!("/nix/store/{hash}"), "no '-'"),
            (format!("/nix/store/{hash}_a"), "no '-'"),
            (format!("/nix/store/{hash}-"), "0 characters"),
            (format!("/nix/store/{}e-a", &hash[1..]), "is not a Nix32 digit"),
            (format!("/nix/store/{hash}-a b"), "offset 1"),
            (format!("/nix/store/{hash}-.."), "component"),
            (format!("/nix/store/{hash}-.-x"), "component"),
            (format!("/nix/store/{hash}-{}", "x".repeat(212)), "212 characters"),
            (format!("/nix/store/{}é-a", &hash[1..]), "is not a Nix32 digit"),
        ] {
            let error = dir.parse(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert!(dir.parse(&format!("/nix/store/{hash}-.hidden")).is_ok());
    }

    #[test]
    fn store_directories_are_normal() {
        for bad in ["", "nix/store", "/nix//store", "/nix/store/", "/nix/../store", "/", "/a\nb"] {
            assert!(StoreDir::new(bad).is_err(), "{bad}");
        }
        assert!(StoreDir::new("/nix/store").is_ok());
    }
}
