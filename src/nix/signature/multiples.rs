//! Checking many signatures of one key: the same answers, sooner.
//!
//! Most of a check goes into `[s]B - [k]A`, where the base point B never
//! changes and the key A seldom does. With all multiples `[d * 256^i]` of both
//! at hand, that is 64 additions and no doubling.
//!
//! Both ways accept exactly the same: `s` has to be canonical, the point has
//! to be encoded as the very bytes of R, and R may not be of low order. The
//! sum is over the integers below the group's order, so that it is the same
//! point for keys outside of the prime-order subgroup too. R is not decoded:
//! bytes that equal a point's own encoding decode to that point.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest as _, Sha512};

use super::{PUBLIC_KEY_LEN, SIGNATURE_LEN};

/// Signatures of one key that are checked before its multiples are computed,
/// which takes as long as some ten checks.
const WORTHWHILE: u32 = 24;

/// Most keys that have their multiples in memory: 640 KiB each. A run knows
/// few keys that sign much; the others are checked in the ordinary way.
const MOST_KEYS: usize = 8;

/// Digits of a scalar in base 256.
const DIGITS: usize = 32;

/// Multiples for each digit: digits are signed.
const HALF: usize = 128;

/// Keys that have their multiples in memory.
static KEYS: AtomicUsize = AtomicUsize::new(0);

/// What is remembered about a key, shared by its copies.
#[derive(Default)]
pub(super) struct Memory {
    checks: AtomicU32,
    /// `None` if there were too many keys when it was this one's turn.
    multiples: OnceLock<Option<KeyMultiples>>,
}

impl Memory {
    /// The multiples of a key, if it has signed enough to be worth them.
    pub(super) fn multiples(&self, key: &EdwardsPoint) -> Option<&KeyMultiples> {
        match self.multiples.get() {
            Some(multiples) => multiples.as_ref(),
            None if self.checks.fetch_add(1, Ordering::Relaxed) < WORTHWHILE => None,
            None => {
                let make = || Slot::take().map(|slot| KeyMultiples::of(key, slot));
                self.multiples.get_or_init(make).as_ref()
            }
        }
    }
}

/// One of the [`MOST_KEYS`]; free again when it is dropped.
struct Slot;

impl Slot {
    fn take() -> Option<Self> {
        let more = |keys: usize| (keys < MOST_KEYS).then_some(keys.saturating_add(1));
        KEYS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        KEYS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The multiples of a key's inverse.
pub(super) struct KeyMultiples {
    inverse: Multiples,
    /// Given back with them.
    _slot: Slot,
}

impl KeyMultiples {
    fn of(key: &EdwardsPoint, slot: Slot) -> Self {
        Self { inverse: Multiples::of(&-key), _slot: slot }
    }

    /// Whether `signature` is one of `message` by this key, `encoded`.
    pub(super) fn verify_strict(
        &self,
        encoded: &[u8; PUBLIC_KEY_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool {
        let Some((r, s)) = signature.split_first_chunk::<32>() else { return false };
        let Some(s) = <[u8; 32]>::try_from(s)
            .ok()
            .and_then(|s| Option::<Scalar>::from(Scalar::from_canonical_bytes(s)))
        else {
            return false;
        };
        let hash = Sha512::new().chain_update(r).chain_update(encoded).chain_update(message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let point = base().times(&s) + self.inverse.times(&k);
        point.compress().as_bytes() == r && !point.is_small_order()
    }
}

fn base() -> &'static Multiples {
    static BASE: OnceLock<Multiples> = OnceLock::new();
    BASE.get_or_init(|| Multiples::of(&ED25519_BASEPOINT_POINT))
}

/// `[d * 256^i]P` for every digit `d` up to 128 and every place `i`.
struct Multiples(Vec<[EdwardsPoint; HALF]>);

impl Multiples {
    fn of(point: &EdwardsPoint) -> Self {
        let mut unit = *point;
        let mut places = Vec::with_capacity(DIGITS);
        for _ in 0..DIGITS {
            let mut multiples = [unit; HALF];
            let mut last = unit;
            for multiple in multiples.iter_mut().skip(1) {
                last += unit;
                *multiple = last;
            }
            places.push(multiples);
            unit = last + last;
        }
        Self(places)
    }

    fn times(&self, scalar: &Scalar) -> EdwardsPoint {
        let mut sum = EdwardsPoint::default();
        for (multiples, digit) in self.0.iter().zip(digits(scalar)) {
            let place = usize::from(digit.unsigned_abs()).checked_sub(1);
            let Some(multiple) = place.and_then(|place| multiples.get(place)) else { continue };
            if digit > 0 {
                sum += multiple;
            } else {
                sum -= multiple;
            }
        }
        sum
    }
}

/// A scalar in base 256 with digits from -127 to 128, the lowest first. Those
/// below the group's order, and others are not made here, are less than 2^253
/// and leave no carry.
fn digits(scalar: &Scalar) -> [i16; DIGITS] {
    let mut carry = 0;
    scalar.as_bytes().map(|byte| {
        let digit = i16::from(byte) + carry;
        carry = i16::from(digit > 128);
        digit - carry * 256
    })
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use ed25519_dalek::VerifyingKey;

    use super::*;

    /// The answers of both ways, which have to be one.
    fn both(key: &EdwardsPoint, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let encoded = key.compress().to_bytes();
        // A slot beyond the bounds, so that no test waits for another.
        KEYS.fetch_add(1, Ordering::Relaxed);
        let ours = KeyMultiples::of(key, Slot).verify_strict(&encoded, message, signature);
        let theirs = VerifyingKey::from_bytes(&encoded).unwrap();
        let signed = ed25519_dalek::Signature::from_bytes(signature);
        assert_eq!(
            ours,
            theirs.verify_strict(message, &signed).is_ok(),
            "{encoded:?} {signature:?}"
        );
        ours
    }

    fn scalar(random: &mut fastrand::Rng) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&std::array::from_fn(|_| random.u8(..)))
    }

    /// A signature with the nonce `r`, whose R is `torsion` off.
    fn signed(
        secret: &Scalar,
        key: &EdwardsPoint,
        r: &Scalar,
        torsion: &EdwardsPoint,
        message: &[u8],
    ) -> [u8; SIGNATURE_LEN] {
        let point = (EdwardsPoint::mul_base(r) + torsion).compress().to_bytes();
        let hash = Sha512::new().chain_update(point).chain_update(key.compress().to_bytes());
        let hash = hash.chain_update(message).finalize();
        let s = r + Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
        [point, s.to_bytes()].concat().try_into().unwrap()
    }

    #[test]
    fn points_of_low_order_change_no_answer() {
        let mut random = fastrand::Rng::with_seed(25519);
        let mut accepted = [0; 2];
        for round in 0..4_u8 {
            let secret = scalar(&mut random);
            for torsion in EIGHT_TORSION {
                let key = EdwardsPoint::mul_base(&secret) + torsion;
                for off in EIGHT_TORSION {
                    let r = scalar(&mut random);
                    let signature = signed(&secret, &key, &r, &off, &[round]);
                    accepted[0] += usize::from(both(&key, &[round], &signature));
                    // An R of low order is refused, whatever the equation says.
                    let signature = signed(&secret, &key, &Scalar::ZERO, &off, &[round]);
                    accepted[1] += usize::from(both(&key, &[round], &signature));
                }
            }
        }
        // Of 8 * 8 pairs those where R is as far off as the key.
        assert!((16..80).contains(&accepted[0]), "{accepted:?}");
        assert_eq!(accepted[1], 0);
    }

    #[test]
    fn scalars_are_canonical_and_points_are_compared_by_their_bytes() {
        let mut random = fastrand::Rng::with_seed(1);
        let secret = scalar(&mut random);
        let key = EdwardsPoint::mul_base(&secret);
        let zero = EdwardsPoint::default();
        let good = signed(&secret, &key, &scalar(&mut random), &zero, b"x");
        assert!(both(&key, b"x", &good));
        assert!(!both(&key, b"y", &good));
        // The order of the group, added to s: the same point, another text.
        let order = (-Scalar::ONE).to_bytes();
        let mut carry = 1_u16;
        let mut high = good;
        for (byte, order) in high[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert!(!both(&key, b"x", &high));
        for bit in (0..SIGNATURE_LEN * 8).step_by(5) {
            let mut other = good;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!both(&key, b"x", &other), "bit {bit}");
        }
        for _ in 0..50 {
            let noise: [u8; SIGNATURE_LEN] = std::array::from_fn(|_| random.u8(..));
            assert!(!both(&key, b"x", &noise));
        }
    }

    #[test]
    fn multiples_add_up() {
        let mut random = fastrand::Rng::with_seed(2);
        let point = EdwardsPoint::mul_base(&scalar(&mut random)) + EIGHT_TORSION[1];
        let multiples = Multiples::of(&point);
        let small = (0..=1_024_u64).map(Scalar::from);
        let large = (0..100).map(|_| scalar(&mut random));
        let last = [-Scalar::ONE, Scalar::from(1_u64 << 63), Scalar::from(u128::MAX)];
        for scalar in small.chain(large).chain(last) {
            // Not the product modulo the order: the point has torsion.
            assert_eq!(multiples.times(&scalar), scalar * point, "{scalar:?}");
        }
    }

    #[test]
    fn they_are_made_when_they_are_worth_it_and_for_few_keys() {
        let key = EdwardsPoint::mul_base(&Scalar::from(5_u64));
        let memories: Vec<Memory> = (0..MOST_KEYS + 1).map(|_| Memory::default()).collect();
        let all: Vec<bool> = memories
            .iter()
            .map(|memory| {
                assert!((0..WORTHWHILE).all(|_| memory.multiples(&key).is_none()));
                memory.multiples(&key).is_some()
            })
            .collect();
        // Other tests may have theirs at the same time.
        let made = all.iter().filter(|made| **made).count();
        assert!((1..=MOST_KEYS).contains(&made), "{all:?}");
        let again = memories.iter().zip(&all);
        assert!(again.into_iter().all(|(memory, made)| memory.multiples(&key).is_some() == *made));
    }
}
