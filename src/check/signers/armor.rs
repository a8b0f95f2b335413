//! The text form of signatures and keys: base64 between two marked lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes in the first block whose mark has this label, and the text after
/// the block; `None` if there is no whole block.
pub fn decode<'t>(text: &'t [u8], label: &str) -> Option<(Vec<u8>, &'t [u8])> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut body = Vec::new();
    let mut rest = text;
    let mut inside = false;
    let mut headers = false;
    while !rest.is_empty() {
        let length = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(length)?;
        rest = after;
        let line = line.trim_ascii();
        if !inside {
            inside = line == begin.as_bytes();
            headers = inside;
            continue;
        }
        if line == end.as_bytes() {
            return STANDARD.decode(&body).ok().map(|bytes| (bytes, rest));
        }
        // OpenPGP: headers up to an empty line, and a checksum at the end
        // that nothing depends on.
        if line.is_empty() {
            headers = false;
        } else if !(line.starts_with(b"=") || headers && line.windows(2).any(|pair| pair == b": "))
        {
            headers = false;
            body.extend_from_slice(line);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn blocks_are_found() {
        let text = b"x\n-----BEGIN A-----\nVersion: 1\n\naGVs\nbG8=\n=abcd\n-----END A-----\nrest";
        assert_eq!(decode(text, "A"), Some((b"hello".to_vec(), &b"rest"[..])));
        assert_eq!(decode(text, "B"), None);
        for end in 0..text.len() - 6 {
            assert_eq!(decode(&text[..end], "A"), None, "{end}");
        }
        assert_eq!(decode(b"-----BEGIN A-----\n***\n-----END A-----\n", "A"), None);
    }
}
