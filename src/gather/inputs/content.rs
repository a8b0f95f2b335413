//! Whether a NAR is what a content address says, and the path with it.
//!
//! A path that follows from its content needs no signature
//! (`ValidPathInfo::isContentAddressed` in `src/libstore/path-info.cc`), but
//! Nix believes the `CA` field about the content; here the content is hashed.

use std::collections::BTreeSet;
use std::io::Read;

use crate::nix::content_address::{ContentAddress, Method, References};
use crate::nix::hash::{Hash, HashAlgorithm, Hasher};
use crate::nix::nar::{Event, NarError, NarReader};
use crate::nix::rewrite::HashModuloHasher;
use crate::nix::store_path::{StoreDir, StorePath};

/// Why a NAR does not prove a path.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The NAR is malformed or cannot be read.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// The path does not follow from content address, name and references.
    #[error("the path does not follow from its content address {0}")]
    Path(Box<ContentAddress>),
    /// A flat or text object that is not one regular file.
    #[error("the object is not one file without execute permission, as {0} demands")]
    NotFlat(Box<ContentAddress>),
    /// The content has another hash.
    #[error("the content has the hash {found} where {expected} is expected")]
    Hash {
        /// As computed.
        found: Box<Hash>,
        /// As the content address says.
        expected: Box<Hash>,
    },
}

/// Reads `nar` and proves that its content, by `ca` and `references`, makes
/// `path` what it is.
///
/// # Errors
/// Says why it does not.
pub fn prove(
    nar: impl Read,
    path: &StorePath,
    references: &BTreeSet<StorePath>,
    ca: &ContentAddress,
    store_dir: &StoreDir,
) -> Result<(), ContentError> {
    let related = References::of(path, references);
    match ca.store_path(store_dir, path.name(), &related) {
        Ok(computed) if computed == *path => {}
        _ => return Err(ContentError::Path(Box::new(*ca))),
    }
    let expected = *ca.hash();
    let found = match ca.method() {
        Method::Recursive => recursive(nar, path, expected.algorithm())?,
        Method::Flat | Method::Text => {
            vec![
                flat(nar, expected.algorithm())?
                    .ok_or_else(|| ContentError::NotFlat(Box::new(*ca)))?,
            ]
        }
    };
    match found.as_slice() {
        hashes if hashes.contains(&expected) => Ok(()),
        [found, ..] => {
            Err(ContentError::Hash { found: Box::new(*found), expected: Box::new(expected) })
        }
        [] => Err(ContentError::NotFlat(Box::new(*ca))),
    }
}

/// The hashes of a NAR modulo its own hash part, under both rules for the
/// offsets of self-references; equal where there are none.
fn recursive(
    nar: impl Read,
    path: &StorePath,
    algorithm: HashAlgorithm,
) -> Result<Vec<Hash>, NarError> {
    let mut modulo = HashModuloHasher::new(algorithm, path);
    let mut reader = NarReader::new(Tee { source: nar, feed: |bytes: &[u8]| modulo.feed(bytes) });
    while reader.next_event()?.is_some() {}
    drop(reader);
    let hashes = modulo.finish();
    Ok(vec![hashes.with_offsets, hashes.without_offsets])
}

/// The hash of the one plain file a NAR holds, or `None` if it holds anything else.
fn flat(nar: impl Read, algorithm: HashAlgorithm) -> Result<Option<Hash>, NarError> {
    let mut hasher = Hasher::new(algorithm);
    let mut reader = NarReader::new(nar);
    let mut plain = false;
    while let Some(event) = reader.next_event()? {
        match event {
            Event::File { executable: false, .. } => plain = true,
            Event::Contents(bytes) if plain => hasher.update(bytes),
            _ => return Ok(None),
        }
    }
    Ok(plain.then(|| hasher.finish()))
}

/// Shows everything that is read to `feed`.
struct Tee<R, F> {
    source: R,
    feed: F,
}

impl<R: Read, F: FnMut(&[u8])> Read for Tee<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        (self.feed)(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::nar::NarWriter;

    fn file(executable: bool, content: &[u8]) -> Vec<u8> {
        let mut writer = NarWriter::new(Vec::new());
        writer.write(Event::File { executable, size: content.len() as u64 }).unwrap();
        writer.write(Event::Contents(content)).unwrap();
        writer.finish().unwrap()
    }

    fn prove_alone(nar: &[u8], path: &StorePath, ca: &ContentAddress) -> Result<(), ContentError> {
        prove(nar, path, &BTreeSet::new(), ca, &StoreDir::default())
    }

    fn path_of(ca: &ContentAddress, name: &str) -> StorePath {
        let nothing = StorePath::new([0; 20], "x").unwrap();
        ca.store_path(&StoreDir::default(), name, &References::of(&nothing, &BTreeSet::new()))
            .unwrap()
    }

    #[test]
    fn flat_files_prove_their_path() {
        let ca =
            ContentAddress::new(Method::Flat, Hash::of(HashAlgorithm::Sha256, b"hello\n")).unwrap();
        let path: StorePath = "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt".parse().unwrap();
        assert_eq!(path_of(&ca, "data.txt"), path);
        assert!(prove_alone(&file(false, b"hello\n"), &path, &ca).is_ok());
        assert!(matches!(
            prove_alone(&file(false, b"hellO\n"), &path, &ca),
            Err(ContentError::Hash { .. })
        ));
        assert!(matches!(
            prove_alone(&file(true, b"hello\n"), &path, &ca),
            Err(ContentError::NotFlat(_))
        ));
        let other = StorePath::new(*path.hash_bytes(), "other").unwrap();
        assert!(matches!(
            prove_alone(&file(false, b"hello\n"), &other, &ca),
            Err(ContentError::Path(_))
        ));
    }

    #[test]
    fn trees_prove_their_path_in_every_algorithm() {
        let nar = file(true, b"#!x\n");
        for algorithm in HashAlgorithm::ALL {
            let ca = ContentAddress::new(Method::Recursive, Hash::of(algorithm, &nar)).unwrap();
            let path = path_of(&ca, "tree");
            assert!(prove_alone(&nar, &path, &ca).is_ok(), "{algorithm}");
            assert!(matches!(
                prove_alone(&file(false, b"#!x\n"), &path, &ca),
                Err(ContentError::Hash { .. })
            ));
        }
    }
}
