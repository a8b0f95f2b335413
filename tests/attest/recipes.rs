//! The recipes of `docs/gate.md`, as they stand there, with real Nix and git.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::gate::{LETTER, scene as installed};
use super::scene::{DATED, Scene, key};

/// The first block of the page in that language that holds a text.
fn block(language: &str, holds: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gate.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .find(|block| block.contains(holds))
        .unwrap_or_else(|| panic!("no block has '{holds}'"))
}

/// The script in a block of Nix.
fn script(block: &str) -> &str {
    block.split("''").nth(1).unwrap()
}

/// A text with something put in the place of what has to be there.
#[track_caller]
fn put(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "'{from}' is not in:\n{text}");
    text.replace(from, to)
}

/// The program, without what only debuggers want.
fn program(scene: &Scene, name: &str) -> PathBuf {
    let copy = scene.path(name);
    let done = Command::new("strip")
        .args(["-o", copy.to_str().unwrap(), env!("CARGO_BIN_EXE_verify")])
        .status();
    if !done.is_ok_and(|status| status.success()) {
        std::fs::copy(env!("CARGO_BIN_EXE_verify"), &copy).unwrap();
    }
    copy
}

/// Runs Nix, with a sandbox that has the libraries the program is linked against.
fn nix(scene: &Scene, arguments: &[&str]) -> (bool, String) {
    let store = format!("local?root={}", scene.path("root").display());
    let done = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "--store", &store])
        .args(["--option", "substituters", "", "--option", "build-users-group", ""])
        .args(["--option", "sandbox", "true", "--option", "sandbox-fallback", "false"])
        .args(["--option", "sandbox-paths", "/bin/sh=/bin/busybox /lib64 /lib /usr/lib"])
        .args(arguments)
        .env("HOME", scene.path("home"))
        .current_dir(scene.path(""))
        .output()
        .unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

const LOCKED: &str = r#"
format = 1
name = "locked"
description = "what a lock has to be"

[[rule]]
id = "locked"
scope = "lock"
reason = "what is not locked changes by itself"
locked = true
"#;

#[test]
fn a_flake_checks_its_lock_inside_the_sandbox() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("project/words")).unwrap();
    scene.write("project/words/word", "reader\n");
    program(&scene, "project/verify");
    let recipe = block("nix", "checks.x86_64-linux");
    let script = put(script(&recipe), "\n  verify lock", "\n  ${./verify} lock");
    let script = put(&script, "touch $out", "echo checked > $out");
    scene.write(
        "project/flake.nix",
        format!(
            r#"{{
  inputs.words.url = "path:{}";
  inputs.words.flake = false;
  outputs = {{ self, words }}: {{
    checks.x86_64-linux.supply-chain = derivation {{
      name = "supply-chain";
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-euc" ''{script}'' ];
    }};
  }};
}}
"#,
            scene.path("project/words").display()
        ),
    );
    let check = || {
        let flake = format!("path:{}", scene.path("project").display());
        nix(&scene, &["flake", "check", "--print-build-logs", &flake])
    };
    scene.write("project/locked.toml", LOCKED);
    let (good, said) = check();
    assert!(good && said.contains("PASS"), "{said}");
    // The same with a rule that is not met.
    let owners = LOCKED.replace("locked = true", "allowed-owners = [\"nobody\"]");
    scene.write("project/locked.toml", owners);
    let (good, said) = check();
    assert!(!good && said.contains("policy-unknown"), "{said}");
    // And with a policy that asks for what is not here.
    let more = LOCKED.replace("\"lock\"", "\"cache\"").replace("locked = true", "keys = 1");
    scene.write("project/locked.toml", more);
    let (good, said) = check();
    assert!(!good && said.contains("missing-evidence"), "{said}");
}

#[test]
fn an_activation_waits_for_the_gate() {
    let scene = installed();
    scene.write("keys.txt", key("ci-1", 1).public_key().to_string());
    scene.write("deployed.toml", block("toml", "name = \"deployed\""));
    let recipe = block("nix", "deploy.nodes");
    let mut text = script(&recipe).to_owned();
    let evidence = scene.path("evidence");
    for (from, to) in [
        ("${verify}/bin/verify", env!("CARGO_BIN_EXE_verify")),
        ("${./deployed.toml}", "deployed.toml"),
        ("${./keys.txt}", "keys.txt"),
        ("/var/lib/attestations", evidence.to_str().unwrap()),
        ("gate \"$PROFILE\"", "gate \"$PROFILE\" --local-store=root"),
        ("\"$PROFILE/bin/switch-to-configuration\" switch", "touch activated\n"),
    ] {
        text = put(&text, from, to);
    }
    // As deploy-rs runs it, and without its 'set -e'.
    for strict in ["set -euo pipefail\n", ""] {
        scene.write("activate", format!("#!/bin/bash\n{strict}{text}"));
        let activate = |profile: &str| {
            let _ = std::fs::remove_file(scene.path("activated"));
            let done = Command::new("bash")
                .arg("activate")
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap())
                .env("PROFILE", profile)
                .current_dir(scene.path(""))
                .output()
                .unwrap();
            let activated = scene.path("activated").exists();
            assert_eq!(done.status.success(), activated, "{done:?}");
            activated
        };
        let profile = scene.path("profile");
        assert!(activate(profile.to_str().unwrap()));
        assert!(activate(LETTER));
        assert!(!activate(DATED), "what differs is not activated");
        std::fs::rename(&evidence, scene.path("elsewhere")).unwrap();
        assert!(!activate(LETTER), "no evidence, no activation");
        std::fs::create_dir(&evidence).unwrap();
        assert!(!activate(LETTER), "no evidence, no activation");
        std::fs::remove_dir(&evidence).unwrap();
        std::fs::rename(scene.path("elsewhere"), &evidence).unwrap();
    }
}

#[test]
fn bisection_finds_the_commit_that_does_not_reproduce() {
    const COMMITS: usize = 6;
    let scene = Scene::new();
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", scene.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(scene.path("app"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{arguments:?}: {text} {done:?}");
        text
    };
    std::fs::create_dir(scene.path("app")).unwrap();
    scene.write("secret", key("ci-1", 1).to_secret_text());
    run("git", &["init", "-q", "."]);
    let cache = format!("file://{}", scene.path("cache").display());
    let filled = format!("{cache}?secret-key={}", scene.path("secret").display());
    let file = scene.path("app/default.nix");
    for commit in 1..=COMMITS {
        let body = match commit {
            1..4 => format!("echo {commit} > $out"),
            _ => format!("read up idle < /proc/uptime; echo {commit} $up > $out"),
        };
        scene.write(
            "app/default.nix",
            format!(
                "{{ app = derivation {{ name = \"app\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
                 args = [ \"-c\" \"{body}\" ]; }}; }}\n"
            ),
        );
        run("git", &["add", "default.nix"]);
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let tag = format!("v{commit}");
        run("git", &[&who[..], &["commit", "-qm", &tag]].concat());
        run("git", &["tag", &tag]);
        let file = ["-f", file.to_str().unwrap(), "app"];
        let (built, said) = nix(&scene, &[&["build", "--no-link"][..], &file].concat());
        assert!(built, "{said}");
        // One commit never reached the cache.
        if commit != 5 {
            let (copied, said) = nix(&scene, &[&["copy", "--to", &filled][..], &file].concat());
            assert!(copied, "{said}");
        }
    }
    let recipe = block("console", "git bisect run");
    let line = recipe.split_once("git bisect run ").unwrap().1.replace("\\\n", " ");
    let mut words: Vec<String> =
        line.lines().next().unwrap().split_whitespace().map(str::to_owned).collect();
    let trusted = key("ci-1", 1).public_key().to_string();
    for word in &mut words {
        match word.as_str() {
            "verify" => *word = env!("CARGO_BIN_EXE_verify").to_owned(),
            "https://cache.example.org" => word.clone_from(&cache),
            "ci-1:BASE64" => word.clone_from(&trusted),
            _ => {}
        }
    }
    let local = format!("--local-store={}", scene.path("root").display());
    let state = scene.path("state").display().to_string();
    let mut arguments: Vec<&str> = vec!["bisect", "run"];
    arguments.extend(words.iter().map(String::as_str));
    arguments.extend([local.as_str(), "--state-dir", &state]);
    run("git", &["bisect", "start", "HEAD", "v1"]);
    run("git", &arguments);
    let first = run("git", &["bisect", "log"]);
    let bad = run("git", &["rev-parse", "v4"]);
    assert!(first.contains(&format!("first bad commit: [{}]", bad.trim())), "{first}");
}
