//! The targets that the command line names, read.

mod named;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use self::named::{Named, read as read_named};
use super::super::cli::RebuildArgs;
use super::super::sources::Sources;
use super::super::{Environment, ToolError};
use crate::check::{Finding, Inconclusive, Reason};
use crate::gather::cache::answers::{Answers, CacheAnswer};
use crate::gather::derivations::cache::DrvCache;
use crate::gather::derivations::evaluate::{EvaluateError, Evaluator, Expression};
use crate::gather::derivations::files::{DrvFileError, DrvFiles};
use crate::gather::derivations::graph::{self, DerivationGraph};
use crate::nix::derivation::{Derivation, Kind};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::Progress;
use crate::report::progress::Unit;

/// The check that finds out what a target is.
const MADE_BY: &str = "derivation";

/// What Nix made of the expressions among the targets.
#[derive(Debug, Default)]
pub struct Evaluations {
    found: BTreeMap<Expression, Result<BTreeSet<StorePath>, EvaluateError>>,
    /// Where the derivations are as files.
    objects: Option<PathBuf>,
}

/// Has Nix evaluate the expressions among the targets. To be called before any
/// thread is started, except with `--offline`, for which the process has to be
/// root already.
///
/// # Errors
/// No Nix, or one that cannot be run. An expression that does not evaluate is
/// part of the answer.
pub fn evaluate(
    named: &[Named],
    args: &RebuildArgs,
    environment: &Environment,
    store_dir: &StoreDir,
) -> Result<Evaluations, ToolError> {
    let expressions: Vec<&Expression> = named
        .iter()
        .filter_map(|named| match named {
            Named::Expression(expression) => Some(expression),
            _ => None,
        })
        .collect();
    if expressions.is_empty() {
        return Ok(Evaluations::default());
    }
    let root = args.sources.local_store.as_ref().and_then(Option::as_ref);
    let root = root.map(|root| environment.absolute(root));
    let evaluator = Evaluator::new(environment.variable("PATH"), &environment.directory, store_dir)
        .with_store(root.as_deref())
        .offline(args.sources.offline);
    let mut found = BTreeMap::new();
    for expression in expressions {
        let derivations = evaluator.derivations(expression).map(|found| {
            found.into_iter().map(|evaluated| evaluated.drv_path).collect::<BTreeSet<_>>()
        });
        match derivations {
            Err(error) if error.is_ours() => {
                return Err(ToolError::failed("evaluate a target", error));
            }
            derivations => found.insert(expression.clone(), derivations),
        };
    }
    Ok(Evaluations { found, objects: Some(evaluator.store_objects()) })
}

/// The targets, read.
pub struct Targets<'a> {
    /// The store paths of those that have one.
    pub paths: BTreeSet<StorePath>,
    /// What they say.
    pub derivations: BTreeMap<StorePath, Derivation>,
    /// Where further derivations are found.
    pub files: DrvFiles<'a>,
    /// Targets that are malformed.
    pub findings: Vec<Finding>,
    /// Targets that nothing is known to make, or that do not evaluate.
    pub unanswered: Vec<Inconclusive>,
    /// Outputs to rebuild, each with the derivations that may make it.
    outputs: BTreeMap<StorePath, Makers>,
}

/// Who may have made an output.
#[derive(Debug, Default)]
struct Makers {
    /// Derivations that were read, most likely ones first.
    likely: Vec<StorePath>,
    /// What came of the others, in words.
    tried: Vec<String>,
}

/// What targets are read with.
pub struct Reading<'a> {
    /// What the user asked for.
    pub args: &'a RebuildArgs,
    /// Where relative names begin.
    pub environment: &'a Environment,
    /// Where derivations and hints come from.
    pub sources: &'a Sources,
    /// What caches say about outputs.
    pub answers: &'a Answers<'a>,
    /// Derivations that caches have.
    pub caches: &'a DrvCache<'a>,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// Where progress is shown.
    pub progress: &'a Progress,
}

impl<'a> Reading<'a> {
    /// Reads what the command line names.
    ///
    /// # Errors
    /// A file that cannot be read at all; a malformed one is a finding.
    pub fn run(
        &self,
        named: Vec<Named>,
        evaluations: Evaluations,
    ) -> Result<Targets<'a>, ToolError> {
        let local = self.sources.local.as_ref();
        let mut files = self.args.derivations.open(self.environment, self.store_dir, local)?;
        files.add_caches(self.caches);
        let mut targets = Targets {
            paths: BTreeSet::new(),
            derivations: BTreeMap::new(),
            files,
            findings: Vec::new(),
            unanswered: Vec::new(),
            outputs: BTreeMap::new(),
        };
        let mut by_path = BTreeSet::new();
        let mut directories: Vec<PathBuf> = Vec::new();
        for named in named {
            match named {
                Named::File(file) => {
                    directories.extend(file.parent().map(Path::to_owned));
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let read = targets.files.load_file(&file);
                    self.take(&mut targets, &name, read)?;
                }
                Named::Derivation(path) => {
                    by_path.insert(path);
                }
                Named::Output(path) => {
                    targets.outputs.insert(path, Makers::default());
                }
                Named::Expression(_) => {}
            }
        }
        for (expression, found) in evaluations.found {
            match found {
                Ok(derivations) => by_path.extend(derivations),
                Err(error) => targets.unanswered.push(Inconclusive {
                    subject: expression.to_string(),
                    check: "evaluation".to_owned(),
                    reason: if error.is_limit() {
                        Reason::LimitReached
                    } else {
                        Reason::DerivationMissing
                    },
                    detail: error.to_string(),
                }),
            }
        }
        directories.extend(evaluations.objects);
        for directory in directories {
            targets.files.add_directory(&directory);
        }
        let files = &targets.files;
        let loaded: Vec<_> =
            by_path.into_par_iter().map(|path| (files.load(&path), path)).collect();
        for (read, path) in loaded {
            let read = read.map(|derivation| (path.clone(), derivation));
            self.take(&mut targets, &self.store_dir.full(&path), read)?;
        }
        self.find_makers(&mut targets)?;
        Ok(targets)
    }

    /// Takes over a target that was read, or what was wrong with it.
    fn take(
        &self,
        targets: &mut Targets<'_>,
        subject: &str,
        read: Result<(StorePath, Derivation), DrvFileError>,
    ) -> Result<(), ToolError> {
        match read {
            Ok((path, derivation)) => {
                targets.paths.insert(path.clone());
                targets.derivations.insert(path, derivation);
            }
            Err(error @ DrvFileError::Missing { .. }) => targets.unanswered.push(Inconclusive {
                subject: subject.to_owned(),
                check: MADE_BY.to_owned(),
                reason: Reason::DerivationMissing,
                detail: error.to_string(),
            }),
            Err(error) if error.is_experimental() => targets.unanswered.push(Inconclusive {
                subject: subject.to_owned(),
                check: MADE_BY.to_owned(),
                reason: Reason::Unsupported,
                detail: error.to_string(),
            }),
            Err(error) if error.is_unreadable() => {
                return Err(ToolError::failed("read a target", error));
            }
            Err(error) => {
                targets.findings.push(graph::malformed(subject, &error, self.store_dir));
            }
        }
        Ok(())
    }

    /// Reads the derivations that may have made the outputs among the targets.
    fn find_makers(&self, targets: &mut Targets<'_>) -> Result<(), ToolError> {
        let outputs: Vec<StorePath> = targets.outputs.keys().cloned().collect();
        if outputs.is_empty() {
            return Ok(());
        }
        let total = u64::try_from(outputs.len()).ok();
        let phase = self.progress.phase("asking what made the targets", Unit::Items, total);
        let mut hinted: Vec<(StorePath, Vec<StorePath>, Makers)> = outputs
            .into_par_iter()
            .map(|path| {
                let (hints, tried) = self.hints(&path);
                phase.advance(1);
                (path, hints, Makers { likely: Vec::new(), tried })
            })
            .collect();
        drop(phase);
        let directories: Vec<PathBuf> =
            self.args.derivations.directories(self.environment).collect();
        let outputs = hinted.iter().map(|(path, ..)| path.clone()).collect();
        let stating = targets.files.stating(&outputs, &directories);
        for (path, hints, makers) in &mut hinted {
            match stating.get(path) {
                Some(drv_path) if hints.contains(drv_path) => {}
                Some(drv_path) => hints.push(drv_path.clone()),
                None => makers.tried.push("no derivation in a --drv-dir states it".to_owned()),
            }
        }
        let mut wanted: BTreeMap<StorePath, Result<Derivation, DrvFileError>> = BTreeMap::new();
        let files = &targets.files;
        let all: BTreeSet<&StorePath> = hinted.iter().flat_map(|(_, hints, _)| hints).collect();
        wanted.par_extend(all.into_par_iter().map(|hint| (hint.clone(), files.load(hint))));
        for (path, hints, mut makers) in hinted {
            for hint in hints {
                match wanted.get(&hint) {
                    Some(Ok(derivation)) => {
                        targets
                            .derivations
                            .entry(hint.clone())
                            .or_insert_with(|| derivation.clone());
                        makers.likely.push(hint);
                    }
                    // A hint may lie; whoever gave it is not judged by it.
                    Some(Err(error)) => makers.tried.push(error.to_string()),
                    None => {}
                }
            }
            targets.outputs.insert(path, makers);
        }
        Ok(())
    }

    /// What the local store and the caches say made `path`, and what kept them
    /// from saying so.
    fn hints(&self, path: &StorePath) -> (Vec<StorePath>, Vec<String>) {
        let (mut hints, mut tried) = (Vec::new(), Vec::new());
        if let Some(local) = &self.sources.local {
            match local.derivers(path) {
                Ok(derivers) if derivers.is_empty() => {
                    tried.push("the local store does not say what made it".to_owned());
                }
                Ok(derivers) => hints.extend(derivers),
                Err(error) => tried.push(error.to_string()),
            }
        }
        for cache in 0..self.answers.len() {
            let name = || self.answers.name(cache);
            match &*self.answers.ask(cache, path) {
                CacheAnswer::Known(answer) => match &answer.narinfo.deriver {
                    Some(deriver) => hints.push(deriver.clone()),
                    None => tried.push(format!("{} does not say what made it", name())),
                },
                CacheAnswer::Absent => tried.push(format!("{} does not have it", name())),
                CacheAnswer::Unreachable(why) => tried.push(format!("{}: {why}", name())),
                CacheAnswer::Bad(finding) => tried.push(finding.message.clone()),
            }
        }
        let mut seen = BTreeSet::new();
        hints.retain(|hint| seen.insert(hint.clone()));
        (hints, tried)
    }
}

impl Targets<'_> {
    /// Now that the graph is read: finds for each output among the targets the
    /// derivation that truly makes it, by recomputing the path.
    pub fn settle(&mut self, graph: &DerivationGraph, store_dir: &StoreDir) {
        for (path, makers) in std::mem::take(&mut self.outputs) {
            let mut tried = makers.tried;
            let maker =
                makers.likely.into_iter().find(|drv_path| match makes(graph, drv_path, &path) {
                    Ok(()) => true,
                    Err(why) => {
                        tried.push(format!("{} {why}", store_dir.full(drv_path)));
                        false
                    }
                });
            if let Some(drv_path) = maker {
                self.paths.insert(drv_path);
                continue;
            }
            self.unanswered.push(Inconclusive {
                subject: store_dir.full(&path),
                check: MADE_BY.to_owned(),
                reason: Reason::DerivationMissing,
                detail: format!(
                    "nothing is known that makes it: {} (name its .drv file, or where it is with --drv-dir)",
                    tried.join("; ")
                ),
            });
        }
    }
}

/// Whether a derivation makes that output, and if not, why it is not the one.
fn makes(
    graph: &DerivationGraph,
    drv_path: &StorePath,
    output: &StorePath,
) -> Result<(), &'static str> {
    let Some((derivation, checked)) = graph.usable(drv_path) else {
        return Err("cannot be used: its output paths could not be recomputed");
    };
    if checked.outputs.values().flatten().any(|made| made == output) {
        return Ok(());
    }
    match derivation.kind() {
        Kind::FloatingCa | Kind::Deferred | Kind::Impure => {
            Err("makes outputs whose paths only a build can tell: name it instead of the output")
        }
        Kind::Fixed | Kind::InputAddressed => Err("makes other outputs"),
    }
}
