//! Brotli as [RFC 7932](https://www.rfc-editor.org/rfc/rfc7932) has it: a
//! window of at most 16 MiB, never the "large window" extension, whose header
//! could ask for 1 GiB.

use std::io::{self, BufRead, Read};

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, HeapAlloc, HuffmanCode};

/// A decoder over a buffered source. It takes exactly the bytes of one stream
/// and leaves what follows in the source.
pub struct BrotliReader<R> {
    source: R,
    state: Box<BrotliState<HeapAlloc<u8>, HeapAlloc<u32>, HeapAlloc<HuffmanCode>>>,
    total_out: usize,
    done: bool,
}

impl<R: BufRead> BrotliReader<R> {
    /// Starts a stream.
    pub fn new(source: R) -> Self {
        let state = Box::new(BrotliState::new_strict(
            HeapAlloc::new(0),
            HeapAlloc::new(0),
            HeapAlloc::new(HuffmanCode::default()),
        ));
        Self { source, state, total_out: 0, done: false }
    }

    /// What the stream is read from.
    pub fn source(&mut self) -> &mut R {
        &mut self.source
    }
}

impl<R: BufRead> Read for BrotliReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while !self.done {
            let input = self.source.fill_buf()?;
            let ended = input.is_empty();
            let (mut taken, mut written) = (0, 0);
            let (mut available_in, mut available_out) = (input.len(), out.len());
            let result = BrotliDecompressStream(
                &mut available_in,
                &mut taken,
                input,
                &mut available_out,
                &mut written,
                out,
                &mut self.total_out,
                &mut self.state,
            );
            self.source.consume(taken);
            match result {
                BrotliResult::ResultFailure => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "corrupt brotli data"));
                }
                BrotliResult::ResultSuccess => self.done = true,
                BrotliResult::NeedsMoreInput if ended && written == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}
