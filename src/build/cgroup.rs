//! Control groups of version 2: where one may be made, the kernel itself holds
//! a build to its processes and memory, and tells when it did.
//!
//! A group of our own is made beside the one we are in, below the same parent:
//! there the controllers are already handed down and no process stands in the
//! way (`Documentation/admin-guide/cgroup-v2.rst`, "no internal processes").
//! Root may do so everywhere, others below what systemd has delegated to them.
//! Each build gets two groups, one inside the other. The limits belong to the
//! outer one and the builder is in the inner one: even where builder and owner
//! are one user, it cannot see the files that hold its limits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::limits::{Breach, Limits, number};

/// What names of our groups begin with; the process and a number follow.
const PREFIX: &str = "verify-build-";

/// The inner group.
const INNER: &str = "builder";

/// How often a group is tried to be removed: a process that is ending keeps
/// it for a moment.
const ATTEMPTS: u32 = 50;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(2);

/// A place where groups can be made.
#[derive(Debug)]
pub struct Groups {
    parent: PathBuf,
    /// Whether memory can be limited too.
    memory: bool,
    made: AtomicU64,
}

impl Groups {
    /// Looks for a place; none where the system has no such groups, or we may
    /// not make any that limit processes.
    #[must_use]
    pub fn find() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find_in(&own_group(&mounts, &own)?)
    }

    fn find_in(own: &Path) -> Option<Self> {
        let parent = own.parent().filter(|parent| parent.join("cgroup.procs").exists());
        parent.into_iter().chain([own]).find_map(Self::at)
    }

    /// Tries a place by making a group and removing it.
    fn at(parent: &Path) -> Option<Self> {
        remove_leftovers(parent);
        let groups = Self { parent: parent.to_owned(), memory: false, made: AtomicU64::new(0) };
        let path = groups.new_path();
        fs::create_dir(&path).ok()?;
        if !path.join("pids.max").exists() {
            // Only the topmost group may have both processes and controllers.
            // One at a time, for one that is not there takes the other with it.
            for controller in ["+pids", "+memory"] {
                let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
            }
        }
        let has = |file: &str| path.join(file).exists();
        let (pids, memory) = (has("pids.max"), has("memory.max"));
        let removed = fs::remove_dir(&path).is_ok();
        (pids && removed).then_some(Self { memory, ..groups })
    }

    fn new_path(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.parent.join(format!("{PREFIX}{}-{number}", std::process::id()))
    }

    /// Whether memory is limited too.
    #[must_use]
    pub const fn limit_memory(&self) -> bool {
        self.memory
    }

    /// Makes the groups of one build.
    ///
    /// # Errors
    /// What the system says, with the file.
    pub fn make(&self, limits: &Limits) -> Result<Group, (PathBuf, io::Error)> {
        let group = Group { outer: self.new_path() };
        let at = |path: PathBuf| move |error| (path, error);
        fs::create_dir(&group.outer).map_err(at(group.outer.clone()))?;
        let write = |file: &str, text: String| {
            let path = group.outer.join(file);
            fs::write(&path, text).map_err(at(path))
        };
        write("pids.max", limits.max_processes.to_string())?;
        if let Some(bytes) = limits.max_memory.filter(|_| self.memory) {
            write("memory.max", bytes.to_string())?;
            // Older kernels lack these two. Without swap beyond it, the limit
            // is one on memory, not on how slow the machine becomes.
            let _ = write("memory.swap.max", "0".to_owned());
            let _ = write("memory.oom.group", "1".to_owned());
        }
        let inner = group.inner();
        fs::create_dir(&inner).map_err(at(inner))?;
        Ok(group)
    }
}

/// The groups of one build; gone when dropped, with every process in them.
#[derive(Debug)]
pub struct Group {
    outer: PathBuf,
}

impl Group {
    /// The group that the builder is to be put into.
    #[must_use]
    pub fn inner(&self) -> PathBuf {
        self.outer.join(INNER)
    }

    /// The limit that the kernel held the build to, if it had to.
    #[must_use]
    pub fn breach(&self) -> Option<Breach> {
        let count = |file: &str, event: &[u8]| {
            let text = fs::read(self.outer.join(file)).unwrap_or_default();
            number(&text, event).unwrap_or(0)
        };
        if count("pids.events", b"max ") > 0 {
            return Some(Breach::Processes);
        }
        (count("memory.events", b"oom_kill ") > 0).then_some(Breach::Memory)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Everything in it is dead already, but for what is still ending.
        let _ = fs::write(self.outer.join("cgroup.kill"), "1");
        for _ in 0..ATTEMPTS {
            let _ = fs::remove_dir(self.inner());
            if fs::remove_dir(&self.outer).is_ok() || !self.outer.exists() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Where our group is in the file system.
fn own_group(mounts: &str, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = place.split(' ').skip(3);
        let (root, target) = (fields.next()?, fields.next()?);
        // What is mounted may be a part of the hierarchy.
        let below = Path::new(own).strip_prefix(root).ok()?;
        let own = Path::new(target).join(below);
        (!below.starts_with("..")).then_some(own)
    })
}

/// Removes groups of runs that were killed. One that is in use cannot be
/// removed, and one whose maker lives is left alone.
fn remove_leftovers(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let maker = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        let dead = maker.is_some_and(|maker| !Path::new("/proc").join(maker.to_string()).exists());
        if dead {
            let _ = fs::remove_dir(entry.path().join(INNER));
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_group_is_found() {
        let mounts = "24 1 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
        let hybrid = "30 24 0:25 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
            31 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let part = "24 1 0:22 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        let group = |mounts, own| own_group(mounts, own);
        assert_eq!(group(mounts, "0::/a/b.scope\n"), Some("/sys/fs/cgroup/a/b.scope".into()));
        assert_eq!(group(hybrid, "8:pids:/\n0::/x\n"), Some("/sys/fs/cgroup/unified/x".into()));
        assert_eq!(group(part, "0::/docker/x/y\n"), Some("/sys/fs/cgroup/y".into()));
        assert_eq!(group(part, "0::/other\n"), None);
        assert_eq!(group(mounts, "8:pids:/\n"), None);
        assert_eq!(group("", "0::/\n"), None);
    }

    #[test]
    fn a_plain_directory_is_no_place_for_groups() {
        let place = tempfile::tempdir().unwrap();
        assert!(Groups::find_in(&place.path().join("own")).is_none());
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn only_groups_of_dead_runs_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let live = place.path().join(format!("{PREFIX}{}-0", std::process::id()));
        // No process has a number that high.
        let dead = place.path().join(format!("{PREFIX}4294967295-0"));
        let other = place.path().join("system.slice");
        for path in [&live, &dead.join(INNER), &other] {
            fs::create_dir_all(path).unwrap();
        }
        remove_leftovers(place.path());
        assert_eq!([live.exists(), dead.exists(), other.exists()], [true, false, true]);
    }
}
