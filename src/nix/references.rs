//! Which store paths a stream of bytes mentions.
//!
//! Follows `src/libstore/references.cc`: a reference is any 32 bytes in a row
//! that equal the hash part of a candidate, wherever they stand - inside a
//! longer run of digits, in a name, in a symlink's target, or across the
//! borders of the chunks they arrive in. The rest of the path does not matter.

use std::collections::{BTreeSet, HashMap};
use std::io;

pub use super::rewrite::{HashModulo, HashModuloHasher, HashRewriter, Offsets};

use super::nix32;
use super::store_path::{HASH_PART_LEN, StorePath};

/// The hash part of a store path as it is written.
pub type HashPart = [u8; HASH_PART_LEN];

/// Which bytes are digits of Nix32.
const IS_DIGIT: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = nix32::ALPHABET;
    while let [first, more @ ..] = rest {
        #[expect(
            clippy::as_conversions,
            clippy::indexing_slicing,
            reason = "evaluated while compiling, where From is not available; a byte is below 256"
        )]
        {
            table[*first as usize] = true;
        }
        rest = more;
    }
    table
};

/// Bits of the filter for each candidate: one false alarm in about 64.
const FILTER_BITS: usize = 64;

/// The hash part of `path` as it is written.
#[must_use]
pub fn hash_part_of(path: &StorePath) -> HashPart {
    let text = path.hash_part();
    text.as_bytes().first_chunk().copied().unwrap_or([b'0'; HASH_PART_LEN])
}

/// Looks for the hash parts of a set of store paths in a stream.
pub struct ReferenceScanner {
    /// Candidates that were not found yet.
    wanted: HashMap<HashPart, Vec<StorePath>>,
    found: BTreeSet<StorePath>,
    filter: Filter,
    /// The last bytes seen: fewer than a window, and all digits matter only
    /// together with what comes next.
    tail: Vec<u8>,
}

impl ReferenceScanner {
    /// Looks for any of `candidates`.
    pub fn new<'a>(candidates: impl IntoIterator<Item = &'a StorePath>) -> Self {
        let mut wanted: HashMap<HashPart, Vec<StorePath>> = HashMap::new();
        for path in candidates {
            wanted.entry(hash_part_of(path)).or_default().push(path.clone());
        }
        let filter = Filter::of(&wanted);
        Self { wanted, found: BTreeSet::new(), filter, tail: Vec::new() }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.wanted.is_empty() {
            return;
        }
        const OVERLAP: usize = HASH_PART_LEN - 1;
        // Windows that begin in earlier chunks, then those within this one.
        let mut seam = std::mem::take(&mut self.tail);
        if !seam.is_empty() {
            seam.extend_from_slice(bytes.get(..OVERLAP).unwrap_or(bytes));
            self.scan(&seam);
        }
        self.scan(bytes);
        match bytes.len().checked_sub(OVERLAP) {
            Some(start) => {
                seam.clear();
                seam.extend_from_slice(bytes.get(start..).unwrap_or_default());
            }
            None if seam.is_empty() => seam.extend_from_slice(bytes),
            None => {
                // The seam ends with all of these bytes.
                let excess = seam.len().saturating_sub(OVERLAP);
                seam.drain(..excess);
            }
        }
        self.tail = seam;
    }

    /// The candidates that were found so far.
    #[must_use]
    pub const fn found(&self) -> &BTreeSet<StorePath> {
        &self.found
    }

    /// The candidates that were found.
    #[must_use]
    pub fn into_found(self) -> BTreeSet<StorePath> {
        self.found
    }

    /// Looks at every window of `bytes`.
    fn scan(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(window) = rest.first_chunk::<HASH_PART_LEN>() {
            // From the back: a byte that is no digit rules out every window
            // up to it, so most bytes are never looked at.
            let skipped = match window.iter().rposition(|&byte| !is_digit(byte)) {
                Some(bad) => bad + 1,
                None => self.scan_run(rest),
            };
            rest = rest.get(skipped..).unwrap_or_default();
        }
    }

    /// Looks at every window of the run of digits that `bytes`, whose first
    /// window is all digits, begins with; says how many bytes that is.
    fn scan_run(&mut self, bytes: &[u8]) -> usize {
        let mut last = HASH_PART_LEN - 1;
        for window in bytes.windows(HASH_PART_LEN) {
            let Some(window) = window.first_chunk() else { break };
            if !window.last().copied().is_some_and(is_digit) {
                break;
            }
            if self.filter.may_hold(window)
                && let Some(paths) = self.wanted.remove(window)
            {
                self.found.extend(paths);
            }
            last += 1;
        }
        last + 1
    }
}

/// Writing is feeding; it never fails.
impl io::Write for ReferenceScanner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_digit(byte: u8) -> bool {
    IS_DIGIT.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Says quickly of most windows that they are no candidate.
struct Filter {
    bits: Vec<u64>,
}

impl Filter {
    fn of(wanted: &HashMap<HashPart, Vec<StorePath>>) -> Self {
        let words = (wanted.len() * FILTER_BITS / 64).next_power_of_two();
        let mut filter = Self { bits: vec![0; words] };
        for part in wanted.keys() {
            let (word, bit) = filter.place(part);
            if let Some(word) = filter.bits.get_mut(word) {
                *word |= bit;
            }
        }
        filter
    }

    fn may_hold(&self, window: &HashPart) -> bool {
        let (word, bit) = self.place(window);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The word and bit for a window; its first eight digits decide.
    fn place(&self, window: &HashPart) -> (usize, u64) {
        let digits = u64::from_le_bytes(window.first_chunk().copied().unwrap_or_default());
        let mixed = digits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = usize::try_from(mixed >> 38).unwrap_or(0) & (self.bits.len() - 1);
        (word, 1 << (mixed >> 32 & 63))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(seed: u8) -> StorePath {
        let bytes =
            std::array::from_fn(|i| seed.wrapping_mul(91).wrapping_add((i as u8).wrapping_mul(57)));
        StorePath::new(bytes, &format!("p{seed}")).unwrap()
    }

    fn scan_in(chunks: &[&[u8]], candidates: &[StorePath]) -> BTreeSet<StorePath> {
        let mut scanner = ReferenceScanner::new(candidates);
        chunks.iter().for_each(|chunk| scanner.feed(chunk));
        scanner.into_found()
    }

    /// The rule itself: some 32 bytes in a row equal the hash part.
    fn plain(bytes: &[u8], candidates: &[StorePath]) -> BTreeSet<StorePath> {
        let wanted = |path: &&StorePath| {
            let part = hash_part_of(path);
            bytes.windows(HASH_PART_LEN).any(|window| window == part)
        };
        candidates.iter().filter(wanted).cloned().collect()
    }

    #[test]
    fn found_at_every_split() {
        let candidates: Vec<_> = (0..4).map(path).collect();
        let part = candidates[1].hash_part();
        for text in [part.clone(), format!("0{part}1"), format!("/nix/store/{part}-x e")] {
            let text = text.as_bytes();
            for a in 0..=text.len() {
                for b in a..=text.len() {
                    let found = scan_in(&[&text[..a], &text[a..b], &text[b..]], &candidates);
                    assert_eq!(found, BTreeSet::from([candidates[1].clone()]), "{a} {b}");
                }
            }
            let single: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(scan_in(&single, &candidates).len(), 1);
        }
    }

    #[test]
    fn broken_parts_are_not_found() {
        let candidates: Vec<_> = (0..4).map(path).collect();
        let part = candidates[2].hash_part();
        for at in 0..HASH_PART_LEN {
            let mut text = part.clone().into_bytes();
            text.insert(at, b'e');
            if at > 0 {
                assert!(scan_in(&[&text], &candidates).is_empty(), "{at}");
            }
            let mut text = part.clone().into_bytes();
            text.remove(at);
            assert!(scan_in(&[&text], &candidates).is_empty(), "{at}");
        }
    }

    #[test]
    fn agrees_with_the_rule_on_random_streams() {
        let mut random = fastrand::Rng::with_seed(7);
        let candidates: Vec<_> = (0..60).map(path).collect();
        let parts: Vec<_> = candidates.iter().map(StorePath::hash_part).collect();
        for round in 0..2_000 {
            let mut bytes = Vec::new();
            for _ in 0..random.usize(0..12) {
                match random.u8(0..5) {
                    0 => bytes.extend_from_slice(random.choice(&parts).unwrap().as_bytes()),
                    1 => {
                        let part = random.choice(&parts).unwrap();
                        bytes.extend_from_slice(&part.as_bytes()[..random.usize(0..32)]);
                    }
                    2 => bytes.extend((0..random.usize(0..80)).map(|_| random.u8(..))),
                    3 => bytes.extend(
                        (0..random.usize(0..80)).map(|_| *random.choice(nix32::ALPHABET).unwrap()),
                    ),
                    _ => bytes.push(b'e'),
                }
            }
            let mut scanner = ReferenceScanner::new(&candidates);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at(random.usize(0..=rest.len().min(50)));
                scanner.feed(chunk);
                rest = more;
            }
            assert_eq!(scanner.into_found(), plain(&bytes, &candidates), "round {round}");
        }
    }

    #[test]
    fn two_paths_with_one_hash_part_are_both_found() {
        let other = StorePath::new(*path(1).hash_bytes(), "other").unwrap();
        let text = path(1).hash_part();
        assert_eq!(scan_in(&[text.as_bytes()], &[path(1), other]).len(), 2);
    }
}
