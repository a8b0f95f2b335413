//! The base out of a git revision, and the configuration that comes with it.

use super::*;

/// A repository with a lock and its configuration.
struct Project(tempfile::TempDir);

const FORKED: &str = r#"{"nodes":{"nixpkgs":{"locked":{"type":"github","owner":"me","repo":"nixpkgs",
"rev":"1111111111111111111111111111111111111111","narHash":"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
"lastModified":1786000000},"original":{"type":"github","owner":"me","repo":"nixpkgs"}},
"root":{"inputs":{"nixpkgs":"nixpkgs"}}},"root":"root","version":7}"#;

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.git(&["init", "-q", "-b", "main"]);
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) {
        let ran = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    }
}

#[test]
fn the_base_is_read_from_a_revision() {
    let project = Project::new();
    project.write("sub/flake.lock", FORKED);
    project.commit();
    project.write(
        "sub/flake.lock",
        &FORKED.replace(
            "\"owner\":\"me\",\"repo\":\"nixpkgs\",\n",
            "\"owner\":\"evil\",\"repo\":\"nixpkgs\",\n",
        ),
    );
    for (directory, file) in
        [("", "sub"), ("", "sub/flake.lock"), ("sub", "flake.lock"), ("sub", ".")]
    {
        let (code, report) = audit(&project.path().join(directory), &[file, "--base", "HEAD"]);
        assert_eq!(code, 1, "{report:#}");
        assert!(rules(&report).contains(&"source-swapped"), "{directory} {file}: {report:#}");
        assert_eq!(report["facts"]["base"]["kind"], "revision");
    }
    // A revision from before the lock was there.
    project.commit();
    project.write("other/flake.lock", FORKED);
    let (code, report) = audit(project.path(), &["other", "--base", "HEAD"]);
    assert_eq!((code, &report["facts"]["base"]["has_lock"]), (0, &Value::Bool(false)));
}

#[test]
fn a_base_that_is_none_is_a_usage_error() {
    let project = Project::new();
    project.write("flake.lock", FORKED);
    project.commit();
    for base in ["no-such-branch", "HEAD~5", "missing.lock"] {
        let ran = verify(project.path(), &["lock", "--base", base]);
        assert_eq!(ran.code, 2, "{base}");
        assert!(ran.err.contains(base), "{}", ran.err);
    }
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("flake.lock"), FORKED).unwrap();
    let ran = verify(outside.path(), &["lock", "--base", "HEAD"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(verify(outside.path(), &["lock", "none.lock"]).code == 2);
}

#[test]
fn a_base_that_cannot_be_read_leaves_the_change_open() {
    let project = Project::new();
    project.write("flake.lock", "{");
    project.commit();
    project.write("flake.lock", FORKED);
    let (code, report) = audit(project.path(), &["--base", "HEAD"]);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(report["coverage"]["inconclusive"][0]["check"], "what the change does");
}

const SUPPRESS: &str =
    "[[lock.suppress]]\nrule = \"forked-input\"\ninput = \"nixpkgs\"\nreason = \"our patch\"\n";

#[test]
fn a_change_cannot_silence_its_own_judge() {
    let project = Project::new();
    project.write("flake.lock", FORKED);
    project.write(".verify.toml", "[lock]\nallowed-owners = [\"NixOS\"]\n");
    project.commit();
    // Without a base, the configuration beside the lock counts.
    let (code, report) = audit(project.path(), &[]);
    assert_eq!(code, 1, "{report:#}");
    assert!(rules(&report).contains(&"owner-not-allowed"));
    // The change allows itself everything.
    project.write(".verify.toml", SUPPRESS);
    let (code, report) = audit(project.path(), &["--base", "HEAD"]);
    assert_eq!(code, 1, "{report:#}");
    assert!(rules(&report).contains(&"owner-not-allowed"), "{report:#}");
    assert!(rules(&report).contains(&"config-not-used"), "{report:#}");
    assert!(rules(&report).contains(&"forked-input"), "{report:#}");
    assert_eq!(report["facts"]["config"]["from"], "base");
    // A new one is reported and not used.
    project.git(&["rm", "-q", "--cached", ".verify.toml"]);
    project.commit();
    project.git(&["reset", "-q", "HEAD"]);
    let first = Project::new();
    first.write("flake.lock", FORKED);
    first.commit();
    first.write(".verify.toml", SUPPRESS);
    let (_, report) = audit(first.path(), &["--base", "HEAD"]);
    assert!(rules(&report).contains(&"config-not-used"), "{report:#}");
    assert!(rules(&report).contains(&"forked-input"), "{report:#}");
    // With a file as base none counts but a named one.
    first.write("base.lock", FORKED);
    let (_, report) = audit(first.path(), &["--base", "base.lock"]);
    assert!(rules(&report).contains(&"config-not-used"), "{report:#}");
    let (_, report) = audit(first.path(), &["--base", "base.lock", "--config", ".verify.toml"]);
    assert_eq!(rules(&report), [] as [&str; 0], "{report:#}");
    assert_eq!(report["facts"]["suppressed"][0]["reason"], "our patch");
    assert_eq!(report["facts"]["config"]["from"], "option");
}

#[test]
fn what_is_allowed_is_held_against_the_lock() {
    for (config, rule) in [
        ("[lock]\nallowed-hosts = [\"gitlab.com\"]\n", Some("host-not-allowed")),
        ("[lock]\nallowed-hosts = [\"github.com\"]\n", None),
        ("[lock]\nallowed-hosts = [\"*\"]\n", None),
        ("[lock]\nallowed-owners = [\"NixOS\", \"gitlab.com/me\"]\n", Some("owner-not-allowed")),
        ("[lock]\nallowed-owners = [\"GitHub.com/ME\"]\n", None),
        ("[lock]\nallowed-refs = [\"main\"]\n", Some("ref-not-allowed")),
        ("[lock.inputs.nixpkgs]\nmax-age-days = 5\n", Some("stale-input")),
        ("[lock.inputs.nixpkgs]\nmax-age-days = 500\n", None),
        ("[lock.inputs.other]\nmax-age-days = 5\n", None),
        (
            "[[lock.suppress]]\nrule = \"forked-input\"\ninput = \"n*\"\nreason = \"r\"\nexpires = \"2026-08-21\"\n",
            Some("expired-suppression"),
        ),
        (
            "[[lock.suppress]]\nrule = \"forked-input\"\ninput = \"x\"\nreason = \"r\"\n",
            Some("unused-suppression"),
        ),
    ] {
        let project = Project::new();
        project.write("flake.lock", FORKED);
        project.write(".verify.toml", config);
        let (code, report) = audit(project.path(), &[]);
        let here: Vec<&str> =
            rules(&report).into_iter().filter(|one| *one != "forked-input").collect();
        assert_eq!(here, rule.into_iter().collect::<Vec<_>>(), "{config}: {report:#}");
        assert_eq!(code, i32::from(!found(&report, "error").is_empty()));
    }
    let project = Project::new();
    project.write("flake.lock", FORKED);
    project.write(".verify.toml", "[lock]\nalowed-hosts = []\n");
    let ran = verify(project.path(), &["lock"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("alowed-hosts"), "{}", ran.err);
}
