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

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::nix::hash::NarHash;
use crate::nix::nar::{Event, HashedSource, NarError, NarReader};
use crate::state::remove::remove_at;

/// Modification time of everything in a store.
const MTIME: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

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
        let _ = remove_at(parent, name);
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

/// Opens the directory `name` of `dir`, not through a symlink.
fn open_directory(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// Opens the directory that is to hold `path`.
fn locate(path: &Path) -> Result<(OwnedFd, &OsStr), RestoreError> {
    let Some(name) = path.file_name() else {
        let error = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(RestoreError::io("unpack to", path.to_owned(), error));
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::nix::nar::NarWriter;

    fn nar(events: &[Event<'_>]) -> Vec<u8> {
        let mut writer = NarWriter::new(Vec::new());
        events.iter().for_each(|event| writer.write(*event).unwrap());
        writer.finish().unwrap()
    }

    fn tree() -> Vec<u8> {
        nar(&[
            Event::Directory,
            Event::Entry(b"a"),
            Event::File { executable: true, size: 1 },
            Event::Contents(b"x"),
            Event::Entry(b"b"),
            Event::Directory,
            Event::Entry(b"empty"),
            Event::File { executable: false, size: 0 },
            Event::Entry(b"link"),
            Event::Symlink(b"/etc"),
            Event::End,
            Event::End,
        ])
    }

    #[test]
    fn everything_is_made_canonically() {
        let tmp = tempfile::tempdir().unwrap();
        let dest = tmp.path().join("dest");
        restore(tree().as_slice(), &dest).unwrap();
        for (name, mode) in
            [("", 0o40555), ("a", 0o100_555), ("b", 0o40555), ("b/empty", 0o100_444)]
        {
            let meta = fs::symlink_metadata(dest.join(name)).unwrap();
            assert_eq!(meta.permissions().mode(), mode, "{name}");
            let modified = meta.modified().unwrap();
            assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1);
        }
        assert_eq!(fs::read_link(dest.join("b/link")).unwrap(), Path::new("/etc"));
        assert_eq!(fs::read(dest.join("a")).unwrap(), b"x");
        crate::state::remove::remove_tree(&dest).unwrap();
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let tmp = tempfile::tempdir().unwrap();
        let outside = tmp.path().join("outside");
        let dest = tmp.path().join("dest");
        let file = nar(&[Event::File { executable: false, size: 1 }, Event::Contents(b"x")]);
        let link = nar(&[Event::Symlink(b"x")]);
        for nar in [&tree(), &file, &link] {
            symlink(&outside, &dest).unwrap();
            assert!(matches!(restore(nar.as_slice(), &dest), Err(RestoreError::Io { .. })));
            assert!(!outside.exists());
            assert_eq!(fs::read_link(&dest).unwrap(), outside);
            fs::remove_file(&dest).unwrap();

            fs::write(&dest, "mine").unwrap();
            assert!(restore(nar.as_slice(), &dest).is_err());
            assert_eq!(fs::read(&dest).unwrap(), b"mine");
            fs::remove_file(&dest).unwrap();

            fs::create_dir(&dest).unwrap();
            assert!(restore(nar.as_slice(), &dest).is_err());
            assert!(dest.is_dir());
            fs::remove_dir(&dest).unwrap();
        }
    }

    #[test]
    fn a_nar_that_is_cut_leaves_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let dest = tmp.path().join("dest");
        let whole = tree();
        for cut in (0..whole.len()).step_by(5) {
            let error = restore(&whole[..cut], &dest).unwrap_err();
            assert!(matches!(error, RestoreError::Nar(_)), "{error}");
            assert!(fs::symlink_metadata(&dest).is_err(), "cut at {cut}");
        }
        let trailing = [whole.as_slice(), b"x"].concat();
        assert!(restore(trailing.as_slice(), &dest).is_err());
        assert!(fs::symlink_metadata(&dest).is_err());
    }

    #[test]
    fn a_destination_without_a_name_is_refused() {
        for dest in ["/", "..", "."] {
            assert!(matches!(
                restore(tree().as_slice(), Path::new(dest)),
                Err(RestoreError::Io { .. })
            ));
        }
    }
}
