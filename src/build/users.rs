//! Build users: ids that belong to one build at a time.
//!
//! As with Nix's `auto-allocate-uids`, no accounts are needed: root takes ids
//! from a range that nobody else uses, a user namespace of an ordinary user
//! takes them from its subordinate ids. A lock file per id in the state
//! directory keeps builds of several processes apart.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::sys::namespace::{IdRange, RootKind, group_ids, user_ids};

use super::outcome::BuildError;

/// The first id for root (`start-id` of `auto-allocate-uids`).
const FIRST_HOST_ID: u32 = 872_415_232;

/// Builds that one state directory can run at once.
const SLOTS: u32 = 256;

/// The ids of build users and the locks on them.
#[derive(Debug, Clone)]
pub struct BuildUsers {
    kind: RootKind,
    locks: PathBuf,
    first_uid: u32,
    first_gid: u32,
    slots: u32,
}

/// A build user that is ours until this is dropped.
#[derive(Debug)]
pub struct BuildUser {
    /// Its user id, in the namespace of this process.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
    /// Held for its lock; none where builder and owner are one.
    _lock: Option<File>,
}

impl BuildUsers {
    /// Finds out which ids there are. `locks` is an existing directory.
    ///
    /// # Errors
    /// An unreadable `/proc`.
    pub fn new(kind: RootKind, locks: &Path) -> Result<Self, BuildError> {
        let (first_uid, users) = ids(kind, &user_ids()?);
        let (first_gid, groups) = ids(kind, &group_ids()?);
        Ok(Self { kind, locks: locks.to_owned(), first_uid, first_gid, slots: users.min(groups) })
    }

    /// Takes a free build user, looking from `first` on, counted in quarters of
    /// all there are.
    ///
    /// # Errors
    /// None is free, or a lock file cannot be made.
    pub fn acquire(&self, first: u32) -> Result<BuildUser, BuildError> {
        if self.kind == RootKind::SingleId {
            return Ok(BuildUser { uid: 0, gid: 0, _lock: None });
        }
        let first = first.wrapping_mul(self.slots / 4);
        for slot in 0..self.slots {
            let slot = first.wrapping_add(slot) % self.slots;
            let path = self.locks.join(format!("build-user-{slot}"));
            let failed = |source| BuildError::Path { action: "lock", path: path.clone(), source };
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {
                    return Ok(BuildUser {
                        uid: self.first_uid + slot,
                        gid: self.first_gid + slot,
                        _lock: Some(file),
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(BuildError::Other(format!(
            "all {} build users are taken (wait for other builds, or give this run a state \
             directory of its own)",
            self.slots
        )))
    }
}

/// The first id for builders, and how many there are.
fn ids(kind: RootKind, map: &[IdRange]) -> (u32, u32) {
    let fits = |range: &&IdRange| {
        range.inside <= FIRST_HOST_ID
            && range.count.saturating_sub(FIRST_HOST_ID - range.inside) >= SLOTS
    };
    match kind {
        RootKind::SingleId => (0, 1),
        RootKind::HostRoot if map.iter().any(|range| fits(&range)) => (FIRST_HOST_ID, SLOTS),
        // A container or the subordinate ids: the highest ids of the highest
        // range, never the owner's own.
        RootKind::HostRoot | RootKind::SubIds => {
            let range = map.iter().max_by_key(|range| range.inside);
            range.map_or((0, 0), |range| {
                let first = range.inside.max(1);
                let end = range.inside.saturating_add(range.count);
                let slots = end.saturating_sub(first).min(SLOTS);
                (end.saturating_sub(slots), slots)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, count: u32) -> IdRange {
        IdRange { inside, outside: 0, count }
    }

    #[test]
    fn ids_lie_in_the_map_and_are_never_the_owner() {
        assert_eq!(ids(RootKind::HostRoot, &[range(0, u32::MAX)]), (FIRST_HOST_ID, SLOTS));
        assert_eq!(ids(RootKind::HostRoot, &[range(0, 65536)]), (65536 - SLOTS, SLOTS));
        assert_eq!(ids(RootKind::SubIds, &[range(0, 1), range(1, 65536)]), (65537 - SLOTS, SLOTS));
        assert_eq!(ids(RootKind::SubIds, &[range(0, 1), range(1, 3)]), (1, 3));
        assert_eq!(ids(RootKind::HostRoot, &[range(0, 3)]), (1, 2));
        assert_eq!(ids(RootKind::SingleId, &[range(0, 1)]), (0, 1));
        assert_eq!(ids(RootKind::HostRoot, &[]), (0, 0));
    }

    #[test]
    fn users_are_handed_out_once() {
        let place = tempfile::tempdir().unwrap();
        let users = BuildUsers {
            kind: RootKind::HostRoot,
            locks: place.path().to_owned(),
            first_uid: 100,
            first_gid: 200,
            slots: 2,
        };
        let one = users.acquire(0).unwrap();
        let two = users.acquire(0).unwrap();
        assert_eq!([(one.uid, one.gid), (two.uid, two.gid)], [(100, 200), (101, 201)]);
        assert!(users.acquire(0).is_err());
        drop(one);
        assert_eq!(users.acquire(0).unwrap().uid, 100);
        drop(two);
        let many = BuildUsers { slots: 8, ..users };
        assert_eq!([1, 3, 5].map(|first| many.acquire(first).unwrap().uid), [102, 106, 102]);
    }
}
