//! Every renderer, through the real binary, against what its readers expect.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const FORMATS: [&str; 7] = ["human", "json", "sarif", "junit", "github", "gitlab", "markdown"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Exit code and output of a run over the fixtures.
fn run(arguments: &[&str], format: &str) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_verify"))
        .args(arguments)
        .args(["--format", format, "--reproducible", "--now", "2026-08-22"])
        .env_clear()
        .current_dir(fixtures())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?} {format}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Runs of every command that needs neither network nor sandbox: with
/// findings and without, with places and without, inconclusive ones too.
fn runs() -> Vec<Vec<String>> {
    let mut runs: Vec<Vec<String>> = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in ["locks", "lock", "narinfo", "nar"] {
        files.extend(fixtures().join(directory).read_dir().unwrap().map(|one| one.unwrap().path()));
    }
    files.sort();
    for file in files {
        let name = file.strip_prefix(fixtures()).unwrap().to_str().unwrap().to_owned();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("lock") => runs.push(vec!["lock".into(), name]),
            Some("narinfo" | "nar") => runs.push(vec!["inspect".into(), name]),
            _ => {}
        }
    }
    for pair in ["Mic92+dotfiles@8ba9f0ff", "NixOS+infra@226abe34"] {
        let side = |side: &str| format!("locks/pairs/{pair}.{side}.lock");
        runs.push(vec!["lock".into(), side("head"), "--base".into(), side("base")]);
    }
    // A base that is no lock: inconclusive.
    let good = "locks/numtide+devshell.lock".to_owned();
    runs.push(vec!["lock".into(), good, "--base".into(), "lock/truncated.lock".into()]);
    assert!(runs.len() > 60, "{}", runs.len());
    runs
}

fn schema(name: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(fixtures().join("schemas").join(name)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn check(validator: &jsonschema::Validator, text: &str, what: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}:\n{}", errors.join("\n"));
    value
}

fn strs(run: &[String]) -> Vec<&str> {
    run.iter().map(String::as_str).collect()
}

#[test]
fn sarif_is_valid_against_its_schema() {
    let validator = schema("sarif-schema-2.1.0.json");
    let mut results = 0;
    for run_of in runs() {
        let (_, text) = run(&strs(&run_of), "sarif");
        let value = check(&validator, &text, &format!("{run_of:?}"));
        let sarif = &value["runs"][0];
        let rules = sarif["tool"]["driver"]["rules"].as_array().unwrap();
        let mut prints = BTreeSet::new();
        for result in sarif["results"].as_array().unwrap() {
            results += 1;
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(prints.insert(result["partialFingerprints"].to_string()), "{run_of:?}");
            if run_of[0] == "lock" && result["ruleId"] != "lock/config-not-used" {
                let region = &result["locations"][0]["physicalLocation"]["region"];
                assert!(region["startLine"].as_u64().unwrap() >= 1, "{result:#}");
            }
        }
    }
    assert!(results > 300, "{results}");
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0", "runs": [{}] })));
}

#[test]
fn a_sarif_region_is_what_the_finding_means() {
    let (_, text) = run(&["lock", "locks/Misterio77+nix-config.lock"], "sarif");
    let value: Value = serde_json::from_str(&text).unwrap();
    let results = value["runs"][0]["results"].as_array().unwrap();
    let result = results.iter().find(|one| one["ruleId"] == "lock/source-mismatch").unwrap();
    let region = &result["locations"][0]["physicalLocation"]["region"];
    let file = std::fs::read(fixtures().join("locks/Misterio77+nix-config.lock")).unwrap();
    let number = |name: &str| region[name].as_u64().unwrap() as usize;
    let bytes = &file[number("byteOffset")..number("byteOffset") + number("byteLength")];
    assert_eq!(bytes, b"\"misterio77\"");
    let text = String::from_utf8(file.clone()).unwrap();
    let line = text.lines().nth(number("startLine") - 1).unwrap();
    assert_eq!(&line[number("startColumn") - 1..number("endColumn") - 1], "\"misterio77\"");
}

#[test]
fn fingerprints_do_not_move_with_lines() {
    let place = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixtures().join("locks/eza-community+eza.lock")).unwrap();
    let print = |text: &str| {
        let path = place.path().join("flake.lock");
        std::fs::write(&path, text).unwrap();
        let (_, out) = run(&["lock", path.to_str().unwrap()], "gitlab");
        let value: Value = serde_json::from_str(&out).unwrap();
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["fingerprint"].to_string(), one["check_name"].to_string()))
            .collect::<BTreeSet<_>>()
    };
    let before = print(&text);
    assert!(before.len() > 10);
    assert_eq!(print(&format!("\n\n\n{text}")), before);
}

#[test]
fn gitlab_reports_have_the_documented_fields() {
    let validator = schema("gitlab-code-quality.json");
    for run_of in runs() {
        let (code, text) = run(&strs(&run_of), "gitlab");
        let value = check(&validator, &text, &format!("{run_of:?}"));
        let entries = value.as_array().unwrap();
        let prints: BTreeSet<String> =
            entries.iter().map(|one| one["fingerprint"].to_string()).collect();
        assert_eq!(
            prints.len(),
            entries.len(),
            "{run_of:?}: GitLab drops what shares a fingerprint"
        );
        // What is no pass leaves something to see.
        assert!(code == 0 || !entries.is_empty(), "{run_of:?}");
    }
}

/// The elements of a document, in order, each with its attributes; fails on
/// what is not well formed.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    loop {
        let at = rest.find('<').unwrap_or(rest.len());
        let (text, tail) = rest.split_at(at);
        let entities = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
        let entities = entities.replace("&quot;", "").replace("&apos;", "");
        assert!(!entities.contains(['&', '>']), "{text}");
        if tail.is_empty() {
            assert!(open.is_empty() && text.trim().is_empty());
            return found;
        }
        let end = tail.find('>').unwrap();
        let tag = &tail[1..end];
        rest = &tail[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut pairs = Vec::new();
        while !attributes.trim().is_empty() {
            let (key, tail) = attributes.split_once("=\"").unwrap();
            let (value, tail) = tail.split_once('"').unwrap();
            assert!(!value.contains('<'), "{value}");
            pairs.push((key.trim().to_owned(), value.to_owned()));
            attributes = tail;
        }
        found.push((name.to_owned(), pairs));
        if !closed {
            open.push(name.to_owned());
        }
    }
}

#[test]
fn junit_is_well_formed_and_counts_right() {
    for run_of in runs() {
        let (code, xml) = run(&strs(&run_of), "junit");
        let all = elements(&xml);
        let count = |name: &str| all.iter().filter(|(element, _)| element == name).count();
        let said = |name: &str| {
            let suite = &all.iter().find(|(element, _)| element == "testsuite").unwrap().1;
            suite.iter().find(|(key, _)| key == name).unwrap().1.parse::<usize>().unwrap()
        };
        assert_eq!(count("testcase"), said("tests"), "{run_of:?}");
        assert_eq!(count("skipped"), said("skipped"), "{run_of:?}");
        // Several failures may stand in one case.
        assert!(count("failure") >= said("failures"), "{run_of:?}");
        assert_eq!(said("failures") > 0, code == 1, "{run_of:?}");
        assert_eq!(said("errors") > 0, code == 3, "{run_of:?}");
    }
}

#[test]
fn github_annotations_come_worst_first() {
    let (_, text) = run(&["lock", "locks/eza-community+eza.lock"], "github");
    let lines: Vec<&str> = text.lines().collect();
    let rank = |line: &str| {
        ["::error ", "::warning ", "::notice "].iter().position(|one| line.starts_with(one))
    };
    let (last, rest) = lines.split_last().unwrap();
    assert!(last.starts_with("::error title=verify lock%3A fail::"), "{last}");
    let ranks: Vec<usize> = rest.iter().map(|line| rank(line).unwrap()).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    assert!(
        lines[0].starts_with(
            "::error file=locks/eza-community+eza.lock,line=43,endLine=43,col=16,endColumn=68,title=insecure-scheme%3A flake-utils::http://"
        ),
        "{}",
        lines[0]
    );
    assert!(lines[0].contains("%0A"));
}

#[test]
fn hostile_text_acts_on_no_reader() {
    let place = tempfile::tempdir().unwrap();
    let evil = r#"\u001b[31m\r\n::error::x\n<script>&\"'|`@all`[x](http://e) %0A \u202e \uffff"#;
    let text = format!(
        r#"{{"nodes":{{"a":{{"locked":{{"type":"github","owner":"{evil}","repo":"r","rev":"{evil}","{evil}":"x"}},
"original":{{"type":"github","owner":"o","repo":"r"}}}},"root":{{"inputs":{{"{evil}":"a"}}}}}},"root":"root","version":7}}"#
    );
    std::fs::write(place.path().join("flake.lock"), text).unwrap();
    for format in FORMATS {
        let file = place.path().join("flake.lock");
        let (code, out) = run(&["lock", file.to_str().unwrap()], format);
        assert_eq!(code, 1, "{format}");
        assert!(
            !out.contains(|c: char| (c < ' ' && c != '\n') || c == '\u{7f}' || c == '\u{202e}'),
            "{format}: {out}"
        );
        match format {
            "github" => {
                // Each line is a command of ours; none of theirs.
                assert!(out.lines().all(|line| line.starts_with("::")), "{out}");
                assert!(!out.lines().any(|line| line.starts_with("::error::x")), "{out}");
            }
            "junit" => drop(elements(&out)),
            "markdown" => {
                assert!(!out.contains("<script>") && !out.contains("@all"), "{out}");
                assert!(!out.contains("[x](http") && !out.contains("://"), "{out}");
            }
            "sarif" => drop(check(&schema("sarif-schema-2.1.0.json"), &out, "hostile")),
            "gitlab" => drop(check(&schema("gitlab-code-quality.json"), &out, "hostile")),
            _ => {}
        }
    }
}

#[test]
fn every_format_has_the_same_exit_code() {
    for run_of in [
        vec!["lock", "locks/numtide+devshell.lock"],
        vec!["lock", "locks/eza-community+eza.lock"],
        vec!["lock", "locks/numtide+devshell.lock", "--base", "lock/truncated.lock"],
        vec!["inspect", "nar/case.nar"],
    ] {
        let codes: BTreeSet<i32> = FORMATS.iter().map(|format| run(&run_of, format).0).collect();
        assert_eq!(codes.len(), 1, "{run_of:?}: {codes:?}");
        let zero: BTreeSet<i32> = FORMATS
            .iter()
            .map(|format| run(&[run_of.as_slice(), &["--exit-zero"]].concat(), format).0)
            .collect();
        assert_eq!(zero, BTreeSet::from([0]), "{run_of:?}");
    }
}
