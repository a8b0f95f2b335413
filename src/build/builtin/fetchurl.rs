//! `builtin:fetchurl`: one file from a URL, as it is, made executable, or
//! unpacked from a NAR.
//!
//! Follows `src/libstore/builtins/fetchurl.cc`. Nix runs it in the sandbox
//! with the network of the host. Here this process fetches, through the same
//! guarded client as everything else, and writes the output where a builder
//! would have written it; [`crate::build::outputs::finish`] then judges it.
//! Only bytes that a fixed hash will confirm are ever written.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode};

use super::Environment;
use crate::build::outputs::handles;
use crate::build::{BuildError, FailureReason};
use crate::gather::compression;
use crate::gather::restore::{RestoreError, restore_at};
use crate::nix::compression::Compression;
use crate::nix::derivation::{Derivation, OUT, Output};
use crate::nix::hash::Hash;
use crate::nix::nar::NarError;
use crate::nix::store_path::StorePath;

/// Why a derivation cannot be fetched as it asks.
#[derive(Debug, thiserror::Error)]
pub enum FetchurlError {
    /// It has no fixed hash.
    #[error("builtin:fetchurl needs a fixed-output derivation")]
    NotFixed,
    /// The environment names no URL.
    #[error("attribute 'url' missing")]
    NoUrl,
    /// The URL is no text.
    #[error("attribute 'url' is not UTF-8: '{0}'")]
    BadUrl(String),
    /// The download broke off or cannot be decompressed.
    #[error("cannot read what '{url}' serves")]
    Download {
        /// The URL.
        url: String,
        /// What the source said.
        source: io::Error,
    },
    /// What is served is no NAR.
    #[error("cannot unpack what '{url}' serves")]
    Unpack {
        /// The URL.
        url: String,
        /// What is wrong with it.
        source: NarError,
    },
    /// There is nothing to make executable.
    #[error("what '{0}' serves unpacks to a symbolic link, which cannot be made executable")]
    ExecutableLink(String),
}

/// What a derivation with this builder asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchurlRequest {
    /// Where the file is.
    pub url: String,
    /// Whether the file is a NAR to be unpacked (`unpack = 1`).
    pub unpack: bool,
    /// Whether the result is to be executable (`executable = 1`).
    pub executable: bool,
    /// The path of the output.
    pub path: StorePath,
    /// The hash of the file itself, if that is what the derivation fixes; it
    /// is also the name under which mirrors by hash have it. Otherwise the
    /// hash is that of the NAR.
    pub flat_hash: Option<Hash>,
}

impl FetchurlRequest {
    /// Reads the request of a derivation.
    ///
    /// # Errors
    /// A derivation without a fixed hash or without a URL.
    pub fn of(derivation: &Derivation) -> Result<Self, FetchurlError> {
        use crate::nix::content_address::Method;
        let Some(Output::Fixed { path, method, hash }) = derivation.outputs.get(OUT) else {
            return Err(FetchurlError::NotFixed);
        };
        let environment: &Environment = &derivation.env;
        let url = environment.get(b"url".as_slice()).ok_or(FetchurlError::NoUrl)?;
        let url = std::str::from_utf8(url)
            .map_err(|_| FetchurlError::BadUrl(url.escape_ascii().to_string()))?;
        let is_set = |name: &[u8]| environment.get(name).is_some_and(|value| value == b"1");
        Ok(Self {
            url: url.to_owned(),
            unpack: is_set(b"unpack"),
            executable: is_set(b"executable"),
            path: path.clone(),
            flat_hash: (*method == Method::Flat).then_some(*hash),
        })
    }

    /// Writes the output into `store_root`, the directory that stands for the
    /// store, out of what the URL serves.
    ///
    /// # Errors
    /// The outer error: we failed. The inner one: the download cannot be used.
    pub fn write(
        &self,
        body: impl Read + Send,
        store_root: &Path,
    ) -> Result<Result<(), FailureReason>, BuildError> {
        let store = handles::open_directory(store_root)?;
        let name = handles::name(&self.path.to_string())?;
        let unfit = match self.write_at(body, store.as_fd(), &name)? {
            Ok(()) => return Ok(Ok(())),
            Err(unfit) => unfit,
        };
        let mut why = unfit.to_string();
        let mut cause = std::error::Error::source(&unfit);
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        Ok(Err(FailureReason::BadOutput { output: OUT.to_owned(), why }))
    }

    fn write_at(
        &self,
        body: impl Read + Send,
        store: BorrowedFd<'_>,
        name: &CString,
    ) -> Result<Result<(), FetchurlError>, BuildError> {
        let url = || self.url.clone();
        if self.unpack {
            let xz = self.url.ends_with(".xz");
            let compression = if xz { Compression::Xz } else { Compression::None };
            let nar = match compression::reader(compression, body) {
                Ok(nar) => nar,
                Err(source) => return Ok(Err(FetchurlError::Download { url: url(), source })),
            };
            let shown = std::ffi::OsStr::from_bytes(name.to_bytes());
            match restore_at(nar, store, shown, Path::new(shown)) {
                Ok(_) => {}
                Err(RestoreError::Nar(source)) => {
                    return Ok(Err(FetchurlError::Unpack { url: url(), source }));
                }
                Err(error) => return Err(BuildError::Restore(error)),
            }
        } else {
            let file = handles::create(store, name)?;
            if let Err(source) = copy(body, file, name)? {
                return Ok(Err(FetchurlError::Download { url: url(), source }));
            }
        }
        let found = FileType::from_raw_mode(handles::look(store, name)?.st_mode);
        if !self.executable {
            return Ok(Ok(()));
        }
        if found == FileType::Symlink {
            return Ok(Err(FetchurlError::ExecutableLink(url())));
        }
        fs::chmodat(store, name, Mode::from_raw_mode(0o755), AtFlags::empty())
            .map_err(BuildError::path("change the mode of", handles::text(name)))?;
        Ok(Ok(()))
    }
}

/// Bytes copied at once.
const BUFFER: usize = 64 * 1024;

/// Copies a download into a file. The outer error is the file's, the inner
/// one the download's.
fn copy(
    mut body: impl Read,
    mut file: File,
    name: &CStr,
) -> Result<Result<(), io::Error>, BuildError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(Ok(())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(|source| {
            BuildError::Path { action: "write", path: handles::text(name).into(), source }
        })?;
    }
}
