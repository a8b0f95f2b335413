//! `verify inspect A.nar --against B.nar`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix_verify::nix::nar::{Event, NarWriter};
use serde_json::Value;

fn nar(dir: &Path, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::Directory).unwrap();
    for (name, content) in files {
        let size = u64::try_from(content.len()).unwrap();
        writer.write(Event::Entry(name.as_bytes())).unwrap();
        writer.write(Event::File { executable: false, size }).unwrap();
        writer.write(Event::Contents(content)).unwrap();
    }
    writer.write(Event::End).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    path
}

fn against(a: &Path, b: &Path, more: &[&str]) -> (i32, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().arg("inspect").arg(a).arg("--against").arg(b).args(more);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), output)
}

#[test]
fn equal_nars_pass_and_others_say_why_they_differ() {
    let dir = tempfile::tempdir().unwrap();
    let file = |day: u32| format!("built on 2026-11-{day}\n").into_bytes();
    let a = nar(dir.path(), "a", &[("same", b"x"), ("stamp", &file(12))]);
    let b = nar(dir.path(), "b", &[("same", b"x"), ("stamp", &file(22))]);
    assert_eq!(against(&a, &a, &[]).0, 0);
    let (code, output) = against(&a, &b, &["--format", "json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["rule"], "nars-differ");
    let facts = &report["facts"];
    assert_eq!((&facts["class"], &facts["explained"]), (&"timestamp".into(), &true.into()));
    assert_eq!((&facts["differing"], &facts["compared"]), (&1.into(), &3.into()));
    assert_eq!(facts["entries"][0]["path"], "stamp");
    assert_eq!(facts["entries"][0]["bytes"]["first_offset"], 17);

    let (_, output) = against(&a, &b, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("stamp: 1 bytes in 1 region, the first at byte 17"), "{text}");
    assert!(text.contains("cause"), "{text}");
}

#[test]
fn names_and_bytes_of_an_attacker_reach_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let a = nar(dir.path(), "a", &[("\u{1b}[31mred", b"\x1b[2Jone two three")]);
    let b = nar(dir.path(), "b", &[("\u{1b}[31mred", b"\x1b]0;titl two three")]);
    for format in ["human", "json"] {
        let (code, output) = against(&a, &b, &["--format", format]);
        assert_eq!(code, 1);
        assert!(!output.stdout.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn what_is_no_nar_is_a_finding_and_what_is_no_file_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let a = nar(dir.path(), "a", &[("x", b"1")]);
    let mut bytes = std::fs::read(&a).unwrap();
    bytes.truncate(bytes.len() - 8);
    let cut = dir.path().join("cut");
    std::fs::write(&cut, &bytes).unwrap();
    for (first, second) in [(&a, &cut), (&cut, &a)] {
        let (code, output) = against(first, second, &["--format", "json"]);
        assert_eq!(code, 1);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["findings"][0]["rule"], "malformed-nar");
        assert_eq!(report["findings"][0]["subject"], cut.to_str().unwrap());
    }
    assert_eq!(against(&a, &dir.path().join("none"), &[]).0, 2);
    let lock = dir.path().join("flake.lock");
    std::fs::write(&lock, "{}").unwrap();
    assert_eq!(against(&lock, &a, &[]).0, 2);
}
