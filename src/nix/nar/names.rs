//! What may be a name in a directory, and what a symlink's target.

use std::cmp::Ordering;

use super::error::{Excerpt, NameProblem, NarErrorKind};
use super::{MAX_NAME, MAX_TARGET};

/// Whether `name` may name an entry: 1 to [`MAX_NAME`] bytes, not `.` or
/// `..`, without `/` and NUL.
///
/// # Errors
/// The rule that is broken.
pub fn check_name(name: &[u8]) -> Result<(), NameProblem> {
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(NameProblem::Long);
    }
    if matches!(name, b"." | b"..") {
        return Err(NameProblem::Dots);
    }
    match name.iter().position(|&byte| byte == b'/' || byte == 0) {
        None => Ok(()),
        Some(at) if name.get(at) == Some(&b'/') => Err(NameProblem::Slash(at)),
        Some(at) => Err(NameProblem::Nul(at)),
    }
}

/// Whether `target` may be a symlink's target: 1 to [`MAX_TARGET`] bytes,
/// without NUL.
///
/// # Errors
/// The rule that is broken.
pub fn check_target(target: &[u8]) -> Result<(), NameProblem> {
    if target.is_empty() {
        return Err(NameProblem::Empty);
    }
    if target.len() > MAX_TARGET {
        return Err(NameProblem::Long);
    }
    match target.iter().position(|&byte| byte == 0) {
        None => Ok(()),
        Some(at) => Err(NameProblem::Nul(at)),
    }
}

/// The names met so far that still matter: the last one of each open
/// directory.
#[derive(Debug, Default)]
pub(super) struct OpenDirectories(Vec<Vec<u8>>);

impl OpenDirectories {
    /// How many directories are open.
    pub(super) const fn depth(&self) -> usize {
        self.0.len()
    }

    /// Opens a directory.
    pub(super) fn open(&mut self) {
        self.0.push(Vec::new());
    }

    /// Closes the innermost directory.
    pub(super) fn close(&mut self) {
        self.0.pop();
    }

    /// Takes the next name of the innermost directory.
    pub(super) fn enter(&mut self, name: &[u8]) -> Result<(), NarErrorKind> {
        check_name(name)
            .map_err(|problem| NarErrorKind::Name { name: Excerpt::of(name), problem })?;
        let Some(previous) = self.0.last_mut() else {
            return Ok(());
        };
        match name.cmp(previous) {
            Ordering::Greater => {
                previous.clear();
                previous.extend_from_slice(name);
                Ok(())
            }
            Ordering::Equal => Err(NarErrorKind::Duplicate(Excerpt::of(name))),
            Ordering::Less => Err(NarErrorKind::Unsorted {
                previous: Excerpt::of(previous),
                name: Excerpt::of(name),
            }),
        }
    }
}
