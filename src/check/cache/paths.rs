//! Store paths by number, so that a hundred thousand of them with all their
//! references fit into little memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::nix::store_path::StorePath;

/// A store path of a [`PathTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(u32);

/// Every store path that a run has met, each once.
#[derive(Debug, Clone, Default)]
pub struct PathTable {
    paths: Vec<Arc<StorePath>>,
    ids: HashMap<Arc<StorePath>, PathId>,
}

impl PathTable {
    /// The number of `path`, which it gets now if it has none.
    ///
    /// Numbers depend on the order in which paths are met, which may differ
    /// from run to run: nothing in a report is ordered by them.
    pub fn intern(&mut self, path: &StorePath) -> PathId {
        if let Some(id) = self.ids.get(path) {
            return *id;
        }
        // Four thousand million paths do not fit into memory.
        let id = PathId(u32::try_from(self.paths.len()).unwrap_or(u32::MAX));
        let shared = Arc::new(path.clone());
        self.paths.push(Arc::clone(&shared));
        self.ids.insert(shared, id);
        id
    }

    /// The number of `path`, if it was met.
    #[must_use]
    pub fn find(&self, path: &StorePath) -> Option<PathId> {
        self.ids.get(path).copied()
    }

    /// The path with a number of this table.
    #[must_use]
    pub fn path(&self, id: PathId) -> Option<&StorePath> {
        usize::try_from(id.0).ok().and_then(|index| self.paths.get(index)).map(Arc::as_ref)
    }

    /// The paths with these numbers, sorted as Nix sorts.
    #[must_use]
    pub fn sorted(&self, ids: &[PathId]) -> Vec<&StorePath> {
        let mut paths: Vec<&StorePath> = ids.iter().filter_map(|id| self.path(*id)).collect();
        paths.sort();
        paths
    }

    /// The numbers of `paths`, sorted by number, each once: sets that are equal
    /// are equal lists.
    pub fn set<'a>(&mut self, paths: impl IntoIterator<Item = &'a StorePath>) -> Box<[PathId]> {
        let mut ids: Vec<PathId> = paths.into_iter().map(|path| self.intern(path)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_boxed_slice()
    }

    /// How many paths there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(seed: u8) -> StorePath {
        StorePath::new([seed; 20], "x").unwrap()
    }

    #[test]
    fn each_path_has_one_number() {
        let mut table = PathTable::default();
        let (b, a) = (table.intern(&path(2)), table.intern(&path(1)));
        assert_eq!(table.intern(&path(2)), b);
        assert_eq!((table.len(), table.find(&path(1)), table.find(&path(3))), (2, Some(a), None));
        assert_eq!(table.sorted(&[b, a]), [&path(1), &path(2)]);
        assert_eq!(table.set([&path(1), &path(2), &path(1)]), table.set([&path(2), &path(1)]));
    }
}
