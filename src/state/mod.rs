//! The state directory: everything kept on disk, written whole or not at all.
//!
//! `docs/state.md` describes the layout. The directory is private (0700) and
//! may be used by several processes at once: every run holds a shared lock on
//! it, and only what holds the exclusive lock removes things.
#![allow(
    clippy::disallowed_methods,
    reason = "one of the four rooms that touch the world (docs/architecture.md)"
)]

pub mod atomic;
mod blobs;
mod builds;
mod clean;
mod error;
mod lock;
mod objects;
pub mod remove;
mod runs;

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

pub use blobs::{Blob, Blobs};
pub use builds::BuildDir;
pub use clean::{CleanReport, CleanRequest, DEFAULT_MAX_SIZE, size_of};
pub use error::StateError;
pub use lock::Lock;
pub use objects::{ObjectInfo, Objects, Staged, StoredObject};
pub use runs::{Finished, Run};

use crate::nix::hash::{Hash, HashAlgorithm};

/// Marks a directory as ours and names its layout.
const MARKER: &str = "verify-state";

/// The layout that this version reads and writes.
const LAYOUT: &str = "1\n";

/// The directories below the root, each with its one use.
const ROOMS: [&str; 9] =
    ["objects", "builds", "failed", "logs", "nars", "downloads", "git", "locks", runs::ROOM];

/// The lock that every run holds shared and removal holds alone.
const IN_USE: &str = "in-use";

/// A state directory that this process uses.
#[derive(Debug)]
pub struct StateDir {
    root: PathBuf,
    _in_use: Lock,
}

impl StateDir {
    /// The default place: `$XDG_CACHE_HOME/verify`, else `~/.cache/verify`.
    /// Relative values are ignored, as the XDG specification says.
    pub fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache.join("verify"))
    }

    /// Opens the state directory, making it if it does not exist.
    ///
    /// # Errors
    /// A directory that is not ours, that holds something else, or that cannot
    /// be made or locked.
    pub fn open(root: &Path) -> Result<Self, StateError> {
        prepare(root)?;
        clean::before_a_run(root)?;
        let in_use = Lock::shared(&root.join("locks").join(IN_USE))?;
        Ok(Self { root: root.to_owned(), _in_use: in_use })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits for the exclusive lock of that name (letters, digits, dashes).
    ///
    /// # Errors
    /// A lock file that cannot be made.
    pub fn lock(&self, name: &str) -> Result<Lock, StateError> {
        Lock::exclusive(&self.lock_path(name))
    }

    /// Takes the exclusive lock of that name if nobody has it.
    ///
    /// # Errors
    /// A lock file that cannot be made.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, StateError> {
        Lock::try_exclusive(&self.lock_path(name))
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// Store objects that were fetched or built.
    #[must_use]
    pub fn objects(&self) -> Objects {
        Objects::new(self.root.join("objects"))
    }

    /// Build logs, by their SHA-256.
    #[must_use]
    pub fn logs(&self) -> Blobs {
        Blobs::new(self.root.join("logs"), "log")
    }

    /// NARs kept for looking into, by their SHA-256.
    #[must_use]
    pub fn nars(&self) -> Blobs {
        Blobs::new(self.root.join("nars"), "nar")
    }

    /// Where the mirror of the git repository at `url` is, or would be.
    #[must_use]
    pub fn git_mirror(&self, url: &str) -> PathBuf {
        let name = Hash::of(HashAlgorithm::Sha256, url.as_bytes()).nix32();
        self.root.join("git").join(name)
    }

    /// A new random private directory for one build; removed when dropped.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn build_dir(&self) -> Result<BuildDir, StateError> {
        BuildDir::new(&self.root.join("builds"), &self.root.join("failed"))
    }

    /// A new file for a download; removed when dropped.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn download(&self) -> Result<tempfile::NamedTempFile, StateError> {
        let rooms = self.root.join("downloads");
        tempfile::NamedTempFile::new_in(&rooms)
            .map_err(|source| StateError::io("create a file in", &rooms, source))
    }
}

/// Makes the directory with all its rooms, or checks that it is ours.
fn prepare(root: &Path) -> Result<(), StateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(|source| StateError::io("make the directory", root, source))?;
    let metadata = root.metadata().map_err(|source| StateError::io("look at", root, source))?;
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        return Err(StateError::Owner { path: root.to_owned(), owner: metadata.uid(), us });
    }
    let marker = root.join(MARKER);
    match std::fs::read(&marker) {
        Ok(layout) if layout == LAYOUT.as_bytes() => {}
        Ok(layout) => {
            return Err(StateError::Layout {
                path: root.to_owned(),
                found: String::from_utf8_lossy(&layout).trim().to_owned(),
            });
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            claim(root, &marker)?;
        }
        Err(source) => return Err(StateError::io("read", &marker, source)),
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700))
            .map_err(|source| StateError::io("make private", root, source))?;
    }
    for room in ROOMS {
        let path = root.join(room);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StateError::io("make the directory", &path, source)),
        }
    }
    Ok(())
}

/// Takes an empty directory as ours. One that holds anything else is left
/// alone: it could be somebody's home.
fn claim(root: &Path, marker: &Path) -> Result<(), StateError> {
    let entries = std::fs::read_dir(root).map_err(|source| StateError::io("list", root, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| StateError::io("list", root, source))?;
        let name = entry.file_name();
        // Another process may be claiming the same directory right now: its
        // temporary may be seen, and its rooms, but those only after the marker.
        let temporary = name.to_str().is_some_and(|name| name.starts_with(".tmp"));
        if !temporary && !marker.exists() {
            return Err(StateError::NotOurs { path: root.to_owned() });
        }
    }
    atomic::write(marker, LAYOUT.as_bytes())
        .map_err(|source| StateError::io("write", marker, source))
}

/// Makes a directory's new names last.
fn sync_dir(path: &Path) -> Result<(), StateError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| StateError::io("sync the directory", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_private_and_only_ours() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("a/b");
        let state = StateDir::open(&root).unwrap();
        assert_eq!(root.metadata().unwrap().mode() & 0o777, 0o700);
        drop(state);
        StateDir::open(&root).unwrap();

        let other = place.path().join("home");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("letter"), b"dear").unwrap();
        assert!(matches!(StateDir::open(&other), Err(StateError::NotOurs { .. })));

        std::fs::write(root.join(MARKER), "7\n").unwrap();
        assert!(matches!(StateDir::open(&root), Err(StateError::Layout { .. })));
    }

    #[test]
    fn the_default_follows_xdg() {
        let with = |pairs: &'static [(&str, &str)]| {
            StateDir::default_path(move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
            })
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/verify".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), Some("/c/verify".into()));
        assert_eq!(
            with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")]),
            Some("/h/.cache/verify".into())
        );
        assert_eq!(with(&[("HOME", "")]), None);
    }

    #[test]
    fn many_may_open_at_once() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("state");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| StateDir::open(&root).unwrap());
            }
        });
    }
}
