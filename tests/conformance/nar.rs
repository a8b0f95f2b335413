//! NARs judged by the vectors of other projects, and by the rule that a NAR is
//! accepted exactly if writing its events again gives the same bytes.

use std::io::{self, Read};

use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::nar::{self, Event, Listing, NarError, NarReader, NarWriter};

use crate::fixtures;

/// Reads all events from a source.
pub fn events(source: impl Read) -> Result<Vec<(u64, String)>, NarError> {
    let mut reader = NarReader::new(source);
    let mut events: Vec<(u64, String)> = Vec::new();
    let mut contents: Vec<u8> = Vec::new();
    loop {
        let event = reader.next_event()?;
        if let Some(Event::Contents(bytes)) = event {
            assert!(!bytes.is_empty());
            contents.extend_from_slice(bytes);
            continue;
        }
        if !contents.is_empty() {
            let hash = Hash::of(HashAlgorithm::Sha256, &std::mem::take(&mut contents));
            events.push((0, hash.to_string()));
        }
        let Some(event) = event else { return Ok(events) };
        let text = format!("{event:?}");
        events.push((reader.offset(), text));
    }
}

/// Writes the events of a NAR again.
pub fn again(bytes: &[u8]) -> Result<Vec<u8>, NarError> {
    let mut reader = NarReader::new(bytes);
    let mut writer = NarWriter::new(Vec::new());
    while let Some(event) = reader.next_event()? {
        writer.write(event).expect("what the reader gives can be written");
    }
    Ok(writer.finish().expect("what the reader ends is complete"))
}

/// A source that gives as many bytes at once as it is told, and is now and
/// then interrupted.
pub struct Splits<'a> {
    pub rest: &'a [u8],
    pub sizes: Box<dyn FnMut() -> usize + 'a>,
}

impl Read for Splits<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = (self.sizes)();
        if size == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = size.min(buffer.len()).min(self.rest.len());
        let (now, later) = self.rest.split_at(size);
        buffer[..size].copy_from_slice(now);
        self.rest = later;
        Ok(size)
    }
}

/// File, size, SHA-256 in Nix32, whether the newest Nix takes it.
fn vectors() -> Vec<(String, u64, String, bool)> {
    let rows = fixtures::table("nar/EXPECTED.tsv");
    let row = |row: Vec<String>| {
        let valid = match row[3].as_str() {
            // other projects (column 4) what Nix 2.8.0 does with them.
            "valid" => true,
            "invalid" => false,
            other => panic!("{other}"),
        };
        (format!("nar/{}", row[0]), row[1].parse().unwrap(), row[2].clone(), valid)
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn vectors_are_judged_as_by_the_newest_nix() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 17);
    for (name, size, hash, valid) in vectors {
        let bytes = fixtures::read(&name);
        assert_eq!(Hash::of(HashAlgorithm::Sha256, &bytes).nix32(), hash, "{name}");
        match nar::check(bytes.as_slice()) {
            Ok((found, found_size)) => {
                assert!(valid, "{name} must be refused");
                assert_eq!((found.hash().nix32(), found_size), (hash, size), "{name}");
                assert!(again(&bytes).unwrap() == bytes, "{name}");
                Listing::read(bytes.as_slice()).unwrap();
            }
            Err(error) => {
                assert!(!valid, "{name}: {error}");
                assert!(error.offset < size + 1, "{name}: {error}");
            }
        }
    }
}

#[test]
fn refused_vectors_are_refused_where_they_are_wrong() {
    for (name, wanted) in [
        ("dot.nar", "at byte 136 of the NAR: bad entry name '.'"),
        ("dotdot.nar", "at byte 136 of the NAR: bad entry name '..'"),
        ("empty.nar", "bad entry name '': it is empty"),
        ("nul-character.nar", "NUL at offset"),
        ("invalid-tag-instead-of-contents.nar", "where 'executable' or 'contents' is expected"),
        ("regular-one-byte-non-zero-padding.nar", "a padding byte is 0x"),
        ("regular-truncated-padding.nar", "at byte 100 of the NAR: the input ends where 4 more"),
        ("executable-after-contents.nar", "found 'executable' where ')' is expected"),
    ] {
        let error = nar::check(fixtures::read(&format!("nar/{name}")).as_slice()).unwrap_err();
        assert!(error.to_string().contains(wanted), "{name}: {error}");
    }
}

#[test]
fn the_reader_agrees_at_any_chunk_split() {
    let mut random = fastrand::Rng::with_seed(11);
    for (name, ..) in vectors() {
        let bytes = fixtures::read(&name);
        let wanted = events(bytes.as_slice()).map_err(|error| error.to_string());
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            let found = events(a.chain(b)).map_err(|error| error.to_string());
            assert_eq!(found, wanted, "{name} split at {split}");
        }
        let single = Splits { rest: &bytes, sizes: Box::new(|| 1) };
        assert_eq!(events(single).map_err(|error| error.to_string()), wanted, "{name}");
        for _ in 0..50 {
            let mut random = random.fork();
            let sizes = Box::new(move || random.usize(0..60));
            let found = events(Splits { rest: &bytes, sizes });
            assert_eq!(found.map_err(|error| error.to_string()), wanted, "{name}");
        }
    }
}

#[test]
fn large_files_agree_at_any_chunk_split() {
    let mut random = fastrand::Rng::with_seed(12);
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::Directory).unwrap();
    for index in 0..40_u8 {
        writer.write(Event::Entry(&[b'a', index + 1])).unwrap();
        let size = random.usize(0..300_000);
        let contents: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        writer.write(Event::File { executable: index % 2 == 0, size: size as u64 }).unwrap();
        writer.write(Event::Contents(&contents)).unwrap_or_else(|_| assert_eq!(size, 0));
    }
    writer.write(Event::End).unwrap();
    let bytes = writer.finish().unwrap();
    assert!(again(&bytes).unwrap() == bytes);
    let wanted = events(bytes.as_slice()).unwrap();
    for bound in [2, 9, 4096, 131_072, 1_000_000] {
        let mut random = random.fork();
        let sizes = Box::new(move || random.usize(0..bound));
        assert_eq!(events(Splits { rest: &bytes, sizes }).unwrap(), wanted, "{bound}");
    }
}

/// Worked example B of the format: a directory with a file, an executable and
/// a symlink.
fn example_b() -> Vec<u8> {
    let mut writer = NarWriter::new(Vec::new());
    for event in [
        Event::Directory,
        Event::Entry(b"a"),
        Event::File { executable: false, size: 6 },
        Event::Contents(b"hello\n"),
        Event::Entry(b"bin"),
        Event::Directory,
        Event::Entry(b"ln"),
        Event::Symlink(b"../a"),
        Event::Entry(b"run"),
        Event::File { executable: true, size: 4 },
        Event::Contents(b"#!x\n"),
        Event::End,
        Event::End,
    ] {
        writer.write(event).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn worked_example_b() {
    let bytes = example_b();
    let (hash, size) = nar::check(bytes.as_slice()).unwrap();
    assert_eq!(size, 872);
    assert_eq!(hash.hash().nix32(), "185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs");
    assert_eq!(
        Listing::read(bytes.as_slice()).unwrap().to_string(),
        concat!(
            r#"{"version":1,"root":{"type":"directory","entries":{"a":{"type":"regular","#,
            r#""size":6,"narOffset":232},"bin":{"type":"directory","entries":{"ln":{"#,
            r#""type":"symlink","target":"../a"},"run":{"type":"regular","size":4,"#,
            r#""executable":true,"narOffset":784}}}}}}"#
        )
    );
}

#[test]
fn every_flipped_bit_changes_the_hash_or_is_refused() {
    let bytes = example_b();
    let genuine = nar::check(bytes.as_slice()).unwrap();
    let (mut refused, mut other) = (0, 0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            match nar::check(bytes.as_slice()) {
                Ok(found) => {
                    assert_ne!(found.0, genuine.0, "byte {at} bit {bit}");
                    assert!(again(&bytes).unwrap() == bytes, "byte {at} bit {bit}");
                    other += 1;
                }
                Err(error) => {
                    // Never blamed on a byte behind the one that is wrong,
                    // unless that one is a length.
                    assert!(error.offset <= bytes.len() as u64, "byte {at}: {error}");
                    refused += 1;
                }
            }
        }
    }
    // Contents, names and the target may change, nothing else.
    assert!(refused > 6_500 && other > 80, "{refused} refused, {other} others");
}
