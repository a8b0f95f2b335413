//! Fields at fixed places in headers of files that need no further reading.

use std::ops::Range;

use super::clues::Cause;
use super::explanation::{Certainty, Class};
use super::hunks::Hunk;
use super::numbers::{calendar, number};

/// A field of a known header that both files have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    at: Range<usize>,
    class: Class,
    what: &'static str,
    big_endian: bool,
}

impl Field {
    const fn time(start: usize, what: &'static str) -> Self {
        let at = start..start.saturating_add(4);
        Self { at, class: Class::Timestamp, what, big_endian: false }
    }

    const fn checksum(start: usize, what: &'static str) -> Self {
        let at = start..start.saturating_add(4);
        Self { at, class: Class::Consequence, what, big_endian: false }
    }

    /// Whether a difference lies in it.
    pub(super) fn covers(&self, hunk: &Hunk) -> bool {
        let inside = |range: &Range<usize>| {
            self.at.start <= range.start && range.end <= self.at.end && !range.is_empty()
        };
        inside(&hunk.a) && inside(&hunk.b)
    }

    /// Why it differs.
    pub(super) fn cause(&self, a: &[u8], b: &[u8]) -> Cause {
        let value = |bytes: &[u8]| {
            number(bytes.get(self.at.clone()).unwrap_or_default(), self.big_endian).unwrap_or(0)
        };
        let show = |value: u64| match self.class {
            Class::Timestamp => calendar(value),
            _ => format!("{value:08x}"),
        };
        Cause {
            class: self.class,
            certainty: Certainty::Certain,
            what: self.what.to_owned(),
            claimed: show(value(a)),
            ours: show(value(b)),
        }
    }
}

/// The fields of both files, if they have the same known header.
pub(super) fn known(a: &[u8], b: &[u8]) -> Vec<Field> {
    let (x, y) = (fields(a), fields(b));
    if x == y { x } else { Vec::new() }
}

fn fields(bytes: &[u8]) -> Vec<Field> {
    if bytes.starts_with(b"hsqs") {
        return vec![Field::time(8, "creation time in the squashfs superblock")];
    }
    if is_pyc(bytes) {
        let flags = number(bytes.get(4..8).unwrap_or_default(), false);
        return match flags {
            Some(0) => vec![Field::time(8, "modification time of the source in Python bytecode")],
            _ => vec![Field {
                at: 8..16,
                class: Class::Consequence,
                what: "hash of the source in Python bytecode",
                big_endian: false,
            }],
        };
    }
    if let Some(header) = portable_executable(bytes) {
        return vec![
            Field::time(header.saturating_add(8), "TimeDateStamp in the PE header"),
            Field::checksum(header.saturating_add(0x58), "checksum in the PE header"),
        ];
    }
    Vec::new()
}

/// Python bytecode: a version number of two bytes, CR, LF, and flags.
fn is_pyc(bytes: &[u8]) -> bool {
    bytes.get(2..4) == Some(b"\r\n")
        && bytes.get(5..8) == Some(&[0; 3])
        && bytes.get(4).is_some_and(|flags| *flags <= 3)
        && bytes.get(16).is_some_and(|kind| kind & 0x7f == b'c')
}

/// Where the PE header is.
fn portable_executable(bytes: &[u8]) -> Option<usize> {
    let offset = number(bytes.strip_prefix(b"MZ").and(bytes.get(0x3c..0x40))?, false)?;
    let offset = usize::try_from(offset).ok()?;
    (bytes.get(offset..offset.checked_add(4)?)? == b"PE\0\0").then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(a: &[u8], b: &[u8]) -> Option<Cause> {
        let at = a.iter().zip(b).position(|(x, y)| x != y).unwrap();
        let hunk = Hunk { a: at..at + 1, b: at..at + 1 };
        known(a, b).iter().find(|field| field.covers(&hunk)).map(|field| field.cause(a, b))
    }

    #[test]
    fn times_in_headers_are_known_by_their_place() {
        let pyc = |time: u32| {
            [&b"\xa7\x0d\r\n\0\0\0\0"[..], &time.to_le_bytes(), b"\x10\0\0\0\xe3\0\0"].concat()
        };
        let found = cause(&pyc(1_600_000_000), &pyc(1_600_000_001)).unwrap();
        assert_eq!(
            (found.class, found.claimed.as_str()),
            (Class::Timestamp, "2020-09-13 12:26:40")
        );

        let pe = |time: u32| {
            let mut bytes = vec![0; 0x100];
            bytes[..2].copy_from_slice(b"MZ");
            bytes[0x3c] = 0x40;
            bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
            bytes[0x48..0x4c].copy_from_slice(&time.to_le_bytes());
            bytes
        };
        assert!(cause(&pe(7), &pe(8)).unwrap().what.contains("PE"));
        assert_eq!(cause(b"MZx", b"MZy"), None);
        assert_eq!(cause(b"hsqs0000abcd", b"hsqs1000abcd"), None);
    }
}
