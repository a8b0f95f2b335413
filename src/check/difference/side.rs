//! One of two NARs that are read side by side.

use std::io::{self, Read};

use super::explanation::Item;
use crate::nix::nar::{Event, NarError, NarReader};

/// One step through a NAR, without the contents of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A directory begins.
    Directory,
    /// The name of an entry, whose node follows.
    Entry(Vec<u8>),
    /// A file; its contents are to be read with [`Side::read`].
    File { executable: bool, size: u64 },
    /// A link.
    Symlink(Vec<u8>),
    /// A directory ends.
    End,
    /// The archive ends.
    Done,
}

/// A NAR that is being read.
pub(super) struct Side<R> {
    reader: NarReader<R>,
    /// A chunk of contents of which the first `taken` bytes were taken.
    chunk: Vec<u8>,
    taken: usize,
    /// Contents of the present file that the reader has not given yet.
    left: u64,
}

impl<R: Read> Side<R> {
    pub(super) fn new(source: R) -> Self {
        Self { reader: NarReader::new(source), chunk: Vec::new(), taken: 0, left: 0 }
    }

    /// The next step; what was not read of a file is passed over.
    pub(super) fn step(&mut self) -> Result<Step, NarError> {
        self.pass()?;
        Ok(match self.reader.next_event()? {
            None => Step::Done,
            Some(Event::Directory) => Step::Directory,
            Some(Event::Entry(name)) => Step::Entry(name.to_vec()),
            Some(Event::File { executable, size }) => {
                self.left = size;
                Step::File { executable, size }
            }
            Some(Event::Symlink(target)) => Step::Symlink(target.to_vec()),
            // Contents come only while some are left, and those were passed.
            Some(Event::End | Event::Contents(_)) => Step::End,
        })
    }

    /// Passes over what is left of the present file.
    fn pass(&mut self) -> Result<(), NarError> {
        while self.left > 0 {
            self.fill()?;
        }
        self.chunk.clear();
        self.taken = 0;
        Ok(())
    }

    /// Replaces the chunk by the next one.
    fn fill(&mut self) -> Result<(), NarError> {
        self.chunk.clear();
        self.taken = 0;
        if let Some(Event::Contents(bytes)) = self.reader.next_event()? {
            self.left = self.left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            self.chunk.extend_from_slice(bytes);
        } else {
            self.left = 0;
        }
        Ok(())
    }

    /// The next bytes of the present file; empty at its end.
    pub(super) fn peek(&mut self) -> Result<&[u8], NarError> {
        if self.taken >= self.chunk.len() && self.left > 0 {
            self.fill()?;
        }
        Ok(self.chunk.get(self.taken..).unwrap_or_default())
    }

    /// Takes bytes that were seen.
    pub(super) fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes).min(self.chunk.len());
    }

    /// The rest of the present file, appended.
    pub(super) fn read_rest(&mut self, into: &mut Vec<u8>) -> Result<(), NarError> {
        loop {
            let bytes = self.peek()?;
            let length = bytes.len();
            if length == 0 {
                return Ok(());
            }
            into.extend_from_slice(bytes);
            self.take(length);
        }
    }

    /// Passes over the node that began with `step`, and counts what is in it.
    /// What it is, for the report.
    pub(super) fn skip(
        &mut self,
        step: &Step,
        entries: &mut u64,
    ) -> Result<Option<Item>, NarError> {
        let mut depth = 0_usize;
        let mut next = step.clone();
        loop {
            match next {
                Step::Directory => depth = depth.saturating_add(1),
                Step::End => depth = depth.saturating_sub(1),
                Step::Entry(_) => *entries = entries.saturating_add(1),
                Step::File { .. } | Step::Symlink(_) | Step::Done => {}
            }
            if depth == 0 {
                self.pass()?;
                return Ok(item(step));
            }
            next = self.step()?;
        }
    }
}

/// What a node is that begins with a step.
pub(super) fn item(step: &Step) -> Option<Item> {
    match step {
        Step::Directory => Some(Item::Directory),
        Step::File { executable, size } => {
            Some(Item::File { executable: *executable, size: *size })
        }
        Step::Symlink(target) => Some(Item::Symlink(target.clone())),
        Step::Entry(_) | Step::End | Step::Done => None,
    }
}

impl<R: Read> Read for Side<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.peek().map_err(io::Error::other)?;
        let length = bytes.len().min(out.len());
        for (slot, byte) in out.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        self.take(length);
        Ok(length)
    }
}
