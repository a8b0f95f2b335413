//! Replacing a hash part in a stream, and hashing modulo one.
//!
//! Follows `RewritingSink` and `HashModuloSink` of
//! `src/libstore/references.cc`: content-addressed outputs that mention
//! themselves are hashed with their own hash part replaced by zeros, and in
//! Nix up to 2.16 and from 2.35 on followed by where it stood.

use std::io::{self, Write};

use super::hash::{Hash, HashAlgorithm, Hasher};
use super::references::{HashPart, hash_part_of};
use super::store_path::{HASH_PART_LEN, StorePath};

/// Bytes worked on at once.
const PIECE: usize = 64 * 1024;

/// Where in a stream a hash part stood, ascending.
///
/// Kept as distances of seven bits a byte, so even a stream of nothing else
/// takes only one byte for each 32 of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets {
    distances: Vec<u8>,
    last: u64,
    count: u64,
}

impl Offsets {
    fn push(&mut self, offset: u64) {
        let mut rest = offset.saturating_sub(self.last);
        while rest > 0x7f {
            self.distances.push(low_seven(rest) | 0x80);
            rest >>= 7;
        }
        self.distances.push(low_seven(rest));
        self.last = offset;
        self.count += 1;
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut offset = 0_u64;
        let mut distance = 0_u64;
        let mut shift = 0_u32;
        self.distances.iter().filter_map(move |byte| {
            distance |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 != 0 {
                shift += 7;
                return None;
            }
            offset += distance;
            (distance, shift) = (0, 0);
            Some(offset)
        })
    }
}

fn low_seven(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

/// Replaces every occurrence of one hash part on the way to a sink, and
/// remembers where they were. To replace several, put one into another.
pub struct HashRewriter<W> {
    sink: W,
    from: HashPart,
    to: HashPart,
    /// For each byte, how far a window that ends with it may be moved on.
    shifts: [u8; 256],
    /// Bytes not passed on yet: fewer than a window between writes.
    held: Vec<u8>,
    /// Offset of the first byte held.
    offset: u64,
    offsets: Offsets,
}

impl<W: Write> HashRewriter<W> {
    /// Replaces `from` by `to`.
    pub fn new(sink: W, from: HashPart, to: HashPart) -> Self {
        const WHOLE: u8 = 32;
        const _: () = assert!(HASH_PART_LEN == 32, "a window is moved by its length");
        let mut shifts = [WHOLE; 256];
        for (byte, distance) in from.iter().zip((0..WHOLE).rev()) {
            if let Some(shift) = shifts.get_mut(usize::from(*byte)) {
                *shift = distance;
            }
        }
        let (held, offsets) = (Vec::new(), Offsets::default());
        Self { sink, from, to, shifts, held, offset: 0, offsets }
    }

    /// Replaces the hash part of one path by that of another.
    pub fn between(sink: W, from: &StorePath, to: &StorePath) -> Self {
        Self::new(sink, hash_part_of(from), hash_part_of(to))
    }

    /// Replaces the hash part of `from` by NUL bytes.
    pub fn zeroing(sink: W, from: &StorePath) -> Self {
        Self::new(sink, hash_part_of(from), [0; HASH_PART_LEN])
    }

    /// Passes on what is held back, and gives the sink and the offsets.
    ///
    /// # Errors
    /// A sink that cannot be written.
    pub fn finish(mut self) -> io::Result<(W, Offsets)> {
        self.sink.write_all(&self.held)?;
        self.sink.flush()?;
        Ok((self.sink, self.offsets))
    }

    /// Replaces what is in `held`, and passes on all but the last bytes.
    fn pass_on(&mut self) -> io::Result<()> {
        let mut start = 0;
        while let Some(window) =
            self.held.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<HASH_PART_LEN>)
        {
            let [.., last] = window;
            let shift = self.shifts.get(usize::from(*last)).map_or(1, |&shift| usize::from(shift));
            if shift > 0 {
                start += shift;
                continue;
            }
            if *window == self.from {
                *window = self.to;
                self.offsets.push(self.offset + u64::try_from(start).unwrap_or(u64::MAX));
                if self.to == self.from {
                    start += HASH_PART_LEN - 1;
                }
            }
            start += 1;
        }
        let passed = self.held.len().saturating_sub(HASH_PART_LEN - 1);
        self.sink.write_all(self.held.get(..passed).unwrap_or_default())?;
        self.held.drain(..passed);
        self.offset += u64::try_from(passed).unwrap_or(u64::MAX);
        Ok(())
    }
}

impl<W: Write> Write for HashRewriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        self.held.extend_from_slice(piece);
        self.pass_on()?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A running hash as a sink.
struct HashSink(Hasher);

impl Write for HashSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes a stream modulo one hash part.
pub struct HashModuloHasher(HashRewriter<HashSink>);

/// The two hashes of a stream modulo a hash part; equal if it is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashModulo {
    /// As Nix up to 2.16 and from 2.35 on: zeroed, then `|<offset>` for each.
    pub with_offsets: Hash,
    /// As Nix 2.17 to 2.34 and Lix: zeroed only.
    pub without_offsets: Hash,
    /// Where the hash part stood.
    pub offsets: Offsets,
}

impl HashModuloHasher {
    /// Hashes modulo the hash part of `own`.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, own: &StorePath) -> Self {
        Self(HashRewriter::zeroing(HashSink(Hasher::new(algorithm)), own))
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Neither the rewriter nor the hash can fail.
        let _ = self.0.write_all(bytes);
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(self) -> HashModulo {
        let HashRewriter { sink: HashSink(mut hasher), held, offsets, .. } = self.0;
        hasher.update(&held);
        let without_offsets = hasher.clone().finish();
        for offset in offsets.iter() {
            hasher.update(format!("|{offset}").as_bytes());
        }
        HashModulo { with_offsets: hasher.finish(), without_offsets, offsets }
    }
}

impl Write for HashModuloHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (StorePath, StorePath) {
        let from = "c5asc3lmr2jn3f0m2y77cf48078qb9mg-ca".parse().unwrap();
        (from, "fj6lb7gkbaynfim0zqiqiykjk08bjnm6-ca".parse().unwrap())
    }

    /// Everything at once, as the rule says it.
    fn plain(text: &[u8], from: &[u8], to: &[u8]) -> (Vec<u8>, Vec<u64>) {
        let (mut out, mut offsets, mut at) = (text.to_vec(), Vec::new(), 0);
        while at + from.len() <= out.len() {
            if out[at..].starts_with(from) {
                out[at..at + to.len()].copy_from_slice(to);
                offsets.push(at as u64);
            }
            at += 1;
        }
        (out, offsets)
    }

    #[test]
    fn replaced_at_every_split() {
        let (from, to) = parts();
        let part = from.hash_part();
        let text = format!("{part}{part} {}{part}{}", &part[..31], &part[1..]);
        let wanted = plain(text.as_bytes(), part.as_bytes(), to.hash_part().as_bytes());
        assert_eq!(wanted.1, [0, 32, 96]);
        for a in 0..=text.len() {
            for b in a..=text.len() {
                let mut rewriter = HashRewriter::between(Vec::new(), &from, &to);
                for chunk in [&text[..a], &text[a..b], &text[b..]] {
                    rewriter.write_all(chunk.as_bytes()).unwrap();
                }
                let (out, offsets) = rewriter.finish().unwrap();
                assert_eq!((out, offsets.iter().collect()), wanted, "{a} {b}");
            }
        }
    }

    #[test]
    fn agrees_with_the_rule_on_random_streams() {
        let mut random = fastrand::Rng::with_seed(3);
        // Few letters, so that near misses and overlaps abound.
        for round in 0..3_000 {
            let letters = b"01\0";
            let mut part: HashPart = std::array::from_fn(|_| letters[random.usize(0..2)]);
            let period = random.usize(1..6);
            (period..32).for_each(|i| part[i] = part[i - period]);
            let to: HashPart = if random.bool() {
                [0; 32]
            } else {
                std::array::from_fn(|_| letters[random.usize(0..2)])
            };
            if to == part {
                continue;
            }
            let mut text = Vec::new();
            for _ in 0..random.usize(0..8) {
                if random.bool() {
                    text.extend_from_slice(&part[random.usize(0..4)..]);
                } else {
                    text.extend((0..random.usize(0..40)).map(|i| part[i % 32]));
                }
            }
            let wanted = plain(&text, &part, &to);
            let mut rewriter = HashRewriter::new(Vec::new(), part, to);
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at(random.usize(0..=rest.len()));
                rewriter.write_all(chunk).unwrap();
                rest = more;
            }
            let (out, offsets) = rewriter.finish().unwrap();
            assert_eq!((out, offsets.iter().collect()), wanted, "round {round}");
        }
    }

    #[test]
    fn replacing_by_itself_ends() {
        let (from, _) = parts();
        let mut rewriter = HashRewriter::between(Vec::new(), &from, &from);
        rewriter.write_all(from.hash_part().repeat(3).as_bytes()).unwrap();
        let (out, offsets) = rewriter.finish().unwrap();
        assert_eq!((out.len(), offsets.iter().collect()), (96, vec![0, 32, 64]));
    }

    #[test]
    fn offsets_read_back() {
        let mut offsets = Offsets::default();
        let values = [0, 1, 127, 128, 300, 1 << 20, (1 << 40) + 5, u64::MAX - 1];
        values.iter().for_each(|&value| offsets.push(value));
        assert_eq!(offsets.iter().collect::<Vec<_>>(), values);
        assert_eq!(offsets.len(), 8);
    }

    #[test]
    fn no_self_reference_is_the_plain_hash() {
        let mut hasher = HashModuloHasher::new(HashAlgorithm::Sha256, &parts().0);
        hasher.feed(b"hello\n");
        let modulo = hasher.finish();
        assert_eq!(modulo.with_offsets, Hash::of(HashAlgorithm::Sha256, b"hello\n"));
        assert_eq!(modulo.without_offsets, modulo.with_offsets);
        assert!(modulo.offsets.is_empty());
    }
}
