//! Building what has to be built, along the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::shelf::{Assembly, Shelf, lack};
use crate::build::rounds::{self, First, Round};
use crate::build::{
    BuildError, BuildJob, BuildOutcome, Built, BuiltOutput, Executor, Failed, FailureReason,
    Limits, Surroundings, World, schedule,
};
use crate::check::rebuild::facts::Production;
use crate::check::rebuild::rules;
use crate::check::{Finding, Reason};
use crate::gather::derivations::graph::DerivationGraph;
use crate::gather::inputs::plan::Plan;
use crate::gather::inputs::{Lack, Object, Way};
use crate::nix::derivation::{Kind, name_of};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::Progress;
use crate::state::BuildDir;

/// What every build of a run has in common.
#[derive(Debug, Clone)]
pub struct BuildSettings {
    /// The world builders see.
    pub world: World,
    /// `NIX_BUILD_CORES`.
    pub cores: u32,
    /// When builds are stopped.
    pub limits: Limits,
    /// What becomes `/bin/sh`.
    pub shell: Option<PathBuf>,
    /// Whether builders of fixed outputs get the network.
    pub network: bool,
    /// Whether failed build directories stay.
    pub keep_failed: bool,
    /// Whether builders get less than their world has.
    pub hardened: bool,
    /// How often each target is built.
    pub rounds: u32,
    /// How many builds run at once.
    pub jobs: NonZeroUsize,
}

/// What came of one derivation.
#[derive(Debug)]
pub struct Done {
    /// Whether there are outputs, else why not.
    pub production: Production,
    /// The outputs.
    pub outputs: BTreeMap<String, BuiltOutput>,
    /// What the build could read.
    pub inputs: BTreeSet<StorePath>,
    /// The path of the resolved derivation, by which newer caches know what its
    /// content-addressed outputs turned out to be.
    pub resolved: Option<StorePath>,
    /// Where it ran.
    pub surroundings: Option<Surroundings>,
    /// A fixed output with the wrong hash.
    pub finding: Option<Finding>,
    /// What came of building it again.
    pub rounds: Vec<Round>,
    /// What is ours to say of it: log, time, kept directory.
    pub run: RunFacts,
    /// Our own failure.
    pub trouble: Option<BuildError>,
    /// Keeps the outputs on disk while others may read them.
    pub room: Option<Arc<BuildDir>>,
}

/// What only this run can say of a build.
#[derive(Debug, Default)]
pub struct RunFacts {
    /// The log.
    pub log: Option<PathBuf>,
    /// How long the builder ran.
    pub duration: Option<Duration>,
    /// The kept build directory.
    pub kept: Option<PathBuf>,
}

impl Done {
    fn missing(reason: Reason, detail: String) -> Self {
        Self {
            production: Production::Missing { reason, detail, tail: Vec::new() },
            outputs: BTreeMap::new(),
            inputs: BTreeSet::new(),
            resolved: None,
            surroundings: None,
            finding: None,
            rounds: Vec::new(),
            run: RunFacts::default(),
            trouble: None,
            room: None,
        }
    }
}

/// The builds of one run.
pub struct Builds<'a> {
    /// Who builds.
    pub executor: &'a dyn Executor,
    /// The derivations.
    pub graph: &'a DerivationGraph,
    /// What is built and what is not.
    pub plan: &'a Plan,
    /// The settings.
    pub settings: &'a BuildSettings,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// Where progress is shown.
    pub progress: &'a Progress,
    /// Whether a derivation is built as often as the settings say, not once.
    pub repeated: &'a (dyn Fn(&StorePath) -> bool + Sync),
    /// Whether an output has to be looked at when everything is built.
    pub looked_at: &'a (dyn Fn(&BuiltOutput) -> bool + Sync),
}

/// What the builds of a run share while they are under way.
#[derive(Debug, Default)]
struct Shared {
    shelf: Shelf,
    /// Derivations without outputs, each with the one it is down to and why.
    failed: BTreeMap<StorePath, (StorePath, String)>,
}

impl Builds<'_> {
    /// Builds every node of the plan. Gives what came of each, and all that was
    /// at hand in the end.
    #[must_use]
    pub fn run(&self, objects: BTreeMap<StorePath, Object>) -> (BTreeMap<StorePath, Done>, Shelf) {
        let needs = self.plan.needs();
        let read: BTreeSet<&StorePath> = needs.values().flatten().collect();
        let shelf = Shelf { objects, ..Shelf::default() };
        let shared = Mutex::new(Shared { shelf, ..Shared::default() });
        let total = u64::try_from(needs.len()).ok();
        let phase = self.progress.phase("building", crate::report::progress::Unit::Items, total);
        let finished = schedule::run(&needs, self.settings.jobs, |drv_path| {
            let done = self.build(drv_path, &needs, read.contains(drv_path), &shared);
            phase.advance(1);
            done
        });
        let mut results = finished.results;
        for drv_path in finished.cyclic {
            let detail = "its inputs need its own outputs".to_owned();
            results.insert(drv_path, Done::missing(Reason::Unsupported, detail));
        }
        let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        (results, shared.shelf)
    }

    /// Builds one derivation; `read` says whether others need it.
    fn build(
        &self,
        drv_path: &StorePath,
        needs: &schedule::Needs<StorePath>,
        read: bool,
        shared: &Mutex<Shared>,
    ) -> Done {
        let mut done = self
            .try_build(drv_path, needs, shared)
            .unwrap_or_else(|lack| Done::missing(lack.reason, lack.detail));
        let unstable = done.rounds.iter().any(|round| round.room.is_some());
        if !read && !unstable && !done.outputs.values().any(self.looked_at) {
            // Nobody will read these outputs; a large run would fill the disk.
            done.room = None;
        }
        let mut shared = lock(shared);
        if let Production::Missing { reason, detail, .. } = &done.production {
            let root = needs
                .get(drv_path)
                .into_iter()
                .flatten()
                .find_map(|need| shared.failed.get(need))
                .filter(|_| *reason == Reason::BlockedBy)
                .cloned()
                .unwrap_or_else(|| (drv_path.clone(), detail.clone()));
            shared.failed.insert(drv_path.clone(), root);
        }
        for (name, output) in &done.outputs {
            shared.shelf.realised.insert((drv_path.clone(), name.clone()), output.path.clone());
            if read && self.reads_from(drv_path, &output.path) {
                shared.shelf.offer(drv_path, output);
            }
        }
        done
    }

    /// Whether builds read the output at `path` that `drv_path` made. Where
    /// others claim it, they read what is claimed; where several derivations
    /// make one path, they read what the planned one made.
    fn reads_from(&self, drv_path: &StorePath, path: &StorePath) -> bool {
        match self.plan.ways.get(path) {
            Some(Way::Build { drv_path: planned }) => planned == drv_path,
            Some(_) => false,
            // Only the build could tell the path.
            None => true,
        }
    }

    fn try_build(
        &self,
        drv_path: &StorePath,
        needs: &schedule::Needs<StorePath>,
        shared: &Mutex<Shared>,
    ) -> Result<Done, Lack> {
        let node = self.plan.nodes.get(drv_path);
        if let Some(lack) = node.and_then(|node| node.lack.as_ref()) {
            return Err(lack.clone());
        }
        let job = {
            let shared = lock(shared);
            let needs = needs.get(drv_path).into_iter().flatten();
            if let Some((root, why)) = needs.into_iter().find_map(|need| shared.failed.get(need)) {
                return Err(lack(Reason::BlockedBy, format!("{root} could not be built: {why}")));
            }
            self.assembly().job(drv_path, &shared.shelf)?
        };
        let mut done = self.perform(&job);
        if let Some(duration) = done.run.duration.filter(|_| (self.repeated)(drv_path)) {
            let item = self.progress.item(drv_path.name());
            let first = First { outputs: &done.outputs, duration };
            done.rounds = rounds::repeat(self.executor, &job, first, self.settings.rounds);
            drop(item);
        }
        Ok(done)
    }

    /// How jobs are made.
    #[must_use]
    pub const fn assembly(&self) -> Assembly<'_> {
        Assembly {
            graph: self.graph,
            plan: self.plan,
            settings: self.settings,
            store_dir: self.store_dir,
        }
    }

    /// Has one job done.
    #[must_use]
    pub fn perform(&self, job: &BuildJob) -> Done {
        let item = self.progress.item(job.drv_path.name());
        let outcome = self.executor.build(job);
        drop(item);
        let mut done = self.conclude(&job.drv_path, outcome);
        done.inputs = job.inputs.keys().cloned().collect();
        done.resolved = resolved_path(job);
        done
    }

    fn conclude(&self, drv_path: &StorePath, outcome: Result<BuildOutcome, BuildError>) -> Done {
        match outcome {
            Ok(BuildOutcome::Built(built)) => succeeded(built),
            Ok(BuildOutcome::Failed(failed)) => self.failed(drv_path, failed),
            Err(error) => {
                let mut done = Done::missing(Reason::Environment, error.to_string());
                done.trouble = Some(error);
                done
            }
        }
    }

    fn failed(&self, drv_path: &StorePath, failed: Failed) -> Done {
        let reason = reason(&failed.reason);
        let finding = match &failed.reason {
            FailureReason::HashMismatch { output, expected, found } => Some(
                Finding::new(
                    &rules::FIXED_OUTPUT_MISMATCH,
                    self.store_dir.full(drv_path),
                    format!("the built output '{output}' does not have the hash that the derivation fixes"),
                )
                .with("expected hash", expected)
                .with("built hash", found),
            ),
            _ => None,
        };
        let mut done = Done::missing(reason, failed.reason.to_string());
        if let Production::Missing { tail, .. } = &mut done.production {
            *tail = failed.tail;
        }
        done.finding = finding;
        done.run =
            RunFacts { log: failed.log.map(|log| log.path), duration: None, kept: failed.kept };
        done
    }
}

/// The path that a resolved derivation has as one of its own, if its outputs'
/// paths follow from their contents.
fn resolved_path(job: &BuildJob) -> Option<StorePath> {
    let derivation = &job.derivation;
    let floating = derivation.kind() == Kind::FloatingCa && derivation.input_drvs.is_empty();
    let name = name_of(&job.drv_path).filter(|_| floating)?;
    derivation.drv_path(name, &job.store_dir).ok()
}

/// The answer of the closed list that a failure amounts to.
#[must_use]
pub const fn reason(failure: &FailureReason) -> Reason {
    match failure {
        limit if limit.is_limit() => Reason::LimitReached,
        FailureReason::Unsupported(_) => Reason::Unsupported,
        _ => Reason::BuildFailed,
    }
}

fn succeeded(built: Built) -> Done {
    Done {
        production: Production::Built,
        outputs: built.outputs,
        inputs: BTreeSet::new(),
        resolved: None,
        surroundings: Some(built.surroundings),
        finding: None,
        rounds: Vec::new(),
        run: RunFacts { log: Some(built.log.path), duration: Some(built.duration), kept: None },
        trouble: None,
        room: built.room,
    }
}

/// The lock, even when a worker panicked: the panic itself is passed on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
