//! `verify rebuild`: build derivations in our own sandbox and compare every
//! output with what caches claim.
//!
//! The work goes: read and recompute the derivations, plan where inputs come
//! from, obtain and prove them, build along the graph, collect claims, judge.

mod baseline;
mod builds;
mod canary;
mod closure;
mod executors;
mod gathered;
mod outcome;
mod own_chain;
mod picture;
mod planned;
mod resume;
mod settings;
mod shelf;
mod targets;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::builds::BuildSettings;
pub(super) use self::canary::{Trial, nonce};

use self::builds::Builds;
use self::closure::Scope;
use self::executors::Chosen;
use self::gathered::Gathering;
use self::outcome::{Outcome, kept_differences, kept_section, run_facts};
use self::own_chain::{OwnChain, is_read_otherwise};
use self::picture::Picture;
use self::settings::{find_shell, other_worlds, settings};
use self::targets::Reading;
use super::cli::RebuildArgs;
use super::sources::Sources;
use super::{Environment, ToolError};
use crate::build::{self, BuiltOutput, Executor, Recorded};
use crate::check::rebuild::planned::examine_plan;
use crate::check::rebuild::{examine, rules};
use crate::gather::answers::Answers;
use crate::gather::differing::{self, Differing};
use crate::gather::diffoscope::Diffoscope;
use crate::gather::drv_cache::DrvCache;
use crate::gather::graph;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::{Exit, Progress, Report, Trouble, rebuild as render};
use crate::state::{Run, StateDir};
use crate::sys::namespace::enter_private_root;

/// Questions that are put to caches at once: a thousand narinfos a second at
/// 50 ms each, and few enough for a small server.
const QUESTIONS_AT_ONCE: usize = 48;

/// This program, which is also the supervisor of each build.
pub(super) const SELF: &str = "/proc/self/exe";

/// Rebuilds the targets and judges their outputs. `record` is where this run
/// writes down what it has finished, to be handed to [`end`] when its report
/// is out.
///
/// # Errors
/// An option that makes no sense, a target that cannot be read, or a failure
/// of ours before anything was built.
pub fn run(
    args: &RebuildArgs,
    environment: &Environment,
    progress: &Progress,
    record: &mut Option<Run>,
) -> Result<Report, ToolError> {
    let store_dir = StoreDir::default();
    let named = targets::read_named(args, environment, &store_dir)?;
    let baseline = baseline::read(args, environment)?;
    let evaluate = || targets::evaluate(&named, args, environment, &store_dir);
    // Nix runs as whoever called us, unless it has to be kept off the network.
    let evaluations = if args.sources.offline { None } else { Some(evaluate()?) };
    let picture = Picture::of(args.graph.as_deref(), environment)?;
    // Before any thread is started.
    let root_kind =
        enter_private_root().map_err(|error| ToolError::failed("prepare the sandbox", error))?;
    let evaluations = evaluations.map_or_else(evaluate, Ok)?;
    let state = StateDir::open(&args.work.state_path(environment)?)
        .map_err(|error| ToolError::failed("use the state directory", error))?;
    let sources = Sources::open(&args.sources, &args.keys, environment, &store_dir)?;
    let questions = rayon::ThreadPoolBuilder::new()
        .num_threads(QUESTIONS_AT_ONCE)
        .build()
        .map_err(|error| ToolError::failed("start threads", error))?;

    let answers = Answers::new(&sources.client, &sources.caches, &store_dir, &sources.keys);
    let drv_cache = DrvCache::new(&sources.client, &sources.caches, &store_dir);
    let reading = Reading {
        args,
        environment,
        sources: &sources,
        answers: &answers,
        caches: &drv_cache,
        store_dir: &store_dir,
        progress,
    };
    let mut targets = questions.install(|| reading.run(named, evaluations))?;
    let derivations = std::mem::take(&mut targets.derivations);
    let graph::Loaded { graph, findings } = questions
        .install(|| graph::load(derivations, &store_dir, &targets.files))
        .map_err(|error| ToolError::failed("read the derivations", error))?;
    targets.settle(&graph, &store_dir);

    let scope = scope(args, &targets.paths, &graph);
    let gathering = Gathering {
        graph: &graph,
        answers: &answers,
        sources: &sources,
        store_dir: &store_dir,
        state: &state,
        network_builders: args.allow_network_builders,
        offline: args.sources.offline,
        progress,
    };
    if args.plan {
        let mut planned =
            questions.install(|| planned::planned(&gathering, &scope, &targets.paths));
        planned.findings.extend(targets.findings);
        planned.findings.extend(findings);
        planned.unanswered.extend(targets.unanswered);
        let mut examination = examine_plan(&planned, &store_dir);
        examination.facts = render::plan_facts(&planned, args.world.name(), &store_dir)
            .map_err(|error| ToolError::failed("put the facts into the report", error))?;
        return Ok(Report::from(examination).with_view(render::plan_view(&planned)));
    }
    let gathered = questions.install(|| gathering.run(&scope.wanted))?;

    let shell = find_shell(args, environment, &sources, &gathered)?;
    let settings = settings(args, environment, shell.as_ref(), &state)?;
    let derivations = |path: &StorePath| graph.get(path).cloned();
    let chosen = Chosen::new(args, environment, &state, SELF.into(), &derivations)?;
    let executor = chosen.executor();
    let local = sources.local.is_some();
    let canary = Trial {
        executor,
        settings: &settings,
        client: &sources.client,
        judge: &|rebuild| examine(rebuild, &store_dir, local),
        state: &state,
        store_dir: &store_dir,
        nonce: nonce(environment),
    }
    .run();
    let looked_at = |output: &BuiltOutput| {
        is_read_otherwise(&gathered.objects, output)
            || differing::is_claimed_otherwise(&output.path, output.nar_hash, &answers)
    };
    let circumstances = format!("{} {}", build::recorded::program(), chosen.described());
    *record = resume::open(args, environment, &state, &circumstances, &targets.paths)?;
    let read: BTreeSet<StorePath> = gathered.plan.needs().into_values().flatten().collect();
    let needed =
        |drv_path: &StorePath, output: &BuiltOutput| read.contains(drv_path) || looked_at(output);
    let recorded =
        record.as_ref().map(|run| Recorded::new(executor, &state, run, &circumstances, &needed));
    let recorded = recorded.as_ref();
    let executor: &dyn Executor = recorded.map_or(executor, |recorded| recorded);
    let builds = Builds {
        repeated: &|drv_path| scope.wanted.contains(drv_path),
        looked_at: &looked_at,
        executor,
        graph: &graph,
        plan: &gathered.plan,
        settings: &settings,
        store_dir: &store_dir,
        progress,
    };
    let (done, shelf) = builds.run(gathered.objects.clone());

    // Of a sample, most of what is below was not built.
    let chained = scope.sample.is_none() && done.len() > 1;
    let again = if chained {
        OwnChain { builds: &builds, done: &done, shelf: &shelf }.run()
    } else {
        BTreeMap::new()
    };

    let diffoscope = args.diffoscope.then(|| {
        let path = environment.variable("PATH");
        Diffoscope::new(path, root_kind.separates_owner())
    });
    let context = differing::context(environment.now, settings.cores);
    let differing = Differing::new(&answers, &state, &store_dir, context, diffoscope);
    let outcome = Outcome {
        graph: &graph,
        gathered: &gathered,
        done: &done,
        again: &again,
        objects: &shelf.objects,
        differing: &differing,
    };
    let mut rebuild =
        questions.install(|| outcome.facts(&targets.paths, &scope.wanted, &answers, &sources));
    rebuild.chained = chained;
    rebuild.rounds = args.rounds;
    rebuild.sample = scope.sample;
    rebuild.fetchers = scope.fetchers;
    rebuild.world = settings.world.name.to_owned();
    rebuild.sandbox.shell = shell.map(|shell| shell.facts);
    rebuild.findings.extend(targets.findings);
    rebuild.unanswered.extend(targets.unanswered);
    rebuild.findings.extend(findings);
    if let Some(why) = canary.failure() {
        rebuild.remarks.push(format!("nothing that this run calls equal counts: {why}"));
    }
    rebuild.canary = Some(canary);
    let mut examination = examine(&rebuild, &store_dir, local);
    if examination.findings.iter().any(|finding| finding.rule == &rules::OUTPUT_DIFFERS) {
        rebuild.other_worlds = other_worlds(settings.world);
    }
    examination.facts = render::facts(&rebuild, &store_dir)
        .map_err(|error| ToolError::failed("put the facts into the report", error))?;
    let mut view = render::view(&rebuild, &store_dir);
    if let Some(baseline) = baseline {
        baseline::compare(&baseline, &mut examination, &mut view)?;
    }
    if !args.output.reproducible {
        view.sections.extend(kept_section(&rebuild));
    }
    let mut report = Report::from(examination).with_view(view);
    let first = done.values().filter_map(|done| done.trouble.as_ref());
    let second = again.values().filter_map(|again| again.trouble.as_ref());
    report.troubles.extend(first.chain(second).map(|error| Trouble::from_error(error)));
    let kept = differing.troubles();
    report.troubles.extend(kept.iter().map(|error| Trouble::from_error(error.as_ref())));
    report.troubles.extend(picture.and_then(|picture| picture.write(&rebuild, &store_dir)));
    report.run = run_facts(&done, executor.name(), &settings.limits);
    report.run.insert("differences".to_owned(), kept_differences(&rebuild));
    resume::tell(&mut report.run, recorded);
    Ok(report)
}

/// Ends a run whose report is out. What it had finished answers no other run;
/// only if we failed it waits for the same command to be run again.
///
/// # Errors
/// A record that cannot be removed.
pub fn end(record: Option<Run>, exit: Exit) -> Result<(), ToolError> {
    match record {
        Some(run) if exit != Exit::Trouble => {
            run.complete().map_err(|error| ToolError::failed("end the run", error))
        }
        _ => Ok(()),
    }
}

/// What the options ask to be judged.
fn scope(
    args: &RebuildArgs,
    targets: &BTreeSet<StorePath>,
    graph: &graph::DerivationGraph,
) -> Scope {
    match args.sample {
        Some(size) => Scope::closure(targets, graph).sample(size, &args.seed, graph),
        None if args.closure => Scope::closure(targets, graph),
        None => Scope::targets(targets),
    }
}
