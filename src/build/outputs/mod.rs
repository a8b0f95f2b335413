//! From what a builder left to store objects.
//!
//! Follows `registerOutputs` (`src/libstore/build/local-derivation-goal.cc` up
//! to 2.28, `src/libstore/unix/build/derivation-builder.cc` later), under the
//! assumption that every process of the builder is dead: each output is
//! canonicalised, taken out of the builder's reach, read once for its hash and
//! its references, given its final path, and only then judged by the
//! conditions its derivation sets.
//!
//! The builder may still be at work through others: a file may have links
//! outside the outputs, and a builder with the network of the host can have
//! sent an open file to a process there. Such outputs are copied, and the copy
//! is what is hashed and kept (CVE-2024-27297).

mod conclude;
mod copy;
pub mod handles;
mod measure;
mod order;
pub mod rejection;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::io::Errno;

use crate::nix::content_address::Method;
use crate::nix::derivation::Output;
use crate::nix::derivation::options::Options;
use crate::nix::references::ReferenceScanner;
use crate::nix::store_path::StorePath;

use super::canonicalise::{Canonicaliser, DirectoryRule, Kind, Rules};
use super::output_checks::{Checked, Object};
use super::{BuildError, BuildJob, BuiltOutput, FailureReason};
use measure::{Content, Measured, measure};
use rejection::{Rejection, Stop};

/// A build whose builder succeeded and is dead with all its processes.
#[derive(Debug, Clone, Copy)]
pub struct FinishRequest<'a> {
    /// What was built.
    pub job: &'a BuildJob,
    /// What its derivation asks for.
    pub options: &'a Options,
    /// The derivation's name, without `.drv`.
    pub name: &'a str,
    /// The path under which each output was built, see
    /// [`super::content_addressed::scratch_paths`].
    pub scratch: &'a BTreeMap<String, StorePath>,
    /// The sandbox's store directory, opened before the builder ran: its path
    /// may lead elsewhere by now.
    pub store: BorrowedFd<'a>,
    /// Where the outputs go: an empty directory of mode 0700, best on the
    /// same file system.
    pub dest_dir: &'a Path,
    /// The user the builder ran as, as this process sees it.
    pub build_uid: u32,
    /// Whether the builder could hand open files to processes that live on,
    /// as one with the network of the host can.
    pub leaky: bool,
    /// When the time of the build is over: a sparse file can be made in no
    /// time and read in years.
    pub deadline: Option<Instant>,
}

/// Makes store objects of what a builder left. The trees lie in `dest_dir`
/// under the base names of their final paths.
///
/// # Errors
/// The outer error: we failed. The inner one: the outputs are not what Nix
/// would take; then what lies in `dest_dir` is of no use.
pub fn finish(
    request: &FinishRequest<'_>,
) -> Result<Result<BTreeMap<String, BuiltOutput>, FailureReason>, BuildError> {
    match Finish::new(request).and_then(Finish::run) {
        Ok(outputs) => Ok(Ok(outputs)),
        Err(Halt::Failure(reason)) => Ok(Err(*reason)),
        Err(Halt::Error(error)) => Err(error),
    }
}

/// Why finishing ends early.
enum Halt {
    /// The build fails.
    Failure(Box<FailureReason>),
    /// We do.
    Error(BuildError),
}

impl From<BuildError> for Halt {
    fn from(error: BuildError) -> Self {
        Self::Error(error)
    }
}

impl From<FailureReason> for Halt {
    fn from(reason: FailureReason) -> Self {
        Self::Failure(Box::new(reason))
    }
}

/// One output on its way.
#[derive(Debug)]
struct Pending<'a> {
    what: &'a Output,
    scratch: &'a StorePath,
    measured: Measured,
    /// Scan candidates whose hash part is in the tree.
    mentioned: BTreeSet<StorePath>,
    /// What it counts as referring to: the same, or nothing if the derivation
    /// has its references discarded.
    references: BTreeSet<StorePath>,
}

/// The work on all outputs of one build.
struct Finish<'a> {
    request: &'a FinishRequest<'a>,
    dest: OwnedFd,
    /// The final paths of outputs that were built under another one, by that.
    moved: BTreeMap<StorePath, StorePath>,
}

impl<'a> Finish<'a> {
    fn new(request: &'a FinishRequest<'a>) -> Result<Self, Halt> {
        let dest = handles::open_directory(request.dest_dir)?;
        Ok(Self { request, dest, moved: BTreeMap::new() })
    }

    fn run(mut self) -> Result<BTreeMap<String, BuiltOutput>, Halt> {
        let kinds = self.collect()?;
        let mut pending = BTreeMap::new();
        for (output, kind) in kinds {
            pending.insert(output, self.examine(output, kind)?);
        }
        let mut outputs = BTreeMap::new();
        for output in Self::order(&pending)? {
            let Some((output, pending)) = pending.remove_entry(output.as_str()) else { continue };
            outputs.insert(output.to_owned(), self.conclude(output, pending)?);
        }
        self.check(&outputs)?;
        Ok(outputs)
    }

    /// Canonicalises every output and takes it out of the sandbox's store.
    fn collect(&self) -> Result<BTreeMap<&'a str, Kind>, Halt> {
        let request = self.request;
        let mut places = Vec::new();
        for output in request.job.derivation.outputs.keys() {
            let name = handles::name(&self.scratch(output)?.to_string())?;
            if !handles::exists(request.store, &name)? {
                return Err(self.stopped(output, Rejection::Missing.into()));
            }
            places.push((output.as_str(), name));
        }
        let mut canonicaliser = Canonicaliser::new(self.rules());
        let mut kinds = BTreeMap::new();
        for (output, name) in &places {
            let kind = canonicaliser.object(request.store, name);
            kinds.insert(*output, kind.map_err(|stop| self.stopped(output, stop))?);
        }
        let reachable = request.leaky || canonicaliser.is_linked_from_outside();
        for (output, name) in &places {
            if reachable || !self.take(name)? {
                copy::copy(request.store, name, self.dest.as_fd(), name, request.deadline)
                    .map_err(|stop| self.stopped(output, stop))?;
            }
        }
        Ok(kinds)
    }

    /// Moves an output, unless it lies on another file system.
    fn take(&self, name: &CStr) -> Result<bool, BuildError> {
        if handles::exists(self.dest.as_fd(), name)? {
            return Err(BuildError::Job(format!(
                "'{}' is already in '{}'",
                handles::text(name),
                self.request.dest_dir.display()
            )));
        }
        let store = self.request.store;
        let take = || rustix::fs::renameat(store, name, &self.dest, name);
        let mut taken = take();
        if taken == Err(Errno::ACCESS) {
            // A sealed directory does not move without privileges.
            let directory = handles::enter(store, name)?;
            handles::unlocked::<BuildError>(directory.as_fd(), || {
                taken = take();
                Ok(())
            })?;
        }
        match taken {
            Ok(()) => Ok(true),
            Err(Errno::XDEV) => Ok(false),
            Err(error) => Err(BuildError::path("move", handles::text(name))(error)),
        }
    }

    fn rules(&self) -> Rules {
        let directories = if self.request.job.world.directories_executable {
            DirectoryRule::AlwaysSearchable
        } else {
            DirectoryRule::LikeFiles
        };
        Rules {
            build_uid: self.request.build_uid,
            owner_uid: rustix::process::geteuid().as_raw(),
            owner_gid: rustix::process::getegid().as_raw(),
            directories,
        }
    }

    /// Reads an output for the first and usually the only time.
    fn examine(&self, output: &'a str, kind: Kind) -> Result<Pending<'a>, Halt> {
        let job = self.request.job;
        let scratch = self.scratch(output)?;
        let Some(what) = job.derivation.outputs.get(output) else {
            return Err(BuildError::Job(format!("'{output}' is no output")).into());
        };
        let content = content(what, scratch);
        if let Some(Content { method: Method::Flat | Method::Text, .. }) = content {
            let found = match kind {
                Kind::File { executable: false } => None,
                Kind::File { executable: true } => Some("executable"),
                Kind::Directory => Some("a directory"),
                Kind::Symlink => Some("a symbolic link"),
            };
            if let Some(found) = found {
                return Err(self.stopped(output, Rejection::NotFlat { found }.into()));
            }
        }
        let (measured, mentioned) = self.measure(output, scratch, content.as_ref())?;
        let discarded = job.world.discards_references
            && self.request.options.unsafe_discard_references.get(output) == Some(&true);
        let references = if discarded { BTreeSet::new() } else { mentioned.clone() };
        Ok(Pending { what, scratch, measured, mentioned, references })
    }

    /// Reads the object that lies under `scratch`, and finds what it mentions
    /// of the inputs and of the outputs' scratch paths.
    fn measure(
        &self,
        output: &str,
        scratch: &StorePath,
        content: Option<&Content<'_>>,
    ) -> Result<(Measured, BTreeSet<StorePath>), Halt> {
        let request = self.request;
        let candidates = request.job.inputs.keys().chain(request.scratch.values());
        let mut scanner = ReferenceScanner::new(candidates);
        let name = handles::name(&scratch.to_string())?;
        let (dest, world) = (self.dest.as_fd(), &request.job.world);
        let measured = measure(dest, &name, content, world, &mut scanner, request.deadline)
            .map_err(|stop| self.stopped(output, stop))?;
        Ok((measured, scanner.into_found()))
    }

    /// The outputs, those first that others refer to.
    fn order(pending: &BTreeMap<&'a str, Pending<'a>>) -> Result<Vec<String>, Halt> {
        let by_path: BTreeMap<&StorePath, &str> =
            pending.iter().map(|(output, pending)| (pending.scratch, *output)).collect();
        let others = |pending: &Pending<'_>| {
            pending.references.iter().filter_map(|path| by_path.get(path).copied()).collect()
        };
        let edges = pending.iter().map(|(output, pending)| (*output, others(pending))).collect();
        Ok(order::order(&edges).map_err(FailureReason::ReferenceCycle)?)
    }

    /// Applies the checks of the derivation to the finished outputs.
    fn check(&self, outputs: &BTreeMap<String, BuiltOutput>) -> Result<(), Halt> {
        let job = self.request.job;
        let inputs = job.inputs.iter().map(|(path, input)| {
            (path, Object { nar_size: input.nar_size, references: &input.references })
        });
        let built = outputs.values().map(|output| {
            (&output.path, Object { nar_size: output.nar_size, references: &output.references })
        });
        let checked = Checked {
            outputs: outputs.iter().map(|(name, output)| (name.as_str(), &output.path)).collect(),
            objects: inputs.chain(built).collect(),
            store_dir: &job.store_dir,
        };
        Ok(checked.apply(&self.request.options.output_checks)??)
    }

    fn scratch(&self, output: &str) -> Result<&'a StorePath, BuildError> {
        self.request.scratch.get(output).ok_or_else(|| {
            BuildError::Job(format!("output '{}' has no scratch path", output.escape_debug()))
        })
    }

    /// What it means for the build that the work on one output stopped.
    fn stopped(&self, output: &str, stop: Stop) -> Halt {
        let rejection = match stop {
            Stop::Failed(error) => return error.into(),
            Stop::Rejected(rejection) => rejection,
        };
        let output = output.to_owned();
        if let (Rejection::OutOfTime, Some(limit)) = (&rejection, self.request.job.limits.timeout) {
            return FailureReason::Timeout(limit).into();
        }
        if rejection != Rejection::Missing {
            return FailureReason::BadOutput { output, why: rejection.to_string() }.into();
        }
        let scratch = self.request.scratch.get(&output);
        let path = scratch.map(|path| self.request.job.store_dir.full(path)).unwrap_or_default();
        FailureReason::MissingOutput { output, path }.into()
    }
}

/// Copies a store object to where somebody else may do with it as they please.
///
/// # Errors
/// What cannot be read or written, or is no store object.
pub fn copy_object(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
) -> Result<(), BuildError> {
    copy::copy(from, name, to, new_name, None).map_err(|stop| match stop {
        Stop::Failed(error) => error,
        Stop::Rejected(rejection) => BuildError::Job(rejection.to_string()),
    })
}

/// What the content address of an output is made of, if it has one.
const fn content<'s>(what: &Output, own: &'s StorePath) -> Option<Content<'s>> {
    match what {
        Output::Fixed { method, hash, .. } => {
            Some(Content { method: *method, algorithm: hash.algorithm(), own })
        }
        Output::FloatingCa { method, algorithm } | Output::Impure { method, algorithm } => {
            Some(Content { method: *method, algorithm: *algorithm, own })
        }
        Output::InputAddressed { .. } | Output::Deferred => None,
    }
}
