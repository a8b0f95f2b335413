//! `verify sbom export`, by its real binary: closures that real Nix has built,
//! the same bytes again, and inputs that are broken.

#![allow(
    dead_code,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests, which share the harness for real Nix with those of parity"
)]

mod again;
mod broken;
mod closures;
mod listings;
#[path = "../parity/nix.rs"]
mod nix;
mod outside;
mod sandboxed;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run left.
pub struct Outcome {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

/// `verify sbom export` with nothing of the caller's environment.
pub fn export<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.args(["sbom", "export"]).args(words).env_clear().stdin(Stdio::null());
    command
}

pub fn run(mut command: Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Outcome {
    /// The bill; every one is held against its schema on the way.
    pub fn bill(&self) -> Bill {
        let value = serde_json::from_slice(&self.out)
            .unwrap_or_else(|error| panic!("{error}, exit {}:\n{}", self.code, self.err));
        Bill::of(value, &self.out)
    }
}

/// A bill of materials, as readers see it.
pub struct Bill {
    pub value: Value,
    components: BTreeMap<String, Value>,
}

impl Bill {
    pub fn of(value: Value, bytes: &[u8]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("bom.json");
        std::fs::write(&file, bytes).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_verify"))
            .args(["sbom", "check"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout);
        assert_eq!(checked.status.code(), Some(0), "{said}");
        let listed = value["components"].as_array().cloned().unwrap_or_default();
        let root = value["metadata"]["component"].clone();
        let mut components = BTreeMap::new();
        for component in listed.into_iter().chain([root]) {
            // What several subjects are together is no store object.
            let is_object = ["nix:store_path", "nix:drv_path", "verify:unknown"]
                .iter()
                .any(|name| !properties(&component, name).is_empty());
            if is_object {
                let reference = component["bom-ref"].as_str().unwrap().to_owned();
                let twice = components.insert(reference, component);
                assert!(twice.is_none(), "two components have one reference: {twice:?}");
            }
        }
        Self { value, components }
    }

    /// All store paths.
    pub fn paths(&self) -> BTreeSet<String> {
        let all = self.components.values();
        all.flat_map(|component| properties(component, "nix:store_path")).collect()
    }

    /// What each component depends on, by reference.
    pub fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut edges = BTreeMap::new();
        for entry in self.value["dependencies"].as_array().unwrap() {
            let on = entry["dependsOn"].as_array().cloned().unwrap_or_default();
            let on: BTreeSet<String> =
                on.iter().map(|one| one.as_str().unwrap().to_owned()).collect();
            let reference = entry["ref"].as_str().unwrap().to_owned();
            if self.components.contains_key(&reference) {
                assert!(on.iter().all(|one| self.components.contains_key(one)), "{on:?}");
                edges.insert(reference, on);
            }
        }
        edges
    }

    /// The component with that reference.
    pub fn component(&self, reference: &str) -> &Value {
        self.components.get(reference).unwrap_or_else(|| panic!("{reference} is missing"))
    }

    /// The component whose reference ends so.
    pub fn ending(&self, end: &str) -> &Value {
        let mut found = self.components.iter().filter(|(reference, _)| reference.ends_with(end));
        let (_, component) = found.next().unwrap_or_else(|| panic!("nothing ends with {end}"));
        assert!(found.next().is_none(), "several end with {end}");
        component
    }

    pub fn components(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.components.iter()
    }

    /// References that the compositions call so.
    pub fn composed(&self, aggregate: &str, kind: &str) -> BTreeSet<String> {
        let all = self.value["compositions"].as_array().unwrap().iter();
        let meant = all.filter(|one| one["aggregate"] == aggregate);
        let references = meant.flat_map(|one| one[kind].as_array().cloned().unwrap_or_default());
        references.map(|one| one.as_str().unwrap().to_owned()).collect()
    }
}

/// The values of a component's property.
pub fn properties(component: &Value, name: &str) -> Vec<String> {
    let all = component["properties"].as_array().cloned().unwrap_or_default();
    let meant = all.iter().filter(|one| one["name"] == name);
    meant.map(|one| one["value"].as_str().unwrap().to_owned()).collect()
}

/// What all components say is not known about them.
pub fn unknown(bill: &Bill) -> Vec<String> {
    bill.components().flat_map(|(_, component)| properties(component, "verify:unknown")).collect()
}
