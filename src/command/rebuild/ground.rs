//! What a run stands on before it knows its targets: what was asked, the
//! rights to build, where work is kept, and where others are asked.

use super::super::cli::RebuildArgs;
use super::super::sources::Sources;
use super::super::{Environment, ToolError};
use super::baseline;
use super::closure::Scope;
use super::picture::Picture;
use super::targets::{self, Evaluations, Named, Reading};
use crate::check::baseline::Baseline;
use crate::check::{Finding, Inconclusive};
use crate::gather::cache::answers::Answers;
use crate::gather::derivations::cache::DrvCache;
use crate::gather::derivations::graph::{self, DerivationGraph};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::Progress;
use crate::state::StateDir;
use crate::sys::namespace::{RootKind, enter_private_root};
use std::collections::BTreeSet;

/// Questions that are put to caches at once: a thousand narinfos a second at
/// 50 ms each, and few enough for a small server.
const QUESTIONS_AT_ONCE: usize = 48;

/// What a run stands on.
pub struct Ground {
    /// The store directory.
    pub store_dir: StoreDir,
    /// How this process is root.
    pub root_kind: RootKind,
    /// Where work is kept.
    pub state: StateDir,
    /// Caches, the local store, keys.
    pub sources: Sources,
    /// Threads that wait for answers.
    pub questions: rayon::ThreadPool,
    /// What the result is compared with.
    pub baseline: Option<Baseline>,
    /// Where the graph is drawn.
    pub picture: Option<Picture>,
}

/// What the command line names, Nix's part of it evaluated.
pub struct Asked {
    named: Vec<Named>,
    evaluations: Evaluations,
}

impl Ground {
    /// Prepares a run. To be called before any thread is started: this process
    /// becomes root of namespaces of its own.
    ///
    /// # Errors
    /// Options that make no sense, no right to build, a state directory or a
    /// source that does not work.
    pub fn prepare(
        args: &RebuildArgs,
        environment: &Environment,
    ) -> Result<(Self, Asked), ToolError> {
        let store_dir = StoreDir::default();
        let named = targets::read_named(args, environment, &store_dir)?;
        let baseline = baseline::read(args, environment)?;
        let evaluate = || targets::evaluate(&named, args, environment, &store_dir);
        // Nix runs as whoever called us, unless it has to be kept off the network.
        let evaluations = if args.sources.offline { None } else { Some(evaluate()?) };
        let picture = Picture::of(args.graph.as_deref(), environment)?;
        let root_kind = enter_private_root()
            .map_err(|error| ToolError::failed("prepare the sandbox", error))?;
        let evaluations = evaluations.map_or_else(evaluate, Ok)?;
        let state = StateDir::open(&args.work.state_path(environment)?)
            .map_err(|error| ToolError::failed("use the state directory", error))?;
        let sources = Sources::open(&args.sources, &args.keys, environment, &store_dir)?;
        let questions = rayon::ThreadPoolBuilder::new()
            .num_threads(QUESTIONS_AT_ONCE)
            .build()
            .map_err(|error| ToolError::failed("start threads", error))?;
        let ground = Self { store_dir, root_kind, state, sources, questions, baseline, picture };
        Ok((ground, Asked { named, evaluations }))
    }

    /// What caches say, each asked once.
    #[must_use]
    pub fn answers(&self) -> Answers<'_> {
        let Self { sources, store_dir, .. } = self;
        Answers::new(&sources.client, &sources.caches, store_dir, &sources.keys)
    }
}

/// The targets and all that they build on.
pub struct Known {
    /// The derivations.
    pub graph: DerivationGraph,
    /// The targets.
    pub targets: BTreeSet<StorePath>,
    /// What is to be judged.
    pub scope: Scope,
    /// What is wrong with targets or derivations.
    pub findings: Vec<Finding>,
    /// Targets that nothing is known to make.
    pub unanswered: Vec<Inconclusive>,
}

impl Known {
    /// Reads what was asked for, and everything below it.
    ///
    /// # Errors
    /// A file that cannot be read at all; a malformed one is a finding.
    pub fn read(
        asked: Asked,
        ground: &Ground,
        answers: &Answers<'_>,
        (args, environment): (&RebuildArgs, &Environment),
        progress: &Progress,
    ) -> Result<Self, ToolError> {
        let Ground { store_dir, sources, questions, .. } = ground;
        let caches = DrvCache::new(&sources.client, &sources.caches, store_dir);
        let reading =
            Reading { args, environment, sources, answers, caches: &caches, store_dir, progress };
        let mut targets = questions.install(|| reading.run(asked.named, asked.evaluations))?;
        let derivations = std::mem::take(&mut targets.derivations);
        let graph::Loaded { graph, findings } = questions
            .install(|| graph::load(derivations, store_dir, &targets.files))
            .map_err(|error| ToolError::failed("read the derivations", error))?;
        targets.settle(&graph, store_dir);
        let scope = scope(args, &targets.paths, &graph);
        let mut all = targets.findings;
        all.extend(findings);
        let (targets, unanswered) = (targets.paths, targets.unanswered);
        Ok(Self { graph, targets, scope, findings: all, unanswered })
    }
}

/// What the options ask to be judged.
fn scope(args: &RebuildArgs, targets: &BTreeSet<StorePath>, graph: &DerivationGraph) -> Scope {
    match args.sample {
        Some(size) => Scope::closure(targets, graph).sample(size, &args.seed, graph),
        None if args.closure => Scope::closure(targets, graph),
        None => Scope::targets(targets),
    }
}
