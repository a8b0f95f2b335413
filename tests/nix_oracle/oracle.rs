//! A Nix 2.8 with a store of its own, and what it knows.
//!
//! Needs Nix 2.8 and a static busybox. Where they are missing the tests are
//! skipped with a notice; with `CI` set that is a failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix_verify::nix::derivation::Derivation;
use nix_verify::nix::derivation::graph_text::GraphNode;
use nix_verify::nix::hash::NarHash;
use nix_verify::nix::store_path::{StoreDir, StorePath};

pub const BUSYBOX: &str = "/bin/busybox";

/// A store of its own, below a temporary directory.
pub struct Oracle {
    dir: tempfile::TempDir,
}

fn static_busybox() -> bool {
    Command::new(BUSYBOX).arg("true").status().is_ok_and(|status| status.success())
}

/// `None` where there is no Nix to ask.
pub fn oracle() -> Option<Oracle> {
    let version = Command::new("nix").arg("--version").output();
    let found = version.is_ok_and(|output| output.stdout.starts_with(b"nix (Nix) 2.8"));
    if found && static_busybox() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bb/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
        for applet in ["sh", "cp", "mkdir", "cat"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
        }
        return Some(Oracle { dir });
    }
    assert!(std::env::var_os("CI").is_none(), "CI has neither Nix 2.8 nor a static busybox");
    eprintln!("skipped: needs Nix 2.8 and {BUSYBOX}");
    None
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Store objects are read-only, which only their owner's rights undo.
        let _ = Command::new("chmod").arg("-R").arg("u+w").arg(self.dir.path()).status();
    }
}

impl Oracle {
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn real(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("NIX_REMOTE", format!("local?root={}", self.root().display()))
            .env("NIX_PATH", "")
            .current_dir(self.dir.path())
            .args(["--option", "substitute", "false", "--option", "sandbox", "true"])
            .args(["--option", "build-users-group", ""])
            .args(["--option", "experimental-features"])
            .arg("nix-command ca-derivations impure-derivations");
        command
    }

    /// Standard output, one line an item.
    pub fn run(&self, program: &str, args: &[&str]) -> Vec<String> {
        let output = self.command(program).args(args).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Every derivation in the store.
    pub fn derivations(&self) -> BTreeMap<StorePath, Vec<u8>> {
        fs::read_dir(self.root().join("nix/store"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".drv"))
            .map(|entry| {
                let path = entry.file_name().to_str().unwrap().parse().unwrap();
                (path, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    /// What the store knows, and its derivations.
    pub fn graph(&self) -> (BTreeMap<StorePath, GraphNode>, BTreeMap<StorePath, Derivation>) {
        let text = self.run("nix", &["path-info", "--json", "--all"]).concat();
        let infos: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let parse = |text: &Vec<u8>| Derivation::parse(text, &store()).unwrap();
        let drvs = self.derivations();
        let drvs = drvs.iter().map(|(path, text)| (path.clone(), parse(text))).collect();
        let nodes = infos
            .iter()
            .map(|info| {
                let references = info["references"].as_array().unwrap();
                let node = GraphNode {
                    nar_hash: NarHash::parse(info["narHash"].as_str().unwrap()).unwrap(),
                    nar_size: info["narSize"].as_u64().unwrap(),
                    references: references.iter().map(|r| stored(r.as_str().unwrap())).collect(),
                    content_address: info["ca"].as_str().map(str::to_owned),
                };
                (stored(info["path"].as_str().unwrap()), node)
            })
            .collect();
        (nodes, drvs)
    }
}

pub fn store() -> StoreDir {
    StoreDir::default()
}

pub fn stored(full: &str) -> StorePath {
    store().parse(full).unwrap()
}
