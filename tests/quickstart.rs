//! The README's quick start, through the real binary: a reproduced, a
//! differing and a forged output, from a cache whose builder is a program of
//! our own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix_verify::gather::nar::compression;
use nix_verify::nix::compression::Compression;
use nix_verify::nix::nar::{Event, NarReader};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickstart")
}

fn drv(name: &str) -> PathBuf {
    let ending = format!("-{name}-1.0.drv");
    let entries = std::fs::read_dir(fixtures()).unwrap();
    let mut found = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(&ending));
    found.next().unwrap_or_else(|| panic!("no derivation {name}"))
}

fn rebuild(names: &[&str], state: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").arg("rebuild");
    command.args(names.iter().map(|name| drv(name)));
    command.arg("--cache").arg(format!("file://{}/cache", fixtures().display()));
    command.arg("--trusted-keys-file").arg(fixtures().join("keys.txt"));
    command.arg("--state-dir").arg(state).args(["--offline", "--format", "json"]).args(more);
    command.output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The statuses of all outputs, by the names of their store paths.
fn statuses(report: &Value) -> Vec<(String, String)> {
    let subjects = report["subjects"].as_array().unwrap();
    let mut all: Vec<_> = subjects
        .iter()
        .map(|subject| {
            let id = subject["id"].as_str().unwrap();
            let name = id.rsplit('/').next().unwrap()[33..].to_owned();
            (name, subject["status"].as_str().unwrap().to_owned())
        })
        .collect();
    all.sort();
    all
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

#[test]
fn reproduced_differing_and_forged_are_told_apart() {
    let state = tempfile::tempdir().unwrap();
    let output = rebuild(&["greeting", "letter", "dated", "tampered"], state.path(), &[]);
    let report = report(&output);
    assert_eq!(
        statuses(&report),
        pairs(&[
            ("dated-1.0", "differs"),
            ("greeting-1.0", "reproduced"),
            ("greeting-1.0-dev", "reproduced"),
            ("letter-1.0", "reproduced"),
            ("tampered-1.0", "forged"),
        ]),
        "{report:#}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["verdict"]["result"], "fail");
    let rules: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["forged-signature", "output-differs"]);
}

#[test]
fn what_reproduces_passes() {
    let state = tempfile::tempdir().unwrap();
    let output = rebuild(&["greeting", "letter"], state.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn without_a_trusted_key_nothing_passes() {
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().env("PATH", "/usr/bin:/bin").arg("rebuild").arg(drv("greeting"));
    command.arg("--cache").arg(format!("file://{}/cache", fixtures().display()));
    command.arg("--state-dir").arg(state.path()).args(["--offline", "--format", "json"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(statuses(&report(&output)).iter().all(|(_, status)| status == "no-reference"));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let run = || {
        let state = tempfile::tempdir().unwrap();
        rebuild(&["greeting", "letter", "tampered"], state.path(), &["--reproducible"]).stdout
    };
    let first = run();
    assert!(!first.is_empty());
    assert_eq!(first, run());
}

/// The README shows what the binary says: every line of it, in order, apart
/// from those that stand for others.
#[test]
fn the_readme_shows_the_real_output() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let state = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_verify"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .arg("rebuild")
        .args(["greeting", "letter", "dated", "tampered"].map(drv))
        .arg("--cache")
        .arg(format!("file://{}/cache", fixtures().display()))
        .arg("--trusted-keys-file")
        .arg(fixtures().join("keys.txt"))
        .arg("--state-dir")
        .arg(state.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // Store paths are not broken.
    for line in said.lines().filter(|line| !line.contains("/nix/store/")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let mut lines = said.lines();
    for line in shown.lines().filter(|line| line.trim() != "\u{2026}") {
        // Columns are as wide as what else they hold.
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(lines.any(|said| words(said) == words(line)), "not said: {line}\n{said}");
    }
}

/// The builder in the cache is what its source assembles to, with the C
/// compiler and objcopy of this machine.
#[test]
fn the_builder_follows_from_its_source() {
    let place = tempfile::tempdir().unwrap();
    let (object, program) = (place.path().join("builder.o"), place.path().join("builder"));
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("cc")
        .arg("-c")
        .arg(fixtures().join("builder/builder.S"))
        .arg("-o")
        .arg(&object));
    run(Command::new("objcopy").args(["-O", "binary", "-j", ".text"]).arg(&object).arg(&program));

    let narinfos = std::fs::read_dir(fixtures().join("cache")).unwrap();
    let texts = narinfos.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let narinfo = texts.into_iter().find(|text| text.contains("-quickstart-builder\n")).unwrap();
    let url = narinfo.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    let file = std::fs::File::open(fixtures().join("cache").join(url)).unwrap();
    let mut nar = NarReader::new(compression::reader(Compression::Xz, file).unwrap());
    let mut content = Vec::new();
    while let Some(event) = nar.next_event().unwrap() {
        match event {
            Event::File { executable, .. } => assert!(executable),
            Event::Contents(bytes) => content.extend_from_slice(bytes),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(content, std::fs::read(program).unwrap());
}
