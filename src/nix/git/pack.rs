//! Packs, gone through once before anything is done with them.
//!
//! A pack of some kilobytes can hold deltas that say they make an object of
//! any size, and zlib streams that grow a thousandfold. [`examine`] reads a
//! pack from its begin to its end, keeps nothing of it, and holds the number of
//! objects and all sizes that it states or has against limits. Whether its
//! objects have the ids they should is for whoever takes them in.
//!
//! Reference: gitformat-pack(5).

use std::io::{self, BufRead};

use flate2::{Decompress, FlushDecompress, Status};

/// What a pack begins with.
const MAGIC: &[u8; 4] = b"PACK";

/// The hash at its end.
const TRAILER: usize = 20;

/// Bytes inflated at once.
const CHUNK: usize = 64 << 10;

/// How much a pack may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// Objects.
    pub objects: u64,
    /// Bytes of one object, deltas applied.
    pub object: u64,
    /// Bytes of all objects, deltas applied.
    pub total: u64,
}

/// What a pack holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackContents {
    /// Objects.
    pub objects: u64,
    /// Bytes of all objects, deltas applied.
    pub total: u64,
}

/// Why a pack is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The stream under it.
    #[error("the pack cannot be read: {0}")]
    Read(io::Error),
    /// It is none, or of a version that is not known.
    #[error("no pack of version 2 begins here")]
    Header,
    /// It ends too early.
    #[error("the pack is cut off within its object {0}")]
    Cut(u64),
    /// Something that no pack has.
    #[error("object {object} of the pack {what}")]
    Malformed {
        /// Which object, from 0.
        object: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than is taken.
    #[error("the pack has {found} {what} (at most {max} are taken)")]
    TooLarge {
        /// How many.
        found: u64,
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
}

/// Goes through a pack.
///
/// # Errors
/// See [`PackError`].
pub fn examine(source: impl BufRead, limits: &PackLimits) -> Result<PackContents, PackError> {
    let mut scan =
        Scan { source, limits: *limits, at: 0, total: 0, inflate: Decompress::new(true) };
    let mut header = [0; 12];
    scan.exactly(&mut header)?;
    let (magic, numbers) = header.split_first_chunk::<4>().ok_or(PackError::Header)?;
    let (version, count) = numbers.split_first_chunk::<4>().ok_or(PackError::Header)?;
    let count = count.first_chunk::<4>().ok_or(PackError::Header)?;
    if magic != MAGIC || u32::from_be_bytes(*version) != 2 {
        return Err(PackError::Header);
    }
    let count = u64::from(u32::from_be_bytes(*count));
    within(count, "objects", limits.objects)?;
    let mut out = vec![0; CHUNK];
    while scan.at < count {
        scan.object(&mut out)?;
        scan.at += 1;
    }
    scan.exactly(&mut [0; TRAILER])?;
    match scan.source.fill_buf() {
        Ok([]) => Ok(PackContents { objects: count, total: scan.total }),
        Ok(_) => Err(PackError::Malformed { object: count, what: "is not in its count" }),
        Err(error) => Err(PackError::Read(error)),
    }
}

fn within(found: u64, what: &'static str, max: u64) -> Result<(), PackError> {
    if found > max { Err(PackError::TooLarge { found, what, max }) } else { Ok(()) }
}

/// A pack under way.
struct Scan<R> {
    source: R,
    limits: PackLimits,
    /// The object it is at.
    at: u64,
    /// Bytes of all objects so far.
    total: u64,
    inflate: Decompress,
}

impl<R: BufRead> Scan<R> {
    fn exactly(&mut self, out: &mut [u8]) -> Result<(), PackError> {
        self.source.read_exact(out).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PackError::Cut(self.at),
            _ => PackError::Read(error),
        })
    }

    fn byte(&mut self) -> Result<u8, PackError> {
        let mut byte = [0];
        self.exactly(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    fn malformed(&self, what: &'static str) -> PackError {
        PackError::Malformed { object: self.at, what }
    }

    fn add(&mut self, size: u64) -> Result<(), PackError> {
        within(size, "bytes in one object", self.limits.object)?;
        self.total = self.total.saturating_add(size);
        within(self.total, "bytes in all objects", self.limits.total)
    }

    fn object(&mut self, out: &mut [u8]) -> Result<(), PackError> {
        let first = self.byte()?;
        let kind = first >> 4 & 7;
        let mut size = u64::from(first & 15);
        let mut shift = 4;
        let mut last = first;
        while last & 0x80 != 0 {
            last = self.byte()?;
            size |= shifted(last, shift).ok_or_else(|| self.malformed("has no size"))?;
            shift += 7;
        }
        let delta = match kind {
            1..=4 => false,
            6 => {
                let mut bytes = 1;
                while self.byte()? & 0x80 != 0 {
                    bytes += 1;
                    if bytes > 9 {
                        return Err(self.malformed("has no offset of its base"));
                    }
                }
                true
            }
            7 => {
                self.exactly(&mut [0; TRAILER])?;
                true
            }
            _ => return Err(self.malformed("is of no known kind")),
        };
        within(size, "bytes in one object", self.limits.object)?;
        if !delta {
            self.add(size)?;
        }
        self.content(size, delta, out)
    }

    /// Inflates `size` bytes; of a delta the first ones say what it makes.
    fn content(&mut self, size: u64, delta: bool, out: &mut [u8]) -> Result<(), PackError> {
        self.inflate.reset(true);
        let mut made = 0_u64;
        // What a delta says of its base and its result: two numbers.
        let mut head: Vec<u8> = Vec::new();
        loop {
            let input = self.source.fill_buf().map_err(PackError::Read)?;
            let ended = input.is_empty();
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, out, FlushDecompress::None);
            let Ok(status) = status else { return Err(self.malformed("is no zlib stream")) };
            let taken = self.inflate.total_in() - before_in;
            let given = self.inflate.total_out() - before_out;
            self.source.consume(usize::try_from(taken).unwrap_or(usize::MAX));
            made = made.saturating_add(given);
            if made > size {
                return Err(self.malformed("is longer than it says"));
            }
            if delta && head.len() < 20 {
                let given = usize::try_from(given).unwrap_or(usize::MAX);
                head.extend(out.iter().take(given.min(20 - head.len())));
            }
            match status {
                Status::StreamEnd => break,
                _ if ended => return Err(PackError::Cut(self.at)),
                _ if taken == 0 && given == 0 => {
                    return Err(self.malformed("is no zlib stream"));
                }
                Status::Ok | Status::BufError => {}
            }
        }
        if made != size {
            return Err(self.malformed("is shorter than it says"));
        }
        if delta {
            let mut rest = head.as_slice();
            let result = number(&mut rest).and_then(|_base| number(&mut rest));
            let result = result.ok_or_else(|| self.malformed("is a delta without sizes"))?;
            self.add(result)?;
        }
        Ok(())
    }
}

fn shifted(byte: u8, shift: u32) -> Option<u64> {
    let bits = u64::from(byte & 0x7f);
    let moved = bits.checked_shl(shift)?;
    (moved >> shift == bits).then_some(moved)
}

/// A number of a delta's head: seven bits a byte, the lowest first.
fn number(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= shifted(*byte, shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const LIMITS: PackLimits = PackLimits { objects: 10, object: 1 << 20, total: 2 << 20 };

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn head(kind: u8, mut size: usize) -> Vec<u8> {
        let mut out = vec![kind << 4 | (size & 15) as u8];
        size >>= 4;
        while size > 0 {
            *out.last_mut().unwrap() |= 0x80;
            out.push((size & 0x7f) as u8);
            size >>= 7;
        }
        out
    }

    fn pack(count: u32, objects: &[u8]) -> Vec<u8> {
        [b"PACK\0\0\0\x02".as_slice(), &count.to_be_bytes(), objects, &[0; 20]].concat()
    }

    fn blob(size: usize, content: &[u8]) -> Vec<u8> {
        [head(3, size), zlib(content)].concat()
    }

    #[test]
    fn objects_are_counted_and_measured() {
        let one = blob(70_000, &[7; 70_000]);
        let delta = [0x80, 0x80, 0x40, 0x80, 0x80, 0x04, 1];
        let two = [head(7, delta.len()), vec![1; 20], zlib(&delta)].concat();
        let whole = pack(2, &[one, two].concat());
        let found = examine(whole.as_slice(), &LIMITS).unwrap();
        assert_eq!(found, PackContents { objects: 2, total: 70_000 + (4 << 14) });
        for cut in 0..whole.len() {
            assert!(examine(&whole[..cut], &LIMITS).is_err(), "{cut}");
        }
        assert!(examine([whole.as_slice(), b"x"].concat().as_slice(), &LIMITS).is_err());
    }

    #[test]
    fn what_grows_too_much_is_refused() {
        let error = |pack: &[u8]| examine(pack, &LIMITS).unwrap_err().to_string();
        assert!(error(&pack(11, &[])).contains("11 objects"));
        assert!(error(&pack(1, &blob(2 << 20, &[]))).contains("bytes in one object"));
        // A delta of nine bytes that says it makes an exabyte.
        let delta = [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
        let bomb = [head(7, delta.len()), vec![1; 20], zlib(&delta)].concat();
        assert!(error(&pack(1, &bomb)).contains("bytes in one object"));
        // One that makes much many times.
        let delta = [1, 0x80, 0x80, 0x40];
        let bomb = [head(7, delta.len()), vec![1; 20], zlib(&delta)].concat();
        assert!(error(&pack(3, &bomb.repeat(3))).contains("bytes in all objects"));
        // A stream that is longer than its head says, to fill whoever trusts it.
        assert!(error(&pack(1, &blob(5, &[0; 1 << 20]))).contains("longer than it says"));
        assert!(error(&pack(1, &blob(50, b"ab"))).contains("shorter than it says"));
        assert!(error(&pack(1, &[head(5, 1), zlib(b"a")].concat())).contains("no known kind"));
        assert!(error(&pack(1, &[vec![0xff; 12], zlib(b"a")].concat())).contains("no size"));
        let offset = [head(6, 1), vec![0xff; 12], zlib(b"a")].concat();
        assert!(error(&pack(1, &offset)).contains("no offset"));
        assert!(error(b"PACK\0\0\0\x03\0\0\0\0").contains("no pack"));
    }
}
