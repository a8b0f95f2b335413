//! A file the user named, read from its beginning: a regular file, a pipe, a
//! device.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

/// Bytes that are looked at to tell what a file is.
const HEAD: usize = 4096;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} '{}'", path.display())]
pub struct InputError {
    /// What was being done.
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// An open file whose beginning was looked at.
#[derive(Debug)]
pub struct Input {
    path: PathBuf,
    head: Vec<u8>,
    rest: File,
}

impl Input {
    /// Opens a file and reads its beginning.
    ///
    /// # Errors
    /// A file that cannot be opened or read, such as a directory.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let failed = |doing| move |source| InputError { doing, path: path.to_owned(), source };
        let rest = File::open(path).map_err(failed("open"))?;
        let mut head = Vec::with_capacity(HEAD);
        let bound = u64::try_from(HEAD).unwrap_or(u64::MAX);
        Read::by_ref(&mut (&rest)).take(bound).read_to_end(&mut head).map_err(failed("read"))?;
        Ok(Self { path: path.to_owned(), head, rest })
    }

    /// The beginning: all of a short file.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The whole file as a stream.
    #[must_use]
    pub fn into_reader(self) -> impl Read {
        Cursor::new(self.head).chain(self.rest)
    }

    /// The whole file in memory, cut one byte behind `max` so that a parser
    /// with that bound sees that it is too long.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_up_to(self, max: usize) -> Result<Vec<u8>, InputError> {
        let path = self.path.clone();
        let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        self.into_reader().take(bound).read_to_end(&mut bytes).map_err(|source| InputError {
            doing: "read",
            path,
            source,
        })?;
        Ok(bytes)
    }
}

/// A whole file, cut one byte behind `max`; see [`Input::read_up_to`].
///
/// # Errors
/// A file that cannot be opened or read.
pub fn read(path: &Path, max: usize) -> Result<Vec<u8>, InputError> {
    Input::open(path)?.read_up_to(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_files_come_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        for length in [0, 1, HEAD - 1, HEAD, HEAD + 1, 3 * HEAD] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path, 10 * HEAD).unwrap(), bytes);
            assert_eq!(read(&path, 100).unwrap(), bytes[..length.min(101)]);
            let input = Input::open(&path).unwrap();
            assert_eq!(input.head(), &bytes[..length.min(HEAD)]);
            let mut all = Vec::new();
            input.into_reader().read_to_end(&mut all).unwrap();
            assert_eq!(all, bytes);
        }
        assert!(Input::open(place.path()).is_err());
        assert!(Input::open(&place.path().join("none")).is_err());
    }
}
