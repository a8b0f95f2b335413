//! Asking binary caches.
//!
//! Follows `src/libstore/binary-cache-store.cc` and
//! `http-binary-cache-store.cc`. What comes back is a claim: bytes as the
//! cache served them, absence, or the reason why there was no answer.

pub mod answers;
pub mod claims;
pub mod file;
pub mod narinfos;
pub mod own;
pub(super) mod questions;
pub mod survey;
pub mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::check::Reason;
use crate::gather::cache::file::{CacheFileError, open_beneath};
use crate::gather::cache::url::Place;
pub use crate::gather::cache::url::{CacheUrl, CacheUrlError};
use crate::gather::http::credentials::Netrc;
use crate::gather::http::lane::Borrowed;
use crate::gather::http::{Answer, HttpClient, HttpError, Request};
use crate::nix::build_trace::{BuildTraceKey, MAX_ENTRY_LEN};
use crate::nix::cache_info::{CACHE_INFO_NAME, CacheInfo, CacheInfoError, MAX_CACHE_INFO_LEN};
use crate::nix::narinfo::MAX_NARINFO_LEN;
use crate::nix::realisation::{DrvOutput, MAX_REALISATION_LEN};
use crate::nix::store_path::{StoreDir, StorePath};

/// Why a cache gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The server.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The directory.
    #[error(transparent)]
    File(#[from] CacheFileError),
    /// Reading a file of the directory.
    #[error("{cache}: '{name}' cannot be read: {source}")]
    Read {
        /// The cache.
        cache: String,
        /// The file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is longer than such files may be.
    #[error("{cache}: '{name}' is longer than {cap} bytes, the most that is accepted here")]
    TooLong {
        /// The cache.
        cache: String,
        /// The file.
        name: String,
        /// The limit.
        cap: u64,
    },
    /// A name that would lead out of the cache.
    #[error("{cache}: '{name}' is not the name of a file in a cache")]
    Name {
        /// The cache.
        cache: String,
        /// The name.
        name: String,
    },
    /// The server has no `nix-cache-info`, so its 404s mean nothing.
    #[error(
        "{cache}: there is no {CACHE_INFO_NAME}, so this is no binary cache, or one that needs credentials"
    )]
    NoCache {
        /// The cache.
        cache: String,
    },
    /// `nix-cache-info` is malformed, or is of another store directory.
    #[error("{cache}: {CACHE_INFO_NAME}: {source}")]
    CacheInfo {
        /// The cache.
        cache: String,
        /// What is wrong.
        source: CacheInfoError,
    },
    /// What an earlier request to the same cache found out.
    #[error("{0}")]
    Earlier(Arc<CacheError>),
}

impl CacheError {
    /// The same as one of the reasons for which questions stay open.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Http(error) => error.failure.reason(),
            Self::TooLong { .. } => Reason::TooLarge,
            Self::Earlier(error) => error.reason(),
            Self::File(_)
            | Self::Read { .. }
            | Self::Name { .. }
            | Self::NoCache { .. }
            | Self::CacheInfo { .. } => Reason::Unreachable,
        }
    }

    /// The store directory that the cache is made for, if that is what keeps
    /// us from using it.
    #[must_use]
    pub fn foreign_store(&self) -> Option<&StoreDir> {
        match self {
            Self::CacheInfo { source: CacheInfoError::OtherStore { found, .. }, .. } => Some(found),
            Self::Earlier(error) => error.foreign_store(),
            _ => None,
        }
    }
}

/// The answer to "what do you know about this?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NarInfoAnswer {
    /// The file, as it was served.
    Present(Vec<u8>),
    /// The cache says that it does not have it.
    Absent,
    /// No answer, and why.
    Unreachable(Unanswered),
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// From the closed list.
    pub reason: Reason,
    /// The particulars.
    pub detail: String,
}

impl From<&CacheError> for Unanswered {
    fn from(error: &CacheError) -> Self {
        Self { reason: error.reason(), detail: error.to_string() }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// What is known about a cache.
#[derive(Default)]
struct Known {
    /// What it said about itself, once it was asked.
    info: OnceLock<Result<CacheInfo, Arc<CacheError>>>,
    /// How many files it said to be absent with S3's 403.
    forbidden: AtomicU64,
}

/// Asks caches. Shared by all threads.
pub struct CacheClient {
    http: HttpClient,
    netrc: Netrc,
    store_dir: StoreDir,
    known: Mutex<BTreeMap<CacheUrl, Arc<Known>>>,
}

impl CacheClient {
    /// A client for caches of `store_dir`.
    #[must_use]
    pub fn new(http: HttpClient, netrc: Netrc, store_dir: StoreDir) -> Self {
        Self { http, netrc, store_dir, known: Mutex::default() }
    }

    /// The HTTP client behind it.
    #[must_use]
    pub const fn http(&self) -> &HttpClient {
        &self.http
    }

    /// What the cache says about itself. Asked once; a cache that gives no
    /// answer is not asked again, so that one that is down costs its deadline
    /// once and not for every path.
    ///
    /// # Errors
    /// When there is no answer, or one of another store directory.
    pub fn cache_info(&self, cache: &CacheUrl) -> Result<CacheInfo, CacheError> {
        self.known(cache)
            .info
            .get_or_init(|| self.ask_cache_info(cache).map_err(Arc::new))
            .clone()
            .map_err(CacheError::Earlier)
    }

    fn known(&self, cache: &CacheUrl) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(cache.clone()).or_default())
    }

    /// How many files of the cache count as absent because it answered 403 as
    /// S3 does.
    #[must_use]
    pub fn forbidden(&self, cache: &CacheUrl) -> u64 {
        self.known(cache).forbidden.load(Ordering::Relaxed)
    }

    fn ask_cache_info(&self, cache: &CacheUrl) -> Result<CacheInfo, CacheError> {
        let cap = u64::try_from(MAX_CACHE_INFO_LEN).unwrap_or(u64::MAX);
        let bytes = match self.ask(cache, CACHE_INFO_NAME, cap)? {
            Answer::Found(bytes) => bytes,
            // Nix writes the file into a directory when it first uses it.
            Answer::Absent if !cache.is_remote() => b"".to_vec(),
            Answer::Absent | Answer::Forbidden => {
                return Err(CacheError::NoCache { cache: cache.to_string() });
            }
        };
        let failed = |source| CacheError::CacheInfo { cache: cache.to_string(), source };
        let info = CacheInfo::parse(&bytes).map_err(failed)?;
        info.check_store_dir(&self.store_dir).map_err(failed)?;
        Ok(info)
    }

    /// The narinfo of a store path, as the cache serves it.
    #[must_use]
    pub fn narinfo(&self, cache: &CacheUrl, path: &StorePath) -> NarInfoAnswer {
        let cap = u64::try_from(MAX_NARINFO_LEN).unwrap_or(u64::MAX);
        self.answer(cache, &narinfo_name(path), cap)
    }

    /// The narinfo of a store path at a server that is known to be a cache,
    /// over connections of the caller's, many at a time.
    pub(super) async fn narinfo_on(
        &self,
        lane: &Borrowed,
        cache: &CacheUrl,
        path: &StorePath,
    ) -> NarInfoAnswer {
        let cap = u64::try_from(MAX_NARINFO_LEN).unwrap_or(u64::MAX);
        let Place::Server(base) = cache.place() else { return NarInfoAnswer::Absent };
        let answer = match self.small_request(cache, base, &narinfo_name(path)) {
            Ok(request) => Ok(self.http.small_on(lane, &request, cap).await),
            Err(error) => Err(error),
        };
        self.claim(cache, answer.and_then(|answer| Ok(answer?)))
    }

    /// The build trace's entry about an output, as the cache serves it.
    #[must_use]
    pub fn build_trace(&self, cache: &CacheUrl, key: &BuildTraceKey) -> NarInfoAnswer {
        let cap = u64::try_from(MAX_ENTRY_LEN).unwrap_or(u64::MAX);
        self.answer(cache, &key.cache_path(), cap)
    }

    /// The realisation of a derivation's output, as the cache serves it.
    #[must_use]
    pub fn realisation(&self, cache: &CacheUrl, id: &DrvOutput) -> NarInfoAnswer {
        let cap = u64::try_from(MAX_REALISATION_LEN).unwrap_or(u64::MAX);
        self.answer(cache, &id.cache_path(), cap)
    }

    fn answer(&self, cache: &CacheUrl, name: &str, cap: u64) -> NarInfoAnswer {
        self.claim(cache, self.cache_info(cache).and_then(|_| self.ask(cache, name, cap)))
    }

    /// What an answer of a cache means that can be read as such.
    fn claim(
        &self,
        cache: &CacheUrl,
        answer: Result<Answer<Vec<u8>>, CacheError>,
    ) -> NarInfoAnswer {
        match answer {
            Ok(Answer::Found(bytes)) => NarInfoAnswer::Present(bytes),
            Ok(Answer::Absent) => NarInfoAnswer::Absent,
            // That the cache itself can be read is known by now, so that this
            // is S3's way to say that there is no such file.
            Ok(Answer::Forbidden) => {
                self.known(cache).forbidden.fetch_add(1, Ordering::Relaxed);
                NarInfoAnswer::Absent
            }
            Err(error) => NarInfoAnswer::Unreachable(Unanswered::from(&error)),
        }
    }

    /// A small file of the cache.
    fn ask(&self, cache: &CacheUrl, name: &str, cap: u64) -> Result<Answer<Vec<u8>>, CacheError> {
        match cache.place() {
            Place::Server(base) => {
                Ok(self.http.small(&self.small_request(cache, base, name)?, cap)?)
            }
            Place::Directory(directory) => {
                let Some(file) = open_beneath(directory, name)? else { return Ok(Answer::Absent) };
                let mut bytes = Vec::new();
                let read = file.take(cap.saturating_add(1)).read_to_end(&mut bytes);
                read.map_err(|source| CacheError::Read {
                    cache: cache.to_string(),
                    name: name.to_owned(),
                    source,
                })?;
                if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > cap {
                    let (cache, name) = (cache.to_string(), name.to_owned());
                    return Err(CacheError::TooLong { cache, name, cap });
                }
                Ok(Answer::Found(bytes))
            }
        }
    }

    /// A large file of the cache, at most `cap` bytes of it, as it is served.
    pub(super) fn open(
        &self,
        cache: &CacheUrl,
        name: &str,
        cap: u64,
    ) -> Result<Option<Box<dyn Read + Send>>, CacheError> {
        match cache.place() {
            Place::Server(base) => {
                let request = self.request(cache, base, name)?;
                match self.http.large(&request, cap)? {
                    Answer::Found(body) => Ok(Some(Box::new(body))),
                    Answer::Absent | Answer::Forbidden => Ok(None),
                }
            }
            Place::Directory(directory) => {
                let Some(file) = open_beneath(directory, name)? else { return Ok(None) };
                Ok(Some(Box::new(file)))
            }
        }
    }

    fn small_request(
        &self,
        cache: &CacheUrl,
        base: &::url::Url,
        name: &str,
    ) -> Result<Request, CacheError> {
        Ok(Request { decode: true, ..self.request(cache, base, name)? })
    }

    fn request(
        &self,
        cache: &CacheUrl,
        base: &::url::Url,
        name: &str,
    ) -> Result<Request, CacheError> {
        let url = CacheUrl::file(base, name)
            .ok_or_else(|| CacheError::Name { cache: cache.to_string(), name: name.to_owned() })?;
        let credentials = cache.credentials(&self.netrc);
        Ok(Request { credentials, ..Request::named(url) })
    }
}

fn narinfo_name(path: &StorePath) -> String {
    format!("{}.narinfo", path.hash_part())
}
