//! Content addresses: the `ca` strings of narinfos and of the database, and
//! the store paths they stand for.
//!
//! Follows `src/libstore/content-address.cc` (notation) and
//! `src/libstore/store-api.cc` (`makeTextPath`, `makeFixedOutputPath`).
//! `fixed:git:` is an experiment of Nix and is refused by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::hash::{Hash, HashAlgorithm, HashError};
use super::store_path::{NameError, StoreDir, StorePath};

/// How content is turned into the bytes that are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// The bytes of a regular file, as by `builtins.toFile`; may have
    /// references. Written `text:`.
    Text,
    /// The bytes of a regular file. Written `fixed:`.
    Flat,
    /// The NAR of a file tree. Written `fixed:r:`.
    Recursive,
}

impl Method {
    /// What stands before the hash in a `ca` string.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Text => "text:",
            Self::Flat => "fixed:",
            Self::Recursive => "fixed:r:",
        }
    }

    /// What stands before the algorithm in a derivation's output: `r:` or nothing.
    #[must_use]
    pub const fn file_prefix(self) -> &'static str {
        match self {
            Self::Text => "text:",
            Self::Flat => "",
            Self::Recursive => "r:",
        }
    }
}

/// Why a text is no content address, or why it has no store path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentAddressError {
    /// Neither `text:` nor `fixed:`.
    #[error("a content address begins with 'text:' or 'fixed:', found '{0}'")]
    Prefix(String),
    /// The experimental Git method.
    #[error("content addresses by Git tree ('fixed:git:') are experimental in Nix and unsupported")]
    Git,
    /// The hash is damaged, or in a notation that `ca` strings may not have.
    #[error("bad hash in the content address: {0}")]
    Hash(#[from] HashError),
    /// The hash is not written as `<algorithm>:<digits>`.
    #[error("the hash in the content address is not written as '<algorithm>:<digits>'")]
    Notation,
    /// `text:` demands SHA-256.
    #[error("a 'text:' content address is sha256, found {0}")]
    TextAlgorithm(HashAlgorithm),
    /// A text object may not refer to itself.
    #[error("a 'text:' object may not refer to itself")]
    SelfReference,
    /// Flat or non-SHA-256 objects may not have references.
    #[error("a '{prefix}{algorithm}' object may not have references, found {found}")]
    References {
        /// What the content address begins with.
        prefix: &'static str,
        /// Its algorithm.
        algorithm: HashAlgorithm,
        /// How many references there are, the object itself included.
        found: usize,
    },
    /// The name breaks the rules of store paths.
    #[error("bad store path name: {0}")]
    Name(#[from] NameError),
}

/// The references of an object whose own path is still to be computed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct References {
    /// The other objects it refers to.
    pub others: BTreeSet<StorePath>,
    /// Whether it refers to itself.
    pub self_ref: bool,
}

impl References {
    /// Splits the references of `path` into itself and others.
    #[must_use]
    pub fn of(path: &StorePath, references: &BTreeSet<StorePath>) -> Self {
        let mut others = references.clone();
        let self_ref = others.remove(path);
        Self { others, self_ref }
    }

    /// How many there are, the object itself included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.others.len().saturating_add(usize::from(self.self_ref))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.others.is_empty() && !self.self_ref
    }

    /// `kind` followed by the references, as `makeType` joins them.
    fn kind(&self, kind: &str, store_dir: &StoreDir) -> String {
        let mut text = kind.to_owned();
        for path in &self.others {
            text.push(':');
            text.push_str(&store_dir.full(path));
        }
        if self.self_ref {
            text.push_str(":self");
        }
        text
    }
}

/// What identifies an object by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    method: Method,
    hash: Hash,
}

impl ContentAddress {
    /// Joins a method and a hash.
    ///
    /// # Errors
    /// `text:` with another algorithm than SHA-256.
    pub fn new(method: Method, hash: Hash) -> Result<Self, ContentAddressError> {
        if method == Method::Text && hash.algorithm() != HashAlgorithm::Sha256 {
            return Err(ContentAddressError::TextAlgorithm(hash.algorithm()));
        }
        Ok(Self { method, hash })
    }

    /// How the content is hashed.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The hash of the content; with a self-reference, of the content modulo
    /// its own hash part.
    #[must_use]
    pub const fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The store path of an object with this content, name and references.
    ///
    /// # Errors
    /// References where there may be none, or a bad name.
    pub fn store_path(
        &self,
        store_dir: &StoreDir,
        name: &str,
        references: &References,
    ) -> Result<StorePath, ContentAddressError> {
        let algorithm = self.hash.algorithm();
        let (kind, inner) = match self.method {
            Method::Text if references.self_ref => return Err(ContentAddressError::SelfReference),
            Method::Text => (references.kind("text", store_dir), self.hash),
            Method::Recursive if algorithm == HashAlgorithm::Sha256 => {
                (references.kind("source", store_dir), self.hash)
            }
            Method::Flat | Method::Recursive if !references.is_empty() => {
                return Err(ContentAddressError::References {
                    prefix: self.method.prefix(),
                    algorithm,
                    found: references.len(),
                });
            }
            Method::Flat | Method::Recursive => {
                let text = format!(
                    "fixed:out:{}{algorithm}:{}:",
                    self.method.file_prefix(),
                    self.hash.base16()
                );
                ("output:out".to_owned(), Hash::of(HashAlgorithm::Sha256, text.as_bytes()))
            }
        };
        Ok(StorePath::make(store_dir, &kind, &inner, name)?)
    }
}

impl FromStr for ContentAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let (method, hash) = if let Some(hash) = text.strip_prefix(Method::Text.prefix()) {
            (Method::Text, hash)
        } else if text.starts_with("fixed:git:") || text.starts_with("git:") {
            return Err(ContentAddressError::Git);
        } else if let Some(hash) = text.strip_prefix(Method::Recursive.prefix()) {
            (Method::Recursive, hash)
        } else if let Some(hash) = text.strip_prefix(Method::Flat.prefix()) {
            (Method::Flat, hash)
        } else {
            let start = text.split(':').next().unwrap_or_default();
            return Err(ContentAddressError::Prefix(start.chars().take(MAX_SHOWN).collect()));
        };
        // The SRI dash is no part of this notation.
        let mark = hash.bytes().find(|byte| b":-".contains(byte));
        if mark != Some(b':') {
            return Err(ContentAddressError::Notation);
        }
        Self::new(method, Hash::parse(hash, None)?)
    }
}

/// Characters of a foreign prefix that an error repeats.
const MAX_SHOWN: usize = 40;

/// The notation that Nix writes: the hash in Nix32.
impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.method.prefix(), self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> References {
        References::default()
    }

    fn path_of(ca: &str, name: &str, references: &References) -> String {
        let ca: ContentAddress = ca.parse().unwrap();
        ca.store_path(&StoreDir::default(), name, references).unwrap().to_string()
    }

    #[test]
    fn worked_example_a() {
        let greet = Hash::of(HashAlgorithm::Sha256, b"echo \"hi\"\t\\ > $out\n");
        assert_eq!(
            path_of(&format!("text:{greet}"), "greet.sh", &none()),
            "d53mkxp0ail7fhg02is8zdhqgdzc3jja-greet.sh"
        );
        let hello = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(
            path_of(&format!("fixed:{hello}"), "data.txt", &none()),
            "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt"
        );
        let tree = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(
            path_of(&format!("fixed:r:{tree}"), "tree", &none()),
            "vf1jyy5lb82396nhwlj3ap2gs6dd4ykm-tree"
        );
        assert_eq!(
            path_of("fixed:r:sha1:11f6ad8ec52a2984abaafd7c3b516503785c2072", "tree", &none()),
            "b0lqppyg8vm94a30cysb8z1qi2nrxaaf-tree"
        );
    }

    #[test]
    fn worked_example_a_derivation_with_references() {
        let content = Hash::parse(
            "sha256:3bbd89ec4d87b175feebec65fff879b668a873455f0ca5de7d691e4461337d96",
            None,
        )
        .unwrap();
        let references = References {
            others: [
                "ggws72cnvz92sc0534z993syh93qxk54-data.txt.drv",
                "d53mkxp0ail7fhg02is8zdhqgdzc3jja-greet.sh",
            ]
            .into_iter()
            .map(|path| path.parse().unwrap())
            .collect(),
            self_ref: false,
        };
        assert_eq!(
            path_of(&format!("text:{content}"), "pkg-1.0.drv", &references),
            "sjhhwn4ldq5gbmfgx8yq13kr6nsna51z-pkg-1.0.drv"
        );
    }

    #[test]
    fn worked_examples_b_and_c() {
        assert_eq!(
            path_of(
                "fixed:r:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs",
                "hello",
                &none()
            ),
            "2dg1awilyjv984z7r8dnl0hfq5462z0b-hello"
        );
        let itself = References { others: BTreeSet::new(), self_ref: true };
        for (hash, path) in [
            (
                "05lbx1lvclw902xpc4hpq4ky4hyy42vrcfy4fclz7qd2j5zd2fpg",
                "c5asc3lmr2jn3f0m2y77cf48078qb9mg-ca",
            ),
            (
                "19p0vc3pk1h8s5bljb4cvk1scg1vh7fv7xsz41rw0k0w9mn30ji9",
                "fj6lb7gkbaynfim0zqiqiykjk08bjnm6-ca",
            ),
        ] {
            assert_eq!(path_of(&format!("fixed:r:sha256:{hash}"), "ca", &itself), path);
        }
    }

    #[test]
    fn what_nix_writes_reads_back() {
        for text in [
            "text:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs",
            "fixed:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs",
            "fixed:r:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs",
            "fixed:r:sha1:0000000000000000000000000000000z",
            "fixed:md5:00000000000000000000000000",
        ] {
            assert_eq!(text.parse::<ContentAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_addresses_are_named() {
        let hash = "185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs";
        for (text, wanted) in [
            (String::new(), "begins with"),
            (format!("sha256:{hash}"), "begins with"),
            (format!("fixed:git:sha256:{hash}"), "experimental"),
            (format!("fixed:r:r:sha256:{hash}"), "unknown hash algorithm 'r'"),
            (format!("fixed:sha256-{hash}"), "not written as"),
            (format!("fixed:{hash}"), "not written as"),
            (format!("fixed:sha256:{hash}0"), "53 characters"),
            (format!("fixed:sha256: {hash}"), "53 characters"),
            (format!("fixed:sha256:sha256:{hash}"), "59 characters"),
            ("text:sha1:0000000000000000000000000000000z".to_owned(), "is sha256, found sha1"),
            ("fixed:blake3:00".to_owned(), "unknown hash algorithm"),
        ] {
            let error = text.parse::<ContentAddress>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn references_only_where_nix_allows_them() {
        let dir = StoreDir::default();
        let itself = References { others: BTreeSet::new(), self_ref: true };
        for text in [
            "text:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs",
            "fixed:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs",
            "fixed:r:sha1:0000000000000000000000000000000z",
        ] {
            let ca: ContentAddress = text.parse().unwrap();
            assert!(ca.store_path(&dir, "x", &itself).is_err(), "{text}");
            assert!(ca.store_path(&dir, "x", &none()).is_ok(), "{text}");
            assert!(ca.store_path(&dir, "", &none()).is_err(), "{text}");
        }
    }
}
