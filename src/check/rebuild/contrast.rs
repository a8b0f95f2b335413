//! In which files two store objects differ.
//!
//! Both are read as NARs, one after the other, so that they need never be
//! unpacked; what is held in memory is one digest per file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::nix::hash::{Hash, HashAlgorithm, Hasher};
use crate::nix::nar::{Event, MAX_LISTED, NarError, NarErrorKind, NarReader};

/// Most differing files that are named; a build that differs in more is not
/// explained by a longer list.
pub const MAX_NAMED: usize = 40;

/// What is at one place in a store object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Directory,
    File { executable: bool, size: u64, content: Hash },
    Symlink(Vec<u8>),
}

/// All items of a store object, by their paths inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog(BTreeMap<Vec<u8>, Item>);

/// A file whose contents are being read.
struct OpenFile {
    executable: bool,
    size: u64,
    hasher: Hasher,
}

impl Catalog {
    /// Reads a whole NAR.
    ///
    /// # Errors
    /// A malformed NAR, or one with more than [`MAX_LISTED`] entries.
    pub fn read(nar: impl Read) -> Result<Self, NarError> {
        let mut reader = NarReader::new(nar);
        let mut items = BTreeMap::new();
        let mut parents: Vec<Vec<u8>> = Vec::new();
        let mut path = Vec::new();
        let mut open: Option<OpenFile> = None;
        loop {
            if items.len() >= MAX_LISTED {
                let kind = NarErrorKind::TooManyEntries;
                return Err(NarError { offset: reader.offset(), kind });
            }
            let event = reader.next_event()?;
            if let (Some(file), Some(Event::Contents(bytes))) = (&mut open, &event) {
                file.hasher.update(bytes);
                continue;
            }
            if let Some(file) = open.take() {
                let OpenFile { executable, size, hasher } = file;
                let item = Item::File { executable, size, content: hasher.finish() };
                items.insert(path.clone(), item);
            }
            match event {
                None => return Ok(Self(items)),
                Some(Event::Directory) => {
                    items.insert(path.clone(), Item::Directory);
                    parents.push(path.clone());
                }
                Some(Event::Entry(name)) => {
                    path = parents.last().cloned().unwrap_or_default();
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                }
                Some(Event::Symlink(target)) => {
                    items.insert(path.clone(), Item::Symlink(target.to_vec()));
                }
                Some(Event::File { executable, size }) => {
                    let hasher = Hasher::new(HashAlgorithm::Sha256);
                    open = Some(OpenFile { executable, size, hasher });
                }
                Some(Event::Contents(_)) => {}
                Some(Event::End) => {
                    parents.pop();
                }
            }
        }
    }
}

/// Says where `ours` is not what is `claimed`, one sentence a file. Of a
/// directory that only one of them has, only the directory is named.
#[must_use]
pub fn contrast(claimed: &Catalog, ours: &Catalog) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut unnamed = 0_usize;
    let mut skipped: BTreeSet<&[u8]> = BTreeSet::new();
    let paths: BTreeSet<&Vec<u8>> = claimed.0.keys().chain(ours.0.keys()).collect();
    for path in paths {
        if directories_above(path).any(|directory| skipped.contains(directory)) {
            continue;
        }
        let (theirs, our) = (claimed.0.get(path), ours.0.get(path));
        let Some(difference) = difference(theirs, our) else { continue };
        if theirs.is_none() || our.is_none() {
            skipped.insert(path);
        }
        if sentences.len() < MAX_NAMED {
            sentences.push(format!("{}: {difference}", place(path)));
        } else {
            unnamed = unnamed.saturating_add(1);
        }
    }
    if unnamed > 0 {
        sentences.push(format!("and {unnamed} more"));
    }
    sentences
}

fn directories_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.filter_map(|(at, _)| path.get(..at))
}

fn place(path: &[u8]) -> String {
    match path {
        [] => "the output itself".to_owned(),
        _ => String::from_utf8_lossy(path).into_owned(),
    }
}

fn difference(claimed: Option<&Item>, ours: Option<&Item>) -> Option<String> {
    let (claimed, ours) = match (claimed, ours) {
        (None, None) => return None,
        (Some(item), None) => return Some(format!("{} claimed, not in ours", kind(item))),
        (None, Some(item)) => return Some(format!("{} of ours, not claimed", kind(item))),
        (Some(claimed), Some(ours)) if claimed == ours => return None,
        (Some(claimed), Some(ours)) => (claimed, ours),
    };
    Some(match (claimed, ours) {
        (
            Item::File { executable: a, size: claimed_size, content: claimed_content },
            Item::File { executable: b, size: our_size, content: our_content },
        ) => {
            let mut parts = Vec::new();
            if claimed_content != our_content {
                parts.push(format!(
                    "other contents ({claimed_size} bytes claimed, ours {our_size})"
                ));
            }
            if a != b {
                parts.push(format!("{} claimed, {} in ours", mode(*a), mode(*b)));
            }
            parts.join("; ")
        }
        (Item::Symlink(a), Item::Symlink(b)) => format!(
            "a link to '{}' claimed, to '{}' in ours",
            String::from_utf8_lossy(a),
            String::from_utf8_lossy(b)
        ),
        (claimed, ours) => format!("{} claimed, {} in ours", kind(claimed), kind(ours)),
    })
}

const fn kind(item: &Item) -> &'static str {
    match item {
        Item::Directory => "a directory",
        Item::File { .. } => "a file",
        Item::Symlink(_) => "a link",
    }
}

const fn mode(executable: bool) -> &'static str {
    if executable { "executable" } else { "not executable" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::nar::NarWriter;

    /// A tree with these files: path, executable, contents.
    fn catalog(events: &[Event<'_>]) -> Catalog {
        let mut writer = NarWriter::new(Vec::new());
        for event in events {
            writer.write(*event).unwrap();
        }
        Catalog::read(writer.finish().unwrap().as_slice()).unwrap()
    }

    fn file(contents: &[u8]) -> [Event<'_>; 2] {
        let size = u64::try_from(contents.len()).unwrap();
        [Event::File { executable: false, size }, Event::Contents(contents)]
    }

    fn tree(a: &[u8], more: &[Event<'_>]) -> Catalog {
        let mut events = vec![Event::Directory, Event::Entry(b"a")];
        events.extend(file(a));
        events.extend(more);
        events.push(Event::End);
        catalog(&events)
    }

    #[test]
    fn equal_trees_have_no_difference() {
        assert!(contrast(&tree(b"1", &[]), &tree(b"1", &[])).is_empty());
    }

    #[test]
    fn the_file_that_differs_is_named_and_no_other() {
        let deep = |contents| {
            let mut events = vec![Event::Entry(b"d"), Event::Directory, Event::Entry(b"x")];
            events.extend(file(contents));
            events.push(Event::End);
            events
        };
        let found = contrast(&tree(b"1", &deep(b"22")), &tree(b"1", &deep(b"333")));
        assert_eq!(found, ["d/x: other contents (2 bytes claimed, ours 3)"]);
    }

    #[test]
    fn an_added_directory_is_named_once() {
        let mut added = vec![Event::Entry(b"d"), Event::Directory, Event::Entry(b"x")];
        added.extend(file(b"1"));
        added.extend([Event::End, Event::Entry(b"d-"), Event::Symlink(b"a")]);
        let found = contrast(&tree(b"1", &[]), &tree(b"1", &added));
        assert_eq!(
            found,
            ["d: a directory of ours, not claimed", "d-: a link of ours, not claimed"]
        );
    }

    #[test]
    fn kinds_modes_and_targets_count() {
        let plain = catalog(&file(b"1"));
        let executable =
            catalog(&[Event::File { executable: true, size: 1 }, Event::Contents(b"1")]);
        let link = |target| catalog(&[Event::Symlink(target)]);
        let only = |a: &Catalog, b: &Catalog| contrast(a, b).join("|");
        assert_eq!(
            only(&plain, &executable),
            "the output itself: not executable claimed, executable in ours"
        );
        assert_eq!(only(&plain, &link(b"a")), "the output itself: a file claimed, a link in ours");
        assert_eq!(
            only(&link(b"a"), &link(b"b")),
            "the output itself: a link to 'a' claimed, to 'b' in ours"
        );
        let empty = catalog(&[Event::File { executable: false, size: 0 }]);
        assert_eq!(
            only(&empty, &plain),
            "the output itself: other contents (0 bytes claimed, ours 1)"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (100..200).map(|n| n.to_string()).collect();
        let mut events = vec![Event::Directory];
        for name in &names {
            events.extend([Event::Entry(name.as_bytes()), Event::Symlink(b"x")]);
        }
        events.push(Event::End);
        let found = contrast(&catalog(&events), &catalog(&[Event::Directory, Event::End]));
        assert_eq!(found.len(), MAX_NAMED + 1);
        assert_eq!(found.last().unwrap(), "and 60 more");
    }
}
