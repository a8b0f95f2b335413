//! Signature packets of version 4.

use super::keyring::Key;
use super::packet::{self, integer, number};
use crate::check::signers::crypto::{Digest, PublicKey, Verdict, padded};

/// What a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A document as it is.
    Binary,
    /// A document with the line ends of text.
    Text,
    /// A user id.
    Certification,
    /// A subkey, by the primary key.
    Binding,
    /// A primary key, by a subkey that signs.
    BackBinding,
    /// A primary key.
    Direct,
    /// That a primary key is withdrawn.
    KeyRevocation,
    /// That a subkey is withdrawn.
    SubkeyRevocation,
    /// That a certification is withdrawn.
    CertificationRevocation,
    /// Anything else.
    Other,
}

/// A subpacket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    kind: u8,
    critical: bool,
    /// Whether the signature covers it.
    hashed: bool,
    body: Vec<u8>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgpSignature {
    /// What it is over.
    pub kind: Kind,
    algorithm: u8,
    digest: Digest,
    parts: Vec<Part>,
    /// What is hashed after what is signed.
    trailer: Vec<u8>,
    numbers: Vec<u8>,
}

/// The key that a signature says it is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuer {
    /// By fingerprint.
    Fingerprint(Vec<u8>),
    /// By the last eight bytes of it.
    Id(Vec<u8>),
}

impl Issuer {
    /// In lower-case base16.
    pub fn text(&self) -> String {
        match self {
            Self::Fingerprint(bytes) | Self::Id(bytes) => crate::nix::hash::base16(bytes),
        }
    }
}

/// Numbers of subpackets.
mod part {
    pub const CREATED: u8 = 2;
    pub const EXPIRES: u8 = 3;
    pub const KEY_EXPIRES: u8 = 9;
    pub const ISSUER: u8 = 16;
    pub const FLAGS: u8 = 27;
    pub const REASON: u8 = 29;
    pub const EMBEDDED: u8 = 32;
    pub const ISSUER_FINGERPRINT: u8 = 33;
    /// Those that a signature may call critical: what is above, preferences,
    /// the primary user id, the key server's, policy, features, notations that
    /// are for people.
    pub const KNOWN: [u8; 19] =
        [2, 3, 4, 7, 9, 11, 16, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 32, 33];
}

impl PgpSignature {
    /// Reads a signature packet.
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        const MALFORMED: &str = "the OpenPGP signature is malformed";
        let (head, rest) = body.split_first_chunk::<4>().ok_or(MALFORMED)?;
        let [version, kind, algorithm, hash] = *head;
        if version != 4 {
            return Err("the OpenPGP signature is not of version 4");
        }
        let digest = match hash {
            8 => Digest::Sha256,
            9 => Digest::Sha384,
            10 => Digest::Sha512,
            1..=3 => {
                return Err("the OpenPGP signature uses a hash that is broken (such as SHA-1)");
            }
            _ => return Err("the OpenPGP signature uses a hash that is not supported"),
        };
        let (length, after) = number(rest, 2).ok_or(MALFORMED)?;
        let (hashed, after) = after.split_at_checked(length).ok_or(MALFORMED)?;
        let covered = body.len().saturating_sub(after.len());
        let (length, after) = number(after, 2).ok_or(MALFORMED)?;
        let (unhashed, after) = after.split_at_checked(length).ok_or(MALFORMED)?;
        let numbers = after.get(2..).ok_or(MALFORMED)?;
        let mut parts = Vec::new();
        read_parts(hashed, true, &mut parts).ok_or(MALFORMED)?;
        read_parts(unhashed, false, &mut parts).ok_or(MALFORMED)?;
        if parts.iter().any(|p| p.critical && p.hashed && !part::KNOWN.contains(&p.kind)) {
            return Err("the OpenPGP signature has a condition that is not known");
        }
        let mut trailer = body.get(..covered).ok_or(MALFORMED)?.to_vec();
        let length = u32::try_from(covered).map_err(|_| MALFORMED)?;
        trailer.extend_from_slice(&[4, 0xff]);
        trailer.extend_from_slice(&length.to_be_bytes());
        let kind = match kind {
            0x00 => Kind::Binary,
            0x01 => Kind::Text,
            0x10..=0x13 => Kind::Certification,
            0x18 => Kind::Binding,
            0x19 => Kind::BackBinding,
            0x1f => Kind::Direct,
            0x20 => Kind::KeyRevocation,
            0x28 => Kind::SubkeyRevocation,
            0x30 => Kind::CertificationRevocation,
            _ => Kind::Other,
        };
        Ok(Self { kind, algorithm, digest, parts, trailer, numbers: numbers.to_vec() })
    }

    fn hashed(&self, kind: u8) -> Option<&[u8]> {
        let found = self.parts.iter().find(|part| part.hashed && part.kind == kind);
        found.map(|part| part.body.as_slice())
    }

    fn seconds(&self, kind: u8) -> Option<i64> {
        let (seconds, rest) = number(self.hashed(kind)?, 4)?;
        rest.is_empty().then(|| i64::try_from(seconds).ok()).flatten()
    }

    /// When it was made, in seconds since 1970.
    pub fn created(&self) -> Option<i64> {
        self.seconds(part::CREATED)
    }

    /// When it runs out, in seconds since 1970.
    pub fn expires(&self) -> Option<i64> {
        let after = self.seconds(part::EXPIRES).filter(|after| *after > 0)?;
        self.created()?.checked_add(after)
    }

    /// How long after it was made the key ends, in seconds.
    pub fn key_lasts(&self) -> Option<i64> {
        self.seconds(part::KEY_EXPIRES).filter(|after| *after > 0)
    }

    /// Whether the key may sign documents; `None` if nothing is said.
    pub fn may_sign(&self) -> Option<bool> {
        self.hashed(part::FLAGS).map(|flags| flags.first().is_some_and(|flag| flag & 2 != 0))
    }

    /// Whether a revocation says that the key was only replaced or retired, so
    /// that what it signed before still counts.
    pub fn is_soft(&self) -> bool {
        self.hashed(part::REASON).is_some_and(|reason| matches!(reason.first(), Some(1 | 3)))
    }

    /// The signature by the subkey in a binding.
    pub fn embedded(&self) -> Option<Self> {
        let found = self.parts.iter().find(|part| part.kind == part::EMBEDDED)?;
        Self::parse(&found.body).ok()
    }

    /// The key it is by. A signature that names another verifies with none.
    pub fn issuer(&self) -> Option<Issuer> {
        let find = |kind| self.parts.iter().find(move |part: &&Part| part.kind == kind);
        let fingerprint = find(part::ISSUER_FINGERPRINT)
            .and_then(|part| part.body.strip_prefix(&[4]))
            .filter(|bytes| bytes.len() == 20);
        match fingerprint {
            Some(bytes) => Some(Issuer::Fingerprint(bytes.to_vec())),
            None => find(part::ISSUER)
                .filter(|part| part.body.len() == 8)
                .map(|part| Issuer::Id(part.body.clone())),
        }
    }

    /// Whether the key made it over `message`.
    pub fn check(&self, key: &Key, message: &[u8]) -> Verdict {
        let Some(public) = &key.public else {
            return Verdict::Unsupported("the OpenPGP key is of a kind that is not supported");
        };
        let whole = [message, &self.trailer].concat();
        match (self.algorithm, public) {
            (1 | 3, PublicKey::Rsa(..)) => match integer(&self.numbers) {
                Some((value, [])) => public.verify_rsa(self.digest, &whole, value),
                _ => Verdict::Bad,
            },
            (19, PublicKey::Ecdsa(..)) => match two(&self.numbers) {
                Some((r, s)) => public.verify_ecdsa(self.digest, &whole, r, s),
                None => Verdict::Bad,
            },
            (22, PublicKey::Ed25519(_)) => {
                let pair = two(&self.numbers)
                    .and_then(|(r, s)| Some([padded(r, 32)?, padded(s, 32)?].concat()));
                match pair {
                    Some(pair) => public.verify_ed25519(&self.digest.of(&whole), &pair),
                    None => Verdict::Bad,
                }
            }
            (27, PublicKey::Ed25519(_)) => {
                public.verify_ed25519(&self.digest.of(&whole), &self.numbers)
            }
            (1 | 3 | 19 | 22 | 27, _) => Verdict::Bad,
            _ => Verdict::Unsupported("the OpenPGP signature's algorithm is not supported"),
        }
    }
}

fn two(numbers: &[u8]) -> Option<(&[u8], &[u8])> {
    let (r, rest) = integer(numbers)?;
    let (s, rest) = integer(rest)?;
    rest.is_empty().then_some((r, s))
}

fn read_parts(data: &[u8], hashed: bool, parts: &mut Vec<Part>) -> Option<()> {
    let mut rest = data;
    while !rest.is_empty() {
        let (length, after) = packet::length(rest)?;
        let (part, after) = after.split_at_checked(length)?;
        let (&kind, body) = part.split_first()?;
        parts.push(Part {
            kind: kind & 0x7f,
            critical: kind & 0x80 != 0,
            hashed,
            body: body.to_vec(),
        });
        rest = after;
    }
    Some(())
}
