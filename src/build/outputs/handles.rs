//! Reaching files of hostile trees: from one directory handle to the next,
//! never through a symbolic link, never by a path that someone could bend.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    self, AtFlags, FileType, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;

use crate::build::BuildError;

/// Seconds after the epoch that every store object claims to be from
/// (`mtimeStore`).
const STORE_MTIME: i64 = 1;

/// The times of a store object; the time of access is left alone.
pub const STORE_TIMES: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: STORE_MTIME, tv_nsec: 0 },
};

/// Bytes of directory entries read at a time.
const DIRECTORY_BUFFER: usize = 8192;

/// Whether the modification time is a store object's already.
pub const fn has_store_mtime(stat: &Stat) -> bool {
    stat.st_mtime == STORE_MTIME && stat.st_mtime_nsec == 0
}

/// A name made safe to print.
pub fn text(name: &CStr) -> String {
    name.to_bytes().escape_ascii().to_string()
}

/// A path made safe to print.
pub fn shown<'a>(parts: impl IntoIterator<Item = &'a CStr>) -> String {
    parts.into_iter().map(text).collect::<Vec<_>>().join("/")
}

/// A name as the system takes it.
///
/// # Errors
/// A name with a NUL byte.
pub fn name(name: &str) -> Result<CString, BuildError> {
    CString::new(name)
        .map_err(|_| BuildError::Job(format!("'{}' holds a NUL byte", name.escape_debug())))
}

/// A path to `name` in `parent` for the few calls that take no handle. Only
/// its last part is hostile, and the calls it is meant for do not follow it.
pub fn path_through(parent: BorrowedFd<'_>, name: &CStr) -> CString {
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    CString::new(path).unwrap_or_default()
}

/// Opens a directory of ours by its path.
///
/// # Errors
/// What the system says.
pub fn open_directory(path: &Path) -> Result<OwnedFd, BuildError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map_err(BuildError::path("open", path))
}

/// Opens the directory `name` in `parent`, itself no symbolic link.
///
/// # Errors
/// What the system says.
pub fn enter(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, BuildError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty()).map_err(BuildError::path("open", text(name)))
}

/// Opens the regular file `name` in `parent` for reading, itself no symbolic
/// link.
///
/// # Errors
/// What the system says.
pub fn open_file(parent: BorrowedFd<'_>, name: &CStr) -> Result<File, BuildError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = fs::openat(parent, name, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(BuildError::path("open", text(name)))?;
    Ok(opened.into())
}

/// Looks at `name` in `parent` without following it.
///
/// # Errors
/// What the system says.
pub fn look(parent: BorrowedFd<'_>, name: &CStr) -> Result<Stat, BuildError> {
    fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(BuildError::path("look at", text(name)))
}

/// Whether there is anything called `name` in `parent`.
///
/// # Errors
/// What the system says.
pub fn exists(parent: BorrowedFd<'_>, name: &CStr) -> Result<bool, BuildError> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(BuildError::path("look at", text(name))(error)),
    }
}

/// Calls `each` for every entry of an open directory, in no order, with its
/// type. `each` may change what an entry is, but not add or remove any.
///
/// # Errors
/// What the system says, or `each`.
pub fn each_entry<E: From<BuildError>>(
    directory: BorrowedFd<'_>,
    mut each: impl FnMut(&CStr, FileType) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = Vec::with_capacity(DIRECTORY_BUFFER);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = listing.next() {
        let entry = entry.map_err(BuildError::system("read a directory"))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(look(directory, name)?.st_mode),
            kind => kind,
        };
        each(name, kind)?;
    }
    Ok(())
}

/// All entries of an open directory with their types, in no order.
///
/// # Errors
/// What the system says.
pub fn entries(directory: BorrowedFd<'_>) -> Result<Vec<(CString, FileType)>, BuildError> {
    let mut entries = Vec::new();
    each_entry(directory, |name, kind| {
        entries.push((name.to_owned(), kind));
        Ok::<_, BuildError>(())
    })?;
    Ok(entries)
}

/// A new name in a directory that only we write to.
pub fn temporary_name() -> CString {
    CString::new(format!(".new-{:016x}", fastrand::u64(..))).unwrap_or_default()
}

/// Makes the new file `name` for writing.
///
/// # Errors
/// What the system says, also if there is anything of that name.
pub fn create(parent: BorrowedFd<'_>, name: &CStr) -> Result<File, BuildError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let made = fs::openat(parent, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
        .map_err(BuildError::path("create", text(name)))?;
    Ok(made.into())
}

/// Gives an open file or directory the mode and time of a store object.
///
/// # Errors
/// What the system says.
pub fn seal(opened: impl AsFd, mode: u32) -> Result<(), BuildError> {
    fs::fchmod(&opened, Mode::from_raw_mode(mode)).map_err(BuildError::system("change a mode"))?;
    fs::futimens(&opened, &STORE_TIMES).map_err(BuildError::system("set a time"))
}

/// Makes a symbolic link with the time of a store object.
///
/// # Errors
/// What the system says.
pub fn link(parent: BorrowedFd<'_>, name: &CStr, target: &CStr) -> Result<(), BuildError> {
    fs::symlinkat(target, parent, name).map_err(BuildError::path("create", text(name)))?;
    fs::utimensat(parent, name, &STORE_TIMES, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(BuildError::path("set the time of", text(name)))
}

/// Where a symbolic link points.
///
/// # Errors
/// What the system says.
pub fn target(parent: BorrowedFd<'_>, name: &CStr) -> Result<CString, BuildError> {
    fs::readlinkat(parent, name, Vec::new()).map_err(BuildError::path("read", text(name)))
}

/// Moves `name` over `new_name`, each in its directory.
///
/// # Errors
/// What the system says.
pub fn rename(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
) -> Result<(), BuildError> {
    fs::renameat(from, name, to, new_name).map_err(BuildError::path("move", text(name)))
}

/// Changes entries of a sealed directory: makes it writable for that time.
///
/// # Errors
/// What the system says, or `change`.
pub fn unlocked<E: From<BuildError>>(
    directory: BorrowedFd<'_>,
    change: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let stat = fs::fstat(directory).map_err(BuildError::system("look at a directory"))?;
    fs::fchmod(directory, Mode::RWXU).map_err(BuildError::system("change a mode"))?;
    change()?;
    seal(directory, stat.st_mode & 0o7777)?;
    Ok(())
}

/// A file type in words.
pub const fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a fifo",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "of an unknown type",
    }
}
