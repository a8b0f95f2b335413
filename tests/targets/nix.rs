//! Targets that the installed Nix evaluates. Without Nix these tests say so
//! and pass, except in CI.

use std::process::Command;

use super::scene::{Outcome, Scene};

const EXPRESSION: &str = r#"
let make = name: inputs: derivation {
  inherit name inputs;
  system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "echo ${name} > $out" ];
};
in rec { one = make "one" [ ]; two = make "two" [ one ]; wrong = throw "no such luck"; }
"#;

const FLAKE: &str = r#"
{
  nixConfig.sandbox = false;
  outputs = { self }: {
    packages.x86_64-linux.default = (import ./default.nix).two;
    packages.x86_64-linux.one = (import ./default.nix).one;
  };
}
"#;

/// A scene with an expression, a flake, and a store for Nix to evaluate into.
fn scene() -> Option<Scene> {
    if Command::new("nix").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "Nix has to be installed in CI");
        println!("skipped: Nix is not installed");
        return None;
    }
    let scene = Scene::new();
    std::fs::write(scene.path("default.nix"), EXPRESSION).unwrap();
    std::fs::create_dir(scene.path("flake")).unwrap();
    std::fs::write(scene.path("flake/default.nix"), EXPRESSION).unwrap();
    std::fs::write(scene.path("flake/flake.nix"), FLAKE).unwrap();
    Some(scene)
}

fn rebuild(scene: &Scene, words: &[&str]) -> Outcome {
    let mut command = scene.command(words);
    command.env("HOME", scene.path("home"));
    command.arg(format!("--local-store={}", scene.path("root").display()));
    Outcome::of(command.output().unwrap())
}

/// The names of the outputs that were built.
fn names(outcome: &Outcome) -> Vec<&str> {
    let subjects = outcome.report["subjects"].as_array();
    let subjects = subjects.unwrap_or_else(|| panic!("{}", outcome.said));
    let mut names: Vec<_> =
        subjects.iter().map(|subject| &subject["id"].as_str().unwrap()[44..]).collect();
    names.sort_unstable();
    names
}

#[test]
fn attributes_of_files_are_evaluated() {
    let Some(scene) = scene() else { return };
    let outcome = rebuild(&scene, &["-f", "default.nix", "-A", "one", "-A", "two"]);
    outcome.assert(3, &["no-reference", "no-reference"]);
    assert_eq!(names(&outcome), ["one", "two"]);
    assert_eq!(names(&rebuild(&scene, &["--file", ".", "--attr", "two"])), ["two"]);
}

#[test]
fn flakes_are_evaluated_and_left_alone() {
    let Some(scene) = scene() else { return };
    let flake = format!("path:{}", scene.path("flake").display());
    assert_eq!(names(&rebuild(&scene, &[&format!("{flake}#one")])), ["one"]);
    assert_eq!(names(&rebuild(&scene, &["./flake"])), ["two"]);
    assert_eq!(names(&rebuild(&scene, &["./flake#one", &flake])), ["one", "two"]);
    assert!(!scene.path("flake/flake.lock").exists());
}

#[test]
fn what_does_not_evaluate_has_no_answer() {
    let Some(scene) = scene() else { return };
    let outcome = rebuild(&scene, &["-f", "default.nix", "-A", "one", "-A", "wrong"]);
    outcome.assert(3, &["no-reference"]);
    let open = outcome.report["coverage"]["inconclusive"].as_array().unwrap();
    let wrong = open.iter().find(|open| open["check"] == "evaluation").unwrap();
    assert_eq!(wrong["reason"], "derivation-missing");
    assert!(wrong["detail"].as_str().unwrap().contains("no such luck"), "{wrong:#}");
}

#[test]
fn without_nix_the_error_says_what_to_do() {
    let scene = Scene::new();
    std::fs::write(scene.path("default.nix"), EXPRESSION).unwrap();
    for words in [vec!["-f", "default.nix", "-A", "one"], vec!["nixpkgs#hello"]] {
        let mut command = scene.command(&words);
        command.env("PATH", scene.path("empty"));
        let outcome = Outcome::of(command.output().unwrap());
        assert_eq!(outcome.code, Some(2), "{}", outcome.said);
        assert!(outcome.said.contains("install Nix"), "{}", outcome.said);
    }
}
