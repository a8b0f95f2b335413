//! One command for a project: a real flake, evaluated and built by Nix.

use std::process::Command;

use serde_json::Value;

use super::scene::Scene;

const FLAKE: &str = r#"
{
  inputs.words.url = "path:./words";
  inputs.words.flake = false;
  outputs = { self, words }: {
    packages.x86_64-linux.default = derivation {
      name = "letter";
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" "read word < ${words}/word; echo dear $word > $out" ];
    };
  };
}
"#;

const POLICY: &str = r#"
format = 1
name = "project"
description = "what this project keeps to"

[[rule]]
id = "locked"
scope = "lock"
reason = "what is not locked changes by itself"
locked = true

[[rule]]
id = "served"
scope = "cache"
reason = "what is served is signed"
require = 'path.verdict == "pass"'

[[rule]]
id = "rebuilt"
scope = "rebuild"
reason = "what is served is what the sources give"
reproduced-percent = 100

[[rule]]
id = "listed"
scope = "build"
reason = "what is built from is known by its content"
require = 'component.nar_hash != ""'
"#;

/// A project, locked and built by Nix, its output signed and in a cache.
fn project() -> Scene {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("project/words")).unwrap();
    scene.write("project/words/word", "reader\n");
    scene.write(
        "project/flake.nix",
        FLAKE.replace("./words", &scene.path("project/words").display().to_string()),
    );
    scene.write("policy.toml", POLICY);
    let nix = |arguments: &[&str]| {
        let store = format!("local?root={}", scene.path("root").display());
        let done = Command::new("nix")
            .args(["--extra-experimental-features", "nix-command flakes", "--store", &store])
            .args(["--option", "substituters", "", "--option", "build-users-group", ""])
            .args(["--option", "sandbox-paths", "/bin/sh=/bin/busybox"])
            .args(arguments)
            .env("HOME", scene.path("home"))
            .current_dir(scene.path(""))
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let flake = format!("path:{}", scene.path("project").display());
    nix(&["build", "--no-link", &flake]);
    let keys = ["key", "generate-secret", "--key-name", "cache-1"];
    scene.write("secret", nix(&keys));
    let cache = format!(
        "file://{}/cache?secret-key={}",
        scene.path("").display(),
        scene.path("secret").display()
    );
    nix(&["copy", "--to", &cache, &flake]);
    let public = Command::new("sh")
        .args([
            "-c",
            "nix --extra-experimental-features nix-command key convert-secret-to-public < secret",
        ])
        .current_dir(scene.path(""))
        .output()
        .unwrap();
    scene.write("keys.txt", public.stdout);
    scene
}

#[track_caller]
fn all(scene: &Scene, more: &[&str]) -> (i32, Value) {
    let store = format!("--local-store={}", scene.path("root").display());
    let cache = format!("file://{}", scene.path("cache").display());
    let project = scene.path("project");
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command
        .args(["all", project.to_str().unwrap(), "--trusted-keys-file", "keys.txt", &store])
        .args(["--cache", &cache, "--state-dir", "state", "--report-dir", "reports"])
        .args(["--format", "json"])
        .args(more)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", scene.path("home"))
        .current_dir(scene.path(""));
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    super::schema::check(&report, "the report");
    (output.status.code().unwrap(), report)
}

fn status<'r>(report: &'r Value, part: &str) -> &'r str {
    let parts = report["facts"]["parts"].as_array().unwrap();
    parts.iter().find(|one| one["part"] == part).map_or("", |one| one["status"].as_str().unwrap())
}

#[test]
fn a_real_flake_has_one_verdict() {
    let scene = project();
    let (code, report) = all(&scene, &["--rebuild", "--contents", "--policy", "policy.toml"]);
    assert_eq!(status(&report, "policy"), "pass", "{report:#}");
    assert_eq!(report["facts"]["rules"].as_array().unwrap().len(), 4);
    for part in ["lock", "cache", "rebuild"] {
        assert_eq!(status(&report, part), "pass", "{report:#}");
        let kept: Value =
            serde_json::from_str(&scene.read(&format!("reports/{part}.json"))).unwrap();
        super::schema::check(&kept, "the report");
        assert_eq!(kept["command"], part);
        assert_eq!(kept["verdict"]["result"], "pass");
    }
    assert_eq!(status(&report, "sbom export"), "pass", "{report:#}");
    let bill: Value = serde_json::from_str(&scene.read("reports/bill.cdx.json")).unwrap();
    let names = bill["components"].as_array().unwrap().iter().map(|one| &one["name"]);
    assert!(names.chain([&bill["metadata"]["component"]["name"]]).any(|name| name == "letter"));
    // What the parts before have found stands beside what it is about.
    for status in ["verify:rebuild:status", "verify:cache:status"] {
        let properties = &bill["metadata"]["component"]["properties"];
        assert!(properties.to_string().contains(status), "{status}: {properties}");
    }
    assert_eq!(code, 0, "{report:#}");
    let left_out = report["coverage"]["not_run"].as_array().unwrap();
    assert!(left_out.iter().any(|one| one["check"] == "sbom check"), "{report:#}");

    // What comes with the program is about what runs, of which a bill is made.
    let (code, report) = all(&scene, &["--contents", "--policy", "baseline"]);
    assert_eq!((code, status(&report, "policy")), (0, "pass"), "{report:#}");
    assert_eq!(status(&report, "sbom export runtime"), "pass", "{report:#}");
    let bill: Value = serde_json::from_str(&scene.read("reports/runtime-bill.cdx.json")).unwrap();
    assert_eq!(bill["metadata"]["properties"][0]["value"], "runtime");

    // A policy that asks for a rebuild is not met without one.
    let (code, report) = all(&scene, &["--policy", "policy.toml"]);
    assert_eq!(code, 1);
    assert_eq!((status(&report, "cache"), status(&report, "policy")), ("pass", "fail"));

    // A part that fails keeps no other from its work.
    let (code, report) = all(&scene, &["--base", "no-such-revision"]);
    assert_eq!(code, 2, "{report:#}");
    assert_eq!((status(&report, "lock"), status(&report, "cache")), ("trouble", "pass"));

    // A cache that serves something else.
    let cache = scene.path("cache");
    let nar = cache.join("nar").read_dir().unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&nar).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&nar, bytes).unwrap();
    let (code, report) = all(&scene, &["--contents"]);
    assert_eq!((code, status(&report, "cache")), (1, "fail"), "{report:#}");

    // Without its lock there is nothing to hold inputs to.
    std::fs::remove_file(scene.path("project/flake.lock")).unwrap();
    let (code, report) = all(&scene, &[]);
    assert_eq!(status(&report, "lock"), "inconclusive", "{report:#}");
    assert_ne!(code, 0);
}

#[test]
fn a_directory_that_is_no_project_is_misuse() {
    let scene = Scene::new();
    let ran = scene.verify(&["all", "."]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no project"), "{}", ran.err);
    assert!(!scene.path("verify-reports").exists());
}
