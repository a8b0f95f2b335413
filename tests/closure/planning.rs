//! `--plan`: what would be built and what lacks, without doing any of it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::nix::{self, Nix, text};
use super::scene::{Made, Outcome, Scene};
use super::schema;

/// The state of each derivation to build, by name.
fn states(outcome: &Outcome) -> Vec<String> {
    schema::check(&outcome.report, "the report");
    let subjects = outcome.report["subjects"].as_array().unwrap().iter();
    let said = subjects.map(|subject| {
        let id = subject["id"].as_str().unwrap();
        format!("{} {}", &id[44..], subject["status"].as_str().unwrap())
    });
    let mut said: Vec<String> = said.collect();
    said.sort();
    said
}

#[test]
fn a_plan_says_what_lacks_and_does_nothing() {
    let mut scene = Scene::new();
    let source = scene.fixed("source", b"s\n", &[]);
    let a = scene.derivation("a", &[">out", &source.copied()], &[&source]);
    let b = scene.derivation("b", &[">out", &a.copied()], &[&a]);
    let c = scene.derivation("c", &[">out", &b.copied()], &[&b]);

    // Nobody has the source, and it cannot be fetched.
    let outcome = scene.rebuild(&[&c], &["--plan"]);
    assert_eq!(outcome.code, 3);
    assert_eq!(states(&outcome), ["a.drv offline", "b.drv blocked-by", "c.drv blocked-by"]);
    let lacking = &outcome.report["facts"]["plan"]["lacking"];
    assert_eq!(lacking[0]["path"], format!("/nix/store/{}", source.out()));
    assert_eq!((lacking.as_array().unwrap().len(), &lacking[0]["wanted_by"]), (1, &1.into()));
    let detail = &outcome.report["coverage"]["inconclusive"][2]["detail"];
    assert!(detail.as_str().unwrap().contains(&a.drv_path.to_string()), "{detail}");

    // With what is claimed of `b` nothing below it has to be built.
    scene.publish(&b, "s\n");
    let outcome = scene.rebuild(&[&c], &["--plan"]);
    assert_eq!((outcome.code, states(&outcome)), (0, vec!["c.drv ready".to_owned()]));
    let outcome = scene.rebuild(&[&c], &["--plan", "--closure"]);
    assert_eq!(
        states(&outcome),
        ["a.drv offline", "b.drv blocked-by", "c.drv ready", "source.drv offline"]
    );
    scene.publish(&source, "s\n");
    let outcome = scene.rebuild(&[&c], &["--plan", "--closure"]);
    assert_eq!(
        (outcome.code, states(&outcome)),
        (0, ["a.drv", "b.drv", "c.drv", "source.drv"].map(|name| format!("{name} ready")).into())
    );
    let inputs = outcome.report["facts"]["plan"]["inputs"].as_array().unwrap();
    let proofs: Vec<&str> = inputs.iter().map(|one| one["proof"].as_str().unwrap()).collect();
    assert!(proofs.contains(&"signed") && proofs.contains(&"fixed-by-hash"), "{proofs:?}");
    let left_out = outcome.report["coverage"]["not_run"].to_string();
    assert!(left_out.contains("--plan builds nothing"), "{left_out}");

    let state = scene.place.path().join("state");
    for room in ["objects", "builds", "logs"] {
        let entries = std::fs::read_dir(state.join(room)).unwrap().count();
        assert_eq!(entries, 0, "{room} of a state directory after nothing but plans");
    }
}

#[test]
fn hundreds_of_derivations_are_planned_at_once() {
    let mut scene = Scene::new();
    let mut layers: Vec<Vec<Made>> = vec![Vec::new()];
    for layer in 0..35 {
        let below = layers.last().unwrap().clone();
        let made = (0..20).map(|number: usize| {
            let inputs: Vec<&Made> =
                below.iter().cycle().skip(number).take(below.len().min(4)).collect();
            let name = format!("node-{layer}-{number}");
            let made = scene.derivation(&name, &[">out", "x"], &inputs);
            scene.publish(&made, "x\n");
            made
        });
        let made = made.collect();
        layers.push(made);
    }
    let targets: Vec<&Made> = layers.last().unwrap().iter().collect();
    let began = Instant::now();
    let outcome = scene.rebuild(&targets, &["--plan", "--closure"]);
    // Far more than it takes: a second on an idle machine.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!((outcome.code, states(&outcome).len()), (0, 700));
}

/// A real package set. Its source is a download, so this runs only when asked:
/// `PACKAGE_SET=DIR`, a tree of <https://github.com/auxolotl/core> at fe3e015b.
#[test]
#[ignore = "needs a downloaded package set"]
fn a_real_package_set_is_planned() {
    assert!(nix::missing().is_none(), "needs real Nix");
    let tree = PathBuf::from(std::env::var_os("PACKAGE_SET").expect("PACKAGE_SET names the tree"));
    let dir = tempfile::tempdir().unwrap();
    let nix = Nix::new(dir.path());
    let expression =
        format!("with import {} {{ system = \"x86_64-linux\"; config = {{}}; }}; git", text(&tree));
    let drv_path = nix.run("nix-instantiate", ["-E", &expression]);
    let drv_path = drv_path.lines().last().unwrap().to_owned();
    let cache = dir.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::write(cache.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    for options in [&["--plan"][..], &["--plan", "--closure"]] {
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_verify"))
            .arg("rebuild")
            .arg(nix.host_path(&drv_path))
            .args(["--cache", &format!("file://{}", text(&cache)), "--offline"])
            .args([&format!("--local-store={}", text(&dir.path().join("root")))])
            .args(["--state-dir", &text(&dir.path().join("state")), "--format", "json"])
            .args(options)
            .output()
            .unwrap();
        let took = began.elapsed();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        schema::check(&report, "the report");
        let plan = &report["facts"]["plan"];
        let counts =
            ["builds", "inputs", "lacking"].map(|list| plan[list].as_array().unwrap().len());
        eprintln!("{options:?}: [builds, inputs, lacking] = {counts:?} in {took:?}");
        assert_eq!(output.status.code(), Some(3));
        assert!(counts[0] >= 370, "{counts:?}");
        // No finding: every path recomputes.
        assert_eq!(report["findings"], Value::Array(Vec::new()));
    }
}
