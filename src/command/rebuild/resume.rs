//! Going on where a killed run of the same command has stopped.
//!
//! A run is named by everything that it was asked: the options that decide
//! what is built and judged, the derivations of the targets, the directory it
//! was started in, and the program itself. The options about the report and
//! about how much runs at once are no part of it.

use std::collections::BTreeSet;
use std::num::NonZero;

use super::super::cli::RebuildArgs;
use super::super::options::{OutputOptions, WorkOptions};
use super::super::{Environment, ToolError};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::StorePath;
use crate::state::{Run, StateDir};

/// Takes up the run that these arguments name, or begins it. `None` if another
/// process is at the same run: then this one is not written down.
///
/// # Errors
/// A state directory that does not work.
pub fn open(
    args: &RebuildArgs,
    environment: &Environment,
    state: &StateDir,
    circumstances: &str,
    targets: &BTreeSet<StorePath>,
) -> Result<Option<Run>, ToolError> {
    let name = name(args, environment, circumstances, targets);
    let failed = |error| ToolError::failed("take up an interrupted run", error);
    let mut run = state.run(&name).map_err(failed)?;
    if let Some(run) = run.as_mut().filter(|_| args.fresh) {
        run.begin_anew().map_err(failed)?;
    }
    Ok(run)
}

fn name(
    args: &RebuildArgs,
    environment: &Environment,
    circumstances: &str,
    targets: &BTreeSet<StorePath>,
) -> Hash {
    let jobs: Option<NonZero<usize>> = None;
    let asked = RebuildArgs {
        fresh: false,
        output: OutputOptions::default(),
        work: WorkOptions { state_dir: None, jobs },
        ..args.clone()
    };
    let text = format!("{circumstances}\n{asked:?}\n{:?}\n{targets:?}", environment.directory);
    Hash::of(HashAlgorithm::Sha256, text.as_bytes())
}
