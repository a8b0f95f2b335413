//! What `verify lock` reads: the lock, the one before a change, and the files
//! that judge them, from the disk or out of a commit.

use std::path::{Component, Path, PathBuf};

use crate::gather::git::{GitError, Repository};
use crate::gather::named::input::{self, InputError};
use crate::nix::git::ObjectId;

/// What a lock is compared with.
#[derive(Debug)]
pub enum Base {
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A commit.
    Commit(BaseCommit),
}

/// A commit of the repository that the lock lies in.
pub struct BaseCommit {
    repository: Repository,
    /// The directory of the work tree, without links.
    tree: PathBuf,
    /// The revision as it was named.
    pub revision: String,
    /// The commit it names.
    pub commit: ObjectId,
}

impl std::fmt::Debug for BaseCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BaseCommit").field("commit", &self.commit).finish_non_exhaustive()
    }
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Neither a file nor a revision.
    #[error("'{name}' is neither a file nor a revision of the repository that '{}' lies in", lock.display())]
    Neither {
        /// What was named.
        name: String,
        /// The lock.
        lock: PathBuf,
        /// What git says.
        source: Box<GitError>,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] InputError),
    /// A repository without a work tree.
    #[error("the repository of '{}' has no work tree", .0.display())]
    Bare(PathBuf),
    /// A path that cannot be followed.
    #[error("could not find the directory of '{}'", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Base {
    /// Finds what `name` stands for: a file if there is one, else a revision
    /// of the repository that `lock` lies in.
    ///
    /// # Errors
    /// Neither of the two, or something that cannot be read.
    pub fn find(name: &str, file: &Path, lock: &Path, max: usize) -> Result<Self, BaseError> {
        if file.is_file() {
            return Ok(Self::File { path: file.to_owned(), bytes: input::read(file, max)? });
        }
        let neither = |source| BaseError::Neither {
            name: name.to_owned(),
            lock: lock.to_owned(),
            source: Box::new(source),
        };
        let directory = lock.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let repository = Repository::discover(directory).map_err(neither)?;
        let commit = repository.commit_of(name).map_err(neither)?;
        let tree = repository.work_tree().ok_or_else(|| BaseError::Bare(lock.to_owned()))?;
        let tree = tree
            .canonicalize()
            .map_err(|source| BaseError::Path { path: tree.to_owned(), source })?;
        Ok(Self::Commit(BaseCommit { repository, tree, revision: name.to_owned(), commit }))
    }
}

impl BaseCommit {
    /// The path of a file inside the repository, if it lies there. The file
    /// itself need not exist, its directory must.
    #[must_use]
    pub fn inside(&self, file: &Path) -> Option<PathBuf> {
        let name = file.file_name()?;
        let parent = file.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).canonicalize().ok()?;
        let inside = directory.strip_prefix(&self.tree).ok()?.join(name);
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        plain.then_some(inside)
    }

    /// A file as it was in the commit; `None` if there was none.
    ///
    /// # Errors
    /// A commit that cannot be read, or a file of more than `max` bytes.
    pub fn read(&self, inside: &Path, max: usize) -> Result<Option<Vec<u8>>, GitError> {
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        self.repository.file_at(self.commit, inside, max)
    }
}

/// A file that may be missing.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read_if_there(path: &Path, max: usize) -> Result<Option<Vec<u8>>, InputError> {
    match input::read(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a path is a directory.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}
