//! What somebody says the content of a store path is.

use std::collections::BTreeSet;
use std::fmt;

use super::contrast::Contrast;
use crate::nix::hash::NarHash;
use crate::nix::narinfo::SignatureReport;
use crate::nix::signature::{CheckedSignatures, KeyName, Signature};
use crate::nix::store_path::StorePath;

/// The facts about a store object that a signature covers, and that a rebuild
/// recomputes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// SHA-256 of the NAR.
    pub nar_hash: NarHash,
    /// Size of the NAR in bytes.
    pub nar_size: u64,
    /// The store paths that the content refers to.
    pub references: BTreeSet<StorePath>,
}

/// One fact in which two contents differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The NAR hashes differ.
    NarHash,
    /// The NAR sizes differ.
    NarSize,
    /// The references differ.
    References,
}

impl Difference {
    /// The field's name in a narinfo.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NarHash => "NarHash",
            Self::NarSize => "NarSize",
            Self::References => "References",
        }
    }
}

impl Contents {
    /// The facts in which `self` and `other` differ; empty when they are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        [
            (self.nar_hash != other.nar_hash, Difference::NarHash),
            (self.nar_size != other.nar_size, Difference::NarSize),
            (self.references != other.references, Difference::References),
        ]
        .into_iter()
        .filter_map(|(differs, difference)| differs.then_some(difference))
        .collect()
    }
}

/// Where a claim was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A binary cache, by its URL without credentials.
    Cache(String),
    /// The local store's database.
    LocalStore(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(url) => f.write_str(url),
            Self::LocalStore(root) => write!(f, "local store {root}"),
        }
    }
}

/// How much a claim weighs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Signed by trusted keys, every signature under a trusted name is good.
    Trusted {
        /// The trusted keys that signed it.
        keys: Vec<String>,
    },
    /// A signature under a trusted key's name is bad.
    Forged {
        /// The names whose signature is bad.
        keys: Vec<String>,
    },
    /// The signature is good over the references in the file's order and bad
    /// over the sorted set that Nix signs: neither trusted nor forged.
    UnsortedReferences {
        /// The trusted keys that signed the unsorted form.
        keys: Vec<String>,
    },
    /// No signature by a trusted key. Shown, never decides.
    Untrusted {
        /// Names of the unknown keys that signed it.
        unknown_keys: Vec<String>,
    },
}

impl Standing {
    /// Of a narinfo with these signatures. A single bad one under a trusted
    /// name outweighs every good one.
    #[must_use]
    pub fn of_narinfo(report: &SignatureReport) -> Self {
        Self::of(report.bad(), report.good(), report.as_written_only(), report.unknown())
    }

    /// Of anything else with these signatures.
    #[must_use]
    pub fn of_signatures(checked: &CheckedSignatures) -> Self {
        Self::of(checked.bad(), checked.good(), &[], checked.unknown())
    }

    fn of(bad: &[Signature], good: &[KeyName], unsorted: &[KeyName], unknown: &[KeyName]) -> Self {
        let names = |keys: &[KeyName]| keys.iter().map(ToString::to_string).collect();
        if !bad.is_empty() {
            let keys = bad.iter().map(|signature| signature.key_name().to_string()).collect();
            Self::Forged { keys }
        } else if !good.is_empty() {
            Self::Trusted { keys: names(good) }
        } else if !unsorted.is_empty() {
            Self::UnsortedReferences { keys: names(unsorted) }
        } else {
            Self::Untrusted { unknown_keys: names(unknown) }
        }
    }

    /// The word used in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trusted { .. } => "trusted",
            Self::Forged { .. } => "forged",
            Self::UnsortedReferences { .. } => "unsorted-references",
            Self::Untrusted { .. } => "untrusted",
        }
    }

    /// The key names behind the standing.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        match self {
            Self::Trusted { keys } | Self::Forged { keys } | Self::UnsortedReferences { keys } => {
                keys
            }
            Self::Untrusted { unknown_keys } => unknown_keys,
        }
    }
}

/// One source's statement about one store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who says so.
    pub source: Source,
    /// The store path it is about.
    pub path: StorePath,
    /// What the content is said to be; `None` if only the path of a
    /// content-addressed output is claimed, which stands for its content.
    pub contents: Option<Contents>,
    /// How much it weighs.
    pub standing: Standing,
    /// If it differs from ours: how, one for each of our builds it was compared
    /// with.
    pub contrast: Vec<Contrast>,
}

impl Claim {
    /// The facts in which the claimed content differs from `ours`.
    #[must_use]
    pub fn differences(&self, ours: &Contents) -> Vec<Difference> {
        self.contents.as_ref().map_or_else(Vec::new, |claimed| ours.differences(claimed))
    }

    /// Whether the claim is the same as `ours` at the path `built`.
    #[must_use]
    pub fn equals(&self, built: &StorePath, ours: &Contents) -> bool {
        self.path == *built && self.differences(ours).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_differing_fact_is_named() {
        let base = Contents {
            nar_hash: NarHash::from_digest([1; 32]),
            nar_size: 1,
            references: BTreeSet::new(),
        };
        assert_eq!(base.differences(&base), []);
        let other = Contents {
            nar_hash: NarHash::from_digest([2; 32]),
            nar_size: 2,
            references: BTreeSet::from([StorePath::new([0; 20], "x").unwrap()]),
        };
        assert_eq!(
            base.differences(&other),
            [Difference::NarHash, Difference::NarSize, Difference::References]
        );
    }
}
