//! The guides, followed word by word: every `console` block of `docs/guides/`
//! is typed into a shell, and what comes out has to be what the guide shows.
//!
//! A line `…` stands for any lines, `…` inside a line for any text. A command
//! that fails is followed by a line `[exit code N]`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const ANYTHING: &str = "…";

/// What readers have: a clone, as far as the guides use it.
const CLONE: [&str; 4] =
    ["tests/fixtures/quickstart", "tests/fixtures/locks", "policies", "docs/guides"];

/// Ends the output of a command; no program prints it.
const MARK: &str = "\u{1}ended ";

/// One command with what the guide says comes of it.
#[derive(Debug)]
struct Step {
    command: String,
    shown: Vec<String>,
    line: usize,
}

fn steps(guide: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for (at, line) in guide.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console";
            goes_on = false;
        } else if !inside {
        } else if goes_on {
            let last = steps.last_mut().unwrap();
            last.command.push('\n');
            last.command.push_str(line.strip_prefix("> ").unwrap_or(line));
            goes_on = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ") {
            let step = Step { command: command.to_owned(), shown: Vec::new(), line: at + 1 };
            steps.push(step);
            goes_on = line.ends_with('\\');
        } else {
            let last = steps.last_mut().expect("a block begins with a command");
            last.shown.push(line.trim_end().to_owned());
        }
    }
    steps
}

/// Types all commands into one shell; the output of each.
fn run(steps: &[Step], directory: &Path, home: &Path) -> Vec<Vec<String>> {
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        // A command that reads from standard input finds it empty.
        writeln!(script, "{{ {}\n}} < /dev/null; printf '\\n{MARK}%s\\n' $?", step.command)
            .unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_verify")).parent().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", program.display());
    let output = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs([("PATH", path.as_str()), ("LC_ALL", "C.UTF-8"), ("COLUMNS", "80")])
        .envs([("HOME", home), ("TMPDIR", home)])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut outputs = vec![Vec::new()];
    for line in text.lines() {
        let last = outputs.last_mut().unwrap();
        match line.strip_prefix(MARK) {
            None => last.push(line.trim_end().to_owned()),
            Some(code) => {
                while last.last().is_some_and(String::is_empty) {
                    last.pop();
                }
                if code != "0" {
                    last.push(format!("[exit code {code}]"));
                }
                outputs.push(Vec::new());
            }
        }
    }
    outputs.truncate(steps.len());
    outputs
}

/// Whether a line is as shown.
fn is_like(line: &str, shown: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether an output is as shown.
fn are_like(output: &[String], shown: &[String]) -> bool {
    match (output.split_first(), shown.split_first()) {
        (_, Some((first, others))) if first.trim() == ANYTHING => {
            (0..=output.len()).any(|skipped| are_like(&output[skipped..], others))
        }
        (None, None) => true,
        (Some((line, lines)), Some((first, others))) => {
            is_like(line, first) && are_like(lines, others)
        }
        _ => false,
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in from.read_dir().unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.exists() {
        std::fs::copy(from, to).unwrap();
    }
}

fn follow(name: &str) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().unwrap();
    let (clone, home) = (place.path().join("verify"), place.path().join("home"));
    std::fs::create_dir(&home).unwrap();
    for part in CLONE {
        copy(&project.join(part), &clone.join(part));
    }
    let guide = std::fs::read_to_string(project.join("docs/guides").join(name)).unwrap();
    let steps = steps(&guide);
    assert!(!steps.is_empty());
    let mut wrong = String::new();
    for (step, output) in steps.iter().zip(run(&steps, &clone, &home)) {
        let mut shown = step.shown.clone();
        while shown.last().is_some_and(String::is_empty) {
            shown.pop();
        }
        if !are_like(&output, &shown) {
            let Step { command, line, .. } = step;
            writeln!(wrong, "docs/guides/{name}:{line}: $ {command}\n{}\n", output.join("\n"))
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "what comes out is not what is shown:\n\n{wrong}");
}

#[test]
fn auditors() {
    follow("auditors.md");
}

#[test]
fn continuous_integration() {
    follow("ci.md");
}

#[test]
fn compliance() {
    follow("compliance.md");
}

#[test]
fn every_guide_is_followed() {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides");
    let mut names: Vec<_> =
        guides.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["auditors.md", "ci.md", "compliance.md"]);
}

#[test]
fn what_is_shown_is_held_to_every_line() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (output, shown, like) in [
        ("a\nb\nc", "a\nb\nc", true),
        ("a\nb\nc", "a\n…\nc", true),
        ("a\nc", "a\n…\nc", true),
        ("a\nb", "a", false),
        ("a", "a\nb", false),
        ("a\nb\nd", "a\n…\nc", false),
        ("one 12 two", "one … two", true),
        ("one 12 three", "one … two", false),
    ] {
        assert_eq!(are_like(&lines(output), &lines(shown)), like, "{output:?} {shown:?}");
    }
}
