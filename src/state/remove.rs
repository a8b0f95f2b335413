//! Removing trees that a hostile builder may have made.
//!
//! Everything goes by directory handles and no link is followed. Directories
//! that deny access are opened up first. Depth costs nothing: a directory that
//! is not empty is moved up beside the top and taken from there, so neither
//! the stack nor the number of open files grows.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How a directory is opened: by itself, never through a link.
const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `path` and everything below it. What does not exist is removed.
///
/// # Errors
/// The first thing the system refused to remove.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("the path has no name"));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = match rustix::fs::open(parent, OPEN_DIR, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    remove_at(parent.as_fd(), name)
}

/// Removes the entry `name` of an open directory and everything below it.
///
/// # Errors
/// The first thing the system refused to remove.
pub fn remove_at(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(other) => return Err(other.into()),
    }
    let top = open_up(parent, name.as_bytes())?;
    let mut moved: u64 = 0;
    // Each pass empties every directory that lies directly below the top;
    // what they hold in turn lies there for the next pass.
    loop {
        let below = clear_files(&top)?;
        if below.is_empty() {
            break;
        }
        for directory in below {
            empty_into(&top, &directory, &mut moved)?;
        }
    }
    drop(top);
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Unlinks all that is no directory; the names of the directories that are left.
fn clear_files(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut below = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            _ => false,
        };
        if is_directory {
            below.push(name.to_owned());
        } else {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
        }
    }
    Ok(below)
}

/// Empties the directory `name` below `top`, its directories moved to `top`
/// under fresh names, and removes it.
fn empty_into(top: &OwnedFd, name: &CString, moved: &mut u64) -> io::Result<()> {
    let directory = match open_up(top.as_fd(), name.to_bytes()) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for inner in clear_files(&directory)? {
        match rustix::fs::unlinkat(&directory, &inner, AtFlags::REMOVEDIR) {
            Ok(()) => continue,
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS | Errno::PERM) => {}
            Err(other) => return Err(other.into()),
        }
        // Moving a directory changes its `..`, which takes the right to write it.
        drop(open_up(directory.as_fd(), inner.to_bytes())?);
        loop {
            *moved += 1;
            let fresh = format!("removing-{moved}");
            match rustix::fs::renameat_with(&directory, &inner, top, &fresh, RenameFlags::NOREPLACE)
            {
                Ok(()) => break,
                Err(Errno::EXIST) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
    drop(directory);
    rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Opens a directory for emptying, whatever its mode says.
fn open_up(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let name = OsStr::from_bytes(name);
    let handle = rustix::fs::openat(
        parent,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        // A handle opened with O_PATH cannot be chmodded itself; its name in
        // /proc stands for the very same directory.
        use std::os::fd::AsRawFd as _;
        let through = format!("/proc/self/fd/{}", handle.as_raw_fd());
        rustix::fs::chmod(through, Mode::RWXU)?;
    }
    Ok(rustix::fs::openat(&handle, ".", OPEN_DIR, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn locked_up_trees_go_and_links_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("keep"), b"x").unwrap();
        let top = place.path().join("top");
        std::fs::create_dir_all(top.join("a/b/c")).unwrap();
        std::fs::create_dir(top.join("removing-1")).unwrap();
        std::fs::write(top.join("a/b/c/file"), b"x").unwrap();
        std::os::unix::fs::symlink(&outside, top.join("a/b/link")).unwrap();
        std::os::unix::fs::symlink("missing", top.join("dangling")).unwrap();
        chmod(&top.join("a/b/c/file"), 0);
        for dir in ["a/b/c", "a/b", "a", ""] {
            chmod(&top.join(dir), if dir == "a" { 0o555 } else { 0 });
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert!(outside.join("keep").exists());
        remove_tree(&top).unwrap();
        std::os::unix::fs::symlink(&outside, &top).unwrap();
        remove_tree(&top).unwrap();
        assert!(outside.join("keep").exists());
        remove_tree(&outside.join("keep")).unwrap();
        assert!(!outside.join("keep").exists());
    }

    #[test]
    fn depth_costs_neither_stack_nor_handles() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let mut at = rustix::fs::open(&top, OPEN_DIR, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", OPEN_DIR, Mode::empty()).unwrap();
        }
        drop(at);
        std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || remove_tree(&top).map(|()| assert!(!top.exists())))
            .unwrap()
            .join()
            .unwrap()
            .unwrap();
    }
}
