//! Files that the user named: small ones to read, and what a name leads to.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::nix::store_path::{StoreDir, StorePath};

/// Largest such file; thousands of keys fit.
const MAX_TEXT: u64 = 4 << 20;

/// Links followed from a name; the kernel's own bound.
const MAX_LINKS: usize = 40;

/// Reads a small text file.
///
/// # Errors
/// A file that cannot be read, is longer than 4 MiB, or is no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_TEXT + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_TEXT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 4 MiB"));
    }
    Ok(text)
}

/// Whether a directory that the user named is there and can be listed.
///
/// # Errors
/// What the system says.
pub fn check_directory(path: &Path) -> io::Result<()> {
    std::fs::read_dir(path).map(drop)
}

/// A file, or the files that lie in a directory, hidden ones and directories
/// apart, by name.
///
/// # Errors
/// What the system says, or more than `most`.
pub fn plain_files(path: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && std::fs::metadata(entry.path())?.is_file() {
            files.push(entry.path());
        }
        if files.len() > most {
            let message = format!("it holds more than {most} files");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
    files.sort();
    Ok(files)
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A file, or anything else that is neither of the others.
    File,
    /// Through symbolic links, as Nix makes them for results, into the store.
    InStore(StorePath),
    /// A directory with a `flake.nix`.
    Flake,
    /// Another directory.
    Directory,
    /// Nothing.
    Nothing,
}

/// Looks at what a name leads to. Links are followed by what they say: the
/// store may be elsewhere on this machine than where it believes to be.
#[must_use]
pub fn look_at(path: &Path, store_dir: &StoreDir) -> Named {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = std::fs::read_link(&target) else { break };
        target = target.parent().unwrap_or(Path::new("/")).join(next);
        let below = target.strip_prefix(store_dir.as_str()).ok();
        let object = below.and_then(|below| below.iter().next()).and_then(|base| base.to_str());
        if let Some(object) = object.and_then(|object| object.parse().ok()) {
            return Named::InStore(object);
        }
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Named::File,
        Ok(_) if path.join("flake.nix").is_file() => Named::Flake,
        Ok(_) => Named::Directory,
        Err(_) => Named::Nothing,
    }
}
