//! How a build ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::nix::content_address::ContentAddress;
use crate::nix::hash::{Hash, NarHash};
use crate::nix::store_path::StorePath;
use crate::state::BuildDir;
use crate::sys::namespace::RootKind;

use super::limits::Held;
use super::log::LogFile;

/// How a build ended.
#[derive(Debug, Clone)]
pub enum BuildOutcome {
    /// With outputs.
    Built(Built),
    /// Without; the builder or its derivation is to blame.
    Failed(Failed),
}

/// A build that made all its outputs.
#[derive(Debug, Clone)]
pub struct Built {
    /// The outputs, by name.
    pub outputs: BTreeMap<String, BuiltOutput>,
    /// The log.
    pub log: LogFile,
    /// In what surroundings.
    pub surroundings: Surroundings,
    /// Wall time from the start of the builder to its end.
    pub duration: Duration,
    /// The directory that holds the outputs, removed when the last holder
    /// lets go. `None` if somebody else keeps them.
    pub room: Option<Arc<BuildDir>>,
}

/// What a report has to say about where a build ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// What kind of root ran the sandbox.
    pub root_kind: RootKind,
    /// What was `/bin/sh`, with its SHA-256.
    pub shell: Option<(PathBuf, Hash)>,
    /// In what the sandbox differed from the world that was asked for; each
    /// could be why outputs differ.
    pub differences: Vec<String>,
    /// What was varied on purpose because this is a repetition.
    pub varied: Vec<String>,
    /// What held the limits on processes, memory and disk.
    pub held: Held,
}

/// An output as it would stand in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltOutput {
    /// Its store path.
    pub path: StorePath,
    /// The canonical tree on this machine.
    pub host_path: PathBuf,
    /// SHA-256 of its NAR.
    pub nar_hash: NarHash,
    /// Size of its NAR.
    pub nar_size: u64,
    /// What it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
    /// Its content address, if it has one.
    pub ca: Option<ContentAddress>,
}

/// Why a build failed: the builder's fault or the derivation's, never ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureReason {
    /// The builder exited with a status other than zero.
    #[error("the builder failed with exit status {0}")]
    ExitCode(i32),
    /// A signal ended the builder; 9 also when it closed its terminal and
    /// worked on, which Nix answers with SIGKILL.
    #[error("the builder was killed by signal {0}")]
    Signal(i32),
    /// The builder ran longer than allowed.
    #[error("the builder was stopped after {0:?} (raise --timeout)")]
    Timeout(Duration),
    /// The builder wrote nothing for longer than allowed.
    #[error("the builder was stopped after {0:?} without output (raise --max-silent-time)")]
    Silent(Duration),
    /// The builder wrote more log than allowed.
    #[error(
        "the builder was stopped after writing more than {0} bytes of log (raise --max-log-size)"
    )]
    LogTooLarge(u64),
    /// The builder had as many processes and threads as it may have.
    #[error("the builder was stopped at {0} processes and threads (raise --max-processes)")]
    TooManyProcesses(u64),
    /// The builder had more memory than it may have.
    #[error("the builder was stopped at more than {0} bytes of memory (raise --max-memory)")]
    TooMuchMemory(u64),
    /// The builder had more on disk than it may have.
    #[error("the builder was stopped at more than {0} bytes on disk (raise --max-disk)")]
    TooMuchDisk(u64),
    /// The machine was about to run out of something.
    #[error("the builder was stopped because this machine was running out of {0}")]
    MachineExhausted(&'static str),
    /// The builder succeeded without making an output.
    #[error("the builder made no output '{output}' at '{path}'")]
    MissingOutput {
        /// The output's name.
        output: String,
        /// The store path where it should be.
        path: String,
    },
    /// An output that Nix would refuse to take into the store.
    #[error("output '{output}' is refused: {why}")]
    BadOutput {
        /// The output's name.
        output: String,
        /// What is wrong, and where in the output.
        why: String,
    },
    /// An output breaks a condition the derivation sets
    /// (`allowedReferences`, `maxSize` and so on).
    #[error("output '{output}' breaks a check of its derivation: {why}")]
    OutputCheck {
        /// The output's name.
        output: String,
        /// The condition and what breaks it.
        why: String,
    },
    /// A fixed output has another hash than its derivation promises.
    #[error("output '{output}' has hash {found} where the derivation fixes {expected}")]
    HashMismatch {
        /// The output's name.
        output: String,
        /// The hash in the derivation.
        expected: Hash,
        /// The hash of what was built.
        found: Hash,
    },
    /// The derivation asks for something that cannot be.
    #[error("the derivation is refused: {0}")]
    BadDerivation(String),
    /// Outputs refer to each other in a circle.
    #[error("outputs refer to each other in a circle: {}", .0.join(" -> "))]
    ReferenceCycle(Vec<String>),
    /// The installed Nix could not build it.
    #[error("Nix could not build it (exit status {status}): {said}")]
    Nix {
        /// The exit status of `nix-store --realise`.
        status: i32,
        /// What it said last.
        said: String,
    },
    /// The derivation needs what this executor or machine does not offer.
    /// Nothing was run; callers answer *inconclusive*, not *fail*.
    #[error("not supported here: {0}")]
    Unsupported(String),
}

impl FailureReason {
    /// Whether the build was stopped at a limit of ours: what it would have
    /// made is not known.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::Timeout(_)
                | Self::Silent(_)
                | Self::LogTooLarge(_)
                | Self::TooManyProcesses(_)
                | Self::TooMuchMemory(_)
                | Self::TooMuchDisk(_)
                | Self::MachineExhausted(_)
        )
    }
}

/// A build that failed for a reason of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub reason: FailureReason,
    /// The log; `None` if nothing was run.
    pub log: Option<LogFile>,
    /// The last lines of the log, made safe to print.
    pub tail: Vec<String>,
    /// The build directory, kept because that was asked for.
    pub kept: Option<PathBuf>,
}

/// Why nothing was learnt about a build: the tool or the machine failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A system call on a path failed.
    #[error("cannot {action} '{}'", .path.display())]
    Path {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A system call without a path failed.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The sandbox process reported a failure before the builder ran.
    #[error("cannot set up the sandbox: {0}")]
    Setup(String),
    /// Namespaces cannot be used here.
    #[error(transparent)]
    Namespace(#[from] crate::sys::namespace::NamespaceError),
    /// An output could not be read.
    #[error(transparent)]
    Tree(#[from] crate::gather::nar::tree::TreeError),
    /// A fetched output could not be unpacked.
    #[error(transparent)]
    Restore(#[from] crate::gather::nar::restore::RestoreError),
    /// The job contradicts itself or lacks something.
    #[error("bad build job: {0}")]
    Job(String),
    /// Everything else, with what to do about it.
    #[error("{0}")]
    Other(String),
}

impl BuildError {
    /// Wraps a failed call on `path`.
    pub fn path(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.as_ref().to_path_buf();
        move |errno| Self::Path { action, path, source: errno.into() }
    }

    /// Wraps a failed call that concerns no path.
    pub fn system(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { action, source: errno.into() }
    }
}
