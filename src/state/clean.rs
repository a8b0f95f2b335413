//! Removing what earlier runs have left.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::atomic;
use super::error::StateError;
use super::lock::{Lock, outwait};
use super::objects::{last_used, recorded_size};
use super::remove::remove_tree;
use super::{IN_USE, prepare, runs};

/// What a state directory is kept to unless told otherwise: room for the
/// closure of a large build twice over, and little enough for a laptop.
pub const DEFAULT_MAX_SIZE: u64 = 20 << 30;

/// How often a run cleans up by itself before it begins: looking at every
/// object takes longer than a small build.
const CLEAN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an interrupted run may wait to be taken up again: over a weekend,
/// and not for ever, for nothing else limits what it holds.
const KEEP_RUNS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Its age is when the directory was last cleaned.
const STAMP: &str = "cleaned";

/// What to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanRequest {
    /// Remove everything, logs and kept builds too.
    pub all: bool,
    /// Keep at most this many bytes of objects, NARs and logs.
    pub max_size: u64,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// Names below the state directory, in the order they went.
    pub removed: Vec<String>,
    /// Bytes of objects, NARs and logs among them.
    pub freed: u64,
    /// Bytes of objects, NARs and logs that stay.
    pub kept: u64,
    /// Objects, NARs and logs that stay.
    pub kept_items: u64,
}

/// One thing that can go by itself.
struct Item {
    used: SystemTime,
    name: String,
    path: PathBuf,
    size: u64,
}

impl super::StateDir {
    /// Cleans the state directory `root`, which nobody may be using.
    ///
    /// Leftovers of runs that were killed always go, what such runs had
    /// finished after a while. Objects, NARs and logs go
    /// from the longest unused on, until the rest fits.
    ///
    /// # Errors
    /// A directory in use, or the first thing that cannot be removed.
    pub fn clean(root: &Path, request: CleanRequest) -> Result<CleanReport, StateError> {
        if root.symlink_metadata().is_err() {
            return Ok(CleanReport::default());
        }
        prepare(root)?;
        let lock = Lock::try_exclusive(&root.join("locks").join(IN_USE))?;
        let Some(_alone) = lock else {
            return Err(StateError::InUse { path: root.to_owned() });
        };
        let mut report = CleanReport::default();
        let mut leftovers = vec!["builds", "downloads"];
        if request.all {
            leftovers.push("failed");
        }
        for room in leftovers {
            for item in list(root, room)? {
                take(&item, request, &mut report)?;
            }
        }
        let now = SystemTime::now();
        for item in list(root, runs::ROOM)? {
            let age = now.duration_since(item.used).unwrap_or_default();
            if request.all || age > KEEP_RUNS {
                take(&item, request, &mut report)?;
            }
        }
        let mut items = objects(root)?;
        for room in ["logs", "nars"] {
            items.extend(list(root, room)?);
        }
        for mirror in list(root, "git")? {
            items.push(Item { size: size_of(&mirror.path), ..mirror });
        }
        items.sort_by(|a, b| a.used.cmp(&b.used).then_with(|| a.name.cmp(&b.name)));
        let mut total: u64 = items.iter().map(|item| item.size).fold(0, u64::saturating_add);
        let room = if request.all { 0 } else { request.max_size };
        for item in items {
            if request.all || total > room {
                total = total.saturating_sub(item.size);
                report.freed = report.freed.saturating_add(item.size);
                take(&item, request, &mut report)?;
                let by_path = item.name.starts_with("objects/") && !request.dry_run;
                if let Some(parent) = item.path.parent().filter(|_| by_path) {
                    // The directory of a store path goes with its last object.
                    let _ = std::fs::remove_dir(parent);
                }
            } else {
                report.kept_items += 1;
            }
        }
        report.kept = total;
        // An entry right below 'objects' may have taken the room with it.
        prepare(root)?;
        if !request.dry_run {
            stamp(root)?;
        }
        Ok(report)
    }
}

/// Frees the directory of what was half-done when runs were killed, if nobody
/// else is using it; once in a while also keeps it to [`DEFAULT_MAX_SIZE`].
pub(super) fn before_a_run(root: &Path) -> Result<(), StateError> {
    leftovers(root)?;
    now_and_then(root)
}

/// Nothing in these rooms outlives the process that made it. What cannot be
/// removed as whoever we are now waits for `verify clean`.
fn leftovers(root: &Path) -> Result<(), StateError> {
    let attempt = || Lock::try_exclusive(&root.join("locks").join(IN_USE));
    let alone = match attempt()? {
        None if runs::interrupted(root) => outwait(attempt)?,
        alone => alone,
    };
    let Some(_alone) = alone else { return Ok(()) };
    for room in ["builds", "downloads"] {
        for item in list(root, room)? {
            let _ = remove_tree(&item.path);
        }
    }
    Ok(())
}

fn now_and_then(root: &Path) -> Result<(), StateError> {
    let age = std::fs::metadata(root.join(STAMP))
        .and_then(|found| found.modified())
        .ok()
        .map(|then| SystemTime::now().duration_since(then).unwrap_or(Duration::MAX));
    let request = CleanRequest { all: false, max_size: DEFAULT_MAX_SIZE, dry_run: false };
    match age {
        Some(age) if age < CLEAN_EVERY => Ok(()),
        None => stamp(root),
        Some(_) => match super::StateDir::clean(root, request) {
            Ok(_) | Err(StateError::InUse { .. }) => Ok(()),
            Err(error) => Err(error),
        },
    }
}

fn stamp(root: &Path) -> Result<(), StateError> {
    let path = root.join(STAMP);
    atomic::write(&path, b"").map_err(|source| StateError::io("write", &path, source))
}

fn take(item: &Item, request: CleanRequest, report: &mut CleanReport) -> Result<(), StateError> {
    if !request.dry_run {
        remove_tree(&item.path).map_err(|source| StateError::io("remove", &item.path, source))?;
    }
    report.removed.push(item.name.clone());
    Ok(())
}

/// What lies in a room.
fn list(root: &Path, room: &str) -> Result<Vec<Item>, StateError> {
    let directory = root.join(room);
    let failed = |source| StateError::io("list", &directory, source);
    let mut items = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        items.push(Item {
            used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            name: format!("{room}/{}", entry.file_name().to_string_lossy()),
            path: entry.path(),
            size: if metadata.is_file() { metadata.len() } else { 0 },
        });
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

/// Bytes of the files below a directory; of git's directories none lies deeper.
pub fn size_of(directory: &Path) -> u64 {
    /// `objects/pack` and `objects/<xx>`.
    const DEPTH: usize = 4;
    let mut todo = vec![(directory.to_owned(), 0)];
    let mut size = 0_u64;
    while let Some((directory, depth)) = todo.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && depth < DEPTH {
                todo.push((entry.path(), depth + 1));
            } else if metadata.is_file() {
                size = size.saturating_add(metadata.len());
            }
        }
    }
    size
}

/// All objects. What has no record is as old as can be.
fn objects(root: &Path) -> Result<Vec<Item>, StateError> {
    let mut items = Vec::new();
    for by_path in list(root, "objects")? {
        let listed = list(root, &by_path.name);
        let Ok(objects) = listed else {
            items.push(Item { used: SystemTime::UNIX_EPOCH, ..by_path });
            continue;
        };
        if objects.is_empty() {
            items.push(Item { used: SystemTime::UNIX_EPOCH, ..by_path });
        }
        for object in objects {
            items.push(Item {
                used: last_used(&object.path).unwrap_or(SystemTime::UNIX_EPOCH),
                size: recorded_size(&object.path).unwrap_or(0),
                ..object
            });
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    const REQUEST: CleanRequest = CleanRequest { all: false, max_size: 12, dry_run: false };

    #[test]
    fn the_oldest_goes_first_and_leftovers_always() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let state = StateDir::open(root).unwrap();
        for (age, text) in ["0123456789", "abcdefghij", "ABCDEFGHIJ"].iter().enumerate() {
            let blob = state.nars().put(&mut text.as_bytes()).unwrap();
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * age as u64);
            std::fs::File::open(&blob.path).unwrap().set_modified(when).unwrap();
        }
        let build = state.build_dir().unwrap();
        std::fs::create_dir(build.path().join("x")).unwrap();
        std::mem::forget(build);
        assert!(matches!(StateDir::clean(root, REQUEST), Err(StateError::InUse { .. })));
        drop(state);
        let would = StateDir::clean(root, CleanRequest { dry_run: true, ..REQUEST }).unwrap();
        let did = StateDir::clean(root, REQUEST).unwrap();
        assert_eq!(would, did);
        assert_eq!((did.removed.len(), did.freed, did.kept, did.kept_items), (3, 20, 10, 1));
        let left: Vec<_> = std::fs::read_dir(root.join("nars")).unwrap().collect();
        assert_eq!(std::fs::read(left[0].as_ref().unwrap().path()).unwrap(), b"ABCDEFGHIJ");
        let all = StateDir::clean(root, CleanRequest { all: true, ..REQUEST }).unwrap();
        assert_eq!((all.kept, all.kept_items, all.freed), (0, 0, 10));
        assert_eq!(StateDir::clean(&root.join("none"), REQUEST).unwrap(), CleanReport::default());
    }

    #[test]
    fn a_run_clears_what_was_half_done_and_cleans_up_once_a_day() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        drop(StateDir::open(root).unwrap());
        let left = root.join("builds/left");
        let other = Lock::shared(&root.join("locks").join(IN_USE)).unwrap();
        std::fs::create_dir(&left).unwrap();
        drop(StateDir::open(root).unwrap());
        assert!(left.exists(), "somebody else may be building there");
        drop(other);
        drop(StateDir::open(root).unwrap());
        assert!(!left.exists());

        let (kept, gone) = (root.join("runs/kept"), root.join("runs/gone"));
        for run in [&kept, &gone] {
            std::fs::create_dir(run).unwrap();
        }
        let ages_ago = SystemTime::now() - KEEP_RUNS - Duration::from_secs(60);
        std::fs::File::open(&gone).unwrap().set_modified(ages_ago).unwrap();
        drop(StateDir::open(root).unwrap());
        assert!(gone.exists());
        let yesterday = SystemTime::now() - CLEAN_EVERY;
        std::fs::File::open(root.join(STAMP)).unwrap().set_modified(yesterday).unwrap();
        drop(StateDir::open(root).unwrap());
        assert!(kept.exists() && !gone.exists());
        let stamped = root.join(STAMP).metadata().unwrap().modified().unwrap();
        assert!(stamped > yesterday);
        StateDir::clean(root, CleanRequest { all: true, ..REQUEST }).unwrap();
        assert!(!kept.exists());
    }
}
