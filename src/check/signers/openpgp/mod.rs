//! OpenPGP signatures of version 4, after RFC 9580 and RFC 4880.
//!
//! A key counts with what its owner said about it, and only as far as the
//! owner's own signatures over that verify: what it may do, when it ends, what
//! was withdrawn. Certifications by others are passed over: a key in the
//! keyring is known because the user put it there.

mod keyring;
mod packet;
mod signature;

pub use keyring::{Keyring, KeyringError};

use super::armor;
use super::crypto::Verdict;
use crate::check::lock::evidence::{Signed, Signer, VoidReason};
use crate::nix::git::commit::Signature;
use keyring::Found;
use packet::Packet;
use signature::{Kind, PgpSignature};

/// Who made an OpenPGP signature. `now` is the time of the run, in seconds
/// since 1970.
#[must_use]
pub fn verify(keyring: &Keyring, signature: &Signature, now: i64) -> Signed {
    let unreadable = |why: &str| Signed::Unreadable { why: why.to_owned() };
    let decoded = armor::decode(&signature.armor, "PGP SIGNATURE")
        .or_else(|| armor::decode(&signature.armor, "PGP MESSAGE"));
    let Some((blob, rest)) = decoded else {
        return unreadable("the armour of the OpenPGP signature is malformed");
    };
    if !rest.trim_ascii().is_empty() {
        return unreadable("something follows the OpenPGP signature");
    }
    let mut packets = packet::read(&blob);
    let parsed = match (packets.next(), packets.next()) {
        (Some(Ok(Packet { tag: packet::SIGNATURE, body })), None) => PgpSignature::parse(body),
        (Some(Ok(_)), Some(Ok(_))) => {
            return unreadable("there is more than one OpenPGP signature");
        }
        _ => return unreadable("the OpenPGP signature is malformed"),
    };
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(why) => return unreadable(why),
    };
    if parsed.kind != Kind::Binary && parsed.kind != Kind::Text {
        return unreadable("the OpenPGP signature is not over a document");
    }
    let Some(issuer) = parsed.issuer() else {
        return unreadable("the OpenPGP signature names no key");
    };
    let text;
    let message = if parsed.kind == Kind::Text {
        text = with_crlf(&signature.payload);
        &text
    } else {
        &signature.payload
    };
    // Key ids are short enough to collide: the key that verifies counts.
    let mut bad = None;
    for found in keyring.find(&issuer) {
        match parsed.check(found.key, message) {
            Verdict::Good => return judge(&found, &parsed, now),
            Verdict::Bad => bad = Some(found.key.fingerprint_text()),
            Verdict::Unsupported(why) => return unreadable(why),
        }
    }
    match bad {
        Some(key) => {
            Signed::Bad { key, why: "it is not this key's signature over these bytes".to_owned() }
        }
        None => Signed::UnknownKey { key: issuer.text() },
    }
}

/// Whether a signature that verifies counts.
fn judge(found: &Found<'_>, signature: &PgpSignature, now: i64) -> Signed {
    let key = found.key.fingerprint_text();
    let service = super::service_of(&found.owner.primary.fingerprint_text());
    let signer = Signer { key, names: found.owner.names(), service };
    let Some(made) = signature.created() else {
        return Signed::Unreadable { why: "the OpenPGP signature has no time".to_owned() };
    };
    match found.owner.standing(found.index, made) {
        Ok(()) if signature.expires().is_some_and(|end| end < now) => {
            Signed::Void { signer, why: VoidReason::SignatureExpired }
        }
        Ok(()) => Signed::By(signer),
        Err(why) => Signed::Void { signer, why },
    }
}

/// Text signatures are over lines that end in CR LF.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    let mut before = 0;
    for &byte in text {
        if byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        before = byte;
    }
    out
}
