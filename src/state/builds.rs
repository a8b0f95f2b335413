//! Directories for builds: random names, private, gone when dropped.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::StateError;
use super::remove::remove_tree;
use super::sync_dir;

/// The directory of one build (0700). It is removed when dropped, unless it
/// is kept.
#[derive(Debug)]
pub struct BuildDir {
    path: PathBuf,
    failed: PathBuf,
    kept: bool,
}

impl BuildDir {
    pub(super) fn new(builds: &Path, failed: &Path) -> Result<Self, StateError> {
        let path = tempfile::Builder::new()
            .prefix("")
            .rand_bytes(16)
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(builds)
            .map_err(|source| StateError::io("make a directory in", builds, source))?
            .keep();
        Ok(Self { path, failed: failed.to_owned(), kept: false })
    }

    /// A directory that stays where it is until it is removed on purpose.
    pub(super) fn settled(path: PathBuf, failed: &Path) -> Self {
        Self { path, failed: failed.to_owned(), kept: true }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the directory of a failed build, and says where it now is.
    ///
    /// # Errors
    /// A directory that cannot be moved; it is then removed as usual.
    pub fn keep(mut self) -> Result<PathBuf, StateError> {
        let name = self.path.file_name().unwrap_or_default();
        let kept = self.failed.join(name);
        std::fs::rename(&self.path, &kept)
            .map_err(|source| StateError::io("move", &self.path, source))?;
        self.kept = true;
        sync_dir(&self.failed)?;
        Ok(kept)
    }

    /// Moves the whole directory to `target`, which must not exist.
    pub(super) fn move_to(&mut self, target: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, target)?;
        self.kept = true;
        Ok(())
    }

    /// Removes the directory and says what went wrong, which dropping does not.
    ///
    /// # Errors
    /// The first thing that cannot be removed.
    pub fn remove(mut self) -> Result<(), StateError> {
        self.kept = true;
        remove_tree(&self.path).map_err(|source| StateError::io("remove", &self.path, source))
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        if !self.kept {
            // What is left is taken by the next `verify clean`.
            let _ = remove_tree(&self.path);
        }
    }
}

/// A directory handle, for those who assemble a build by handles.
impl TryFrom<&BuildDir> for File {
    type Error = StateError;

    fn try_from(build: &BuildDir) -> Result<Self, StateError> {
        Self::open(&build.path).map_err(|source| StateError::io("open", &build.path, source))
    }
}
