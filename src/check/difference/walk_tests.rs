use super::super::explanation::{CLASSES, Certainty};
use super::*;
use crate::nix::nar::{Event, NarWriter};

const NOW: u64 = 1_795_377_600;

fn context() -> Context {
    Context { built_at: Some(NOW), now: NOW, host: Vec::new() }
}

fn nar(events: &[Event<'_>]) -> Vec<u8> {
    let mut writer = NarWriter::new(Vec::new());
    events.iter().for_each(|event| writer.write(*event).unwrap());
    writer.finish().unwrap()
}

fn file(contents: &[u8]) -> Vec<Event<'_>> {
    let size = u64::try_from(contents.len()).unwrap();
    let mut events = vec![Event::File { executable: false, size }];
    if size > 0 {
        events.push(Event::Contents(contents));
    }
    events
}

/// A directory with these entries.
fn tree<'e>(entries: &[(&'e str, Vec<Event<'e>>)]) -> Vec<u8> {
    nar(&directory(entries))
}

fn directory<'e>(entries: &[(&'e str, Vec<Event<'e>>)]) -> Vec<Event<'e>> {
    let mut events = vec![Event::Directory];
    for (name, node) in entries {
        events.push(Event::Entry(name.as_bytes()));
        events.extend(node);
    }
    events.push(Event::End);
    events
}

fn explained(a: &[u8], b: &[u8]) -> Explanation {
    explain(a, b, &context()).unwrap()
}

/// What differs: path and changes.
fn changes(a: &[u8], b: &[u8]) -> Vec<String> {
    let entries = explained(a, b).entries;
    let line = |entry: &EntryDifference| {
        let changes: Vec<_> = entry.changes.iter().map(|change| change.name()).collect();
        format!("{} {}", String::from_utf8_lossy(&entry.path), changes.join(","))
    };
    entries.iter().map(line).collect()
}

#[test]
fn equal_trees_have_no_difference() {
    let one = tree(&[("a", file(b"1")), ("d", directory(&[("x", file(b"22"))]))]);
    let explanation = explained(&one, &one);
    assert_eq!((explanation.differing, explanation.compared), (0, 4));
    assert_eq!(explanation.class, None);
}

#[test]
fn every_kind_of_change_is_named_at_its_path() {
    let link = |target: &'static str| vec![Event::Symlink(target.as_bytes())];
    let deep = |text: &'static [u8]| directory(&[("x", file(text)), ("y", file(b"same"))]);
    let a = tree(&[
        ("changed", file(b"on 2026-11-12")),
        ("claimed", deep(b"1")),
        ("deep", deep(b"11")),
        ("kind", file(b"")),
        ("link", link("a")),
        ("mode", file(b"x")),
        ("zz", file(b"")),
    ]);
    let b = tree(&[
        ("changed", file(b"on 2026-11-22")),
        ("deep", deep(b"222")),
        ("kind", deep(b"1")),
        ("link", link("b")),
        ("mode", vec![Event::File { executable: true, size: 1 }, Event::Contents(b"x")]),
        ("ours", file(b"")),
        ("zz", file(b"")),
    ]);
    assert_eq!(
        changes(&a, &b),
        [
            "changed contents",
            "claimed only-claimed",
            "deep/x contents",
            "kind kind",
            "link target",
            "mode executable",
            "ours only-ours"
        ]
    );
    let explanation = explained(&a, &b);
    assert_eq!(explanation.differing, 7);
    assert!(!explanation.explained);
    let bytes = explanation.entries[0].bytes.clone().unwrap();
    assert_eq!((bytes.first_offset, bytes.regions, bytes.differing_bytes), (11, 1, 1));
    assert_eq!((bytes.claimed.as_slice(), bytes.excerpt_offset), (&b"on 2026-11-12"[..], 0));
    assert_eq!(explanation.entries[5].class(), Class::Permissions);
}

#[test]
fn the_object_itself_may_be_the_difference() {
    let plain = nar(&file(b"on 2026-11-12"));
    assert_eq!(changes(&plain, &nar(&file(b"on 2026-11-22"))), [" contents"]);
    assert_eq!(changes(&plain, &tree(&[])), [" kind"]);
    assert_eq!(changes(&nar(&file(b"")), &nar(&file(b"1"))), [" contents"]);
}

#[test]
fn a_cause_is_known_only_if_every_entry_has_one() {
    let one =
        |text: &'static [u8], more: &'static [u8]| tree(&[("a", file(text)), ("b", file(more))]);
    let explanation = explained(&one(b"on 2026-11-12", b"x"), &one(b"on 2026-11-22", b"x"));
    assert_eq!((explanation.class, explanation.explained), (Some(Class::Timestamp), true));
    let explanation = explained(&one(b"on 2026-11-12", b"code"), &one(b"on 2026-11-22", b"evil"));
    assert_eq!((explanation.class, explanation.explained), (Some(Class::Timestamp), false));
    assert!(CLASSES.contains(&explanation.classes[0].class));
}

#[test]
fn one_file_under_two_names_is_recognised() {
    let named = |name: &'static str| tree(&[("a", file(b"")), (name, file(b"same"))]);
    let explanation = explained(&named("log-2026-11-12"), &named("log-2026-11-22"));
    assert_eq!((explanation.class, explanation.explained), (Some(Class::Timestamp), true));
    assert_eq!(explanation.entries[0].clues[0].certainty, Certainty::Likely);
    let explanation = explained(&named("one"), &named("other"));
    assert_eq!(explanation.class, Some(Class::Unknown));
}

#[test]
fn files_too_large_to_hold_are_compared_as_they_are_read() {
    struct Huge {
        head: Vec<u8>,
        size: u64,
        odd: u64,
        at: u64,
    }
    impl Read for Huge {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let head = u64::try_from(self.head.len()).unwrap();
            let tail: &[u8] = b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0";
            let end = head + self.size;
            let mut written = 0;
            while written < out.len() && self.at < end + 16 {
                let left = u64::try_from(out.len() - written).unwrap();
                if self.at < head || self.at >= end {
                    out[written] = if self.at < head {
                        self.head[usize::try_from(self.at).unwrap()]
                    } else {
                        tail[usize::try_from(self.at - end).unwrap()]
                    };
                    (written, self.at) = (written + 1, self.at + 1);
                    continue;
                }
                let count = left.min(end - self.at);
                let zeros = usize::try_from(count).unwrap();
                out[written..written + zeros].fill(0);
                let odd = (head + self.odd).wrapping_sub(self.at);
                if odd < count {
                    out[written + usize::try_from(odd).unwrap()] = 1;
                }
                (written, self.at) = (written + zeros, self.at + count);
            }
            Ok(written)
        }
    }
    let size = 96_u64 << 20;
    let whole = nar(&file(b"12345678"));
    let huge = |odd| {
        let mut head = whole[..whole.len() - 32].to_vec();
        head.extend(size.to_le_bytes());
        Huge { head, size, odd, at: 0 }
    };
    let explanation = explain(huge(size), huge(70 << 20), &context()).unwrap();
    let bytes = explanation.entries[0].bytes.clone().unwrap();
    assert_eq!((bytes.first_offset, bytes.differing_bytes), (70 << 20, 1));
    assert!(!explanation.explained && !explanation.notes.is_empty());
    assert!(explain(huge(size), huge(size), &context()).unwrap().entries.is_empty());
}

#[test]
fn a_nar_that_is_cut_is_an_error_that_says_which() {
    let whole = tree(&[("a", file(b"1")), ("b", file(b"2"))]);
    for cut in (0..whole.len()).step_by(7) {
        let error = explain(&whole[..cut], whole.as_slice(), &context()).unwrap_err();
        assert_eq!(error.which, Which::Claimed);
        let error = explain(whole.as_slice(), &whole[..cut], &context()).unwrap_err();
        assert_eq!(error.which, Which::Ours);
    }
}

#[test]
fn the_list_of_entries_is_bounded_and_the_count_is_not() {
    let names: Vec<String> = (0..500).map(|n| format!("{n:04}")).collect();
    let all = |text: &'static [u8]| {
        tree(&names.iter().map(|name| (name.as_str(), file(text))).collect::<Vec<_>>())
    };
    let explanation = explained(&all(b"on 2026-11-12"), &all(b"on 2026-11-22"));
    assert_eq!((explanation.differing, explanation.entries.len()), (500, MAX_NAMED));
    assert_eq!(explanation.classes[0].entries, 500);
}
