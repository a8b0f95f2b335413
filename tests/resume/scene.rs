//! Derivations made on the spot, built by the shell, and a cache that claims
//! things about their outputs.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ended, Stdio};

use nix_verify::nix::derivation::{Derivation, Output};
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};
use serde_json::Value;

use super::made::{Said, nar, publish, settle};

/// The key that is trusted.
pub fn key() -> SecretKey {
    SecretKey::from_seed("made-1".parse().unwrap(), &[1; 32])
}

/// A derivation that was made, with the path of its output.
#[derive(Clone)]
pub struct Made {
    pub drv_path: StorePath,
    pub out: StorePath,
}

impl Made {
    /// The output as a builder names it.
    pub fn full(&self) -> String {
        format!("/nix/store/{}", self.out)
    }
}

/// Derivations, a cache and a state directory.
pub struct Scene {
    pub place: tempfile::TempDir,
    pub store_dir: StoreDir,
    derivations: BTreeMap<StorePath, Derivation>,
}

impl Scene {
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["drvs", "cache/nar"] {
            std::fs::create_dir_all(place.path().join(name)).unwrap();
        }
        Self { place, store_dir: StoreDir::default(), derivations: BTreeMap::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn drv_file(&self, made: &Made) -> PathBuf {
        self.path("drvs").join(made.drv_path.to_string())
    }

    /// Makes a derivation that the shell builds, and writes it down. `sources`
    /// are store paths that nothing makes.
    pub fn derivation(
        &mut self,
        name: &str,
        script: &str,
        inputs: &[&Made],
        sources: &[&StorePath],
    ) -> Made {
        let text = |text: &str| text.as_bytes().to_vec();
        let stated = StorePath::new([0; 20], name).unwrap();
        let outputs = || BTreeSet::from(["out".to_owned()]).into();
        let mut derivation = Derivation {
            outputs: [("out".to_owned(), Output::InputAddressed { path: stated })].into(),
            input_drvs: inputs.iter().map(|made| (made.drv_path.clone(), outputs())).collect(),
            input_srcs: sources.iter().map(|path| (*path).clone()).collect(),
            platform: text("x86_64-linux"),
            builder: text("/bin/sh"),
            args: vec![text("-c"), text(script)],
            env: BTreeMap::from([
                (text("builder"), text("/bin/sh")),
                (text("name"), text(name)),
                (text("out"), Vec::new()),
                (text("system"), text("x86_64-linux")),
            ]),
        };
        let (below, directory) = (&self.derivations, self.path("drvs"));
        let (drv_path, paths) = settle(&mut derivation, name, &self.store_dir, below, &directory);
        self.derivations.insert(drv_path.clone(), derivation);
        Made { drv_path, out: paths["out"].clone() }
    }

    /// Publishes a plain file with that content as `path`, signed.
    pub fn publish(&self, path: &StorePath, content: &[u8], fields: &[(&str, &str)]) {
        self.publish_in("cache", path, content, fields, Some(&key()));
    }

    /// The same in another cache, or by somebody else, or by nobody.
    pub fn publish_in(
        &self,
        cache: &str,
        path: &StorePath,
        content: &[u8],
        fields: &[(&str, &str)],
        key: Option<&SecretKey>,
    ) {
        let said = Said { fields, key, ..Said::default() };
        publish(&self.path(cache), &self.store_dir, path, &nar(content), said);
    }

    /// `verify rebuild` with this scene's cache, key and state directory.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.place.path())
            .stdin(Stdio::null())
            .args(["rebuild", "--offline", "--format", "json", "--cores", "1"])
            .arg("--cache")
            .arg(format!("file://{}", self.path("cache").display()))
            .arg("--trusted-key")
            .arg(key().public_key().to_string())
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--shell")
            .arg("/bin/busybox")
            .args(options);
        command
    }

    pub fn rebuild(&self, targets: &[&Made], options: &[&str]) -> Outcome {
        let mut command = self.command(options);
        command.args(targets.iter().map(|made| self.drv_file(made)));
        Outcome::of(command.output().unwrap())
    }

    /// What is in a room of the state directory.
    pub fn room(&self, name: &str) -> Vec<PathBuf> {
        list(&self.path("state").join(name))
    }
}

/// The entries of a directory; none if it is not there.
pub fn list(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().into_iter().flatten();
    let mut all: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    all
}

/// How `verify` ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub bytes: Vec<u8>,
    pub report: Value,
    pub said: String,
}

impl Outcome {
    #[track_caller]
    pub fn of(ended: Ended) -> Self {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let report = serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null);
        Self { code: ended.status.code(), bytes: ended.stdout, report, said }
    }

    fn words(&self, list: &str, field: &str) -> Vec<&str> {
        let list = self.report.pointer(list).unwrap_or_else(|| panic!("{}", self.said));
        list.as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap()).collect()
    }

    pub fn statuses(&self) -> Vec<&str> {
        self.words("/subjects", "status")
    }

    pub fn rules(&self) -> Vec<&str> {
        self.words("/findings", "rule")
    }

    pub fn reasons(&self) -> Vec<&str> {
        self.words("/coverage/inconclusive", "reason")
    }

    /// The builds that an earlier process had finished.
    pub fn resumed(&self) -> Vec<&str> {
        let resumed = self.report["run"]["resumed"].as_array().unwrap();
        resumed.iter().map(|path| path.as_str().unwrap()).collect()
    }

    #[track_caller]
    pub fn assert(&self, code: i32, statuses: &[&str]) {
        let found = (self.code, self.statuses());
        assert_eq!(found, (Some(code), statuses.to_vec()), "{:#}\n{}", self.report, self.said);
    }
}
