//! Where two byte strings differ, with insertions and deletions told apart
//! from what merely moved.
//!
//! A greedy alignment: from each difference on, the nearest place is sought
//! where both go on alike. Its work is bounded, and it need not be the
//! shortest list of differences.

use std::collections::HashMap;
use std::ops::Range;

/// Bytes that must agree for two places to count as the same.
const GRAM: usize = 8;

/// How far ahead the same place is sought, in turn: most differences are
/// short, and a far search is dear.
const WINDOWS: [usize; 3] = [256, 4 << 10, 64 << 10];

/// Differences that are listed; a file with more differs all over.
pub(super) const MAX_HUNKS: usize = 2048;

/// One difference: these bytes of the one stand for those of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    pub(super) a: Range<usize>,
    pub(super) b: Range<usize>,
}

/// All differences, in order.
#[derive(Debug, Default)]
pub(super) struct Hunks {
    pub(super) list: Vec<Hunk>,
    /// Whether the list stops at [`MAX_HUNKS`].
    pub(super) more: bool,
}

impl Hunks {
    /// Bytes that differ or have no counterpart.
    pub(super) fn bytes(&self) -> u64 {
        let lengths = self.list.iter().map(|hunk| hunk.a.len().max(hunk.b.len()));
        lengths.fold(0, |sum, length| sum.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)))
    }
}

/// Where `a` and `b` differ.
pub(super) fn align(a: &[u8], b: &[u8]) -> Hunks {
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let mut hunks = Hunks::default();
    let (mut i, mut j) = (0, 0);
    loop {
        let same = common_prefix(rest(a, i), rest(b, j));
        (i, j) = (i.saturating_add(same), j.saturating_add(same));
        if i >= a.len() && j >= b.len() {
            return hunks;
        }
        if hunks.list.len() >= MAX_HUNKS {
            hunks.more = true;
            return hunks;
        }
        // What both end with is never part of a difference.
        let keep = tail.min(a.len().saturating_sub(i)).min(b.len().saturating_sub(j));
        let x = a.get(i..a.len().saturating_sub(keep)).unwrap_or_default();
        let y = b.get(j..b.len().saturating_sub(keep)).unwrap_or_default();
        let (p, q) = resync(x, y).unwrap_or((x.len(), y.len()));
        hunks.list.push(Hunk { a: i..i.saturating_add(p), b: j..j.saturating_add(q) });
        (i, j) = (i.saturating_add(p), j.saturating_add(q));
    }
}

fn rest(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or_default()
}

/// How many bytes both begin with.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 256;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take_while(|(x, y)| x == y);
    let equal = blocks.count().saturating_mul(BLOCK);
    let (a, b) = (rest(a, equal), rest(b, equal));
    equal.saturating_add(a.iter().zip(b).take_while(|(x, y)| x == y).count())
}

/// How much of each to skip until both go on alike.
fn resync(x: &[u8], y: &[u8]) -> Option<(usize, usize)> {
    if x.len() == y.len()
        && let Some(same) = diagonal(x, y)
    {
        return Some((same, same));
    }
    WINDOWS.into_iter().find_map(|window| {
        // A window that the last one reached beyond finds nothing new.
        let x = x.get(..window.min(x.len())).unwrap_or_default();
        let y = y.get(..window.min(y.len())).unwrap_or_default();
        nearest(x, y)
    })
}

/// The first place at the same distance in both.
fn diagonal(x: &[u8], y: &[u8]) -> Option<usize> {
    let mut equal = 0;
    for (at, (p, q)) in x.iter().zip(y).enumerate() {
        equal = if p == q { equal + 1 } else { 0 };
        if equal == GRAM {
            return at.checked_sub(GRAM - 1);
        }
    }
    // Fewer than that at the end count as well: nothing else follows.
    let length = x.len();
    (length > 0).then(|| length.saturating_sub(equal))
}

/// The pair of places with the least skipped where both go on alike.
fn nearest(x: &[u8], y: &[u8]) -> Option<(usize, usize)> {
    let mut places: HashMap<[u8; GRAM], usize> = HashMap::new();
    for (at, gram) in y.windows(GRAM).enumerate() {
        if let Some(gram) = gram.first_chunk::<GRAM>().filter(|gram| is_telling(gram)) {
            places.entry(*gram).or_insert(at);
        }
    }
    let mut best: Option<(usize, usize)> = None;
    for (p, gram) in x.windows(GRAM).enumerate() {
        let least = best.map_or(usize::MAX, |(p, q)| p.saturating_add(q));
        if p >= least {
            break;
        }
        let Some(q) = gram.first_chunk::<GRAM>().and_then(|gram| places.get(gram)) else {
            continue;
        };
        if p.saturating_add(*q) < least {
            best = Some((p, *q));
        }
    }
    let (mut p, mut q) = best?;
    // The same place may begin earlier with bytes that were not telling.
    while let (Some(before_p), Some(before_q)) = (p.checked_sub(1), q.checked_sub(1)) {
        if x.get(before_p) != y.get(before_q) {
            break;
        }
        (p, q) = (before_p, before_q);
    }
    Some((p, q))
}

/// Whether a run of bytes names a place: zeros and blanks are everywhere.
fn is_telling(gram: &[u8; GRAM]) -> bool {
    let [first, ..] = gram;
    gram.iter().filter(|byte| *byte != first).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences<'t>(a: &'t str, b: &'t str) -> Vec<(&'t str, &'t str)> {
        let hunks = align(a.as_bytes(), b.as_bytes());
        assert!(!hunks.more);
        hunks.list.iter().map(|hunk| (&a[hunk.a.clone()], &b[hunk.b.clone()])).collect()
    }

    #[test]
    fn substitutions_insertions_and_deletions_are_found() {
        assert_eq!(differences("the same thing", "the same thing"), []);
        assert_eq!(differences("built at 1234, done", "built at 9874, done"), [("123", "987")]);
        assert_eq!(
            differences("in /tmp/nix-build-x.drv-0/src and more", "in /build/src and more"),
            [("tmp/nix-build-x.drv-0", "build")]
        );
        assert_eq!(differences("abc", ""), [("abc", "")]);
        assert_eq!(differences("", "abc"), [("", "abc")]);
        assert_eq!(
            differences("first thing, second thing, third", "first thing, third"),
            [("second thing, ", "")]
        );
    }

    #[test]
    fn both_sides_can_be_put_together_again() {
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..300 {
            let mut a: Vec<u8> = (0..random.usize(..900)).map(|_| random.u8(..4)).collect();
            let mut b = a.clone();
            for _ in 0..random.usize(..6) {
                let at = random.usize(..=b.len());
                let more: Vec<u8> = (0..random.usize(..20)).map(|_| random.u8(..)).collect();
                b.splice(at..(at + random.usize(..9)).min(b.len()), more);
            }
            if round % 2 == 0 {
                std::mem::swap(&mut a, &mut b);
            }
            let hunks = align(&a, &b);
            let (mut i, mut j) = (0, 0);
            for hunk in &hunks.list {
                assert_eq!(a[i..hunk.a.start], b[j..hunk.b.start]);
                (i, j) = (hunk.a.end, hunk.b.end);
            }
            assert_eq!(a[i..], b[j..]);
        }
    }

    #[test]
    fn the_list_is_bounded() {
        let a: Vec<u8> =
            (0..60_000_u32).flat_map(|n| format!("{n:08} same text ").into_bytes()).collect();
        let mut b = a.clone();
        b.iter_mut().step_by(18).for_each(|byte| *byte ^= 1);
        let hunks = align(&a, &b);
        assert!(hunks.more);
        assert_eq!(hunks.list.len(), MAX_HUNKS);
    }
}
