//! The files of a kind that lie in a directory, in the order of their names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most files that are listed: all advisories there are, several times over.
const MAX_FILES: usize = 2_000_000;

/// Deepest directory that is looked into.
const MAX_DEPTH: usize = 16;

/// A directory that cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be read.
    #[error("could not list '{}'", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is too much in it.
    #[error("'{}' holds more than {MAX_FILES} files or {MAX_DEPTH} levels", .0.display())]
    TooMuch(PathBuf),
}

/// The regular files below a directory whose names end in `.extension`. Links
/// are followed to files, never to directories.
///
/// # Errors
/// A directory that cannot be read, or holds too much.
pub fn below(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, ListError> {
    list(directory, extension, MAX_DEPTH)
}

/// The same, without what lies in directories of the directory.
///
/// # Errors
/// A directory that cannot be read, or holds too much.
pub fn inside(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, ListError> {
    list(directory, extension, 0)
}

fn list(directory: &Path, extension: &str, levels: usize) -> Result<Vec<PathBuf>, ListError> {
    let mut found = Vec::new();
    let mut todo = vec![(directory.to_owned(), 0_usize)];
    while let Some((path, depth)) = todo.pop() {
        let failed = |source| ListError::Read { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let inner = entry.path();
            if kind.is_dir() {
                if levels == 0 {
                    continue;
                }
                if depth >= levels {
                    return Err(ListError::TooMuch(directory.to_owned()));
                }
                todo.push((inner, depth + 1));
            } else if inner.extension().is_some_and(|one| one == extension) && inner.is_file() {
                found.push(inner);
            }
            if found.len() > MAX_FILES {
                return Err(ListError::TooMuch(directory.to_owned()));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_kind_are_found_in_order() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("b/c")).unwrap();
        for name in ["z.json", "a.json", "b/c/x.json", "b/y.txt"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        let names = |found: Vec<PathBuf>| -> Vec<String> {
            let inside = |path: &PathBuf| path.strip_prefix(place.path()).unwrap().to_owned();
            found.iter().map(|path| inside(path).display().to_string()).collect()
        };
        assert_eq!(names(below(place.path(), "json").unwrap()), ["a.json", "b/c/x.json", "z.json"]);
        assert_eq!(names(inside(place.path(), "json").unwrap()), ["a.json", "z.json"]);
        assert!(below(&place.path().join("none"), "json").is_err());
    }
}
