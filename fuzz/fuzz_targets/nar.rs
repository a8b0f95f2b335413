//! A NAR is accepted exactly if writing its events gives the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::nar::{Listing, NarError, NarReader, NarWriter, check};

fn rewrite(bytes: &[u8]) -> Result<Vec<u8>, NarError> {
    let mut reader = NarReader::new(bytes);
    let mut writer = NarWriter::new(Vec::new());
    while let Some(event) = reader.next_event()? {
        writer.write(event).expect("what is read can be written");
    }
    Ok(writer.finish().expect("what is read can be written"))
}

fuzz_target!(|bytes: &[u8]| {
    let rewritten = rewrite(bytes);
    assert_eq!(check(bytes).is_ok(), rewritten.is_ok());
    match rewritten {
        Ok(again) => assert_eq!(again, bytes),
        Err(_) => assert!(Listing::read(bytes).is_err()),
    }
});
