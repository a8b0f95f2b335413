//! Colour, symbols and width: how output looks where it is shown.

use super::view::Tone;

/// Narrowest layout; below it a terminal wraps by itself.
const MIN_WIDTH: usize = 40;

/// Widest layout; beyond it lines are hard to follow.
const MAX_WIDTH: usize = 200;

/// The width where none is known: a pipe, a file.
const DEFAULT_WIDTH: usize = 80;

/// How output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether ANSI colours are used.
    pub color: bool,
    /// Whether symbols may leave ASCII.
    pub unicode: bool,
    /// Columns at hand.
    pub width: usize,
}

impl Look {
    /// A look for `width` columns, held within what layouts are made for.
    #[must_use]
    pub fn new(color: bool, unicode: bool, width: Option<usize>) -> Self {
        let width = width.unwrap_or(DEFAULT_WIDTH).clamp(MIN_WIDTH, MAX_WIDTH);
        Self { color, unicode, width }
    }

    /// The symbol of a judgement.
    pub(super) const fn symbol(self, tone: Tone) -> &'static str {
        match (tone, self.unicode) {
            (Tone::Good, true) => "✓",
            (Tone::Good, false) => "+",
            (Tone::Bad, true) => "✗",
            (Tone::Bad, false) => "x",
            (Tone::Doubtful, _) => "?",
            (Tone::Plain | Tone::Dim, true) => "·",
            (Tone::Plain | Tone::Dim, false) => "-",
        }
    }

    /// `text` in the colour of a judgement. The text is printable already.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
        };
        self.wrap_code(code, text)
    }

    /// `text` made to stand out.
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap_code("1", text)
    }

    /// `text` made to stand out, in the colour of a judgement.
    pub(super) fn strong(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain | Tone::Dim => self.bold(text),
            Tone::Good => self.wrap_code("1;32", text),
            Tone::Doubtful => self.wrap_code("1;33", text),
            Tone::Bad => self.wrap_code("1;31", text),
        }
    }

    fn wrap_code(self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
