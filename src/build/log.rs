//! The log of a build: raw bytes in a file, and a tail that is safe to print.
//!
//! Nix keeps what comes out of the builder's terminal byte for byte; so do
//! we. Only what is shown is cleaned.

use std::collections::VecDeque;
use std::path::PathBuf;

/// Lines of the tail, as many as Nix shows by default (`log-lines`, 25 since 2.15).
const TAIL_LINES: usize = 25;

/// Bytes of one line of the tail; longer lines are cut, the file has them whole.
const TAIL_LINE_BYTES: usize = 1000;

/// A log on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Keeps the last lines of a stream of bytes.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Vec<u8>>,
    current: Vec<u8>,
}

impl Tail {
    /// Takes the next bytes. A carriage return starts the line again, as on
    /// a terminal.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                b'\r' => self.current.clear(),
                _ if self.current.len() < TAIL_LINE_BYTES => self.current.push(byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(std::mem::take(&mut self.current));
    }

    /// The last lines, without any control character.
    #[must_use]
    pub fn lines(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.end_line();
        }
        self.lines.iter().map(|line| printable(line)).collect()
    }
}

/// A line from a hostile place, made safe to print: colour sequences are
/// dropped, every other control character and stray byte is written as an
/// escape.
fn printable(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let decoded = String::from_utf8_lossy(line);
    let mut chars = decoded.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => text.push(' '),
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.next_if(|c| !('\u{40}'..='\u{7e}').contains(c)).is_some() {}
                chars.next();
            }
            _ if c.is_control() || is_bidi_control(c) => text.extend(c.escape_unicode()),
            _ => text.push(c),
        }
    }
    text
}

/// Marks that change the direction of the text around them.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut tail = Tail::default();
        for n in 0..100 {
            tail.feed(format!("line {n}\n").as_bytes());
        }
        tail.feed(b"progress 1\rprogress 2");
        let lines = tail.lines();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().unwrap(), "progress 2");
        assert_eq!(lines[TAIL_LINES - 2], "line 99");
    }

    #[test]
    fn nothing_raw_reaches_the_terminal() {
        let mut tail = Tail::default();
        let bytes: Vec<u8> = (0..=255).filter(|b| *b != b'\n' && *b != b'\r').collect();
        tail.feed(b"\x1b[31mred\x1b[0m \x1b]0;title\x07 ");
        tail.feed(&bytes);
        tail.feed("\u{202e}x".as_bytes());
        for line in tail.lines() {
            assert!(!line.chars().any(|c| c.is_control() || is_bidi_control(c)), "{line}");
            assert!(line.contains("red "));
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let mut tail = Tail::default();
        tail.feed(&vec![b'x'; 1 << 20]);
        assert_eq!(tail.lines(), [("x".repeat(TAIL_LINE_BYTES))]);
    }
}
