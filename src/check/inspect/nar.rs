//! What a NAR holds: hash, size and a summary, streamed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;

use super::rules::MALFORMED_NAR;
use super::{Answers, Inspected};
use crate::check::{Finding, Reason};
use crate::nix::content_address::{ContentAddress, Method, References};
use crate::nix::hash::NarHash;
use crate::nix::nar::{Event, HashedSource, NarError, NarReader};
use crate::nix::store_path::{StoreDir, StorePath};

/// Entries of the root that are listed; a summary is read by people.
pub const MAX_TOP: usize = 100;

/// Largest files that are listed.
pub const MAX_LARGEST: usize = 10;

/// What a NAR holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarFacts {
    /// The hash of all its bytes.
    pub nar_hash: NarHash,
    /// Their number.
    pub nar_size: u64,
    /// What the root is: `regular`, `executable`, `symlink` or `directory`.
    pub root: &'static str,
    /// Directories, the root included.
    pub directories: u64,
    /// Regular files, executables among them.
    pub files: u64,
    /// Executable regular files.
    pub executables: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of contents of all files.
    pub contents: u64,
    /// Directories within directories, at most.
    pub depth: usize,
    /// Names and kinds in the root directory, the first [`MAX_TOP`].
    pub top: Vec<(Vec<u8>, &'static str)>,
    /// Entries of the root directory in all.
    pub top_count: u64,
    /// The largest files: size and path, largest first.
    pub largest: Vec<(u64, Vec<u8>)>,
    /// The store path it has by its content alone, under the name asked
    /// about: without references, and if it does not hold its own path.
    pub by_content: Option<StorePath>,
}

/// Why a NAR could not be read to its end.
#[derive(Debug)]
pub struct Unreadable(pub std::io::Error);

/// Reads a NAR to its end.
///
/// # Errors
/// A source that cannot be read; a NAR that breaks the format is a finding.
pub fn inspect(
    subject: &str,
    source: impl Read,
    store_path: Option<&StorePath>,
    store_dir: &StoreDir,
) -> Result<Inspected<NarFacts>, Unreadable> {
    let mut answers = Answers::about(subject);
    let mut facts = match read(source) {
        Ok(facts) => facts,
        Err(error) => {
            if let Some(source) = error.io_error() {
                let copy = std::io::Error::new(source.kind(), source.to_string());
                return Err(Unreadable(copy));
            }
            answers.fail(
                Finding::new(&MALFORMED_NAR, subject, error.to_string())
                    .with("byte offset", error.offset),
            );
            return Ok(Inspected { facts: None, answers });
        }
    };
    answers.pass();
    match store_path {
        None => answers.not_run("store path by content", "ask with --store-path"),
        Some(path) => {
            facts.by_content = by_content(&facts.nar_hash, path.name(), store_dir);
            if facts.by_content.as_ref() == Some(path) {
                answers.pass();
            } else {
                answers.open(
                    "store path by content",
                    Reason::NoReference,
                    format!(
                        "{path} does not follow from these bytes alone; a signed narinfo has to say that they belong to it"
                    ),
                );
            }
        }
    }
    Ok(Inspected { facts: Some(facts), answers })
}

/// The path of a source of that name: `makeFixedOutputPath` over the NAR.
fn by_content(nar_hash: &NarHash, name: &str, store_dir: &StoreDir) -> Option<StorePath> {
    ContentAddress::new(Method::Recursive, nar_hash.hash())
        .ok()?
        .store_path(store_dir, name, &References::default())
        .ok()
}

fn read(source: impl Read) -> Result<NarFacts, NarError> {
    let mut reader = NarReader::new(HashedSource::new(source));
    let mut summary = Summary::default();
    loop {
        let depth = reader.depth();
        match reader.next_event()? {
            Some(event) => summary.add(depth, event),
            None => break,
        }
    }
    let (nar_hash, nar_size) = reader.into_source().finish();
    Ok(summary.finish(nar_hash, nar_size))
}

#[derive(Default)]
struct Summary {
    root: Option<&'static str>,
    directories: u64,
    files: u64,
    executables: u64,
    symlinks: u64,
    contents: u64,
    depth: usize,
    /// Names of the open directories' entries under way.
    path: Vec<Vec<u8>>,
    top: Vec<(Vec<u8>, &'static str)>,
    top_count: u64,
    largest: BinaryHeap<Reverse<(u64, Reverse<Vec<u8>>)>>,
}

impl Summary {
    fn add(&mut self, depth: usize, event: Event<'_>) {
        match event {
            Event::Contents(_) | Event::End => {}
            Event::Entry(name) => {
                self.path.truncate(depth.saturating_sub(1));
                self.path.push(name.to_vec());
            }
            Event::Directory => {
                self.directories += 1;
                self.depth = self.depth.max(depth + 1);
                self.node(depth, "directory");
            }
            Event::Symlink(_) => {
                self.symlinks += 1;
                self.node(depth, "symlink");
            }
            Event::File { executable, size } => {
                self.files += 1;
                self.executables += u64::from(executable);
                self.contents = self.contents.saturating_add(size);
                self.node(depth, if executable { "executable" } else { "regular" });
                let path = self.path.get(..depth).unwrap_or_default().join(&b'/');
                self.largest.push(Reverse((size, Reverse(path))));
                if self.largest.len() > MAX_LARGEST {
                    self.largest.pop();
                }
            }
        }
    }

    fn node(&mut self, depth: usize, kind: &'static str) {
        match depth {
            0 => self.root = Some(kind),
            1 => {
                self.top_count += 1;
                if self.top.len() < MAX_TOP {
                    self.top.push((self.path.first().cloned().unwrap_or_default(), kind));
                }
            }
            _ => {}
        }
    }

    fn finish(self, nar_hash: NarHash, nar_size: u64) -> NarFacts {
        let mut largest: Vec<_> = self.largest.into_iter().map(|Reverse(one)| one).collect();
        largest.sort_by(|a, b| b.cmp(a));
        NarFacts {
            nar_hash,
            nar_size,
            root: self.root.unwrap_or("nothing"),
            directories: self.directories,
            files: self.files,
            executables: self.executables,
            symlinks: self.symlinks,
            contents: self.contents,
            depth: self.depth,
            top: self.top,
            top_count: self.top_count,
            largest: largest.into_iter().map(|(size, Reverse(path))| (size, path)).collect(),
            by_content: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::nar::NarWriter;

    /// Worked example B.
    fn hello() -> Vec<u8> {
        let mut writer = NarWriter::new(Vec::new());
        for event in [
            Event::Directory,
            Event::Entry(b"a"),
            Event::File { executable: false, size: 6 },
            Event::Contents(b"hello\n"),
            Event::Entry(b"bin"),
            Event::Directory,
            Event::Entry(b"ln"),
            Event::Symlink(b"../a"),
            Event::Entry(b"run"),
            Event::File { executable: true, size: 4 },
            Event::Contents(b"#!x\n"),
            Event::End,
            Event::End,
        ] {
            writer.write(event).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn the_worked_example_is_summed_up() {
        let path: StorePath = "2dg1awilyjv984z7r8dnl0hfq5462z0b-hello".parse().unwrap();
        let dir = StoreDir::default();
        let done = inspect("x", hello().as_slice(), Some(&path), &dir).unwrap();
        let facts = done.facts.unwrap();
        assert_eq!(facts.nar_size, 872);
        assert_eq!(
            facts.nar_hash.to_string(),
            "sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs"
        );
        assert_eq!(
            (facts.directories, facts.files, facts.executables, facts.symlinks),
            (2, 2, 1, 1)
        );
        assert_eq!((facts.root, facts.contents, facts.depth), ("directory", 10, 2));
        assert_eq!(facts.top, [(b"a".to_vec(), "regular"), (b"bin".to_vec(), "directory")]);
        assert_eq!(facts.largest, [(6, b"a".to_vec()), (4, b"bin/run".to_vec())]);
        assert_eq!(facts.by_content, Some(path));
        assert_eq!((done.answers.coverage.asked, done.answers.coverage.answered), (2, 2));
    }

    #[test]
    fn every_cut_and_every_other_path_is_no_pass() {
        let nar = hello();
        let dir = StoreDir::default();
        for end in 0..nar.len() {
            let done = inspect("x", &nar[..end], None, &dir).unwrap();
            assert!(done.facts.is_none() && done.answers.findings.len() == 1, "{end}");
        }
        let other: StorePath = "2dg1awilyjv984z7r8dnl0hfq5462z0c-hello".parse().unwrap();
        let done = inspect("x", nar.as_slice(), Some(&other), &dir).unwrap();
        assert_eq!(done.answers.coverage.inconclusive.len(), 1);
    }
}
