//! Filling a directory through its handle, with explicit modes.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
};

use crate::build::job::InputObject;
use crate::build::outcome::BuildError;

/// Opens a directory, never through a link in its last component.
///
/// # Errors
/// What the system says.
pub fn open_directory(path: &Path) -> Result<OwnedFd, BuildError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(BuildError::path("open", path))
}

/// A directory that is being filled, by its handle.
#[derive(Debug)]
pub struct Place {
    /// Where it is.
    pub path: PathBuf,
    handle: OwnedFd,
}

impl Place {
    /// Makes the directory `path`, whose parent is open as `parent`.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(parent: &OwnedFd, path: PathBuf, mode: u32) -> Result<Self, BuildError> {
        let name = path.file_name().unwrap_or_default();
        rustix::fs::mkdirat(parent, name, Mode::RWXU)
            .map_err(BuildError::path("make the directory", &path))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(BuildError::path("open", &path))?;
        let place = Self { path, handle };
        place.mode(".", mode)?;
        Ok(place)
    }

    /// The names in the directory `name`.
    ///
    /// # Errors
    /// What the system says.
    pub fn entries(&self, name: &Path) -> Result<Vec<OsString>, BuildError> {
        let wrong = || BuildError::path("list", self.path.join(name));
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, name, flags, Mode::empty());
        let mut names = Vec::new();
        for entry in Dir::new(handle.map_err(wrong())?).map_err(wrong())? {
            let name = entry.map_err(wrong())?.file_name().to_bytes().to_vec();
            if !matches!(name.as_slice(), b"." | b"..") {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Changes the group of an entry.
    ///
    /// # Errors
    /// What the system says.
    pub fn give_entry(&self, name: &Path, group: Gid) -> Result<(), BuildError> {
        rustix::fs::chownat(&self.handle, name, None, Some(group), AtFlags::empty())
            .map_err(BuildError::path("give to the build group", self.path.join(name)))
    }

    /// Removes an empty directory or a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &Path, directory: bool) -> Result<(), BuildError> {
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(&self.handle, name, flags)
            .map_err(BuildError::path("remove", self.path.join(name)))
    }

    /// Changes the owner of the directory itself.
    ///
    /// # Errors
    /// What the system says.
    pub fn give(&self, user: Option<Uid>, group: Option<Gid>) -> Result<(), BuildError> {
        rustix::fs::fchown(&self.handle, user, group)
            .map_err(BuildError::path("give to the build user", &self.path))
    }

    /// Sets the mode of an entry, or of `.`.
    ///
    /// # Errors
    /// What the system says.
    pub fn mode(&self, name: impl AsRef<Path>, mode: u32) -> Result<(), BuildError> {
        let name = name.as_ref();
        rustix::fs::chmodat(&self.handle, name, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(BuildError::path("set the mode of", self.path.join(name)))
    }

    /// Whether there is an entry of that name.
    ///
    /// # Errors
    /// What the system says.
    pub fn has(&self, name: &Path) -> Result<bool, BuildError> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(errno) => Err(BuildError::path("look at", self.path.join(name))(errno)),
        }
    }

    /// The size of an entry.
    ///
    /// # Errors
    /// What the system says.
    pub fn size(&self, name: &Path) -> Result<i64, BuildError> {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| stat.st_size)
            .map_err(BuildError::path("look at", self.path.join(name)))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn directory(&self, name: &Path, mode: u32) -> Result<(), BuildError> {
        rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(mode))
            .map_err(BuildError::path("make the directory", self.path.join(name)))?;
        self.mode(name, mode)
    }

    /// Makes a file of mode 0644.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(
        &self,
        name: &Path,
        content: &[u8],
        owner: Option<(Uid, Gid)>,
    ) -> Result<(), BuildError> {
        let wrong = |action| BuildError::path(action, self.path.join(name));
        let mut file = self.create(name)?;
        file.write_all(content).map_err(|source| BuildError::Path {
            action: "write",
            path: self.path.join(name),
            source,
        })?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644)).map_err(wrong("set the mode of"))?;
        if let Some((user, group)) = owner {
            rustix::fs::fchown(&file, Some(user), Some(group))
                .map_err(wrong("give to the build user"))?;
        }
        Ok(())
    }

    fn create(&self, name: &Path) -> Result<File, BuildError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(BuildError::path("create", self.path.join(name)))?;
        Ok(file.into())
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// What the system says.
    pub fn link(&self, target: &CStr, name: &Path) -> Result<(), BuildError> {
        rustix::fs::symlinkat(target, &self.handle, name)
            .map_err(BuildError::path("link", self.path.join(name)))
    }

    /// A hard link to a regular input, as Nix makes it; a copy where the
    /// input is on another file system or belongs to somebody else.
    ///
    /// # Errors
    /// What the system says.
    pub fn link_or_copy(
        &self,
        input: &InputObject,
        stat: &Stat,
        name: &Path,
    ) -> Result<(), BuildError> {
        let host = &input.host_path;
        if rustix::fs::linkat(CWD, host, &self.handle, name, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        let wrong = |action| BuildError::path(action, self.path.join(name));
        let failed = |source| BuildError::Path { action: "copy", path: host.clone(), source };
        let mut source = File::open(host).map_err(failed)?;
        let mut copy = self.create(name)?;
        std::io::copy(&mut source, &mut copy).map_err(failed)?;
        let mode = Mode::from_raw_mode(stat.st_mode) & Mode::from_raw_mode(0o555);
        rustix::fs::fchmod(&copy, mode).map_err(wrong("set the mode of"))?;
        rustix::fs::futimens(copy.as_fd(), &STORE_TIMES).map_err(wrong("set the times of"))
    }

    /// Makes the symbolic link that an input is.
    ///
    /// # Errors
    /// What the system says.
    pub fn copy_link(&self, input: &InputObject, name: &Path) -> Result<(), BuildError> {
        let host = &input.host_path;
        let target =
            rustix::fs::readlink(host, Vec::new()).map_err(BuildError::path("read", host))?;
        self.link(&target, name)?;
        rustix::fs::utimensat(&self.handle, name, &STORE_TIMES, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(BuildError::path("set the times of", self.path.join(name)))
    }
}

/// The times of a store object: modified one second after the epoch.
const STORE_TIMES: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
};
