//! Sizes on the command line: bytes, or with a binary suffix.

/// Reads `1024`, `64K`, `5G`, `2T`; suffixes count in powers of 1024.
///
/// # Errors
/// Says what is expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G', 'T']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) if text.ends_with('G') => (digits, 30),
        Some(digits) => (digits, 40),
        None => (text, 0),
    };
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|number| number.checked_mul(1_u64 << shift))
        .ok_or_else(|| "expected a number of bytes, or one with K, M, G or T behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("12"), Ok(12));
        assert_eq!(parse("2K"), Ok(2048));
        assert_eq!(parse("3T"), Ok(3 << 40));
        for bad in ["", "K", "-1", "+1", "1.5G", "1k", "99999999999T", "1 G"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
