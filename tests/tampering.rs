//! A cache that lies, damaged at one place after another: never a pass from a
//! forged claim, and each lie gets its own name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

mod gather_support;
mod tampering_served;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A copy of the quick start's cache, to be damaged.
struct Cache {
    place: tempfile::TempDir,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickstart")
}

impl Cache {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let status =
            Command::new("cp").arg("-r").arg(fixtures().join("cache")).arg(place.path()).status();
        assert!(status.unwrap().success());
        Self { place }
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("cache")
    }

    /// The narinfo of the store path with that name.
    fn narinfo(&self, name: &str) -> PathBuf {
        let ending = format!("-{name}");
        let entries = self.directory().read_dir().unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.extension().is_some_and(|extension| extension == "narinfo"))
            .find(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                text.lines().next().unwrap().ends_with(&ending)
            })
            .unwrap()
    }

    fn nar(&self, name: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.narinfo(name)).unwrap();
        self.directory().join(text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap())
    }

    /// Changes the narinfo of `name` line by line.
    fn edit(&self, name: &str, change: impl Fn(&str) -> Option<String>) -> &Self {
        let file = self.narinfo(name);
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<String> = text.lines().filter_map(change).collect();
        std::fs::write(file, lines.join("\n") + "\n").unwrap();
        self
    }

    fn set(&self, name: &str, field: &str, value: &str) -> &Self {
        self.edit(name, |line| {
            Some(if line.starts_with(&format!("{field}: ")) {
                format!("{field}: {value}")
            } else {
                line.to_owned()
            })
        })
    }

    /// Rebuilds `greeting`, whose only input is the builder.
    fn verdict(&self) -> Outcome {
        self.verdict_of(&format!("file://{}", self.directory().display()), &["--offline"])
    }

    /// The same with the cache at that URL.
    fn verdict_of(&self, url: &str, options: &[&str]) -> Outcome {
        let state = tempfile::tempdir().unwrap();
        let drv = fixtures().read_dir().unwrap().map(|entry| entry.unwrap().path());
        let drv = drv
            .into_iter()
            .find(|path| path.to_str().unwrap().ends_with("-greeting-1.0.drv"))
            .unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_verify"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .arg("rebuild")
            .arg(drv)
            .arg("--cache")
            .arg(url)
            .arg("--trusted-keys-file")
            .arg(fixtures().join("keys.txt"))
            .arg("--state-dir")
            .arg(state.path())
            .args(["--format", "json"])
            .args(options)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let statuses = report["subjects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|subject| text(&subject["status"]))
            .collect();
        let rules = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| text(&finding["rule"]))
            .collect();
        Outcome { code: output.status.code().unwrap(), statuses, rules, report }
    }
}

struct Outcome {
    code: i32,
    statuses: Vec<String>,
    rules: Vec<String>,
    report: Value,
}

impl Outcome {
    /// Some output of ours was called reproduced from a lie.
    fn assert_not_passed(&self, what: &str) {
        assert_ne!(self.code, 0, "{what}: {:#}", self.report);
    }

    /// Why there was no answer.
    fn reasons(&self) -> Vec<String> {
        let open = self.report["coverage"]["inconclusive"].as_array().unwrap();
        open.iter().map(|open| open["reason"].as_str().unwrap().to_owned()).collect()
    }

    fn assert_rule(&self, rule: &str) {
        assert!(self.rules.iter().any(|found| found == rule), "no {rule}: {:#}", self.report);
        assert_eq!(self.code, 1, "{:#}", self.report);
    }
}

#[test]
fn untouched_it_passes() {
    let outcome = Cache::new().verdict();
    assert_eq!((outcome.code, outcome.statuses.len()), (0, 2), "{:#}", outcome.report);
}

#[test]
fn every_signed_field_of_a_claim_is_covered() {
    let other = "sha256:1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2";
    for (field, value) in [
        ("NarHash", other),
        ("NarSize", "121"),
        ("References", "s331z3al5w7q0qy2vpig2jfcmy0br50q-greeting-1.0"),
    ] {
        let cache = Cache::new();
        let outcome = cache.set("greeting-1.0", field, value).verdict();
        outcome.assert_rule("forged-signature");
        assert!(outcome.statuses.contains(&"forged".to_owned()), "{:#}", outcome.report);
    }
}

#[test]
fn unsigned_fields_do_not_matter_for_a_claim() {
    let cache = Cache::new();
    cache.set("greeting-1.0", "Deriver", "unknown-deriver").set("greeting-1.0", "FileSize", "1");
    assert_eq!(cache.verdict().code, 0);
}

#[test]
fn a_signature_under_another_name_or_none_decides_nothing() {
    for change in [
        |line: &str| Some(line.replace("Sig: quickstart-1:", "Sig: somebody-1:")),
        |line: &str| (!line.starts_with("Sig: ")).then(|| line.to_owned()),
    ] {
        let cache = Cache::new();
        cache.edit("greeting-1.0", change).edit("greeting-1.0-dev", change);
        let outcome = cache.verdict();
        assert_eq!(outcome.code, 3, "{:#}", outcome.report);
        assert_eq!(outcome.statuses, ["no-reference", "no-reference"]);
    }
}

#[test]
fn the_narinfo_of_another_path_is_named() {
    let cache = Cache::new();
    std::fs::copy(cache.narinfo("letter-1.0"), cache.narinfo("greeting-1.0")).unwrap();
    // Looked up again by its own name, the file is the letter's now.
    cache.verdict().assert_rule("foreign-narinfo");
}

/// Changes the bytes of a file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_input_is_named_and_never_used() {
    let damages: [(&str, Damage); 5] = [
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2)),
        ("flipped", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }),
        ("longer", |bytes| bytes.extend_from_slice(b"tail")),
        ("empty", Vec::clear),
        ("doubled", |bytes| bytes.extend(bytes.clone())),
    ];
    for (what, damage) in damages {
        let cache = Cache::new();
        let file = cache.nar("quickstart-builder");
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(file, bytes).unwrap();
        let outcome = cache.verdict();
        outcome.assert_not_passed(what);
        outcome.assert_rule("nar-mismatch");
    }
}

#[test]
fn a_swapped_input_is_named() {
    // What the public cache did in June 2026: a good signature over one NAR,
    // the bytes of another behind it.
    let cache = Cache::new();
    let builder = cache.nar("quickstart-builder");
    std::fs::copy(cache.nar("letter-1.0"), builder).unwrap();
    cache.set("quickstart-builder", "Compression", "none").verdict().assert_rule("nar-mismatch");
}

#[test]
fn a_missing_nar_is_no_pass() {
    let cache = Cache::new();
    std::fs::remove_file(cache.nar("quickstart-builder")).unwrap();
    let outcome = cache.verdict();
    assert_eq!(outcome.code, 3, "{:#}", outcome.report);
    assert_eq!(outcome.statuses, ["input-missing", "input-missing"]);
}

#[test]
fn an_address_outside_the_cache_is_refused() {
    for url in [
        "../cache/nar/x.nar",
        "/etc/passwd",
        "file:///etc/passwd",
        "nar/../../x",
        "http://127.0.0.1/x",
    ] {
        let cache = Cache::new();
        cache.set("quickstart-builder", "URL", url).verdict().assert_not_passed(url);
    }
}

#[test]
fn a_malformed_claim_is_a_finding() {
    let cache = Cache::new();
    cache
        .edit("greeting-1.0", |line| Some(format!("{line}\n{line}")))
        .verdict()
        .assert_rule("malformed-narinfo");
}

#[test]
fn a_content_addressed_input_needs_no_signature_but_true_bytes() {
    let unsigned = |line: &str| (!line.starts_with("Sig: ")).then(|| line.to_owned());
    let cache = Cache::new();
    let outcome = cache.edit("quickstart-builder", unsigned).verdict();
    assert_eq!(outcome.code, 0, "{:#}", outcome.report);
    let origin = &outcome.report["facts"]["inputs"][0]["origin"]["kind"];
    assert_eq!(origin, "content-addressed");

    // The claimed hash follows the other bytes, the content address does not.
    let other = "sha256:140nxynz0pqjgsmzc658q7sainhr40wx8ic9cjmv94qj3qqjp335";
    cache.set("quickstart-builder", "NarHash", other).set("quickstart-builder", "NarSize", "200");
    cache.set("quickstart-builder", "Compression", "none");
    std::fs::copy(cache.nar("letter-1.0"), cache.nar("quickstart-builder")).unwrap();
    cache.edit("quickstart-builder", |line| (!line.starts_with("File")).then(|| line.to_owned()));
    cache.verdict().assert_rule("nar-mismatch");
}

#[test]
fn every_flipped_byte_of_a_claim_is_caught_or_harmless() {
    let cache = Cache::new();
    let file = cache.narinfo("greeting-1.0");
    let text = std::fs::read(&file).unwrap();
    let unsigned = |offset: usize| {
        let line = text[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let field = std::str::from_utf8(&text[line..]).unwrap();
        // The set of references is empty here, as it is without that line.
        ["URL", "Compression", "File", "Deriver", "References"]
            .iter()
            .any(|name| field.starts_with(name))
    };
    for offset in (0..text.len()).step_by(7) {
        let mut bytes = text.clone();
        bytes[offset] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let outcome = cache.verdict();
        if !unsigned(offset) {
            assert!(
                outcome.statuses.iter().filter(|status| *status == "reproduced").count() < 2,
                "offset {offset}: {:#}",
                outcome.report
            );
        }
    }
}
