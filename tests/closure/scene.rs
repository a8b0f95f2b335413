//! Graphs of derivations made for a test, with a cache that claims whatever it
//! is to claim. The builder is the quick start's: `>NAME` opens an output,
//! `<PATH` copies a file into it, anything else is written as a line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::{Derivation, Output};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};
use serde_json::Value;

use super::made::{Said, nar, publish, settle};

const BUILDER: &str = "2i35cbvw6vg687id9b9k78ck9ws5j7zl-quickstart-builder";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickstart")
}

fn key() -> SecretKey {
    SecretKey::from_seed("made-1".parse().unwrap(), &[1; 32])
}

/// A derivation that was made, with the paths of its outputs.
#[derive(Debug, Clone)]
pub struct Made {
    pub drv_path: StorePath,
    pub outputs: BTreeMap<String, StorePath>,
}

impl Made {
    pub fn out(&self) -> &StorePath {
        &self.outputs["out"]
    }

    /// The argument that copies the output `out`.
    pub fn copied(&self) -> String {
        format!("</nix/store/{}", self.out())
    }
}

/// Derivations, caches with the quick start's builder, and a state directory.
pub struct Scene {
    pub place: tempfile::TempDir,
    store_dir: StoreDir,
    derivations: BTreeMap<StorePath, Derivation>,
}

impl Scene {
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let scene = Self { place, store_dir: StoreDir::default(), derivations: BTreeMap::new() };
        scene.add_cache("cache");
        scene
    }

    /// One more cache, which has the builder and nothing else.
    pub fn add_cache(&self, name: &str) {
        let status = Command::new("cp")
            .arg("-r")
            .arg(fixtures().join("cache"))
            .arg(self.place.path().join(name))
            .status();
        assert!(status.unwrap().success());
    }

    /// Makes a derivation that reads `inputs` and runs `script` for each of its
    /// outputs, and writes it down.
    pub fn derivation(&mut self, name: &str, script: &[&str], inputs: &[&Made]) -> Made {
        let stated =
            |_: &str| Output::InputAddressed { path: StorePath::new([0; 20], name).unwrap() };
        self.any(name, &["out"], script, inputs, stated)
    }

    pub fn with_outputs(
        &mut self,
        name: &str,
        outputs: &[&str],
        script: &[&str],
        inputs: &[&Made],
    ) -> Made {
        let stated = |output: &str| {
            let name = if output == "out" { name.to_owned() } else { format!("{name}-{output}") };
            Output::InputAddressed { path: StorePath::new([0; 20], &name).unwrap() }
        };
        self.any(name, outputs, script, inputs, stated)
    }

    /// A fixed output with that content and nothing that could fetch it; what
    /// its derivation builds on plays no part.
    pub fn fixed(&mut self, name: &str, content: &[u8], inputs: &[&Made]) -> Made {
        let hash = Hash::of(HashAlgorithm::Sha256, content);
        let path = StorePath::new([0; 20], name).unwrap();
        let fixed = |_: &str| Output::Fixed { path: path.clone(), method: Method::Flat, hash };
        self.any(name, &["out"], &["nothing"], inputs, fixed)
    }

    fn any(
        &mut self,
        name: &str,
        outputs: &[&str],
        script: &[&str],
        inputs: &[&Made],
        stated: impl Fn(&str) -> Output,
    ) -> Made {
        let text = |text: &str| text.as_bytes().to_vec();
        let builder = format!("/nix/store/{BUILDER}");
        let mut env = BTreeMap::from([
            (text("builder"), text(&builder)),
            (text("name"), text(name)),
            (text("outputs"), text(&outputs.join(" "))),
            (text("system"), text("x86_64-linux")),
        ]);
        env.extend(outputs.iter().map(|output| (text(output), Vec::new())));
        let mut derivation = Derivation {
            outputs: outputs.iter().map(|output| ((*output).to_owned(), stated(output))).collect(),
            input_drvs: inputs
                .iter()
                .map(|made| {
                    let outputs: BTreeSet<String> = made.outputs.keys().cloned().collect();
                    (made.drv_path.clone(), outputs.into())
                })
                .collect(),
            input_srcs: BTreeSet::from([BUILDER.parse().unwrap()]),
            platform: text("x86_64-linux"),
            builder: text(&builder),
            args: script.iter().map(|arg| text(arg)).collect(),
            env,
        };
        let (below, directory) = (&self.derivations, self.place.path());
        let (drv_path, paths) = settle(&mut derivation, name, &self.store_dir, below, directory);
        self.derivations.insert(drv_path.clone(), derivation);
        Made { drv_path, outputs: paths }
    }

    /// Has the first cache claim and serve that content for `out`.
    pub fn publish(&self, made: &Made, content: &str) {
        self.publish_in("cache", made.out(), content, &[]);
    }

    /// Has a cache claim and serve that content.
    pub fn publish_in(
        &self,
        cache: &str,
        path: &StorePath,
        content: &str,
        references: &[&StorePath],
    ) {
        let said = Said { references, key: Some(&key()), ..Said::default() };
        let cache = self.place.path().join(cache);
        publish(&cache, &self.store_dir, path, &nar(content.as_bytes()), said);
    }

    /// Takes away what lies behind a claim, and leaves the claim.
    pub fn lose(&self, made: &Made) {
        let nar = format!("cache/nar/{}.nar", made.out().hash_part());
        std::fs::remove_file(self.place.path().join(nar)).unwrap();
    }

    pub fn command(&self, targets: &[&Made]) -> Command {
        let targets = targets.iter().map(|made| self.place.path().join(made.drv_path.to_string()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command.env_clear().env("PATH", "/usr/bin:/bin").arg("rebuild").args(targets);
        for entry in ["cache", "other"] {
            let cache = self.place.path().join(entry);
            if cache.exists() {
                command.arg("--cache").arg(format!("file://{}", cache.display()));
            }
        }
        command
            .arg("--trusted-keys-file")
            .arg(fixtures().join("keys.txt"))
            .arg("--trusted-key")
            .arg(key().public_key().to_string())
            .arg("--state-dir")
            .arg(self.place.path().join("state"))
            .arg("--offline");
        command
    }

    pub fn rebuild(&self, targets: &[&Made], options: &[&str]) -> Outcome {
        let output = self
            .command(targets)
            .args(["--format", "json", "--reproducible"])
            .args(options)
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Outcome { code: output.status.code().unwrap(), report, bytes: output.stdout }
    }
}

/// What a run said.
pub struct Outcome {
    pub code: i32,
    pub report: Value,
    pub bytes: Vec<u8>,
}

impl Outcome {
    /// The status of the output `out`.
    pub fn status(&self, made: &Made) -> &str {
        let id = format!("/nix/store/{}", made.out());
        let subjects = self.report["subjects"].as_array().unwrap();
        let found = subjects.iter().find(|subject| subject["id"] == id.as_str());
        found.unwrap_or_else(|| panic!("{id}: {:#}", self.report))["status"].as_str().unwrap()
    }

    /// The facts about a derivation.
    pub fn facts(&self, made: &Made) -> &Value {
        let path = format!("/nix/store/{}", made.drv_path);
        let derivations = self.report["facts"]["derivations"].as_array().unwrap();
        let found = derivations.iter().find(|facts| facts["drv_path"] == path.as_str());
        found.unwrap_or_else(|| panic!("{path}: {:#}", self.report))
    }

    /// Where our own chain leads.
    pub fn chain(&self, made: &Made) -> &str {
        self.facts(made)["chain"]["result"].as_str().unwrap_or("-")
    }

    /// Each divergent derivation: its name, how many it builds on diverge, how
    /// many build on it and how many targets do.
    pub fn divergent(&self) -> Vec<String> {
        let divergent = self.report["facts"]["divergent"].as_array().unwrap();
        let said = divergent.iter().map(|one| {
            let name = one["drv_path"].as_str().unwrap().rsplit_once('/').unwrap().1;
            let below = one["below"].as_array().unwrap().len();
            assert_eq!(one["first"], below == 0);
            format!("{} {below} {}/{}", &name[33..], one["dependents"], one["targets"])
        });
        said.collect()
    }

    pub fn rules(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
    }
}
