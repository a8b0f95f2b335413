//! The hash that Nix gives to an unpacked tar archive, without unpacking it.
//!
//! Contents go to one file of ours, one after the other, and the tree is kept
//! in memory: no name in an archive is ever the name of a file here. Like Nix,
//! this passes over the one directory that archives of sources begin with.
//! What could come out differently under some Nix (a name that is there
//! twice, a path through a link, sparse files, devices) is refused rather than
//! guessed.
//!
//! Follows `src/libfetchers/tarball.cc` and `src/libutil/tarfile.cc`. Formats:
//! tar(5), pax in POSIX.1-2008.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};

use tar::EntryType;

use crate::nix::hash::{HashAlgorithm, Hasher, NarHash};
use crate::nix::nar::{Event, MAX_DEPTH, NarError, NarWriter};

/// Most entries; the largest public sources have some hundred thousand.
const MAX_ENTRIES: usize = 4_000_000;

/// Most bytes of names and link targets together.
const MAX_NAMES: usize = 512 << 20;

/// Most bytes of all files together: what a disk should bear.
const MAX_CONTENTS: u64 = 16 << 30;

/// Most bytes of a header's extension: a path, and what pax adds.
const MAX_EXTENSION: u64 = 1 << 20;

/// Bytes moved at once.
const CHUNK: usize = 64 << 10;

/// Why an archive has no hash.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be read to its end.
    #[error("the archive cannot be read: {0}")]
    Read(io::Error),
    /// Our own file.
    #[error("its contents cannot be kept: {0}")]
    Spool(io::Error),
    /// Something that is not taken, or not by every Nix alike.
    #[error("'{path}' in the archive {what}")]
    Unsupported {
        /// The entry, safe to show.
        path: String,
        /// What is the matter with it.
        what: &'static str,
    },
    /// More than is taken.
    #[error("the archive has more than {max} {what}")]
    TooLarge {
        /// The limit.
        max: u64,
        /// Of what.
        what: &'static str,
    },
    /// Nothing is in it.
    #[error("the archive holds nothing that could be unpacked")]
    Empty,
    /// The tree cannot be put into a NAR.
    #[error("its tree cannot be put into a NAR: {0}")]
    Nar(#[from] NarError),
}

/// One node of the tree.
#[derive(Debug)]
enum Node {
    Directory(BTreeMap<Vec<u8>, usize>),
    File { executable: bool, offset: u64, size: u64 },
    Symlink(Vec<u8>),
}

/// The tree as it grows; its first node is the root.
struct Tree<'f> {
    nodes: Vec<Node>,
    names: usize,
    spool: &'f mut File,
    used: u64,
}

/// The hash of what `stream`, a tar archive, unpacks to. `spool` takes the
/// contents meanwhile, from its begin on.
///
/// # Errors
/// See [`TarError`].
pub fn hash(stream: impl Read, spool: &mut File) -> Result<NarHash, TarError> {
    spool.set_len(0).and_then(|()| spool.seek(SeekFrom::Start(0))).map_err(TarError::Spool)?;
    let mut tree = Tree { nodes: vec![Node::Directory(BTreeMap::new())], names: 0, spool, used: 0 };
    let mut archive = tar::Archive::new(stream);
    let mut next = Extension::default();
    for entry in archive.entries().map_err(TarError::Read)?.raw(true) {
        let mut entry = entry.map_err(TarError::Read)?;
        if !next.take(&mut entry)? {
            let extension = std::mem::take(&mut next);
            tree.add(&mut entry, extension)?;
        }
    }
    tree.finish()
}

/// What is said before an entry because its own header has no room for it.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extension {
    /// Takes in an entry that is about the next one, and says whether it was.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<bool, TarError> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.path = Some(until_nul(content(entry)?)),
            EntryType::GNULongLink => self.link = Some(until_nul(content(entry)?)),
            // Comments; git puts the commit there.
            EntryType::XGlobalHeader => {
                records(&content(entry)?, |key, _| match key {
                    b"comment" => Ok(()),
                    _ => Err("has a global header that counts for all entries"),
                })?;
            }
            EntryType::XHeader => {
                let content = content(entry)?;
                records(&content, |key, value| {
                    match key {
                        b"path" => self.path = Some(value.to_vec()),
                        b"linkpath" => self.link = Some(value.to_vec()),
                        b"size" => return Err("has its size in an extended header"),
                        _ if key.starts_with(b"GNU.sparse.") => return Err("is a sparse file"),
                        // Times, owners and the like, which a NAR does not have.
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn content(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, TarError> {
    if entry.size() > MAX_EXTENSION {
        let what = "bytes in an extended header";
        return Err(TarError::TooLarge { max: MAX_EXTENSION, what });
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(TarError::Read)?;
    Ok(content)
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}

/// Visits pax records: `LENGTH KEY=VALUE\n`.
fn records(
    mut rest: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>,
) -> Result<(), TarError> {
    let failed = |what| TarError::Unsupported { path: "an extended header".to_owned(), what };
    while !rest.is_empty() {
        let record = (|| {
            let space = rest.iter().position(|byte| *byte == b' ')?;
            let (length, _) = rest.split_at_checked(space)?;
            let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            let (record, after) = rest.split_at_checked(length)?;
            let text = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
            let equals = text.iter().position(|byte| *byte == b'=')?;
            let (key, value) = text.split_at_checked(equals)?;
            Some((key, value.get(1..)?, after))
        })();
        let (key, value, after) = record.ok_or_else(|| failed("is damaged"))?;
        visit(key, value).map_err(failed)?;
        rest = after;
    }
    Ok(())
}

impl Tree<'_> {
    fn add(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        extension: Extension,
    ) -> Result<(), TarError> {
        let path = extension.path.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let shown = path.escape_ascii().to_string();
        let unsupported =
            |what| TarError::Unsupported { path: shown.chars().take(200).collect(), what };
        let parts: Vec<&[u8]> =
            path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        if path.first() == Some(&b'/') || parts.contains(&b"..".as_slice()) {
            return Err(unsupported("leads out of it"));
        }
        if parts.len() >= MAX_DEPTH {
            return Err(unsupported("lies too deep"));
        }
        let kind = entry.header().entry_type();
        let Some((name, parents)) = parts.split_last() else {
            return match kind {
                EntryType::Directory => Ok(()),
                _ => Err(unsupported("has no name")),
            };
        };
        let directory = self.descend(parents).map_err(unsupported)?;
        let node = match kind {
            EntryType::Directory => {
                return match self.child(directory, name) {
                    Some(there) if self.is_directory(there) => Ok(()),
                    Some(_) => Err(unsupported("is there twice")),
                    None => self.insert(directory, name, Node::Directory(BTreeMap::new())),
                };
            }
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => {
                return Err(unsupported("is a file with the name of a directory"));
            }
            EntryType::Regular | EntryType::Continuous => {
                let mode = entry.header().mode().map_err(TarError::Read)?;
                let (offset, size) = self.keep(entry)?;
                Node::File { executable: mode & 0o100 != 0, offset, size }
            }
            EntryType::Symlink | EntryType::Link => {
                let target = match extension.link {
                    Some(target) => target,
                    None => entry.header().link_name_bytes().unwrap_or_default().into_owned(),
                };
                if kind == EntryType::Symlink {
                    self.names = self.names.saturating_add(target.len());
                    Node::Symlink(target)
                } else {
                    self.linked(&target).ok_or_else(|| unsupported("is a hard link to no file"))?
                }
            }
            _ => return Err(unsupported("is neither a file, a directory nor a link")),
        };
        if self.child(directory, name).is_some() {
            return Err(unsupported("is there twice"));
        }
        self.insert(directory, name, node)
    }

    fn child(&self, directory: usize, name: &[u8]) -> Option<usize> {
        match self.nodes.get(directory) {
            Some(Node::Directory(entries)) => entries.get(name).copied(),
            _ => None,
        }
    }

    fn is_directory(&self, node: usize) -> bool {
        matches!(self.nodes.get(node), Some(Node::Directory(_)))
    }

    fn insert(&mut self, directory: usize, name: &[u8], node: Node) -> Result<(), TarError> {
        let too_large = |max: usize, what| {
            Err(TarError::TooLarge { max: u64::try_from(max).unwrap_or(u64::MAX), what })
        };
        if self.nodes.len() >= MAX_ENTRIES {
            return too_large(MAX_ENTRIES, "entries");
        }
        self.names = self.names.saturating_add(name.len());
        if self.names > MAX_NAMES {
            return too_large(MAX_NAMES, "bytes of names");
        }
        let at = self.nodes.len();
        self.nodes.push(node);
        if let Some(Node::Directory(entries)) = self.nodes.get_mut(directory) {
            entries.insert(name.to_vec(), at);
        }
        Ok(())
    }

    /// The directory of that path; what is missing is made.
    fn descend(&mut self, parts: &[&[u8]]) -> Result<usize, &'static str> {
        let mut at = 0;
        for part in parts {
            at = match self.child(at, part) {
                Some(child) if self.is_directory(child) => child,
                Some(_) => return Err("leads through something that is no directory"),
                None => {
                    let child = self.nodes.len();
                    self.insert(at, part, Node::Directory(BTreeMap::new()))
                        .map_err(|_| "is one of too many entries")?;
                    child
                }
            };
        }
        Ok(at)
    }

    /// What a hard link leads to: a file that came before.
    fn linked(&self, target: &[u8]) -> Option<Node> {
        let mut at = 0;
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                part => at = self.child(at, part)?,
            }
        }
        match self.nodes.get(at)? {
            Node::File { executable, offset, size } => {
                Some(Node::File { executable: *executable, offset: *offset, size: *size })
            }
            Node::Directory(_) | Node::Symlink(_) => None,
        }
    }

    /// Keeps the contents of a file, and says where.
    fn keep(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(u64, u64), TarError> {
        let (offset, size) = (self.used, entry.size());
        self.used = self.used.saturating_add(size);
        if self.used > MAX_CONTENTS {
            return Err(TarError::TooLarge { max: MAX_CONTENTS, what: "bytes of files" });
        }
        let copied = keep(entry, self.spool)?;
        if copied != size {
            return Err(TarError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok((offset, size))
    }

    fn finish(self) -> Result<NarHash, TarError> {
        let top = match self.nodes.first() {
            Some(Node::Directory(entries)) if entries.is_empty() => return Err(TarError::Empty),
            Some(Node::Directory(entries)) if entries.len() == 1 => entries.values().next(),
            _ => None,
        };
        let top = top.copied().unwrap_or_default();
        if !self.is_directory(top) {
            let path = "the only entry".to_owned();
            return Err(TarError::Unsupported { path, what: "is no directory" });
        }
        let Tree { nodes, spool, .. } = self;
        let mut nar = NarWriter::new(Sink(Hasher::new(HashAlgorithm::Sha256)));
        let mut open = Vec::new();
        let mut at = Some(top);
        loop {
            match at.and_then(|at| nodes.get(at)) {
                Some(Node::Directory(entries)) => {
                    nar.write(Event::Directory)?;
                    open.push(entries.iter());
                }
                Some(Node::Symlink(target)) => nar.write(Event::Symlink(target))?,
                Some(Node::File { executable, offset, size }) => {
                    file(&mut nar, *executable, spool, *offset, *size)?;
                }
                None => {}
            }
            let Some(entries) = open.last_mut() else { break };
            at = match entries.next() {
                Some((name, node)) => {
                    nar.write(Event::Entry(name))?;
                    Some(*node)
                }
                None => {
                    nar.write(Event::End)?;
                    open.pop();
                    None
                }
            };
        }
        finish(nar)
    }
}

/// The hash of `source` as Nix keeps a file as such. `spool` takes it
/// meanwhile, from its begin on.
///
/// # Errors
/// See [`TarError`].
pub fn hash_file(mut source: impl Read, spool: &mut File) -> Result<NarHash, TarError> {
    spool.set_len(0).and_then(|()| spool.seek(SeekFrom::Start(0))).map_err(TarError::Spool)?;
    let size = keep(&mut source, spool)?;
    let mut nar = NarWriter::new(Sink(Hasher::new(HashAlgorithm::Sha256)));
    file(&mut nar, false, spool, 0, size)?;
    finish(nar)
}

/// Appends `source` to `spool`, and says how much it was.
fn keep(source: &mut impl Read, spool: &mut File) -> Result<u64, TarError> {
    let mut chunk = vec![0; CHUNK];
    let mut kept = 0_u64;
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => return Ok(kept),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(TarError::Read(error)),
        };
        kept = kept.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        spool.write_all(chunk.get(..read).unwrap_or_default()).map_err(TarError::Spool)?;
    }
}

fn file(
    nar: &mut NarWriter<Sink>,
    executable: bool,
    spool: &mut File,
    offset: u64,
    size: u64,
) -> Result<(), TarError> {
    nar.write(Event::File { executable, size })?;
    spool.seek(SeekFrom::Start(offset)).map_err(TarError::Spool)?;
    let mut rest = spool.take(size);
    let mut chunk = vec![0; CHUNK];
    loop {
        match rest.read(&mut chunk).map_err(TarError::Spool)? {
            0 => return Ok(()),
            read => nar.write(Event::Contents(chunk.get(..read).unwrap_or_default()))?,
        }
    }
}

fn finish(nar: NarWriter<Sink>) -> Result<NarHash, TarError> {
    let hash = nar.finish()?.0.finish();
    NarHash::from_sha256(&hash).ok_or(TarError::Empty)
}

/// A hash as a sink.
struct Sink(Hasher);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
