//! NARs in caches, examined as they stream by: everything that is wrong with
//! one, not only the first thing; never unpacked and never on a disk.

use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::gather::cache::questions::Questions;
use crate::gather::cache::{CacheClient, CacheError, CacheUrl};
use crate::gather::http::{Failure, HttpError};
use crate::gather::nar::compression::{self, DecompressError, MAX_WINDOW};
use crate::gather::nar::download::{
    Limited, NarFetchError, Served, most_packed, read_failure, sniff, why,
};
use crate::gather::nar::memory::DECODERS;
use crate::gather::nar::window::memory;
use crate::nix::hash::{FileHash, HashAlgorithm, NarHash};
use crate::nix::nar::{HashedSource, NarError, NarReader};
use crate::nix::narinfo::{NarInfo, UrlError};
use crate::nix::references::ReferenceScanner;
use crate::nix::store_path::StorePath;

/// How many NARs are examined at once, over all caches: enough for their
/// first bytes to be on their way while others are decompressed.
const AT_ONCE: usize = 16;

/// Largest NAR that is read: several times the largest in nixpkgs. A server
/// could go on for ever with one that never ends.
pub const MAX_NAR: u64 = 32 << 30;

/// How much of a file is read on for its hash after it was found to hold no
/// NAR as claimed.
const MAX_REST: u64 = 64 << 20;

/// How many are examined at once from each cache in any case.
const LEAST_AT_ONCE: usize = 4;

/// Something that is not as the narinfo says.
#[derive(Debug, thiserror::Error)]
pub enum NarFlaw {
    /// The address leads out of the cache; nothing was fetched.
    #[error("the narinfo's URL is refused: {0}")]
    Url(UrlError),
    /// The cache has the narinfo but not the NAR.
    #[error("the cache has no '{url}', although its narinfo says so")]
    Missing {
        /// The address.
        url: String,
    },
    /// The file is longer than any packed NAR of the claimed size would be;
    /// the rest of it was not read.
    #[error(
        "the compressed file is longer than {most} bytes, the most that a NAR of the claimed size can take"
    )]
    FileTooLong {
        /// The bytes that were accepted.
        most: u64,
    },
    /// The size of the file is another. Not signed.
    #[error("the file has {found} bytes, but its narinfo claims {claimed}")]
    FileSize {
        /// The size found.
        found: u64,
        /// The size claimed.
        claimed: u64,
    },
    /// The hash of the file is another. Not signed.
    #[error("the file has the hash {found}, but its narinfo claims {claimed}")]
    FileHash {
        /// The hash found.
        found: Box<FileHash>,
        /// The hash claimed.
        claimed: Box<FileHash>,
    },
    /// It does not decompress.
    #[error(transparent)]
    Decompress(DecompressError),
    /// It decompresses to more than the narinfo says; the rest was not read.
    #[error("the NAR is longer than the {claimed} bytes its narinfo claims")]
    NarTooLong {
        /// The size claimed.
        claimed: u64,
    },
    /// It decompresses to less than the narinfo says.
    #[error("the NAR has {found} bytes, but its narinfo claims {claimed}")]
    NarSize {
        /// The size found.
        found: u64,
        /// The size claimed.
        claimed: u64,
    },
    /// Its hash is another.
    #[error("the NAR has the hash {found}, but its narinfo claims {claimed}")]
    NarHash {
        /// The hash found.
        found: NarHash,
        /// The hash claimed.
        claimed: NarHash,
    },
    /// It breaks a rule of the format.
    #[error("the NAR is malformed: {0}")]
    Malformed(NarError),
}

/// Why a NAR could not be examined to its end: nothing is known about it.
#[derive(Debug, thiserror::Error)]
pub enum NarUnchecked {
    /// The cache gave no answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The connection broke and could not be taken up again.
    #[error(transparent)]
    Http(HttpError),
    /// A file that cannot be read.
    #[error("the NAR cannot be read: {0}")]
    Read(io::Error),
    /// Decompressing it would take more memory than we give.
    #[error(transparent)]
    Window(DecompressError),
    /// The narinfo claims more than we read.
    #[error(
        "the narinfo claims a NAR of {claimed} bytes (at most {MAX_NAR} are read, a limit of this tool)"
    )]
    TooLarge {
        /// The size claimed.
        claimed: u64,
    },
    /// The question names a cache that is not among those asked.
    #[error("there is no such cache")]
    NoCache,
}

/// What a NAR turned out to be.
#[derive(Debug, Default)]
pub struct NarCheck {
    /// Hash (in the algorithm of the narinfo's FileHash, else SHA-256) and
    /// size of the file as it is served, if it came to its end.
    pub file: Option<(FileHash, u64)>,
    /// Hash and size of what it decompresses to, if that came to its end.
    pub nar: Option<(NarHash, u64)>,
    /// The candidates whose hash parts stand in what was read.
    pub references: BTreeSet<StorePath>,
    /// Everything that is not as claimed.
    pub flaws: Vec<NarFlaw>,
}

/// A NAR to be examined.
pub struct NarQuestion<T> {
    /// Which of the caches has it.
    pub cache: usize,
    /// What is claimed about it.
    pub narinfo: NarInfo,
    /// The store paths that are looked for in it.
    pub candidates: Vec<StorePath>,
    /// Whatever the answer has to be matched with.
    pub subject: T,
}

impl CacheClient {
    /// Examines many NARs, several at a time, and hands each result to
    /// `answered`, in no particular order and on several threads. Questions
    /// are taken from the iterator as others are answered.
    pub fn check_nars<T: Send>(
        &self,
        caches: &[CacheUrl],
        questions: impl Iterator<Item = NarQuestion<T>> + Send,
        answered: impl Fn(NarQuestion<T>, Result<NarCheck, NarUnchecked>) + Sync,
    ) {
        let questions = Questions::new(questions, caches.len(), |question| question.cache);
        let each = AT_ONCE.div_ceil(caches.len().max(1)).max(LEAST_AT_ONCE);
        let examine = |question: NarQuestion<T>| {
            let check = match caches.get(question.cache) {
                Some(cache) => {
                    let scanner = ReferenceScanner::new(&question.candidates);
                    self.check_nar(cache, &question.narinfo, scanner)
                }
                None => Err(NarUnchecked::NoCache),
            };
            answered(question, check);
            questions.answered([]);
        };
        std::thread::scope(|scope| {
            for index in 0..caches.len().max(1) {
                for _ in 0..each {
                    let (questions, examine) = (&questions, &examine);
                    scope.spawn(move || {
                        while let Some(question) = questions.next(index) {
                            examine(question);
                        }
                    });
                }
            }
        });
    }

    /// Reads the NAR that a narinfo describes and says everything that is not
    /// as claimed. `scanner` looks at its bytes.
    ///
    /// # Errors
    /// When the NAR cannot be had, so that nothing is known about it.
    pub fn check_nar(
        &self,
        cache: &CacheUrl,
        narinfo: &NarInfo,
        mut scanner: ReferenceScanner,
    ) -> Result<NarCheck, NarUnchecked> {
        let flawed = |flaw| NarCheck { flaws: vec![flaw], ..NarCheck::default() };
        let url = match narinfo.check_url() {
            Ok(url) => url,
            Err(error) => return Ok(flawed(NarFlaw::Url(error))),
        };
        if narinfo.nar_size > MAX_NAR {
            return Err(NarUnchecked::TooLarge { claimed: narinfo.nar_size });
        }
        let mut granted = None;
        loop {
            let most = most_packed(narinfo);
            let source = match self.open(cache, url, most) {
                Ok(Some(source)) => source,
                Ok(None) => return Ok(flawed(NarFlaw::Missing { url: url.to_owned() })),
                Err(CacheError::Http(HttpError { failure: Failure::TooLong(most), .. })) => {
                    return Ok(flawed(NarFlaw::FileTooLong { most }));
                }
                Err(error) => return Err(error.into()),
            };
            let algorithm =
                narinfo.file_hash.map_or(HashAlgorithm::Sha256, |FileHash(hash)| hash.algorithm());
            let (asked, source) = match sniff(narinfo.compression, source) {
                Ok(sniffed) => sniffed,
                Err(error) => {
                    let mut check = NarCheck::default();
                    check.add(why(read_failure(error)))?;
                    return Ok(check);
                }
            };
            let window = granted.unwrap_or(asked);
            let permit = DECODERS.take(memory(window, narinfo.nar_size));
            let mut served = Served::hashing(source, most, algorithm);
            match examine(narinfo, &mut served, &mut scanner, window) {
                // A later part of the stream asks for more than the first.
                Err(NarUnchecked::Window(_)) if window < MAX_WINDOW => {
                    granted = Some(MAX_WINDOW);
                    // No reference begins in one reading and ends in the next.
                    scanner.feed(b"\0");
                }
                Err(error) => return Err(error),
                Ok(mut check) => {
                    drop(permit);
                    check.finish_file(narinfo, served)?;
                    check.references = scanner.into_found();
                    return Ok(check);
                }
            }
        }
    }
}

/// Decompresses, hashes, parses and scans what is served.
fn examine(
    narinfo: &NarInfo,
    served: &mut Served,
    scanner: &mut ReferenceScanner,
    window: u64,
) -> Result<NarCheck, NarUnchecked> {
    let mut check = NarCheck::default();
    let packed = narinfo.file_size.unwrap_or(narinfo.nar_size);
    let decompressed = compression::reader_within(narinfo.compression, served, window, packed)
        .map_err(NarUnchecked::Read)?;
    let limited = Limited::new(decompressed, narinfo.nar_size);
    let source = HashedSource::new(Scanned { limited, scanner });
    let mut reader = NarReader::sized(source, narinfo.nar_size);
    let parsed = loop {
        match reader.next_event() {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let mut source = reader.into_source();
    let ended = match parsed {
        Ok(()) => true,
        Err(error) if error.io_error().is_some() => {
            check.add(why(error))?;
            false
        }
        Err(error) => {
            check.flaws.push(NarFlaw::Malformed(error));
            // The hash is of all bytes, whatever they mean.
            match io::copy(&mut source, &mut io::sink()) {
                Ok(_) => true,
                Err(error) => {
                    check.add(why(read_failure(error)))?;
                    false
                }
            }
        }
    };
    if ended {
        let (nar_hash, nar_size) = source.finish();
        check.compare_nar(narinfo, nar_hash, nar_size);
    }
    Ok(check)
}

impl NarCheck {
    /// Takes in why reading stopped: a flaw, or the end of the examination.
    fn add(&mut self, error: NarFetchError) -> Result<(), NarUnchecked> {
        let flaw = match error {
            NarFetchError::Url(error) => NarFlaw::Url(error),
            NarFetchError::Missing { url, .. } => NarFlaw::Missing { url },
            NarFetchError::FileTooLong(most) => NarFlaw::FileTooLong { most },
            NarFetchError::TooLong(claimed) => NarFlaw::NarTooLong { claimed },
            NarFetchError::Nar(error) => NarFlaw::Malformed(error),
            NarFetchError::Size { found, claimed } => NarFlaw::NarSize { found, claimed },
            NarFetchError::Hash { found, claimed } => NarFlaw::NarHash { found, claimed },
            NarFetchError::Decompress(error @ DecompressError::TooLarge { .. }) => {
                return Err(NarUnchecked::Window(error));
            }
            NarFetchError::Decompress(error) => NarFlaw::Decompress(error),
            NarFetchError::Cache(error) => return Err(NarUnchecked::Cache(error)),
            NarFetchError::Http(error) => return Err(NarUnchecked::Http(error)),
            NarFetchError::Read(error) | NarFetchError::Sink(error) => {
                return Err(NarUnchecked::Read(error));
            }
        };
        self.flaws.push(flaw);
        Ok(())
    }

    fn compare_nar(&mut self, narinfo: &NarInfo, found: NarHash, size: u64) {
        self.nar = Some((found, size));
        let (claimed, claimed_size) = (narinfo.nar_hash, narinfo.nar_size);
        if size != claimed_size {
            self.flaws.push(NarFlaw::NarSize { found: size, claimed: claimed_size });
        }
        if found != claimed {
            self.flaws.push(NarFlaw::NarHash { found, claimed });
        }
    }

    /// Reads what the decompressor did not want, which still belongs to the
    /// file, and compares the file as it is served.
    fn finish_file(&mut self, narinfo: &NarInfo, mut served: Served) -> Result<(), NarUnchecked> {
        if self.flaws.iter().any(|flaw| matches!(flaw, NarFlaw::FileTooLong { .. })) {
            return Ok(());
        }
        match io::copy(&mut served.by_ref().take(MAX_REST), &mut io::sink()) {
            Ok(MAX_REST) => {}
            Ok(_) => {
                let (found, size) = served.finish();
                self.compare_file(narinfo, found, size);
            }
            Err(error) => self.add(why(read_failure(error)))?,
        }
        Ok(())
    }

    fn compare_file(&mut self, narinfo: &NarInfo, found: FileHash, size: u64) {
        self.file = Some((found, size));
        if let Some(claimed) = narinfo.file_size.filter(|claimed| *claimed != size) {
            self.flaws.push(NarFlaw::FileSize { found: size, claimed });
        }
        if let Some(claimed) = narinfo.file_hash.filter(|claimed| *claimed != found) {
            let (found, claimed) = (Box::new(found), Box::new(claimed));
            self.flaws.push(NarFlaw::FileHash { found, claimed });
        }
    }
}

/// What the scanner sees too.
struct Scanned<'a, R> {
    limited: Limited<R>,
    scanner: &'a mut ReferenceScanner,
}

impl<R: Read> Read for Scanned<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.limited.read(out)?;
        self.scanner.feed(out.get(..read).unwrap_or_default());
        Ok(read)
    }
}
