//! What a rebuild found out, before anything is judged.

use std::collections::{BTreeMap, BTreeSet};

use super::canary::Canary;
use super::claim::{Claim, Contents};
use super::contrast::Contrast;
use super::judge::Basis;
use super::rounds::{RoundFacts, Unlike};
use crate::check::{Finding, Inconclusive, Reason};
use crate::nix::store_path::StorePath;

/// Everything one run of `verify rebuild` found out.
#[derive(Debug, Clone, Default)]
pub struct Rebuild {
    /// The world profile that builders saw.
    pub world: String,
    /// Where an output differs: what is otherwise in other worlds. If the claim
    /// was made by another Nix, that could be why.
    pub other_worlds: Vec<WorldFact>,
    /// How inputs and build user were kept apart, and other ways in which
    /// this machine's sandbox is not the profile's.
    pub sandbox: SandboxFacts,
    /// Every derivation that was a target or had to be rebuilt for one.
    pub derivations: Vec<DerivationFacts>,
    /// Every store object that builders could read, and why it is trusted.
    pub inputs: Vec<InputFacts>,
    /// What went wrong on the way: bad answers of caches, bad derivations.
    pub findings: Vec<Finding>,
    /// Questions to named caches and the local store that got no answer.
    pub unanswered: Vec<Inconclusive>,
    /// Questions to default caches that got no answer; they change nothing.
    pub remarks: Vec<String>,
    /// Whether derivations were built once more on our own chain of builds
    /// where that differs from what is claimed.
    pub chained: bool,
    /// The random sample that was built instead of everything.
    pub sample: Option<SampleFacts>,
    /// Derivations below fixed outputs: they only fetch what is known by its
    /// hash, and are no part of the closure that is judged.
    pub fetchers: u64,
    /// Whether this run saw what was put before it.
    pub canary: Option<Canary>,
    /// How often each target was to be built; 0 and 1 are once.
    pub rounds: u32,
}

/// A random sample of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFacts {
    /// Its size as it was asked for.
    pub asked: String,
    /// The seed of the draw.
    pub seed: String,
    /// How many derivations there are to draw from.
    pub population: u64,
    /// The derivations that were drawn.
    pub drawn: BTreeSet<StorePath>,
}

/// A fact about the world of builders that not all Nix versions share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldFact {
    /// The fact, as a sentence.
    pub fact: String,
    /// Whether it held in this run.
    pub here: bool,
    /// The worlds in which it is otherwise.
    pub otherwise_in: Vec<String>,
}

/// The sandbox as it was on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxFacts {
    /// How `verify` came by the ids it builds under.
    pub ownership: String,
    /// The shell at `/bin/sh`, if there was one.
    pub shell: Option<ShellFacts>,
    /// Each way in which builders saw another world than the profile's.
    pub differences: Vec<String>,
}

/// The shell that builders found at `/bin/sh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellFacts {
    /// Where it came from.
    pub origin: String,
    /// SHA-256 of the file, in base16.
    pub sha256: String,
}

/// Why a derivation is in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It was asked for.
    Target,
    /// A target builds on it, and the whole closure was asked for.
    Member,
    /// It had to be rebuilt because nothing that may be trusted has its output.
    Input,
}

impl Role {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Member => "closure",
            Self::Input => "input",
        }
    }
}

/// One derivation and what came of it.
#[derive(Debug, Clone)]
pub struct DerivationFacts {
    /// The store path of the `.drv`.
    pub drv_path: StorePath,
    /// The platform it is for.
    pub system: String,
    /// Why it is here.
    pub role: Role,
    /// What its outputs are judged by.
    pub basis: Basis,
    /// Those paths its build could read that we had to make ourselves.
    pub built_on: BTreeSet<StorePath>,
    /// The nearest derivations of the report that it builds on. A fixed output
    /// builds on none: its content is known whatever fetched it.
    pub reads: BTreeSet<StorePath>,
    /// What came of building it.
    pub production: Production,
    /// What came of building it again.
    pub rounds: Vec<RoundFacts>,
    /// Its outputs, by name.
    pub outputs: Vec<OutputFacts>,
    /// A second build on what this run made of its inputs, if that is not what
    /// is claimed of them.
    pub chain: Option<ChainBuild>,
}

impl DerivationFacts {
    /// A target that was built once and is judged by what is claimed of its
    /// outputs' paths.
    #[must_use]
    pub fn target(drv_path: StorePath, outputs: Vec<OutputFacts>) -> Self {
        Self {
            drv_path,
            system: String::new(),
            role: Role::Target,
            basis: Basis::Claims,
            built_on: BTreeSet::new(),
            reads: BTreeSet::new(),
            production: Production::Built,
            rounds: Vec::new(),
            outputs,
            chain: None,
        }
    }
}

/// The build of a derivation on our own chain of builds, where that leads to
/// other inputs than those claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainBuild {
    /// The inputs that we made otherwise than is claimed, or could not make.
    pub diverged: BTreeSet<StorePath>,
    /// What came of building it.
    pub production: Production,
    /// What it made, by output: the path and what is there.
    pub outputs: BTreeMap<String, (StorePath, Contents)>,
    /// Those outputs beside what trusted keys claim, where they differ.
    pub contrasts: BTreeMap<String, Contrast>,
}

/// How a derivation's outputs came about, or why they did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Production {
    /// Built in our sandbox.
    Built,
    /// A fixed output whose content was got by its hash.
    Obtained {
        /// From where.
        origin: Origin,
    },
    /// There are no outputs.
    Missing {
        /// Why, from the closed list.
        reason: Reason,
        /// The particulars.
        detail: String,
        /// The last lines of the build log.
        tail: Vec<String>,
    },
}

/// One output: ours, and what others claim of it.
#[derive(Debug, Clone)]
pub struct OutputFacts {
    /// The output's name, `out` mostly.
    pub name: String,
    /// Its store path, if it is known without building or was built.
    pub path: Option<StorePath>,
    /// What we built.
    pub ours: Option<Contents>,
    /// Its content address, for content-addressed and fixed outputs.
    pub ca: Option<String>,
    /// What caches and the local store claim.
    pub claims: Vec<Claim>,
    /// With rounds: our first build beside the first one that gave something
    /// else.
    pub unlike: Option<Unlike>,
}

/// Why a store object may be used as an input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A valid signature by trusted keys over its NAR hash.
    Signed {
        /// Where the object came from.
        from: String,
        /// The keys that signed it.
        keys: Vec<String>,
    },
    /// Its path was recomputed from its content.
    ContentAddressed {
        /// Where the object came from.
        from: String,
    },
    /// A fixed output whose content has the hash its derivation fixes.
    FixedByHash {
        /// Where the object came from.
        from: String,
    },
    /// Built by us in this run.
    Rebuilt {
        /// The derivation.
        drv_path: StorePath,
    },
}

impl Origin {
    /// The word used in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Signed { .. } => "signed",
            Self::ContentAddressed { .. } => "content-addressed",
            Self::FixedByHash { .. } => "fixed-by-hash",
            Self::Rebuilt { .. } => "rebuilt",
        }
    }

    /// Where the object came from.
    #[must_use]
    pub fn from(&self) -> String {
        match self {
            Self::Signed { from, .. }
            | Self::ContentAddressed { from }
            | Self::FixedByHash { from } => from.clone(),
            Self::Rebuilt { drv_path } => drv_path.to_string(),
        }
    }
}

/// One store object that builders could read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFacts {
    /// Its store path.
    pub path: StorePath,
    /// What it held.
    pub contents: Contents,
    /// Why it may be used.
    pub origin: Origin,
}
