//! An executor that writes down what another one has finished, and answers
//! from there when the same run is taken up again after it was killed.
//!
//! What was finished is named by everything that decides a build: the resolved
//! derivation, the content of every input, the world, the limits and so on. It
//! counts only within its run ([`crate::state::Run`]): a rebuild that somebody
//! asks for anew is never answered from memory. Outputs are hashed and scanned
//! for references once more before they are used, and logs are hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::executor::Executor;
use super::job::{BuildJob, InputObject};
use super::limits::Limits;
use super::outcome::{BuildError, BuildOutcome, Built, BuiltOutput, FailureReason};
use super::record;
use crate::gather::nar::tree::hash_tree;
use crate::nix::derivation::Derivation;
use crate::nix::hash::{Hash, HashAlgorithm, Hasher};
use crate::nix::references::ReferenceScanner;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::{Run, StateDir, StateError};

/// What stays free of the disk: outputs that nothing reads any more are not
/// kept beyond that. Room for the builds that are still to come, ...
const LEFT_FREE: u64 = 8 << 30;

/// ... and on a small disk one part in this many.
const LEFT_FREE_PART: u64 = 10;

/// Whether the trees of an output are needed once it is built.
pub type Needed<'a> = dyn Fn(&StorePath, &BuiltOutput) -> bool + Sync + 'a;

/// Records what `inner` builds.
pub struct Recorded<'a> {
    inner: &'a dyn Executor,
    state: &'a StateDir,
    run: &'a Run,
    /// Names the program and whatever else decides a build besides the job.
    circumstances: &'a str,
    needed: &'a Needed<'a>,
    /// Builds that were answered from the record.
    resumed: Mutex<BTreeSet<(StorePath, u32)>>,
    shells: Mutex<BTreeMap<PathBuf, Hash>>,
}

impl<'a> Recorded<'a> {
    /// Records what `inner` builds as part of `run`. Outputs that `needed` says
    /// nothing will read are kept while there is room: nothing is believed later
    /// that cannot be hashed again.
    #[must_use]
    pub fn new(
        inner: &'a dyn Executor,
        state: &'a StateDir,
        run: &'a Run,
        circumstances: &'a str,
        needed: &'a Needed<'a>,
    ) -> Self {
        Self {
            inner,
            state,
            run,
            circumstances,
            needed,
            resumed: Mutex::default(),
            shells: Mutex::default(),
        }
    }

    /// The builds, with their rounds, that were finished before this process
    /// began and did not have to be done again.
    #[must_use]
    pub fn resumed(&self) -> BTreeSet<(StorePath, u32)> {
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names everything that decides what comes of a job.
    fn key(&self, job: &BuildJob) -> Result<Hash, BuildError> {
        let BuildJob {
            drv_path,
            derivation,
            outputs,
            inputs,
            world,
            cores,
            limits,
            shell,
            network,
            keep_failed,
            hardened,
            round,
            store_dir,
        } = job;
        // What a build reaches these two with is not written down, and what it
        // may take follows from what the disk has left.
        let limits = Limits { max_memory: None, max_disk: None, ..*limits };
        let shell = shell.as_deref().map(|shell| Ok::<_, BuildError>((shell, self.hash(shell)?)));
        let mut key = Key(Hasher::new(HashAlgorithm::Sha256));
        key.add(self.circumstances);
        key.add(self.inner.name());
        key.add(store_dir.as_str());
        key.add(drv_path.to_string());
        key.add(derivation.to_aterm(store_dir));
        key.add(format!("{outputs:?}"));
        key.add(format!("{world:?} {limits:?}"));
        key.add(format!("{cores} {network} {keep_failed} {hardened} {round}"));
        key.add(format!("{:?}", shell.transpose()?));
        for (path, input) in inputs {
            let InputObject { host_path: _, nar_hash, nar_size, references, ca, deriver } = input;
            key.add(path.to_string());
            key.add(format!("{nar_hash:?} {nar_size} {references:?} {ca:?} {deriver:?}"));
        }
        Ok(key.0.finish())
    }

    fn hash(&self, shell: &Path) -> Result<Hash, BuildError> {
        let mut known = self.shells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = known.get(shell) {
            return Ok(*hash);
        }
        let content = std::fs::read(shell).map_err(|source| BuildError::Path {
            action: "read",
            path: shell.to_owned(),
            source,
        })?;
        let hash = Hash::of(HashAlgorithm::Sha256, &content);
        known.insert(shell.to_owned(), hash);
        Ok(hash)
    }

    /// What an earlier process has finished, if all of it is still as it was.
    fn earlier(&self, key: &Hash, job: &BuildJob) -> Result<Option<BuildOutcome>, StateError> {
        let Some(finished) = self.run.finished(key)? else { return Ok(None) };
        let outcome = record::read(&finished.record, &finished.place, self.state);
        let sound = outcome.filter(|outcome| match outcome {
            BuildOutcome::Failed(_) => true,
            BuildOutcome::Built(built) => are_sound(job, &built.outputs),
        });
        match sound {
            Some(BuildOutcome::Built(built)) => {
                let room = finished.trees.map(Arc::new);
                Ok(Some(BuildOutcome::Built(Built { room, ..built })))
            }
            Some(failed) => Ok(Some(failed)),
            None => {
                self.run.forget(key)?;
                Ok(None)
            }
        }
    }

    fn is_needed(&self, job: &BuildJob, built: &Built) -> bool {
        // Further rounds are compared with the first one.
        job.round > 0 || built.outputs.values().any(|output| (self.needed)(&job.drv_path, output))
    }

    /// Whether the disk has room for outputs that nothing reads any more, only
    /// so that they can be hashed again if the run has to be taken up.
    fn has_room(&self) -> bool {
        rustix::fs::statvfs(self.state.root()).is_ok_and(|disk| {
            let left = disk.f_bavail.saturating_mul(disk.f_frsize);
            let all = disk.f_blocks.saturating_mul(disk.f_frsize);
            left >= (all / LEFT_FREE_PART).min(LEFT_FREE)
        })
    }

    /// Writes an outcome down, and gives it as it is from then on.
    fn keep(
        &self,
        key: &Hash,
        job: &BuildJob,
        outcome: BuildOutcome,
    ) -> Result<BuildOutcome, StateError> {
        let place = match &outcome {
            BuildOutcome::Built(Built { room: Some(room), .. }) => room.path().to_owned(),
            _ => PathBuf::new(),
        };
        let Some(text) = record::write(&outcome, &place, self.state) else { return Ok(outcome) };
        let mut built = match outcome {
            BuildOutcome::Failed(_) => {
                self.run.finish(key, &text, None)?;
                return Ok(outcome);
            }
            BuildOutcome::Built(built) => built,
        };
        let room = match built.room.take().map(Arc::try_unwrap) {
            Some(Ok(room)) => Some(room),
            // The executor keeps the outputs where they are.
            None => None,
            Some(Err(shared)) => {
                built.room = Some(shared);
                return Ok(BuildOutcome::Built(built));
            }
        };
        if room.is_some() && !self.is_needed(job, &built) && !self.has_room() {
            // What could not be hashed again would have to be built again.
            built.room = room.map(Arc::new);
            return Ok(BuildOutcome::Built(built));
        }
        let kept = self.run.finish(key, &text, room)?;
        if let Some(kept) = kept {
            for output in built.outputs.values_mut() {
                if let Ok(inside) = output.host_path.strip_prefix(&place) {
                    output.host_path = kept.path().join(inside);
                }
            }
            built.room = Some(Arc::new(kept));
        }
        Ok(BuildOutcome::Built(built))
    }
}

impl Executor for Recorded<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn obstacle(&self, derivation: &Derivation, store_dir: &StoreDir) -> Option<FailureReason> {
        self.inner.obstacle(derivation, store_dir)
    }

    fn build(&self, job: &BuildJob) -> Result<BuildOutcome, BuildError> {
        let ours = |error: StateError| BuildError::Other(error.to_string());
        let key = self.key(job)?;
        if let Some(outcome) = self.earlier(&key, job).map_err(ours)? {
            let mut resumed = self.resumed.lock().unwrap_or_else(PoisonError::into_inner);
            resumed.insert((job.drv_path.clone(), job.round));
            return Ok(outcome);
        }
        let outcome = self.inner.build(job)?;
        self.keep(&key, job, outcome).map_err(ours)
    }
}

/// Names the program that runs: a newer one takes up no run of an older one.
#[must_use]
pub fn program() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let version = env!("CARGO_PKG_VERSION");
    let file = std::fs::metadata("/proc/self/exe")
        .map(|file| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
    format!("{version} {:?}", file.ok())
}

/// Whether the outputs of a job can be proven to be what its build gave: they
/// stand at their paths, their trees have their hashes and name their
/// references. Where only the build could tell a path, nothing proves it.
fn are_sound(job: &BuildJob, outputs: &BTreeMap<String, BuiltOutput>) -> bool {
    let candidates = || job.inputs.keys().chain(outputs.values().map(|output| &output.path));
    let sound = |(name, output): (&String, &BuiltOutput)| {
        let mut scanner = ReferenceScanner::new(candidates());
        let planned = job.outputs.get(name).and_then(Option::as_ref);
        planned == Some(&output.path)
            && hash_tree(&output.host_path, &mut [&mut scanner])
                .is_ok_and(|found| found == (output.nar_hash, output.nar_size))
            && scanner.into_found() == output.references
    };
    outputs.len() == job.outputs.len() && outputs.iter().all(sound)
}

/// Fields of a key, each with its length before it.
struct Key(Hasher);

impl Key {
    fn add(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(field);
    }
}
