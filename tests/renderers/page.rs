//! `verify report`: what stands on a page, and what never may.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::{fixtures, run, runs};

/// Largest page of five thousand components.
const MAX_PAGE: usize = 3 << 20;

fn report(directory: &Path, files: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verify"))
        .arg("report")
        .args(files)
        .env_clear()
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The page of some reports or bills.
fn page(sheets: &[Value]) -> String {
    let place = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..sheets.len()).map(|at| format!("{at}.json")).collect();
    for (name, sheet) in names.iter().zip(sheets) {
        std::fs::write(place.path().join(name), sheet.to_string()).unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let output = report(place.path(), &names);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

/// A report by hand; `text` stands wherever a report has text from its input.
fn envelope(command: &str, text: &str, subjects: usize) -> Value {
    let path = |at: usize| format!("/nix/store/{at:032}-{text}{at}");
    json!({
        "format": "nix-verify-report", "version": 1, "tool": { "name": text, "version": text },
        "command": command,
        "verdict": { "result": "fail", "exit_code": 1, "fail_on": "error", "sentence": text },
        "subjects": (0..subjects).map(|at| json!({
            "id": path(at), "verdict": "pass", "status": "reproduced"
        })).collect::<Vec<_>>(),
        "facts": {
            "world": text, "remarks": [text],
            "derivations": [{
                "drv_path": path(1), "reads": [path(2)], "fixed_output": false,
                "outputs": { text: { "path": path(0), "claims": [{
                    "location": text,
                    "differences": [{ "class": text, "hint": text, "notes": [text], "entries": [{
                        "path": text,
                        "clues": [{ "class": text, "what": text, "place": text, "claimed": text, "ours": text }]
                    }] }]
                }] } }
            }, { "drv_path": path(2), "reads": [], "outputs": {} }],
            "sources": [{ "name": text, "operator": text }],
            "paths": [{ "path": path(3), "verdict": "fail", "status": text, "versions": [{
                "claims": [{ "source": 0, "trust": text, "keys": [text] }]
            }] }],
            "inputs": [{ "input": text, "original": text, "rev": text, "nar_hash": text, "last_modified": text }],
            "changes": [{ "input": text, "change": text, "verdict": "fail",
                "from": { "locked": text, "rev": text, "last_modified": text }, "to": null }],
            "suppressed": [{ "rule": text, "input": text, "message": text, "reason": text }],
        },
        "findings": [{
            "rule": "output-differs", "level": "error", "subject": text, "message": text,
            "evidence": [{ "label": text, "value": text }], "summary": text, "remedy": text,
            "location": { "file": text, "line": 1, "column": 2 }, "repair": text
        }],
        "coverage": { "asked": 1, "answered": 1,
            "inconclusive": [{ "subject": text, "check": text, "reason": text, "detail": text }],
            "not_run": [{ "check": text, "because": text }] },
        "troubles": [{ "message": text, "causes": [text] }],
        "run": { "started": text, "milliseconds": 1, "process": 1, "arguments": [text] },
    })
}

fn bill(components: usize, text: &str) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.7",
        "metadata": { "timestamp": text, "component": { "name": text, "version": "1" } },
        "components": (0..components).map(|at| json!({
            "type": "library", "name": format!("component{text}{at}"), "version": format!("1.{at}"),
            "purl": format!("pkg:nix/nixpkgs/component{at}@1.{at}"),
            "licenses": [{ "license": { "id": "MIT" } }],
            "properties": [{ "name": "nix:store_path", "value": format!("/nix/store/{at:032}-component{at}") }],
        })).collect::<Vec<_>>(),
    })
}

/// What makes a browser act.
fn assert_inert(page: &str) {
    for (part, times) in [("<script", 1), ("</script", 1), ("<style", 1), ("</style", 1)] {
        assert_eq!(page.matches(part).count(), times, "{part}");
    }
    for part in
        ["<img", "<iframe", "<link", "<object", " src=", "href=\"http", "javascript:", "\u{1b}"]
    {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("default-src 'none'"), "no policy");
    assert!(!page.contains(" onerror=\"") && !page.contains(" style=\""), "an attribute that acts");
}

#[test]
fn reports_of_every_kind_come_onto_one_page() {
    let mut sheets = Vec::new();
    for arguments in runs() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        sheets.push(serde_json::from_str(&run(&arguments, "json").1).unwrap());
    }
    sheets.truncate(120);
    assert!(sheets.len() > 50);
    let shown = page(&sheets);
    assert_inert(&shown);
    for sheet in &sheets {
        for finding in sheet["findings"].as_array().unwrap() {
            assert!(shown.contains(finding["rule"].as_str().unwrap()));
        }
    }
    assert_eq!(page(&sheets), shown);
}

#[test]
fn text_from_reports_never_acts() {
    let text = "</style></script><script>alert(1)</script>\u{1b}[31m\u{202e}<img src=x onerror='a'>\"' style=\"x";
    let commands = ["rebuild", "cache", "lock", text];
    let mut sheets: Vec<Value> =
        commands.iter().map(|command| envelope(command, text, 2)).collect();
    sheets.push(bill(3, text));
    let shown = page(&sheets);
    assert_eq!(shown.matches("<script").count(), 1);
    assert_eq!(shown.matches("<img").count(), 0);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
    assert!(shown.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn five_thousand_components_stay_small() {
    let shown = page(&[envelope("rebuild", "x", 5_000), bill(5_000, "")]);
    assert_inert(&shown);
    assert!(shown.contains("component4999") && shown.contains("-x4999"));
    assert!(shown.len() < MAX_PAGE, "{} bytes", shown.len());
}

#[test]
fn what_is_no_report_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let mut other = envelope("rebuild", "x", 0);
    other["version"] = json!(2);
    let mut lacking = envelope("rebuild", "x", 0);
    lacking.as_object_mut().unwrap().remove("coverage");
    for (name, content, says) in [
        ("other.json", other.to_string(), "version 2"),
        ("lacking.json", lacking.to_string(), "coverage"),
        ("text.json", "hello".to_owned(), "neither a report"),
        ("deep.json", "[".repeat(100_000), "neither a report"),
    ] {
        std::fs::write(place.path().join(name), content).unwrap();
        let output = report(place.path(), &[name]);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {err}");
        assert!(err.contains(says) && err.contains(name), "{name}: {err}");
        assert!(output.stdout.is_empty());
    }
    let output = report(&fixtures(), &["lock/nowhere.json"]);
    assert_eq!(output.status.code(), Some(2));
}
