//! Files written whole: a temporary beside the target, synced, renamed, and
//! the directory synced. A reader sees the old file or the new one.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Links followed from a name the user gave; the kernel's own bound.
const MAX_LINKS: usize = 40;

/// What is gathered before it is written: large against the cost of a call to
/// the system, small against everything else.
const BUFFER: usize = 64 << 10;

/// Writes a private file (0600) whole.
///
/// # Errors
/// What the system refused; the target is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, Permissions::from_mode(0o600), false, |out| out.write_all(bytes))
}

/// Makes a directory the user named, with those above it, unless it is there.
///
/// # Errors
/// What the system refused.
pub fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Writes a file the user named: with ordinary permissions, through links to
/// the file behind them. What is no regular file (a terminal, a pipe,
/// `/dev/null`) is written to, not replaced.
///
/// # Errors
/// What the system refused; a regular target is then as it was.
pub fn write_output(path: &Path, bytes: &[u8]) -> io::Result<()> {
    produce_output(path, |out| out.write_all(bytes))
}

/// Like [`write_output`], for what is written while it is made. What
/// `produce` writes is gathered into large pieces.
///
/// # Errors
/// What the system refused, or `produce`; a regular target is then as it was,
/// and nothing is left beside it.
pub fn produce_output(
    path: &Path,
    produce: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let target = behind_links(path)?;
    match std::fs::metadata(&target) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            gathered(File::options().write(true).open(&target)?, produce)
        }
        Ok(found) => replace(&target, found.permissions(), true, produce),
        // The temporary is made with 0666 and loses what the umask takes.
        Err(_) => replace(&target, Permissions::from_mode(0o666), false, produce),
    }
}

/// Has `out` written to in large pieces, to the last byte.
///
/// # Errors
/// What `out` refused, or `produce`.
pub fn gathered(
    out: impl Write,
    produce: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, out);
    match produce(&mut out) {
        Ok(()) => out.flush(),
        // What is left of something that broke off is of no use to anybody.
        Err(error) => {
            drop(out.into_parts());
            Err(error)
        }
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

fn replace(
    path: &Path,
    mode: Permissions,
    exact: bool,
    produce: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let directory = parent(path);
    // Removed again unless it takes the target's place below.
    let file = tempfile::Builder::new().permissions(mode.clone()).tempfile_in(directory)?;
    gathered(file.as_file(), produce)?;
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

    /// A production that breaks off, before and behind what is gathered,
    /// leaves the target as it was and nothing beside it.
    #[test]
    fn half_a_production_is_nothing() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("report");
        let names = || std::fs::read_dir(place.path()).unwrap().count();
        for length in [1, BUFFER, 3 * BUFFER + 1] {
            let piece = vec![b'x'; length];
            let half = |out: &mut dyn Write| -> io::Result<()> {
                out.write_all(&piece)?;
                Err(io::ErrorKind::StorageFull.into())
            };
            let error = produce_output(&target, half).unwrap_err();
            assert_eq!((error.kind(), names()), (io::ErrorKind::StorageFull, 0), "{length}");

            std::fs::write(&target, "old").unwrap();
            // Until the last byte is there, readers see the old file.
            let whole = |out: &mut dyn Write| {
                out.write_all(&piece)?;
                assert_eq!(std::fs::read(&target).unwrap(), b"old");
                out.write_all(b"end")
            };
            assert!(produce_output(&target, half).is_err());
            assert_eq!((std::fs::read(&target).unwrap().as_slice(), names()), (&b"old"[..], 1));
            produce_output(&target, whole).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), [piece.as_slice(), b"end"].concat());
            assert_eq!(names(), 1);
            std::fs::remove_file(&target).unwrap();
        }
    }
}
