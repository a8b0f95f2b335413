//! The forged lock: a genuine owner and revision with a foreign narHash. Nix
//! evaluates the foreign tree and reports the genuine revision.

use super::*;

/// A repository with two commits, and what its lock says.
struct Upstream {
    place: tempfile::TempDir,
    rev: String,
    date: i64,
}

pub(super) fn git(directory: &Path, arguments: &[&str]) -> String {
    let ran = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

impl Upstream {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        git(path, &["init", "-q", "-b", "main"]);
        for text in ["one\n", "two\n"] {
            std::fs::write(path.join("file"), text).unwrap();
            git(path, &["add", "-A"]);
            git(path, &["commit", "-q", "-m", text.trim()]);
        }
        let rev = git(path, &["rev-parse", "HEAD"]);
        let date = git(path, &["log", "-1", "--format=%ct"]).parse().unwrap();
        Self { place, rev, date }
    }

    fn lock(&self, rev: &str, hash: &str) -> String {
        format!(
            r#"{{"nodes":{{"a":{{"locked":{{"type":"github","owner":"o","repo":"r","rev":"{rev}",
"narHash":"{hash}","lastModified":{}}},
"original":{{"type":"github","owner":"o","repo":"r","ref":"main"}}}},
"root":{{"inputs":{{"a":"a"}}}}}},"root":"root","version":7}}"#,
            self.date
        )
    }

    fn mirror(&self) -> String {
        format!("github:o/r={}", self.place.path().display())
    }
}

/// A hash of another tree.
const FOREIGN: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

#[test]
fn a_clone_refutes_it_and_proves_the_genuine_one() {
    let upstream = Upstream::new();
    let mirror = upstream.mirror();
    // The clock of the tests is fixed; the commits are of now.
    let now = format!("@{}", upstream.date);
    let arguments = ["--mirror", mirror.as_str(), "--now", now.as_str()];
    let place = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        std::fs::write(place.path().join("flake.lock"), text).unwrap();
        let all = [&["lock", "--format", "json"], &arguments[..]].concat();
        let ran = verify(place.path(), &all);
        assert_eq!(ran.err, "");
        let report = ran.json();
        (ran.code, report)
    };
    let (code, report) = run(&upstream.lock(&upstream.rev, FOREIGN));
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(found(&report, "error"), ["nar-hash-not-of-rev a:2"], "{report:#}");
    let evidence = report["findings"][0]["evidence"].as_array().unwrap();
    let genuine = evidence.iter().find(|one| one["label"] == "found").unwrap();
    let genuine = genuine["value"].as_str().unwrap();
    assert!(genuine.starts_with("sha256-") && genuine != FOREIGN, "{genuine}");

    let (code, report) = run(&upstream.lock(&upstream.rev, genuine));
    assert!(found(&report, "error").is_empty(), "{report:#}");
    assert_eq!(report["facts"]["inputs"][0]["evidence"]["nar_hash"], "proven", "{report:#}");
    assert_eq!(report["facts"]["inputs"][0]["evidence"]["on_ref"], "proven", "{report:#}");
    assert_eq!(report["facts"]["inputs"][0]["evidence"]["last_modified"], "proven", "{report:#}");
    assert_eq!(code, 0, "{report:#}");

    // A revision that the clone does not have is unknown, not a pass.
    let (code, report) = run(&upstream.lock(&"1".repeat(40), genuine));
    assert_eq!(code, 3, "{report:#}");
}

#[test]
fn the_change_gives_it_away_without_a_clone() {
    let upstream = Upstream::new();
    let genuine = "sha256-9P1FziAwl5+3edkfFcr5HeGtQUtrSdk/MksX39GieoA=";
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("base.lock"), upstream.lock(&upstream.rev, genuine)).unwrap();
    std::fs::write(place.path().join("flake.lock"), upstream.lock(&upstream.rev, FOREIGN)).unwrap();
    let (code, report) = audit(place.path(), &["--base", "base.lock"]);
    assert_eq!(code, 1);
    assert_eq!(found(&report, "error"), ["narhash-changed-same-rev a:2"], "{report:#}");
}

#[test]
fn a_change_cannot_bring_its_own_signers() {
    let project = tempfile::tempdir().unwrap();
    let upstream = Upstream::new();
    let lock = upstream.lock(&upstream.rev, FOREIGN);
    git(project.path(), &["init", "-q", "-b", "main"]);
    std::fs::write(project.path().join("flake.lock"), lock).unwrap();
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["commit", "-q", "-m", "x"]);
    std::fs::write(project.path().join("signers"), "me ssh-ed25519 AAAA\n").unwrap();
    let mirror = upstream.mirror();
    let ran = verify(
        project.path(),
        &["lock", "--base", "HEAD", "--mirror", &mirror, "--allowed-signers", "signers"],
    );
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("cannot bring its own"), "{}", ran.err);
}

#[test]
fn required_signers_without_a_clone_are_open() {
    let place = tempfile::tempdir().unwrap();
    let upstream = Upstream::new();
    std::fs::write(place.path().join("flake.lock"), upstream.lock(&upstream.rev, FOREIGN)).unwrap();
    std::fs::write(
        place.path().join(".verify.toml"),
        "[lock.inputs.a]\nrequired-signers = [\"me\"]\n",
    )
    .unwrap();
    let now = format!("@{}", upstream.date);
    let ran = verify(place.path(), &["lock", "--now", &now, "--format", "json"]);
    let report = ran.json();
    assert_eq!(ran.code, 3, "{report:#}");
    assert_eq!(report["coverage"]["inconclusive"][0]["check"], "missing-signer");
}
