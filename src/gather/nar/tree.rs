//! The NAR of a file system tree, hashed or written, without trusting it.
//!
//! Everything is opened relative to the handle of its directory and never
//! through a symlink, so a tree that is changed meanwhile can make this fail
//! but never lead it elsewhere. One thread lists directories, some read files
//! ahead in batches, and the caller's puts the bytes in order and hashes them;
//! what is in flight is bounded, so memory does not depend on the tree.
//!
//! Follows `dumpPath` of `src/libutil/archive.cc`: entries sorted by bytes,
//! a file is executable if its owner may execute it, nothing else counts.

mod read;
#[cfg(test)]
mod tests;
mod walk;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::{CWD, Mode, OFlags};

use crate::nix::hash::{HashAlgorithm, Hasher, NarHash};
use crate::nix::nar::{MAX_DEPTH, NameProblem};
use read::Buffers;
use walk::{Batch, Walker};

/// Batches between the walker and the hasher: enough for readers never to
/// wait for each other, few enough to bound memory and open directories.
const BATCHES_IN_FLIGHT: usize = 6;

/// Chunks of one batch that may wait: a reader far ahead stops here.
const CHUNKS_IN_FLIGHT: usize = 3;

/// More readers than this only compete for the one hasher.
const MAX_READERS: usize = 4;

/// Memory for names of directories that are being walked; see [`walk`].
const NAMES_BUDGET: usize = 20 * 1024 * 1024;

/// Why a tree has no NAR.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A system call failed.
    #[error("cannot {action} '{}'", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Neither regular file, directory nor symlink.
    #[error("'{}' is a {found} (expected a regular file, directory or symlink)", path.display())]
    Type {
        /// The object.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The tree is not at rest.
    #[error("'{}' changed while it was read: {what}", path.display())]
    Changed {
        /// The object.
        path: PathBuf,
        /// What was noticed.
        what: &'static str,
    },
    /// Too many directories within each other.
    #[error("'{}' lies in more than {MAX_DEPTH} nested directories, which no NAR may", .0.display())]
    Depth(PathBuf),
    /// A name or a symlink's target that NARs cannot hold.
    #[error("'{}' cannot be put into a NAR: {problem}", path.display())]
    Name {
        /// The object.
        path: PathBuf,
        /// The rule its name or target breaks.
        problem: NameProblem,
    },
    /// What the bytes were written to failed.
    #[error("cannot pass on the NAR")]
    Sink(#[source] io::Error),
    /// A reading thread could not be started or ended before its work.
    #[error("a thread reading the tree did not do its work")]
    Thread,
}

impl TreeError {
    fn io(action: &'static str, path: PathBuf, error: impl Into<io::Error>) -> Self {
        Self::Io { action, path, source: error.into() }
    }
}

/// How a tree is read.
#[derive(Debug, Clone, Copy)]
pub struct TreeOptions {
    /// Threads that read files ahead; without any the caller's reads and hashes.
    pub readers: usize,
    /// Bytes of names held at once. Larger directories are listed repeatedly.
    pub names_budget: usize,
}

impl Default for TreeOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { readers: cores.min(MAX_READERS), names_budget: NAMES_BUDGET }
    }
}

/// Hashes the NAR of the object at `path`, a symlink as such, and passes its
/// bytes to each of `sinks` as well.
///
/// # Errors
/// See [`TreeError`].
pub fn hash_tree(path: &Path, sinks: &mut [&mut dyn Write]) -> Result<(NarHash, u64), TreeError> {
    let (dir, name) = locate(path)?;
    hash_at(dir.as_fd(), name, path, &TreeOptions::default(), sinks)
}

/// As [`hash_tree`], for the entry `name` of an open directory. `shown` is
/// what errors call it.
///
/// # Errors
/// See [`TreeError`].
pub fn hash_at(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    shown: &Path,
    options: &TreeOptions,
    sinks: &mut [&mut dyn Write],
) -> Result<(NarHash, u64), TreeError> {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let size = stream(dir, name, shown, options, &mut |bytes| {
        hasher.update(bytes);
        sinks.iter_mut().try_for_each(|sink| sink.write_all(bytes))
    })?;
    let hash = hasher.finish();
    NarHash::from_sha256(&hash).map(|hash| (hash, size)).ok_or(TreeError::Thread)
}

/// Writes the NAR of the object at `path`, and says how long it is.
///
/// # Errors
/// See [`TreeError`].
pub fn dump(path: &Path, sink: &mut dyn Write) -> Result<u64, TreeError> {
    let (dir, name) = locate(path)?;
    dump_at(dir.as_fd(), name, path, &TreeOptions::default(), sink)
}

/// As [`dump`], for the entry `name` of an open directory.
///
/// # Errors
/// See [`TreeError`].
pub fn dump_at(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    shown: &Path,
    options: &TreeOptions,
    sink: &mut dyn Write,
) -> Result<u64, TreeError> {
    stream(dir, name, shown, options, &mut |bytes| sink.write_all(bytes))
}

/// Opens the directory that holds `path`. What leads there may be symlinks,
/// the last component is not followed.
fn locate(path: &Path) -> Result<(OwnedFd, &OsStr), TreeError> {
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => (parent, name),
        (_, Some(name)) => (Path::new("."), name),
        (_, None) => (path, OsStr::new(".")),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, parent, flags, Mode::empty())
        .map_err(|error| TreeError::io("open the directory", parent.to_owned(), error))?;
    Ok((dir, name))
}

/// What a reader says about its batch, in order.
enum Message {
    /// The next bytes of the NAR.
    Chunk(Vec<u8>),
    /// The batch is complete.
    End,
    /// It cannot be completed.
    Failed(TreeError),
}

/// What the walker says, in order.
enum Step {
    /// The bytes of a batch come from here.
    Batch(Receiver<Message>),
    /// The tree is complete.
    End,
    /// It cannot be completed.
    Failed(TreeError),
}

/// Gives all bytes of the NAR to `take`, in order, and counts them.
fn stream(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    shown: &Path,
    options: &TreeOptions,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, TreeError> {
    let mut size = 0_u64;
    let mut take = |bytes: &[u8]| {
        size = size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        take(bytes).map_err(TreeError::Sink)
    };
    let mut walker = Walker::new(dir, name, shown, options.names_budget)?;
    let buffers = Buffers::default();
    let Some(first) = walker.next_batch()? else { return Err(TreeError::Thread) };
    // For little, starting threads would take longer than the work.
    if options.readers > 0 && !(walker.is_done() && first.is_small()) {
        in_parallel(first, walker, options.readers, &buffers, &mut take)?;
        return Ok(size);
    }
    let mut next = Some(first);
    while let Some(batch) = next {
        batch.read(&buffers, &mut |chunk| {
            take(&chunk)?;
            buffers.give(chunk);
            Ok(())
        })?;
        next = walker.next_batch()?;
    }
    Ok(size)
}

/// Batches to be read, and where their bytes go. Readers take them in order,
/// so the batch the hasher waits for is always one that is being read.
type Jobs = Arc<Mutex<Receiver<(Batch, SyncSender<Message>)>>>;

/// The pipeline: walker, readers, and the caller's thread.
fn in_parallel(
    first: Batch,
    walker: Walker,
    readers: usize,
    buffers: &Buffers,
    take: &mut dyn FnMut(&[u8]) -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    let (job_sender, jobs) = sync_channel(BATCHES_IN_FLIGHT);
    let (step_sender, steps) = sync_channel::<Step>(BATCHES_IN_FLIGHT);
    thread::scope(|scope| {
        // Owned here, so that whatever ends this closure also ends all
        // threads: their next send or receive fails.
        let (steps, jobs): (_, Jobs) = (steps, Arc::new(Mutex::new(jobs)));
        thread::Builder::new()
            .spawn_scoped(scope, move || walk(first, walker, &job_sender, &step_sender))
            .map_err(|_| TreeError::Thread)?;
        for _ in 0..readers {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .spawn_scoped(scope, move || read_batches(&jobs, buffers))
                .map_err(|_| TreeError::Thread)?;
        }
        loop {
            let batch = match steps.recv().map_err(|_| TreeError::Thread)? {
                Step::Batch(batch) => batch,
                Step::End => return Ok(()),
                Step::Failed(error) => return Err(error),
            };
            // A channel that closes without an end must not look like one.
            loop {
                match batch.recv().map_err(|_| TreeError::Thread)? {
                    Message::Chunk(chunk) => {
                        take(&chunk)?;
                        buffers.give(chunk);
                    }
                    Message::End => break,
                    Message::Failed(error) => return Err(error),
                }
            }
        }
    })
}

/// A reader's thread: ends when there are no more jobs, or nobody listens.
fn read_batches(jobs: &Jobs, buffers: &Buffers) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((batch, sender)) = job else { return };
        let read = batch.read(buffers, &mut |chunk| {
            sender.send(Message::Chunk(chunk)).map_err(|_| TreeError::Thread)
        });
        let last = read.map_or_else(Message::Failed, |()| Message::End);
        if sender.send(last).is_err() {
            return;
        }
    }
}

/// The walker's thread: ends early if nobody listens any more.
fn walk(
    first: Batch,
    mut walker: Walker,
    jobs: &SyncSender<(Batch, SyncSender<Message>)>,
    steps: &SyncSender<Step>,
) {
    let mut next = Ok(Some(first));
    loop {
        match next {
            Ok(Some(batch)) => {
                let (sender, receiver) = sync_channel(CHUNKS_IN_FLIGHT);
                let sent =
                    steps.send(Step::Batch(receiver)).is_ok() && jobs.send((batch, sender)).is_ok();
                if !sent {
                    return;
                }
            }
            Ok(None) => {
                // If nobody listens, nobody misses it.
                let _ = steps.send(Step::End);
                return;
            }
            Err(error) => {
                let _ = steps.send(Step::Failed(error));
                return;
            }
        }
        next = walker.next_batch();
    }
}
