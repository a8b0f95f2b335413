//! NARs out of caches: decompressed and checked as they stream by, never
//! further than their claimed size.

use std::io::{self, Read, Write};

use crate::gather::cache::{CacheClient, CacheError, CacheUrl};
use crate::gather::http::HttpError;
use crate::gather::nar::compression::{self, DecompressError};
use crate::gather::nar::memory::DECODERS;
use crate::gather::nar::window::{HEAD, asked_for, memory};
use crate::nix::hash::{FileHash, HashAlgorithm, Hasher, NarHash};
use crate::nix::nar::{self, NarError, NarErrorKind};
use crate::nix::narinfo::{Compression, NarInfo, UrlError};

/// What a compressed NAR may have beyond its plain size where the narinfo
/// does not say: headers and the cost of what does not compress, one byte in
/// this many and ...
const EXPANSION: u64 = 16;

/// ... this much in any case.
const EXPANSION_BASE: u64 = 64 << 10;

/// Why a NAR could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NarFetchError {
    /// The address leads out of the cache.
    #[error("the narinfo's URL is refused: {0}")]
    Url(#[from] UrlError),
    /// The cache has the narinfo but not the NAR.
    #[error("{cache} has no '{url}', although its narinfo says so")]
    Missing {
        /// The cache.
        cache: String,
        /// The address.
        url: String,
    },
    /// The cache gave no answer, or stopped in the middle of one.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The connection to the cache.
    #[error(transparent)]
    Http(HttpError),
    /// A file that cannot be read.
    #[error("the NAR cannot be read: {0}")]
    Read(io::Error),
    /// The compressed file is longer than the narinfo says, or than it could be.
    #[error("the compressed file is longer than the {0} bytes its narinfo allows")]
    FileTooLong(u64),
    /// It does not decompress.
    #[error(transparent)]
    Decompress(DecompressError),
    /// It is longer than the narinfo says.
    #[error("the NAR is longer than the {0} bytes its narinfo claims")]
    TooLong(u64),
    /// It is no NAR.
    #[error(transparent)]
    Nar(NarError),
    /// Its size is another.
    #[error("the NAR has {found} bytes, but its narinfo claims {claimed}")]
    Size {
        /// The size found.
        found: u64,
        /// The size claimed.
        claimed: u64,
    },
    /// Its hash is another.
    #[error("the NAR has the hash {found}, but its narinfo claims {claimed}")]
    Hash {
        /// The hash found.
        found: NarHash,
        /// The hash claimed.
        claimed: NarHash,
    },
    /// What was read could not be written.
    #[error("the NAR cannot be kept: {0}")]
    Sink(io::Error),
}

impl NarFetchError {
    /// Whether the bytes that were served are wrong, rather than not there,
    /// not reachable or beyond our limits.
    #[must_use]
    pub const fn is_corrupt(&self) -> bool {
        match self {
            Self::Url(_)
            | Self::FileTooLong(_)
            | Self::TooLong(_)
            | Self::Nar(_)
            | Self::Size { .. }
            | Self::Hash { .. } => true,
            Self::Decompress(error) => !matches!(error, DecompressError::TooLarge { .. }),
            Self::Missing { .. }
            | Self::Cache(_)
            | Self::Http(_)
            | Self::Read(_)
            | Self::Sink(_) => false,
        }
    }
}

/// A NAR whose hash and size are those claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarDownload {
    /// Its hash.
    pub nar_hash: NarHash,
    /// Its size.
    pub nar_size: u64,
    /// The hash of the file as it was served, in the narinfo's algorithm.
    pub file_hash: FileHash,
    /// The size of the file as it was served.
    pub file_size: u64,
    /// Whether FileHash and FileSize, where the narinfo has them, are true.
    /// They are unsigned and decide nothing.
    pub file_fields_hold: bool,
}

impl CacheClient {
    /// Reads the NAR that a narinfo describes, writes it to `sink` and checks
    /// it. Nothing that was written may be used before this has returned well.
    ///
    /// # Errors
    /// When the NAR is not there, cannot be read, or is not what is claimed.
    pub fn download_nar(
        &self,
        cache: &CacheUrl,
        narinfo: &NarInfo,
        sink: &mut dyn Write,
    ) -> Result<NarDownload, NarFetchError> {
        let (claimed_size, claimed_hash) = (narinfo.nar_size, narinfo.nar_hash);
        let algorithm =
            narinfo.file_hash.map_or(HashAlgorithm::Sha256, |FileHash(hash)| hash.algorithm());
        let (source, cap) = self.open_nar(cache, narinfo)?;
        let sniffed = sniff(narinfo.compression, source);
        let (window, source) = sniffed.map_err(|error| why(read_failure(error)))?;
        let _permit = DECODERS.take(memory(window, claimed_size));
        let mut served = Served::hashing(source, cap, algorithm);
        let mut kept = Kept { sink, error: None };
        let checked = {
            let packed = narinfo.file_size.unwrap_or(claimed_size);
            let reader =
                compression::reader_within(narinfo.compression, &mut served, window, packed);
            let limited = Limited::new(reader.map_err(NarFetchError::Read)?, claimed_size);
            nar::check(Tee { source: limited, kept: &mut kept })
        };
        if let Some(error) = kept.error {
            return Err(NarFetchError::Sink(error));
        }
        let (nar_hash, nar_size) = checked.map_err(why)?;
        if nar_size != claimed_size {
            return Err(NarFetchError::Size { found: nar_size, claimed: claimed_size });
        }
        if nar_hash != claimed_hash {
            return Err(NarFetchError::Hash { found: nar_hash, claimed: claimed_hash });
        }
        let (file_hash, file_size) = served.finish();
        let file_fields_hold = narinfo.file_hash.is_none_or(|claimed| claimed == file_hash)
            && narinfo.file_size.is_none_or(|claimed| claimed == file_size);
        Ok(NarDownload { nar_hash, nar_size, file_hash, file_size, file_fields_hold })
    }

    /// The NAR that a narinfo describes, decompressed but not checked, and cut
    /// off with an error behind its claimed size.
    ///
    /// # Errors
    /// When the NAR is not there or cannot be reached. What goes wrong later
    /// comes out of the reader; [`why`] tells it.
    pub fn nar(
        &self,
        cache: &CacheUrl,
        narinfo: &NarInfo,
    ) -> Result<Box<dyn Read + Send>, NarFetchError> {
        let (source, cap) = self.open_nar(cache, narinfo)?;
        let algorithm = HashAlgorithm::Sha256;
        let served = Served { source, hasher: None, algorithm, size: 0, cap };
        let source =
            compression::reader(narinfo.compression, served).map_err(NarFetchError::Read)?;
        Ok(Box::new(Limited::new(source, narinfo.nar_size)))
    }

    fn open_nar(
        &self,
        cache: &CacheUrl,
        narinfo: &NarInfo,
    ) -> Result<(Box<dyn Read + Send>, u64), NarFetchError> {
        let url = narinfo.check_url()?;
        let cap = file_cap(narinfo);
        let source = self.open(cache, url, cap)?;
        let missing = || NarFetchError::Missing { cache: cache.to_string(), url: url.to_owned() };
        Ok((source.ok_or_else(missing)?, cap))
    }
}

/// The most bytes the file of a NAR may have: what the narinfo says, or what
/// a NAR of that size could take.
fn file_cap(narinfo: &NarInfo) -> u64 {
    let most = most_packed(narinfo);
    narinfo.file_size.map_or(most, |claimed| claimed.min(most))
}

/// The most bytes that a NAR of the claimed size can take when it is packed.
pub(super) fn most_packed(narinfo: &NarInfo) -> u64 {
    let size = narinfo.nar_size;
    match narinfo.compression {
        Compression::None => size,
        _ => size.saturating_add(size / EXPANSION).saturating_add(EXPANSION_BASE),
    }
}

/// The window that a packed NAR asks for in its first bytes, and the NAR.
pub(super) fn sniff(
    compression: Compression,
    mut source: Box<dyn Read + Send>,
) -> io::Result<(u64, Box<dyn Read + Send>)> {
    if compression == Compression::None {
        return Ok((asked_for(compression, &[]), source));
    }
    let mut head = Vec::with_capacity(HEAD);
    let most = u64::try_from(HEAD).unwrap_or(u64::MAX);
    source.by_ref().take(most).read_to_end(&mut head)?;
    let window = asked_for(compression, &head);
    Ok((window, Box::new(io::Cursor::new(head).chain(source))))
}

/// A failure to read as the NAR reader would tell it.
pub(super) const fn read_failure(error: io::Error) -> NarError {
    NarError { offset: 0, kind: NarErrorKind::Io(error) }
}

/// What an error out of [`CacheClient::nar`] or the check of a NAR means.
#[must_use]
pub fn why(error: NarError) -> NarFetchError {
    let Some(cause) = error.io_error() else { return NarFetchError::Nar(error) };
    if let Some(excess) = cause.get_ref().and_then(|inner| inner.downcast_ref::<Excess>()) {
        return match *excess {
            Excess::File(cap) => NarFetchError::FileTooLong(cap),
            Excess::Nar(size) => NarFetchError::TooLong(size),
        };
    }
    if let Some(error) = DecompressError::of(cause) {
        return NarFetchError::Decompress(error.clone());
    }
    if let Some(error) = HttpError::of(cause) {
        return match error.failure {
            crate::gather::http::Failure::TooLong(cap) => NarFetchError::FileTooLong(cap),
            _ => NarFetchError::Http(error.clone()),
        };
    }
    NarFetchError::Read(io::Error::new(cause.kind(), cause.to_string()))
}

/// More bytes than were announced.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Excess {
    #[error("more than the {0} bytes of the file")]
    File(u64),
    #[error("more than the {0} bytes of the NAR")]
    Nar(u64),
}

impl From<Excess> for io::Error {
    fn from(excess: Excess) -> Self {
        Self::other(excess)
    }
}

/// The file as it is served: counted, capped, maybe hashed.
pub(super) struct Served {
    source: Box<dyn Read + Send>,
    hasher: Option<Hasher>,
    algorithm: HashAlgorithm,
    size: u64,
    cap: u64,
}

impl Served {
    /// At most `cap` bytes of `source`, hashed.
    pub(super) fn hashing(
        source: Box<dyn Read + Send>,
        cap: u64,
        algorithm: HashAlgorithm,
    ) -> Self {
        Self { source, hasher: Some(Hasher::new(algorithm)), algorithm, size: 0, cap }
    }

    /// Hash and size of what was read.
    pub(super) fn finish(self) -> (FileHash, u64) {
        let hasher = self.hasher.unwrap_or_else(|| Hasher::new(self.algorithm));
        (FileHash(hasher.finish()), self.size)
    }
}

impl Read for Served {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(out)?;
        self.size = self.size.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if self.size > self.cap {
            return Err(Excess::File(self.cap).into());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(out.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}

/// Gives at most `limit` bytes and an error if there are more.
pub(super) struct Limited<R> {
    source: R,
    left: u64,
    limit: u64,
}

impl<R> Limited<R> {
    /// At most `limit` bytes of `source`.
    pub(super) const fn new(source: R, limit: u64) -> Self {
        Self { source, left: limit, limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.max(1)).unwrap_or(usize::MAX).min(out.len());
        let read = self.source.read(out.get_mut(..most).unwrap_or_default())?;
        let taken = u64::try_from(read).unwrap_or(u64::MAX);
        if taken > self.left {
            return Err(Excess::Nar(self.limit).into());
        }
        self.left = self.left.saturating_sub(taken);
        Ok(read)
    }
}

/// Where the bytes go, and whether they got there.
struct Kept<'a> {
    sink: &'a mut dyn Write,
    error: Option<io::Error>,
}

struct Tee<'a, 'b, R> {
    source: R,
    kept: &'a mut Kept<'b>,
}

impl<R: Read> Read for Tee<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(out)?;
        if let Err(error) = self.kept.sink.write_all(out.get(..read).unwrap_or_default()) {
            let kind = error.kind();
            self.kept.error = Some(error);
            return Err(kind.into());
        }
        Ok(read)
    }
}
