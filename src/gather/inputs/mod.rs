//! The store objects that builds may read, and why each may be trusted.
//!
//! An input comes from the local store or a cache under a valid signature by a
//! trusted key, or by a content address that its bytes prove; a fixed output
//! from anywhere, or fetched, if its bytes have the fixed hash; everything else
//! is rebuilt. Whatever the source, an object enters as a NAR whose hash is
//! known and is unpacked only when it is proven ([`admit`]).

pub mod admit;
pub mod content;
pub mod locate;
pub mod plan;

use std::collections::BTreeSet;

use crate::build::InputObject;
use crate::check::Reason;
use crate::check::rebuild::Contents;
use crate::check::rebuild::facts::Origin;
use crate::nix::content_address::ContentAddress;
use crate::nix::narinfo::NarInfo;
use crate::nix::store_path::StorePath;

pub use admit::Admission;
pub use locate::Locator;
pub use plan::{Plan, plan};

/// What makes an object trustworthy once its bytes were hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Trusted keys signed its NAR hash, size and references.
    Signed {
        /// The keys.
        keys: Vec<String>,
        /// Its content address too, if its path follows from that.
        ca: Option<ContentAddress>,
    },
    /// Its path follows from its content.
    ContentAddressed(ContentAddress),
    /// A derivation fixes its content.
    Fixed(ContentAddress),
}

impl Proof {
    /// The content address of the object, if it has one.
    #[must_use]
    pub const fn content_address(&self) -> Option<&ContentAddress> {
        match self {
            Self::Signed { ca, .. } => ca.as_ref(),
            Self::ContentAddressed(ca) | Self::Fixed(ca) => Some(ca),
        }
    }

    /// What a report says about an object with this proof.
    #[must_use]
    pub fn origin(&self, from: String) -> Origin {
        match self {
            Self::Signed { keys, .. } => Origin::Signed { from, keys: keys.clone() },
            Self::ContentAddressed(_) => Origin::ContentAddressed { from },
            Self::Fixed(_) => Origin::FixedByHash { from },
        }
    }
}

/// One way to come by an object.
#[derive(Debug, Clone)]
pub enum Way {
    /// Read it from the local store.
    Local {
        /// What its database says.
        contents: Contents,
        /// What will prove it.
        proof: Proof,
    },
    /// Download it from a cache.
    Cache {
        /// The cache's place in the list of caches.
        cache: usize,
        /// Its answer.
        narinfo: Box<NarInfo>,
        /// What will prove it.
        proof: Proof,
    },
    /// Fetch it as its derivation says.
    Fetch {
        /// The fixed-output derivation.
        drv_path: StorePath,
    },
    /// Build it.
    Build {
        /// The derivation.
        drv_path: StorePath,
    },
}

impl Way {
    /// The references that are known before the object is there, itself apart.
    #[must_use]
    pub fn references(&self, path: &StorePath) -> BTreeSet<StorePath> {
        let mut references = match self {
            Self::Local { contents, .. } => contents.references.clone(),
            Self::Cache { narinfo, .. } => narinfo.reference_set(),
            Self::Fetch { .. } | Self::Build { .. } => BTreeSet::new(),
        };
        references.remove(path);
        references
    }

    /// What tells this way from other ways to the same object.
    #[must_use]
    pub const fn key(&self) -> WayKey {
        match self {
            Self::Local { .. } => WayKey::Local,
            Self::Cache { cache, .. } => WayKey::Cache(*cache),
            Self::Fetch { .. } => WayKey::Fetch,
            Self::Build { .. } => WayKey::Build,
        }
    }
}

/// A way without its particulars, to remember which ways failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WayKey {
    /// The local store.
    Local,
    /// The cache at this place in the list.
    Cache(usize),
    /// Fetching.
    Fetch,
    /// Building.
    Build,
}

/// Why an object cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// From the closed list.
    pub reason: Reason,
    /// What was tried and what came of it.
    pub detail: String,
}

/// An object on this machine, proven.
#[derive(Debug, Clone)]
pub struct Object {
    /// What an executor needs to know of it.
    pub input: InputObject,
    /// Why it is trusted.
    pub origin: Origin,
}

impl Object {
    /// What the object is, for judging.
    #[must_use]
    pub fn contents(&self) -> Contents {
        Contents {
            nar_hash: self.input.nar_hash,
            nar_size: self.input.nar_size,
            references: self.input.references.clone(),
        }
    }
}
