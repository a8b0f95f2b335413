//! The derivations that targets build on, read and recomputed.
//!
//! Nothing in a `.drv` is taken on trust: its bytes must have the path it is
//! stored under, print back as they were read, and state the output paths that
//! follow from them and from all derivations below.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rayon::prelude::*;

use crate::check::Finding;
use crate::check::rebuild::rules;
use crate::gather::derivations::files::{DrvFileError, DrvFiles};
use crate::nix::derivation::modulo::{DerivationSource, MergeRule};
use crate::nix::derivation::paths::{OutputPathCheck, PathChecker, PathsReport};
use crate::nix::derivation::{ByOutput, Derivation};
use crate::nix::hash::Hash;
use crate::nix::store_path::{StoreDir, StorePath};

/// Most derivations in one graph; nixpkgs has some 100,000 in all.
pub const MAX_DERIVATIONS: usize = 1_000_000;

/// A derivation whose bytes, path and output paths all agree.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The output paths, for those outputs that have one before the build.
    pub outputs: ByOutput<Option<StorePath>>,
    /// The masked hash modulo, which names its realisations.
    pub modulo: Option<Hash>,
    /// The merge rule that alone gives the stated paths, if one does.
    pub only_rule: Option<MergeRule>,
}

/// Why a derivation of the graph cannot be used.
#[derive(Debug, Clone)]
pub enum Unusable {
    /// Its `.drv` was not found anywhere.
    Missing,
    /// It is of an experimental kind, and which.
    Experimental(String),
    /// It breaks the format or contradicts its path.
    Malformed,
    /// Its output paths cannot be recomputed, or are others.
    Unproven(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("its .drv was not found anywhere"),
            Self::Experimental(what) | Self::Unproven(what) => f.write_str(what),
            Self::Malformed => f.write_str("its .drv is malformed or contradicts its path"),
        }
    }
}

/// All derivations that the targets build on, the targets included.
#[derive(Debug, Default)]
pub struct DerivationGraph {
    derivations: BTreeMap<StorePath, Derivation>,
    checked: BTreeMap<StorePath, Checked>,
    unusable: BTreeMap<StorePath, Unusable>,
    /// Which derivation has this output path.
    producers: BTreeMap<StorePath, (StorePath, String)>,
}

impl DerivationSource for DerivationGraph {
    fn derivation(&self, path: &StorePath) -> Option<&Derivation> {
        self.derivations.get(path)
    }
}

/// A graph with the findings of reading it.
#[derive(Debug)]
pub struct Loaded {
    /// The graph.
    pub graph: DerivationGraph,
    /// Malformed derivations and wrong output paths.
    pub findings: Vec<Finding>,
}

/// Why a graph cannot be read at all: our fault or the machine's.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A `.drv` is there and cannot be read.
    #[error(transparent)]
    File(#[from] DrvFileError),
    /// More derivations than [`MAX_DERIVATIONS`].
    #[error("the targets build on more than {MAX_DERIVATIONS} derivations")]
    TooMany,
}

/// Reads everything that `targets` build on.
///
/// # Errors
/// A `.drv` that is there and cannot be read, or too many of them. A missing
/// or malformed one is part of the answer.
pub fn load(
    targets: BTreeMap<StorePath, Derivation>,
    store_dir: &StoreDir,
    files: &DrvFiles<'_>,
) -> Result<Loaded, GraphError> {
    let mut graph = DerivationGraph::default();
    let mut findings = Vec::new();
    let mut seen: BTreeSet<StorePath> = targets.keys().cloned().collect();
    let mut frontier = Vec::new();
    let mut wave: Vec<(StorePath, Result<Derivation, DrvFileError>)> =
        targets.into_iter().map(|(path, derivation)| (path, Ok(derivation))).collect();
    while !wave.is_empty() {
        for (path, derivation) in wave {
            match derivation {
                Ok(derivation) => {
                    frontier.extend(
                        derivation
                            .input_drvs
                            .keys()
                            .filter(|input| seen.insert((*input).clone()))
                            .cloned(),
                    );
                    graph.derivations.insert(path, derivation);
                }
                Err(DrvFileError::Missing { .. }) => {
                    graph.unusable.insert(path, Unusable::Missing);
                }
                Err(error @ (DrvFileError::Io { .. } | DrvFileError::NotRegular(_))) => {
                    return Err(error.into());
                }
                Err(error) if error.is_experimental() => {
                    graph.unusable.insert(path, Unusable::Experimental(error.to_string()));
                }
                Err(error) => {
                    findings.push(malformed(&store_dir.full(&path), &error, store_dir));
                    graph.unusable.insert(path, Unusable::Malformed);
                }
            }
        }
        if seen.len() > MAX_DERIVATIONS {
            return Err(GraphError::TooMany);
        }
        wave = std::mem::take(&mut frontier)
            .into_par_iter()
            .map(|path| {
                let derivation = files.load(&path);
                (path, derivation)
            })
            .collect();
    }
    graph.check_paths(store_dir, &mut findings);
    Ok(Loaded { graph, findings })
}

/// The finding for a `.drv` that is not what it should be.
#[must_use]
pub fn malformed(subject: &str, error: &DrvFileError, store_dir: &StoreDir) -> Finding {
    let finding = |message: String| Finding::new(&rules::MALFORMED_DERIVATION, subject, message);
    match error {
        DrvFileError::Malformed { source, .. } => finding(source.to_string()),
        DrvFileError::OtherPath { computed, .. } => {
            finding("its bytes belong to another store path".to_owned())
                .with("path of these bytes", store_dir.full(computed))
        }
        error => finding(error.to_string()),
    }
}

impl DerivationGraph {
    /// The derivation at `path`, if it was read and parses.
    #[must_use]
    pub fn get(&self, path: &StorePath) -> Option<&Derivation> {
        self.derivations.get(path)
    }

    /// The derivation at `path` if everything about it was recomputed.
    #[must_use]
    pub fn usable(&self, path: &StorePath) -> Option<(&Derivation, &Checked)> {
        Some((self.derivations.get(path)?, self.checked.get(path)?))
    }

    /// Why the derivation at `path` is not [`usable`](Self::usable).
    #[must_use]
    pub fn unusable(&self, path: &StorePath) -> Option<&Unusable> {
        self.unusable.get(path)
    }

    /// The derivation of the graph that has the output path `path`, with the
    /// output's name.
    #[must_use]
    pub fn producer(&self, path: &StorePath) -> Option<(&StorePath, &str)> {
        self.producers.get(path).map(|(drv_path, output)| (drv_path, output.as_str()))
    }

    /// Which derivation makes which output path, and which output that is.
    #[must_use]
    pub const fn producers(&self) -> &BTreeMap<StorePath, (StorePath, String)> {
        &self.producers
    }

    /// The paths that derivations read and that no derivation makes.
    pub fn sources(&self) -> impl Iterator<Item = &StorePath> {
        self.derivations.values().flat_map(|derivation| &derivation.input_srcs)
    }

    /// Why derivations are not [`usable`](Self::usable).
    #[must_use]
    pub const fn all_unusable(&self) -> &BTreeMap<StorePath, Unusable> {
        &self.unusable
    }

    /// How many derivations were read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.derivations.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.derivations.is_empty()
    }

    /// Recomputes every output path.
    fn check_paths(&mut self, store_dir: &StoreDir, findings: &mut Vec<Finding>) {
        let mut checked = BTreeMap::new();
        let mut unusable = BTreeMap::new();
        let mut checker = PathChecker::new(store_dir, &*self);
        for (path, derivation) in &self.derivations {
            match checker.check(derivation, path) {
                Ok(report) if report.is_right() => {
                    checked.insert(path.clone(), Checked::from_report(report, derivation));
                }
                Ok(report) => {
                    findings.push(wrong_paths(path, &report, store_dir));
                    unusable.insert(path.clone(), Unusable::Malformed);
                }
                Err(error) => {
                    unusable.insert(path.clone(), Unusable::Unproven(error.to_string()));
                }
            }
        }
        for (drv_path, facts) in &checked {
            for (output, path) in &facts.outputs {
                if let Some(path) = path {
                    self.producers
                        .entry(path.clone())
                        .or_insert_with(|| (drv_path.clone(), output.clone()));
                }
            }
        }
        self.checked = checked;
        self.unusable.extend(unusable);
    }
}

impl Checked {
    fn from_report(report: PathsReport, derivation: &Derivation) -> Self {
        let outputs = derivation
            .outputs
            .iter()
            .map(|(name, output)| {
                let path = match report.outputs.get(name) {
                    Some(OutputPathCheck::Matches { path }) => Some(path.clone()),
                    _ => output.path().cloned(),
                };
                (name.clone(), path)
            })
            .collect();
        Self { outputs, modulo: report.modulo, only_rule: report.only_rule }
    }
}

/// The finding for output paths that do not follow from the derivation.
fn wrong_paths(path: &StorePath, report: &PathsReport, store_dir: &StoreDir) -> Finding {
    let mut finding = Finding::new(
        &rules::WRONG_OUTPUT_PATH,
        store_dir.full(path),
        "its output paths do not follow from its content",
    );
    for (output, check) in &report.outputs {
        finding = match check {
            OutputPathCheck::Differs { stated, expected } => finding
                .with(format!("stated path of '{output}'"), store_dir.full(stated))
                .with(format!("computed path of '{output}'"), store_dir.full(expected)),
            OutputPathCheck::VariableDiffers { path, found } => {
                let found = found.as_deref().map_or("nothing".into(), String::from_utf8_lossy);
                finding
                    .with(format!("path of '{output}'"), store_dir.full(path))
                    .with(format!("variable '{output}'"), found)
            }
            OutputPathCheck::ShouldBeDeferred { stated } => finding
                .with(format!("path of '{output}', not yet knowable"), store_dir.full(stated)),
            _ => finding,
        };
    }
    finding
}
