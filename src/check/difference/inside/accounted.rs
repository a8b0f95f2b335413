//! Which bytes of a file a reader has accounted for.
//!
//! What stands between members or outside of sections is seen by nobody who
//! opens the file as usual. It must not go unsaid because something else was
//! found: the rest of both files is compared as bytes.

use std::ops::Range;

use super::super::clues::Clues;
use super::super::generic;

/// The parts of a file that were compared otherwise.
#[derive(Debug, Default)]
pub(super) struct Accounted(Vec<Range<usize>>);

impl Accounted {
    /// So many bytes from there on were compared, or follow from what was.
    pub(super) fn add(&mut self, at: usize, length: usize) {
        self.0.push(at..at.saturating_add(length));
    }

    /// The fill bytes between `from` and `to`, if they are nothing else.
    pub(super) fn add_fill(&mut self, bytes: &[u8], from: usize, to: usize, fill: u8) {
        let to = to.min(bytes.len());
        let found = bytes.get(from..to).unwrap_or_default();
        if found.iter().all(|byte| *byte == fill) {
            self.add(from, found.len());
        }
    }

    /// The rest of `bytes`, put together.
    fn rest(mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|range| range.start);
        let mut rest = Vec::new();
        let mut at = 0;
        for range in self.0 {
            // A range may begin before the last one ended, or behind the end.
            let start = range.start.min(bytes.len());
            rest.extend_from_slice(bytes.get(at..start).unwrap_or_default());
            at = at.max(range.end.min(bytes.len()));
        }
        rest.extend_from_slice(bytes.get(at..).unwrap_or_default());
        rest
    }
}

/// Compares what was not accounted for in two files.
pub(super) fn compare_rest(
    (a, known_a): (&[u8], Accounted),
    (b, known_b): (&[u8], Accounted),
    clues: &mut Clues<'_>,
) {
    let (x, y) = (known_a.rest(a), known_b.rest(b));
    if x != y {
        clues.within("bytes that belong to no part of it".to_owned(), |clues| {
            generic::compare(&x, &y, clues);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_what_no_range_covers() {
        let mut known = Accounted::default();
        known.add(7, 2);
        known.add(1, 3);
        known.add(2, 1);
        known.add(50, 9);
        known.add_fill(b"0123456789\0\0\0d", 10, 13, 0);
        known.add_fill(b"0123456789\0\0\0d", 12, 14, 0);
        assert_eq!(known.rest(b"0123456789\0\0\0d"), b"04569d");
    }
}
