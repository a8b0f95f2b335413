//! Making a build's output trees look like every other store object.
//!
//! Follows `canonicalisePathMetaData` (`src/libstore/local-store.cc` up to
//! Nix 2.18, `src/libstore/posix-fs-canonicalise.cc` later), with one
//! difference: nothing is reached by path. The tree is the work of a hostile
//! builder, so every step goes from the handle of a directory to one of its
//! entries and never through a symbolic link.
//!
//! What is refused is a [`Rejection`]: the builder's fault, not ours.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::BuildError;
use super::outputs::handles;
use super::outputs::rejection::{Rejection, Stop};
use crate::nix::nar::MAX_DEPTH;

/// Longest list of extended attribute names that Linux hands out
/// (`XATTR_LIST_MAX`).
const MAX_XATTR_LIST: usize = 65536;

/// Permission bits of a mode: all but the file type.
const PERMISSIONS: u32 = 0o7777;

/// Extended attributes that Nix leaves alone (default of its setting
/// `ignored-acls`, the last one since 2.14).
pub const IGNORED_XATTRS: [&str; 3] = ["security.selinux", "system.nfs4_acl", "security.csm"];

/// What becomes of a directory that its owner may not search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryRule {
    /// It becomes 0444 like a file without `u+x`: Nix up to 2.30.
    LikeFiles,
    /// It becomes 0555 like every other directory: Nix 2.31 and later.
    AlwaysSearchable,
}

/// How one build's outputs are canonicalised.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The user the builder ran as; what is not theirs is refused.
    pub build_uid: u32,
    /// The user everything belongs to afterwards.
    pub owner_uid: u32,
    /// The group everything belongs to afterwards.
    pub owner_gid: u32,
    /// What becomes of directories without `u+x`.
    pub directories: DirectoryRule,
}

/// The links to one file.
#[derive(Debug, Default)]
struct Links {
    /// How many the file system counts.
    total: u64,
    /// How many were met below the outputs.
    met: u64,
}

/// What a top-level output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with or without `u+x`.
    File {
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// Canonicalises all outputs of one build, one after the other, and remembers
/// the hard links between and within them.
#[derive(Debug)]
pub struct Canonicaliser {
    rules: Rules,
    /// Files with more than one link, by device and inode.
    linked: BTreeMap<(u64, u64), Links>,
    /// The directories the walk is in.
    place: Vec<CString>,
}

impl Canonicaliser {
    /// Starts with no output seen.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, linked: BTreeMap::new(), place: Vec::new() }
    }

    /// Canonicalises the object `name` in the directory `parent`: types,
    /// ownership, modes, times and extended attributes of everything in it.
    ///
    /// # Errors
    /// [`Stop::Rejected`] for what Nix would refuse, [`Stop::Failed`] when the
    /// system refuses us.
    pub fn object(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<Kind, Stop> {
        self.place.clear();
        let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(Rejection::Missing.into()),
            Err(error) => return Err(self.failed("look at", name, error)),
        };
        let others_may_write = stat.st_mode & (Mode::WGRP | Mode::WOTH).bits() != 0;
        let kind = FileType::from_raw_mode(stat.st_mode);
        // A whole output that is a link to a file of an earlier output no
        // longer belongs to the builder when Nix looks at it, so Nix refuses
        // it; inside outputs such links are fine.
        let foreign =
            stat.st_uid != self.rules.build_uid || self.linked.contains_key(&inode(&stat));
        if (kind != FileType::Symlink && others_may_write) || foreign {
            return Err(Rejection::Suspicious {
                mode: stat.st_mode & PERMISSIONS,
                uid: stat.st_uid,
                build_uid: self.rules.build_uid,
            }
            .into());
        }
        self.entry(parent, name, 0)?;
        match kind {
            FileType::Directory => Ok(Kind::Directory),
            FileType::Symlink => Ok(Kind::Symlink),
            _ => Ok(Kind::File { executable: stat.st_mode & Mode::XUSR.bits() != 0 }),
        }
    }

    /// Whether a file has links that lie outside every output seen. Whoever
    /// holds such a link could still reach the file.
    #[must_use]
    pub fn is_linked_from_outside(&self) -> bool {
        self.linked.values().any(|links| links.met < links.total)
    }

    fn entry(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Stop> {
        if depth >= MAX_DEPTH {
            return Err(Rejection::TooDeep { path: self.shown(name) }.into());
        }
        let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed("look at", name, error))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Symlink) {
            let found = handles::describe(kind);
            return Err(Rejection::UnsupportedType { path: self.shown(name), found }.into());
        }
        if kind != FileType::Directory && stat.st_nlink > 1 && self.met_again(&stat) {
            return Ok(());
        }
        if stat.st_uid != self.rules.build_uid {
            return Err(Rejection::Ownership {
                path: self.shown(name),
                uid: stat.st_uid,
                build_uid: self.rules.build_uid,
            }
            .into());
        }
        match kind {
            FileType::Directory => self.directory(parent, name, &stat, depth),
            FileType::Symlink => self.symlink(parent, name, &stat),
            _ => {
                let file = self.open(parent, name, &stat, OFlags::NONBLOCK | OFlags::NOCTTY)?;
                self.metadata(&file, name, &stat)
            }
        }
    }

    /// Whether the file was met before; counts this link to it either way.
    fn met_again(&mut self, stat: &Stat) -> bool {
        let links = self.linked.entry(inode(stat)).or_default();
        #[allow(clippy::useless_conversion, reason = "the width depends on the machine")]
        let total = u64::from(stat.st_nlink);
        links.total = links.total.max(total);
        links.met = links.met.saturating_add(1);
        links.met > 1
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        depth: usize,
    ) -> Result<(), Stop> {
        let directory = self.open(parent, name, stat, OFlags::DIRECTORY)?;
        self.place.push(name.to_owned());
        handles::each_entry(directory.as_fd(), |child, _| {
            self.entry(directory.as_fd(), child, depth + 1)
        })?;
        self.place.pop();
        self.metadata(&directory, name, stat)
    }

    fn symlink(&self, parent: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Stop> {
        let failed = |doing, error| self.failed(doing, name, error);
        // There is no way to name the link itself by handle, so its
        // attributes are reached through the handle of its directory.
        let path = handles::path_through(parent, name);
        let mut list = [0_u8; 1024];
        let listed = fs::llistxattr(&path, &mut list[..]);
        for attribute in self.attributes(listed.map(|length| list.get(..length)), name)? {
            fs::lremovexattr(&path, &attribute)
                .map_err(|error| failed("remove an extended attribute of", error))?;
        }
        if !handles::has_store_mtime(stat) {
            fs::utimensat(parent, name, &handles::STORE_TIMES, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed("set the time of", error))?;
        }
        if self.is_foreign(stat) {
            let (uid, gid) = self.owner();
            fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed("change the owner of", error))?;
        }
        Ok(())
    }

    /// Opens an entry that `stat` was taken of, and makes sure that it is
    /// still the same one.
    fn open(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        flags: OFlags,
    ) -> Result<OwnedFd, Stop> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = fs::openat(parent, name, flags, Mode::empty())
            .map_err(|error| self.failed("open", name, error))?;
        let now = fs::fstat(&opened).map_err(|error| self.failed("look at", name, error))?;
        if inode(&now) == inode(stat) && now.st_mode == stat.st_mode {
            Ok(opened)
        } else {
            Err(BuildError::Other(format!(
                "'{}' changed while it was examined, though its builder is dead: something else \
                 writes into the state directory",
                self.shown(name)
            ))
            .into())
        }
    }

    /// Sets mode, owner, time and attributes of an open file or directory.
    fn metadata(&self, opened: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), Stop> {
        let failed = |doing, error| self.failed(doing, name, error);
        let mut list = vec![0_u8; 1024];
        let mut listed = fs::flistxattr(opened, &mut list[..]);
        if listed == Err(Errno::RANGE) {
            list.resize(MAX_XATTR_LIST, 0);
            listed = fs::flistxattr(opened, &mut list[..]);
        }
        for attribute in self.attributes(listed.map(|length| list.get(..length)), name)? {
            fs::fremovexattr(opened, &attribute)
                .map_err(|error| failed("remove an extended attribute of", error))?;
        }
        let mode = stat.st_mode & PERMISSIONS;
        let wanted = canonical_mode(stat.st_mode, self.rules.directories);
        if mode != wanted {
            fs::fchmod(opened, Mode::from_raw_mode(wanted))
                .map_err(|error| failed("change the mode of", error))?;
        }
        if self.is_foreign(stat) {
            let (uid, gid) = self.owner();
            fs::fchown(opened, Some(uid), Some(gid))
                .map_err(|error| failed("change the owner of", error))?;
        }
        if !handles::has_store_mtime(stat) {
            fs::futimens(opened, &handles::STORE_TIMES)
                .map_err(|error| failed("set the time of", error))?;
        }
        Ok(())
    }

    /// The extended attributes to remove, out of what the system listed.
    fn attributes(
        &self,
        listed: Result<Option<&[u8]>, Errno>,
        name: &CStr,
    ) -> Result<Vec<CString>, Stop> {
        let list = match listed {
            Ok(list) => list.unwrap_or_default(),
            Err(Errno::NOTSUP | Errno::NODATA | Errno::NOSYS) => return Ok(Vec::new()),
            Err(error) => {
                return Err(self.failed("list the extended attributes of", name, error));
            }
        };
        Ok(list
            .split(|&byte| byte == 0)
            .filter(|attribute| !attribute.is_empty())
            .filter(|attribute| {
                !IGNORED_XATTRS.iter().any(|ignored| ignored.as_bytes() == *attribute)
            })
            .filter_map(|attribute| CString::new(attribute).ok())
            .collect())
    }

    const fn is_foreign(&self, stat: &Stat) -> bool {
        stat.st_uid != self.rules.owner_uid || stat.st_gid != self.rules.owner_gid
    }

    fn owner(&self) -> (Uid, Gid) {
        (Uid::from_raw(self.rules.owner_uid), Gid::from_raw(self.rules.owner_gid))
    }

    /// The path of an entry of the current directory, for messages.
    fn shown(&self, name: &CStr) -> String {
        handles::shown(self.place.iter().map(CString::as_c_str).chain([name]))
    }

    fn failed(&self, doing: &'static str, name: &CStr, error: Errno) -> Stop {
        Stop::Failed(BuildError::path(doing, self.shown(name))(error))
    }
}

/// Which file it is, whatever its name.
const fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The permission bits that a file or directory of this mode ends with.
const fn canonical_mode(mode: u32, directories: DirectoryRule) -> u32 {
    let directory = matches!(FileType::from_raw_mode(mode), FileType::Directory);
    let always = directory && matches!(directories, DirectoryRule::AlwaysSearchable);
    if always || mode & Mode::XUSR.bits() != 0 { 0o555 } else { 0o444 }
}
