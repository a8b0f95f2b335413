//! A copy of a tree in memory, its entries made in an order of our choosing.
//!
//! Programs that list a directory see its entries in an order that is up to
//! the file system: on disks mostly that of hashes of the names, in memory
//! (tmpfs) that in which they were made, or the reverse. Whoever depends on it
//! gives another result here.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::plan::Shuffle;

/// Levels of directories that are copied: as many as a store object may have.
const MAX_DEPTH: usize = crate::nix::nar::MAX_DEPTH;

/// Copies the directory at `source` to a file system of its own, which is
/// mounted nowhere yet. Links are not followed.
///
/// # Errors
/// A sentence: what cannot be copied, or does not fit.
pub fn copy(source: &Path, shuffle: Shuffle) -> Result<OwnedFd, String> {
    let said = |errno: Errno| format!("cannot copy '{}' into memory: {errno}", source.display());
    let mount = file_system(shuffle.bytes).map_err(said)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let from = rustix::fs::open(source, flags, Mode::empty()).map_err(said)?;
    let top = rustix::fs::openat(&mount, c".", flags, Mode::empty()).map_err(said)?;
    let mut copier = Copier { order: fastrand::Rng::with_seed(shuffle.seed) };
    copier.directory(from.as_fd(), top.as_fd(), 0).map_err(said)?;
    Ok(mount)
}

/// A new file system in memory for that many bytes.
fn file_system(bytes: u64) -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "size", bytes.to_string())?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

struct Copier {
    order: fastrand::Rng,
}

impl Copier {
    /// Copies what is in `from`, and its owner, mode and times, to `to`.
    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        depth: usize,
    ) -> Result<(), Errno> {
        if depth > MAX_DEPTH {
            return Err(Errno::LOOP);
        }
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::read_from(from)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        // From one order on every machine to one of this seed.
        names.sort();
        self.order.shuffle(&mut names);
        for name in &names {
            self.entry(from, to, name, depth)?;
        }
        let stat = rustix::fs::fstat(from)?;
        rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
        rustix::fs::futimens(to, &times(&stat))
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> Result<(), Errno> {
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let read = read | OFlags::DIRECTORY;
                let inner = rustix::fs::openat(from, name, read, Mode::empty())?;
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let copy = rustix::fs::openat(to, name, read, Mode::empty())?;
                self.directory(inner.as_fd(), copy.as_fd(), depth + 1)
            }
            FileType::RegularFile => {
                let mut source = File::from(rustix::fs::openat(from, name, read, Mode::empty())?);
                let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let made = rustix::fs::openat(to, name, write, Mode::RUSR | Mode::WUSR)?;
                let mut copy = File::from(made);
                std::io::copy(&mut source, &mut copy)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                rustix::fs::fchown(&copy, Some(owner.0), Some(owner.1))?;
                rustix::fs::fchmod(&copy, Mode::from_raw_mode(stat.st_mode))?;
                rustix::fs::futimens(&copy, &times(&stat))
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(to, name, Some(owner.0), Some(owner.1), flags)?;
                rustix::fs::utimensat(to, name, &times(&stat), flags)
            }
            _ => Err(Errno::INVAL),
        }
    }
}

/// The time of the last change, and no other.
fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec.try_into().unwrap_or(0),
        },
    }
}
