//! Whatever a cache serves decompresses to a NAR or to an error, within bounds.
//! The first byte says how it is packed.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use nix_verify::gather::nar::compression::{Compression, reader};
use nix_verify::nix::nar;

/// As much as is read of what may be a bomb.
const LIMIT: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, packed)) = bytes.split_first() else { return };
    let compression = Compression::ALL[usize::from(*kind) % Compression::ALL.len()];
    let plain = reader(compression, packed).expect("a decoder is set up");
    let mut all = Vec::new();
    let whole = plain.take(LIMIT).read_to_end(&mut all);
    // The same bytes in small pieces.
    let mut pieces = reader(compression, packed).expect("a decoder is set up").take(LIMIT);
    let (mut again, mut piece) = (Vec::new(), [0; 7]);
    let result = loop {
        match pieces.read(&mut piece) {
            Ok(0) => break Ok(()),
            Ok(read) => again.extend_from_slice(&piece[..read]),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(whole.is_ok(), result.is_ok());
    if whole.is_ok() {
        assert!(all == again);
        if let Ok((_, size)) = nar::check(&all[..]) {
            assert_eq!(u64::try_from(all.len()), Ok(size));
        }
    }
});
