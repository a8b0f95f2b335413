//! Fresh copies of canonicalised trees, out of reach of anyone who may still
//! hold a handle to the originals.

use std::ffi::CStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use rustix::fs::{self, FileType, Mode, Stat};

use super::handles;
use super::rejection::{Rejection, Stop};
use crate::build::BuildError;
use crate::nix::nar::MAX_DEPTH;

/// Permission bits of a store object.
const SEALED: u32 = 0o555;

/// Bytes copied between two looks at the clock.
const CHUNK: u64 = 16 << 20;

/// Copies the object `name` of one directory to `new_name` of another. The
/// original has been canonicalised; only file contents may have changed since.
///
/// # Errors
/// [`Stop::Rejected`] if it holds what no store object may hold after all, or
/// takes longer than until `deadline`.
pub fn copy(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    deadline: Option<Instant>,
) -> Result<(), Stop> {
    copy_entry(from, name, to, new_name, 0, deadline)
}

fn copy_entry(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    depth: usize,
    deadline: Option<Instant>,
) -> Result<(), Stop> {
    if depth >= MAX_DEPTH {
        return Err(Rejection::TooDeep { path: handles::text(name) }.into());
    }
    let stat = handles::look(from, name)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => copy_file(from, name, &stat, to, new_name, deadline)?,
        FileType::Symlink => handles::link(to, new_name, &handles::target(from, name)?)?,
        FileType::Directory => {
            let source = handles::enter(from, name)?;
            fs::mkdirat(to, new_name, Mode::RWXU)
                .map_err(BuildError::path("create", handles::text(new_name)))?;
            let copy = handles::enter(to, new_name)?;
            handles::each_entry(source.as_fd(), |child, _| {
                copy_entry(source.as_fd(), child, copy.as_fd(), child, depth + 1, deadline)
            })?;
            handles::seal(&copy, stat.st_mode & SEALED)?;
        }
        other => {
            let (path, found) = (handles::text(name), handles::describe(other));
            return Err(Rejection::UnsupportedType { path, found }.into());
        }
    }
    Ok(())
}

fn copy_file(
    from: BorrowedFd<'_>,
    name: &CStr,
    stat: &Stat,
    to: BorrowedFd<'_>,
    new_name: &CStr,
    deadline: Option<Instant>,
) -> Result<(), Stop> {
    let mut source = handles::open_file(from, name)?;
    let mut copy = handles::create(to, new_name)?;
    loop {
        let copied = io::copy(&mut source.by_ref().take(CHUNK), &mut copy);
        let failed =
            |source| BuildError::Path { action: "copy", path: handles::text(name).into(), source };
        if copied.map_err(failed)? == 0 {
            break;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::OutOfTime.into());
        }
    }
    Ok(handles::seal(&copy, stat.st_mode & SEALED)?)
}
