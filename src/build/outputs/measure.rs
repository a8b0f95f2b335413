//! What one reading of a tree tells: the hash and size of its NAR, what it
//! refers to, and the hash its content address is made of.

use std::ffi::{CStr, OsStr};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use super::rejection::{Rejection, Stop};
use crate::build::{BuildError, World};
use crate::gather::nar::tree::{TreeError, TreeOptions, hash_at};
use crate::nix::content_address::Method;
use crate::nix::hash::{Hash, HashAlgorithm, NarHash};
use crate::nix::references::ReferenceScanner;
use crate::nix::rewrite::HashModuloHasher;
use crate::nix::store_path::StorePath;

/// Bytes of a NAR before the contents of a file that is not executable:
/// `nix-archive-1`, `(`, `type`, `regular`, `contents` and the length.
const FLAT_HEADER: usize = 96;

/// Where in these the length of the contents stands.
const FLAT_LENGTH: usize = FLAT_HEADER - 8;

/// What is hashed for a content address.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The NAR, or the bytes of the file.
    pub method: Method,
    /// The algorithm.
    pub algorithm: HashAlgorithm,
    /// The path whose own hash part does not count.
    pub own: &'a StorePath,
}

/// What was found.
#[derive(Debug)]
pub struct Measured {
    /// The hash of the NAR.
    pub nar_hash: NarHash,
    /// Its length in bytes.
    pub nar_size: u64,
    /// The hash for the content address, if one was asked for.
    pub content: Option<Hash>,
}

/// Reads the object `name` once. `scanner` sees its NAR.
///
/// # Errors
/// [`Stop::Rejected`] if it has no NAR or takes longer than until `deadline`,
/// [`Stop::Failed`] if it cannot be read.
pub fn measure(
    directory: BorrowedFd<'_>,
    name: &CStr,
    content: Option<&Content<'_>>,
    world: &World,
    scanner: &mut ReferenceScanner,
    deadline: Option<Instant>,
) -> Result<Measured, Stop> {
    let mut content_sink = content.map(ContentSink::new);
    let mut scan_sink = ScanSink { scanner, deadline };
    let mut sinks: Vec<&mut dyn Write> = vec![&mut scan_sink];
    if let Some(sink) = &mut content_sink {
        sinks.push(sink);
    }
    let name = OsStr::from_bytes(name.to_bytes());
    let (nar_hash, nar_size) =
        hash_at(directory, name, Path::new(name), &TreeOptions::default(), &mut sinks)
            .map_err(refused)?;
    let content = content_sink.map(|sink| sink.finish(world.hashes_self_offsets));
    Ok(Measured { nar_hash, nar_size, content })
}

/// Sorts out whose fault it is that a tree has no NAR.
fn refused(error: TreeError) -> Stop {
    match error {
        TreeError::Type { .. } | TreeError::Depth(_) | TreeError::Name { .. } => {
            Rejection::NotArchivable(error.to_string()).into()
        }
        TreeError::Sink(error) if error.kind() == io::ErrorKind::TimedOut => {
            Rejection::OutOfTime.into()
        }
        error => BuildError::Tree(error).into(),
    }
}

/// A scanner as a sink, which refuses what comes too late.
struct ScanSink<'a> {
    scanner: &'a mut ReferenceScanner,
    deadline: Option<Instant>,
}

impl Write for ScanSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.scanner.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what a content address is made of, out of the NAR.
struct ContentSink {
    hasher: HashModuloHasher,
    /// For a flat hash: what is passed over of the NAR.
    flat: Option<FlatWindow>,
}

impl ContentSink {
    fn new(content: &Content<'_>) -> Self {
        let flat = match content.method {
            Method::Recursive => None,
            Method::Flat | Method::Text => Some(FlatWindow::default()),
        };
        Self { hasher: HashModuloHasher::new(content.algorithm, content.own), flat }
    }

    fn finish(self, offsets: bool) -> Hash {
        let found = self.hasher.finish();
        if offsets { found.with_offsets } else { found.without_offsets }
    }
}

impl Write for ContentSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = match &mut self.flat {
            Some(flat) => flat.wanted(bytes),
            None => bytes,
        };
        self.hasher.feed(wanted);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The part of a regular file's NAR that is the file's contents.
#[derive(Debug, Default)]
struct FlatWindow {
    header: Vec<u8>,
    left: usize,
}

impl FlatWindow {
    /// The bytes of the contents among the next bytes of the NAR.
    fn wanted<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = FLAT_HEADER.saturating_sub(self.header.len()).min(bytes.len());
        let (header, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        if !header.is_empty() {
            self.header.extend_from_slice(header);
            if let Some(length) = self.header.get(FLAT_LENGTH..).and_then(<[u8]>::first_chunk) {
                self.left = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
            }
        }
        let wanted = rest.get(..self.left).unwrap_or(rest);
        self.left -= wanted.len();
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::outputs::handles;
    use std::os::fd::AsFd as _;

    fn own() -> StorePath {
        "c5asc3lmr2jn3f0m2y77cf48078qb9mg-ca".parse().unwrap()
    }

    #[test]
    fn a_flat_hash_is_that_of_the_file() {
        for size in [0, 1, 7, 8, 9, 100, 1 << 17, (1 << 20) + 3] {
            let contents: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("f"), &contents).unwrap();
            let handle = handles::open_directory(directory.path()).unwrap();
            for algorithm in HashAlgorithm::ALL {
                let content = Content { method: Method::Flat, algorithm, own: &own() };
                let mut scanner = ReferenceScanner::new([]);
                let world = World::newest();
                let measured =
                    measure(handle.as_fd(), c"f", Some(&content), &world, &mut scanner, None)
                        .unwrap();
                assert_eq!(measured.content, Some(Hash::of(algorithm, &contents)), "{size}");
            }
        }
    }

    #[test]
    fn a_window_does_not_depend_on_how_the_nar_is_cut() {
        let contents = b"some contents";
        let mut nar = vec![0; FLAT_LENGTH];
        nar.extend_from_slice(&(contents.len() as u64).to_le_bytes());
        nar.extend_from_slice(contents);
        nar.extend_from_slice(&[0; 19]);
        for cut in 1..nar.len() {
            let mut window = FlatWindow::default();
            let found: Vec<u8> =
                nar.chunks(cut).flat_map(|piece| window.wanted(piece).to_vec()).collect();
            assert_eq!(found, contents, "{cut}");
        }
    }
}
