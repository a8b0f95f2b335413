//! The log of a build: raw bytes in a file, and a tail that is safe to print.
//!
//! Nix keeps what comes out of the builder's terminal byte for byte; so do
//! we. Only what is shown is cleaned.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::nix::hash::{Hash, HashAlgorithm, Hasher};

use super::outcome::BuildError;

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

/// A log that is being written.
pub struct LogWriter {
    path: PathBuf,
    /// Made with the first byte: many builds say nothing.
    file: Option<File>,
    size: u64,
    hasher: Hasher,
    tail: Tail,
}

impl LogWriter {
    /// Starts the log at `path`, where nothing is yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let hasher = Hasher::new(HashAlgorithm::Sha256);
        Self { path, file: None, size: 0, hasher, tail: Tail::default() }
    }

    /// Takes the next bytes, up to `limit` in all; answers whether they fitted.
    ///
    /// # Errors
    /// A disk that cannot take them.
    pub fn write(&mut self, bytes: &[u8], limit: Option<u64>) -> Result<bool, BuildError> {
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.size));
        let fitting = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let taken = bytes.get(..fitting).unwrap_or_default();
        let failed = |source| BuildError::Path { action: "write", path: self.path.clone(), source };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(private(&self.path).map_err(failed)?),
        };
        file.write_all(taken).map_err(failed)?;
        self.hasher.update(taken);
        self.tail.feed(taken);
        self.size = self.size.saturating_add(u64::try_from(fitting).unwrap_or(u64::MAX));
        Ok(fitting == bytes.len())
    }

    /// Moves the finished log to the place `named` after its SHA-256. Its
    /// tail comes along. The file is not forced to the disk: a log that a
    /// crash of the machine may take is not worth a wait in every build.
    ///
    /// # Errors
    /// A file that cannot be moved.
    pub fn finish(
        self,
        named: impl FnOnce(&Hash) -> PathBuf,
    ) -> Result<(LogFile, Vec<String>), BuildError> {
        let path = named(&self.hasher.finish());
        let moved = if self.file.is_some() {
            std::fs::rename(&self.path, &path)
        } else {
            match private(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                made => made.map(drop),
            }
        };
        moved.map_err(|source| BuildError::Path {
            action: "move the log to",
            path: path.clone(),
            source,
        })?;
        Ok((LogFile { path, size: self.size }, self.tail.lines()))
    }
}

/// Makes a file that only we may read.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
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
