//! Feeds files to the scanner for vendored dependencies: from a tree, from a
//! NAR, and from the archives within either.
//!
//! A tree is read as its NAR, so that what was looked at has a hash and is
//! exactly what the store object is. Nothing is unpacked to disk. An object
//! that is one file and an archive, as fixed outputs are that were fetched, is
//! looked into like a tree.

mod archive;
mod contents;
mod objects;

use std::io::{self, Read};
use std::path::Path;
use std::thread;

use crate::gather::nar::tree::{self, TreeError};
use crate::nix::hash::NarHash;
use crate::nix::nar::{Event, HashedSource, NarError, NarReader};
use crate::sbom::vendored::{Inventory, Place};
use archive::Visitor;
use contents::Contents;
pub use objects::look_inside;

/// Why an object could not be looked through.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The NAR is none, or its source failed.
    #[error("the NAR cannot be read")]
    Nar(#[source] NarError),
    /// The file cannot be read.
    #[error("cannot read '{path}'")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A pipe or thread could not be made.
    #[error("cannot start reading")]
    Start(#[source] io::Error),
}

/// What was found in an object, and which object it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What was found.
    pub inventory: Inventory,
    /// The hash of the object's NAR.
    pub nar_hash: NarHash,
    /// Bytes of the object's NAR.
    pub nar_size: u64,
}

/// Looks through the file, directory or symlink at a path.
///
/// # Errors
/// See [`ScanError`]; what is wrong with single files in it is part of the
/// answer.
pub fn scan_tree(path: &Path) -> Result<Scan, ScanError> {
    scan_tree_as(&path.file_name().unwrap_or_default().to_string_lossy(), path)
}

/// The same, with the name that a single file goes by.
///
/// # Errors
/// See [`ScanError`].
pub fn scan_tree_as(name: &str, path: &Path) -> Result<Scan, ScanError> {
    let (source, mut sink) = io::pipe().map_err(ScanError::Start)?;
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name("scan".to_owned())
            // The scan goes on while the tree is read; the pipe breaks if one ends.
            .spawn_scoped(scope, move || scan_nar(name, source))
            .map_err(ScanError::Start)?;
        let written = tree::hash_tree(path, &mut [&mut sink]);
        drop(sink);
        let scanned = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (written, scanned) {
            // A scan that gave up breaks the pipe: its own reason counts.
            (Err(TreeError::Sink(_)), Err(error)) => Err(error),
            (Err(error), _) => Err(error.into()),
            (Ok(_), scanned) => scanned,
        }
    })
}

/// Looks through a NAR as it is read. `name` is what the object is called if it
/// is a single file.
///
/// # Errors
/// See [`ScanError`].
pub fn scan_nar(name: &str, source: impl Read + Send) -> Result<Scan, ScanError> {
    scan_with(Visitor::new(), name, source)
}

fn scan_with(
    mut visitor: Visitor,
    name: &str,
    source: impl Read + Send,
) -> Result<Scan, ScanError> {
    let mut reader = NarReader::new(HashedSource::new(source));
    let mut path: Vec<String> = Vec::new();
    let mut is_root = true;
    loop {
        match reader.next_event().map_err(ScanError::Nar)? {
            None => break,
            Some(Event::Directory | Event::Contents(_)) => {}
            Some(Event::Entry(entry)) => path.push(String::from_utf8_lossy(entry).into_owned()),
            Some(Event::Symlink(_) | Event::End) => {
                path.pop();
            }
            Some(Event::File { size, .. }) => {
                let whole = if is_root { name.to_owned() } else { path.join("/") };
                let place = Place { outer: "", path: &whole, nested: 0 };
                let mut contents = Contents::new(&mut reader, size);
                let visited = visitor.visit(&place, is_root, size, &mut contents);
                contents.skip().map_err(ScanError::Nar)?;
                // Were it the NAR's own, skipping would have failed as well.
                if let Err(error) = visited {
                    visitor.scanner.unread(whole, "file", error.to_string());
                }
                path.pop();
            }
        }
        is_root = false;
    }
    let (nar_hash, nar_size) = reader.into_source().finish();
    Ok(Scan { inventory: visitor.scanner.finish(), nar_hash, nar_size })
}

#[cfg(test)]
mod tests;
