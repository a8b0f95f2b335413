//! What a survey of caches found out, before anything is judged. Kept small:
//! a run may be about a hundred thousand paths.

use std::fmt;
use std::sync::Arc;

use super::paths::{PathId, PathTable};
use super::rules::MISSING_PATH;
use crate::check::operators::Operators;
use crate::check::rebuild::Standing;
use crate::check::sample::Sample;
use crate::check::{Finding, Inconclusive, Reason};
use crate::nix::content_address::ContentAddress;
use crate::nix::hash::NarHash;
use crate::nix::realisation::DrvOutput;
use crate::nix::store_path::{StoreDir, StorePath};

/// Everything one run of `verify cache` found out.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The store directory of all paths.
    pub store_dir: StoreDir,
    /// Every path that was met.
    pub table: PathTable,
    /// Who was asked, in the order of the answers; the local store last.
    pub sources: Vec<SourceFacts>,
    /// The paths that were asked about, sorted.
    pub subjects: Vec<SubjectFacts>,
    /// Derivations of which several outputs are among the subjects.
    pub families: Vec<Family>,
    /// Outputs of content-addressed derivations.
    pub realisations: Vec<RealisationFacts>,
    /// What is wrong beside the answers about a path: bad files of a cache,
    /// bad derivations.
    pub findings: Vec<Finding>,
    /// Questions beside those about a path that got no answer.
    pub unanswered: Vec<Inconclusive>,
    /// What was asked for.
    pub asked: Asked,
    /// Who runs which caches and keys.
    pub operators: Operators,
}

/// What the user asked for beside the narinfos.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// References were followed.
    pub closure: bool,
    /// Everything a cache or store holds was a target.
    pub all: bool,
    /// NARs and local objects were read.
    pub contents: bool,
    /// Only some of them: how many, and by which seed.
    pub sample: Option<(Sample, String)>,
    /// How many operators have to attest a path.
    pub min_agree: Option<usize>,
    /// The local store was one of the sources.
    pub local_store: bool,
}

/// Where answers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// A binary cache.
    Cache,
    /// The local Nix store.
    LocalStore,
}

impl SourceKind {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::LocalStore => "local-store",
        }
    }
}

/// Somebody who was asked.
#[derive(Debug, Clone)]
pub struct SourceFacts {
    /// A cache's URL without credentials, or the root of the local store.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Whether the user named it: a default cache may be silent.
    pub named: bool,
    /// Files that count as absent because it answered 403 as S3 does.
    pub forbidden: u64,
}

impl fmt::Display for SourceFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SourceKind::Cache => f.write_str(&self.name),
            SourceKind::LocalStore => write!(f, "local store {}", self.name),
        }
    }
}

/// Why a path was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The user named it, or it was found by `--all`.
    Target,
    /// Another one refers to it.
    Closure,
}

impl Role {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Closure => "closure",
        }
    }
}

/// One path with everything that was said about it.
#[derive(Debug, Clone)]
pub struct SubjectFacts {
    /// The path.
    pub id: PathId,
    /// Why it was asked about.
    pub role: Role,
    /// One answer for each source.
    pub answers: Box<[Answer]>,
    /// What is wrong with the answers taken together.
    pub findings: Vec<Finding>,
}

/// What one source said about one path.
#[derive(Debug, Clone, Default)]
pub enum Answer {
    /// It was not asked.
    #[default]
    NotAsked,
    /// It does not have the path.
    Absent,
    /// It gave no answer.
    Silent(Arc<Silence>),
    /// Its answer cannot be used.
    Bad(Box<Finding>),
    /// It claims something.
    Claim(Box<SourceClaim>),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Silence {
    /// From the closed list.
    pub reason: Reason,
    /// The particulars.
    pub detail: String,
}

/// What one source claims about one path.
#[derive(Debug, Clone)]
pub struct SourceClaim {
    /// Who signed it.
    pub standing: Arc<Standing>,
    /// The hash of the NAR.
    pub nar_hash: NarHash,
    /// The size of the NAR.
    pub nar_size: u64,
    /// The references, as [`PathTable::set`] orders them.
    pub references: Box<[PathId]>,
    /// The derivation that is said to have made it. Another one is no finding:
    /// many derivations can have one output path.
    pub deriver: Option<PathId>,
    /// Its content address, if it has one.
    pub ca: Option<Box<CaFacts>>,
    /// What is wrong with the answer although it can be used.
    pub remarks: Box<[Finding]>,
    /// What its bytes turned out to be.
    pub content: Content,
    /// What is needed to read the NAR later on.
    pub archive: Option<Box<Archive>>,
}

/// A content address and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaFacts {
    /// The content address.
    pub ca: ContentAddress,
    /// What it proves.
    pub proof: CaProof,
}

/// What a content address proves about a claim before its bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaProof {
    /// It gives another store path, or says another NarHash than the claim.
    Wrong,
    /// It gives the store path, but the NarHash does not follow from it.
    Path,
    /// It gives the store path and the NarHash.
    NarHash,
}

/// The unsigned fields of a narinfo that say where its NAR is.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where, relative to the cache.
    pub url: Box<str>,
    /// How it is packed.
    pub compression: crate::nix::compression::Compression,
    /// The hash of the packed file.
    pub file_hash: Option<crate::nix::hash::FileHash>,
    /// The size of the packed file.
    pub file_size: Option<u64>,
}

/// What came of reading the bytes behind a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// Nobody asked for it.
    #[default]
    NotAsked,
    /// The sample left it out.
    NotSampled,
    /// It could not be read.
    Unanswered(Box<Silence>),
    /// It is what is claimed.
    Holds {
        /// Whether the bytes have the content address.
        proves_ca: bool,
    },
    /// Something is wrong with it; mere warnings leave it the right content.
    Found(Box<[Finding]>),
}

/// Outputs of one derivation.
#[derive(Debug, Clone)]
pub struct Family {
    /// The derivation.
    pub drv_path: StorePath,
    /// Its outputs that are subjects, sorted by path; at least two.
    pub outputs: Vec<PathId>,
}

/// What sources say an output of a content-addressed derivation turned out to be.
#[derive(Debug, Clone)]
pub struct RealisationFacts {
    /// The output.
    pub id: DrvOutput,
    /// The claims: source, path, standing.
    pub claims: Vec<RealisationClaim>,
}

/// One source's realisation.
#[derive(Debug, Clone)]
pub struct RealisationClaim {
    /// The source.
    pub source: usize,
    /// The path it names.
    pub path: StorePath,
    /// Who signed it.
    pub standing: Standing,
}

impl Answer {
    /// The claim, if there is one.
    #[must_use]
    pub fn claim(&self) -> Option<&SourceClaim> {
        match self {
            Self::Claim(claim) => Some(claim),
            _ => None,
        }
    }

    /// The claim, to be completed.
    pub fn claim_mut(&mut self) -> Option<&mut SourceClaim> {
        match self {
            Self::Claim(claim) => Some(claim),
            _ => None,
        }
    }
}

impl SourceClaim {
    /// Whether there is a record of the object and no object.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.remarks.iter().any(|remark| remark.rule == &MISSING_PATH)
    }
}

impl SubjectFacts {
    /// The claims with their sources.
    pub fn claims(&self) -> impl Iterator<Item = (usize, &SourceClaim)> {
        let answers = self.answers.iter().enumerate();
        answers.filter_map(|(source, answer)| Some((source, answer.claim()?)))
    }
}
