//! From the options to what every build of the run has in common.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::super::cli::RebuildArgs;
use super::super::sources::Sources;
use super::super::{Environment, ToolError};
use super::builds::BuildSettings;
use crate::build::limits::Spare;
use crate::build::{Limits, World};
use crate::check::rebuild::facts::WorldFact;
use crate::gather::inputs::Object;
use crate::gather::shell::{self, Shell};
use crate::nix::store_path::StorePath;
use crate::state::StateDir;

/// What stands for no shell in `--shell`.
const NO_SHELL: &str = "none";

/// The shell for `/bin/sh`, by the options or found: in the local store, in
/// `objects`, or on this machine.
///
/// # Errors
/// A shell that was named and cannot be used.
pub fn find_shell(
    args: &RebuildArgs,
    environment: &Environment,
    sources: &Sources,
    objects: &BTreeMap<StorePath, Object>,
) -> Result<Option<Shell>, ToolError> {
    match &args.shell {
        Some(path) if path.as_os_str() == NO_SHELL => Ok(None),
        Some(path) => shell::named(&environment.absolute(path)).map(Some).map_err(|error| {
            ToolError::failed(format!("use the shell '{}'", path.display()), error)
        }),
        None => {
            let store = sources.local.as_ref().map(|local| local.root().join("nix/store"));
            let trees = objects
                .iter()
                .map(|(path, object)| (path.to_string(), object.input.host_path.as_path()));
            Ok(shell::find(store.as_deref(), trees))
        }
    }
}

/// What the options say about building.
///
/// # Errors
/// A world that does not exist.
pub fn settings(
    args: &RebuildArgs,
    environment: &Environment,
    shell: Option<&Shell>,
    state: &StateDir,
) -> Result<BuildSettings, ToolError> {
    let name = args.world.name();
    let world = World::by_name(name)
        .ok_or_else(|| ToolError::Usage(format!("there is no world '{name}'")))?;
    let parallelism = NonZeroUsize::new(environment.parallelism).unwrap_or(NonZeroUsize::MIN);
    let spare = Spare::here(state.root(), parallelism.get());
    Ok(BuildSettings {
        world,
        cores: args.cores.unwrap_or_else(|| u32::try_from(parallelism.get()).unwrap_or(1)),
        limits: Limits {
            timeout: args.timeout.map(Duration::from_secs),
            max_silent: args.max_silent_time.map(Duration::from_secs),
            max_log_bytes: args.max_log_size,
            max_processes: args.max_processes.unwrap_or(spare.processes),
            max_memory: args.max_memory.or(spare.memory),
            max_disk: args.max_disk.or(spare.disk),
        },
        shell: shell.map(|shell| shell.path.clone()),
        network: args.allow_network_builders && !args.sources.offline,
        keep_failed: args.keep_failed,
        hardened: args.hardened,
        rounds: args.rounds,
        jobs: args.work.jobs.unwrap_or(parallelism),
    })
}

/// What is otherwise in other worlds than `world`.
#[must_use]
pub fn other_worlds(world: World) -> Vec<WorldFact> {
    let others: Vec<World> = World::names().into_iter().filter_map(World::by_name).collect();
    let otherwise = |fact: &str, here: bool| {
        let differs = |other: &&World| other.facts().any(|found| found == (fact, !here));
        others.iter().filter(differs).map(|other| other.name.to_owned()).collect::<Vec<_>>()
    };
    world
        .facts()
        .map(|(fact, here)| WorldFact {
            fact: fact.to_owned(),
            here,
            otherwise_in: otherwise(fact, here),
        })
        .filter(|fact| !fact.otherwise_in.is_empty())
        .collect()
}
