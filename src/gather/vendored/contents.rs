//! The contents of one file of a NAR as a stream of their own.

use std::io::{self, Read};

use crate::nix::nar::{Event, NarError, NarReader};

/// What is left of the file that a NAR's reader stands in.
pub(super) struct Contents<'r, R> {
    reader: &'r mut NarReader<R>,
    /// Bytes that the reader has not given yet.
    left: u64,
    /// Bytes that it gave and nobody took yet.
    held: Vec<u8>,
    taken: usize,
}

impl<'r, R: Read> Contents<'r, R> {
    /// Of a file of `size` bytes that has just begun.
    pub(super) const fn new(reader: &'r mut NarReader<R>, size: u64) -> Self {
        Self { reader, left: size, held: Vec::new(), taken: 0 }
    }

    /// Goes on to where the file ends.
    pub(super) fn skip(self) -> Result<(), NarError> {
        let mut left = self.left;
        while left > 0 {
            match self.reader.next_event()? {
                Some(Event::Contents(bytes)) => left = left.saturating_sub(wide(bytes.len())),
                _ => break,
            }
        }
        Ok(())
    }

    /// Has the reader give more.
    fn refill(&mut self) -> io::Result<()> {
        self.held.clear();
        self.taken = 0;
        if self.left == 0 {
            return Ok(());
        }
        let event =
            self.reader.next_event().map_err(|error| io::Error::other(error.to_string()))?;
        if let Some(Event::Contents(bytes)) = event {
            self.left = self.left.saturating_sub(wide(bytes.len()));
            self.held.extend_from_slice(bytes);
        }
        Ok(())
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken >= self.held.len() {
            self.refill()?;
        }
        let mut held = self.held.get(self.taken..).unwrap_or_default();
        let read = held.read(buffer)?;
        self.taken = self.taken.saturating_add(read);
        Ok(read)
    }
}
