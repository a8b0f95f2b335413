//! Unpacking compressed data from anyone into bounded memory.

use std::io::{self, Read};

use super::super::budget::{Budget, Permit};

/// Compressions that are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Xz,
    Bzip2,
    Zstd,
    /// A raw deflate stream, as in zip files.
    Deflate,
    /// A zlib stream, as in sections of ELF files.
    Zlib,
}

/// Largest dictionary of xz and window of zstd: what their highest usual
/// levels need.
const MAX_WINDOW: u32 = 64 << 20;

impl Packing {
    /// The compression of a file that begins like this.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        [
            (&b"\x1f\x8b\x08"[..], Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"BZh", Self::Bzip2),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
        ]
        .into_iter()
        .find_map(|(magic, packing)| bytes.starts_with(magic).then_some(packing))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Zlib => "zlib",
        }
    }
}

/// What was unpacked, and the memory it takes.
pub(super) struct Unpacked<'b> {
    pub(super) bytes: Vec<u8>,
    _permit: Permit<'b>,
}

/// Why something was not unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It would take more memory than there is.
    TooLarge,
    /// It is not what it begins like.
    Corrupt,
}

impl Refusal {
    pub(super) const fn words(&self) -> &'static str {
        match self {
            Self::TooLarge => "not unpacked: it would take too much memory",
            Self::Corrupt => "not unpacked: it is corrupt",
        }
    }
}

/// Unpacks the whole of `packed`.
pub(super) fn unpack<'b>(
    packing: Packing,
    packed: &[u8],
    budget: &'b Budget,
) -> Result<Unpacked<'b>, Refusal> {
    // A quarter of what is left: both sides, and what is inside of them.
    let cap = budget.left() / 4;
    let mut bytes = Vec::new();
    let read = match packing {
        Packing::Gzip => read(flate2::bufread::MultiGzDecoder::new(packed), cap, &mut bytes),
        Packing::Zlib => read(flate2::bufread::ZlibDecoder::new(packed), cap, &mut bytes),
        Packing::Deflate => read(flate2::bufread::DeflateDecoder::new(packed), cap, &mut bytes),
        Packing::Bzip2 => read(bzip2::bufread::MultiBzDecoder::new(packed), cap, &mut bytes),
        Packing::Xz => xz(packed, cap, &mut bytes),
        Packing::Zstd => zstd(packed, cap, &mut bytes),
    };
    match read {
        Ok(true) => {}
        Ok(false) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::Corrupt),
    }
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if !budget.work(bytes.len()) {
        return Err(Refusal::TooLarge);
    }
    let permit = budget.hold(length).ok_or(Refusal::TooLarge)?;
    Ok(Unpacked { bytes, _permit: permit })
}

/// Reads up to `cap` bytes; whether that was all.
fn read(source: impl Read, cap: u64, into: &mut Vec<u8>) -> io::Result<bool> {
    source.take(cap.saturating_add(1)).read_to_end(into)?;
    Ok(u64::try_from(into.len()).is_ok_and(|length| length <= cap))
}

fn xz(packed: &[u8], cap: u64, into: &mut Vec<u8>) -> io::Result<bool> {
    let memory = u64::from(MAX_WINDOW).saturating_add(2 << 20);
    let stream =
        liblzma::stream::Stream::new_stream_decoder(memory, liblzma::stream::CONCATENATED)?;
    read(liblzma::bufread::XzDecoder::new_stream(packed, stream), cap, into)
}

fn zstd(packed: &[u8], cap: u64, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(MAX_WINDOW.ilog2())?;
    read(decoder, cap, into)
}
