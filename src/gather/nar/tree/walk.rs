//! Lists directories in order and cuts what is in them into batches.
//!
//! Directories are listed in windows: as many of the smallest names as fit
//! into a budget, then those after them. The budget is shared by all open
//! directories, each taking at most half of what is left, so that even
//! directories of millions of entries within each other need little memory.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use super::TreeError;
use crate::nix::nar::{self, MAX_DEPTH};

/// Files and symlinks in one batch: enough to outweigh handing it over.
const MAX_LEAVES: usize = 64;

/// Bytes between contents in one batch.
const MAX_FRAMING: usize = 64 * 1024;

/// Directories that one batch holds open.
const MAX_DIRECTORIES: usize = 8;

/// Each window holds at least so many bytes of names, however deep it is.
const MIN_WINDOW: usize = 32 * 1024;

/// Bytes that a listed name takes beside its own.
const NAME_OVERHEAD: usize = size_of::<Listed>();

/// Bytes asked for in one call when listing.
const LISTING_BUFFER: usize = 32 * 1024;

/// An open directory.
pub(super) struct Directory {
    pub(super) fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// What errors call an entry.
    pub(super) fn shown(&self, name: &[u8]) -> PathBuf {
        if name == b"." { self.path.clone() } else { self.path.join(OsStr::from_bytes(name)) }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Symlink,
    Directory,
}

/// A file or symlink of a batch.
pub(super) struct Leaf {
    /// The bytes of the batch's framing that come before it end here.
    pub(super) framing_end: usize,
    pub(super) directory: Arc<Directory>,
    pub(super) name: Box<[u8]>,
    pub(super) kind: Kind,
}

/// A run of consecutive bytes of the NAR, still to be read.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) framing: Vec<u8>,
    pub(super) leaves: Vec<Leaf>,
    directories: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.leaves.len() >= MAX_LEAVES
            || self.framing.len() >= MAX_FRAMING
            || self.directories >= MAX_DIRECTORIES
    }

    fn push(&mut self, directory: &Arc<Directory>, name: &[u8], kind: Kind) {
        let same = self.leaves.last().is_some_and(|leaf| Arc::ptr_eq(&leaf.directory, directory));
        self.directories += usize::from(!same);
        let (framing_end, directory) = (self.framing.len(), Arc::clone(directory));
        self.leaves.push(Leaf { framing_end, directory, name: name.into(), kind });
    }
}

/// A directory being walked.
struct Level {
    directory: Arc<Directory>,
    names: Names,
    next: usize,
}

/// Walks a tree.
pub(super) struct Walker {
    levels: Vec<Level>,
    budget: usize,
    batch: Batch,
    done: bool,
}

impl Walker {
    /// Starts at the entry `name` of `dir`.
    pub(super) fn new(
        dir: BorrowedFd<'_>,
        name: &OsStr,
        shown: &Path,
        budget: usize,
    ) -> Result<Self, TreeError> {
        let mut batch = Batch::default();
        nar::begin_archive(&mut batch.framing);
        let mut walker = Self { levels: Vec::new(), budget, batch, done: false };
        let kind = kind_of(dir, name.as_bytes(), || shown.to_owned())?;
        if kind == Kind::Directory {
            let opened = open_directory(dir, name.as_bytes());
            walker.enter(opened, shown.to_owned())?;
        } else {
            let fd = dir
                .try_clone_to_owned()
                .map_err(|error| TreeError::io("open the directory of", shown.to_owned(), error))?;
            let path = shown.parent().unwrap_or(Path::new("")).to_owned();
            walker.batch.push(&Arc::new(Directory { fd, path }), name.as_bytes(), kind);
            walker.done = true;
        }
        Ok(walker)
    }

    /// Whether the last batch was given.
    pub(super) const fn is_done(&self) -> bool {
        self.done
    }

    /// The next batch, until there are no more.
    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, TreeError> {
        while !self.done && !self.batch.is_full() {
            self.step()?;
        }
        let batch = std::mem::take(&mut self.batch);
        Ok((!batch.framing.is_empty()).then_some(batch))
    }

    /// Takes the next entry, or leaves the innermost directory.
    fn step(&mut self) -> Result<(), TreeError> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else {
            self.done = true;
            return Ok(());
        };
        let Some((name, kind)) = level.names.at(level.next) else {
            return if level.names.more { self.next_window() } else { self.leave() };
        };
        level.next += 1;
        let directory = &level.directory;
        if depth >= MAX_DEPTH {
            return Err(TreeError::Depth(directory.shown(name)));
        }
        nar::begin_entry(&mut self.batch.framing, name);
        let kind = match kind {
            Some(kind) => kind,
            None => kind_of(directory.fd.as_fd(), name, || directory.shown(name))?,
        };
        if kind == Kind::Directory {
            let opened = open_directory(directory.fd.as_fd(), name);
            let path = directory.shown(name);
            return self.enter(opened, path);
        }
        self.batch.push(directory, name, kind);
        nar::end_entry(&mut self.batch.framing);
        Ok(())
    }

    /// Lists the names behind those that were taken.
    fn next_window(&mut self) -> Result<(), TreeError> {
        let Some(mut level) = self.levels.pop() else { return Ok(()) };
        let after = level.names.last().to_vec();
        level.names = Names::default();
        level.names = Names::list(&level.directory, Some(&after), self.window_budget())?;
        level.next = 0;
        self.levels.push(level);
        Ok(())
    }

    /// Half of what the open directories leave over.
    fn window_budget(&self) -> usize {
        let used = self.levels.iter().map(|level| level.names.footprint()).sum();
        (self.budget.saturating_sub(used) / 2).max(MIN_WINDOW.min(self.budget))
    }

    fn leave(&mut self) -> Result<(), TreeError> {
        nar::end_directory(&mut self.batch.framing);
        self.levels.pop();
        self.done = self.levels.is_empty();
        if !self.done {
            nar::end_entry(&mut self.batch.framing);
        }
        Ok(())
    }

    fn enter(&mut self, opened: Result<OwnedFd, Errno>, path: PathBuf) -> Result<(), TreeError> {
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(TreeError::Changed { path, what: "it is no directory any more" });
            }
            Err(error) => return Err(TreeError::io("open the directory", path, error)),
        };
        nar::begin_directory(&mut self.batch.framing);
        let directory = Arc::new(Directory { fd, path });
        let names = Names::list(&directory, None, self.window_budget())?;
        self.levels.push(Level { directory, names, next: 0 });
        Ok(())
    }
}

/// Opens a directory that is an entry of another, if it still is one.
fn open_directory(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::openat(dir, name, flags, Mode::empty()))
}

/// What an entry is, when its directory does not say.
fn kind_of(
    dir: BorrowedFd<'_>,
    name: &[u8],
    shown: impl FnOnce() -> PathBuf,
) -> Result<Kind, TreeError> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(error) => Err(TreeError::io("examine", shown(), error)),
        Ok(stat) => kind(FileType::from_raw_mode(stat.st_mode))
            .map_err(|found| TreeError::Type { path: shown(), found }),
    }
}

/// What a NAR calls a type of file, or the word for what it cannot hold.
fn kind(file_type: FileType) -> Result<Kind, &'static str> {
    match file_type {
        FileType::RegularFile => Ok(Kind::File),
        FileType::Directory => Ok(Kind::Directory),
        FileType::Symlink => Ok(Kind::Symlink),
        FileType::Fifo => Err("fifo"),
        FileType::Socket => Err("socket"),
        FileType::CharacterDevice => Err("character device"),
        FileType::BlockDevice => Err("block device"),
        FileType::Unknown => Err("file of unknown type"),
    }
}

/// One listed name.
#[derive(Clone, Copy)]
struct Listed {
    start: u32,
    length: u8,
    /// What the directory says it is, if it says so.
    kind: Option<Kind>,
}

/// The sorted names of one window of a directory.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    listed: Vec<Listed>,
    /// Whether there are names behind these.
    more: bool,
}

impl Names {
    /// Lists the smallest names behind `after`, as many as fit.
    fn list(directory: &Directory, after: Option<&[u8]>, budget: usize) -> Result<Self, TreeError> {
        let failed = |error: Errno| TreeError::io("list", directory.path.clone(), error);
        if after.is_some() {
            rustix::fs::seek(&directory.fd, SeekFrom::Start(0)).map_err(failed)?;
        }
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER];
        let mut entries = RawDir::new(&directory.fd, &mut buffer);
        let mut names = Self::default();
        // Names above this one are left to a later window.
        let mut limit: Option<Vec<u8>> = None;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            let outside = after.is_some_and(|after| name <= after)
                || limit.as_ref().is_some_and(|limit| name > limit.as_slice());
            if outside || matches!(name, b"." | b"..") {
                continue;
            }
            nar::check_name(name)
                .map_err(|problem| TreeError::Name { path: directory.shown(name), problem })?;
            names.push(name, kind(entry.file_type()).ok());
            if names.footprint() > budget && names.listed.len() > 1 {
                names.sort();
                names.keep_lower_half();
                limit = Some(names.last().to_vec());
            }
        }
        names.sort();
        let twice = names.listed.windows(2).find_map(|pair| match pair {
            [a, b] if names.text(a) == names.text(b) => Some(names.text(a)),
            _ => None,
        });
        if let Some(name) = twice {
            let path = directory.shown(name);
            return Err(TreeError::Changed { path, what: "it was listed twice" });
        }
        names.bytes.shrink_to_fit();
        names.listed.shrink_to_fit();
        Ok(names)
    }

    fn push(&mut self, name: &[u8], kind: Option<Kind>) {
        // Names are checked to have at most 255 bytes, windows to be small.
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.bytes.extend_from_slice(name);
        self.listed.push(Listed { start, length, kind });
    }

    fn text(&self, listed: &Listed) -> &[u8] {
        text(&self.bytes, listed)
    }

    fn at(&self, index: usize) -> Option<(&[u8], Option<Kind>)> {
        self.listed.get(index).map(|listed| (self.text(listed), listed.kind))
    }

    fn last(&self) -> &[u8] {
        self.listed.last().map(|listed| self.text(listed)).unwrap_or_default()
    }

    fn footprint(&self) -> usize {
        self.bytes.len() + self.listed.len() * NAME_OVERHEAD
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.listed.sort_unstable_by(|a, b| text(bytes, a).cmp(text(bytes, b)));
    }

    /// Forgets the upper half of the names, which are sorted.
    fn keep_lower_half(&mut self) {
        let kept = self.listed.len().div_ceil(2);
        let mut lower = Self { more: true, ..Self::default() };
        for listed in self.listed.iter().take(kept) {
            lower.push(self.text(listed), listed.kind);
        }
        *self = lower;
    }
}

fn text<'a>(bytes: &'a [u8], listed: &Listed) -> &'a [u8] {
    let start = usize::try_from(listed.start).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::from(listed.length));
    bytes.get(start..end).unwrap_or_default()
}
