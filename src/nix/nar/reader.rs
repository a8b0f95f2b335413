//! From bytes to events, strictly and without recursion.

use std::io::{self, Read};
use std::ops::Range;

use super::encode::padding_of;
use super::error::{Excerpt, NameProblem, NarError, NarErrorKind};
use super::names::{OpenDirectories, check_target};
use super::{Event, MAGIC, MAX_DEPTH, MAX_FILE_SIZE, MAX_NAME, MAX_TARGET};

/// Bytes held at once: many of the longest strings, and chunks of contents
/// large enough to make reads cheap while staying in the processor's cache.
const BUFFER: usize = 128 * 1024;

/// Fewest bytes held at once: a few of the longest strings.
const LEAST_BUFFER: usize = 16 * 1024;

/// Longest word that is read at all (`narMaxTag`); the grammar's are shorter.
const MAX_WORD: usize = 32;

/// Bytes of a length.
const LENGTH: usize = 8;

/// Where in the grammar the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the magic.
    Start,
    /// Before the `node` of an entry.
    EntryNode,
    /// In a file's contents or before their padding.
    Contents { left: u64, size: u64 },
    /// Before the `)` of a file or symlink.
    NodeEnd,
    /// Behind a node.
    AfterNode,
    /// Before an entry, or the end of a directory.
    Entries,
    /// Behind the whole archive, and nothing followed.
    Done,
    /// Something was wrong; there is no going on.
    Failed,
}

/// An event whose bytes are still in the buffer.
enum Found {
    Directory,
    Entry(Range<usize>),
    File { executable: bool, size: u64 },
    Contents(Range<usize>),
    Symlink(Range<usize>),
    End,
    Done,
}

/// Reads a NAR as a sequence of [`Event`]s.
///
/// The last event of a valid NAR is followed by `None`, and only then is it
/// known that the input is one: acting on earlier events is acting on
/// unchecked input.
pub struct NarReader<R> {
    source: R,
    buffer: Box<[u8]>,
    /// The bytes of `buffer` that were read and not yet consumed.
    unread: Range<usize>,
    /// Offset of the first unread byte.
    offset: u64,
    directories: OpenDirectories,
    state: State,
}

/// `value` as a `u64`, which on every platform Linux runs on it fits.
fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

impl<R: Read> NarReader<R> {
    /// Reads from `source`, which must hold one NAR and nothing else.
    pub fn new(source: R) -> Self {
        Self::sized(source, u64::MAX)
    }

    /// The same for a NAR that is expected to have so many bytes: a small one
    /// gets a small buffer. It may have more.
    pub fn sized(source: R, expected: u64) -> Self {
        let buffer = usize::try_from(expected).unwrap_or(BUFFER).clamp(LEAST_BUFFER, BUFFER);
        Self {
            source,
            buffer: vec![0; buffer].into_boxed_slice(),
            unread: 0..0,
            offset: 0,
            directories: OpenDirectories::default(),
            state: State::Start,
        }
    }

    /// Offset of the next byte to be looked at. Right after [`Event::File`]
    /// it is where the contents begin (`narOffset` in listings).
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many directories are open.
    pub const fn depth(&self) -> usize {
        self.directories.depth()
    }

    /// Gives the source back.
    pub fn into_source(self) -> R {
        self.source
    }

    /// The next event, or `None` behind the end of a NAR that is valid.
    ///
    /// # Errors
    /// The first byte that breaks a rule, or a source that cannot be read.
    /// After an error every further call fails.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, NarError> {
        let found = self.step().inspect_err(|_| self.state = State::Failed)?;
        let held = |range| self.buffer.get(range).unwrap_or_default();
        Ok(match found {
            Found::Directory => Some(Event::Directory),
            Found::Entry(name) => Some(Event::Entry(held(name))),
            Found::File { executable, size } => Some(Event::File { executable, size }),
            Found::Contents(bytes) => Some(Event::Contents(held(bytes))),
            Found::Symlink(target) => Some(Event::Symlink(held(target))),
            Found::End => Some(Event::End),
            Found::Done => None,
        })
    }

    fn step(&mut self) -> Result<Found, NarError> {
        match self.state {
            State::Start => {
                self.word(&[MAGIC], "'nix-archive-1'")?;
                self.node()
            }
            State::EntryNode => {
                self.word(&["node"], "'node'")?;
                self.node()
            }
            State::Contents { left: 0, size } => {
                self.padding(size, "the padding behind a file's contents")?;
                self.node_end()
            }
            State::Contents { left, size } => {
                let there = wide(self.fill(1)?);
                if there == 0 {
                    return Err(self.truncated("a file's contents", left));
                }
                let take = there.min(left);
                self.state = State::Contents { left: left - take, size };
                Ok(Found::Contents(self.consume(take)))
            }
            State::NodeEnd => self.node_end(),
            State::AfterNode => self.after_node(),
            State::Entries => self.entry(),
            State::Done => Ok(Found::Done),
            State::Failed => Err(self.error(NarErrorKind::Io(io::Error::other(
                "the NAR was already refused at an earlier byte",
            )))),
        }
    }

    /// `( type …`, up to where the kinds of node differ.
    fn node(&mut self) -> Result<Found, NarError> {
        if self.directories.depth() >= MAX_DEPTH {
            return Err(self.error(NarErrorKind::Depth));
        }
        self.word(&["("], "'('")?;
        self.word(&["type"], "'type'")?;
        let kinds = ["regular", "directory", "symlink"];
        match self.word(&kinds, "'regular', 'directory' or 'symlink'")? {
            "regular" => self.file(),
            "directory" => {
                self.directories.open();
                self.state = State::Entries;
                Ok(Found::Directory)
            }
            _ => {
                self.word(&["target"], "'target'")?;
                let at = self.offset.saturating_add(wide(LENGTH));
                let target = self.string("a symlink target", MAX_TARGET)?;
                let bytes = self.buffer.get(target.clone()).unwrap_or_default();
                if let Err(problem) = check_target(bytes) {
                    let kind = NarErrorKind::Target { target: Excerpt::of(bytes), problem };
                    return Err(NarError { offset: inside(at, problem), kind });
                }
                self.state = State::NodeEnd;
                Ok(Found::Symlink(target))
            }
        }
    }

    /// `[executable ""] contents <length>`.
    fn file(&mut self) -> Result<Found, NarError> {
        let executable =
            self.word(&["executable", "contents"], "'executable' or 'contents'")? == "executable";
        if executable {
            self.string("the value of 'executable'", 0)?;
            self.word(&["contents"], "'contents'")?;
        }
        let at = self.offset;
        let size = self.length("the length of a file's contents")?;
        if size > MAX_FILE_SIZE {
            let kind = NarErrorKind::TooLong { what: "a file", found: size, max: MAX_FILE_SIZE };
            return Err(NarError { offset: at, kind });
        }
        self.state = State::Contents { left: size, size };
        Ok(Found::File { executable, size })
    }

    /// The `)` of a file or symlink, and on to the next event.
    fn node_end(&mut self) -> Result<Found, NarError> {
        self.word(&[")"], "')'")?;
        self.after_node()
    }

    /// The `)` of the entry whose node ended, or the end of everything.
    fn after_node(&mut self) -> Result<Found, NarError> {
        if self.directories.depth() > 0 {
            self.word(&[")"], "')' at the end of an entry")?;
            return self.entry();
        }
        if self.fill(1)? > 0 {
            return Err(self.error(NarErrorKind::Trailing));
        }
        self.state = State::Done;
        Ok(Found::Done)
    }

    /// `entry ( name <name>`, or the `)` of the directory.
    fn entry(&mut self) -> Result<Found, NarError> {
        if self.word(&["entry", ")"], "'entry' or ')'")? == ")" {
            self.directories.close();
            self.state = State::AfterNode;
            return Ok(Found::End);
        }
        self.word(&["("], "'('")?;
        self.word(&["name"], "'name'")?;
        let at = self.offset.saturating_add(wide(LENGTH));
        let name = self.string("an entry name", MAX_NAME)?;
        let bytes = self.buffer.get(name.clone()).unwrap_or_default();
        if let Err(kind) = self.directories.enter(bytes) {
            let offset = match kind {
                NarErrorKind::Name { problem, .. } => inside(at, problem),
                _ => at,
            };
            return Err(NarError { offset, kind });
        }
        self.state = State::EntryNode;
        Ok(Found::Entry(name))
    }

    /// Reads one of `words`.
    fn word<'w>(&mut self, words: &[&'w str], expected: &'static str) -> Result<&'w str, NarError> {
        let at = self.offset;
        let found = match self.string(expected, MAX_WORD) {
            Ok(found) => self.buffer.get(found).unwrap_or_default(),
            Err(NarError { kind: NarErrorKind::TooLong { found, max, .. }, offset }) => {
                let kind = NarErrorKind::TooLong { what: "a word", found, max };
                return Err(NarError { offset, kind });
            }
            Err(error) => return Err(error),
        };
        words.iter().copied().find(|word| word.as_bytes() == found).ok_or_else(|| NarError {
            offset: at,
            kind: NarErrorKind::Token { found: Excerpt::of(found), expected },
        })
    }

    /// Reads a string of at most `max` bytes, which must be far less than
    /// [`BUFFER`], and its padding.
    fn string(&mut self, what: &'static str, max: usize) -> Result<Range<usize>, NarError> {
        let at = self.offset;
        let length = self.length(what)?;
        if length > wide(max) {
            let kind = NarErrorKind::TooLong { what, found: length, max: wide(max) };
            return Err(NarError { offset: at, kind });
        }
        // All at once, so that the string stays where it is.
        let padding = wide(padding_of(length).len());
        self.demand(length + padding, what)?;
        let string = self.consume(length);
        self.padding(length, what)?;
        Ok(string)
    }

    /// Reads a length.
    fn length(&mut self, what: &'static str) -> Result<u64, NarError> {
        self.demand(wide(LENGTH), what)?;
        let bytes = self.consume(wide(LENGTH));
        let bytes = self.buffer.get(bytes).and_then(|bytes| bytes.first_chunk());
        Ok(u64::from_le_bytes(bytes.copied().unwrap_or_default()))
    }

    /// Reads the padding of a string of `length` bytes.
    fn padding(&mut self, length: u64, what: &'static str) -> Result<(), NarError> {
        let count = wide(padding_of(length).len());
        self.demand(count, what)?;
        let at = self.offset;
        let padding = self.consume(count);
        let padding = self.buffer.get(padding).unwrap_or_default();
        match padding.iter().zip(at..).find(|(byte, _)| **byte != 0) {
            None => Ok(()),
            Some((&byte, offset)) => Err(NarError { offset, kind: NarErrorKind::Padding(byte) }),
        }
    }

    /// Takes `count` bytes that are there.
    fn consume(&mut self, count: u64) -> Range<usize> {
        let start = self.unread.start;
        let end = usize::try_from(count).unwrap_or(usize::MAX).saturating_add(start);
        self.unread.start = end.min(self.unread.end);
        self.offset = self.offset.saturating_add(count);
        start..self.unread.start
    }

    /// Reads until `count` bytes are there.
    fn demand(&mut self, count: u64, what: &'static str) -> Result<(), NarError> {
        let there = wide(self.fill(usize::try_from(count).unwrap_or(usize::MAX))?);
        if there < count { Err(self.truncated(what, count)) } else { Ok(()) }
    }

    /// Reads until `count` bytes are there or the input ends, and says how
    /// many are there.
    fn fill(&mut self, count: usize) -> Result<usize, NarError> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.len() < count && self.buffer.len() - self.unread.start < count {
            let moved = self.unread.len();
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..moved;
        }
        while self.unread.len() < count {
            let room = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => break,
                Ok(read) => {
                    self.unread.end = self.unread.end.saturating_add(read).min(self.buffer.len());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let offset = self.offset.saturating_add(wide(self.unread.len()));
                    return Err(NarError { offset, kind: NarErrorKind::Io(error) });
                }
            }
        }
        Ok(self.unread.len())
    }

    /// The input ended in a part of `whole` bytes that begins here.
    fn truncated(&self, expected: &'static str, whole: u64) -> NarError {
        let there = wide(self.unread.len());
        NarError {
            offset: self.offset.saturating_add(there),
            kind: NarErrorKind::Truncated { expected, missing: whole.saturating_sub(there) },
        }
    }

    fn error(&self, kind: NarErrorKind) -> NarError {
        NarError { offset: self.offset, kind }
    }
}

/// Where in a string that begins at `at` the problem is.
fn inside(at: u64, problem: NameProblem) -> u64 {
    match problem {
        NameProblem::Slash(index) | NameProblem::Nul(index) => at.saturating_add(wide(index)),
        NameProblem::Empty | NameProblem::Dots | NameProblem::Long => at,
    }
}
