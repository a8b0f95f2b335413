//! Unpacking a NAR, canonically and only where it is meant to go.
//!
//! Everything is made relative to the handle of its directory, never through
//! a symlink and never over something that is there, so a NAR cannot reach
//! outside its destination whatever it says. What is made is as Nix registers
//! it: modes 0444 and 0555, modification time 1.
//!
//! The hash comes back *after* the tree was made: unpack only a NAR whose hash
//! is known to be right, or throw the tree away if it is not.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::nix::hash::NarHash;
use crate::nix::nar::{Event, HashedSource, NarError, NarReader};

/// Modification time of everything in a store.
const MTIME: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Directories that may nest when a tree is removed: far more than a NAR has,
/// few enough for the handles of all of them to be open.
const MAX_REMOVE_DEPTH: usize = 256;

/// Why a NAR was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is no NAR, or could not be read.
    #[error("cannot unpack the NAR")]
    Nar(#[from] NarError),
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
    /// A tree to be removed is deeper than any NAR.
    #[error("'{}' lies in more than {MAX_REMOVE_DEPTH} nested directories", .0.display())]
    Depth(PathBuf),
}

impl RestoreError {
    fn io(action: &'static str, path: PathBuf, error: impl Into<io::Error>) -> Self {
        Self::Io { action, path, source: error.into() }
    }
}

/// Unpacks `nar` as `dest`, which must not exist, and says what it was.
/// Nothing is left at `dest` if it fails.
///
/// # Errors
/// A source that is no NAR, or a file system that refuses.
pub fn restore(nar: impl Read, dest: &Path) -> Result<(NarHash, u64), RestoreError> {
    let (parent, name) = locate(dest)?;
    restore_at(nar, parent.as_fd(), name, dest)
}

/// As [`restore`], for the entry `name` of an open directory. `shown` is what
/// errors call it.
///
/// # Errors
/// As [`restore`].
pub fn restore_at(
    nar: impl Read,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    shown: &Path,
) -> Result<(NarHash, u64), RestoreError> {
    let mut reader = NarReader::new(HashedSource::new(nar));
    let mut made = false;
    let unpacked = unpack(&mut reader, parent, name, shown, &mut made);
    if unpacked.is_err() && made {
        // The first error is the one to tell.
        let _ = remove_at(parent, name, shown);
    }
    unpacked.map(|()| reader.into_source().finish())
}

/// An open directory that is being filled.
struct Level {
    fd: OwnedFd,
    path: PathBuf,
}

fn unpack(
    reader: &mut NarReader<impl Read>,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    shown: &Path,
    made: &mut bool,
) -> Result<(), RestoreError> {
    let mut levels: Vec<Level> = Vec::new();
    let mut name = name.to_owned();
    let mut file: Option<(File, PathBuf, bool, u64)> = None;
    while let Some(event) = reader.next_event()? {
        let dir = levels.last().map_or(parent, |level| level.fd.as_fd());
        let path =
            || levels.last().map_or_else(|| shown.to_owned(), |level| level.path.join(&name));
        match event {
            Event::Entry(next) => name = OsString::from_vec(next.to_vec()),
            Event::Directory => {
                let path = path();
                rustix::fs::mkdirat(dir, &name, Mode::RWXU)
                    .map_err(|error| RestoreError::io("make the directory", path.clone(), error))?;
                *made = true;
                let fd = open_directory(dir, &name)
                    .map_err(|error| RestoreError::io("open the directory", path.clone(), error))?;
                levels.push(Level { fd, path });
            }
            Event::End => {
                if let Some(Level { fd, path }) = levels.pop() {
                    seal(fd.as_fd(), true, &path)?;
                }
            }
            Event::Symlink(target) => {
                let target = OsStr::from_bytes(target);
                rustix::fs::symlinkat(target, dir, &name)
                    .map_err(|error| RestoreError::io("make the symlink", path(), error))?;
                *made = true;
                let times = Timestamps { last_access: MTIME, last_modification: MTIME };
                rustix::fs::utimensat(dir, &name, &times, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| RestoreError::io("set the time of", path(), error))?;
            }
            Event::File { executable, size } => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(dir, &name, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(|error| RestoreError::io("make the file", path(), error))?;
                *made = true;
                let fd = File::from(fd);
                if size == 0 {
                    seal(fd.as_fd(), executable, &path())?;
                } else {
                    file = Some((fd, path(), executable, size));
                }
            }
            Event::Contents(bytes) => {
                let Some((fd, path, executable, left)) = &mut file else { continue };
                fd.write_all(bytes)
                    .map_err(|error| RestoreError::io("write", path.clone(), error))?;
                *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if *left == 0 {
                    seal(fd.as_fd(), *executable, path)?;
                    file = None;
                }
            }
        }
    }
    Ok(())
}

/// Gives a finished file or directory its final mode and time.
fn seal(fd: BorrowedFd<'_>, executable: bool, path: &Path) -> Result<(), RestoreError> {
    let read = Mode::RUSR | Mode::RGRP | Mode::ROTH;
    let execute = Mode::XUSR | Mode::XGRP | Mode::XOTH;
    let mode = if executable { read | execute } else { read };
    rustix::fs::fchmod(fd, mode)
        .map_err(|error| RestoreError::io("set the mode of", path.to_owned(), error))?;
    let times = Timestamps { last_access: MTIME, last_modification: MTIME };
    rustix::fs::futimens(fd, &times)
        .map_err(|error| RestoreError::io("set the time of", path.to_owned(), error))
}

/// Removes whatever is at `path`, a symlink as such, read-only directories
/// and all. That nothing is there is fine.
///
/// # Errors
/// A file system that refuses.
pub fn remove_tree(path: &Path) -> Result<(), RestoreError> {
    let (parent, name) = locate(path)?;
    remove_at(parent.as_fd(), name, path)
}

/// As [`remove_tree`], for the entry `name` of an open directory.
///
/// # Errors
/// A file system that refuses.
pub fn remove_at(parent: BorrowedFd<'_>, name: &OsStr, shown: &Path) -> Result<(), RestoreError> {
    let failed = |path: &Path, error| RestoreError::io("remove", path.to_owned(), error);
    let mut levels: Vec<(Level, OsString, Dir)> = Vec::new();
    let mut next = Some(name.to_owned());
    loop {
        let dir = levels.last().map_or(parent, |(level, ..)| level.fd.as_fd());
        if let Some(name) = next.take() {
            let path = levels
                .last()
                .map_or_else(|| shown.to_owned(), |(level, ..)| level.path.join(&name));
            match rustix::fs::unlinkat(dir, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                // Linux says ISDIR, POSIX allows PERM.
                Err(Errno::ISDIR | Errno::PERM) => {
                    if levels.len() >= MAX_REMOVE_DEPTH {
                        return Err(RestoreError::Depth(path));
                    }
                    let fd = open_directory(dir, &name).map_err(|error| failed(&path, error))?;
                    rustix::fs::fchmod(&fd, Mode::RWXU).map_err(|error| failed(&path, error))?;
                    let entries = Dir::read_from(&fd).map_err(|error| failed(&path, error))?;
                    levels.push((Level { fd, path }, name, entries));
                }
                Err(error) => return Err(failed(&path, error)),
            }
        }
        let Some((level, _, entries)) = levels.last_mut() else { return Ok(()) };
        match entries.next() {
            Some(Ok(entry)) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Some(Ok(entry)) => {
                next = Some(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
            }
            Some(Err(error)) => return Err(failed(&level.path, error)),
            None => {
                let Some((level, name, _)) = levels.pop() else { return Ok(()) };
                let dir = levels.last().map_or(parent, |(level, ..)| level.fd.as_fd());
                rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR)
                    .map_err(|error| failed(&level.path, error))?;
            }
        }
    }
}

/// Opens the directory `name` of `dir`, not through a symlink.
fn open_directory(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// Opens the directory that is to hold `path`.
fn locate(path: &Path) -> Result<(OwnedFd, &OsStr), RestoreError> {
    let Some(name) = path.file_name() else {
        let error = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(RestoreError::io("unpack to or remove", path.to_owned(), error));
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, parent, flags, Mode::empty())
        .map_err(|error| RestoreError::io("open the directory", parent.to_owned(), error))?;
    Ok((fd, name))
}
