//! How much memory a compressed stream asks for, from its first bytes.
//!
//! Follows the xz file format 1.1.0 (sections 2.1, 3.1 and 5.3.1), RFC 8878
//! (zstd, section 3.1.1.1), RFC 7932 (brotli, section 9.1) and the lzip
//! manual. It is a hint: later members of the stream may ask for more, and
//! the decoder is held to what was granted.

use crate::gather::nar::compression::{Compression, MAX_WINDOW};

/// Bytes from the beginning of a stream that are enough to tell.
pub(super) const HEAD: usize = 64;

/// What a decoder takes beside its window: buffers, tables and state.
const TABLES: u64 = 1 << 20;

/// A bzip2 decoder of the largest block size, 900 kB.
const BZIP2: u64 = 4 << 20;

/// The window that the stream beginning with `head` asks for, as far as that
/// can be told: at least what every stream needs, at most [`MAX_WINDOW`],
/// which is also the answer where nothing can be told.
pub(super) fn asked_for(compression: Compression, head: &[u8]) -> u64 {
    let window = match compression {
        Compression::None | Compression::Gzip => Some(32 << 10),
        Compression::Bzip2 => Some(BZIP2),
        Compression::Xz => xz(head),
        Compression::Lzip => lzip(head),
        Compression::Zstd => zstd(head),
        // Four blocks of at most 4 MiB, and the 64 KiB before.
        Compression::Lz4 | Compression::Brotli => Some(16 << 20),
    };
    window.unwrap_or(MAX_WINDOW).clamp(32 << 10, MAX_WINDOW)
}

/// The memory that a decoder with such a window takes for a stream of so many
/// bytes: what is never written is never there.
pub(super) fn memory(window: u64, plain: u64) -> u64 {
    window.min(plain).saturating_add(TABLES)
}

/// A size of 2 or 3 times a power of two, as LZMA2 notes it.
fn lzma2_size(bits: u8) -> Option<u64> {
    let base = 2 | u64::from(bits & 1);
    (bits <= 40).then(|| base << (u32::from(bits) / 2 + 11))
}

/// Behind the stream header of 12 bytes, the first block's header: its size,
/// flags, two optional sizes, then the filters; LZMA2 is the last.
fn xz(head: &[u8]) -> Option<u64> {
    let block = head.get(12..)?;
    let (&size, rest) = block.split_first()?;
    let (&flags, mut rest) = rest.split_first()?;
    if size == 0 {
        // An index at once: a stream of nothing.
        return Some(0);
    }
    for flag in [0x40, 0x80] {
        if flags & flag != 0 {
            rest = varint(rest)?.1;
        }
    }
    for _ in 0..=(flags & 3) {
        let (id, after) = varint(rest)?;
        let (length, after) = varint(after)?;
        let length = usize::try_from(length).ok()?;
        let properties = after.get(..length)?;
        if id == 0x21 {
            return lzma2_size(*properties.first()?);
        }
        rest = after.get(length..)?;
    }
    None
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (index * 7);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// `LZIP`, the version, and a power of two less some sixteenths.
fn lzip(head: &[u8]) -> Option<u64> {
    let coded = *head.strip_prefix(b"LZIP\x01")?.first()?;
    let base = 1_u64.checked_shl(u32::from(coded & 0x1f))?;
    Some(base - (base / 16) * u64::from(coded >> 5))
}

/// The frame header: the window, or the content's size in a single segment.
fn zstd(head: &[u8]) -> Option<u64> {
    let rest = head.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let (&descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1_u64.checked_shl(u32::from(window >> 3) + 10)?;
        return Some(base + (base / 8) * u64::from(window & 7));
    }
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied()?;
    let content = rest.get(dictionary..)?;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    match descriptor >> 6 {
        0 => Some(u64::from(*content.first()?)),
        1 => Some(number(content.get(..2)?) + 256),
        2 => Some(number(content.get(..4)?)),
        _ => Some(number(content.get(..8)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_encoders_write_is_understood() {
        for (preset, window) in [(0, 1 << 18), (1, 1 << 20), (6, 8 << 20), (8, 32 << 20)] {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), preset);
            encoder.write_all(b"text").unwrap();
            let packed = encoder.finish().unwrap();
            assert_eq!(asked_for(Compression::Xz, &packed), window, "xz -{preset}");
        }
        // Encoders of several threads write sizes into the block header.
        let mut threaded = vec![0; 12];
        threaded.extend([3, 0xc0, 0x85, 0x01, 0x90, 0xce, 0x03, 0x21, 1, 20, 0, 0]);
        assert_eq!(asked_for(Compression::Xz, &threaded), 4 << 20);
        // An x86 filter before it, which has no properties.
        let mut filtered = vec![0; 12];
        filtered.extend([2, 1, 4, 0, 0x21, 1, 22, 0]);
        assert_eq!(asked_for(Compression::Xz, &filtered), 8 << 20);
        for log in [17, 22, 26] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(b"text").unwrap();
            let packed = encoder.finish().unwrap();
            assert_eq!(asked_for(Compression::Zstd, &packed), 1 << log);
        }
        let packed = zstd::bulk::compress(&[7; 100_000], 1).unwrap();
        assert_eq!(asked_for(Compression::Zstd, &packed), 100_000);
        let lzip = b"LZIP\x01\x17rest of it";
        assert_eq!(asked_for(Compression::Lzip, lzip), 8 << 20);
    }

    #[test]
    fn what_cannot_be_told_is_taken_for_the_most() {
        let mut random = fastrand::Rng::with_seed(3);
        for compression in Compression::ALL {
            for _ in 0..2_000 {
                let mut head = vec![0; random.usize(0..HEAD)];
                random.fill(&mut head);
                let window = asked_for(compression, &head);
                assert!((32 << 10..=MAX_WINDOW).contains(&window));
            }
        }
        assert_eq!(asked_for(Compression::Xz, b"not xz"), MAX_WINDOW);
        assert_eq!(asked_for(Compression::Zstd, b"not zstd"), MAX_WINDOW);
        assert_eq!(memory(MAX_WINDOW, 1000), 1000 + TABLES);
    }
}
