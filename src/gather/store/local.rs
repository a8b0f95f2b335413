//! The local Nix store: what its database says, and where its objects are.
//!
//! Follows `src/libstore/local-store.cc` and `schema.sql` (schema 10, Nix 2.3
//! to today). What the database says is a claim like any other, and an
//! unsigned one. Nothing is ever written into the store, not even the files
//! that SQLite would leave beside a database it only reads: see
//! [`crate::gather::store::database`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{OptionalExtension as _, Row};

use crate::gather::store::database::{Database, DatabaseError};
use crate::nix::content_address::ContentAddress;
use crate::nix::hash::NarHash;
use crate::nix::path_info::PathInfo;
use crate::nix::signature::Signature;
use crate::nix::store_path::{StoreDir, StorePath};

/// Where the database is below the root of a store.
const DATABASE: &str = "nix/var/nix/db/db.sqlite";

/// Where the objects are below the root of a chroot store.
const OBJECTS: &str = "nix/store";

/// Most references read for one path; the largest known have a few thousand.
const MAX_REFERENCES: usize = 100_000;

/// Most derivations that are told of one output: several make the same one when
/// they differ only in how a fixed input is fetched.
const MAX_DERIVERS: usize = 100;

/// Why the local store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalStoreError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database lacks a table that every Nix since 2.3 has.
    #[error("{}: there is no table {table} (expected the database of Nix 2.3 or newer)", .database.display())]
    Schema {
        /// The database.
        database: PathBuf,
        /// The table.
        table: &'static str,
    },
    /// The directory with the objects.
    #[error("{}: {source}", .directory.display())]
    Objects {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A row that makes no sense.
    #[error("{}: path {path}: field {field}: {message}", .database.display())]
    Row {
        /// The database.
        database: PathBuf,
        /// The store path.
        path: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// What the database says about a valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPathInfo {
    /// Path, hash, size and references.
    pub info: PathInfo,
    /// The derivation it was made by.
    pub deriver: Option<StorePath>,
    /// Whether it was built here rather than fetched.
    pub ultimate: bool,
    /// Signatures that came with it or were made here.
    pub signatures: Vec<Signature>,
    /// Its content address.
    pub ca: Option<ContentAddress>,
}

/// A store on this machine, read only.
pub struct LocalStore {
    root: PathBuf,
    /// The directory with the objects themselves.
    objects: PathBuf,
    store_dir: StoreDir,
    database: Mutex<Database>,
}

impl fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStore").field("root", &self.root).finish_non_exhaustive()
    }
}

impl LocalStore {
    /// Opens the store of this machine, or the one below `root`
    /// (`nix --store local?root=ROOT`).
    ///
    /// # Errors
    /// When there is no database, or none that can be read without writing.
    pub fn open(root: Option<&Path>, store_dir: &StoreDir) -> Result<Self, LocalStoreError> {
        // Below a root, Nix keeps objects in one place whatever they are called.
        let objects = match root {
            Some(root) => root.join(OBJECTS),
            None => PathBuf::from(store_dir.as_str()),
        };
        let root = root.unwrap_or(Path::new("/"));
        let path = root.join(DATABASE);
        let mut database = Database::open(&path)?;
        for table in ["ValidPaths", "Refs"] {
            let found: Option<String> = database.read(|connection| {
                let sql = "select type from sqlite_master where name = ?1 and type = 'table'";
                connection.query_row(sql, [table], |row| row.get(0)).optional()
            })?;
            if found.is_none() {
                return Err(LocalStoreError::Schema { database: path, table });
            }
        }
        Ok(Self {
            root: root.to_owned(),
            objects,
            store_dir: store_dir.clone(),
            database: Mutex::new(database),
        })
    }

    /// The root of the store: `/`, or that of a chroot store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory with the objects.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.objects
    }

    /// Where the object is on this machine, if it is there.
    #[must_use]
    pub fn host_path(&self, path: &StorePath) -> PathBuf {
        self.objects.join(path.to_string())
    }

    /// Every path that the database has, as it is written there: the text of
    /// a row that is no store path comes back as an error in its place.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn paths(&self) -> Result<Vec<Result<StorePath, LocalStoreError>>, LocalStoreError> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = database.read(|connection| {
            let mut statement = connection.prepare("select path from ValidPaths")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<String>, _>>()
        })?;
        let file = database.path();
        Ok(rows
            .into_iter()
            .map(|text| {
                self.store_dir.parse(&text).map_err(|error| LocalStoreError::Row {
                    database: file.to_owned(),
                    path: text,
                    field: "path",
                    message: error.to_string(),
                })
            })
            .collect())
    }

    /// Every object in the store directory, registered or not; what has no
    /// name of a store path is none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn objects(&self) -> std::io::Result<Vec<StorePath>> {
        let mut objects = Vec::new();
        for entry in std::fs::read_dir(&self.objects)? {
            let name = entry?.file_name();
            objects.extend(name.to_str().and_then(|name| name.parse::<StorePath>().ok()));
        }
        objects.sort();
        Ok(objects)
    }

    /// Whether there is an object with that path, registered or not.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn has_object(&self, path: &StorePath) -> std::io::Result<bool> {
        match std::fs::symlink_metadata(self.host_path(path)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the database says about a path; `None` if it is not valid.
    ///
    /// # Errors
    /// When the database cannot be read or makes no sense.
    pub fn query(&self, path: &StorePath) -> Result<Option<LocalPathInfo>, LocalStoreError> {
        let full = self.store_dir.full(path);
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let found = database.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let sql = "select id, hash, narSize, deriver, ultimate, sigs, ca \
                       from ValidPaths where path = ?1";
            let row =
                transaction.prepare_cached(sql)?.query_row([&full], RawRow::read).optional()?;
            let Some(row) = row else { return Ok(None) };
            let sql = "select path from Refs join ValidPaths on reference = id where referrer = ?1";
            let references = transaction
                .prepare_cached(sql)?
                .query_map([row.id], |row| row.get(0))?
                .take(MAX_REFERENCES.saturating_add(1))
                .collect::<Result<Vec<String>, _>>()?;
            Ok(Some((row, references)))
        })?;
        let file = database.path().to_owned();
        drop(database);
        let Some((row, references)) = found else { return Ok(None) };
        let info = self.understand(path, row, references);
        info.map(Some).map_err(|(field, message)| LocalStoreError::Row {
            database: file,
            path: full,
            field,
            message,
        })
    }

    /// The derivations that are known to have made a path, or that would make
    /// it: what its record says, then what the derivations of the store say.
    ///
    /// # Errors
    /// When the database cannot be read or makes no sense.
    pub fn derivers(&self, path: &StorePath) -> Result<Vec<StorePath>, LocalStoreError> {
        let recorded = self.query(path)?.and_then(|known| known.deriver);
        let full = self.store_dir.full(path);
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let stated = database.read(|connection| {
            let sql = "select v.path from DerivationOutputs d join ValidPaths v on d.drv = v.id \
                       where d.path = ?1 order by v.path";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([&full], |row| row.get(0))?;
            rows.take(MAX_DERIVERS).collect::<Result<Vec<String>, _>>()
        })?;
        let mut derivers: Vec<StorePath> = recorded.into_iter().collect();
        for text in stated {
            let deriver = self.store_dir.parse(&text).map_err(|error| LocalStoreError::Row {
                database: database.path().to_owned(),
                path: full.clone(),
                field: "deriver",
                message: error.to_string(),
            })?;
            if !derivers.contains(&deriver) {
                derivers.push(deriver);
            }
        }
        Ok(derivers)
    }

    fn understand(
        &self,
        path: &StorePath,
        row: RawRow,
        references: Vec<String>,
    ) -> Result<LocalPathInfo, (&'static str, String)> {
        if references.len() > MAX_REFERENCES {
            return Err(("references", format!("more than {MAX_REFERENCES}")));
        }
        let parse = |field, text: &str| {
            self.store_dir.parse(text).map_err(|error| (field, error.to_string()))
        };
        let references = references
            .iter()
            .map(|text| parse("references", text))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let nar_hash = NarHash::parse(&row.hash).map_err(|error| ("hash", error.to_string()))?;
        let nar_size = row
            .nar_size
            .and_then(|size| u64::try_from(size).ok())
            .filter(|size| *size > 0)
            .ok_or_else(|| ("narSize", "missing or not positive".to_owned()))?;
        let deriver = row
            .deriver
            .filter(|text| !text.is_empty())
            .map(|text| parse("deriver", &text))
            .transpose()?;
        let signatures = row
            .signatures
            .as_deref()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(|text| text.parse::<Signature>().map_err(|error| ("sigs", error.to_string())))
            .collect::<Result<_, _>>()?;
        let ca = row
            .ca
            .filter(|text| !text.is_empty())
            .map(|text| text.parse::<ContentAddress>().map_err(|error| ("ca", error.to_string())))
            .transpose()?;
        let info = PathInfo { path: path.clone(), nar_hash, nar_size, references };
        Ok(LocalPathInfo { info, deriver, ultimate: row.ultimate, signatures, ca })
    }
}

/// A row of ValidPaths as it is.
struct RawRow {
    id: i64,
    hash: String,
    nar_size: Option<i64>,
    deriver: Option<String>,
    ultimate: bool,
    signatures: Option<String>,
    ca: Option<String>,
}

impl RawRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            hash: row.get(1)?,
            nar_size: row.get(2)?,
            deriver: row.get(3)?,
            ultimate: row.get::<_, Option<i64>>(4)?.unwrap_or_default() != 0,
            signatures: row.get(5)?,
            ca: row.get(6)?,
        })
    }
}
