//! What the signatures of a narinfo turned out to be.

use super::{NarHash, NarInfo, PathInfo, Signature, StoreDir, StorePath, TrustedKeys};
use crate::nix::signature::{CheckedSignatures, KeyName};

/// The signatures of one narinfo, judged. Only [`NarInfo::verify`] makes one.
///
/// Beside good, bad and unknown there is a fourth kind, met in genuine files
/// of 2009: good over the references in the order of the file, bad over the
/// sorted set that Nix signs and checks. It is neither forged nor good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureReport {
    checked: CheckedSignatures,
    bad: Vec<Signature>,
    as_written_only: Vec<KeyName>,
    unsorted_references: bool,
    facts: PathInfo,
}

impl SignatureReport {
    pub(super) fn new(info: &NarInfo, store_dir: &StoreDir, trusted: &TrustedKeys) -> Self {
        let facts = info.path_info();
        let checked = facts.check_signatures(store_dir, &info.signatures, trusted);
        let unsorted_references = !info.has_sorted_references();
        let mut bad = checked.bad().to_vec();
        let mut as_written_only = Vec::new();
        if unsorted_references && !bad.is_empty() {
            let text = facts.fingerprint_over(store_dir, &info.references);
            let again = trusted.check(text.as_bytes(), &bad);
            bad = again.bad().to_vec();
            as_written_only = again.good().to_vec();
        }
        Self { checked, bad, as_written_only, unsorted_references, facts }
    }

    /// Trusted keys with a good signature, sorted.
    #[must_use]
    pub fn good(&self) -> &[KeyName] {
        self.checked.good()
    }

    /// Bad signatures under the name of a trusted key, sorted: always a
    /// finding, even beside a good one.
    #[must_use]
    pub fn bad(&self) -> &[Signature] {
        &self.bad
    }

    /// Names of keys that are not trusted, sorted.
    #[must_use]
    pub fn unknown(&self) -> &[KeyName] {
        self.checked.unknown()
    }

    /// Trusted keys whose signature is good over the references as the file
    /// orders them, but not over the sorted set. Nix calls such a path
    /// untrusted; it is neither a pass nor a forgery.
    #[must_use]
    pub fn as_written_only(&self) -> &[KeyName] {
        &self.as_written_only
    }

    /// Whether the file lists its references out of order.
    #[must_use]
    pub const fn unsorted_references(&self) -> bool {
        self.unsorted_references
    }

    /// What the narinfo claims, whatever its signatures are worth.
    #[must_use]
    pub fn into_claimed(self) -> PathInfo {
        self.facts
    }

    /// The signed facts, if at least one signature is good and none is bad.
    #[must_use]
    pub fn verified(&self) -> Option<VerifiedNarInfo> {
        (!self.good().is_empty() && self.bad.is_empty())
            .then(|| VerifiedNarInfo { facts: self.facts.clone(), keys: self.good().to_vec() })
    }
}

/// The signed fields of a narinfo with a good signature by a trusted key and
/// no bad one. There is no other way to make one than
/// [`SignatureReport::verified`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNarInfo {
    facts: PathInfo,
    keys: Vec<KeyName>,
}

impl VerifiedNarInfo {
    /// The store path.
    #[must_use]
    pub const fn store_path(&self) -> &StorePath {
        &self.facts.path
    }

    /// The hash of the NAR.
    #[must_use]
    pub const fn nar_hash(&self) -> &NarHash {
        &self.facts.nar_hash
    }

    /// The length of the NAR.
    #[must_use]
    pub const fn nar_size(&self) -> u64 {
        self.facts.nar_size
    }

    /// All signed facts, the references among them.
    #[must_use]
    pub const fn path_info(&self) -> &PathInfo {
        &self.facts
    }

    /// The trusted keys that signed, sorted; at least one.
    #[must_use]
    pub fn keys(&self) -> &[KeyName] {
        &self.keys
    }
}
