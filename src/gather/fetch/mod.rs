//! Fetching fixed outputs ourselves: nothing of the derivation is run, and
//! nothing is handed on before its hash is right.

pub mod plan;

use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tempfile::TempPath;
use url::Url;

pub use crate::gather::fetch::plan::{FetchImpossible, FetchPlan, Mirrors, Shape};
use crate::gather::http::credentials::{Credentials, Netrc, Secret};
use crate::gather::http::url_guard::Zone;
use crate::gather::http::{Answer, HttpClient, HttpError, Request, shown};
use crate::gather::nar::compression;
use crate::gather::nar::restore::{RestoreError, restore};
use crate::gather::nar::tree::{TreeError, hash_tree};
use crate::nix::derivation::Derivation;
use crate::nix::hash::{Hash, Hasher, NarHash};
use crate::nix::nar;

/// Largest source that is fetched, packed or not; the largest in nixpkgs (game
/// data, models) stay below.
pub const MAX_SOURCE: u64 = 16 << 30;

/// Bytes moved at once.
const CHUNK: usize = 64 << 10;

/// Why a fixed output was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Plain fetching cannot make it.
    #[error("plain fetching cannot make it: {0}")]
    Impossible(#[from] FetchImpossible),
    /// What came from the URLs has another hash.
    #[error("{url} has the hash {found}, but {expected} is demanded")]
    Mismatch {
        /// The URL that answered last.
        url: String,
        /// The hash of what it served.
        found: Box<Hash>,
        /// The hash demanded.
        expected: Box<Hash>,
    },
    /// No URL gave a usable answer.
    #[error("no URL answered: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// The file system.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be hashed as a NAR.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The NAR cannot be unpacked.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// A fixed output with the hash demanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR.
    pub nar_size: u64,
    /// Where it came from.
    pub url: String,
}

/// Fetches the fixed output of `drv` as `dest`, which must not exist. See
/// [`FetchPlan::of`] and [`fetch`].
///
/// # Errors
/// See [`FetchError`]; nothing is left at `dest` then.
pub fn fetch_fixed(
    http: &HttpClient,
    netrc: &Netrc,
    drv: &Derivation,
    mirrors: Option<&Mirrors>,
    dest: &Path,
) -> Result<Fetched, FetchError> {
    fetch(http, netrc, &FetchPlan::of(drv, mirrors)?, dest)
}

/// Follows a plan: the first URL whose content has the hash demanded becomes
/// `dest`, with the modes and times of a store object.
///
/// # Errors
/// See [`FetchError`]; nothing is left at `dest` then.
pub fn fetch(
    http: &HttpClient,
    netrc: &Netrc,
    plan: &FetchPlan,
    dest: &Path,
) -> Result<Fetched, FetchError> {
    let mut failures = plan.left_out.clone();
    let mut mismatch = None;
    for url in &plan.urls {
        match fetch_one(http, netrc, plan, url, dest)? {
            Outcome::Fetched(fetched) => return Ok(fetched),
            Outcome::Mismatch(found) => mismatch = Some((shown(url), found)),
            Outcome::Failed(failure) => failures.push(failure),
        }
    }
    match mismatch {
        Some((url, found)) => {
            Err(FetchError::Mismatch { url, found: Box::new(found), expected: Box::new(plan.hash) })
        }
        None => Err(FetchError::Unreachable(failures)),
    }
}

/// What one URL came to.
enum Outcome {
    Fetched(Fetched),
    Mismatch(Hash),
    Failed(String),
}

fn fetch_one(
    http: &HttpClient,
    netrc: &Netrc,
    plan: &FetchPlan,
    url: &Url,
    dest: &Path,
) -> Result<Outcome, FetchError> {
    let mut body = match http.large(&request(http, netrc, url), MAX_SOURCE) {
        Ok(Answer::Found(body)) => body,
        Ok(Answer::Absent) => return Ok(Outcome::Failed(format!("{}: not there", shown(url)))),
        Ok(Answer::Forbidden) => return Ok(Outcome::Failed(format!("{}: forbidden", shown(url)))),
        Err(error) => return Ok(Outcome::Failed(error.to_string())),
    };
    let parent = dest.parent().unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".fetch-").tempfile_in(parent);
    let (mut file, path) = file.map_err(failed(parent))?.into_parts();
    let mut hasher = Hasher::new(plan.hash.algorithm());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let failure = HttpError::of(&error).map(ToString::to_string);
                let failure = failure.unwrap_or_else(|| format!("{}: {error}", shown(url)));
                return Ok(Outcome::Failed(failure));
            }
        };
        let bytes = chunk.get(..read).unwrap_or_default();
        hasher.update(bytes);
        file.write_all(bytes).map_err(failed(&path))?;
    }
    let flat = hasher.finish();
    let source = shown(url);
    match plan.shape {
        Shape::Flat if flat == plan.hash => keep_file(path, false, dest),
        Shape::Flat => return Ok(Outcome::Mismatch(flat)),
        Shape::File { executable } => {
            let mut hashing = Hashing(Hasher::new(plan.hash.algorithm()));
            canonicalise(&path, executable)?;
            hash_tree(&path, &mut [&mut hashing])?;
            let found = hashing.0.finish();
            if found != plan.hash {
                return Ok(Outcome::Mismatch(found));
            }
            keep_file(path, executable, dest)
        }
        Shape::Nar(packed) => {
            let open = || File::open(&path).map(BufReader::new).map_err(failed(&path));
            let mut hashing = Hashing(Hasher::new(plan.hash.algorithm()));
            let reader = compression::reader(packed, open()?).map_err(failed(&path))?;
            if let Err(error) = nar::check(Tee(reader.take(MAX_SOURCE), &mut hashing)) {
                return Ok(Outcome::Failed(format!("{source}: {error}")));
            }
            let found = hashing.0.finish();
            if found != plan.hash {
                return Ok(Outcome::Mismatch(found));
            }
            let reader = compression::reader(packed, open()?).map_err(failed(&path))?;
            Ok(restore(reader, dest)?)
        }
    }
    .map(|(nar_hash, nar_size)| Outcome::Fetched(Fetched { nar_hash, nar_size, url: source }))
}

/// The request for a source: what a derivation names starts from outside,
/// unless it is at an origin the user named. A netrc password goes out over
/// TLS only, or to what the user named.
fn request(http: &HttpClient, netrc: &Netrc, url: &Url) -> Request {
    let zone = http.zone_of(url);
    let safe = url.scheme() == "https" || zone == Zone::Named;
    let own = url.password().map(|password| Credentials::Basic {
        login: url.username().to_owned(),
        password: Secret::new(password.to_owned()),
    });
    let credentials =
        own.or_else(|| url.host_str().filter(|_| safe).and_then(|host| netrc.find(host)));
    let mut url = url.clone();
    // Fails only for URLs that can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Request { credentials, ..Request::from_zone(url, zone) }
}

/// Gives the file the metadata of a store object and its place.
fn keep_file(path: TempPath, executable: bool, dest: &Path) -> Result<(NarHash, u64), FetchError> {
    canonicalise(&path, executable)?;
    let identity = hash_tree(&path, &mut [])?;
    path.persist_noclobber(dest).map_err(|error| failed(dest)(error.error))?;
    Ok(identity)
}

/// Mode 0444 or 0555, time 1, as in a store.
fn canonicalise(path: &Path, executable: bool) -> Result<(), FetchError> {
    let mode = if executable { 0o555 } else { 0o444 };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed(path))?;
    let one = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: one, last_modification: one };
    utimensat(CWD, path, &times, AtFlags::empty()).map_err(|error| failed(path)(error.into()))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io { path: path.clone(), source }
}

/// A hash as a sink.
struct Hashing(Hasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader whose bytes are hashed too.
struct Tee<'a, R>(R, &'a mut Hashing);

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(out)?;
        self.1.0.update(out.get(..read).unwrap_or_default());
        Ok(read)
    }
}
