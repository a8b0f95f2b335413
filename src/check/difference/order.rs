//! Whether two byte strings are the same pieces in another order.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// How files are made of pieces, from coarse to fine.
const SEPARATIONS: [(&str, &[u8]); 5] = [
    ("lines", b"\n"),
    ("strings that end in NUL", b"\0"),
    ("words", b" \t\r\n"),
    ("items", b", \t\r\n;:|[]{}()\"'"),
    ("path elements", b", \t\r\n;:|[]{}()\"'/="),
];

/// Lengths of records that tables are made of.
const RECORDS: [usize; 6] = [8, 16, 24, 32, 12, 4];

/// What was reordered, if that is all: "lines".
pub(super) fn reordered(a: &[u8], b: &[u8]) -> Option<String> {
    if a.len().abs_diff(b.len()) > 1 || a == b {
        return None;
    }
    for (name, separators) in SEPARATIONS {
        let pieces = |bytes| pieces(bytes, separators);
        if same_pieces(pieces(a), pieces(b)) {
            return Some(name.to_owned());
        }
    }
    if a.len() != b.len() {
        return None;
    }
    let record = RECORDS.into_iter().find(|size| {
        let whole = a.len().is_multiple_of(*size) && a.len() >= size.saturating_mul(4);
        whole && same_pieces(records(a, *size), records(b, *size))
    });
    record.map(|size| format!("records of {size} bytes"))
}

/// Whether common lines stand in another order while others differ: the two
/// without the common ones, and how many of those there are.
pub(super) fn partly_reordered(a: &[u8], b: &[u8]) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let mut left: HashMap<&[u8], usize> = HashMap::new();
    for line in lines(b) {
        let count = left.entry(line).or_default();
        *count = count.saturating_add(1);
    }
    let mut common: HashMap<&[u8], usize> = HashMap::new();
    let mut first = Vec::new();
    let mut rest_a = Vec::new();
    for line in lines(a) {
        match left.get_mut(line).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                let kept = common.entry(line).or_default();
                *kept = kept.saturating_add(1);
                first.push(line);
            }
            None => rest_a.extend_from_slice(line),
        }
    }
    let mut second = Vec::new();
    let mut rest_b = Vec::new();
    for line in lines(b) {
        match common.get_mut(line).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                second.push(line);
            }
            None => rest_b.extend_from_slice(line),
        }
    }
    let moved = first.iter().zip(&second).filter(|(x, y)| x != y).count();
    // An empty line or a lone bracket somewhere else is no reordering.
    let telling = first.iter().filter(|line| line.len() > MIN_TELLING).count();
    (moved > 0 && telling >= 3 && rest_a.len() < a.len() / 2).then_some((rest_a, rest_b, moved))
}

/// Bytes of a line that says something.
const MIN_TELLING: usize = 3;

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

fn pieces<'b>(bytes: &'b [u8], separators: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    bytes.split(|byte| separators.contains(byte)).filter(|piece| !piece.is_empty())
}

fn records(bytes: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks_exact(size)
}

/// Whether both have the same pieces, more than one and not all alike.
fn same_pieces<'b>(a: impl Iterator<Item = &'b [u8]>, b: impl Iterator<Item = &'b [u8]>) -> bool {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut a: Vec<u64> = a.map(|piece| hasher.hash_one(piece)).collect();
    let mut b: Vec<u64> = b.map(|piece| hasher.hash_one(piece)).collect();
    if a.len() != b.len() || a.len() < 2 || a == b {
        return false;
    }
    a.sort_unstable();
    b.sort_unstable();
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(a: &[u8], b: &[u8]) -> Option<String> {
        reordered(a, b)
    }

    #[test]
    fn pieces_in_another_order_are_recognised() {
        assert_eq!(what(b"b\na\nc\n", b"a\nb\nc\n").unwrap(), "lines");
        assert_eq!(what(b"b\na\nc", b"a\nb\nc\n").unwrap(), "lines");
        assert_eq!(what(b"x b a c\n", b"x a b c\n").unwrap(), "words");
        assert_eq!(what(b"{\"a\":1,\"b\":2}", b"{\"b\":2,\"a\":1}").unwrap(), "items");
        assert_eq!(what(b"b\0a\0c\0", b"a\0b\0c\0").unwrap(), "strings that end in NUL");
        let table = |order: [u8; 4]| order.iter().flat_map(|n| [*n; 16]).collect::<Vec<u8>>();
        assert_eq!(what(&table([1, 2, 3, 4]), &table([2, 1, 4, 3])).unwrap(), "records of 8 bytes");
    }

    #[test]
    fn other_pieces_are_not() {
        assert_eq!(what(b"b\na\n", b"a\nc\n"), None);
        assert_eq!(what(b"a\n", b"a\n"), None);
        assert_eq!(what(b"ab", b"ba"), None);
        assert_eq!(what(b"", b"x"), None);
        assert_eq!(what(b"a\na\nb\n", b"a\nb\nb\n"), None);
    }

    #[test]
    fn a_changed_line_among_moved_ones_is_told_apart() {
        let (a, b, moved) =
            partly_reordered(b"one1\ntwo2\nthree\ndate 1\n", b"two2\none1\ndate 2\nthree\n")
                .unwrap();
        assert_eq!((a.as_slice(), b.as_slice(), moved), (&b"date 1\n"[..], &b"date 2\n"[..], 2));
        assert!(partly_reordered(b"one1\ntwo2\nthree\n4\n", b"one1\ntwo2\nthree\n5\n").is_none());
    }
}
