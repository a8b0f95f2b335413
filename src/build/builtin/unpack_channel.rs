//! `builtin:unpack-channel`: the one directory in the tarball of a channel,
//! under the channel's name.
//!
//! Follows `src/libstore/builtins/unpack-channel.cc` and
//! `src/libutil/tarfile.cc`. Nix reads whatever libarchive knows; this reads
//! tar, plain or compressed with xz, bzip2, gzip, zstd, lzip or lz4, and
//! refuses what would come out differently. The tarball is hostile: entries
//! are made by the handle of their directory, and nothing is written through
//! a symbolic link or above the output.

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use tar::EntryType;

use super::{BuiltinError, Environment, attribute, path_attribute};
use crate::build::outputs::handles;
use crate::gather::nar::compression;
use crate::nix::compression::Compression;
use crate::nix::nar::MAX_DEPTH;

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

/// What each kind of compressed file begins with.
const MAGICS: [(&[u8], Compression); 6] = [
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"BZh", Compression::Bzip2),
    (b"\x1f\x8b", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"LZIP", Compression::Lzip),
    (b"\x04\x22\x4d\x18", Compression::Lz4),
];

/// Unpacks `src` into `out` and names what was in it `channelName`.
///
/// # Errors
/// Missing or bad attributes, a tarball that is damaged or holds more than
/// one entry, what the system refuses.
pub fn unpack(environment: &Environment) -> Result<(), BuiltinError> {
    let out = path_attribute(environment, "out")?;
    let name = channel_name(attribute(environment, "channelName")?)?;
    let source = path_attribute(environment, "src")?;

    let made = DirBuilder::new().recursive(true).mode(0o777).create(out);
    made.map_err(BuiltinError::io("create", out))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(out, flags, Mode::empty())
        .map_err(|error| BuiltinError::io("open", out)(error.into()))?;
    let failed = |why: String| BuiltinError::Archive { path: source.to_path_buf(), why };
    unpack_tarball(source, root.as_fd()).map_err(|why| failed(why.to_string()))?;

    let entries = handles::entries(root.as_fd()).map_err(|error| failed(error.to_string()))?;
    let [(entry, _)] = entries.as_slice() else {
        let found = entries.len();
        return Err(failed(format!("it holds {found} entries (a channel's tarball has one)")));
    };
    fs::renameat(&root, entry, &root, &name)
        .map_err(|error| BuiltinError::io("rename what was in", source)(error.into()))
}

/// The channel's name: one component of a path.
fn channel_name(name: &[u8]) -> Result<CString, BuiltinError> {
    let single = !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/');
    CString::new(name).ok().filter(|_| single).ok_or_else(|| BuiltinError::Attribute {
        attribute: "channelName",
        why: format!("'{}' is not a single file name", name.escape_ascii()),
    })
}

/// Why a tarball cannot be unpacked. Paths are made safe to print.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive or a file could not be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system or a decoder said.
        source: io::Error,
    },
    /// The system refused an entry.
    #[error("cannot make '{path}': {source}")]
    Entry {
        /// The entry.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A path that leads out of the output.
    #[error("'{0}' leads upwards")]
    Upwards(String),
    /// A path that leads through something that is no directory.
    #[error("'{0}' leads through a symbolic link or a file")]
    Through(String),
    /// Directories nested too deeply.
    #[error("'{0}' lies deeper than {MAX_DEPTH} levels")]
    TooDeep(String),
    /// An entry that no store object can hold or that this cannot unpack.
    #[error("'{path}' is {what}, which cannot be unpacked")]
    Unsupported {
        /// The entry.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// The archive ends within a file.
    #[error("the archive ends within '{path}', after {found} of {size} bytes")]
    Truncated {
        /// The entry.
        path: String,
        /// Bytes there were.
        found: u64,
        /// Bytes there should be.
        size: u64,
    },
}

/// Unpacks a tarball, compressed or not, into a directory.
fn unpack_tarball(source: &Path, root: BorrowedFd<'_>) -> Result<(), UnpackError> {
    let failed = |doing| move |source| UnpackError::Io { doing, source };
    let file = File::open(source).map_err(failed("cannot open it"))?;
    let mut file = BufReader::with_capacity(BUFFER, file);
    let start = file.fill_buf().map_err(failed("cannot read it"))?;
    let compression = MAGICS
        .iter()
        .find(|(magic, _)| start.starts_with(magic))
        .map_or(Compression::None, |(_, compression)| *compression);
    let stream = compression::reader(compression, file).map_err(failed("cannot decompress it"))?;

    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(failed("it is no tar archive"))? {
        let mut entry = entry.map_err(failed("it is damaged"))?;
        unpack_entry(&mut entry, root)?;
    }
    Ok(())
}

fn unpack_entry(
    entry: &mut tar::Entry<'_, impl Read>,
    root: BorrowedFd<'_>,
) -> Result<(), UnpackError> {
    let path = entry.path_bytes().into_owned();
    let shown = path.escape_ascii().to_string();
    let unsupported = |what| Err(UnpackError::Unsupported { path: shown.clone(), what });
    if is_pax_sparse(entry)? {
        return unsupported("a sparse file in PAX notation");
    }
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() {
        return Ok(());
    }
    let parts = components(&path)?;
    let Some((name, parents)) = parts.split_last() else {
        return Ok(()); // The output itself, which is there.
    };
    let parent = descend(root, parents, true)?;
    let made = |result: Result<(), Errno>| {
        result.map_err(|error| UnpackError::Entry { path: shown.clone(), source: error.into() })
    };
    let directory = kind == EntryType::Directory || (is_file(kind) && path.ends_with(b"/"));
    if directory {
        return made(make_directory(parent.as_fd(), name));
    }
    let target = || {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        CString::new(target).map_err(|_| UnpackError::Unsupported {
            path: shown.clone(),
            what: "a link to a path with a NUL byte",
        })
    };
    match kind {
        EntryType::Symlink => {
            let target = target()?;
            made(make_room(parent.as_fd(), name))?;
            made(fs::symlinkat(&target, &parent, name))
        }
        EntryType::Link => {
            let target = target()?;
            let target = components(target.as_bytes())?;
            let Some((original, way)) = target.split_last() else {
                return unsupported("a hard link to nothing");
            };
            let directory = descend(root, way, false)?;
            made(make_room(parent.as_fd(), name))?;
            made(fs::linkat(&directory, original, &parent, name, AtFlags::empty()))
        }
        EntryType::Fifo | EntryType::Char | EntryType::Block => unsupported("a fifo or a device"),
        kind if is_file(kind) => {
            made(make_room(parent.as_fd(), name))?;
            make_file(entry, parent.as_fd(), name, &shown)
        }
        _ => unsupported("an entry of an unknown type"),
    }
}

/// Entries that only some programs write and whose meaning is their own:
/// parts of a volume, directory listings, access lists and the like.
const PECULIAR: &[u8] = b"ADEIMNSVX";

/// Whether an entry is a file, whatever the notation of its content. A type
/// that nobody knows is one.
fn is_file(kind: EntryType) -> bool {
    let known = kind.is_symlink() || kind.is_hard_link() || kind.is_dir() || kind.is_fifo();
    let device = kind.is_character_special() || kind.is_block_special();
    kind.is_gnu_sparse() || !(known || device || PECULIAR.contains(&kind.as_byte()))
}

/// Whether an entry's content is stored in pieces that only its PAX header
/// tells how to put together.
fn is_pax_sparse(entry: &mut tar::Entry<'_, impl Read>) -> Result<bool, UnpackError> {
    let failed = |source| UnpackError::Io { doing: "a PAX header is damaged", source };
    let Some(extensions) = entry.pax_extensions().map_err(failed)? else { return Ok(false) };
    for extension in extensions {
        if extension.map_err(failed)?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names a path goes through. A leading slash does not count: everything
/// lies below the output.
fn components(path: &[u8]) -> Result<Vec<CString>, UnpackError> {
    let mut names = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(UnpackError::Upwards(path.escape_ascii().to_string())),
            name => names.extend(CString::new(name)),
        }
    }
    if names.len() >= MAX_DEPTH {
        return Err(UnpackError::TooDeep(path.escape_ascii().to_string()));
    }
    Ok(names)
}

/// Opens the directory that `names` lead to, and makes what is missing.
fn descend(root: BorrowedFd<'_>, names: &[CString], make: bool) -> Result<OwnedFd, UnpackError> {
    let shown = || handles::shown(names.iter().map(CString::as_c_str));
    let failed = |source: io::Error| UnpackError::Entry { path: shown(), source };
    let mut directory = root.try_clone_to_owned().map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for name in names {
        directory = match fs::openat(&directory, name, flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::NOENT) if make => {
                fs::mkdirat(&directory, name, Mode::from_raw_mode(0o755))
                    .map_err(|error| failed(error.into()))?;
                fs::openat(&directory, name, flags, Mode::empty())
                    .map_err(|error| failed(error.into()))?
            }
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(UnpackError::Through(shown())),
            Err(error) => return Err(failed(error.into())),
        };
    }
    Ok(directory)
}

/// Makes a directory where there may be one already, or something else.
fn make_directory(parent: BorrowedFd<'_>, name: &CString) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o755);
    match fs::mkdirat(parent, name, mode) {
        Err(Errno::EXIST) => {
            let there = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if fs::FileType::from_raw_mode(there.st_mode) == fs::FileType::Directory {
                return Ok(());
            }
            fs::unlinkat(parent, name, AtFlags::empty())?;
            fs::mkdirat(parent, name, mode)
        }
        made => made,
    }
}

/// Removes what an earlier entry made under the same name; a directory only
/// if it is empty.
fn make_room(parent: BorrowedFd<'_>, name: &CString) -> Result<(), Errno> {
    match fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => fs::unlinkat(parent, name, AtFlags::REMOVEDIR),
        removed => removed,
    }
}

fn make_file(
    entry: &mut tar::Entry<'_, impl Read>,
    parent: BorrowedFd<'_>,
    name: &CString,
    shown: &str,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Entry { path: shown.to_owned(), source };
    let executable = entry.header().mode().map_err(failed)? & 0o100 != 0;
    let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let file = fs::openat(parent, name, flags | OFlags::CLOEXEC, mode)
        .map_err(|error| failed(error.into()))?;
    let size = entry.size();
    let found = io::copy(entry, &mut File::from(file)).map_err(failed)?;
    if found == size {
        return Ok(());
    }
    Err(UnpackError::Truncated { path: shown.to_owned(), found, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_output() {
        let names = |path: &str| {
            let found = components(path.as_bytes()).map_err(|error| error.to_string())?;
            Ok::<_, String>(found.iter().map(|name| handles::text(name)).collect::<Vec<_>>())
        };
        assert_eq!(names("/a//./b/").unwrap(), ["a", "b"]);
        assert_eq!(names("./").unwrap(), [""; 0]);
        assert_eq!(names("...").unwrap(), ["..."]);
        for upwards in ["..", "a/../b", "../a", "/.."] {
            assert!(names(upwards).unwrap_err().contains("upwards"), "{upwards}");
        }
        assert!(names(&"d/".repeat(MAX_DEPTH)).unwrap_err().contains("deeper"));
    }

    #[test]
    fn channels_have_simple_names() {
        for good in ["nixpkgs", "a b", "..."] {
            assert!(channel_name(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0b"] {
            assert!(channel_name(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
