//! A NAR is accepted exactly if writing its events gives the same bytes, and
//! however it arrives.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use nix_verify::nix::nar::{Listing, NarError, NarReader, NarWriter, check};

fn rewrite(source: impl Read) -> Result<Vec<u8>, NarError> {
    let mut reader = NarReader::new(source);
    let mut writer = NarWriter::new(Vec::new());
    while let Some(event) = reader.next_event()? {
        writer.write(event).expect("what is read can be written");
    }
    Ok(writer.finish().expect("what is read can be written"))
}

fuzz_target!(|bytes: &[u8]| {
    let rewritten = rewrite(bytes);
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    let in_parts = rewrite(head.chain(tail));
    match (rewritten, in_parts, check(bytes), Listing::read(bytes)) {
        (Ok(again), Ok(in_parts), Ok((_, size)), Ok(listing)) => {
            assert_eq!(again, bytes);
            assert_eq!(in_parts, bytes);
            assert_eq!(size, bytes.len() as u64);
            assert!(!listing.entries.is_empty());
            assert!(!listing.to_string().contains(char::is_control));
        }
        (Err(error), Err(in_parts), Err(check), Err(listing)) => {
            assert!(error.offset <= bytes.len() as u64);
            let text = error.to_string();
            assert!(!text.contains(char::is_control));
            assert_eq!(text, in_parts.to_string());
            assert_eq!(text, check.to_string());
            assert_eq!(text, listing.to_string());
        }
        _ => panic!("the ways of reading disagree"),
    }
});
