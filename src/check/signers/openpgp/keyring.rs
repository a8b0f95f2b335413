//! Exported OpenPGP keys and what their owners say about them.

use sha1::Digest as _;

use super::packet::{self, Packet, integer};
use super::signature::{Issuer, Kind, PgpSignature};
use crate::check::lock::evidence::VoidReason;
use crate::check::signers::armor;
use crate::check::signers::crypto::{Curve, PublicKey, Verdict};
use crate::nix::hash::base16;

/// Most packets of a keyring; Debian's with all developers has 300,000.
const MAX_PACKETS: usize = 2_000_000;

/// Longest user id that is kept, in bytes.
const MAX_NAME: usize = 1024;

/// Why a keyring cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// It is no sequence of packets.
    #[error(
        "this is no exported OpenPGP key (expected the output of gpg --export, perhaps with --armor)"
    )]
    Malformed,
    /// It holds secret keys.
    #[error("this holds secret keys: export the public ones (gpg --export)")]
    Secret,
    /// It holds no key that is understood.
    #[error("this holds no OpenPGP key of version 4")]
    Empty,
    /// Too many packets.
    #[error("the keyring has more than {MAX_PACKETS} packets")]
    TooLarge,
}

/// A primary key or a subkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `None` if it is of a kind that is not supported.
    pub public: Option<PublicKey>,
    fingerprint: [u8; 20],
    created: i64,
    /// The packet's body, as signatures cover it.
    body: Vec<u8>,
}

/// Something a key's owner said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    signature: PgpSignature,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct UserId {
    name: Vec<u8>,
    said: Vec<Said>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Subkey {
    key: Key,
    said: Vec<Said>,
}

/// A primary key and all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The primary key.
    pub primary: Key,
    said: Vec<Said>,
    ids: Vec<UserId>,
    subkeys: Vec<Subkey>,
}

/// The keys that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring(Vec<Owner>);

/// A key in a keyring.
pub struct Found<'k> {
    /// The key.
    pub key: &'k Key,
    /// Whose it is.
    pub owner: &'k Owner,
    /// Which of its subkeys; `None` for the primary key.
    pub index: Option<usize>,
}

impl Keyring {
    /// Reads exported keys, armoured or not.
    ///
    /// # Errors
    /// What is no key, or only keys that are not understood.
    pub fn parse(data: &[u8]) -> Result<Self, KeyringError> {
        let mut owners = Vec::new();
        if data.first().is_some_and(|first| first & 0x80 != 0) {
            add(data, &mut owners)?;
        } else {
            let mut rest = data;
            let mut any = false;
            while let Some((block, after)) = armor::decode(rest, "PGP PUBLIC KEY BLOCK") {
                add(&block, &mut owners)?;
                (rest, any) = (after, true);
            }
            if !any {
                return Err(KeyringError::Malformed);
            }
        }
        if owners.is_empty() { Err(KeyringError::Empty) } else { Ok(Self(owners)) }
    }

    /// Whether it has no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the keys of another keyring.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys that a signature may be by.
    pub fn find<'k>(&'k self, issuer: &'k Issuer) -> impl Iterator<Item = Found<'k>> {
        self.0.iter().flat_map(move |owner| {
            let primary = Found { key: &owner.primary, owner, index: None };
            let subkeys = owner.subkeys.iter().enumerate().map(move |(index, subkey)| Found {
                key: &subkey.key,
                owner,
                index: Some(index),
            });
            std::iter::once(primary).chain(subkeys).filter(move |found| found.key.is(issuer))
        })
    }
}

fn add(data: &[u8], owners: &mut Vec<Owner>) -> Result<(), KeyringError> {
    /// What the packets before belong to.
    enum At {
        Nothing,
        Primary,
        Id,
        Subkey,
    }
    let mut at = At::Nothing;
    for (count, packet) in packet::read(data).enumerate() {
        if count >= MAX_PACKETS {
            return Err(KeyringError::TooLarge);
        }
        let Packet { tag, body } = packet.map_err(|_| KeyringError::Malformed)?;
        match tag {
            5 | 7 => return Err(KeyringError::Secret),
            packet::PUBLIC_KEY => match Key::parse(body) {
                Some(primary) => {
                    let (said, ids, subkeys) = (Vec::new(), Vec::new(), Vec::new());
                    owners.push(Owner { primary, said, ids, subkeys });
                    at = At::Primary;
                }
                None => at = At::Nothing,
            },
            _ => {
                let Some(owner) = owners.last_mut().filter(|_| !matches!(at, At::Nothing)) else {
                    continue;
                };
                match tag {
                    packet::USER_ID => {
                        let name = body.get(..body.len().min(MAX_NAME)).unwrap_or(body).to_vec();
                        // One cut short has signatures that do not verify.
                        owner.ids.push(UserId { name, said: Vec::new() });
                        at = At::Id;
                    }
                    packet::PUBLIC_SUBKEY => match Key::parse(body) {
                        Some(key) => {
                            owner.subkeys.push(Subkey { key, said: Vec::new() });
                            at = At::Subkey;
                        }
                        // What follows belongs to it and not to what was before.
                        None => {
                            owner.ids.push(UserId { name: Vec::new(), said: Vec::new() });
                            at = At::Id;
                        }
                    },
                    packet::SIGNATURE => {
                        let Ok(signature) = PgpSignature::parse(body) else { continue };
                        if !signature.issuer().is_some_and(|issuer| owner.primary.is(&issuer)) {
                            continue;
                        }
                        let said = match at {
                            At::Primary => Some(&mut owner.said),
                            At::Id => owner.ids.last_mut().map(|id| &mut id.said),
                            At::Subkey => owner.subkeys.last_mut().map(|key| &mut key.said),
                            At::Nothing => None,
                        };
                        if let Some(said) = said {
                            said.push(Said { signature });
                        }
                    }
                    // Photographs: what follows is about them.
                    17 => {
                        owner.ids.push(UserId { name: Vec::new(), said: Vec::new() });
                        at = At::Id;
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

impl Key {
    fn parse(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<6>()?;
        let [4, a, b, c, d, algorithm] = *head else { return None };
        let length = u16::try_from(body.len()).ok()?;
        let mut hasher = sha1::Sha1::new();
        hasher.update([0x99]);
        hasher.update(length.to_be_bytes());
        hasher.update(body);
        let fingerprint = <[u8; 20]>::try_from(hasher.finalize().as_slice()).ok()?;
        let created = i64::from(u32::from_be_bytes([a, b, c, d]));
        let public = material(algorithm, rest);
        Some(Self { public, fingerprint, created, body: body.to_vec() })
    }

    fn is(&self, issuer: &Issuer) -> bool {
        match issuer {
            Issuer::Fingerprint(bytes) => self.fingerprint.as_slice() == bytes,
            Issuer::Id(bytes) => self.fingerprint.ends_with(bytes),
        }
    }

    /// The fingerprint in lower-case base16.
    pub fn fingerprint_text(&self) -> String {
        base16(&self.fingerprint)
    }

    /// What signatures over the key begin with.
    fn hashed(&self) -> Vec<u8> {
        let length = u16::try_from(self.body.len()).unwrap_or(u16::MAX);
        [&[0x99], length.to_be_bytes().as_slice(), &self.body].concat()
    }
}

fn material(algorithm: u8, data: &[u8]) -> Option<PublicKey> {
    /// Object identifiers of curves, with their lengths before them.
    const ED25519: &[u8] = &[9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1];
    const P256: &[u8] = &[8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const P384: &[u8] = &[5, 0x2b, 0x81, 4, 0, 0x22];
    match algorithm {
        1 | 3 => {
            let (n, rest) = integer(data)?;
            let (e, rest) = integer(rest)?;
            rest.is_empty().then(|| PublicKey::Rsa(n.to_vec(), e.to_vec()))
        }
        19 => {
            let (curve, rest) = match (data.strip_prefix(P256), data.strip_prefix(P384)) {
                (Some(rest), _) => (Curve::P256, rest),
                (_, Some(rest)) => (Curve::P384, rest),
                _ => return None,
            };
            let (point, rest) = integer(rest)?;
            let whole = point.len() == 1 + 2 * curve.size() && rest.is_empty();
            whole.then(|| PublicKey::Ecdsa(curve, point.to_vec()))
        }
        22 => {
            let (point, rest) = integer(data.strip_prefix(ED25519)?)?;
            let key = point.strip_prefix(&[0x40])?;
            (key.len() == 32 && rest.is_empty()).then(|| PublicKey::Ed25519(key.to_vec()))
        }
        27 => (data.len() == 32).then(|| PublicKey::Ed25519(data.to_vec())),
        _ => None,
    }
}

impl Owner {
    fn verifies(&self, said: &Said, message: &[u8]) -> bool {
        said.signature.check(&self.primary, message) == Verdict::Good
    }

    fn id_message(&self, name: &[u8]) -> Vec<u8> {
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        [self.primary.hashed().as_slice(), &[0xb4], &length.to_be_bytes(), name].concat()
    }

    /// The names that the owner gave to the key and did not withdraw.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .ids
            .iter()
            .filter(|id| !id.name.is_empty())
            .filter(|id| {
                let message = self.id_message(&id.name);
                let says = |kind| {
                    id.said
                        .iter()
                        .any(|said| said.signature.kind == kind && self.verifies(said, &message))
                };
                says(Kind::Certification) && !says(Kind::CertificationRevocation)
            })
            .map(|id| String::from_utf8_lossy(&id.name).into_owned())
            .collect();
        names.sort();
        names
    }

    /// What the owner last said about the primary key: directly, or with a name.
    fn about_primary(&self) -> Option<&PgpSignature> {
        let direct = self.said.iter().filter(|said| {
            said.signature.kind == Kind::Direct && self.verifies(said, &self.primary.hashed())
        });
        let named = self.ids.iter().flat_map(|id| {
            let message = self.id_message(&id.name);
            id.said.iter().filter(move |said| {
                said.signature.kind == Kind::Certification && self.verifies(said, &message)
            })
        });
        latest(direct.chain(named))
    }

    /// Whether a key of this owner could sign documents at `time`.
    pub fn standing(&self, index: Option<usize>, time: i64) -> Result<(), VoidReason> {
        let own = self.primary.hashed();
        for said in self.said.iter().filter(|said| said.signature.kind == Kind::KeyRevocation) {
            if self.verifies(said, &own) && withdraws(&said.signature, time) {
                return Err(VoidReason::KeyRevoked);
            }
        }
        let about = self.about_primary().ok_or(VoidReason::NotForGit)?;
        lasts(&self.primary, about, time)?;
        let Some(subkey) = index.and_then(|index| self.subkeys.get(index)) else {
            // A key of which nothing is said may do everything.
            return if about.may_sign().unwrap_or(true) {
                Ok(())
            } else {
                Err(VoidReason::NotForGit)
            };
        };
        let message = [own, subkey.key.hashed()].concat();
        let good = |kind| {
            let message = message.clone();
            subkey
                .said
                .iter()
                .filter(move |said| said.signature.kind == kind && self.verifies(said, &message))
        };
        if good(Kind::SubkeyRevocation).any(|said| withdraws(&said.signature, time)) {
            return Err(VoidReason::KeyRevoked);
        }
        let binding = latest(good(Kind::Binding)).ok_or(VoidReason::NotForGit)?;
        lasts(&subkey.key, binding, time)?;
        // Without the subkey's own word, anybody could take it for theirs.
        let back = binding.embedded().filter(|back| back.kind == Kind::BackBinding);
        let returned = back.is_some_and(|back| back.check(&subkey.key, &message) == Verdict::Good);
        if binding.may_sign() == Some(true) && returned {
            Ok(())
        } else {
            Err(VoidReason::NotForGit)
        }
    }
}

/// The last of them: an owner may lengthen and shorten what was said before.
fn latest<'s>(said: impl Iterator<Item = &'s Said>) -> Option<&'s PgpSignature> {
    said.map(|said| &said.signature)
        .filter(|signature| signature.created().is_some())
        .max_by_key(|signature| signature.created())
}

/// Whether a revocation takes away what was signed at `time`. One that does
/// not say that the key was only replaced or retired takes away everything:
/// whoever has the key can choose the time that a signature states.
fn withdraws(revocation: &PgpSignature, time: i64) -> bool {
    !revocation.is_soft() || revocation.created().is_none_or(|revoked| revoked <= time)
}

fn lasts(key: &Key, said: &PgpSignature, time: i64) -> Result<(), VoidReason> {
    let end = said.key_lasts().and_then(|lasts| key.created.checked_add(lasts));
    if time < key.created || end.is_some_and(|end| time > end) {
        return Err(VoidReason::KeyExpired);
    }
    Ok(())
}
