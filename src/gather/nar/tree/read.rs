//! Reads the files of a batch and puts their NAR bytes into chunks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::TreeError;
use super::walk::{Batch, Kind, Leaf};
use crate::nix::nar;

/// Bytes in a chunk: large enough to make handing over cheap, small enough to
/// stay in the processor's cache until they are hashed.
const CHUNK: usize = 256 * 1024;

/// A chunk with less room than this is handed over before more is read.
const MIN_ROOM: usize = 64 * 1024;

/// A batch is small if its files have no more bytes than this.
const SMALL_BYTES: u64 = 256 * 1024;

/// A batch is small if it has no more files than this.
const SMALL_LEAVES: usize = 8;

/// Files at least so long are announced to be read from end to end.
const LONG_FILE: u64 = 1024 * 1024;

/// Chunks to be used again: memory that is already mapped and cached.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    pub(super) fn give(&self, mut chunk: Vec<u8>) {
        chunk.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
    }
}

/// Takes chunks as they fill up.
type Emit<'a> = dyn FnMut(Vec<u8>) -> Result<(), TreeError> + 'a;

impl Batch {
    /// Whether reading it takes less time than starting a thread.
    pub(super) fn is_small(&self) -> bool {
        let size = |leaf: &Leaf| {
            let name = leaf.name.as_ref();
            rustix::fs::statat(&leaf.directory.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0))
        };
        self.leaves.len() <= SMALL_LEAVES
            && self.leaves.iter().map(size).fold(0, u64::saturating_add) <= SMALL_BYTES
    }

    /// Gives all bytes of the batch to `emit`, in order.
    pub(super) fn read(self, buffers: &Buffers, emit: &mut Emit<'_>) -> Result<(), TreeError> {
        let mut chunk = buffers.take();
        let mut begin = 0;
        for leaf in &self.leaves {
            let framing = self.framing.get(begin..leaf.framing_end).unwrap_or_default();
            chunk.extend_from_slice(framing);
            begin = leaf.framing_end;
            let path = || leaf.directory.shown(&leaf.name);
            let dir = leaf.directory.fd.as_fd();
            match leaf.kind {
                Kind::File => chunk = file(dir, &leaf.name, &path, chunk, buffers, emit)?,
                Kind::Symlink => link(dir, &leaf.name, &path, &mut chunk)?,
                Kind::Directory => return Err(TreeError::Thread),
            }
            chunk = with_room(chunk, buffers, emit)?;
        }
        chunk.extend_from_slice(self.framing.get(begin..).unwrap_or_default());
        emit(chunk)
    }
}

/// Hands the chunk over if little room is left in it.
fn with_room(chunk: Vec<u8>, buffers: &Buffers, emit: &mut Emit<'_>) -> Result<Vec<u8>, TreeError> {
    if chunk.capacity().saturating_sub(chunk.len()) >= MIN_ROOM {
        return Ok(chunk);
    }
    emit(chunk)?;
    Ok(buffers.take())
}

/// Appends a symlink.
fn link(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &impl Fn() -> PathBuf,
    chunk: &mut Vec<u8>,
) -> Result<(), TreeError> {
    let target = match rustix::fs::readlinkat(dir, name, Vec::new()) {
        Ok(target) => target,
        Err(Errno::INVAL) => {
            return Err(TreeError::Changed { path: path(), what: "it is no symlink any more" });
        }
        Err(error) => return Err(TreeError::io("read the symlink", path(), error)),
    };
    let target = target.to_bytes();
    nar::check_target(target).map_err(|problem| TreeError::Name { path: path(), problem })?;
    nar::symlink(chunk, target);
    Ok(())
}

/// Appends a regular file, handing over chunks as they fill up.
fn file(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &impl Fn() -> PathBuf,
    mut chunk: Vec<u8>,
    buffers: &Buffers,
    emit: &mut Emit<'_>,
) -> Result<Vec<u8>, TreeError> {
    let (fd, executable, size) = open_file(dir, name, path)?;
    let changed = |what| TreeError::Changed { path: path(), what };
    nar::begin_contents(&mut chunk, executable, size);
    if size >= LONG_FILE {
        // Only advice: it does not matter whether it is taken.
        let _ = rustix::fs::fadvise(&fd, 0, None, rustix::fs::Advice::Sequential);
    }
    let mut left = size;
    loop {
        chunk = with_room(chunk, buffers, emit)?;
        let room = chunk.capacity() - chunk.len();
        let read = retry_on_intr(|| rustix::io::read(&fd, spare_capacity(&mut chunk)))
            .map_err(|error| TreeError::io("read", path(), error))?;
        left = u64::try_from(read)
            .ok()
            .and_then(|read| left.checked_sub(read))
            .ok_or_else(|| changed("it is longer than it was"))?;
        // A regular file gives less than is asked for only at its end.
        if read == 0 || (left == 0 && read < room) {
            break;
        }
    }
    if left > 0 {
        return Err(changed("it is shorter than it was"));
    }
    nar::end_contents(&mut chunk, size);
    Ok(chunk)
}

/// Opens a regular file, and says whether it is executable and how long.
fn open_file(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &impl Fn() -> PathBuf,
) -> Result<(OwnedFd, bool, u64), TreeError> {
    // What is no regular file any more must neither block nor be followed.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let changed = || TreeError::Changed { path: path(), what: "it is no regular file any more" };
    let fd = match retry_on_intr(|| rustix::fs::openat(dir, name, flags, Mode::empty())) {
        Ok(fd) => fd,
        Err(Errno::LOOP | Errno::NXIO) => return Err(changed()),
        Err(error) => return Err(TreeError::io("open", path(), error)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|error| TreeError::io("examine", path(), error))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(changed());
    }
    let executable = Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR);
    let size = u64::try_from(stat.st_size).map_err(|_| changed())?;
    Ok((fd, executable, size))
}
