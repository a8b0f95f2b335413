//! Reading an SQLite database without leaving a trace beside it.
//!
//! Opened "read only", SQLite still creates the `-wal` and `-shm` files of a
//! database in WAL mode where it may, and a last reader tidies them away. A
//! store under audit is not to be touched, so the way in depends on what
//! lies there ([WAL, section 5](https://sqlite.org/wal.html#read_only_databases)):
//!
//! | database | `-wal` | `-shm` | opened |
//! |---|---|---|---|
//! | rollback journal | | | read only: locks, no files |
//! | WAL | missing or empty | missing | as immutable: nobody has it open |
//! | WAL | missing | there | as immutable |
//! | WAL | there | there | read only, with the index read only too |
//! | WAL | not empty | missing | a private copy: the log holds commits, but nobody has it open |
//!
//! An immutable database is watched, and opened anew if someone begins to use
//! it after all. Where the read-only index is not enough (nobody has read
//! since the last commit, so that there is no mark to hold on to), a private
//! copy is made as well, of files that stood still meanwhile.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::TempDir;

/// How long to wait for a writer to let go.
const BUSY: Duration = Duration::from_secs(10);

/// How often a database that changes while it is read is opened anew.
const ATTEMPTS: u32 = 5;

/// How long two changes of a file may show the same time: file times come
/// from a clock that ticks a hundred times a second at the least.
const CLOCK_TICK: Duration = Duration::from_millis(50);

/// Offset of the two bytes that tell WAL mode from rollback
/// journals (<https://sqlite.org/fileformat.html>, section 1.3).
const VERSIONS_AT: usize = 18;

/// How an SQLite file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Why the database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The database, or a file beside it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something that is no file, such as a fifo, which would keep a reader
    /// waiting for ever.
    #[error("{} is not a regular file (expected one of the files of an SQLite database)", .0.display())]
    NotFile(PathBuf),
    /// Not an SQLite database.
    #[error("{} is not an SQLite database", .0.display())]
    NotDatabase(PathBuf),
    /// What SQLite said.
    #[error("{}: {source}{}", .path.display(), advice(.source))]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It changed under every attempt.
    #[error("{} changed while it was read, {ATTEMPTS} times in a row (try again)", .0.display())]
    Changing(PathBuf),
}

fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            " (a writer died, or its files cannot be read; let Nix open the store once, or read it as the user it belongs to)"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            " (someone has locked it; try again)"
        }
        _ => "",
    }
}

/// A database, open in one of the ways above.
pub struct Database {
    path: PathBuf,
    connection: Connection,
    /// What the files looked like, if nobody but us keeps others away.
    watched: Option<Stamp>,
    /// The private copy, for as long as it is open.
    copy: Option<TempDir>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<Mark>; 2]);

/// One file's device, inode, length and time.
type Mark = (u64, u64, u64, i64, i64);

impl Database {
    /// Opens a database.
    ///
    /// # Errors
    /// When it cannot be read without writing.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let (wal, shm) = (beside(path, "-wal"), beside(path, "-shm"));
        let stamp = Stamp::of(path, &wal)?;
        let wal_length = length(&wal)?;
        if !is_wal(path)? {
            Self::connect(path, path, "mode=ro", None, None)
        } else if wal_length.is_some() && length(&shm)?.is_some() {
            let database = Self::connect(path, path, "mode=ro&readonly_shm=1", None, None)?;
            match database.connection.query_row(
                "select count(*) from sqlite_master",
                [],
                |_| Ok(()),
            ) {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
                    drop(database);
                    Self::open_copy(path)
                }
                _ => Ok(database),
            }
        } else if wal_length.unwrap_or_default() == 0 {
            Self::connect(path, path, "mode=ro&immutable=1", Some(stamp), None)
        } else {
            Self::open_copy(path)
        }
    }

    fn open_copy(path: &Path) -> Result<Self, DatabaseError> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(CLOCK_TICK);
            }
            if let Some((directory, file)) = copy_of(path, &beside(path, "-wal"))? {
                return Self::connect(path, &file, "mode=rw", None, Some(directory));
            }
        }
        Err(DatabaseError::Changing(path.to_owned()))
    }

    fn connect(
        path: &Path,
        file: &Path,
        parameters: &str,
        watched: Option<Stamp>,
        copy: Option<TempDir>,
    ) -> Result<Self, DatabaseError> {
        let failed = |source| DatabaseError::Sqlite { path: path.to_owned(), source };
        let access = if copy.is_some() {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        } else {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        };
        let flags = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX | access;
        let connection =
            Connection::open_with_flags(uri(file, parameters), flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        ] {
            connection.set_db_config(setting, on).map_err(failed)?;
        }
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection, watched, copy })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `query`, again if the files changed meanwhile.
    ///
    /// # Errors
    /// What SQLite says, or that the files do not stand still.
    pub fn read<T>(
        &mut self,
        query: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let result = query(&self.connection);
            let stale = match (&self.watched, &result) {
                (Some(watched), _) => {
                    *watched != Stamp::of(&self.path, &beside(&self.path, "-wal"))?
                }
                // The read-only index was enough a moment ago.
                (None, Err(error)) => {
                    self.copy.is_none()
                        && error.sqlite_extended_error_code()
                            == Some(rusqlite::ffi::SQLITE_READONLY_CANTLOCK)
                }
                (None, Ok(_)) => false,
            };
            if !stale {
                return result
                    .map_err(|source| DatabaseError::Sqlite { path: self.path.clone(), source });
            }
            *self = Self::open(&self.path)?;
        }
        Err(DatabaseError::Changing(self.path.clone()))
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn metadata(path: &Path) -> Result<Option<Metadata>, DatabaseError> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(DatabaseError::NotFile(path.to_owned())),
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DatabaseError::Io { path: path.to_owned(), source }),
    }
}

fn length(path: &Path) -> Result<Option<u64>, DatabaseError> {
    Ok(metadata(path)?.map(|found| found.len()))
}

impl Stamp {
    fn of(database: &Path, wal: &Path) -> Result<Self, DatabaseError> {
        let mark = |path: &Path| -> Result<Option<Mark>, DatabaseError> {
            Ok(metadata(path)?.map(|found| {
                (found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec())
            }))
        };
        Ok(Self([mark(database)?, mark(wal)?]))
    }
}

impl Stamp {
    /// Whether a file changed so lately that another change might not show.
    fn is_fresh(&self) -> bool {
        let limit = SystemTime::now().checked_sub(CLOCK_TICK);
        let since = limit.and_then(|limit| limit.duration_since(SystemTime::UNIX_EPOCH).ok());
        let Some(since) = since else { return true };
        let since = (since.as_secs(), i64::from(since.subsec_nanos()));
        self.0.iter().flatten().any(|(_, _, _, seconds, nanoseconds)| {
            (u64::try_from(*seconds).unwrap_or_default(), *nanoseconds) > since
        })
    }
}

fn is_wal(path: &Path) -> Result<bool, DatabaseError> {
    let failed = |source| DatabaseError::Io { path: path.to_owned(), source };
    let mut header = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(100).read_to_end(&mut header).map_err(failed)?;
    if !header.starts_with(MAGIC) {
        return Err(DatabaseError::NotDatabase(path.to_owned()));
    }
    let versions = header.get(VERSIONS_AT..VERSIONS_AT.saturating_add(2));
    Ok(versions.is_some_and(|versions| versions.contains(&2)))
}

/// Copies a database and its log where SQLite may write beside them; `None`
/// if they changed meanwhile.
fn copy_of(path: &Path, wal: &Path) -> Result<Option<(TempDir, PathBuf)>, DatabaseError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DatabaseError::Io { path, source }
    };
    let before = Stamp::of(path, wal)?;
    if before.is_fresh() {
        return Ok(None);
    }
    let directory = tempfile::tempdir().map_err(failed(&std::env::temp_dir()))?;
    let file = directory.path().join("db.sqlite");
    std::fs::copy(path, &file).map_err(failed(path))?;
    if length(wal)?.is_some() {
        std::fs::copy(wal, beside(&file, "-wal")).map_err(failed(wal))?;
    }
    Ok((Stamp::of(path, wal)? == before).then_some((directory, file)))
}

/// A `file:` URI, in which every byte that could mean something else is
/// encoded.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
