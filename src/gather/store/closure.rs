//! Everything a store object needs at run time, by the local store's database.

use std::collections::BTreeMap;
use std::path::Path;

use crate::gather::nar::tree::{TreeError, hash_tree};
use crate::gather::store::local::{LocalPathInfo, LocalStore, LocalStoreError};
use crate::nix::hash::NarHash;
use crate::nix::store_path::StorePath;

/// Most paths of one closure: a whole distribution.
pub const MAX_CLOSURE: usize = 1_000_000;

/// What the database says of a closure.
#[derive(Debug, Default)]
pub struct LocalClosure {
    /// What is registered.
    pub known: BTreeMap<StorePath, LocalPathInfo>,
    /// What is referred to and not registered.
    pub missing: Vec<StorePath>,
    /// What is registered and makes no sense, with what is wrong.
    pub bad: Vec<(StorePath, String)>,
    /// Whether there are more than [`MAX_CLOSURE`] and the rest was left out.
    pub cut: bool,
}

impl LocalClosure {
    /// Follows references from `root`.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn of(store: &LocalStore, root: &StorePath) -> Result<Self, LocalStoreError> {
        let mut closure = Self::default();
        let mut todo = vec![root.clone()];
        let mut seen = std::collections::BTreeSet::from([root.clone()]);
        while let Some(path) = todo.pop() {
            match store.query(&path) {
                Ok(Some(info)) => {
                    for reference in &info.info.references {
                        if seen.len() >= MAX_CLOSURE {
                            closure.cut = true;
                        } else if seen.insert(reference.clone()) {
                            todo.push(reference.clone());
                        }
                    }
                    closure.known.insert(path, info);
                }
                Ok(None) => closure.missing.push(path),
                Err(error @ LocalStoreError::Row { .. }) => {
                    closure.bad.push((path, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        closure.missing.sort();
        closure.bad.sort();
        Ok(closure)
    }
}

/// What an object really is: the hash and size of its NAR.
///
/// # Errors
/// An object that is not there or cannot be read.
pub fn content(store: &LocalStore, path: &StorePath) -> Result<(NarHash, u64), TreeError> {
    hash_tree(Path::new(&store.host_path(path)), &mut [])
}
