//! A bill of materials as we know it, before it is written in any format.
//!
//! A component is one store object: an output of a derivation, a source, or a
//! path of which nothing else is known. None is dropped, and two that have one
//! name and version stay two. What is not known is said to be unknown: an
//! `Option` that is `None` never stands for "there is none".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::vendored::Inventory;
use crate::nix::hash::{Hash, NarHash};
use crate::nix::store_path::StorePath;

/// What a bill covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// What the targets refer to, directly or not: what has to be there for
    /// them to run.
    Runtime,
    /// The same, and what those were linked against: the libraries of the same
    /// platform that their derivations name as inputs, which may be inside
    /// without leaving a reference.
    Linked,
    /// Everything that the targets are built from, down to the sources.
    Build,
}

impl Scope {
    /// The word used in options and outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Linked => "linked",
            Self::Build => "build",
        }
    }
}

/// A bill of materials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// What it covers.
    pub scope: Scope,
    /// What it is about, by reference; never empty.
    pub subjects: BTreeSet<Reference>,
    /// All components, the subjects among them.
    pub components: BTreeMap<Reference, Component>,
    /// Who depends on whom. Every component has an entry if its dependencies
    /// are known; one without is in [`Bill::unknown_dependencies`].
    pub dependencies: BTreeMap<Reference, References>,
    /// How what is in the bill was built, by the path of the derivation.
    pub builds: BTreeMap<StorePath, Build>,
    /// The time it is valid for, RFC 3339; `None` if nothing says one.
    pub created: Option<String>,
}

impl Bill {
    /// Components of which it is not known what they depend on.
    pub fn unknown_dependencies(&self) -> impl Iterator<Item = &Reference> {
        self.components.keys().filter(|reference| !self.dependencies.contains_key(*reference))
    }
}

/// What a component is called within a bill: its store path in full, or, for
/// an output whose path is not known, `DRV!OUTPUT`.
pub type Reference = Arc<str>;

/// Components by reference. Outputs of one derivation share what they were
/// built from.
pub type References = Arc<BTreeSet<Reference>>;

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An output of a derivation that builds something.
    Output,
    /// An output known by its hash before it is made: something fetched.
    Fixed,
    /// A path that was put into the store as it is.
    Source,
    /// A store object of which no derivation is known.
    Object,
}

impl Kind {
    /// The word used in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Fixed => "fixed-output",
            Self::Source => "source",
            Self::Object => "object",
        }
    }
}

/// One store object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is called within the bill.
    pub reference: Reference,
    /// What it is.
    pub kind: Kind,
    /// Its name, as nixpkgs means it: without version and output.
    pub name: String,
    /// Its version, if it has one.
    pub version: Option<String>,
    /// Its store path in full, if it is known.
    pub store_path: Option<String>,
    /// The output it is, if that is known.
    pub output: Option<String>,
    /// The derivation it was made by, if that is known.
    pub drv_path: Option<StorePath>,
    /// The platform it was built for.
    pub system: Option<String>,
    /// The hash of its NAR, and its size in bytes where that is known.
    pub nar: Option<(NarHash, Option<u64>)>,
    /// SHA-512 of its NAR, base 16, where the bytes were at hand.
    pub nar_sha512: Option<String>,
    /// What it says of itself to people.
    pub description: Option<String>,
    /// Where people read about it.
    pub homepage: Option<String>,
    /// What it was built from.
    pub sources: Vec<Source>,
    /// What was changed in its sources before it was built, in order.
    pub patches: Vec<Patch>,
    /// Its package URL, and where that comes from.
    pub purl: Option<Purl>,
    /// Its name in the National Vulnerability Database, if somebody states it.
    pub cpe: Option<String>,
    /// Its licence.
    pub licence: Licence,
    /// Who supplies it: maintainers or a team.
    pub supplier: Option<String>,
    /// Known vulnerabilities that its description admits to
    /// (`meta.knownVulnerabilities`).
    pub known_vulnerabilities: Vec<String>,
    /// What was proven about it, and by whom.
    pub proofs: Vec<Proof>,
    /// Keys whose good signatures over exactly this content were met.
    pub signed_by: BTreeSet<String>,
    /// Dependencies that lie inside it; `None` if nobody looked.
    pub vendored: Option<Inventory>,
    /// What is not known about it, and why, in words fit for a report.
    pub unknown: Vec<String>,
}

impl Component {
    /// A component of which nothing is known yet but its reference.
    #[must_use]
    pub fn new(reference: Reference) -> Self {
        Self {
            reference,
            kind: Kind::Object,
            name: String::new(),
            version: None,
            store_path: None,
            output: None,
            drv_path: None,
            system: None,
            nar: None,
            nar_sha512: None,
            description: None,
            homepage: None,
            sources: Vec::new(),
            patches: Vec::new(),
            purl: None,
            cpe: None,
            licence: Licence::Unknown,
            supplier: None,
            known_vulnerabilities: Vec::new(),
            proofs: Vec::new(),
            signed_by: BTreeSet::new(),
            vendored: None,
            unknown: Vec::new(),
        }
    }
}

/// A package URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purl {
    /// The URL.
    pub text: String,
    /// Where it comes from.
    pub origin: PurlOrigin,
}

/// Where a package URL comes from, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PurlOrigin {
    /// The package states it (`meta.identifiers.purl`).
    Meta,
    /// From the URL that its only source is fetched from.
    Fetcher,
    /// The draft type `nix` of the specification, which says no more than name
    /// and version.
    Draft,
}

impl PurlOrigin {
    /// The word used in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Fetcher => "fetcher",
            Self::Draft => "draft",
        }
    }
}

/// What is known of a component's licence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Licence {
    /// Nobody says anything: `NOASSERTION`.
    #[default]
    Unknown,
    /// An SPDX expression. It may have `LicenseRef-` parts, whose names stand
    /// beside it.
    Expression {
        /// The expression.
        text: String,
        /// What its `LicenseRef-` parts are called.
        names: BTreeMap<String, String>,
    },
}

/// Something a component was built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The variable of the derivation that names it (`src`), if one does.
    pub variable: Option<String>,
    /// Its store path in full.
    pub store_path: String,
    /// Where it is fetched from: all that its derivation names.
    pub urls: Vec<String>,
    /// The hash that is demanded of it, if it is fetched.
    pub hash: Option<SourceHash>,
    /// The revision, where a repository is fetched.
    pub revision: Option<String>,
}

/// The hash demanded of something fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceHash {
    /// Of the very file that the URL serves.
    File(Hash),
    /// Of a file that was made of what the URL serves.
    Made(Hash),
    /// Of the NAR of what was made of it.
    Nar(Hash),
}

/// A change to the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its name, without the hash.
    pub name: String,
    /// What it is: its own URLs and hash where it is fetched.
    pub source: Source,
    /// Vulnerabilities that its name claims to mend (`CVE-2024-1234`); hints,
    /// no proof.
    pub mends: Vec<String>,
}

/// How outputs were built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The platform.
    pub system: String,
    /// The program that builds.
    pub builder: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it makes, by reference.
    pub outputs: BTreeSet<Reference>,
    /// What it reads, by reference.
    pub inputs: References,
}

/// What a report of this tool proves about one component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proof {
    /// The command of the report: `rebuild`, `cache` or `lock`.
    pub command: String,
    /// What it says: `reproduced`, `differs`, `verified`, ...
    pub status: String,
    /// Whether the report's own judgement of it is a pass.
    pub holds: bool,
    /// The hash of the report file, SHA-256 in base 16.
    pub report: String,
    /// Further facts, by name: keys, operators, the lock's input.
    pub facts: BTreeMap<String, BTreeSet<String>>,
}
