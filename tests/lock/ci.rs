//! The pieces for CI as they are shipped: the shell of the GitHub Action, the
//! GitLab snippet of the manual, and the entry of the pre-commit hook, each run
//! over a repository whose last commit is a bad one.

use super::forged::git;
use super::*;

/// A pair of real locks: a good update, and a revision without its hash.
const GOOD: &str = "NixOS+infra@226abe34";
const BAD: &str = "input-output-hk+iohk-nix@fdfc53bc";

/// A repository with the base's lock committed and then the head's.
fn project(pair: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    git(place.path(), &["init", "-q", "-b", "main"]);
    for side in ["base", "head"] {
        let lock = locks().join("pairs").join(format!("{pair}.{side}.lock"));
        std::fs::copy(lock, place.path().join("flake.lock")).unwrap();
        git(place.path(), &["add", "flake.lock"]);
        git(place.path(), &["commit", "-q", "-m", side]);
    }
    place
}

/// Runs a script with the real binary in its path.
fn script(shell: &str, text: &str, place: &Path, variables: &[(&str, &str)]) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_verify")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    command.args(["-e", "-c", text]).current_dir(place).env_clear();
    command.env("PATH", path).envs(variables.iter().copied());
    Ran::of(command)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_steps_of_the_action_gate_annotate_and_summarise() {
    let action = file("action.yml");
    let (_, step) = action.rsplit_once("run: |\n").unwrap();
    let step: String = step.lines().map(|line| format!("{}\n", line.trim())).collect();
    for (pair, code) in [(BAD, 1), (GOOD, 0)] {
        let place = project(pair);
        let summary = place.path().join("summary.md");
        let variables = [
            ("BIN", env!("CARGO_BIN_EXE_verify")),
            ("LOCK", "."),
            ("BASE", "HEAD^1"),
            ("FAIL_ON", "error"),
            ("SARIF", "lock.sarif"),
            ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ];
        let ran = script("bash", &step, place.path(), &variables);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{pair}");
        let annotations = ran.out;
        let bad = annotations.starts_with("::error file=flake.lock,line=");
        assert_eq!(bad, code == 1, "{annotations}");
        let summary = std::fs::read_to_string(summary).unwrap();
        assert_eq!(summary.contains("narhash-not-updated"), code == 1, "{summary}");
        let sarif = std::fs::read(place.path().join("lock.sarif")).unwrap();
        let sarif: Value = serde_json::from_slice(&sarif).unwrap();
        assert_eq!(sarif["version"], "2.1.0");
        let help = sarif["runs"][0]["tool"]["driver"]["rules"][0]["helpUri"].as_str();
        assert!(help.is_none_or(|page| page.starts_with("https://") && page.ends_with(".md")));
        assert!(help.is_some() || code == 0, "{sarif:#}");
    }
}

#[test]
fn the_gitlab_snippet_writes_its_report_and_gates() {
    let manual = file("docs/lock.md");
    let lines: Vec<&str> =
        manual.lines().filter_map(|line| line.trim().strip_prefix("- verify lock ")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let text: String = lines.iter().map(|line| format!("verify lock {line}\n")).collect();
    for (pair, code) in [(BAD, 1), (GOOD, 0)] {
        let place = project(pair);
        let base = git(place.path(), &["rev-parse", "HEAD^1"]);
        let variables = [("CI_MERGE_REQUEST_DIFF_BASE_SHA", base.as_str())];
        let ran = script("sh", &text, place.path(), &variables);
        assert_eq!(ran.code, code, "{}", ran.err);
        let report = std::fs::read(place.path().join("gl-code-quality.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let named = report.as_array().unwrap().iter();
        let bad =
            named.filter(|one| one["check_name"].as_str().unwrap().contains("narhash")).count();
        assert_eq!(bad, usize::from(code == 1), "{report:#}");
    }
}

#[test]
fn the_hook_judges_each_lock_against_the_last_commit() {
    let hooks = file(".pre-commit-hooks.yaml");
    let entry = hooks.lines().find_map(|line| line.trim().strip_prefix("entry: ")).unwrap();
    for (pair, code) in [(BAD, 1), (GOOD, 0)] {
        let place = project(pair);
        // As before a commit: the head's lock stands in the work tree.
        git(place.path(), &["reset", "-q", "--soft", "HEAD^1"]);
        let text = format!("{entry} flake.lock");
        let ran = script("sh", &text, place.path(), &[]);
        assert_eq!(ran.code, code, "{}", ran.err);
        // The worst of several counts, wherever it stands.
        std::fs::create_dir(place.path().join("sub")).unwrap();
        std::fs::write(place.path().join("sub/flake.lock"), "{").unwrap();
        let text = format!("{entry} sub/flake.lock flake.lock");
        assert_eq!(script("sh", &text, place.path(), &[]).code, 1);
    }
}
