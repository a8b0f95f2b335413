//! From events to bytes, refusing what no reader would accept.

use std::io::Write;

use super::encode;
use super::error::{Excerpt, NarError, NarErrorKind};
use super::names::{OpenDirectories, check_target};
use super::{Event, MAX_DEPTH, MAX_FILE_SIZE};

/// Where in the grammar the writer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the root's node.
    Start,
    /// Before an entry's node.
    Node,
    /// In a file's contents.
    Contents { left: u64, size: u64 },
    /// Before an entry or the end of a directory.
    Entries,
    /// Behind everything.
    Done,
}

impl State {
    /// What may be written here.
    const fn expected(self) -> &'static str {
        match self {
            Self::Start | Self::Node => "a directory, file or symlink",
            Self::Contents { .. } => "the rest of the file's contents",
            Self::Entries => "an entry or the end of the directory",
            Self::Done => "nothing more",
        }
    }
}

/// Writes a NAR from the [`Event`]s a [`super::NarReader`] gives.
pub struct NarWriter<W> {
    sink: W,
    /// Bytes between contents, before they are written.
    framing: Vec<u8>,
    offset: u64,
    directories: OpenDirectories,
    state: State,
}

impl<W: Write> NarWriter<W> {
    /// Writes to `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            framing: Vec::new(),
            offset: 0,
            directories: OpenDirectories::default(),
            state: State::Start,
        }
    }

    /// Bytes written so far.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes one event.
    ///
    /// # Errors
    /// An event that may not stand here, a name or target that breaks the
    /// rules, or a sink that cannot be written.
    pub fn write(&mut self, event: Event<'_>) -> Result<(), NarError> {
        if self.state == State::Start {
            self.framing.clear();
            encode::begin_archive(&mut self.framing);
        }
        let encoded = self.encode(event);
        encoded.map_err(|kind| NarError { offset: self.offset, kind })?;
        let framing = std::mem::take(&mut self.framing);
        let written = self.put(&framing);
        self.framing = framing;
        self.framing.clear();
        written
    }

    /// Ends the archive and gives the sink back.
    ///
    /// # Errors
    /// An archive that is not complete, or a sink that cannot be flushed.
    pub fn finish(mut self) -> Result<W, NarError> {
        let offset = self.offset;
        if self.state != State::Done {
            let kind = NarErrorKind::Event { found: "the end", expected: self.state.expected() };
            return Err(NarError { offset, kind });
        }
        self.sink.flush().map_err(|error| NarError { offset, kind: NarErrorKind::Io(error) })?;
        Ok(self.sink)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        self.sink
            .write_all(bytes)
            .map_err(|error| NarError { offset: self.offset, kind: NarErrorKind::Io(error) })?;
        let written = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(written);
        Ok(())
    }

    /// Checks the event and appends its bytes to the framing.
    fn encode(&mut self, event: Event<'_>) -> Result<(), NarErrorKind> {
        let state = self.state;
        let out = &mut self.framing;
        let node = matches!(state, State::Start | State::Node);
        if node && self.directories.depth() >= MAX_DEPTH {
            return Err(NarErrorKind::Depth);
        }
        match event {
            Event::Directory if node => {
                encode::begin_directory(out);
                self.directories.open();
                self.state = State::Entries;
            }
            Event::Symlink(target) if node => {
                check_target(target).map_err(|problem| NarErrorKind::Target {
                    target: Excerpt::of(target),
                    problem,
                })?;
                encode::symlink(out, target);
                self.after_node();
            }
            Event::File { executable, size } if node => {
                if size > MAX_FILE_SIZE {
                    let (found, max) = (size, MAX_FILE_SIZE);
                    return Err(NarErrorKind::TooLong { what: "a file", found, max });
                }
                encode::begin_contents(out, executable, size);
                self.contents(size, size);
            }
            Event::Contents(bytes) => {
                let State::Contents { left, size } = state else {
                    return Err(misplaced("a file's contents", state));
                };
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let Some(left) = left.checked_sub(length) else {
                    return Err(misplaced("more than the file's size", state));
                };
                out.extend_from_slice(bytes);
                self.contents(left, size);
            }
            Event::Entry(name) if state == State::Entries => {
                self.directories.enter(name)?;
                encode::begin_entry(out, name);
                self.state = State::Node;
            }
            Event::End if state == State::Entries => {
                encode::end_directory(out);
                self.directories.close();
                self.after_node();
            }
            Event::Directory => return Err(misplaced("a directory", state)),
            Event::Symlink(_) => return Err(misplaced("a symlink", state)),
            Event::File { .. } => return Err(misplaced("a file", state)),
            Event::Entry(_) => return Err(misplaced("an entry", state)),
            Event::End => return Err(misplaced("the end of a directory", state)),
        }
        Ok(())
    }

    /// Notes that `left` bytes of a file are to come; ends it if none are.
    fn contents(&mut self, left: u64, size: u64) {
        if left > 0 {
            self.state = State::Contents { left, size };
        } else {
            encode::end_contents(&mut self.framing, size);
            self.after_node();
        }
    }

    fn after_node(&mut self) {
        if self.directories.depth() > 0 {
            encode::end_entry(&mut self.framing);
            self.state = State::Entries;
        } else {
            self.state = State::Done;
        }
    }
}

const fn misplaced(found: &'static str, state: State) -> NarErrorKind {
    NarErrorKind::Event { found, expected: state.expected() }
}
