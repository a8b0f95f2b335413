//! Hostile NARs: one or more of each family that has been met or thought of.

use std::thread;

use nix_verify::nix::nar::{self, Event, Listing, MAX_DEPTH, NarErrorKind, NarReader, NarWriter};

use crate::nar::again;

/// A word of a NAR under construction, right or wrong.
enum Part<'a> {
    /// A string as it should be.
    Good(&'a [u8]),
    /// A string whose length is said to be another.
    Length(u64, &'a [u8]),
    /// A string with other padding.
    Padding(&'a [u8], &'a [u8]),
}

use Part::{Good, Length, Padding};

fn bytes(parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let (length, bytes, padding) = match part {
            Good(bytes) => (bytes.len() as u64, *bytes, nar::padding_of(bytes.len() as u64)),
            Length(length, bytes) => (*length, *bytes, nar::padding_of(bytes.len() as u64)),
            Padding(bytes, padding) => (bytes.len() as u64, *bytes, *padding),
        };
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(padding);
    }
    out
}

/// Strings as they should be, from words; `''` is the empty string.
fn words(text: &str) -> Vec<u8> {
    let word = |word: &str| if word == "''" { Vec::new() } else { word.as_bytes().to_vec() };
    let words: Vec<Vec<u8>> = text.split_whitespace().map(word).collect();
    bytes(&words.iter().map(|word| Good(word)).collect::<Vec<_>>())
}

/// The error that refuses `bytes`, as text.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    let error = nar::check(bytes).map(|(hash, _)| hash).unwrap_err();
    assert!(error.offset <= bytes.len() as u64, "{error}");
    assert!(again(bytes).is_err());
    assert!(Listing::read(bytes).is_err());
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    text
}

#[track_caller]
fn refused(bytes: &[u8], wanted: &str) {
    let text = refusal(bytes);
    assert!(text.contains(wanted), "found {text:?}, expected {wanted:?}");
}

const FILE: &str = "nix-archive-1 ( type regular contents hello )";
const TREE: &str = "nix-archive-1 ( type directory \
    entry ( name a node ( type regular executable '' contents x ) ) \
    entry ( name b node ( type symlink target a ) ) \
    entry ( name c node ( type directory ) ) )";

#[test]
fn what_the_cases_are_made_from_is_good() {
    for text in [FILE, TREE, "nix-archive-1 ( type regular contents '' )"] {
        let bytes = words(text);
        assert!(again(&bytes).unwrap() == bytes);
        nar::check(bytes.as_slice()).unwrap();
    }
}

#[test]
fn cut_at_every_byte() {
    for text in [FILE, TREE] {
        let bytes = words(text);
        for cut in 0..bytes.len() {
            let wanted = format!("at byte {cut} of the NAR: the input ends where");
            refused(&bytes[..cut], &wanted);
        }
    }
}

#[test]
fn every_word_missing_twice_or_another() {
    for text in [FILE, TREE] {
        let all: Vec<&str> = text.split_whitespace().collect();
        for at in 0..all.len() {
            let mut missing = all.clone();
            missing.remove(at);
            refusal(&words(&missing.join(" ")));
            let mut twice = all.clone();
            twice.insert(at, all[at]);
            refusal(&words(&twice.join(" ")));
            // A name, a target and contents may be anything; the name must
            // still ascend.
            let free = ["name", "target", "contents"].contains(&all[at.saturating_sub(1)]);
            for other in ["(", ")", "type", "entry", "node", "contents", "regular", "xyz", "''"] {
                if free || other == all[at] {
                    continue;
                }
                let mut changed = all.clone();
                changed[at] = other;
                refusal(&words(&changed.join(" ")));
            }
        }
        for at in 0..all.len() - 1 {
            let mut swapped = all.clone();
            swapped.swap(at, at + 1);
            if swapped != all {
                refusal(&words(&swapped.join(" ")));
            }
        }
    }
}

#[test]
fn words_in_the_wrong_place() {
    for (text, wanted) in [
        (
            "nix-archive-2 ( type regular contents x )",
            "at byte 0 of the NAR: found 'nix-archive-2'",
        ),
        ("nix-archive-1 ( type fifo )", "where 'regular', 'directory' or 'symlink' is expected"),
        ("nix-archive-1 ( type regular )", "found ')' where 'executable' or 'contents'"),
        ("nix-archive-1 ( type regular executable '' )", "found ')' where 'contents'"),
        (
            "nix-archive-1 ( type regular executable x contents y )",
            "the value of 'executable' of 1",
        ),
        ("nix-archive-1 ( type regular contents x executable '' )", "found 'executable' where ')'"),
        (
            "nix-archive-1 ( type regular executable '' executable '' contents x )",
            "found 'executable' where 'contents'",
        ),
        ("nix-archive-1 ( type regular contents x contents y )", "found 'contents' where ')'"),
        ("nix-archive-1 ( type regular type regular contents x )", "found 'type' where 'exec"),
        ("nix-archive-1 ( type symlink )", "found ')' where 'target'"),
        ("nix-archive-1 ( type symlink target a target b )", "found 'target' where ')'"),
        ("nix-archive-1 ( type directory entry ( node", "found 'node' where 'name'"),
        ("nix-archive-1 ( type directory entry ( name a ) )", "found ')' where 'node'"),
        ("nix-archive-1 ( type directory entry ( name a name b", "found 'name' where 'node'"),
        ("nix-archive-1 ( type directory contents x )", "found 'contents' where 'entry' or ')'"),
    ] {
        refused(&words(text), wanted);
    }
}

fn entry(name: &str) -> String {
    format!("entry ( name {name} node ( type regular contents x ) )")
}

#[test]
fn entries_that_do_not_ascend() {
    let tree = |entries: &[&str]| {
        let entries: Vec<String> = entries.iter().map(|name| entry(name)).collect();
        words(&format!("nix-archive-1 ( type directory {} )", entries.join(" ")))
    };
    refused(&tree(&["b", "a"]), "entry 'a' comes after 'b'");
    refused(&tree(&["a", "c", "b"]), "entry 'b' comes after 'c'");
    refused(&tree(&["a", "a"]), "entry 'a' appears twice");
    refused(&tree(&["a", "b", "b"]), "entry 'b' appears twice");
    refused(&tree(&["aa", "a"]), "entry 'a' comes after 'aa'");
    // By bytes, not by letters or by locale.
    nar::check(tree(&["A", "B", "a", "a-b", "a.b", "ab", "é"]).as_slice()).unwrap();
    // A link, then a directory of its name: how a NAR once wrote anywhere.
    let text = "nix-archive-1 ( type directory entry ( name a node ( type symlink target /tmp ) ) \
        entry ( name a node ( type directory entry ( name x node ( type regular contents y ) ) ) ) )";
    refused(&words(text), "entry 'a' appears twice");
    // The order starts anew in every directory.
    let text = "nix-archive-1 ( type directory entry ( name b node ( type directory \
        entry ( name a node ( type directory ) ) ) ) entry ( name c node ( type directory ) ) )";
    nar::check(words(text).as_slice()).unwrap();
}

#[test]
fn names_and_targets() {
    let named = |name: &[u8]| {
        let mut out = words("nix-archive-1 ( type directory entry ( name");
        out.extend(bytes(&[Good(name)]));
        out.extend(words("node ( type directory ) ) )"));
        out
    };
    let at = words("nix-archive-1 ( type directory entry ( name").len() + 8;
    for (name, wanted) in [
        (b"".as_slice(), "it is empty"),
        (b".", "it names the directory itself or its parent"),
        (b"..", "it names the directory itself or its parent"),
        (b"a/b", "'/' at offset 1"),
        (b"/", "'/' at offset 0"),
        (b"../x", "'/' at offset 2"),
        (b"a\0", "NUL at offset 1"),
        (b"\0", "NUL at offset 0"),
    ] {
        refused(&named(name), wanted);
    }
    refused(&named(b"abc\0d"), &format!("at byte {} of the NAR", at + 3));
    refused(&named(&[b'a'; 256]), "an entry name of 256 bytes is longer than the 255");
    for name in [[b'a'; 255].as_slice(), b"...", b" ", b"\x1b[31m", b"\xff\xfe", b"a\nb", b"-"] {
        nar::check(named(name).as_slice()).unwrap();
    }
    refused(&named(b"\x1b]0;x\x07/"), r"bad entry name '\x1b]0;x\x07/'");

    let link = |target: &[u8]| {
        let mut out = words("nix-archive-1 ( type symlink target");
        out.extend(bytes(&[Good(target)]));
        out.extend(words(")"));
        out
    };
    refused(&link(b""), "bad symlink target '': it is empty");
    refused(&link(b"a\0b"), "NUL at offset 1");
    refused(&link(&[b'a'; 4096]), "a symlink target of 4096 bytes is longer than the 4095");
    for target in [[b'a'; 4095].as_slice(), b"/", b"..", b"\xff", b"a//b/"] {
        nar::check(link(target).as_slice()).unwrap();
    }
}

#[test]
fn padding_that_is_not_zero() {
    let good: Vec<&[u8]> =
        vec![b"nix-archive-1", b"(", b"type", b"regular", b"contents", b"x", b")"];
    for at in 0..good.len() {
        let length = good[at].len();
        let zeros = vec![0_u8; nar::padding_of(length as u64).len()];
        for wrong in 0..zeros.len() {
            for value in [1, 0x20, 0xff] {
                let mut padding = zeros.clone();
                padding[wrong] = value;
                let parts: Vec<Part<'_>> = good
                    .iter()
                    .enumerate()
                    .map(|(i, word)| if i == at { Padding(word, &padding) } else { Good(word) })
                    .collect();
                refused(&bytes(&parts), &format!("a padding byte is {value:#04x}"));
            }
        }
        // Too much padding shifts everything.
        let parts: Vec<Part<'_>> = good
            .iter()
            .enumerate()
            .map(|(i, word)| if i == at { Padding(word, &[0; 16]) } else { Good(word) })
            .collect();
        refusal(&bytes(&parts));
    }
}

#[test]
fn lengths_near_the_end_of_the_numbers() {
    let huge = [
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - 7,
        u64::MAX - 8,
        u64::MAX - 15,
        1 << 63,
        (1 << 63) - 1,
        (1 << 63) + 8,
        1 << 62,
        1 << 32,
        (1 << 32) + 1,
        (1 << 31) - 1,
    ];
    let good: Vec<&[u8]> =
        vec![b"nix-archive-1", b"(", b"type", b"regular", b"contents", b"x", b")"];
    let tree: Vec<&[u8]> = vec![
        b"nix-archive-1",
        b"(",
        b"type",
        b"directory",
        b"entry",
        b"(",
        b"name",
        b"a",
        b"node",
        b"(",
        b"type",
        b"symlink",
        b"target",
        b"a",
        b")",
        b")",
        b")",
    ];
    for length in huge {
        for good in [&good, &tree] {
            for at in 0..good.len() {
                let parts: Vec<Part<'_>> = good
                    .iter()
                    .enumerate()
                    .map(|(i, word)| if i == at { Length(length, word) } else { Good(word) })
                    .collect();
                let text = refusal(&bytes(&parts));
                assert!(text.contains("is longer than") || text.contains("input ends"), "{text}");
            }
        }
    }
    // Small wrong lengths, too.
    for good in [&good, &tree] {
        for at in 0..good.len() {
            for length in (0..40).filter(|&length| length != good[at].len() as u64) {
                let parts: Vec<Part<'_>> = good
                    .iter()
                    .enumerate()
                    .map(|(i, word)| if i == at { Length(length, word) } else { Good(word) })
                    .collect();
                let bytes = bytes(&parts);
                // Zeros may as well be contents as padding.
                if nar::check(bytes.as_slice()).is_ok() {
                    assert!(again(&bytes).unwrap() == bytes);
                    assert_eq!(good[at], b"x", "{length}");
                }
            }
        }
    }
}

#[test]
fn bytes_behind_the_end() {
    for tail in [b"\0".as_slice(), b"x", &[0; 8], &words(FILE)] {
        for text in [FILE, TREE] {
            let good = words(text);
            let whole = [good.as_slice(), tail].concat();
            refused(&whole, &format!("at byte {} of the NAR: bytes follow the end", good.len()));
        }
    }
    refused(&words(&format!("nix-archive-1 {FILE}")), "found 'nix-archive-1' where '('");
}

/// The beginning of so many directories within each other.
fn nested(levels: usize) -> Vec<u8> {
    let mut out = words("nix-archive-1 ( type directory");
    for _ in 1..levels {
        out.extend(words("entry ( name d node ( type directory"));
    }
    out
}

fn nested_whole(levels: usize, innermost: &str) -> Vec<u8> {
    let mut out = nested(levels);
    out.extend(words(innermost));
    out.extend(words(")"));
    for _ in 1..levels {
        out.extend(words(") )"));
    }
    out
}

#[test]
fn the_bound_on_depth_is_the_newest_nixs() {
    nar::check(nested_whole(MAX_DEPTH, "").as_slice()).unwrap();
    nar::check(nested_whole(MAX_DEPTH - 1, &entry("f")).as_slice()).unwrap();
    refused(&nested_whole(MAX_DEPTH, &entry("f")), "more than 64 directories nest");
    refused(&nested_whole(MAX_DEPTH + 1, ""), "more than 64 directories nest");
}

#[test]
fn eighty_thousand_levels_need_little_stack() {
    let work = || {
        for levels in [65, 100, 80_000] {
            for bytes in [nested(levels), nested_whole(levels, &entry("f"))] {
                let text = refusal(&bytes);
                assert!(text.contains("more than 64 directories nest"), "{text}");
            }
        }
    };
    thread::Builder::new().stack_size(64 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn nothing_goes_on_after_an_error() {
    let bytes = words("nix-archive-1 ( type fifo )");
    let mut reader = NarReader::new(bytes.as_slice());
    assert!(reader.next_event().is_err());
    for _ in 0..3 {
        let error = reader.next_event().unwrap_err();
        assert!(error.to_string().contains("already refused"), "{error}");
    }
    let bytes = words(FILE);
    let mut reader = NarReader::new(bytes.as_slice());
    while reader.next_event().unwrap().is_some() {}
    assert!(reader.next_event().unwrap().is_none());
}

#[test]
fn random_changes_are_refused_or_written_again_alike() {
    let mut random = fastrand::Rng::with_seed(5);
    let bases = [words(FILE), words(TREE), nested_whole(5, &entry("f"))];
    let mut accepted = 0;
    for _ in 0..60_000 {
        let mut bytes = random.choice(&bases).unwrap().clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..6) {
                0 => bytes[at] = random.u8(..),
                1 => bytes[at] ^= 1 << random.u8(0..8),
                2 => bytes.truncate(at + 1),
                3 => {
                    let to = random.usize(0..bytes.len()) & !7;
                    let from = at & !7;
                    let length = bytes.len();
                    bytes.copy_within(from..(from + 8).min(length), to.min(length - 8));
                }
                4 => {
                    bytes.splice(at & !7..at & !7, [0; 8]);
                }
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
            if bytes.len() < 16 {
                break;
            }
        }
        match again(&bytes) {
            Ok(written) => {
                accepted += 1;
                assert!(written == bytes, "{}", bytes.escape_ascii());
                assert!(nar::check(bytes.as_slice()).is_ok());
            }
            Err(_) => assert!(nar::check(bytes.as_slice()).is_err()),
        }
    }
    assert!(accepted > 500, "{accepted}");
}

#[test]
fn the_writer_refuses_what_no_reader_takes() {
    let file = Event::File { executable: false, size: 2 };
    let long_name = [b'a'; 256];
    let long_target = [b'a'; 4096];
    let cases: [(&[Event<'_>], &str); 17] = [
        (&[Event::Entry(b"a")], "an entry cannot be written where a directory, file or symlink"),
        (&[Event::End], "the end of a directory cannot be written"),
        (&[Event::Contents(b"a")], "a file's contents cannot be written"),
        (&[file, Event::Contents(b"abc")], "more than the file's size"),
        (&[file, Event::Contents(b"ab"), Event::Contents(b"c")], "where nothing more is expected"),
        (&[file, Event::Directory], "a directory cannot be written where the rest of the file's"),
        (&[Event::Directory, Event::Directory], "where an entry or the end of the directory"),
        (&[Event::Directory, file], "a file cannot be written where an entry"),
        (&[Event::Directory, Event::End, Event::End], "where nothing more is expected"),
        (&[Event::Directory, Event::Entry(b"a"), Event::Entry(b"b")], "where a directory, file"),
        (&[Event::Directory, Event::Entry(b"..")], "bad entry name '..'"),
        (&[Event::Directory, Event::Entry(&long_name)], "it is longer than the format allows"),
        (
            &[Event::Directory, Event::Entry(b"b"), Event::Symlink(b"x"), Event::Entry(b"a")],
            "entry 'a' comes after 'b'",
        ),
        (
            &[Event::Directory, Event::Entry(b"b"), Event::Symlink(b"x"), Event::Entry(b"b")],
            "entry 'b' appears twice",
        ),
        (&[Event::Symlink(b"")], "it is empty"),
        (&[Event::Symlink(&long_target)], "it is longer than the format allows"),
        (&[Event::File { executable: false, size: u64::MAX }], "a file of 18446744073709551615"),
    ];
    for (events, wanted) in cases {
        let mut writer = NarWriter::new(Vec::new());
        let (last, first) = events.split_last().unwrap();
        first.iter().for_each(|event| writer.write(*event).unwrap());
        let error = writer.write(*last).unwrap_err().to_string();
        assert!(error.contains(wanted), "found {error:?}, expected {wanted:?}");
    }
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::Directory).unwrap();
    assert!(writer.finish().is_err());
    let mut writer = NarWriter::new(Vec::new());
    for _ in 0..MAX_DEPTH {
        writer.write(Event::Directory).unwrap();
        writer.write(Event::Entry(b"d")).unwrap();
    }
    let error = writer.write(Event::Symlink(b"x")).unwrap_err();
    assert!(matches!(error.kind, NarErrorKind::Depth), "{error}");
}
