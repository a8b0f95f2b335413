//! Text from outside, made fit to print.
//!
//! Nothing from input may move a cursor, colour a line, hide or reorder what
//! a reader sees. What could is shown as an escape instead: `\x1b`,
//! `\u{202e}`. JSON output uses JSON's own escapes and stays lossless.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character may not reach an output as it is: control characters
/// of both sets, line and paragraph separators, marks that are invisible or
/// change the direction of text, and tag characters.
#[must_use]
pub const fn is_unsafe(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// One line that is safe to print: every unsafe character as an escape.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push(&mut safe, character);
    }
    Cow::Owned(safe)
}

/// Several lines that are safe to print; line feeds stay, and a carriage
/// return before one is dropped.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (body, end) = match line.strip_suffix('\n') {
            Some(body) => (body.strip_suffix('\r').unwrap_or(body), "\n"),
            None => (line, ""),
        };
        safe.push_str(&printable(body));
        safe.push_str(end);
    }
    safe
}

/// Bytes as text that can be printed and turned back: what is no UTF-8 as
/// `\xff`, unsafe characters as escapes, a backslash doubled.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                safe.push_str("\\\\");
            } else {
                push(&mut safe, character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

/// A path as a URI reference: relative as it is, absolute as `file://`; what
/// may not stand in one is percent-encoded.
#[must_use]
pub fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut safe = String::with_capacity(path.len());
    if path.starts_with('/') {
        safe.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+@=,".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

fn push(safe: &mut String, character: char) {
    if !is_unsafe(character) {
        safe.push(character);
        return;
    }
    match character {
        '\n' => safe.push_str("\\n"),
        '\r' => safe.push_str("\\r"),
        '\t' => safe.push_str("\\t"),
        _ => {
            let code = u32::from(character);
            // Writing to a String cannot fail.
            let _ = if code < 0x80 {
                write!(safe, "\\x{code:02x}")
            } else {
                write!(safe, "\\u{{{code:x}}}")
            };
        }
    }
}

/// How many columns a printable text takes: wide East Asian characters and
/// emoji count two, combining marks none.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns of one printable character.
#[must_use]
pub const fn char_width(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}' => 0,
        '\u{1100}'..='\u{115e}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Breaks a printable text into pieces of at most `columns` columns, at
/// spaces where it can and anywhere where it must.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0_usize;
    for word in text.split(' ') {
        let wide = width(word);
        let gap = usize::from(used > 0);
        if used > 0 && used + gap + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        for character in word.chars() {
            let wide = char_width(character);
            if used > 0 && used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters a reader cannot see or that reorder what they see.
    const MARKS: &str = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\
        \u{2067}\u{2068}\u{2069}\u{200b}\u{feff}\u{2028}\u{2029}\u{85}\u{9b}\u{e0041}";

    #[test]
    fn no_byte_gets_through_raw() {
        for byte in 0..=u8::MAX {
            let escaped = escape_bytes(&[b'a', byte, b'b']);
            assert!(!escaped.contains(is_unsafe), "{byte:#04x}: {escaped:?}");
            assert!(escaped.starts_with('a') && escaped.ends_with('b'));
            let line = printable(&escaped).into_owned();
            assert_eq!(line, escaped);
            let text = char::from(byte).to_string();
            assert!(!printable(&text).contains(is_unsafe), "{byte:#04x}");
        }
        for mark in MARKS.chars() {
            let text = mark.to_string();
            assert!(printable(&text).is_ascii(), "{mark:?}");
            assert!(escape_bytes(text.as_bytes()).is_ascii());
        }
    }

    #[test]
    fn escapes_look_as_documented() {
        assert_eq!(printable("a\u{1b}[31m"), "a\\x1b[31m");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(escape_bytes(b"\\n\xff\xc3\xa9"), "\\\\n\\xff\u{e9}");
        assert_eq!(printable_lines("a\r\nb\rc\n"), "a\nb\\rc\n");
        assert_eq!(printable("nothing to do \u{e9}"), "nothing to do \u{e9}");
    }

    #[test]
    fn paths_become_uris() {
        for (path, wanted) in [
            ("./a/flake.lock", "a/flake.lock"),
            ("../a b#c?d", "../a%20b%23c%3Fd"),
            ("/x/\u{e9}:1", "file:///x/%C3%A9%3A1"),
        ] {
            assert_eq!(uri(path), wanted);
        }
    }

    #[test]
    fn lines_fit() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
        for columns in 1..20 {
            for line in wrap("/nix/store/aaaaaaaaaa-name and\u{4e2d}\u{6587} words", columns) {
                assert!(width(&line) <= columns.max(2), "{columns}: {line}");
            }
        }
    }
}
