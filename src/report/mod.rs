//! Outcomes in, bytes out.
//!
//! A command hands over a [`Report`]: its [`Examination`] and, for people, a
//! [`View`] of its facts. The renderers turn it into bytes; [`exit`] turns it
//! into an exit code. Nothing here opens files or looks at the clock.

pub mod all;
pub mod attest;
pub mod baseline;
pub mod cache;
pub mod difference;
pub mod doctor;
pub mod drawing;
pub mod envelope;
pub mod exit;
mod fingerprint;
pub mod gate;
pub mod github;
pub mod gitlab;
pub mod human;
pub mod inspect;
pub mod json;
pub mod junit;
pub mod lock;
pub mod markdown;
pub mod page;
mod pointer;
pub mod policy;
pub mod progress;
pub mod rebuild;
pub mod sarif;
pub mod sbom;
mod style;
mod table;
pub mod text;
pub mod view;

pub use exit::Exit;
pub use progress::Progress;
pub use style::Look;
pub use view::{Cell, Column, Section, Table, Tone, View};

use std::fmt;
use std::sync::Arc;

use crate::check::{Examination, Level};

/// Something that kept the tool itself from doing what it was asked: a full
/// disk, an unreadable file. Makes the exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// What could not be done.
    pub message: String,
    /// Why, outermost cause first.
    pub causes: Vec<String>,
}

impl Trouble {
    /// A trouble without further causes.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new() }
    }

    /// An error with its chain of sources.
    #[must_use]
    pub fn from_error(error: &dyn std::error::Error) -> Self {
        let mut trouble = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            trouble.causes.push(cause.to_string());
            source = cause.source();
        }
        trouble
    }
}

/// Everything a command has to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was examined and what came of it.
    pub examination: Examination,
    /// The command's facts as people read them.
    pub view: View,
    /// What the tool could not do; what was finished before stays in the
    /// examination.
    pub troubles: Vec<Trouble>,
    /// Timing, process and host data of the command, for the `run` object.
    pub run: serde_json::Map<String, serde_json::Value>,
    /// A list of the facts that is made as it is written.
    pub long: Option<LongList>,
    /// What policies say of it, if it was held against some.
    pub policy: Option<serde_json::Value>,
}

/// A list of a report's facts that is too long to be held as JSON beside what
/// it is made from: its items are made one by one, as they are written.
#[derive(Clone)]
pub struct LongList {
    /// Its name among the facts.
    pub field: &'static str,
    item: Arc<Item>,
}

/// Makes the item at a place; `None` behind the last.
type Item = dyn Fn(usize) -> Option<serde_json::Value> + Send + Sync;

impl LongList {
    /// A list whose items are made by `item`, from 0 up to the first `None`.
    pub fn new(
        field: &'static str,
        item: impl Fn(usize) -> Option<serde_json::Value> + Send + Sync + 'static,
    ) -> Self {
        Self { field, item: Arc::new(item) }
    }

    /// The items, made anew each time.
    pub fn items(&self) -> impl Iterator<Item = serde_json::Value> {
        (0..).map_while(|at| (self.item)(at))
    }
}

impl fmt::Debug for LongList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongList").field("field", &self.field).finish_non_exhaustive()
    }
}

/// Two lists are the same if their items are.
impl PartialEq for LongList {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.items().eq(other.items())
    }
}

impl From<Examination> for Report {
    fn from(examination: Examination) -> Self {
        Self {
            examination,
            view: View::default(),
            troubles: Vec::new(),
            run: serde_json::Map::new(),
            long: None,
            policy: None,
        }
    }
}

impl Report {
    /// Adds what people see of the facts.
    #[must_use]
    pub fn with_view(mut self, view: View) -> Self {
        self.view = view;
        self
    }
}

/// The frame of a run: what `--reproducible` leaves out of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFrame {
    /// When the run began, RFC 3339.
    pub started: String,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// The process id.
    pub process: u32,
    /// The arguments, as typed.
    pub arguments: Vec<String>,
}

/// How a report is rendered, apart from its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// The least level of a finding that fails the run.
    pub fail_on: Level,
    /// Only what is wrong, and the verdict.
    pub quiet: bool,
    /// Colour, symbols and width.
    pub look: Look,
    /// Left out by `--reproducible`.
    pub run: Option<RunFrame>,
}
