//! What people see of a command's facts: values, not layout.
//!
//! Text in a view is raw; the renderer makes it printable. What is bytes in
//! the input goes through [`super::text::escape_bytes`] first.

/// The judgement a piece of text carries; the renderer picks colour and symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tone {
    /// No judgement.
    #[default]
    Plain,
    /// Of less interest.
    Dim,
    /// Holds.
    Good,
    /// Open, or worth a look.
    Doubtful,
    /// Fails.
    Bad,
}

/// The sections between a report's heading and its findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// In the order they are shown.
    pub sections: Vec<Section>,
    /// What the subjects are called, singular and plural, in the verdict
    /// sentence: `("output", "outputs")`.
    pub noun: Option<(&'static str, &'static str)>,
    /// Whether a section lists the subjects with their results already.
    pub lists_subjects: bool,
}

/// One titled part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    /// Labelled values.
    Facts {
        /// What they are about; empty for none.
        title: String,
        /// Label and value.
        entries: Vec<(String, Cell)>,
    },
    /// Rows and columns.
    Table(Table),
    /// Lines as they came, such as the tail of a log.
    Lines {
        /// What they are.
        title: String,
        /// Without their line ends.
        lines: Vec<String>,
    },
}

/// Rows and columns. Rows are shown in the order given: put the worst first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What the rows are; empty for none.
    pub title: String,
    /// The columns, left to right.
    pub columns: Vec<Column>,
    /// One cell for each column; missing ones are empty.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub heading: String,
    /// Whether values stand at the right, as numbers do.
    pub right: bool,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub fn text(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), right: false }
    }

    /// A column of numbers.
    #[must_use]
    pub fn number(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), right: true }
    }
}

/// A value with its judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// The value.
    pub text: String,
    /// The judgement.
    pub tone: Tone,
    /// Whether the tone's symbol stands before it.
    pub symbol: bool,
}

impl Cell {
    /// A value with a judgement and its symbol.
    #[must_use]
    pub fn judged(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone, symbol: true }
    }

    /// A value with a tone, without a symbol.
    #[must_use]
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone, symbol: false }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain, symbol: false }
    }
}
