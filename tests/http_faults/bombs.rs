//! A few bytes that unpack to 8 GiB.

use std::io::{self, Read};

/// The size of a bomb.
const BOMB: u64 = 8 << 30;

/// What one of its parts unpacks to.
const PART: u64 = 64 << 20;

/// A part, unpacked.
pub fn part() -> impl Read {
    io::repeat(0).take(PART)
}

/// As many parts, packed, as make a bomb: decoders take streams that follow
/// each other for one.
pub fn bomb(part: Vec<u8>) -> Vec<u8> {
    part.repeat(usize::try_from(BOMB / PART).unwrap())
}

/// Packed by gzip.
pub fn gzip_of(mut bytes: impl Read) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut bytes, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

/// Packed by xz.
pub fn xz_of(mut bytes: impl Read) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    io::copy(&mut bytes, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

/// Packed by zstd.
pub fn zstd_of(mut bytes: impl Read) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut bytes, &mut encoder).unwrap();
    encoder.finish().unwrap()
}
