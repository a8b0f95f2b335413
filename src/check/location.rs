//! Where in a file a finding stands, so that a reader, an editor and a code
//! host can point at it.
//!
//! Lines and columns count from 1, columns in characters (the unit SARIF calls
//! `unicodeCodePoints`), bytes from 0.

/// Most characters of a line that an excerpt holds: a line of a hostile file
/// may have millions.
const MAX_EXCERPT: usize = 160;

/// Characters kept before a mark when its line is cut.
const BEFORE: usize = 40;

/// Bytes between two places whose characters are counted beforehand: a hostile
/// file may be one line of megabytes with a finding at every word.
const BLOCK: usize = 512;

use std::sync::OnceLock;

pub use crate::nix::json::Span;

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as it was named.
    pub file: String,
    /// The bytes.
    pub span: Span,
    /// Its first character.
    pub start: Position,
    /// The place behind its last character.
    pub end: Position,
    /// The lines to show, each with what is marked in it; the first is the
    /// one of the place itself.
    pub marks: Vec<Mark>,
}

/// A line of a file, cut if it is long, with a part of it marked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The line's number, from 1.
    pub line: usize,
    /// The line, without its end, secrets in it replaced; raw otherwise.
    pub text: String,
    /// Characters of `text` before the mark.
    pub before: usize,
    /// Characters that are marked, at least 1.
    pub length: usize,
    /// What the mark is, such as `locked`; empty for none.
    pub label: String,
}

/// A text with an index of its lines, in which places can be shown.
#[derive(Debug, Clone)]
pub struct Source<'t> {
    name: String,
    text: &'t [u8],
    /// Made when the first place is asked for: most files earn no finding.
    index: OnceLock<Index>,
    /// What may not be shown, sorted, without overlaps.
    secrets: Vec<Span>,
}

/// Where lines begin, and how many characters there are up to places.
#[derive(Debug, Clone)]
struct Index {
    /// Offsets of the first byte of each line.
    lines: Vec<usize>,
    /// Characters before each block of [`BLOCK`] bytes.
    blocks: Vec<usize>,
}

impl Index {
    fn new(text: &[u8]) -> Self {
        let mut lines = vec![0];
        lines.extend(memchr::memchr_iter(b'\n', text).map(|at| at + 1));
        let mut before = 0;
        let blocks = text
            .chunks(BLOCK)
            .map(|block| {
                let after = before + characters(block);
                std::mem::replace(&mut before, after)
            })
            .collect();
        Self { lines, blocks }
    }
}

impl<'t> Source<'t> {
    /// A file's content under the name it is shown by.
    #[must_use]
    pub fn new(name: impl Into<String>, text: &'t [u8]) -> Self {
        Self { name: name.into(), text, index: OnceLock::new(), secrets: Vec::new() }
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::new(self.text))
    }

    /// The name it is shown by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves these bytes out of every excerpt.
    pub fn hide(&mut self, secrets: impl IntoIterator<Item = Span>) {
        self.secrets.extend(secrets);
        self.secrets.sort_unstable();
        let mut merged: Vec<Span> = Vec::new();
        for secret in self.secrets.drain(..) {
            match merged.last_mut() {
                Some(last) if secret.start <= last.end => last.end = last.end.max(secret.end),
                _ => merged.push(secret),
            }
        }
        self.secrets = merged;
    }

    /// The line (counted from 0) that holds a byte.
    fn line_of(&self, offset: usize) -> usize {
        self.index().lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    fn line_start(&self, line: usize) -> usize {
        self.index().lines.get(line).copied().unwrap_or(self.text.len())
    }

    /// Where a byte stands.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.line_of(offset);
        let before = self.characters_before(offset);
        let column = before.saturating_sub(self.characters_before(self.line_start(line)));
        Position { line: line + 1, column: column + 1 }
    }

    /// Characters that begin before a byte.
    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        match self.index().blocks.get(block) {
            Some(before) => {
                before + characters(self.text.get(block * BLOCK..offset).unwrap_or_default())
            }
            // The end of a text that fills its blocks.
            None => {
                let last = block.saturating_sub(1);
                let before = self.index().blocks.get(last).copied().unwrap_or(0);
                before + characters(self.text.get(last * BLOCK..offset).unwrap_or_default())
            }
        }
    }

    /// A place with its excerpt.
    #[must_use]
    pub fn at(&self, span: Span) -> Location {
        self.labelled(span, "")
    }

    /// A place whose mark has a label.
    #[must_use]
    pub fn labelled(&self, span: Span, label: &str) -> Location {
        let start = span.start.min(self.text.len());
        let span = Span::new(start, span.end.clamp(start, self.text.len()));
        Location {
            file: self.name.clone(),
            span,
            start: self.position(span.start),
            end: self.position(span.end),
            marks: vec![self.mark(span, label)],
        }
    }

    /// Shows one more place of the same file beside the first.
    #[must_use]
    pub fn beside(&self, mut location: Location, span: Span, label: &str) -> Location {
        location.marks.push(self.mark(span, label));
        location
    }

    /// A line with a part marked: around the mark if it is long.
    fn mark(&self, span: Span, label: &str) -> Mark {
        let line = self.line_of(span.start);
        let first = self.line_start(line);
        let last = self.line_start(line + 1);
        let whole = self.text.get(first..last).unwrap_or_default();
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        let last = first + whole.len();
        let from = back(self.text, first, span.start.min(last), BEFORE);
        let cut_before = from > first + BEFORE;
        let from = if cut_before { from } else { first };
        let shown_before = self.shown(from, span.start.min(last));
        let marked = self.shown(span.start.min(last), span.end.min(last));
        let marked: String = marked.chars().take(MAX_EXCERPT).collect();
        let left = MAX_EXCERPT.saturating_sub(characters(marked.as_bytes()));
        let after_from = span.end.min(last);
        let after = self.shown(after_from, last.min(after_from.saturating_add(4 * left)));
        let mut after: String = after.chars().take(left).collect();
        if last.saturating_sub(after_from) > after.len() {
            after.push('…');
        }
        let mut text = String::new();
        if cut_before {
            text.push('…');
        }
        text.push_str(&shown_before);
        let before = text.chars().count();
        let length = marked.chars().count().max(1);
        text.push_str(&marked);
        text.push_str(&after);
        Mark { line: line + 1, text, before, length, label: label.to_owned() }
    }

    /// Text from `from` to `to`, secrets replaced.
    fn shown(&self, from: usize, to: usize) -> String {
        let mut text = String::new();
        let mut at = from;
        let first = self.secrets.partition_point(|secret| secret.end <= from);
        for secret in self.secrets.get(first..).unwrap_or_default() {
            if secret.start >= to {
                break;
            }
            text.push_str(&self.lossy(at, secret.start.max(at)));
            text.push_str("***");
            at = secret.end.min(to);
        }
        text.push_str(&self.lossy(at, to));
        text
    }

    /// At most what an excerpt can hold.
    fn lossy(&self, from: usize, to: usize) -> String {
        let to = to.min(from.saturating_add(4 * MAX_EXCERPT));
        String::from_utf8_lossy(self.text.get(from..to).unwrap_or_default()).into_owned()
    }
}

/// The offset `count` characters before `at`, not before `floor`.
fn back(text: &[u8], floor: usize, at: usize, count: usize) -> usize {
    let mut place = at;
    for _ in 0..count {
        if place <= floor {
            return floor;
        }
        place -= 1;
        while place > floor && text.get(place).is_some_and(|byte| byte & 0xc0 == 0x80) {
            place -= 1;
        }
    }
    place
}

/// Characters of a text: bytes that begin one.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = "one\n  zwölf \"x\"\r\nthree".as_bytes();
        let source = Source::new("f", text);
        let at = |what: &str| {
            let start = text.windows(what.len()).position(|part| part == what.as_bytes()).unwrap();
            source.at(Span::new(start, start + what.len()))
        };
        let place = at("\"x\"");
        assert_eq!(place.start, Position { line: 2, column: 9 });
        assert_eq!(place.end, Position { line: 2, column: 12 });
        let mark = &place.marks[0];
        assert_eq!(
            (mark.line, mark.text.as_str(), mark.before, mark.length),
            (2, "  zwölf \"x\"", 8, 3)
        );
        assert_eq!(at("three").start, Position { line: 3, column: 1 });
        let end = source.at(Span::new(1000, 2000));
        assert_eq!((end.start, end.span), (Position { line: 3, column: 6 }, Span::new(23, 23)));
        assert_eq!(end.marks[0].length, 1);
        assert_eq!(
            Source::new("f", b"").at(Span::new(0, 0)).start,
            Position { line: 1, column: 1 }
        );
    }

    #[test]
    fn places_of_long_lines_are_exact() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK] {
            let text = "é".repeat(length) + "\nx" + &"y".repeat(length);
            let source = Source::new("f", text.as_bytes());
            for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let before = &text[..offset];
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
                assert_eq!(source.position(offset), Position { line, column }, "{length} {offset}");
            }
        }
    }

    #[test]
    fn secrets_stay_out_of_excerpts() {
        let text = b"url = https://user:hunter2@host/x?token=abc end";
        let mut source = Source::new("f", text);
        source.hide([Span::new(40, 43), Span::new(14, 26), Span::new(18, 20)]);
        let mark = &source.at(Span::new(6, 43)).marks[0];
        assert_eq!(mark.text, "url = https://***@host/x?token=*** end");
        assert_eq!((mark.before, mark.length), (6, 28));
        for start in 0..text.len() {
            for end in start..text.len() {
                let shown = &source.at(Span::new(start, end)).marks[0].text;
                assert!(
                    !shown.contains("hunter2") && !shown.contains("abc"),
                    "{start} {end}: {shown}"
                );
            }
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = format!("{}MARK{}", "é".repeat(100_000), "x".repeat(1_000_000));
        let source = Source::new("f", text.as_bytes());
        let place = source.labelled(Span::new(200_000, 200_004), "locked");
        let mark = &place.marks[0];
        let marked: String = mark.text.chars().skip(mark.before).take(mark.length).collect();
        assert_eq!(marked, "MARK");
        assert!(mark.text.chars().count() < 2 * MAX_EXCERPT);
        assert!(mark.text.starts_with('…') && mark.text.ends_with('…'));
        assert_eq!(place.start.column, 100_001);
        let all = source.at(Span::new(0, text.len()));
        assert!(all.marks[0].text.chars().count() < 2 * MAX_EXCERPT);
    }
}
