//! Nix32, Nix's own base-32 notation.
//!
//! The byte string is read as one little-endian number and written with the
//! most significant digit first, in an alphabet without `e`, `o`, `u` and `t`
//! (`src/libutil/hash.cc`).

/// The digits of the notation, in order of value.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Marks a byte that is no Nix32 digit in [`DIGITS`].
const NO_DIGIT: u8 = 0xff;

/// The value of each byte as a digit, or [`NO_DIGIT`].
static DIGITS: [u8; 256] = digit_table();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "evaluated at compile time, where a wrong index is a compile error"
)]
const fn digit_table() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        table[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    table
}

/// Why a text is not Nix32.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Nix32Error {
    /// A byte outside the alphabet.
    #[error(
        "byte {byte:#04x} at offset {offset} is not a Nix32 digit ({alphabet})",
        alphabet = "0-9 a-z without e o t u"
    )]
    Digit {
        /// Offset of the byte in the text.
        offset: usize,
        /// The byte found there.
        byte: u8,
    },
    /// A length no byte string encodes to.
    #[error("{found} digits were found where {expected} encode {bytes} bytes")]
    Length {
        /// Digits in the text.
        found: usize,
        /// Digits that the wanted number of bytes takes.
        expected: usize,
        /// The wanted number of bytes.
        bytes: usize,
    },
    /// The leading digit carries bits beyond the last byte.
    #[error("the leading digit sets bits beyond the last byte")]
    SpareBits,
}

/// The number of digits that encode `bytes` bytes.
#[must_use]
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Whether `byte` is a digit of the alphabet.
#[must_use]
pub fn is_digit(byte: u8) -> bool {
    digit(byte).is_some()
}

/// The value of `byte` as a digit.
fn digit(byte: u8) -> Option<u8> {
    DIGITS.get(usize::from(byte)).copied().filter(|&value| value != NO_DIGIT)
}

/// Writes `bytes` in Nix32.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    encode_to(bytes, &mut text);
    text
}

/// Appends `bytes` in Nix32 to `text`.
pub fn encode_to(bytes: &[u8], text: &mut String) {
    text.reserve(encoded_len(bytes.len()));
    for position in (0..encoded_len(bytes.len())).rev() {
        let bit = position * 5;
        let (index, shift) = (bit / 8, bit % 8);
        let low = bytes.get(index).copied().unwrap_or(0);
        let high = bytes.get(index + 1).copied().unwrap_or(0);
        let window = u16::from_le_bytes([low, high]) >> shift;
        let value = usize::from(window & 0x1f);
        text.push(ALPHABET.get(value).copied().map_or('0', char::from));
    }
}

/// Reads `text` as exactly `N` bytes of Nix32.
///
/// # Errors
/// A wrong length, a byte outside the alphabet, or spare bits that are set.
pub fn decode<const N: usize>(text: &[u8]) -> Result<[u8; N], Nix32Error> {
    let mut bytes = [0; N];
    decode_into(text, &mut bytes)?;
    Ok(bytes)
}

/// Reads `text` into the whole of `bytes`.
///
/// # Errors
/// As [`decode`].
pub fn decode_into(text: &[u8], bytes: &mut [u8]) -> Result<(), Nix32Error> {
    let expected = encoded_len(bytes.len());
    if text.len() != expected {
        return Err(Nix32Error::Length { found: text.len(), expected, bytes: bytes.len() });
    }
    bytes.fill(0);
    for (offset, (&byte, position)) in text.iter().zip((0..expected).rev()).enumerate() {
        let value = digit(byte).ok_or(Nix32Error::Digit { offset, byte })?;
        let bit = position * 5;
        let (index, shift) = (bit / 8, bit % 8);
        let [low, high] = (u16::from(value) << shift).to_le_bytes();
        if let Some(slot) = bytes.get_mut(index) {
            *slot |= low;
        }
        match bytes.get_mut(index + 1) {
            Some(slot) => *slot |= high,
            None if high != 0 => return Err(Nix32Error::SpareBits),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_known_hashes() {
        assert_eq!([16, 20, 32, 64].map(encoded_len), [26, 32, 52, 103]);
    }

    #[test]
    fn every_byte_string_reads_back() {
        for seed in 0_u8..=255 {
            let bytes: [u8; 20] =
                std::array::from_fn(|i| seed.wrapping_mul(31).wrapping_add(i as u8 * 7));
            assert_eq!(decode::<20>(encode(&bytes).as_bytes()), Ok(bytes));
        }
    }

    #[test]
    fn spare_bits_are_refused() {
        let mut text = encode(&[0xff; 32]);
        assert_eq!(&text[..1], "1");
        text.replace_range(..1, "2");
        assert_eq!(decode::<32>(text.as_bytes()), Err(Nix32Error::SpareBits));
    }

    #[test]
    fn foreign_digits_are_named() {
        let text = format!("{}e", "0".repeat(31));
        assert_eq!(
            decode::<20>(text.as_bytes()),
            Err(Nix32Error::Digit { offset: 31, byte: b'e' })
        );
    }
}
