//! Every path that Nix lists is in the bill, and every edge is Nix's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::nix::{Nix, missing, text};
use super::store::{Store, closure, references};
use super::{Bill, export, properties, run};

#[test]
fn a_runtime_bill_is_the_closure() {
    let Some(store) = Store::make() else { return };
    let cache = store.place.path().join("cache");
    store.nix.publish(&cache, &[]);
    let cache = format!("file://{}", text(&cache));
    let key = store.nix.public_key();
    for attribute in ["library", "program", "oddly"] {
        let path = store.output(attribute);
        let closure = store.closure(&path);
        let references = store.references(&closure);
        let local = run(export([&path, &store.option(), "--offline"]));
        // No derivation, no store: narinfos alone.
        let remote = run(export([&path, "--cache", &cache, "--trusted-key", &key]));
        for (outcome, said) in [(&local, "local"), (&remote, "cache")] {
            assert_eq!(outcome.code, 0, "{attribute} {said}: {}", outcome.err);
            let bill = outcome.bill();
            assert_eq!(bill.paths(), closure, "{attribute} {said}");
            assert_eq!(bill.edges(), references, "{attribute} {said}");
            assert_eq!(bill.value["metadata"]["component"]["bom-ref"], path.as_str());
            for (reference, component) in bill.components() {
                assert_eq!(component["hashes"][0]["alg"], "SHA-256", "{reference}");
            }
        }
    }
}

#[test]
fn a_linked_bill_has_what_leaves_no_reference() {
    let Some(store) = Store::make() else { return };
    let path = store.output("program");
    let bill = |scope: &str| {
        let outcome = run(export([&path, &store.option(), "--offline", "--scope", scope]));
        // What was only linked against need not be known in full.
        assert!(outcome.code == 0 || scope == "linked" && outcome.code == 3, "{}", outcome.err);
        outcome.bill()
    };
    let (runtime, linked) = (bill("runtime"), bill("linked"));
    let inside = store.output("static");
    assert!(!runtime.paths().contains(&inside));
    assert!(linked.paths().contains(&inside));
    assert!(linked.edges()[&path].contains(&inside));
    assert!(runtime.paths().is_subset(&linked.paths()));
}

/// Derivations and sources of a build bill, and its edges between those: what
/// `nix-store -q --references` says of `.drv` files.
fn as_derivations(bill: &Bill) -> BTreeMap<String, BTreeSet<String>> {
    let full = |drv_path: String| match drv_path.starts_with('/') {
        true => drv_path,
        false => format!("/nix/store/{drv_path}"),
    };
    let named: BTreeMap<&String, String> = bill
        .components()
        .map(|(reference, component)| {
            let made_by = properties(component, "nix:drv_path").pop();
            (reference, made_by.map_or_else(|| reference.clone(), full))
        })
        .collect();
    let mut all = BTreeMap::new();
    for (reference, on) in bill.edges() {
        let on: BTreeSet<String> = on.iter().map(|one| named[one].clone()).collect();
        let name = named[&reference].clone();
        // All outputs of one derivation are built from the same.
        let known = all.entry(name.clone()).or_insert_with(|| on.clone());
        assert_eq!(*known, on, "{name}");
    }
    all
}

#[test]
fn a_build_bill_is_the_closure_of_the_derivation() {
    let Some(store) = Store::make() else { return };
    for attribute in ["library", "program", "oddly"] {
        let drv_path = store.derivation(attribute);
        let file = text(&store.nix.host_path(&drv_path));
        let objects = text(&store.root().join("nix/store"));
        let outcome = run(export([&file, "--drv-dir", &objects, "--scope", "build", "--offline"]));
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let wanted = store.references(&store.closure(&drv_path));
        assert_eq!(as_derivations(&outcome.bill()), wanted, "{attribute}");
    }
}

#[test]
fn components_say_what_nix_knows() {
    let Some(store) = Store::make() else { return };
    let drv_path = store.derivation("program");
    let words = [drv_path.as_str(), &store.option(), "--scope", "build", "--offline"];
    let bill = run(export(words)).bill();
    let twins =
        bill.components().filter(|(_, one)| one["name"] == "twin" && one["version"] == "2.0");
    assert_eq!(twins.count(), 2, "two packages of one name stay two");
    let outputs: BTreeSet<String> = bill
        .components()
        .filter(|(_, one)| one["name"] == "library")
        .flat_map(|(_, one)| properties(one, "nix:output"))
        .collect();
    assert_eq!(outputs, BTreeSet::from(["dev".to_owned(), "out".to_owned()]));
    let library = bill.component(&store.output("library"));
    assert_eq!(library["version"], "1.2.3");
    let patches = library["pedigree"]["patches"].as_array().unwrap();
    assert_eq!(patches.len(), 2, "{patches:#?}");
    assert_eq!(patches[0]["resolves"][0]["id"], "CVE-2024-1234");
    let distributed = library["externalReferences"].as_array().unwrap().iter();
    let source = distributed.clone().find(|one| one["type"] == "source-distribution").unwrap();
    assert_eq!(source["url"], "https://example.org/releases/library-1.2.3.tar.gz");
    let hash = store.nix.run(
        "nix-hash",
        [
            "--flat",
            "--type",
            "sha256",
            &text(
                &store
                    .nix
                    .host_path(bill.ending("-library-1.2.3.tar.gz")["bom-ref"].as_str().unwrap()),
            ),
        ],
    );
    assert_eq!(source["hashes"][0]["content"], hash.as_str());
}

#[test]
fn names_reach_no_output_as_control_characters() {
    let Some(store) = Store::make() else { return };
    let drv_path = store.derivation("oddly");
    for spec in ["cyclonedx-1.7", "cyclonedx-1.6", "cyclonedx-1.5", "spdx-2.3", "csv"] {
        let outcome = run(export([
            drv_path.as_str(),
            &store.option(),
            "--scope",
            "build",
            "--offline",
            "--spec",
            spec,
        ]));
        assert_eq!(outcome.code, 0, "{spec}: {}", outcome.err);
        let text = String::from_utf8(outcome.out.clone()).unwrap() + &outcome.err;
        let raw = text.chars().find(|one| one.is_control() && !matches!(one, '\n' | '\r'));
        assert_eq!(raw, None, "{spec}");
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            let name = &value["metadata"]["component"]["name"];
            let decoded = name.as_str().unwrap_or_default();
            assert!(!decoded.contains('\u{1b}'), "{spec}: {decoded:?}");
        }
    }
}

/// A real package set. Its source is a download, so this runs only when asked:
/// `PACKAGE_SET=DIR`, a tree of <https://github.com/auxolotl/core> at fe3e015b.
#[test]
#[ignore = "needs a downloaded package set"]
fn a_real_package_set_is_all_there() {
    assert!(missing().is_none(), "needs real Nix");
    let tree = PathBuf::from(std::env::var_os("PACKAGE_SET").expect("PACKAGE_SET names the tree"));
    let dir = tempfile::tempdir().unwrap();
    let nix = Nix::new(dir.path());
    let expression =
        format!("with import {} {{ system = \"x86_64-linux\"; config = {{}}; }}; git", text(&tree));
    let drv_path = nix.run("nix-instantiate", ["-E", &expression]);
    let drv_path = drv_path.lines().last().unwrap().to_owned();
    let file = text(&nix.host_path(&drv_path));
    let objects = text(&dir.path().join("root/nix/store"));
    let outcome = run(export([&file, "--drv-dir", &objects, "--scope", "build", "--offline"]));
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let wanted = references(&nix, &closure(&nix, &drv_path));
    eprintln!("{} derivations and sources", wanted.len());
    assert!(wanted.len() >= 700, "{}", wanted.len());
    assert_eq!(as_derivations(&outcome.bill()), wanted);
}
