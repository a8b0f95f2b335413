//! The hash of the NAR of what a commit holds, straight from the object
//! database: nothing is checked out.
//!
//! Some threads read blobs ahead, each through a handle of its own, and the
//! caller's thread hashes them in order. What waits is bounded by the number of
//! blobs and their size; larger ones are read when their turn comes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::snapshot::{Item, Snapshot, Step};
use super::{GitError, Kind, Object, Repository};
use crate::nix::git::ObjectId;
use crate::nix::hash::{HashAlgorithm, Hasher, NarHash};
use crate::nix::nar::{Event, NarError, NarWriter};

/// Blobs that one thread reads at a time.
const BATCH: usize = 32;

/// Batches that may be read ahead.
const AHEAD: usize = 8;

/// Blobs of up to this many bytes are read ahead: 8 · 32 of them take 64 MiB.
const SMALL: u64 = 256 << 10;

/// Largest file of a snapshot, in bytes: what is read is held at once.
const MAX_BLOB: u64 = 2 << 30;

/// Most bytes of files together; the largest known sources have a tenth.
const MAX_TOTAL: u64 = 256 << 30;

/// More threads only compete for the one that hashes.
const MAX_READERS: usize = 6;

/// Why a snapshot has no hash.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotNarError {
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A blob is not there, as in a partial clone.
    #[error("the contents {0} of a file are not in the repository (a partial clone lacks some)")]
    Absent(ObjectId),
    /// The tree cannot be put into a NAR.
    #[error("the tree cannot be put into a NAR: {0}")]
    Nar(#[from] NarError),
    /// All files together.
    #[error("the files have more than {MAX_TOTAL} bytes together")]
    TooLarge,
    /// A reading thread could not be started or ended before its work.
    #[error("a thread reading the repository did not do its work")]
    Thread,
}

/// The hash of the NAR of a snapshot, and how long the NAR is. Entries for
/// which `leave_out` holds, by their index, are passed over with all below.
///
/// # Errors
/// See [`SnapshotNarError`].
pub fn hash(
    repository: &Repository,
    snapshot: &Snapshot,
    leave_out: &dyn Fn(usize) -> bool,
) -> Result<(NarHash, u64), SnapshotNarError> {
    let kept = kept(snapshot, leave_out);
    let blobs: Vec<ObjectId> = kept.iter().filter_map(|item| blob_of(item)).collect();
    let batches: Vec<&[ObjectId]> = blobs.chunks(BATCH).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let readers = cores.min(MAX_READERS).min(batches.len());
    let queue = Queue::default();
    thread::scope(|scope| {
        // Whatever happens here, the readers must not wait for ever.
        let _stop = Stop(&queue);
        for _ in 0..readers {
            let handle = repository.again()?;
            let (queue, batches) = (&queue, batches.as_slice());
            thread::Builder::new()
                .name("git-reader".to_owned())
                .spawn_scoped(scope, move || queue.work(&handle, batches))
                .map_err(|_| SnapshotNarError::Thread)?;
        }
        let mut sink = Sink { hasher: Hasher::new(HashAlgorithm::Sha256), size: 0 };
        put(repository, &kept, &queue, &mut sink)?;
        let hash = sink.hasher.finish();
        NarHash::from_sha256(&hash).map(|hash| (hash, sink.size)).ok_or(SnapshotNarError::Thread)
    })
}

/// The items that are not left out.
fn kept<'s>(snapshot: &'s Snapshot, leave_out: &dyn Fn(usize) -> bool) -> Vec<&'s Item> {
    let mut kept = Vec::with_capacity(snapshot.items.len());
    // Directories entered within one that is left out.
    let mut inside = 0_usize;
    for (index, item) in snapshot.items.iter().enumerate() {
        match (inside, &item.step) {
            (0, Step::Enter) if leave_out(index) => inside = 1,
            (0, _) if leave_out(index) => {}
            (0, _) => kept.push(item),
            (_, Step::Enter) => inside += 1,
            (_, Step::Leave) => inside -= 1,
            _ => {}
        }
    }
    kept
}

const fn blob_of(item: &Item) -> Option<ObjectId> {
    match item.step {
        Step::File { blob, .. } | Step::Symlink { blob } => Some(blob),
        Step::Enter | Step::Leave | Step::Submodule => None,
    }
}

/// Writes the NAR.
fn put(
    repository: &Repository,
    items: &[&Item],
    queue: &Queue,
    sink: &mut Sink,
) -> Result<(), SnapshotNarError> {
    let mut nar = NarWriter::new(sink);
    let mut batch = Vec::new().into_iter();
    let mut next_batch = 0;
    let mut total = 0_u64;
    let mut next = |wanted: ObjectId| -> Result<Vec<u8>, SnapshotNarError> {
        let read = loop {
            if let Some(read) = batch.next() {
                break read;
            }
            batch = queue.take(next_batch)?.into_iter();
            next_batch += 1;
        };
        let data = match read {
            Read::Small(data) => data,
            Read::Large => contents(repository, wanted, MAX_BLOB)?,
            Read::Failed(error) => return Err(error),
        };
        total = total.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if total > MAX_TOTAL { Err(SnapshotNarError::TooLarge) } else { Ok(data) }
    };
    let mut depth = 0_usize;
    for item in items {
        if depth > 0 && item.step != Step::Leave {
            nar.write(Event::Entry(&item.name))?;
        }
        match item.step {
            Step::Enter => {
                nar.write(Event::Directory)?;
                depth += 1;
            }
            Step::Leave => {
                nar.write(Event::End)?;
                depth -= 1;
            }
            Step::Submodule => {
                nar.write(Event::Directory)?;
                nar.write(Event::End)?;
            }
            Step::File { executable, blob } => {
                let data = next(blob)?;
                let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
                nar.write(Event::File { executable, size })?;
                if !data.is_empty() {
                    nar.write(Event::Contents(&data))?;
                }
            }
            Step::Symlink { blob } => nar.write(Event::Symlink(&next(blob)?))?,
        }
    }
    nar.finish()?;
    Ok(())
}

fn contents(
    repository: &Repository,
    blob: ObjectId,
    max: u64,
) -> Result<Vec<u8>, SnapshotNarError> {
    match repository.object(blob, max)? {
        Some(Object { kind: Kind::Blob, data }) => Ok(data),
        _ => Err(SnapshotNarError::Absent(blob)),
    }
}

/// A blob as a reader left it.
enum Read {
    Small(Vec<u8>),
    Large,
    Failed(SnapshotNarError),
}

/// What readers and the hashing thread share.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The batch that nobody reads yet.
    next: usize,
    /// Batches that were taken away.
    taken: usize,
    ready: BTreeMap<usize, Vec<Read>>,
    stopped: bool,
}

struct Stop<'q>(&'q Queue);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

struct StopOnPanic<'q>(&'q Queue);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(Stop(self.0));
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads batches until there are no more.
    fn work(&self, repository: &Repository, batches: &[&[ObjectId]]) {
        // A reader that ends early must not leave the other side waiting.
        let _stop = StopOnPanic(self);
        loop {
            let mut state = self.lock();
            while state.next >= state.taken.saturating_add(AHEAD) && !state.stopped {
                state = self.wait(state);
            }
            let index = state.next;
            let Some(batch) = batches.get(index).filter(|_| !state.stopped) else { return };
            state.next += 1;
            drop(state);
            let read = batch.iter().map(|blob| read(repository, *blob)).collect();
            self.lock().ready.insert(index, read);
            self.changed.notify_all();
        }
    }

    /// Waits for a batch.
    fn take(&self, index: usize) -> Result<Vec<Read>, SnapshotNarError> {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.ready.remove(&index) {
                state.taken = index.saturating_add(1);
                self.changed.notify_all();
                return Ok(batch);
            }
            if state.stopped {
                return Err(SnapshotNarError::Thread);
            }
            state = self.wait(state);
        }
    }
}

fn read(repository: &Repository, blob: ObjectId) -> Read {
    match contents(repository, blob, SMALL) {
        Ok(data) => Read::Small(data),
        Err(SnapshotNarError::Git(GitError::TooLarge { .. })) => Read::Large,
        Err(error) => Read::Failed(error),
    }
}

struct Sink {
    hasher: Hasher,
    size: u64,
}

impl io::Write for &mut Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
