//! Store objects at hand: trees by store path and NAR hash.
//!
//! An object says only "these bytes have this NAR hash". Whether that hash is
//! the right one for the store path is decided anew in every run, from
//! signatures, never from the fact that the object is here.
//!
//! Trees are renamed into place whole, but not synced file by file: that would
//! cost more than fetching them again. An object is therefore hashed once more
//! by every run that uses it: what a crash, a failing disk or somebody's hand
//! made of it meanwhile is no object.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic;
use super::builds::BuildDir;
use super::error::StateError;
use super::remove::remove_tree;
use super::sync_dir;
use crate::nix::hash::NarHash;
use crate::nix::store_path::StorePath;

/// The record beside a tree.
const RECORD: &str = "record.json";

/// The tree itself: a file, a directory or a link.
const TREE: &str = "tree";

/// What is recorded with a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The store path it was got as.
    pub path: StorePath,
    /// The hash of its NAR, computed here.
    pub nar_hash: NarHash,
    /// The size of its NAR.
    pub nar_size: u64,
    /// The references it was got with.
    pub references: BTreeSet<StorePath>,
    /// Its content address, as Nix writes it, when it has one.
    pub content_address: Option<String>,
    /// Where it came from: a cache's URL, `built`, `fetched`.
    pub origin: String,
}

/// The record as it is on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    path: String,
    nar_hash: String,
    nar_size: u64,
    references: BTreeSet<String>,
    content_address: Option<String>,
    origin: String,
}

/// An object at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// What is recorded with it.
    pub info: ObjectInfo,
    /// Its tree.
    pub tree: PathBuf,
}

/// The room of objects.
#[derive(Debug, Clone)]
pub struct Objects {
    room: PathBuf,
}

/// A tree that is being made; removed when dropped.
#[derive(Debug)]
pub struct Staged {
    room: PathBuf,
    directory: BuildDir,
}

impl Objects {
    pub(super) const fn new(room: PathBuf) -> Self {
        Self { room }
    }

    /// The object of that store path and NAR hash, if it is at hand.
    ///
    /// `rehash` hashes a tree; an object that then differs is removed.
    ///
    /// # Errors
    /// A room that cannot be read, or what `rehash` says.
    pub fn lookup<E: From<StateError>>(
        &self,
        path: &StorePath,
        nar_hash: &NarHash,
        rehash: impl FnOnce(&Path) -> Result<NarHash, E>,
    ) -> Result<Option<StoredObject>, E> {
        let place = self.place(path, nar_hash);
        let file = place.join(RECORD);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::io("read", &file, source).into()),
        };
        let tree = place.join(TREE);
        let known = serde_json::from_slice::<Record>(&bytes)
            .ok()
            .and_then(|record| record.info())
            .filter(|info| info.path == *path && info.nar_hash == *nar_hash)
            .filter(|_| tree.symlink_metadata().is_ok());
        let Some(info) = known else {
            discard(&place)?;
            return Ok(None);
        };
        if rehash(&tree)? != *nar_hash {
            discard(&place)?;
            return Ok(None);
        }
        // The age of the record is when the object was last of use.
        let _ = std::fs::File::options()
            .append(true)
            .open(&file)
            .and_then(|record| record.set_modified(std::time::SystemTime::now()));
        Ok(Some(StoredObject { info, tree }))
    }

    /// The NAR hashes of the objects that are at hand for a store path. Whether
    /// any of them is the right one is for the caller to find out.
    #[must_use]
    pub fn hashes(&self, path: &StorePath) -> Vec<NarHash> {
        let entries = std::fs::read_dir(self.room.join(path.to_string())).into_iter().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names.iter().filter_map(|name| NarHash::parse(&format!("sha256:{name}")).ok()).collect()
    }

    /// A place to make a tree in.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn stage(&self) -> Result<Staged, StateError> {
        let root = self.room.parent().unwrap_or(&self.room);
        let directory = BuildDir::new(&root.join("builds"), &root.join("failed"))?;
        Ok(Staged { room: self.room.clone(), directory })
    }

    /// Takes over a tree that was made elsewhere in the state directory, such
    /// as a build's output. `info.nar_hash` must be the hash of that tree.
    ///
    /// # Errors
    /// A tree that cannot be moved.
    pub fn adopt(&self, tree: &Path, info: ObjectInfo) -> Result<StoredObject, StateError> {
        let staged = self.stage()?;
        std::fs::rename(tree, staged.tree())
            .map_err(|source| StateError::io("move", tree, source))?;
        staged.commit(info)
    }

    fn place(&self, path: &StorePath, nar_hash: &NarHash) -> PathBuf {
        self.room.join(path.to_string()).join(nar_hash.hash().nix32())
    }

    /// The room itself.
    #[must_use]
    pub fn room(&self) -> &Path {
        &self.room
    }
}

impl Staged {
    /// Where the tree is to be made; nothing is there yet.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.directory.path().join(TREE)
    }

    /// Moves the finished tree to its place. `info.nar_hash` must be the hash
    /// of that very tree. If another process was faster, its tree is used.
    ///
    /// # Errors
    /// A tree that cannot be moved.
    pub fn commit(self, info: ObjectInfo) -> Result<StoredObject, StateError> {
        let Self { room, mut directory } = self;
        let by_path = room.join(info.path.to_string());
        match std::fs::create_dir(&by_path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(StateError::io("make the directory", &by_path, error));
            }
            _ => {}
        }
        write_record(directory.path(), &info)?;
        let place = by_path.join(info.nar_hash.hash().nix32());
        match directory.move_to(&place) {
            Ok(()) => sync_dir(&by_path)?,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
                ) => {}
            Err(source) => return Err(StateError::io("move an object to", &place, source)),
        }
        Ok(StoredObject { info, tree: place.join(TREE) })
    }
}

fn write_record(place: &Path, info: &ObjectInfo) -> Result<(), StateError> {
    let file = place.join(RECORD);
    let record = Record {
        path: info.path.to_string(),
        nar_hash: info.nar_hash.to_string(),
        nar_size: info.nar_size,
        references: info.references.iter().map(ToString::to_string).collect(),
        content_address: info.content_address.clone(),
        origin: info.origin.clone(),
    };
    let bytes = serde_json::to_vec(&record)
        .map_err(|error| StateError::Damaged { path: file.clone(), problem: error.to_string() })?;
    atomic::write(&file, &bytes).map_err(|source| StateError::io("write", &file, source))
}

impl Record {
    fn info(&self) -> Option<ObjectInfo> {
        Some(ObjectInfo {
            path: self.path.parse().ok()?,
            nar_hash: NarHash::parse(&self.nar_hash).ok()?,
            nar_size: self.nar_size,
            references: self
                .references
                .iter()
                .map(|path| path.parse().ok())
                .collect::<Option<_>>()?,
            content_address: self.content_address.clone(),
            origin: self.origin.clone(),
        })
    }
}

/// The size of the NAR behind a record, for keeping to the size cap.
pub(super) fn recorded_size(place: &Path) -> Option<u64> {
    let bytes = std::fs::read(place.join(RECORD)).ok()?;
    serde_json::from_slice::<Record>(&bytes).ok().map(|record| record.nar_size)
}

/// When an object was last of use.
pub(super) fn last_used(place: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(place.join(RECORD)).and_then(|found| found.modified()).ok()
}

fn discard(place: &Path) -> Result<(), StateError> {
    remove_tree(place).map_err(|source| StateError::io("remove", place, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::hash::{Hash, HashAlgorithm};
    use crate::state::StateDir;

    fn info(content: &[u8]) -> ObjectInfo {
        let hash = Hash::of(HashAlgorithm::Sha256, content);
        ObjectInfo {
            path: "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt".parse().unwrap(),
            nar_hash: NarHash::from_sha256(&hash).unwrap(),
            nar_size: 3,
            references: BTreeSet::new(),
            content_address: None,
            origin: "built".to_owned(),
        }
    }

    fn never(_: &Path) -> Result<NarHash, StateError> {
        panic!("hashed without need")
    }

    fn is(hash: NarHash) -> impl Fn(&Path) -> Result<NarHash, StateError> {
        move |_| Ok(hash)
    }

    #[test]
    fn objects_come_back_under_their_hash_only() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDir::open(place.path()).unwrap();
        let objects = state.objects();
        let one = info(b"one");
        assert_eq!(objects.lookup(&one.path, &one.nar_hash, never).unwrap(), None);
        for content in [b"one", b"two", b"one"] {
            let staged = objects.stage().unwrap();
            std::fs::write(staged.tree(), content).unwrap();
            staged.commit(info(content)).unwrap();
        }
        let found = objects.lookup(&one.path, &one.nar_hash, is(one.nar_hash)).unwrap().unwrap();
        assert_eq!(found.info, one);
        assert_eq!(std::fs::read(&found.tree).unwrap(), b"one");
        let three = info(b"three");
        assert_eq!(objects.lookup(&three.path, &three.nar_hash, never).unwrap(), None);
        drop(objects.stage().unwrap());
        assert_eq!(std::fs::read_dir(place.path().join("builds")).unwrap().count(), 0);
    }

    #[test]
    fn what_has_another_hash_by_now_is_no_object() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDir::open(place.path()).unwrap();
        let objects = state.objects();
        let one = info(b"one");
        let staged = objects.stage().unwrap();
        std::fs::write(staged.tree(), b"one").unwrap();
        let tree = staged.commit(one.clone()).unwrap().tree;
        let other = info(b"other").nar_hash;
        assert_eq!(objects.lookup(&one.path, &one.nar_hash, is(other)).unwrap(), None);
        assert!(!tree.exists());
        assert_eq!(objects.lookup(&one.path, &one.nar_hash, never).unwrap(), None);
    }

    #[test]
    fn damaged_records_are_no_objects() {
        let place = tempfile::tempdir().unwrap();
        let state = StateDir::open(place.path()).unwrap();
        let objects = state.objects();
        let one = info(b"one");
        for damage in ["", "{}", "[", "{\"path\":1}"] {
            let staged = objects.stage().unwrap();
            std::fs::write(staged.tree(), b"one").unwrap();
            staged.commit(one.clone()).unwrap();
            let file = objects.place(&one.path, &one.nar_hash).join(RECORD);
            std::fs::write(&file, damage).unwrap();
            assert_eq!(objects.lookup(&one.path, &one.nar_hash, never).unwrap(), None, "{damage}");
        }
    }
}
