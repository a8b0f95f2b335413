//! The different contents that are claimed of one path, and who stands behind
//! each.

use std::collections::BTreeSet;

use super::facts::{CaProof, Content, SourceClaim, SubjectFacts};
use super::paths::PathId;
use crate::check::operators::Operators;
use crate::check::rebuild::Standing;
use crate::nix::hash::NarHash;

/// Why a claim may be believed, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// A signature under a trusted name is bad.
    Forged,
    /// Nothing trusted vouches for it.
    None,
    /// Signed over unsorted references only, which Nix does not accept.
    Unsorted,
    /// Its content address alone proves the content.
    ContentAddress,
    /// A trusted key has signed it.
    Signed,
}

impl Trust {
    /// What makes a claim believable.
    #[must_use]
    pub fn of(claim: &SourceClaim) -> Self {
        let proven = claim.ca.as_ref().is_some_and(|facts| match facts.proof {
            CaProof::NarHash => true,
            CaProof::Path => claim.content == Content::Holds { proves_ca: true },
            CaProof::Wrong => false,
        });
        match &*claim.standing {
            Standing::Forged { .. } => Self::Forged,
            Standing::Trusted { .. } => Self::Signed,
            _ if proven => Self::ContentAddress,
            Standing::UnsortedReferences { .. } => Self::Unsorted,
            Standing::Untrusted { .. } => Self::None,
        }
    }

    /// Whether it decides what the content is.
    #[must_use]
    pub const fn decides(self) -> bool {
        matches!(self, Self::ContentAddress | Self::Signed)
    }

    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::None => "untrusted",
            Self::Unsorted => "unsorted-references",
            Self::ContentAddress => "content-addressed",
            Self::Signed => "signed",
        }
    }
}

/// One content that is claimed of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<'a> {
    /// The hash of the NAR.
    pub nar_hash: NarHash,
    /// The size of the NAR.
    pub nar_size: u64,
    /// The references.
    pub references: &'a [PathId],
    /// Who claims it and how far each can be believed, in the order of sources.
    pub claims: Vec<(usize, Trust)>,
}

impl Version<'_> {
    /// Whether somebody trusted stands behind it.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.claims.iter().any(|(_, trust)| trust.decides())
    }

    /// Whether that is the content itself.
    #[must_use]
    pub fn proves_itself(&self) -> bool {
        self.claims.iter().any(|(_, trust)| *trust == Trust::ContentAddress)
    }

    /// The facts in which two versions differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            (self.nar_hash != other.nar_hash, "NarHash"),
            (self.nar_size != other.nar_size, "NarSize"),
            (self.references != other.references, "References"),
        ]
        .into_iter()
        .filter_map(|(differs, name)| differs.then_some(name))
        .collect()
    }

    /// The operators that attest it.
    #[must_use]
    pub fn witnesses<'o>(
        &self,
        subject: &SubjectFacts,
        operators: &'o Operators,
    ) -> BTreeSet<&'o str> {
        let signed = self.claims.iter().filter(|(_, trust)| *trust == Trust::Signed);
        signed
            .filter_map(|(source, _)| subject.answers.get(*source)?.claim())
            .flat_map(|claim| claim.standing.keys())
            .filter_map(|key| operators.witness(key))
            .collect()
    }
}

/// The different contents that are claimed of a path: trusted ones first, then
/// those with more claims, then by hash.
#[must_use]
pub fn versions(subject: &SubjectFacts) -> Vec<Version<'_>> {
    let mut versions: Vec<Version<'_>> = Vec::new();
    for (source, claim) in subject.claims() {
        let trust = Trust::of(claim);
        let same = |version: &&mut Version<'_>| {
            version.nar_hash == claim.nar_hash
                && version.nar_size == claim.nar_size
                && version.references == &*claim.references
        };
        match versions.iter_mut().find(same) {
            Some(version) => version.claims.push((source, trust)),
            None => versions.push(Version {
                nar_hash: claim.nar_hash,
                nar_size: claim.nar_size,
                references: &claim.references,
                claims: vec![(source, trust)],
            }),
        }
    }
    versions.sort_by_key(|version| {
        let claims = std::cmp::Reverse(version.claims.len());
        (!version.is_trusted(), claims, version.nar_hash, version.nar_size)
    });
    versions
}
