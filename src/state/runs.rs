//! Runs that have not come to their end, each with what it has finished so
//! far, so that the same command can go on where it was killed.
//!
//! A run has a name, a hash of everything it was asked; only one process works
//! on a run at a time. What it finishes is made elsewhere and renamed into the
//! run whole. When the run comes to its end, all of it goes at once: nothing
//! here is ever an answer to another run.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::builds::BuildDir;
use super::error::StateError;
use super::lock::{Lock, outwait};
use super::remove::remove_tree;
use super::{IN_USE, StateDir, sync_dir};
use crate::nix::hash::Hash;

/// The room of runs.
pub(super) const ROOM: &str = "runs";

/// What is written down of something finished.
const RECORD: &str = "record.json";

/// The directory that belongs to it.
const TREES: &str = "trees";

/// Longest record that is read: one names outputs and their references, of
/// which the largest known have a few thousand.
const MAX_RECORD_LEN: u64 = 16 << 20;

/// A run that this process works on.
#[derive(Debug)]
pub struct Run {
    /// The state directory.
    root: PathBuf,
    place: PathBuf,
    interrupted: bool,
    /// Locks the directory of the run; the lock ends with the process.
    _alone: File,
    _in_use: Lock,
}

/// Something that the run has finished.
#[derive(Debug)]
pub struct Finished {
    /// What was written down of it.
    pub record: Vec<u8>,
    /// Where the directory that belongs to it is, or was.
    pub place: PathBuf,
    /// That directory, if it was kept.
    pub trees: Option<BuildDir>,
}

impl StateDir {
    /// Takes up the run of that name, or begins it. `None` if another process
    /// is at it right now.
    ///
    /// # Errors
    /// A directory that cannot be made or locked.
    pub fn run(&self, name: &Hash) -> Result<Option<Run>, StateError> {
        let place = self.root.join(ROOM).join(name.nix32());
        outwait(|| self.try_run(&place))
    }

    fn try_run(&self, place: &Path) -> Result<Option<Run>, StateError> {
        let failed = |source| StateError::io("use the run", place, source);
        loop {
            let interrupted = match DirBuilder::new().mode(0o700).create(place) {
                Ok(()) => false,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => true,
                Err(source) => return Err(failed(source)),
            };
            let alone = match File::open(place) {
                Ok(alone) => alone,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(source) => return Err(failed(source)),
            };
            match alone.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Whoever had the lock before may have ended the run meanwhile.
            let locked = alone.metadata().map_err(failed)?;
            let same = place
                .symlink_metadata()
                .is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino()));
            if same {
                let in_use = Lock::shared(&self.lock_path(IN_USE))?;
                let (root, place) = (self.root.clone(), place.to_owned());
                return Ok(Some(Run { root, place, interrupted, _alone: alone, _in_use: in_use }));
            }
        }
    }
}

/// Whether there is a run that nobody is at: its process was killed.
pub(super) fn interrupted(root: &Path) -> bool {
    let runs = std::fs::read_dir(root.join(ROOM)).into_iter().flatten();
    runs.filter_map(|run| File::open(run.ok()?.path()).ok()).any(|run| run.try_lock().is_ok())
}

impl Run {
    /// Whether an earlier process began it and did not come to the end.
    #[must_use]
    pub const fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// What was finished under `key`, if anything was.
    ///
    /// # Errors
    /// A record that is there and cannot be read.
    pub fn finished(&self, key: &Hash) -> Result<Option<Finished>, StateError> {
        let place = self.place(key);
        let file = place.join(RECORD);
        let failed = |source| StateError::io("read", &file, source);
        let opened = match File::open(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut record = Vec::new();
        opened.take(MAX_RECORD_LEN).read_to_end(&mut record).map_err(failed)?;
        let trees = place.join(TREES);
        let failed = self.root.join("failed");
        let kept = trees.is_dir().then(|| BuildDir::settled(trees.clone(), &failed));
        Ok(Some(Finished { record, place: trees, trees: kept }))
    }

    /// Writes down that something is finished, and keeps the directory that
    /// belongs to it. Gives that directory where it is now.
    ///
    /// # Errors
    /// A disk that cannot take it; nothing is written down then.
    pub fn finish(
        &self,
        key: &Hash,
        record: &[u8],
        trees: Option<BuildDir>,
    ) -> Result<Option<BuildDir>, StateError> {
        let failed = self.root.join("failed");
        let mut staged = BuildDir::new(&self.root.join("builds"), &failed)?;
        let kept = trees.is_some();
        if let Some(mut trees) = trees {
            let target = staged.path().join(TREES);
            trees
                .move_to(&target)
                .map_err(|source| StateError::io("move a build to", &target, source))?;
        }
        write_synced(&staged.path().join(RECORD), record)?;
        sync_dir(staged.path())?;
        let place = self.place(key);
        if staged.move_to(&place).is_err() {
            // Left from before by somebody who was killed while forgetting it.
            self.forget(key)?;
            staged.move_to(&place).map_err(|source| StateError::io("move to", &place, source))?;
        }
        sync_dir(&self.place)?;
        Ok(kept.then(|| BuildDir::settled(place.join(TREES), &failed)))
    }

    /// Takes back that something is finished.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn forget(&self, key: &Hash) -> Result<(), StateError> {
        let place = self.place(key);
        // Without its record, the rest is nothing.
        let _ = std::fs::remove_file(place.join(RECORD));
        remove_tree(&place).map_err(|source| StateError::io("remove", &place, source))
    }

    /// Forgets everything that earlier processes finished.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn begin_anew(&mut self) -> Result<(), StateError> {
        let failed = |source| StateError::io("list", &self.place, source);
        for entry in std::fs::read_dir(&self.place).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            remove_tree(&path).map_err(|source| StateError::io("remove", &path, source))?;
        }
        self.interrupted = false;
        Ok(())
    }

    /// Ends the run: nothing of it is left for anybody.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn complete(self) -> Result<(), StateError> {
        let failed = self.root.join("failed");
        let gone = BuildDir::new(&self.root.join("builds"), &failed)?;
        std::fs::rename(&self.place, gone.path())
            .map_err(|source| StateError::io("move", &self.place, source))?;
        sync_dir(&self.root.join(ROOM))?;
        gone.remove()
    }

    fn place(&self, key: &Hash) -> PathBuf {
        self.place.join(key.nix32())
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| StateError::io("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::hash::HashAlgorithm;

    fn name(text: &str) -> Hash {
        Hash::of(HashAlgorithm::Sha256, text.as_bytes())
    }

    fn open(place: &Path) -> StateDir {
        StateDir::open(place).unwrap()
    }

    #[test]
    fn what_is_finished_is_there_for_the_same_run_until_its_end() {
        let place = tempfile::tempdir().unwrap();
        let state = open(place.path());
        let run = state.run(&name("run")).unwrap().unwrap();
        assert!(!run.was_interrupted());
        let trees = state.build_dir().unwrap();
        std::fs::write(trees.path().join("file"), b"content").unwrap();
        let kept = run.finish(&name("one"), b"{}", Some(trees)).unwrap().unwrap();
        assert_eq!(std::fs::read(kept.path().join("file")).unwrap(), b"content");
        assert!(run.finish(&name("two"), b"2", None).unwrap().is_none());
        // Dropping handles removes nothing.
        drop((kept, run));

        let other = state.run(&name("other")).unwrap().unwrap();
        assert!(other.finished(&name("one")).unwrap().is_none());
        let run = state.run(&name("run")).unwrap().unwrap();
        assert!(run.was_interrupted());
        let one = run.finished(&name("one")).unwrap().unwrap();
        assert_eq!((one.record.as_slice(), one.trees.is_some()), (b"{}".as_slice(), true));
        assert!(run.finished(&name("two")).unwrap().unwrap().trees.is_none());
        run.finish(&name("one"), b"again", None).unwrap();
        assert_eq!(run.finished(&name("one")).unwrap().unwrap().record, b"again");
        run.forget(&name("one")).unwrap();
        assert!(run.finished(&name("one")).unwrap().is_none());
        run.complete().unwrap();
        let run = state.run(&name("run")).unwrap().unwrap();
        assert!(!run.was_interrupted() && run.finished(&name("two")).unwrap().is_none());
        assert_eq!(std::fs::read_dir(place.path().join("builds")).unwrap().count(), 0);
    }

    #[test]
    fn one_process_works_on_a_run() {
        let place = tempfile::tempdir().unwrap();
        let (state, second) = (open(place.path()), open(place.path()));
        let run = state.run(&name("run")).unwrap().unwrap();
        assert!(second.run(&name("run")).unwrap().is_none());
        assert!(second.run(&name("other")).unwrap().is_some());
        drop(run);
        let mut run = second.run(&name("run")).unwrap().unwrap();
        run.finish(&name("one"), b"1", None).unwrap();
        run.begin_anew().unwrap();
        assert!(run.finished(&name("one")).unwrap().is_none());
    }

    #[test]
    fn ending_and_beginning_at_once_never_mixes_runs() {
        let place = tempfile::tempdir().unwrap();
        let state = open(place.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let Some(run) = state.run(&name("run")).unwrap() else { continue };
                        assert!(run.finished(&name("one")).unwrap().is_none());
                        run.finish(&name("one"), b"1", None).unwrap();
                        run.complete().unwrap();
                    }
                });
            }
        });
    }
}
