//! Files of a cache that is a directory (`file://`), opened beneath it: no
//! name and no symbolic link leads out, and only regular files are read.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat, openat2};
use rustix::io::Errno;

/// Why a file of the cache cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CacheFileError {
    /// The directory itself cannot be opened.
    #[error("the cache directory {} cannot be opened: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The name leads out of the directory.
    #[error("'{name}' leads out of the cache directory {}", .directory.display())]
    Outside {
        /// The directory.
        directory: PathBuf,
        /// The name asked for.
        name: String,
    },
    /// Not a regular file.
    #[error("'{name}' in the cache directory {} is not a regular file", .directory.display())]
    NotRegular {
        /// The directory.
        directory: PathBuf,
        /// The name asked for.
        name: String,
    },
    /// Anything else.
    #[error("'{name}' in the cache directory {} cannot be read: {source}", .directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// The name asked for.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Opens the file `name` beneath `directory`; `None` if there is none.
///
/// # Errors
/// When the directory cannot be opened, or the file leads out of it, is not
/// regular, or cannot be read.
pub fn open_beneath(directory: &Path, name: &str) -> Result<Option<File>, CacheFileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(directory, flags, Mode::empty()).map_err(|error| {
        CacheFileError::Directory { path: directory.to_owned(), source: error.into() }
    })?;
    let failed = |error: Errno| match error {
        Errno::XDEV | Errno::LOOP => {
            CacheFileError::Outside { directory: directory.to_owned(), name: name.to_owned() }
        }
        error => CacheFileError::Io {
            directory: directory.to_owned(),
            name: name.to_owned(),
            source: error.into(),
        },
    };
    // Without blocking: opening a fifo would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = match openat2(&root, name, flags, Mode::empty(), resolve) {
        // Older kernels, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_by_steps(root, name, flags),
        result => result,
    };
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(CacheFileError::NotRegular {
            directory: directory.to_owned(),
            name: name.to_owned(),
        });
    }
    Ok(Some(File::from(file)))
}

/// The same without the kernel's help: follows no symbolic links at all.
fn open_by_steps(root: OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut current = root;
    let (parents, last) = name.rsplit_once('/').unwrap_or(("", name));
    let steps = parents.split('/').filter(|step| !step.is_empty());
    for step in steps.chain([last]) {
        if matches!(step, "" | "." | "..") || name.starts_with('/') {
            return Err(Errno::XDEV);
        }
    }
    for step in parents.split('/').filter(|step| !step.is_empty()) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        current = openat(current.as_fd(), step, flags, Mode::empty())?;
    }
    openat(current.as_fd(), last, flags | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn read(directory: &Path, name: &str) -> Result<Option<String>, CacheFileError> {
        let mut text = String::new();
        match open_beneath(directory, name)? {
            Some(mut file) => file.read_to_string(&mut text).unwrap(),
            None => return Ok(None),
        };
        Ok(Some(text))
    }

    #[test]
    fn files_beneath_are_read_and_nothing_else() {
        let top = tempfile::tempdir().unwrap();
        let cache = top.path().join("cache");
        std::fs::create_dir_all(cache.join("nar")).unwrap();
        std::fs::write(top.path().join("secret"), "secret").unwrap();
        std::fs::write(cache.join("nar/a"), "content").unwrap();
        symlink("nar/a", cache.join("inside")).unwrap();
        symlink("../secret", cache.join("outside")).unwrap();
        symlink(top.path().join("secret"), cache.join("absolute")).unwrap();
        symlink("..", cache.join("up")).unwrap();
        symlink("/proc/self/root", cache.join("magic")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            cache.join("fifo"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();

        assert_eq!(read(&cache, "nar/a").unwrap().as_deref(), Some("content"));
        assert_eq!(read(&cache, "inside").unwrap().as_deref(), Some("content"));
        for absent in ["nar/b", "none/b", "nar/a/b"] {
            assert_eq!(read(&cache, absent).unwrap(), None, "{absent}");
        }
        for name in
            ["outside", "absolute", "up/secret", "../secret", "magic/etc/passwd", "/etc/passwd"]
        {
            let error = read(&cache, name).unwrap_err();
            assert!(matches!(error, CacheFileError::Outside { .. }), "{name}: {error}");
        }
        for name in ["nar", "fifo"] {
            let error = read(&cache, name).unwrap_err();
            assert!(matches!(error, CacheFileError::NotRegular { .. }), "{name}: {error}");
        }
        let error = read(&top.path().join("none"), "a").unwrap_err();
        assert!(matches!(error, CacheFileError::Directory { .. }), "{error}");
    }

    #[test]
    fn steps_follow_no_links() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("nar")).unwrap();
        std::fs::write(top.path().join("nar/a"), "content").unwrap();
        symlink("nar", top.path().join("link")).unwrap();
        symlink("nar/a", top.path().join("file")).unwrap();
        let by_steps = |name: &str| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let root = open(top.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
            open_by_steps(root, name, flags).map(drop)
        };
        assert_eq!(by_steps("nar/a"), Ok(()));
        assert_eq!(by_steps("nar/b"), Err(Errno::NOENT));
        for name in ["link/a", "file"] {
            assert!(by_steps(name).is_err(), "{name}");
        }
        for name in ["../a", "/etc/passwd", "nar/..", "./a", ""] {
            assert_eq!(by_steps(name), Err(Errno::XDEV), "{name}");
        }
    }
}
