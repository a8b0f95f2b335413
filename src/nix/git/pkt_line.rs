//! Pkt-lines: how git's protocol frames what it says.
//!
//! Reference: gitprotocol-common(5), gitprotocol-v2(5).

use std::io::{self, Read};

/// Longest line, its four digits included.
pub const MAX_LINE: usize = 65_520;

/// Digits of a length.
const PREFIX: usize = 4;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A line, with its line feed if it has one.
    Line(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of a stateless answer.
    End,
}

/// Why there is no next packet.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The stream under it.
    #[error(transparent)]
    Read(io::Error),
    /// It ends within a packet.
    #[error("the answer is cut off within a packet, after {0} bytes")]
    Cut(u64),
    /// No length stands where one must.
    #[error("at byte {offset} stands '{}' (expected the length of a packet, four base16 digits, at most {MAX_LINE})", found.escape_ascii())]
    Length {
        /// Where.
        offset: u64,
        /// What stands there.
        found: [u8; PREFIX],
    },
}

/// Reads packets.
#[derive(Debug)]
pub struct PacketReader<R> {
    source: R,
    line: Vec<u8>,
    offset: u64,
}

impl<R: Read> PacketReader<R> {
    /// Reads from `source`, which need not be buffered.
    pub fn new(source: R) -> Self {
        Self { source, line: Vec::new(), offset: 0 }
    }

    /// The next packet; `None` at the end of the stream.
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, PacketError> {
        let mut prefix = [0; PREFIX];
        let begin = self.offset;
        match self.fill(&mut prefix)? {
            0 => return Ok(None),
            PREFIX => {}
            _ => return Err(PacketError::Cut(self.offset)),
        }
        let length = length(prefix).ok_or(PacketError::Length { offset: begin, found: prefix })?;
        let content = match length {
            0 => return Ok(Some(Packet::Flush)),
            1 => return Ok(Some(Packet::Delimiter)),
            2 => return Ok(Some(Packet::End)),
            _ => length.checked_sub(PREFIX).filter(|_| length <= MAX_LINE),
        };
        let content = content.ok_or(PacketError::Length { offset: begin, found: prefix })?;
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.resize(content, 0);
        let read = self.fill(&mut line);
        self.line = line;
        if read? != content {
            return Err(PacketError::Cut(self.offset));
        }
        Ok(Some(Packet::Line(&self.line)))
    }

    /// Fills `out` as far as the stream goes.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize, PacketError> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(PacketError::Read(error)),
            }
        }
        self.offset = self.offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        Ok(filled)
    }
}

fn length(prefix: [u8; PREFIX]) -> Option<usize> {
    prefix.into_iter().try_fold(0_usize, |length, byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(length << 4 | usize::try_from(digit).ok()?)
    })
}

/// A request made of packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketWriter(Vec<u8>);

impl PacketWriter {
    /// Adds a line. One too long for a packet is left out: no caller makes any.
    #[must_use]
    pub fn line(mut self, text: &str) -> Self {
        let length = text.len().saturating_add(PREFIX + 1);
        if length <= MAX_LINE {
            self.0.extend_from_slice(format!("{length:04x}{text}\n").as_bytes());
        }
        self
    }

    /// Ends a section.
    #[must_use]
    pub fn delimiter(mut self) -> Self {
        self.0.extend_from_slice(b"0001");
        self
    }

    /// Ends the message.
    #[must_use]
    pub fn flush(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"0000");
        self.0
    }
}

/// A line without its line feed.
#[must_use]
pub fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_written() {
        let message = PacketWriter::default().line("a").delimiter().line("").flush();
        assert_eq!(message, b"0006a\n00010005\n0000");
        let mut reader = PacketReader::new(message.as_slice());
        assert_eq!(reader.next_packet().unwrap(), Some(Packet::Line(b"a\n")));
        assert_eq!(reader.next_packet().unwrap(), Some(Packet::Delimiter));
        assert_eq!(reader.next_packet().unwrap(), Some(Packet::Line(b"\n")));
        assert_eq!(reader.next_packet().unwrap(), Some(Packet::Flush));
        assert_eq!(reader.next_packet().unwrap(), None);
    }

    #[test]
    fn bad_packets_are_told_apart() {
        let error = |bytes: &[u8]| {
            let mut reader = PacketReader::new(bytes);
            loop {
                match reader.next_packet() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        assert!(error(b"0006a").contains("cut off"));
        assert!(error(b"00").contains("cut off"));
        assert!(error(b"0000zzzz").contains("at byte 4 stands 'zzzz'"));
        assert!(error(b"0003").contains("stands '0003'"));
        assert!(error(b"ffff").contains("stands 'ffff'"));
        assert!(error(b"+123").contains("stands '+123'"));
    }
}
