//! Files written whole: a temporary beside the target, synced, renamed, and
//! the directory synced. A reader sees the old file or the new one.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Links followed from a name the user gave; the kernel's own bound.
const MAX_LINKS: usize = 40;

/// Writes a private file (0600) whole.
///
/// # Errors
/// What the system refused; the target is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, Permissions::from_mode(0o600), false)
}

/// Writes a file the user named: with ordinary permissions, through links to
/// the file behind them. What is no regular file (a terminal, a pipe,
/// `/dev/null`) is written to, not replaced.
///
/// # Errors
/// What the system refused; a regular target is then as it was.
pub fn write_output(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = behind_links(path)?;
    match std::fs::metadata(&target) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let mut file = File::options().write(true).open(&target)?;
            file.write_all(bytes)?;
            file.flush()
        }
        Ok(found) => replace(&target, bytes, found.permissions(), true),
        // The temporary is made with 0666 and loses what the umask takes.
        Err(_) => replace(&target, bytes, Permissions::from_mode(0o666), false),
    }
}

/// The name behind symbolic links, which need not exist.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&target) {
            Ok(next) => target = parent(&target).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn replace(path: &Path, bytes: &[u8], mode: Permissions, exact: bool) -> io::Result<()> {
    let directory = parent(path);
    let mut file = tempfile::Builder::new().permissions(mode.clone()).tempfile_in(directory)?;
    file.write_all(bytes)?;
    if exact {
        file.as_file().set_permissions(mode)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_goes_where_it_was_sent() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().join("real");
        let link = place.path().join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_output(&link, b"one").unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), b"one");
        assert!(link.is_symlink());
        std::fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        write_output(&link, b"two").unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), b"two");
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "no temporary is left");

        write_output(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
        assert!(write_output(place.path(), b"x").is_err());
        assert!(write_output(&place.path().join("missing/file"), b"x").is_err());

        std::os::unix::fs::symlink("loop", place.path().join("loop")).unwrap();
        assert!(write_output(&place.path().join("loop"), b"x").is_err());
    }
}
