//! Who signed a commit or tag: SSH and OpenPGP signatures against keys that the
//! user named.
//!
//! The keys come from an `allowed_signers` file (ssh-keygen(1), ALLOWED
//! SIGNERS) and from exported OpenPGP keys. Nothing else is trusted: no key
//! server, no key in a home directory, no key that a signature brings along.

pub mod allowed_signers;
mod armor;
mod crypto;
pub mod openpgp;
pub mod ssh;

pub use allowed_signers::{AllowedSigners, AllowedSignersError};
pub use openpgp::{Keyring, KeyringError};

use crate::check::lock::evidence::Signed;
use crate::nix::git::commit::Signature;

/// Keys of hosting services, by OpenPGP fingerprint in lower-case base16.
/// Published at `https://github.com/web-flow.gpg`.
const SERVICES: [(&str, &str); 2] = [
    ("5de3e0509c47ea3cf04a42d34aee18f83afdeb23", "GitHub"),
    ("968479a1aff927e37d1a566bb5690eeebb952194", "GitHub"),
];

/// The keys whose signatures are known.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    /// SSH keys.
    pub allowed: AllowedSigners,
    /// OpenPGP keys.
    pub keyring: Keyring,
    /// The time of the run, in seconds since 1970: a signature that has run
    /// out by then does not count.
    pub now: i64,
}

impl Signers {
    /// Whether no key was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.keyring.is_empty()
    }

    /// Who made a signature over a commit or tag of the time `time` (seconds
    /// since 1970).
    #[must_use]
    pub fn verify(&self, signature: &Signature, time: i64) -> Signed {
        let armor = signature.armor.trim_ascii_start();
        if armor.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
            ssh::verify(&self.allowed, signature, time)
        } else if armor.starts_with(b"-----BEGIN PGP ") {
            openpgp::verify(&self.keyring, signature, self.now)
        } else {
            Signed::Unreadable { why: "neither an SSH nor an OpenPGP signature".to_owned() }
        }
    }
}

/// The hosting service that a key, or its last 16 digits, belongs to.
#[must_use]
pub fn service_of(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase();
    let known = |fingerprint: &str| key.len() >= 16 && fingerprint.ends_with(&key);
    SERVICES.iter().find(|(fingerprint, _)| known(fingerprint)).map(|(_, service)| *service)
}
