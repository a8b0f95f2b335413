//! Derivations, a signed cache and the real binary.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix_verify::gather::nar::tree;
use nix_verify::nix::content_address::{ContentAddress, Method, References};
use nix_verify::nix::derivation::{Derivation, Output, OutputPathCheck, check_paths};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};
use serde_json::Value;

use super::made::{Said, publish};

const BUSYBOX: &str = "/bin/busybox";

const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "date", "echo", "find", "grep", "ln", "ls", "mkdir", "mkfifo", "mv",
    "rm", "sh", "sleep", "sort", "stat", "touch", "truncate", "yes",
];

/// Who runs the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

pub const ROOT: User = User { uid: 0, gid: 0 };
/// A user without subordinate ids on every machine.
pub const NOBODY: User = User { uid: 65534, gid: 65534 };

pub struct Workshop {
    place: tempfile::TempDir,
    store_dir: StoreDir,
    key: SecretKey,
    pub tools: StorePath,
    binary: PathBuf,
}

/// A derivation that was made.
#[derive(Clone)]
pub struct Made {
    pub drv_path: StorePath,
    pub out: Option<StorePath>,
}

impl Made {
    pub fn out(&self) -> &StorePath {
        self.out.as_ref().unwrap()
    }
}

pub struct Outcome {
    pub code: i32,
    pub report: Value,
    pub stderr: String,
}

impl Workshop {
    /// `None`, and a word about it, where builds cannot be tried.
    pub fn new() -> Option<Self> {
        if !Path::new(BUSYBOX).exists() || !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root and {BUSYBOX} (install busybox-static)");
            return None;
        }
        let place = tempfile::tempdir_in("/tmp").unwrap();
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        open(place.path(), 0o755);
        let binary = place.path().join("verify");
        std::fs::copy(env!("CARGO_BIN_EXE_verify"), &binary).unwrap();
        std::fs::create_dir_all(place.path().join("cache/nar")).unwrap();
        std::fs::write(place.path().join("cache/nix-cache-info"), "StoreDir: /nix/store\n")
            .unwrap();
        let bin = place.path().join("tools/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
        open(&bin.join("busybox"), 0o555);
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_builders/attacks.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-static", "-no-pie", "-o"])
            .args([&bin.join("attacks"), &source])
            .stderr(Stdio::null())
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            eprintln!("cc cannot make a static program: no attacks");
        }
        let key = SecretKey::from_seed("workshop-1".parse().unwrap(), &[7; 32]);
        let tools = StorePath::new([0; 20], "tools").unwrap();
        let mut made = Self { place, store_dir: StoreDir::default(), key, tools, binary };
        let tree = made.place.path().join("tools");
        made.tools = made.publish_source(&tree, "tools");
        Some(made)
    }

    pub fn has_attacks(&self) -> bool {
        self.place.path().join("tools/bin/attacks").exists()
    }

    /// The tree of the tools as they are on the host.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Publishes a tree under the path that follows from its content.
    pub fn publish_source(&self, tree: &Path, name: &str) -> StorePath {
        let mut nar = Vec::new();
        tree::dump(tree, &mut nar).unwrap();
        let hash = Hash::of(HashAlgorithm::Sha256, &nar);
        let address = ContentAddress::new(Method::Recursive, hash).unwrap();
        let path = address.store_path(&self.store_dir, name, &References::default()).unwrap();
        self.publish(&path, &nar);
        path
    }

    /// Claims, signed, that `path` holds the tree at `tree`.
    pub fn claim(&self, path: &StorePath, tree: &Path) {
        let mut nar = Vec::new();
        tree::dump(tree, &mut nar).unwrap();
        self.publish(path, &nar);
    }

    /// Claims that `path` is a file of that content.
    pub fn claim_text(&self, path: &StorePath, content: &str) {
        let file = self.place.path().join("claimed");
        std::fs::write(&file, content).unwrap();
        self.claim(path, &file);
    }

    fn publish(&self, path: &StorePath, nar: &[u8]) {
        let said = Said { key: Some(&self.key), ..Said::default() };
        publish(&self.place.path().join("cache"), &self.store_dir, path, nar, said);
    }

    /// A derivation that runs `script`.
    pub fn script(&self, name: &str, script: &str) -> Made {
        self.make(name, &format!("/nix/store/{}/bin/sh", self.tools), &["-c", script], |_| ())
    }

    /// A derivation that runs one attack.
    pub fn attack(&self, name: &str, arguments: &[&str]) -> Made {
        let program = format!("/nix/store/{}/bin/attacks", self.tools);
        self.make(name, &program, arguments, |_| ())
    }

    /// A derivation that builds on another one.
    pub fn make_on(&self, name: &str, builder: &str, arguments: &[&str], input: &Made) -> Made {
        self.make(name, builder, arguments, |derivation| {
            let outputs = BTreeSet::from(["out".to_owned()]).into();
            derivation.input_drvs.insert(input.drv_path.clone(), outputs);
        })
    }

    /// A fixed output of that content, fetched by something built on `input`.
    pub fn fixed(&self, name: &str, content: &str, input: &Made) -> Made {
        let hash = Hash::of(HashAlgorithm::Sha256, content.as_bytes());
        let address = ContentAddress::new(Method::Flat, hash).unwrap();
        let path = address.store_path(&self.store_dir, name, &References::default()).unwrap();
        let made = self.make(name, "/no/fetcher", &[], |derivation| {
            let output = Output::Fixed { path: path.clone(), method: Method::Flat, hash };
            derivation.outputs.insert("out".to_owned(), output);
            derivation.env.insert("out".into(), self.store_dir.full(&path).into());
            let outputs = BTreeSet::from(["out".to_owned()]).into();
            derivation.input_drvs.insert(input.drv_path.clone(), outputs);
        });
        Made { out: Some(path), ..made }
    }

    /// A derivation, with its paths put right after `change`.
    pub fn make(
        &self,
        name: &str,
        builder: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut Derivation),
    ) -> Made {
        let text = |text: &str| text.as_bytes().to_vec();
        let mut derivation = Derivation {
            outputs: [("out".to_owned(), Output::Deferred)].into(),
            input_drvs: BTreeMap::new(),
            input_srcs: BTreeSet::from([self.tools.clone()]),
            platform: format!("{}-linux", std::env::consts::ARCH).into_bytes(),
            builder: text(builder),
            args: arguments.iter().map(|argument| text(argument)).collect(),
            env: BTreeMap::from([
                (text("PATH"), format!("/nix/store/{}/bin", self.tools).into_bytes()),
                (text("name"), text(name)),
                (text("out"), Vec::new()),
            ]),
        };
        change(&mut derivation);
        let drv_path = derivation.drv_path(name, &self.store_dir).unwrap();
        let below: BTreeMap<StorePath, Derivation> = derivation
            .input_drvs
            .keys()
            .map(|path| {
                let text = std::fs::read(self.place.path().join(path.to_string())).unwrap();
                (path.clone(), Derivation::parse(&text, &self.store_dir).unwrap())
            })
            .collect();
        let report = check_paths(&derivation, &drv_path, &self.store_dir, &below).unwrap();
        let out = match &report.outputs["out"] {
            OutputPathCheck::NeedlesslyDeferred { expected } => {
                let path = expected.clone();
                derivation
                    .outputs
                    .insert("out".to_owned(), Output::InputAddressed { path: path.clone() });
                derivation.env.insert(text("out"), text(&self.store_dir.full(&path)));
                Some(path)
            }
            _ => None,
        };
        let drv_path = derivation.drv_path(name, &self.store_dir).unwrap();
        self.write(&drv_path.to_string(), &derivation.to_aterm(&self.store_dir));
        Made { drv_path, out }
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.place.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    /// Rebuilds as `user`; builds lie in a state directory of that user's.
    pub fn rebuild(&self, user: User, made: &Made, options: &[&str]) -> Outcome {
        self.rebuild_file(user, &self.place.path().join(made.drv_path.to_string()), options)
    }

    pub fn rebuild_file(&self, user: User, file: &Path, options: &[&str]) -> Outcome {
        self.run(user, "/usr/bin:/bin", file, options)
    }

    pub fn rebuild_with_path(&self, path: &str, made: &Made, options: &[&str]) -> Outcome {
        let file = self.place.path().join(made.drv_path.to_string());
        self.run(ROOT, path, &file, options)
    }

    fn run(&self, user: User, path: &str, file: &Path, options: &[&str]) -> Outcome {
        let state = self.state(user);
        if !state.exists() {
            std::fs::create_dir(&state).unwrap();
            std::os::unix::fs::chown(&state, Some(user.uid), Some(user.gid)).unwrap();
        }
        let output = Command::new(&self.binary)
            .env_clear()
            .env("PATH", path)
            .current_dir("/")
            .uid(user.uid)
            .gid(user.gid)
            .arg("rebuild")
            .arg(file)
            .arg("--cache")
            .arg(format!("file://{}/cache", self.place.path().display()))
            .arg("--trusted-key")
            .arg(self.key.public_key().to_string())
            .arg("--state-dir")
            .arg(state.join("s"))
            .args(["--offline", "--format", "json"])
            .args(options)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Outcome { code: output.status.code().unwrap_or(-1), report, stderr }
    }

    pub fn state(&self, user: User) -> PathBuf {
        self.place.path().join(format!("state-{}", user.uid))
    }
}

impl Outcome {
    pub fn status(&self) -> &str {
        self.report.pointer("/subjects/0/status").and_then(Value::as_str).unwrap_or("none")
    }

    #[track_caller]
    pub fn assert(&self, code: i32, status: &str) {
        let found = (self.code, self.status());
        assert_eq!(found, (code, status), "{:#}\n{}", self.report, self.stderr);
    }

    pub fn rules(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
    }

    pub fn details(&self) -> String {
        self.report["coverage"]["inconclusive"].to_string()
    }

    /// What the builder wrote.
    pub fn log(&self) -> String {
        let builds = self.report.pointer("/run/builds").and_then(Value::as_object);
        let logs = builds.into_iter().flatten().filter_map(|(_, build)| build["log"].as_str());
        logs.map(|log| String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()).collect()
    }
}
