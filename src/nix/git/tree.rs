//! Trees: one directory of a commit.
//!
//! Each entry is `MODE SP NAME NUL ID`, the mode in octal digits. Git sorts
//! directories as if their names ended in a slash, NARs do not.

use super::ObjectId;
use crate::nix::nar::{NameProblem, check_name};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Tree,
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symlink.
    Symlink,
    /// A commit of another repository: a submodule.
    Submodule,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Its object.
    pub id: ObjectId,
}

/// Why bytes are no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// It ends within an entry.
    #[error("at byte {0}: the tree ends within an entry")]
    Truncated(usize),
    /// A mode that git does not write.
    #[error("at byte {0}: the mode is none of git's")]
    Mode(usize),
    /// A name that cannot be in a directory.
    #[error("at byte {offset}: a name in the tree cannot be in a directory: {problem}")]
    Name {
        /// Where the entry begins.
        offset: usize,
        /// The rule that is broken.
        problem: NameProblem,
    },
    /// A name that stands twice.
    #[error("a name stands twice in the tree")]
    Twice,
}

/// Reads a tree of SHA-1 ids, and sorts its entries by name as a NAR does.
///
/// # Errors
/// The first entry that is malformed.
pub fn parse(data: &[u8]) -> Result<Vec<Entry>, TreeError> {
    let mut entries = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let offset = data.len() - rest.len();
        let truncated = || TreeError::Truncated(offset);
        let space = rest.iter().position(|&byte| byte == b' ').ok_or_else(truncated)?;
        let (mode, after) = rest.split_at_checked(space).ok_or_else(truncated)?;
        let kind = kind(mode).ok_or(TreeError::Mode(offset))?;
        let after = after.get(1..).ok_or_else(truncated)?;
        let nul = after.iter().position(|&byte| byte == 0).ok_or_else(truncated)?;
        let (name, after) = after.split_at_checked(nul).ok_or_else(truncated)?;
        check_name(name).map_err(|problem| TreeError::Name { offset, problem })?;
        let after = after.get(1..).ok_or_else(truncated)?;
        let (id, after) = after.split_first_chunk::<20>().ok_or_else(truncated)?;
        entries.push(Entry { name: name.to_vec(), kind, id: ObjectId::Sha1(*id) });
        rest = after;
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if entries.windows(2).any(|pair| matches!(pair, [a, b] if a.name == b.name)) {
        return Err(TreeError::Twice);
    }
    Ok(entries)
}

/// Old trees have modes such as 100664; only the owner's execute bit counts.
fn kind(mode: &[u8]) -> Option<EntryKind> {
    if mode.is_empty() || mode.len() > 7 || !mode.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
    match mode & 0o170_000 {
        0o040_000 => Some(EntryKind::Tree),
        0o100_000 => Some(EntryKind::File { executable: mode & 0o100 != 0 }),
        0o120_000 => Some(EntryKind::Symlink),
        0o160_000 => Some(EntryKind::Submodule),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, name: &str) -> Vec<u8> {
        let mut bytes = format!("{mode} {name}\0").into_bytes();
        bytes.extend([7; 20]);
        bytes
    }

    #[test]
    fn entries_come_in_the_order_of_a_nar() {
        // Git's own order: the directory "a" after the file "a.b".
        let data = [entry("100644", "a.b"), entry("40000", "a"), entry("120000", "z")].concat();
        let names: Vec<_> = parse(&data).unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
        assert_eq!(
            names,
            [
                (b"a".to_vec(), EntryKind::Tree),
                (b"a.b".to_vec(), EntryKind::File { executable: false }),
                (b"z".to_vec(), EntryKind::Symlink),
            ]
        );
    }

    #[test]
    fn only_the_owner_s_execute_bit_counts() {
        for (mode, executable) in [("100664", false), ("100755", true), ("100611", false)] {
            let found = parse(&entry(mode, "f")).unwrap().remove(0).kind;
            assert_eq!(found, EntryKind::File { executable });
        }
    }

    #[test]
    fn hostile_trees_are_refused() {
        let good = entry("100644", "f");
        for end in 1..good.len() {
            assert_eq!(parse(&good[..end]), Err(TreeError::Truncated(0)), "{end}");
        }
        assert_eq!(parse(&[]), Ok(vec![]));
        assert_eq!(parse(&entry("777777", "f")), Err(TreeError::Mode(0)));
        assert!(parse(&entry("+100644", "f")).is_err());
        for name in ["..", ".", "", "a/b"] {
            assert!(matches!(parse(&entry("100644", name)), Err(TreeError::Name { .. })), "{name}");
        }
        let twice = [entry("100644", "f"), entry("40000", "f")].concat();
        assert_eq!(parse(&twice), Err(TreeError::Twice));
    }
}
