//! Executors: turning a derivation and its inputs into outputs.
//!
//! An [`Executor`] takes a [`BuildJob`] and answers with a [`BuildOutcome`]:
//! the outputs as they would stand in a store, or why the *builder* failed.
//! An error ([`BuildError`]) means that *we* failed and nothing was learnt.
//! The world a builder sees is data, a [`World`] per range of Nix versions.

#![allow(
    clippy::disallowed_methods,
    reason = "building is touching the world: directories, processes and the clock"
)]

pub mod builtin;
pub mod canonicalise;
pub mod cgroup;
pub mod content_addressed;
pub mod environment;
pub mod executor;
pub mod hardening;
pub mod job;
pub mod limits;
pub mod log;
pub mod nix_executor;
pub mod outcome;
pub mod output_checks;
pub mod outputs;
pub mod pty;
mod record;
pub mod recorded;
pub mod requirements;
pub mod rounds;
pub mod sandbox;
pub mod schedule;
pub mod seccomp;
pub mod specimen;
pub mod users;
pub mod variation;
pub mod world;

pub use crate::sys::namespace::RootKind;
pub use executor::{Executor, SandboxExecutor};
pub use job::{BuildJob, InputObject};
pub use limits::Limits;
pub use log::LogFile;
pub use nix_executor::NixExecutor;
pub use outcome::{
    BuildError, BuildOutcome, Built, BuiltOutput, Failed, FailureReason, Surroundings,
};
pub use recorded::Recorded;
pub use world::World;
