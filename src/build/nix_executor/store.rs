//! The store in which an installed Nix builds one job: a chroot store with
//! copies of the inputs, and the lines that register them.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::super::job::BuildJob;
use super::super::outcome::BuildError;
use super::super::outputs::copy_object;
use super::super::outputs::handles::{self, open_directory};
use crate::nix::hash::Hash;
use crate::nix::nar::{Event, NarWriter};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::remove::remove_tree;

/// The store of one job.
pub(super) struct Scratch<'a> {
    /// The directory of the job.
    pub(super) room: &'a Path,
    root: PathBuf,
    /// The store directory in it.
    pub(super) store: OwnedFd,
}

impl<'a> Scratch<'a> {
    /// Makes it, empty, in the directory `room`.
    pub(super) fn make(room: &'a Path, store_dir: &StoreDir) -> Result<Self, BuildError> {
        let root = room.join("nix");
        for directory in ["home", "conf", "tmp", "nix"] {
            make_directory(&room.join(directory))?;
        }
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Path { action, path, source }
        };
        let conf = room.join("conf/nix.conf");
        std::fs::write(&conf, "").map_err(failed("write", &conf))?;
        let store = root.join(store_dir.as_str().trim_start_matches('/'));
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&store)
            .map_err(failed("make the directory", &store))?;
        let handle = open_directory(&store)?;
        Ok(Self { room, root, store: handle })
    }

    /// The arguments that name this store, and others behind them.
    pub(super) fn arguments(&self, others: &[&str]) -> Vec<String> {
        let (command, rest) = others.split_first().map_or(("", [].as_slice()), |(c, r)| (*c, r));
        let store = format!("local?root={}", self.root.display());
        std::iter::once(command)
            .chain(["--store", &store])
            .chain(rest.iter().copied())
            .map(str::to_owned)
            .collect()
    }

    /// Copies an object into the store: a builder that is the same user could
    /// damage the original.
    pub(super) fn copy(&self, host: &Path, path: &StorePath) -> Result<(), BuildError> {
        let (Some(parent), Some(name)) = (host.parent(), host.file_name()) else {
            return Err(BuildError::Job(format!("'{}' cannot be an input", host.display())));
        };
        let parent = open_directory(parent)?;
        let name = CString::new(name.as_bytes())
            .map_err(|_| BuildError::Job("a path has a NUL".to_owned()))?;
        let new_name = handles::name(&path.to_string())?;
        copy_object(parent.as_fd(), &name, self.store.as_fd(), &new_name)
    }

    /// Writes a file of mode 0444 into the store; gives its NAR.
    pub(super) fn write(&self, path: &StorePath, content: &[u8]) -> Result<Vec<u8>, BuildError> {
        let name = handles::name(&path.to_string())?;
        let mut file = handles::create(self.store.as_fd(), &name)?;
        std::io::Write::write_all(&mut file, content).map_err(|source| BuildError::Path {
            action: "write",
            path: path.to_string().into(),
            source,
        })?;
        handles::seal(&file, 0o444)?;
        let bad = |error: &dyn std::fmt::Display| BuildError::Job(error.to_string());
        let size = u64::try_from(content.len()).map_err(|error| bad(&error))?;
        let mut nar = NarWriter::new(Vec::new());
        nar.write(Event::File { executable: false, size })
            .and_then(|()| nar.write(Event::Contents(content)))
            .map_err(|error| bad(&error))?;
        nar.finish().map_err(|error| bad(&error))
    }

    /// Removes everything but what has been taken out of it.
    pub(super) fn remove(self) -> Result<(), BuildError> {
        for directory in ["nix", "tmp", "home", "conf"] {
            let path = self.room.join(directory);
            remove_tree(&path).map_err(|source| BuildError::Path {
                action: "remove",
                path,
                source,
            })?;
        }
        Ok(())
    }
}

/// A directory that only we may enter, if builders need not go through it.
pub(super) fn make_directory(path: &Path) -> Result<(), BuildError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.and_then(|()| {
        // Builders of another user go through some of these.
        let mode = if path.ends_with("tmp") || path.ends_with("nix") { 0o755 } else { 0o700 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    })
    .map_err(|source| BuildError::Path {
        action: "make the directory",
        path: path.to_owned(),
        source,
    })
}

/// Adds an object as `nix-store --load-db` reads it.
pub(super) fn register(
    text: &mut String,
    path: &StorePath,
    hash: &Hash,
    size: u64,
    references: &BTreeSet<StorePath>,
    job: &BuildJob,
) {
    let full = |path: &StorePath| job.store_dir.full(path);
    // Writing to a string cannot fail.
    let _ = write!(text, "{}\n{}\n{size}\n\n{}\n", full(path), hash.base16(), references.len());
    for reference in references {
        let _ = writeln!(text, "{}", full(reference));
    }
}
