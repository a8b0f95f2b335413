//! Public keys and what they verify.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Shortest RSA key, in bits: shorter ones can be factored.
const MIN_RSA: usize = 2048;

/// Longest RSA key, in bits: longer ones only cost time.
const MAX_RSA: usize = 8192;

/// A hash function that signatures are made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    pub fn of(self, data: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha384 => &ring::digest::SHA384,
            Self::Sha512 => &ring::digest::SHA512,
        };
        ring::digest::digest(algorithm, data).as_ref().to_vec()
    }
}

/// A curve of NIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Bytes of a coordinate.
    pub const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    Ed25519(Vec<u8>),
    /// The point, uncompressed.
    Ecdsa(Curve, Vec<u8>),
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa(Vec<u8>, Vec<u8>),
}

/// What a check of a signature gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Bad,
    /// It cannot be checked, and why.
    Unsupported(&'static str),
}

impl From<bool> for Verdict {
    fn from(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

impl PublicKey {
    /// An Ed25519 signature over the message itself.
    pub fn verify_ed25519(&self, message: &[u8], signature: &[u8]) -> Verdict {
        match self {
            Self::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok().into()
            }
            _ => Verdict::Bad,
        }
    }

    /// An RSA signature (PKCS #1 v1.5).
    pub fn verify_rsa(&self, digest: Digest, message: &[u8], signature: &[u8]) -> Verdict {
        let Self::Rsa(n, e) = self else { return Verdict::Bad };
        let bits = n.len().saturating_mul(8);
        if bits < MIN_RSA {
            return Verdict::Unsupported("the RSA key is shorter than 2048 bits");
        }
        if bits > MAX_RSA {
            return Verdict::Unsupported("the RSA key is longer than 8192 bits");
        }
        let Some(signature) = padded(signature, n.len()) else { return Verdict::Bad };
        let parameters = match digest {
            Digest::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Digest::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            Digest::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        };
        let key = RsaPublicKeyComponents { n, e };
        key.verify(parameters, message, &signature).is_ok().into()
    }

    /// An ECDSA signature of two numbers, big-endian.
    pub fn verify_ecdsa(&self, digest: Digest, message: &[u8], r: &[u8], s: &[u8]) -> Verdict {
        let Self::Ecdsa(curve, point) = self else { return Verdict::Bad };
        let fixed = || {
            let size = curve.size();
            Some([padded(r, size)?, padded(s, size)?].concat())
        };
        let (algorithm, signature): (&dyn VerificationAlgorithm, _) = match (curve, digest) {
            (Curve::P256, Digest::Sha256) => (&ECDSA_P256_SHA256_FIXED, fixed()),
            (Curve::P384, Digest::Sha384) => (&ECDSA_P384_SHA384_FIXED, fixed()),
            (Curve::P256, Digest::Sha384) => (&ECDSA_P256_SHA384_ASN1, asn1(r, s)),
            (Curve::P384, Digest::Sha256) => (&ECDSA_P384_SHA256_ASN1, asn1(r, s)),
            (_, Digest::Sha512) => {
                return Verdict::Unsupported("ECDSA on this curve with SHA-512 is not supported");
            }
        };
        let Some(signature) = signature else { return Verdict::Bad };
        UnparsedPublicKey::new(algorithm, point).verify(message, &signature).is_ok().into()
    }
}

/// A big-endian number with exactly `size` bytes.
pub fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    let number = number.get(start..)?;
    let zeros = size.checked_sub(number.len())?;
    Some([vec![0; zeros], number.to_vec()].concat())
}

/// A pair of numbers as DER; curves here are small enough for short lengths.
fn asn1(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let integer = |number: &[u8]| {
        let start = number.iter().position(|&byte| byte != 0)?;
        let mut digits = number.get(start..)?.to_vec();
        if digits.first().is_some_and(|&byte| byte >= 0x80) {
            digits.insert(0, 0);
        }
        let length = u8::try_from(digits.len()).ok().filter(|&length| length < 0x60)?;
        Some([vec![2, length], digits].concat())
    };
    let body = [integer(r)?, integer(s)?].concat();
    let length = u8::try_from(body.len()).ok().filter(|&length| length < 0x80)?;
    Some([vec![0x30, length], body].concat())
}
