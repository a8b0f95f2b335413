//! What the URLs of archives and files in a lock serve, held against `narHash`.

use std::io::{self, BufRead as _, BufReader, Read};

use url::Url;

use crate::check::Reason;
use crate::check::lock::evidence::{Answer, Forge, PinQuestion, PinSource};
use crate::gather::http::credentials::Netrc;
use crate::gather::http::{Answer as HttpAnswer, HttpClient, HttpError, Request, shown};
use crate::gather::nar::compression::{self, Compression, DecompressError};
use crate::gather::nar::tar::{TarError, hash, hash_file};
use crate::nix::hash::NarHash;
use crate::state::{StateDir, StateError};

/// Largest archive that is fetched, packed.
const MAX_ARCHIVE: u64 = 4 << 30;

/// Most bytes that an archive may unpack to, with everything between files.
const MAX_UNPACKED: u64 = 20 << 30;

/// Bytes looked at to tell what it is.
const BUFFER: usize = 64 << 10;

/// What each kind of compressed file begins with.
const MAGICS: [(&[u8], Compression); 5] = [
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"BZh", Compression::Bzip2),
    (b"\x1f\x8b", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"LZIP", Compression::Lzip),
];

/// Where a tar header says that it is one.
const TAR_MARK: std::ops::Range<usize> = 257..262;

/// Why we failed; servers that fail make questions open.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file in it.
    #[error("cannot keep what was fetched: {0}")]
    Spool(io::Error),
}

/// What fetches archives.
#[derive(Clone, Copy)]
pub struct Archives<'a> {
    /// Makes requests.
    pub http: &'a HttpClient,
    /// Credentials for hosts.
    pub netrc: &'a Netrc,
    /// Keeps contents meanwhile.
    pub state: &'a StateDir,
}

/// How what a URL serves becomes a store object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Archive,
    File,
}

impl Archives<'_> {
    /// Whether the URL of an archive or a file serves what `narHash` names.
    ///
    /// # Errors
    /// Our own failures only.
    pub fn answer(&self, question: &PinQuestion) -> Result<Answer, ArchiveError> {
        let (url, shape) = match &question.source {
            PinSource::Tarball { url } => (url, Shape::Archive),
            PinSource::File { url } => (url, Shape::File),
            _ => return Ok(Answer::NotAsked),
        };
        let Some(claimed) = question.locked.nar_hash else { return Ok(Answer::NotAsked) };
        let url = url.strip_prefix("tarball+").or_else(|| url.strip_prefix("file+")).unwrap_or(url);
        let Ok(url) = Url::parse(url) else {
            let detail = "its URL is none that can be asked";
            return Ok(Answer::unknown(Reason::Unsupported, detail));
        };
        Ok(match self.served(&url, shape)? {
            Err(unknown) => unknown,
            Ok(found) if found == claimed => {
                Answer::Proven(format!("{} serves it", shown(&plain(&url))))
            }
            Ok(found) => Answer::Refuted {
                expected: claimed.hash().sri(),
                found: found.hash().sri(),
                detail: format!("narHash is not the hash of what {} serves", shown(&plain(&url))),
            },
        })
    }

    /// Whether the archive that a forge makes of the commit has the hash. The
    /// forge may make another one tomorrow, so that no other hash refutes it.
    ///
    /// # Errors
    /// Our own failures only.
    pub fn of_forge(&self, question: &PinQuestion) -> Result<Option<Answer>, ArchiveError> {
        let (Some(claimed), Some(url)) = (question.locked.nar_hash, forge_archive(question)) else {
            return Ok(None);
        };
        let found = self.served(&url, Shape::Archive)?;
        Ok(found.ok().filter(|found| *found == claimed).map(|_| {
            Answer::Proven(format!("the archive that {} makes of it has this hash", shown(&url)))
        }))
    }

    fn served(&self, url: &Url, shape: Shape) -> Result<Result<NarHash, Answer>, ArchiveError> {
        let request = self.request(url);
        let unknown = |reason, detail: String| Ok(Err(Answer::unknown(reason, detail)));
        let body = match self.http.large(&request, MAX_ARCHIVE) {
            Ok(HttpAnswer::Found(body)) => body,
            Ok(HttpAnswer::Absent) => {
                return unknown(Reason::Unreachable, format!("{}: not there", shown(&request.url)));
            }
            Ok(HttpAnswer::Forbidden) => {
                return unknown(Reason::Unreachable, format!("{}: forbidden", shown(&request.url)));
            }
            Err(error) => return unknown(error.failure.reason(), error.to_string()),
        };
        let mut spool = self.state.download()?;
        let hashed = match shape {
            Shape::File => hash_file(body, spool.as_file_mut()),
            Shape::Archive => match unpacked(body) {
                Ok(stream) => hash(stream, spool.as_file_mut()),
                Err(Begin::Read(error)) => Err(TarError::Read(error)),
                Err(Begin::Unknown(what)) => {
                    let detail = format!("{} serves {what}", shown(&request.url));
                    return unknown(Reason::Unsupported, detail);
                }
            },
        };
        match hashed {
            Ok(found) => Ok(Ok(found)),
            Err(TarError::Spool(error)) => Err(ArchiveError::Spool(error)),
            Err(error) => {
                let detail = format!("{}: {error}", shown(&request.url));
                unknown(reason_of(&error), detail)
            }
        }
    }

    fn request(&self, url: &Url) -> Request {
        let zone = self.http.zone_of(url);
        let host = url.host_str().filter(|_| url.scheme() == "https");
        let credentials = host.and_then(|host| self.netrc.find(host));
        Request { credentials, ..Request::from_zone(plain(url), zone) }
    }
}

/// The URL without what is not asked for.
fn plain(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

fn reason_of(error: &TarError) -> Reason {
    match error {
        TarError::TooLarge { .. } => Reason::TooLarge,
        TarError::Read(error) => {
            let http = HttpError::of(error).map(|error| error.failure.reason());
            let large =
                matches!(DecompressError::of(error), Some(DecompressError::TooLarge { .. }));
            http.unwrap_or(if large { Reason::TooLarge } else { Reason::Unreachable })
        }
        _ => Reason::Unsupported,
    }
}

/// Why it is no archive that can be read.
enum Begin {
    Read(io::Error),
    Unknown(&'static str),
}

/// The tar archive in a stream, by its first bytes and not by its name.
fn unpacked(stream: impl Read + Send + 'static) -> Result<impl Read, Begin> {
    let mut stream = BufReader::with_capacity(BUFFER, stream);
    let start = stream.fill_buf().map_err(Begin::Read)?;
    let known = MAGICS.iter().find(|(magic, _)| start.starts_with(magic));
    let compression = match known {
        Some((_, compression)) => *compression,
        None if start.starts_with(b"PK") => {
            return Err(Begin::Unknown("a zip archive, which is not read"));
        }
        None => Compression::None,
    };
    let reader = compression::reader(compression, stream).map_err(Begin::Read)?;
    let mut reader = BufReader::with_capacity(BUFFER, Bounded { reader, left: MAX_UNPACKED });
    // One packet may hold less than a header.
    let start = reader.fill_buf().map_err(Begin::Read)?;
    if start.len() >= TAR_MARK.end && start.get(TAR_MARK) != Some(b"ustar".as_slice()) {
        return Err(Begin::Unknown("no tar archive"));
    }
    Ok(reader)
}

/// A reader that fails where there is too much; a mere end would make an
/// archive out of the begin of another.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(out)?;
        let taken = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(taken).ok_or_else(|| {
            io::Error::other(format!("it unpacks to more than {MAX_UNPACKED} bytes"))
        })?;
        Ok(read)
    }
}

/// Where Nix gets the archive of a commit from its forge.
fn forge_archive(question: &PinQuestion) -> Option<Url> {
    let PinSource::Forge { forge, host, owner, repo } = &question.source else { return None };
    let rev = question.locked.rev?;
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~%".contains(c))
    };
    if [owner, repo].into_iter().any(|text| !plain(text) || text.starts_with('.')) {
        return None;
    }
    let url = match forge {
        Forge::GitHub if host == forge.host() => {
            format!("https://{host}/{owner}/{repo}/archive/{rev}.tar.gz")
        }
        Forge::GitHub => format!("https://{host}/api/v3/repos/{owner}/{repo}/tarball/{rev}"),
        Forge::GitLab => format!(
            "https://{host}/api/v4/projects/{owner}%2F{repo}/repository/archive.tar.gz?sha={rev}"
        ),
        Forge::SourceHut => format!("https://{host}/{owner}/{repo}/archive/{rev}.tar.gz"),
    };
    let url = Url::parse(&url).ok()?;
    (url.host_str() == Some(host.split(':').next()?)).then_some(url)
}
