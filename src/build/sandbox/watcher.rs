//! Looking again and again at what a builder takes of the machine, where no
//! control group holds it.
//!
//! The supervisor is process 1 of a process namespace, so a `/proc` of its own
//! shows exactly the processes of the build. Every look is cheap while the
//! machine as a whole is far from the limit: nobody can have more than all
//! have together.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::build::limits::{Breach, Memory, kibibytes, number};

use super::plan::Guard;

/// Between two looks. A builder that takes a gigabyte in that time is stopped
/// a gigabyte late.
const PERIOD: Duration = Duration::from_millis(100);

/// Between two parts of one reading of the disk.
const PAUSE: Duration = Duration::from_millis(5);

/// Entries looked at in one part: some milliseconds.
const ENTRIES_AT_ONCE: usize = 4000;

/// Between two readings of the disk, at least.
const DISK_PERIOD: Duration = Duration::from_secs(1);

/// How much longer than the reading the time until the next one is.
const DISK_REST: u32 = 10;

/// Bytes of a file in `/proc` that are read; what is looked for stands within.
const FILE_BYTES: usize = 8192;

/// The machine keeps this part of its memory and disk, for everybody else.
const RESERVE_PARTS: u64 = 50;
/// But not more than this.
const MOST_RESERVE: u64 = 256 << 20;
/// Files that can still be made on the disk.
const RESERVE_FILES: u64 = 1000;

/// Watches over one build.
#[derive(Debug)]
pub struct Watcher<'p> {
    guard: &'p Guard,
    /// `/proc` as the supervisor's process namespace sees it; opened at the
    /// first look: most builds are over by then.
    proc: Option<OwnedFd>,
    disk: Disk,
}

impl<'p> Watcher<'p> {
    /// Starts watching. Nothing is looked at yet.
    #[must_use]
    pub fn new(guard: &'p Guard) -> Self {
        Self { guard, proc: None, disk: Disk::default() }
    }

    /// How long to wait until the next look.
    #[must_use]
    pub const fn period(&self) -> Duration {
        if self.disk.reading.is_some() { PAUSE } else { PERIOD }
    }

    /// Looks, and answers which limit is reached.
    ///
    /// # Errors
    /// What cannot be looked at; then nothing holds the builder, and it must
    /// not go on.
    pub fn look(&mut self) -> Result<Option<Breach>, String> {
        if self.proc.is_none() {
            let proc = own_proc().map_err(|errno| {
                format!("cannot watch the builder: no /proc of its own: {errno}")
            })?;
            self.proc = Some(proc);
        }
        let Some(proc) = &self.proc else { return Ok(None) };
        let proc = proc.as_fd();
        if let Some(breach) = look_at_processes(proc, self.guard)? {
            return Ok(Some(breach));
        }
        self.disk
            .look(self.guard)
            .map_err(|errno| format!("cannot watch the disk of the builder: {errno}"))
    }
}

/// A `/proc` of this process's own process namespace, mounted nowhere.
fn own_proc() -> Result<OwnedFd, Errno> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    // The mount itself can only be named, not listed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(&mount, c".", flags, Mode::empty())
}

fn read(proc: BorrowedFd<'_>, path: &OsStr, buffer: &mut Vec<u8>) -> Result<(), Errno> {
    let file = rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    buffer.clear();
    let mut chunk = [0; FILE_BYTES];
    while buffer.len() < FILE_BYTES {
        match rustix::io::read(&file, &mut chunk)? {
            0 => break,
            length => buffer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
    Ok(())
}

fn look_at_processes(proc: BorrowedFd<'_>, guard: &Guard) -> Result<Option<Breach>, String> {
    let wrong = |what: &'static str| {
        move |errno: Errno| format!("cannot watch the builder: cannot read /proc/{what}: {errno}")
    };
    let mut text = Vec::new();
    read(proc, OsStr::new("loadavg"), &mut text).map_err(wrong("loadavg"))?;
    let tasks = all_tasks(&text).ok_or("cannot watch the builder: /proc/loadavg is odd")?;
    read(proc, OsStr::new("meminfo"), &mut text).map_err(wrong("meminfo"))?;
    let memory = Memory::parse(&text).ok_or("cannot watch the builder: /proc/meminfo is odd")?;
    if memory.available < (memory.total / RESERVE_PARTS).min(MOST_RESERVE) {
        return Ok(Some(Breach::MachineMemory));
    }
    let taken = memory.total.saturating_sub(memory.available).saturating_add(memory.swapped);
    let may_have_tasks = guard.watch_processes && tasks >= guard.processes;
    let may_have_memory = guard.memory.is_some_and(|limit| taken > limit);
    if !may_have_tasks && !may_have_memory {
        return Ok(None);
    }
    let census = Census::take(proc).map_err(wrong(""))?;
    if guard.watch_processes && census.tasks >= guard.processes {
        return Ok(Some(Breach::Processes));
    }
    // What processes share counts once; asking the kernel for that is dear.
    let beyond = |bytes| guard.memory.is_some_and(|limit| bytes > limit);
    Ok((beyond(census.memory) && beyond(census.shared_once(proc))).then_some(Breach::Memory))
}

/// All threads of the machine: `0.00 0.01 0.05 1/234 5678`.
fn all_tasks(loadavg: &[u8]) -> Option<u64> {
    let field = loadavg.split(|byte| *byte == b' ').nth(3)?;
    let all = field.split(|byte| *byte == b'/').nth(1)?;
    std::str::from_utf8(all).ok()?.parse().ok()
}

/// What the processes of a build have together.
#[derive(Debug, Default)]
struct Census {
    /// Processes and threads.
    tasks: u64,
    /// Their own memory in bytes, what they share counted for each.
    memory: u64,
    /// Their numbers, as bytes.
    processes: Vec<Vec<u8>>,
}

impl Census {
    /// Counts every process of the namespace but the supervisor.
    fn take(proc: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut census = Self::default();
        let mut text = Vec::new();
        for entry in Dir::read_from(proc)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"1" || !name.iter().all(u8::is_ascii_digit) {
                continue;
            }
            let status = [name, b"/status"].concat();
            // It may be gone by now.
            if read(proc, OsStr::from_bytes(&status), &mut text).is_err() {
                continue;
            }
            let bytes = |field: &[u8]| kibibytes(&text, field).unwrap_or(0);
            census.tasks += number(&text, b"Threads:").unwrap_or(1);
            census.memory += bytes(b"RssAnon:") + bytes(b"RssShmem:") + bytes(b"VmSwap:");
            census.processes.push(name.to_vec());
        }
        Ok(census)
    }

    /// The memory with shared parts counted once.
    fn shared_once(&self, proc: BorrowedFd<'_>) -> u64 {
        let mut text = Vec::new();
        let of = |process: &Vec<u8>, text: &mut Vec<u8>| {
            let path = [process.as_slice(), b"/smaps_rollup"].concat();
            if read(proc, OsStr::from_bytes(&path), text).is_err() {
                return 0;
            }
            let bytes = |field: &[u8]| kibibytes(text, field).unwrap_or(0);
            bytes(b"Pss_Anon:") + bytes(b"Pss_Shmem:") + bytes(b"SwapPss:")
        };
        self.processes.iter().map(|process| of(process, &mut text)).sum()
    }
}

/// What is known about the disk a builder fills.
#[derive(Debug, Default)]
struct Disk {
    /// Its directories, and what the disk must keep; opened at the first look.
    tops: Option<(Vec<OwnedFd>, u64)>,
    /// The reading that is going on, and when it began.
    reading: Option<(Reading, Instant)>,
    /// What the last reading found, and what the whole disk held then.
    last: u64,
    held_then: u64,
    /// When the next reading is due.
    next: Option<Instant>,
}

impl Disk {
    fn look(&mut self, guard: &Guard) -> Result<Option<Breach>, Errno> {
        let (tops, reserve) = match &mut self.tops {
            Some(tops) => tops,
            none => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let open = |path: &PathBuf| rustix::fs::open(path, flags, Mode::empty());
                let tops: Vec<OwnedFd> =
                    guard.watched.iter().map(open).collect::<Result<_, _>>()?;
                let disk = tops.first().and_then(|top| fstatvfs(top).ok());
                let reserve = disk.map_or(0, |disk| {
                    let all = disk.f_blocks.saturating_mul(disk.f_frsize) / RESERVE_PARTS;
                    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                    // A disk that is nearly full already keeps half of the rest.
                    all.min(MOST_RESERVE).min(free / 2)
                });
                none.insert((tops, reserve))
            }
        };
        let Some(first) = tops.first() else { return Ok(None) };
        let disk = fstatvfs(first)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let few_files = disk.f_files > RESERVE_FILES && disk.f_favail < RESERVE_FILES / 2;
        if free < *reserve || few_files {
            return Ok(Some(Breach::MachineDisk));
        }
        let Some(limit) = guard.disk else { return Ok(None) };
        let held = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize);
        let grown = held.saturating_sub(self.held_then);
        let due = self.next.is_none_or(|next| Instant::now() >= next);
        if self.reading.is_none() && (due || self.last.saturating_add(grown) > limit) {
            self.reading = Some((Reading::of(tops), Instant::now()));
            self.held_then = held;
        }
        let Some((reading, began)) = self.reading.as_mut() else { return Ok(None) };
        let ended = reading.go_on(tops, guard.uid);
        let bytes = reading.bytes;
        if ended {
            let rest = began.elapsed().saturating_mul(DISK_REST).max(DISK_PERIOD);
            self.next = Instant::now().checked_add(rest);
            self.last = bytes;
            self.reading = None;
        }
        Ok((bytes > limit).then_some(Breach::Disk))
    }
}

/// One reading of what lies in some directories. Nothing is followed, and no
/// more is open than one directory.
#[derive(Debug)]
struct Reading {
    /// Directories to be read: the index of the top, and the path from there.
    open: Vec<(usize, PathBuf)>,
    /// The one being read.
    current: Option<(usize, PathBuf, OwnedFd, Dir)>,
    /// Files with several names that have been counted.
    linked: HashSet<(u64, u64)>,
    /// Bytes on disk so far.
    bytes: u64,
}

impl Reading {
    fn of(tops: &[OwnedFd]) -> Self {
        let open = (0..tops.len()).map(|top| (top, PathBuf::from("."))).collect();
        Self { open, current: None, linked: HashSet::new(), bytes: 0 }
    }

    /// Reads the next part; true at the end.
    fn go_on(&mut self, tops: &[OwnedFd], uid: Option<u32>) -> bool {
        for _ in 0..ENTRIES_AT_ONCE {
            if self.current.is_none() {
                let Some((top, path)) = self.open.pop() else { return true };
                self.current =
                    enter(tops, top, &path).map(|(handle, dir)| (top, path, handle, dir));
            }
            let Some((top, path, handle, dir)) = &mut self.current else { continue };
            let Some(Ok(entry)) = dir.read() else {
                self.current = None;
                continue;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&*handle, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.open.push((*top, path.join(OsStr::from_bytes(name.to_bytes()))));
            }
            // Inputs may be links to what is not the builder's.
            let counted = uid.is_none_or(|uid| stat.st_uid == uid)
                && (stat.st_nlink <= 1
                    || FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                    || self.linked.insert((stat.st_dev, stat.st_ino)));
            if counted {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                self.bytes = self.bytes.saturating_add(blocks.saturating_mul(512));
            }
        }
        false
    }
}

/// Opens a directory below one of the tops, through no link and no mount.
fn enter(tops: &[OwnedFd], top: usize, path: &std::path::Path) -> Option<(OwnedFd, Dir)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let top = tops.get(top).map_or(CWD, AsFd::as_fd);
    let handle = rustix::fs::openat2(top, path, flags, Mode::empty(), resolve).ok()?;
    let dir = Dir::read_from(&handle).ok()?;
    Some((handle, dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn all_tasks_are_found() {
        assert_eq!(all_tasks(b"0.00 0.01 0.05 1/234 5678\n"), Some(234));
        assert_eq!(all_tasks(b"0.00"), None);
    }

    #[test]
    fn a_reading_counts_each_file_once_and_follows_nothing() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("big"), vec![1; 4 << 20]).unwrap();
        let top = place.path().join("top");
        std::fs::create_dir_all(top.join("a/b/c")).unwrap();
        std::fs::write(top.join("a/b/c/file"), vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(top.join("a/b/c/file"), top.join("again")).unwrap();
        symlink(elsewhere.path(), top.join("out")).unwrap();
        let uid = top.metadata().unwrap().uid();
        let tops = vec![OwnedFd::from(std::fs::File::open(&top).unwrap())];
        let mut reading = Reading::of(&tops);
        while !reading.go_on(&tops, Some(uid)) {}
        assert!((1 << 20..2 << 20).contains(&reading.bytes), "{}", reading.bytes);
        let mut reading = Reading::of(&tops);
        while !reading.go_on(&tops, Some(uid + 1)) {}
        assert_eq!(reading.bytes, 0);
    }

    #[test]
    fn more_on_disk_than_allowed_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        let uid = place.path().metadata().unwrap().uid();
        let guard = Guard {
            watched: vec![place.path().to_owned()],
            disk: Some(1 << 20),
            uid: Some(uid),
            ..Guard::default()
        };
        let mut disk = Disk::default();
        let missing = Guard { watched: vec!["/missing".into()], ..Guard::default() };
        assert_eq!(Disk::default().look(&missing), Err(Errno::NOENT));
        assert_eq!(disk.look(&guard), Ok(None));
        std::fs::write(place.path().join("big"), vec![1; 4 << 20]).unwrap();
        std::fs::File::open(place.path().join("big")).unwrap().sync_all().unwrap();
        disk.next = None;
        assert_eq!(disk.look(&guard), Ok(Some(Breach::Disk)));
    }
}
