//! NAR, the archive that store objects are hashed as.
//!
//! Follows `src/libutil/archive.cc` of the newest Nix, and is as strict: every
//! string is `u64` little-endian length, bytes, zero padding to 8; a node is
//! `(` … `)`; the fields come in one order; entries ascend strictly by bytes;
//! nothing follows the last node. So a NAR is accepted exactly if writing its
//! events again gives the same bytes.
//!
//! Nothing here recurses and nothing is allocated by a length found in the
//! input: one fixed buffer and one name for each open directory is all that is
//! ever held.

mod encode;
mod error;
mod listing;
mod names;
mod reader;
mod writer;

use std::io::{self, Read};

pub use encode::{begin_archive, begin_contents, begin_directory, begin_entry};
pub use encode::{end_contents, end_directory, end_entry, padding_of, symlink};
pub use error::{Excerpt, NameProblem, NarError, NarErrorKind};
pub use listing::{Listing, ListingEntry, ListingNode, MAX_LISTED};
pub use names::{check_name, check_target};
pub use reader::NarReader;
pub use writer::NarWriter;

use super::hash::{HashAlgorithm, Hasher, NarHash};

/// Directories within directories (`narMaxDepth`): no node may stand deeper
/// than in the 63rd directory below the root, so at most 64 nest.
pub const MAX_DEPTH: usize = 64;

/// Bytes in a name (`narMaxName`, which is Linux's `NAME_MAX`).
pub const MAX_NAME: usize = 255;

/// Bytes in a symlink's target (`narMaxTarget`, Linux's `PATH_MAX` less the
/// final NUL).
pub const MAX_TARGET: usize = 4095;

/// Bytes in a regular file: what fits into `off_t`. A longer one can be
/// neither read from nor written to a file system.
pub const MAX_FILE_SIZE: u64 = 0x7fff_ffff_ffff_ffff;

/// What every NAR begins with.
pub const MAGIC: &str = "nix-archive-1";

/// One step through a NAR.
///
/// A file is [`Event::File`] followed by [`Event::Contents`] chunks that add
/// up to its size (none if it is empty); a directory is [`Event::Directory`],
/// for each entry [`Event::Entry`] and the events of its node, and
/// [`Event::End`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A directory begins.
    Directory,
    /// An entry of the innermost directory; the events of its node follow.
    Entry(&'a [u8]),
    /// A regular file begins.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Bytes of contents that follow.
        size: u64,
    },
    /// The next bytes of the file; never empty.
    Contents(&'a [u8]),
    /// A symlink and its target.
    Symlink(&'a [u8]),
    /// The innermost directory ends.
    End,
}

/// A source whose every byte is hashed as it is read.
pub struct HashedSource<R> {
    source: R,
    hasher: Hasher,
    size: u64,
}

impl<R> HashedSource<R> {
    /// Hashes what is read from `source`.
    pub fn new(source: R) -> Self {
        Self { source, hasher: Hasher::new(HashAlgorithm::Sha256), size: 0 }
    }

    /// The hash and the number of the bytes read so far. They identify a NAR
    /// only if a [`NarReader`] over this source came to its end.
    pub fn finish(self) -> (NarHash, u64) {
        let hash = self.hasher.finish();
        let mut digest = [0; 32];
        for (slot, byte) in digest.iter_mut().zip(hash.digest()) {
            *slot = *byte;
        }
        (NarHash::from_digest(digest), self.size)
    }
}

impl<R: Read> Read for HashedSource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// Reads a whole NAR strictly and says what identifies it: its hash and size.
///
/// # Errors
/// The first byte that breaks a rule, or a source that cannot be read.
pub fn check(source: impl Read) -> Result<(NarHash, u64), NarError> {
    let mut reader = NarReader::new(HashedSource::new(source));
    while reader.next_event()?.is_some() {}
    Ok(reader.into_source().finish())
}
