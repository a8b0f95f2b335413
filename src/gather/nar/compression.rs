//! Decompression of what caches serve, bounded in memory and strict at the end.
//!
//! Follows `src/libutil/compression.cc`. Streams made of several members or frames
//! are read as one, as Nix does; anything else after the end is refused, and
//! so is a stream whose header asks for a window over [`MAX_WINDOW`].

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::gather::nar::brotli_stream::BrotliReader;
pub use crate::nix::compression::Compression;

/// Largest dictionary or window a stream may ask for: what `xz -9` and
/// `zstd --long=26` need. Above it a header of a few bytes could claim
/// gigabytes.
pub const MAX_WINDOW: u64 = 64 << 20;

/// What liblzma allocates beside a dictionary: its own tables.
const LZMA_TABLES: u64 = 2 << 20;

/// The smallest window zstd knows, 1 KiB, as a logarithm.
const ZSTD_LEAST_LOG: u32 = 10;

/// Bytes asked for at once from the source, ...
const BUFFER: usize = 64 << 10;

/// ... and from one that is small.
const LEAST_BUFFER: usize = 4 << 10;

/// The first bytes of an LZ4 frame; the older "legacy" frame has no end mark,
/// so that a cut could not be told from the end, and is refused.
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Why a stream could not be decompressed. Errors of a [`reader`] carry one of
/// these inside ([`DecompressError::of`]); errors of the source pass through
/// as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The header asks for more memory than we give.
    #[error(
        "the {compression} stream needs a window of more than {most} bytes to decompress (a limit of this tool)"
    )]
    TooLarge {
        /// The compression.
        compression: Compression,
        /// The largest window granted.
        most: u64,
    },
    /// The bytes are no such stream.
    #[error("the {compression} stream is corrupt near byte {offset}: {message}")]
    Corrupt {
        /// The compression.
        compression: Compression,
        /// Compressed bytes taken before the error.
        offset: u64,
        /// What the decoder said.
        message: String,
    },
    /// The stream ends too soon.
    #[error("the {compression} stream is cut off after {offset} bytes")]
    Truncated {
        /// The compression.
        compression: Compression,
        /// Compressed bytes there were.
        offset: u64,
    },
    /// Something follows the end of the stream.
    #[error(
        "the {compression} stream ends after {offset} bytes, but something else follows (expected the end)"
    )]
    Trailing {
        /// The compression.
        compression: Compression,
        /// Where the stream ends.
        offset: u64,
    },
}

impl DecompressError {
    /// The decompression error that `error` carries, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<DecompressError> for io::Error {
    fn from(error: DecompressError) -> Self {
        let kind = match error {
            DecompressError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            DecompressError::TooLarge { .. } => io::ErrorKind::OutOfMemory,
            DecompressError::Corrupt { .. } | DecompressError::Trailing { .. } => {
                io::ErrorKind::InvalidData
            }
        };
        Self::new(kind, error)
    }
}

/// Decompresses `source` as it is read.
///
/// The reader's errors are [`DecompressError`]s or those of the source. It
/// reports the end only after the source has ended too.
///
/// # Errors
/// When a decoder cannot be set up (out of memory).
pub fn reader<'a, R: Read + Send + 'a>(
    compression: Compression,
    source: R,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    reader_within(compression, source, MAX_WINDOW, u64::MAX)
}

/// The same, for a dictionary or window of at most so many bytes (never more
/// than [`MAX_WINDOW`]); brotli, gzip, bzip2 and LZ4 have bounds of their own.
/// `source` is expected to have so many bytes, and may have more.
pub(super) fn reader_within<'a, R: Read + Send + 'a>(
    compression: Compression,
    source: R,
    window: u64,
    expected: u64,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let buffer = usize::try_from(expected).unwrap_or(BUFFER).clamp(LEAST_BUFFER, BUFFER);
    let window = window.min(MAX_WINDOW);
    let lzma_memory = window.saturating_add(LZMA_TABLES);
    // The next power of two: zstd's windows lie between.
    let zstd_log = window.next_power_of_two().ilog2().max(ZSTD_LEAST_LOG);
    let progress = Arc::new(Progress::default());
    let source =
        Source { inner: BufReader::with_capacity(buffer, source), progress: Arc::clone(&progress) };
    let decoder: Box<dyn Decoder + Send + 'a> = match compression {
        Compression::None => return Ok(Box::new(source.inner)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                lzma_memory,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
        }
        Compression::Lzip => {
            let stream = liblzma::stream::Stream::new_lzip_decoder(
                lzma_memory,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
        }
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(zstd_log)?;
            Box::new(decoder)
        }
        Compression::Lz4 => Box::new(Lz4::Between(source)),
        Compression::Brotli => Box::new(BrotliReader::new(source)),
    };
    Ok(Box::new(Strict { decoder, compression, progress, window, done: false }))
}

/// How far the source has been read, and how it ended.
#[derive(Default)]
struct Progress {
    offset: AtomicU64,
    ended: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// The compressed side, watched.
struct Source<R> {
    inner: BufReader<R>,
    progress: Arc<Progress>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(out.len());
        for (slot, byte) in out.iter_mut().zip(available) {
            *slot = *byte;
        }
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.inner.fill_buf() {
            Ok(buffer) => {
                if buffer.is_empty() {
                    self.progress.ended.store(true, Ordering::Relaxed);
                }
                Ok(buffer)
            }
            Err(error) => {
                self.progress.failed.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        let amount = u64::try_from(amount).unwrap_or(u64::MAX);
        self.progress.offset.fetch_add(amount, Ordering::Relaxed);
    }
}

/// A decoder that can say whether its source has ended.
trait Decoder: Read {
    fn at_end(&mut self) -> io::Result<bool>;
}

impl<R: BufRead> Decoder for liblzma::bufread::XzDecoder<R> {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Decoder for bzip2::bufread::MultiBzDecoder<R> {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Decoder for flate2::bufread::MultiGzDecoder<R> {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Decoder for zstd::stream::read::Decoder<'_, R> {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.get_mut().fill_buf()?.is_empty())
    }
}

impl<R: BufRead> Decoder for BrotliReader<R> {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.source().fill_buf()?.is_empty())
    }
}

/// LZ4 frames one after the other, each by a decoder of its own. The frame
/// decoder takes a source that ends inside a frame for the end of the frame,
/// so the watched source has to say which it was.
enum Lz4<R: Read> {
    Between(Source<R>),
    Inside(Box<lz4_flex::frame::FrameDecoder<Source<R>>>),
    /// Only while one turns into the other.
    Turning,
}

impl<R: Read> Lz4<R> {
    /// Begins the next frame, if there is one.
    fn begin(mut source: Source<R>) -> (Self, io::Result<bool>) {
        let started = source.progress.offset() > 0;
        let verdict = source.fill_buf().and_then(|begin| {
            if begin.is_empty() && started {
                Ok(false)
            } else if begin.iter().zip(LZ4_MAGIC).all(|(found, wanted)| *found == wanted) {
                Ok(true)
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidData, "no LZ4 frame begins here"))
            }
        });
        if matches!(verdict, Ok(true)) {
            let decoder = lz4_flex::frame::FrameDecoder::new(source);
            (Self::Inside(Box::new(decoder)), verdict)
        } else {
            (Self::Between(source), verdict)
        }
    }
}

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::Turning) {
                Self::Inside(mut decoder) => {
                    let read = decoder.read(out);
                    if !matches!(read, Ok(0)) || out.is_empty() {
                        *self = Self::Inside(decoder);
                        return read;
                    }
                    let source = decoder.into_inner();
                    let cut = source.progress.ended();
                    *self = Self::Between(source);
                    if cut {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Self::Between(source) => {
                    let (next, verdict) = Self::begin(source);
                    *self = next;
                    if !verdict? {
                        return Ok(0);
                    }
                }
                Self::Turning => return Ok(0),
            }
        }
    }
}

impl<R: Read> Decoder for Lz4<R> {
    fn at_end(&mut self) -> io::Result<bool> {
        match self {
            Self::Between(source) => Ok(source.fill_buf()?.is_empty()),
            Self::Inside(_) | Self::Turning => Ok(false),
        }
    }
}

/// Names errors and insists on the end.
struct Strict<'a> {
    decoder: Box<dyn Decoder + Send + 'a>,
    compression: Compression,
    progress: Arc<Progress>,
    /// The largest window granted.
    window: u64,
    done: bool,
}

impl Read for Strict<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done || out.is_empty() {
            return Ok(0);
        }
        match self.decoder.read(out) {
            Ok(0) => {}
            Ok(read) => return Ok(read),
            Err(error) => return Err(self.named(error)),
        }
        if !self.decoder.at_end()? {
            return Err(DecompressError::Trailing {
                compression: self.compression,
                offset: self.progress.offset(),
            }
            .into());
        }
        self.done = true;
        Ok(0)
    }
}

impl Strict<'_> {
    fn named(&self, error: io::Error) -> io::Error {
        if self.progress.failed.load(Ordering::Relaxed)
            || error.kind() == io::ErrorKind::Interrupted
        {
            return error;
        }
        let (compression, offset) = (self.compression, self.progress.offset());
        let lzma_limit = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .is_some_and(|inner| matches!(inner, liblzma::stream::Error::MemLimit));
        let message = error.to_string();
        if lzma_limit || message.contains("requires too much memory") {
            DecompressError::TooLarge { compression, most: self.window }.into()
        } else if self.progress.ended() {
            DecompressError::Truncated { compression, offset }.into()
        } else {
            DecompressError::Corrupt { compression, offset, message }.into()
        }
    }
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
