//! Numbers and text at places in bytes that may be too short.

/// A number of up to eight bytes.
pub(super) fn number(bytes: &[u8], at: usize, length: usize, big_endian: bool) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    super::super::numbers::number(bytes, big_endian)
}

/// A little-endian number as a place or length in memory.
pub(super) fn little(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    usize::try_from(number(bytes, at, length, false)?).ok()
}

/// So many bytes from there on.
pub(super) fn slice(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

/// Text of digits with blanks around it, in base 8, 10 or 16.
pub(super) fn digits(field: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|letter| letter == ' ' || letter == '\0');
    u64::from_str_radix(text, radix).ok()
}

/// The bytes before the first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}
