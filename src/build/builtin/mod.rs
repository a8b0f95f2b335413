//! Nix's builtin builders: derivations whose builder is `builtin:<name>`.
//!
//! Follows `src/libstore/builtins/*.cc`. `buildenv` and `unpack-channel` run
//! where the builder would run: inside the sandbox, as the build user, with
//! nothing but the derivation's environment. `fetchurl` needs the network,
//! which the sandbox does not have: its file is fetched like every other fixed
//! output ([`crate::gather::fetch`]).

pub mod buildenv;
pub mod unpack_channel;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What stands before the name of a builtin builder.
pub const PREFIX: &str = "builtin:";

/// A derivation's environment, placeholders replaced.
pub type Environment = BTreeMap<Vec<u8>, Vec<u8>>;

/// A builtin builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// `builtin:fetchurl`: fetches a file whose hash is known.
    Fetchurl,
    /// `builtin:buildenv`: merges packages into one tree of symbolic links.
    Buildenv,
    /// `builtin:unpack-channel`: unpacks the tarball of a channel.
    UnpackChannel,
}

impl Builtin {
    /// Which builtin a builder names: `None` if it is an ordinary program.
    ///
    /// # Errors
    /// A builtin that Nix does not have.
    pub fn of(builder: &[u8]) -> Option<Result<Self, BuiltinError>> {
        let name = builder.strip_prefix(PREFIX.as_bytes())?;
        Some(match name {
            b"fetchurl" => Ok(Self::Fetchurl),
            b"buildenv" => Ok(Self::Buildenv),
            b"unpack-channel" => Ok(Self::UnpackChannel),
            other => Err(BuiltinError::Unknown(other.escape_ascii().to_string())),
        })
    }

    /// Whether it runs in the sandbox like any builder. `fetchurl` does not.
    #[must_use]
    pub const fn runs_in_sandbox(self) -> bool {
        !matches!(self, Self::Fetchurl)
    }
}

/// Why a builtin builder fails. The build fails with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuiltinError {
    /// No builtin has that name.
    #[error("unsupported builtin builder '{0}' (expected buildenv, fetchurl or unpack-channel)")]
    Unknown(String),
    /// A builtin that has to be run elsewhere.
    #[error("builtin:{0} does not run inside the sandbox")]
    NotInSandbox(&'static str),
    /// The environment lacks something.
    #[error("attribute '{0}' missing")]
    Missing(&'static str),
    /// The environment holds something unusable.
    #[error("attribute '{attribute}' is bad: {why}")]
    Attribute {
        /// The attribute.
        attribute: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused something.
    #[error("cannot {action} '{}'", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two packages cannot be merged.
    #[error(transparent)]
    Collision(#[from] buildenv::Collision),
    /// The tarball cannot be unpacked.
    #[error("cannot unpack '{}': {why}", .path.display())]
    Archive {
        /// The tarball.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl BuiltinError {
    /// Wraps a failed call on `path`.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// Runs a builtin builder in place of a program, inside the sandbox, and
/// answers with its exit status. `builder` is the derivation's builder with
/// or without `builtin:`; messages go to the standard error, which is the log.
#[must_use]
pub fn run_builtin(builder: &str, environment: &Environment) -> i32 {
    let name = builder.strip_prefix(PREFIX).unwrap_or(builder);
    match run(name, environment) {
        Ok(()) => 0,
        Err(error) => {
            let mut message = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                message = format!("{message}: {error}");
                cause = error.source();
            }
            warn(&message);
            1
        }
    }
}

fn run(name: &str, environment: &Environment) -> Result<(), BuiltinError> {
    match Builtin::of(format!("{PREFIX}{name}").as_bytes()) {
        Some(Ok(Builtin::Buildenv)) => buildenv::build(environment),
        Some(Ok(Builtin::UnpackChannel)) => unpack_channel::unpack(environment),
        Some(Ok(Builtin::Fetchurl)) => Err(BuiltinError::NotInSandbox("fetchurl")),
        Some(Err(error)) => Err(error),
        None => Err(BuiltinError::Unknown(name.to_owned())),
    }
}

/// An attribute that must be there.
fn attribute<'a>(
    environment: &'a Environment,
    name: &'static str,
) -> Result<&'a [u8], BuiltinError> {
    environment.get(name.as_bytes()).map(Vec::as_slice).ok_or(BuiltinError::Missing(name))
}

/// An attribute that must be there, as a path.
fn path_attribute<'a>(
    environment: &'a Environment,
    name: &'static str,
) -> Result<&'a Path, BuiltinError> {
    attribute(environment, name).map(path)
}

/// Bytes as a path.
fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Writes a line to the log.
fn warn(message: &str) {
    // A log that nobody reads any more is no reason to stop building.
    let _ = writeln!(io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_are_told_apart() {
        assert!(Builtin::of(b"/bin/sh").is_none());
        assert!(matches!(Builtin::of(b"builtin:fetchurl"), Some(Ok(Builtin::Fetchurl))));
        assert!(matches!(Builtin::of(b"builtin:nothing"), Some(Err(BuiltinError::Unknown(_)))));
        assert!(!Builtin::Fetchurl.runs_in_sandbox());
        assert!(Builtin::Buildenv.runs_in_sandbox());
    }

    #[test]
    fn what_is_missing_fails_the_build() {
        for builder in ["builtin:buildenv", "unpack-channel", "builtin:fetchurl", "nothing"] {
            assert_eq!(run_builtin(builder, &Environment::new()), 1, "{builder}");
        }
    }
}
