//! Our own rebuild of what Nix built, as its JSON report tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_verify::nix::hash::NarHash;
use serde_json::Value;

use super::nix::{Info, Nix, text};

/// One run of `verify rebuild`.
pub struct Rebuild<'a> {
    /// The store whose derivations are rebuilt.
    pub nix: &'a Nix,
    /// The signed cache that inputs come from.
    pub cache: &'a str,
    /// Where the run keeps its work.
    pub state: PathBuf,
    /// More options and variables.
    pub options: Vec<String>,
    pub variables: Vec<(&'static str, &'static str)>,
}

/// What the report says about one derivation.
#[derive(Debug)]
pub struct Outcome {
    /// Outputs by name; empty if there are none.
    pub outputs: BTreeMap<String, Output>,
    /// Whether the derivation fixes its output's hash.
    pub fixed: bool,
    /// `built`, `obtained` or `missing`.
    pub production: String,
    /// Why there are no outputs.
    pub failure: Option<(String, String)>,
}

/// One output as we made it.
#[derive(Debug)]
pub struct Output {
    /// Its store path.
    pub path: String,
    /// What is in it.
    pub info: Option<Info>,
    /// Whether a claim of the cache was found equal.
    pub confirmed: bool,
}

impl Rebuild<'_> {
    /// Rebuilds derivations; the whole report, and the outcomes by derivation.
    pub fn run(&self, drv_paths: &[&str]) -> (Value, BTreeMap<String, Outcome>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command.arg("rebuild").args(drv_paths.iter().map(|path| self.nix.host_path(path)));
        let key = self.nix.public_key();
        command.args(["--world", "nix-2.8", "--cores", "2", "--format", "json"]);
        command.args([
            "--cache",
            self.cache,
            "--trusted-key",
            key.trim(),
            "--state-dir",
            &text(&self.state),
        ]);
        command.args(&self.options).env_remove("CI").envs(self.variables.iter().copied());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no report ({error}), {}:\n{said}", output.status));
        assert_ne!(output.status.code(), Some(2), "{said}\n{:#}", report["troubles"]);
        let derivations = report["facts"]["derivations"].as_array().unwrap();
        let outcomes = derivations.iter().map(|facts| (string(&facts["drv_path"]), outcome(facts)));
        let outcomes = outcomes.collect();
        (report, outcomes)
    }

    /// Where the run kept what it built, to look for a difference.
    pub fn tree(&self, path: &str) -> Option<PathBuf> {
        let name = Path::new(path).file_name().unwrap();
        find(&self.state, name)
    }
}

fn outcome(facts: &Value) -> Outcome {
    let outputs = facts["outputs"].as_object().unwrap().iter();
    Outcome {
        outputs: outputs.filter_map(|(name, facts)| Some((name.clone(), output(facts)?))).collect(),
        fixed: facts["fixed_output"] == true,
        production: string(&facts["production"]),
        failure: facts
            .get("failure")
            .map(|failure| (string(&failure["reason"]), string(&failure["detail"]))),
    }
}

fn output(facts: &Value) -> Option<Output> {
    let path = facts["path"].as_str()?.to_owned();
    let info = facts["nar_hash"].as_str().map(|nar_hash| Info {
        nar_hash: NarHash::parse(nar_hash).unwrap().hash().sri(),
        nar_size: facts["nar_size"].as_u64().unwrap(),
        references: facts["references"]
            .as_array()
            .unwrap()
            .iter()
            .map(string)
            .collect::<BTreeSet<_>>(),
    });
    let claims = facts["claims"].as_array().unwrap();
    Some(Output { path, info, confirmed: claims.iter().any(|claim| claim["equal"] == true) })
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The first entry of that name below a directory.
fn find(dir: &Path, name: &std::ffi::OsStr) -> Option<PathBuf> {
    for entry in std::fs::read_dir(dir).ok()? {
        let path = entry.ok()?.path();
        if path.file_name() == Some(name) {
            return Some(path);
        }
        if path.is_dir()
            && !path.is_symlink()
            && let Some(found) = find(&path, name)
        {
            return Some(found);
        }
    }
    None
}
