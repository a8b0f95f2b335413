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
mod ground;
mod outcome;
mod own_chain;
mod picture;
mod planned;
mod resume;
mod settings;
mod shelf;
mod targets;
mod work;

pub(super) use self::builds::BuildSettings;
pub(super) use self::canary::{Trial, nonce};

use self::executors::Chosen;
use self::ground::{Ground, Known};
use self::work::Work;
use super::cli::RebuildArgs;
use super::{Environment, ToolError};
use crate::nix::store_path::StorePath;
use crate::report::{Exit, Progress, Report};
use crate::state::Run;

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
    let (ground, asked) = Ground::prepare(args, environment)?;
    let answers = ground.answers();
    let known = Known::read(asked, &ground, &answers, (args, environment), progress)?;
    let derivations = |path: &StorePath| known.graph.get(path).cloned();
    let chosen = Chosen::new(args, environment, &ground.state, SELF.into(), &derivations)?;
    let work = Work {
        args,
        environment,
        progress,
        ground: &ground,
        answers: &answers,
        known: &known,
        chosen: &chosen,
    };
    if args.plan {
        return work.plan();
    }
    let gathered = work.gather()?;
    let results = work.build(&gathered, record)?;
    work.report(&gathered, results)
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
