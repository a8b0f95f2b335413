//! Files by their content: logs and NARs.

use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::error::StateError;
use super::sync_dir;
use crate::nix::hash::{Hash, HashAlgorithm, Hasher};

/// Bytes moved at once.
const CHUNK: usize = 128 * 1024;

/// A room of files named after the SHA-256 of their content.
#[derive(Debug, Clone)]
pub struct Blobs {
    room: PathBuf,
    extension: &'static str,
}

/// A file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The SHA-256 of its content.
    pub hash: Hash,
    /// Its length.
    pub size: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl Blobs {
    pub(super) const fn new(room: PathBuf, extension: &'static str) -> Self {
        Self { room, extension }
    }

    /// The same room for files that end otherwise.
    #[must_use]
    pub fn with_extension(&self, extension: &'static str) -> Self {
        Self { room: self.room.clone(), extension }
    }

    /// Keeps what `content` yields.
    ///
    /// # Errors
    /// Content that cannot be read, a disk that cannot take it.
    pub fn put(&self, content: &mut dyn Read) -> Result<Blob, StateError> {
        let failed = |source| StateError::io("write a file in", &self.room, source);
        let mut file = tempfile::NamedTempFile::new_in(&self.room).map_err(failed)?;
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        let mut buffer = vec![0; CHUNK];
        let mut size = 0_u64;
        loop {
            let length = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(StateError::io("read what goes into", &self.room, source));
                }
            };
            let chunk = buffer.get(..length).unwrap_or_default();
            hasher.update(chunk);
            file.write_all(chunk).map_err(failed)?;
            size = size.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        self.settle(file, hasher.finish(), size)
    }

    /// Keeps a file that was written elsewhere in the state directory, such as
    /// a download or a running build's log.
    ///
    /// # Errors
    /// A file that cannot be read back or moved.
    pub fn adopt(&self, mut file: tempfile::NamedTempFile) -> Result<Blob, StateError> {
        let path = file.path().to_owned();
        file.as_file_mut()
            .seek(SeekFrom::Start(0))
            .map_err(|source| StateError::io("read", &path, source))?;
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        let mut buffer = vec![0; CHUNK];
        let mut size = 0_u64;
        loop {
            let length = match file.as_file_mut().read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(StateError::io("read", &path, source)),
            };
            hasher.update(buffer.get(..length).unwrap_or_default());
            size = size.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        self.settle(file, hasher.finish(), size)
    }

    fn settle(
        &self,
        file: tempfile::NamedTempFile,
        hash: Hash,
        size: u64,
    ) -> Result<Blob, StateError> {
        let path = self.path(&hash);
        file.as_file().sync_all().map_err(|source| StateError::io("sync", &path, source))?;
        file.persist(&path).map_err(|error| StateError::io("write", &path, error.error))?;
        sync_dir(&self.room)?;
        Ok(Blob { hash, size, path })
    }

    /// Whether the file of that name in the room still has the content that it
    /// is named after.
    #[must_use]
    pub fn is_sound(&self, name: &str) -> bool {
        let hashed = || {
            let mut file = std::fs::File::open(self.room.join(name)).ok()?;
            let mut hasher = Hasher::new(HashAlgorithm::Sha256);
            let mut buffer = vec![0; CHUNK];
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => return Some(hasher.finish()),
                    Ok(length) => hasher.update(buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => return None,
                }
            }
        };
        name.strip_suffix(self.extension)
            .and_then(|name| name.strip_suffix('.'))
            .is_some_and(|hash| hashed().is_some_and(|found| found.nix32() == hash))
    }

    /// Where the file of that SHA-256 is, or would be.
    #[must_use]
    pub fn path(&self, hash: &Hash) -> PathBuf {
        self.room.join(format!("{}.{}", hash.nix32(), self.extension))
    }

    /// The room itself.
    #[must_use]
    pub fn room(&self) -> &Path {
        &self.room
    }
}
