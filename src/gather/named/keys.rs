//! Files with keys: secret ones to sign with, public ones to check with.
//!
//! A secret key that others can read or replace is no secret: such a file is
//! refused, as `ssh` does.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::attest::pem::{self, PemError};
use crate::gather::named::input;
use crate::nix::signature::{KeyName, PublicKey, SecretKey, SignatureError};

/// Longest file with one key; PEM with remarks around it is some hundred bytes.
const MAX_KEY_LEN: usize = 16 << 10;

/// The mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a file gives no key. No message shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the key file '{}'", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is open to others.
    #[error(
        "the secret key '{}' is open to others (mode {mode:04o}): take their rights away with 'chmod 600'",
        .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "the secret key '{}' belongs to user {owner} (expected root or {us}, who runs this)",
        .path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It is too long for a key.
    #[error("'{}' is no key: it has more than {MAX_KEY_LEN} bytes", .0.display())]
    TooLong(PathBuf),
    /// It is no key in PEM.
    #[error("'{}' is no key in PEM", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PemError,
    },
    /// It is no key in Nix's format.
    #[error("'{}' is no key in Nix's format, nor in PEM", .path.display())]
    Nix {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: SignatureError,
    },
    /// A key in Nix's format has a name already.
    #[error("the key in '{}' is called '{found}' and cannot be called '{wanted}'", .path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Its name.
        found: KeyName,
        /// The name that was asked for.
        wanted: KeyName,
    },
}

/// Reads a secret key: in Nix's format, as `nix-store
/// --generate-binary-cache-key` writes it, or in PEM, as `openssl genpkey
/// -algorithm ed25519` does. A PEM key is called `name`.
///
/// # Errors
/// A file that cannot be read, is open to others, or holds no key.
pub fn secret_key(path: &Path, name: Option<KeyName>) -> Result<SecretKey, KeyError> {
    let read = |source| KeyError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    let found = file.metadata().map_err(read)?;
    // A pipe ('<(pass show key)') is private to who made it.
    if !found.file_type().is_fifo() {
        let us = rustix::process::geteuid().as_raw();
        if found.uid() != us && found.uid() != 0 {
            return Err(KeyError::Owner { path: path.to_owned(), owner: found.uid(), us });
        }
        if found.mode() & OTHERS != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode: found.mode() & 0o7777 });
        }
    }
    let mut text = String::new();
    let bound = u64::try_from(MAX_KEY_LEN).unwrap_or(u64::MAX).saturating_add(1);
    file.by_ref().take(bound).read_to_string(&mut text).map_err(read)?;
    if text.len() > MAX_KEY_LEN {
        return Err(KeyError::TooLong(path.to_owned()));
    }
    if pem::label(&text).is_some() {
        let key = pem::secret_key(&text, name);
        return key.map_err(|source| KeyError::Pem { path: path.to_owned(), source });
    }
    let nix = |source| KeyError::Nix { path: path.to_owned(), source };
    let key: SecretKey = text.trim_end().parse().map_err(nix)?;
    named(path, key.name(), name)?;
    Ok(key)
}

/// Reads a public key in PEM or in Nix's format. A PEM key is called `name`.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub fn public_key(path: &Path, name: Option<KeyName>) -> Result<PublicKey, KeyError> {
    let bytes = input::read(path, MAX_KEY_LEN)
        .map_err(|error| KeyError::Read { path: path.to_owned(), source: error.source })?;
    if bytes.len() > MAX_KEY_LEN {
        return Err(KeyError::TooLong(path.to_owned()));
    }
    let text = String::from_utf8_lossy(&bytes);
    if pem::label(&text).is_some() {
        let key = pem::public_key(&text, name);
        return key.map_err(|source| KeyError::Pem { path: path.to_owned(), source });
    }
    let nix = |source| KeyError::Nix { path: path.to_owned(), source };
    let key: PublicKey = text.trim_end().parse().map_err(nix)?;
    named(path, key.name(), name)?;
    Ok(key)
}

fn named(path: &Path, found: &KeyName, wanted: Option<KeyName>) -> Result<(), KeyError> {
    match wanted {
        Some(wanted) if wanted != *found => {
            Err(KeyError::Name { path: path.to_owned(), found: found.clone(), wanted })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secret_keys_have_to_be_secret() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        let key = SecretKey::from_seed("ci-1".parse().unwrap(), &[1; 32]);
        std::fs::write(&path, key.to_secret_text() + "\n").unwrap();
        for (mode, good) in
            [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o622, false)]
        {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(secret_key(&path, None).is_ok(), good, "{mode:o}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let read = secret_key(&path, Some("ci-1".parse().unwrap())).unwrap();
        assert_eq!(read.public_key(), key.public_key());
        assert!(matches!(
            secret_key(&path, Some("ci-2".parse().unwrap())),
            Err(KeyError::Name { .. })
        ));
        std::fs::write(&path, "x".repeat(MAX_KEY_LEN + 1)).unwrap();
        assert!(matches!(secret_key(&path, None), Err(KeyError::TooLong(_))));
        std::fs::write(&path, "not a key").unwrap();
        let error = secret_key(&path, None).unwrap_err();
        assert!(!error.to_string().contains("not a key"), "{error}");
    }

    #[test]
    fn public_keys_come_in_two_forms() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        let key = SecretKey::from_seed("ci-1".parse().unwrap(), &[1; 32]).public_key();
        std::fs::write(&path, format!("{key}\n")).unwrap();
        assert_eq!(public_key(&path, None).unwrap(), key);
        std::fs::write(&path, pem::public_text(&key)).unwrap();
        assert_eq!(public_key(&path, Some("ci-1".parse().unwrap())).unwrap(), key);
        assert_ne!(public_key(&path, None).unwrap().name(), key.name());
    }
}
