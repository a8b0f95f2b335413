//! Locks between processes: `flock` on files that are never removed.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::StateError;

/// A lock that is held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn shared(path: &Path) -> Result<Self, StateError> {
        let file = open(path)?;
        file.lock_shared().map_err(|source| StateError::io("lock", path, source))?;
        Ok(Self { _file: file })
    }

    pub(super) fn exclusive(path: &Path) -> Result<Self, StateError> {
        let file = open(path)?;
        file.lock().map_err(|source| StateError::io("lock", path, source))?;
        Ok(Self { _file: file })
    }

    pub(super) fn try_exclusive(path: &Path) -> Result<Option<Self>, StateError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StateError::io("lock", path, source)),
        }
    }
}

/// How long what a killed process leaves behind may hold on to its locks: a
/// process that it had just started has copies of them until the kernel has
/// killed that one too.
const LINGER: Duration = Duration::from_secs(2);

/// How often to look whether a lock is free.
const LOOK: Duration = Duration::from_millis(10);

/// Tries until it succeeds, or for as long as a killed process may linger.
pub(super) fn outwait<T>(
    mut attempt: impl FnMut() -> Result<Option<T>, StateError>,
) -> Result<Option<T>, StateError> {
    let began = Instant::now();
    loop {
        match attempt()? {
            Some(done) => return Ok(Some(done)),
            None if began.elapsed() >= LINGER => return Ok(None),
            None => std::thread::sleep(LOOK),
        }
    }
}

fn open(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| StateError::io("open the lock file", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_holders_keep_the_exclusive_one_out() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let one = Lock::shared(&path).unwrap();
        let two = Lock::shared(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop((one, two));
        let alone = Lock::try_exclusive(&path).unwrap();
        assert!(alone.is_some());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
    }
}
