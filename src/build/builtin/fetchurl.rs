//! `builtin:fetchurl`: one file from a URL, as it is, made executable, or
//! unpacked from a NAR.
//!
//! Nix runs it in the sandbox with the network of the host
//! (`src/libstore/builtins/fetchurl.cc`). Here this process fetches, through
//! the same guarded client as every other source ([`crate::gather::fetch`],
//! which also reads `url`, `unpack` and `executable`), puts the output where a
//! builder would have made it, and lets [`finish`] judge it like any other.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use crate::build::outputs::{FinishRequest, finish};
use crate::build::{BuildError, BuiltOutput, FailureReason};
use crate::gather::credentials::Netrc;
use crate::gather::fetch::{FetchError, fetch_fixed};
use crate::gather::http::HttpClient;
use crate::nix::derivation::OUT;

/// Fetches the output of the derivation in `request` and finishes it. The
/// build user counts for nothing: it is this process that makes the output.
///
/// # Errors
/// The outer error: we failed. The inner one: the derivation cannot be
/// fetched plainly or nothing answered
/// ([`FailureReason::Unsupported`]), what was served has another hash, or it
/// is not what Nix would take.
pub fn build(
    http: &HttpClient,
    netrc: &Netrc,
    request: &FinishRequest<'_>,
) -> Result<Result<BTreeMap<String, BuiltOutput>, FailureReason>, BuildError> {
    let Some(path) = request.scratch.get(OUT) else {
        let why = "builtin:fetchurl makes an output called 'out'".to_owned();
        return Ok(Err(FailureReason::Unsupported(why)));
    };
    let dest = format!("/proc/self/fd/{}/{path}", request.store.as_raw_fd());
    match fetch_fixed(http, netrc, &request.job.derivation, None, Path::new(&dest)) {
        Ok(_) => {}
        Err(error @ (FetchError::Impossible(_) | FetchError::Unreachable(_))) => {
            return Ok(Err(FailureReason::Unsupported(error.to_string())));
        }
        Err(FetchError::Mismatch { found, expected, .. }) => {
            let (expected, found) = (*expected, *found);
            let output = OUT.to_owned();
            return Ok(Err(FailureReason::HashMismatch { output, expected, found }));
        }
        Err(FetchError::Io { path, source }) => {
            return Err(BuildError::Path { action: "fetch into", path, source });
        }
        Err(FetchError::Tree(error)) => return Err(error.into()),
        Err(FetchError::Restore(error)) => return Err(error.into()),
    }
    let build_uid = rustix::process::geteuid().as_raw();
    finish(&FinishRequest { build_uid, leaky: false, ..*request })
}
