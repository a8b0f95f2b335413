//! The same through the real binary: sources in a store of a real Nix, their
//! bill of materials, and what its components hold.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::nix::{Nix, missing, text};
use super::recall::{fixture, listed};

/// What a bill says lies inside the component of that path, less what is only
/// mentioned.
fn inside(bill: &Value, path: &str) -> BTreeSet<String> {
    let components = bill["components"].as_array().into_iter().flatten();
    let mut all = components.chain([&bill["metadata"]["component"]]);
    let component = all.find(|one| one["bom-ref"] == path).expect("the component is there");
    let held = component["components"].as_array().into_iter().flatten();
    let held = held.filter(|one| {
        let methods = one["evidence"]["identity"][0]["methods"].as_array().unwrap();
        methods.iter().any(|method| !method["value"].as_str().unwrap().contains("(mentioned)"))
    });
    held.map(|one| {
        assert!(one["purl"].as_str().unwrap().starts_with("pkg:"));
        format!("{} {}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn a_bill_of_materials_holds_what_lies_inside() {
    if missing().is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let nix = Nix::new(place.path());
    for (file, list) in [
        ("cargo.tar.xz", "cargo"),
        ("npm.tar.xz", "npm"),
        ("yarn-classic.tar.xz", "yarn-classic"),
        ("yarn-berry.tar.xz", "yarn-berry"),
        ("pnpm.tar.xz", "pnpm"),
        ("go.tar.xz", "go"),
        ("python.tar.xz", "python"),
        ("maven.tar.xz", "maven"),
        ("go-program", "go-program"),
        ("rust-program", "rust-program"),
    ] {
        let added = nix.run("nix-store", ["--add-fixed", "sha256", &text(&fixture(file))]);
        let path = added.trim();
        let root = format!("--local-store={}", place.path().join("root").display());
        let run = |extra: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
            command.env_clear().env("HOME", place.path()).args(["sbom", "export", path, &root]);
            let output = command.arg("--offline").args(extra).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 3)), "{file}: {error}");
            serde_json::from_slice::<Value>(&output.stdout).expect("a bill")
        };
        let (ours, theirs) = (inside(&run(&["--vendored"]), path), listed(list));
        let missed: Vec<_> = theirs.difference(&ours).collect();
        let invented: Vec<_> = ours.difference(&theirs).collect();
        assert!(missed.is_empty() && invented.is_empty(), "{file}: {missed:?}, {invented:?}");
        assert!(inside(&run(&[]), path).is_empty(), "nobody asked to look inside");
    }
}
