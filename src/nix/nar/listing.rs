//! What a NAR holds, as binary caches list it (`<hash part>.ls`).

use std::fmt::{self, Write as _};
use std::io::Read;

use super::{Event, NarError, NarErrorKind, NarReader};

/// Most entries that are listed. Real store objects have some hundred
/// thousand; a listing is held in memory, so there must be an end.
pub const MAX_LISTED: usize = 1_000_000;

/// One file system object of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingEntry {
    /// Directories above it; the root has none.
    pub depth: usize,
    /// Its name; empty for the root.
    pub name: Vec<u8>,
    /// What it is.
    pub node: ListingNode,
}

/// What a file system object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingNode {
    /// A directory; the deeper entries that follow are in it.
    Directory,
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Bytes of contents.
        size: u64,
        /// Where in the NAR the contents begin.
        offset: u64,
    },
    /// A symlink and its target.
    Symlink(Vec<u8>),
}

/// All objects of a NAR, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The root and everything below it, parents first.
    pub entries: Vec<ListingEntry>,
}

impl Listing {
    /// Reads a whole NAR strictly.
    ///
    /// # Errors
    /// As [`super::check`]; also more than [`MAX_LISTED`] entries.
    pub fn read(source: impl Read) -> Result<Self, NarError> {
        let mut reader = NarReader::new(source);
        let mut entries = Vec::new();
        let mut name = Vec::new();
        loop {
            let depth = reader.depth();
            let node = match reader.next_event()? {
                None => return Ok(Self { entries }),
                Some(Event::Entry(next)) => {
                    name = next.to_vec();
                    continue;
                }
                Some(Event::Contents(_) | Event::End) => continue,
                Some(Event::Directory) => ListingNode::Directory,
                Some(Event::Symlink(target)) => ListingNode::Symlink(target.to_vec()),
                Some(Event::File { executable, size }) => {
                    ListingNode::File { executable, size, offset: reader.offset() }
                }
            };
            if entries.len() >= MAX_LISTED {
                let kind = NarErrorKind::TooManyEntries;
                return Err(NarError { offset: reader.offset(), kind });
            }
            entries.push(ListingEntry { depth, name: std::mem::take(&mut name), node });
        }
    }
}

/// The JSON text of a `.ls` file, compact as Nix writes it. A name or target
/// that is not UTF-8 has no exact form in JSON; its bad bytes are replaced.
impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"version\":1,\"root\":")?;
        // What closes each open directory is the same, so counting is enough.
        let mut open = 0_usize;
        let mut first = true;
        for entry in &self.entries {
            while open > entry.depth {
                f.write_str("}}")?;
                open -= 1;
                first = false;
            }
            if entry.depth > 0 {
                if !first {
                    f.write_char(',')?;
                }
                json_string(f, &entry.name)?;
                f.write_char(':')?;
            }
            first = false;
            match &entry.node {
                ListingNode::Directory => {
                    f.write_str("{\"type\":\"directory\",\"entries\":{")?;
                    open += 1;
                    first = true;
                }
                ListingNode::File { executable, size, offset } => {
                    write!(f, "{{\"type\":\"regular\",\"size\":{size}")?;
                    if *executable {
                        f.write_str(",\"executable\":true")?;
                    }
                    write!(f, ",\"narOffset\":{offset}}}")?;
                }
                ListingNode::Symlink(target) => {
                    f.write_str("{\"type\":\"symlink\",\"target\":")?;
                    json_string(f, target)?;
                    f.write_char('}')?;
                }
            }
        }
        for _ in 0..open {
            f.write_str("}}")?;
        }
        f.write_char('}')
    }
}

/// Writes a JSON string.
fn json_string(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let text = String::from_utf8_lossy(bytes);
    f.write_str(&serde_json::to_string(&*text).map_err(|_| fmt::Error)?)
}
