//! SSH signatures, after `PROTOCOL.sshsig` and `PROTOCOL.u2f` of OpenSSH.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::allowed_signers::{AllowedSigners, Standing};
use super::armor;
use super::crypto::{Curve, Digest, PublicKey, Verdict, padded};
use crate::check::lock::evidence::{Signed, Signer, VoidReason};
use crate::nix::git::commit::Signature;

/// What git signs for.
const NAMESPACE: &str = "git";

/// What begins a signature, and what is signed.
const MAGIC: &[u8] = b"SSHSIG";

/// A key in the wire form, with what hardware keys add to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshKey {
    key: PublicKey,
    /// The application of a hardware key.
    application: Option<Vec<u8>>,
}

/// Reads strings as SSH writes them.
struct Wire<'d>(&'d [u8]);

impl<'d> Wire<'d> {
    fn take(&mut self, count: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Option<&'d [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// A number that is not negative, without leading zeros.
    fn integer(&mut self) -> Option<&'d [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|&byte| byte >= 0x80) {
            return None;
        }
        let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        bytes.get(start..)
    }
}

/// `SHA256:…`, as `ssh-keygen -l` shows a key.
#[must_use]
pub fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Digest::Sha256.of(key)))
}

/// Who made an SSH signature.
#[must_use]
pub fn verify(allowed: &AllowedSigners, signature: &Signature, time: i64) -> Signed {
    let unreadable = |why: &str| Signed::Unreadable { why: why.to_owned() };
    let Some((blob, rest)) = armor::decode(&signature.armor, "SSH SIGNATURE") else {
        return unreadable("the armour of the SSH signature is malformed");
    };
    if !rest.trim_ascii().is_empty() {
        return unreadable("something follows the SSH signature");
    }
    let Some(parts) = Parts::read(&blob) else {
        return unreadable("the SSH signature is malformed");
    };
    let key = fingerprint(parts.key);
    let Some(public) = SshKey::read(parts.key) else {
        return Signed::Unreadable {
            why: format!("the SSH key {key} is a certificate, or of a kind that is not supported"),
        };
    };
    let (standing, names) = allowed.standing(parts.key, NAMESPACE, time);
    if standing == Standing::Unknown {
        return Signed::UnknownKey { key };
    }
    match parts.check(&public, &signature.payload) {
        Verdict::Good => {}
        Verdict::Bad => {
            let why = "it is not this key's signature over these bytes".to_owned();
            return Signed::Bad { key, why };
        }
        Verdict::Unsupported(why) => return unreadable(why),
    }
    let signer = Signer { key, names, service: None };
    if parts.namespace != NAMESPACE.as_bytes() {
        return Signed::Void { signer, why: VoidReason::NotForGit };
    }
    match standing {
        Standing::Valid => Signed::By(signer),
        Standing::Expired => Signed::Void { signer, why: VoidReason::KeyExpired },
        Standing::OtherNamespace | Standing::Unknown => {
            Signed::Void { signer, why: VoidReason::NotForGit }
        }
    }
}

/// A signature's parts.
struct Parts<'d> {
    key: &'d [u8],
    namespace: &'d [u8],
    hash: &'d [u8],
    kind: &'d [u8],
    value: &'d [u8],
    /// Flags and counter of a hardware key.
    hardware: &'d [u8],
}

impl<'d> Parts<'d> {
    fn read(blob: &'d [u8]) -> Option<Self> {
        let mut wire = Wire(blob.strip_prefix(MAGIC)?);
        if wire.number()? != 1 {
            return None;
        }
        let (key, namespace, _reserved) = (wire.string()?, wire.string()?, wire.string()?);
        let (hash, signature) = (wire.string()?, wire.string()?);
        let mut inner = Wire(signature);
        let (kind, value) = (inner.string()?, inner.string()?);
        wire.0.is_empty().then_some(Self { key, namespace, hash, kind, value, hardware: inner.0 })
    }

    fn check(&self, public: &SshKey, payload: &[u8]) -> Verdict {
        let digest = match self.hash {
            b"sha256" => Digest::Sha256,
            b"sha512" => Digest::Sha512,
            _ => return Verdict::Unsupported("the hash of the SSH signature is not supported"),
        };
        let mut message = MAGIC.to_vec();
        for part in [self.namespace, b"", self.hash, &digest.of(payload)] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part);
        }
        match &public.application {
            None if !self.hardware.is_empty() => return Verdict::Bad,
            None => {}
            Some(_) if self.hardware.len() != 5 => return Verdict::Bad,
            Some(application) => {
                let digest = Digest::Sha256.of(&message);
                message = [Digest::Sha256.of(application), self.hardware.to_vec(), digest].concat();
            }
        }
        let key = &public.key;
        let kind = self
            .kind
            .strip_prefix(b"sk-")
            .map_or(self.kind, |kind| kind.strip_suffix(b"@openssh.com").unwrap_or(kind));
        match (kind, key) {
            (b"ssh-ed25519", PublicKey::Ed25519(_)) => key.verify_ed25519(&message, self.value),
            (b"rsa-sha2-256", PublicKey::Rsa(..)) => {
                key.verify_rsa(Digest::Sha256, &message, self.value)
            }
            (b"rsa-sha2-512", PublicKey::Rsa(..)) => {
                key.verify_rsa(Digest::Sha512, &message, self.value)
            }
            (b"ecdsa-sha2-nistp256", PublicKey::Ecdsa(Curve::P256, _)) => {
                self.ecdsa(key, Digest::Sha256, &message)
            }
            (b"ecdsa-sha2-nistp384", PublicKey::Ecdsa(Curve::P384, _)) => {
                self.ecdsa(key, Digest::Sha384, &message)
            }
            _ => Verdict::Bad,
        }
    }

    fn ecdsa(&self, key: &PublicKey, digest: Digest, message: &[u8]) -> Verdict {
        let mut wire = Wire(self.value);
        match (wire.integer(), wire.integer()) {
            (Some(r), Some(s)) if wire.0.is_empty() => key.verify_ecdsa(digest, message, r, s),
            _ => Verdict::Bad,
        }
    }
}

impl SshKey {
    /// Reads a key; `None` for certificates, DSA, P-521 and whatever else.
    pub(super) fn read(blob: &[u8]) -> Option<Self> {
        let mut wire = Wire(blob);
        let kind = wire.string()?;
        let mut application = None;
        let key = match kind {
            b"ssh-ed25519" | b"sk-ssh-ed25519@openssh.com" => {
                PublicKey::Ed25519(wire.string().filter(|key| key.len() == 32)?.to_vec())
            }
            b"ecdsa-sha2-nistp256" | b"sk-ecdsa-sha2-nistp256@openssh.com" => {
                point(&mut wire, b"nistp256", Curve::P256)?
            }
            b"ecdsa-sha2-nistp384" => point(&mut wire, b"nistp384", Curve::P384)?,
            b"ssh-rsa" => {
                let (e, n) = (wire.integer()?, wire.integer()?);
                PublicKey::Rsa(n.to_vec(), padded(e, e.len())?)
            }
            _ => return None,
        };
        if kind.starts_with(b"sk-") {
            application = Some(wire.string()?.to_vec());
        }
        wire.0.is_empty().then_some(Self { key, application })
    }
}

fn point(wire: &mut Wire<'_>, name: &[u8], curve: Curve) -> Option<PublicKey> {
    let named = wire.string()? == name;
    let point = wire.string()?;
    let whole = point.len() == 1 + 2 * curve.size() && point.first() == Some(&4);
    (named && whole).then(|| PublicKey::Ecdsa(curve, point.to_vec()))
}
