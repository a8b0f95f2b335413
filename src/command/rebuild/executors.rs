//! The executor that the options name.

use std::path::PathBuf;

use super::super::cli::{ExecutorName, RebuildArgs};
use super::super::{Environment, ToolError};
use crate::build::nix_executor::Derivations;
use crate::build::{Executor, NixExecutor, SandboxExecutor};
use crate::gather::derivations::evaluate::Evaluator;
use crate::nix::store_path::StoreDir;
use crate::state::StateDir;

/// The program that an installed Nix builds with.
const NIX_STORE: &str = "nix-store";

/// Who builds. Another executor is another variant here, and nothing else
/// has to know of it.
pub enum Chosen<'a> {
    /// Our own sandbox.
    Sandbox(Box<SandboxExecutor<'a>>),
    /// An installed Nix.
    Nix(Box<NixExecutor<'a>>),
}

impl<'a> Chosen<'a> {
    /// Prepares it. `program` is this program, `derivations` gives those that
    /// targets build on.
    ///
    /// # Errors
    /// A machine on which it does not work, or options that it does not have.
    pub fn new(
        args: &RebuildArgs,
        environment: &Environment,
        state: &'a StateDir,
        program: PathBuf,
        derivations: &'a Derivations<'a>,
    ) -> Result<Self, ToolError> {
        match args.executor {
            ExecutorName::Sandbox => SandboxExecutor::new(state, program)
                .map(|executor| Self::Sandbox(Box::new(executor)))
                .map_err(|error| ToolError::failed("prepare the sandbox", error)),
            ExecutorName::Nix => {
                if args.hardened {
                    return Err(ToolError::Usage(
                        "--hardened is about our own sandbox; --executor nix uses Nix's".to_owned(),
                    ));
                }
                let path = environment.variable("PATH");
                let nix = Evaluator::new(path, &environment.directory, &StoreDir::default());
                let nix_store = nix.find(NIX_STORE).ok_or_else(|| {
                    ToolError::Usage(format!(
                        "--executor nix needs an installed Nix, and there is no '{NIX_STORE}' on \
                         the PATH or where Nix usually is (install Nix, or leave the option out)"
                    ))
                })?;
                NixExecutor::new(state, program, nix_store, derivations)
                    .map(|executor| Self::Nix(Box::new(executor)))
                    .map_err(|error| ToolError::failed("prepare building with Nix", error))
            }
        }
    }

    /// The executor.
    #[must_use]
    pub fn executor(&self) -> &dyn Executor {
        match self {
            Self::Sandbox(executor) => &**executor,
            Self::Nix(executor) => &**executor,
        }
    }

    /// What decides builds besides their jobs.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Sandbox(executor) => executor.root_kind().to_string(),
            Self::Nix(executor) => format!("{} {}", executor.root_kind(), executor.version()),
        }
    }
}
