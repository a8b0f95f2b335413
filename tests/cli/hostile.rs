//! Nothing from input reaches an output raw.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::report::text::is_unsafe;

use super::*;

/// Marks that hide or reorder what a reader sees.
const MARKS: &str = "\u{202e}\u{2066}\u{200f}\u{200b}\u{feff}\u{9b}\u{85}\u{2028}\u{e0041}\u{61c}";

/// Runs in every format and looks at every character of both streams.
fn check(arguments: &[OsString], place: &Path) {
    for (format, color) in [("human", "always"), ("json", "never")] {
        let mut command = command(&[]);
        command.args(arguments).args(["--format", format, "--color", color]);
        command.current_dir(place).env("LANG", "C.UTF-8");
        let output = command.output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(bytes).expect("output is UTF-8");
            let text = without_own_colors(text);
            let bad = text.chars().find(|c| *c != '\n' && is_unsafe(*c));
            assert_eq!(bad, None, "{format} {arguments:?}: {text:?}");
        }
    }
}

/// Takes out exactly the colour codes that we write ourselves.
fn without_own_colors(text: &str) -> String {
    let codes = ["0", "1", "2", "31", "32", "33", "1;31", "1;32", "1;33"];
    codes.iter().fold(text.to_owned(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""))
}

#[test]
fn file_names_of_all_bytes() {
    let place = tempfile::tempdir().unwrap();
    for byte in (1..=u8::MAX).filter(|byte| *byte != b'/') {
        let name = OsString::from_vec(vec![b'n', byte, b'm']);
        std::fs::write(place.path().join(&name), b"{\"version\":3}").unwrap();
        check(&["inspect".into(), "--kind".into(), "lock".into(), name], place.path());
    }
    check(&["inspect".into(), format!("missing{MARKS}\u{1b}[2J").into()], place.path());
}

#[test]
fn arguments_of_all_bytes() {
    let place = tempfile::tempdir().unwrap();
    for byte in 1..=u8::MAX {
        let word = OsString::from_vec(vec![b'x', byte, b'[', b'2', b'J']);
        check(std::slice::from_ref(&word), place.path());
        check(&["inspect".into(), "f".into(), "--kind".into(), word.clone()], place.path());
        check(&["explain".into(), word], place.path());
    }
}

#[test]
fn names_in_nars_of_all_bytes() {
    let place = tempfile::tempdir().unwrap();
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::Directory).unwrap();
    for byte in (1..=u8::MAX).filter(|byte| *byte != b'/' && *byte != b'.') {
        writer.write(Event::Entry(&[byte, b'\x1b', b'[', b'm'])).unwrap();
        if byte % 2 == 0 {
            writer.write(Event::Symlink(&[byte, b'\x07'])).unwrap();
        } else {
            writer.write(Event::File { executable: false, size: u64::from(byte) }).unwrap();
            writer.write(Event::Contents(&vec![byte; usize::from(byte)])).unwrap();
        }
    }
    writer.write(Event::End).unwrap();
    let nar = writer.finish().unwrap();
    std::fs::write(place.path().join("x.nar"), &nar).unwrap();
    check(&["inspect".into(), "x.nar".into()], place.path());
    // A damaged NAR shows an excerpt in its error.
    for end in (0..nar.len()).step_by(97) {
        std::fs::write(place.path().join("x.nar"), &nar[..end]).unwrap();
        check(&["inspect".into(), "x.nar".into(), "--kind".into(), "nar".into()], place.path());
    }
}

#[test]
fn values_in_locks_and_narinfos() {
    let place = tempfile::tempdir().unwrap();
    let hostile = format!("a\u{1b}[31m{MARKS}\u{7f}");
    let json = serde_json::to_string(&hostile).unwrap();
    let lock = format!(
        "{{\"nodes\":{{{json}:{{\"locked\":{{\"url\":{json},{json}:{json},{json}:1}}}},\"root\":{{\"inputs\":{{{json}:{json}}}}}}},\"root\":\"root\",\"version\":7}}"
    );
    std::fs::write(place.path().join("flake.lock"), &lock).unwrap();
    check(&["inspect".into(), "flake.lock".into()], place.path());
    let dangling = lock.replace(&format!("{{{json}:{json}}}"), &format!("{{{json}:\"x\\u0007\"}}"));
    std::fs::write(place.path().join("flake.lock"), dangling).unwrap();
    check(&["inspect".into(), "flake.lock".into()], place.path());

    let good = std::fs::read_to_string(fixtures().join("narinfo/net-tools.narinfo")).unwrap();
    for field in ["URL", "Compression", "System", "Sig", "NarSize", "StorePath", "Other"] {
        for mark in hostile.chars() {
            let line = format!("{field}: a{mark}b\n");
            let without: String = good
                .split_inclusive('\n')
                .filter(|l| field == "Sig" || !l.starts_with(&format!("{field}: ")))
                .collect();
            std::fs::write(place.path().join("x.narinfo"), without + &line).unwrap();
            check(&["inspect".into(), "x.narinfo".into()], place.path());
        }
    }
}

#[test]
fn bytes_in_derivations() {
    let place = tempfile::tempdir().unwrap();
    for byte in 0..=u8::MAX {
        let raw: Vec<u8> = match byte {
            b'"' | b'\\' => vec![b'\\', byte],
            b'\n' => b"\\n".to_vec(),
            b'\r' => b"\\r".to_vec(),
            b'\t' => b"\\t".to_vec(),
            _ => vec![byte],
        };
        let drv = [
            &b"Derive([(\"out\",\"\",\"r:sha256\",\"\")],[],[],\"s"[..],
            if matches!(byte, b'"' | b'\\') { b"" } else { &raw },
            b"\",\"/b",
            &raw,
            b"\",[\"",
            &raw,
            b"\"],[(\"k",
            &raw,
            b"\",\"",
            &raw,
            b"\")])",
        ]
        .concat();
        std::fs::write(place.path().join("x.drv"), drv).unwrap();
        check(&["inspect".into(), "x.drv".into()], place.path());
    }
}
