//! Real Nix 2.8.0, in a store of its own, as the judge.
//!
//! A chroot store (`local?root=DIR`) keeps `/nix/store` paths without touching
//! the machine's own store. Builds run as root with build users and the
//! sandbox on, which is the world binary caches were filled from.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The version whose world these tests compare with.
const VERSION: &str = "2.8.0";

/// Experimental features the cases need.
const FEATURES: &str = "nix-command flakes ca-derivations";

/// The name of the key that signs what Nix builds.
const KEY_NAME: &str = "parity-1";

/// One store with its settings.
pub struct Nix {
    root: PathBuf,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

/// What Nix registered about one store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// `sha256:` and base 32.
    pub nar_hash: String,
    /// Bytes of the NAR.
    pub nar_size: u64,
    /// Full store paths.
    pub references: BTreeSet<String>,
}

/// Why real Nix can't be asked here, if it can't.
///
/// # Panics
/// Under CI, where it must be possible.
pub fn missing() -> Option<String> {
    let reason = why_missing()?;
    assert!(std::env::var_os("CI").is_none(), "CI compares with real Nix, but {reason}");
    eprintln!("skipped, not compared with real Nix: {reason}");
    Some(reason)
}

fn why_missing() -> Option<String> {
    let Ok(output) = Command::new("nix-store").arg("--version").output() else {
        return Some("nix-store is not installed".to_owned());
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !version.ends_with(VERSION) {
        return Some(format!("this is {version}, not {VERSION}"));
    }
    if !rustix::process::geteuid().is_root() {
        return Some("sandboxed builds with build users need root".to_owned());
    }
    let group = Command::new("getent").args(["group", "nixbld"]).output().expect("getent runs");
    let line = String::from_utf8_lossy(&group.stdout).trim().to_owned();
    if line.rsplit(':').next().is_none_or(str::is_empty) {
        return Some("there are no build users in the group nixbld".to_owned());
    }
    None
}

impl Nix {
    /// A new, empty store below `dir`.
    pub fn new(dir: &Path) -> Self {
        let secret = dir.join("key.secret");
        for part in ["root", "configuration", "home"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let mut nix = Self {
            root: dir.join("root"),
            settings: [
                ("sandbox", "true"),
                ("build-users-group", "nixbld"),
                ("substituters", ""),
                ("experimental-features", FEATURES),
                ("cores", "2"),
                ("max-jobs", "2"),
                ("sandbox-paths", ""),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            environment: Vec::new(),
        };
        for (name, value) in [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", text(&dir.join("home"))),
            ("NIX_CONF_DIR", text(&dir.join("configuration"))),
            ("NIX_USER_CONF_FILES", String::new()),
            ("NIX_REMOTE", format!("local?root={}", text(&nix.root))),
        ] {
            nix.environment.push((name.to_owned(), value));
        }
        nix.run(
            "nix-store",
            [
                "--generate-binary-cache-key",
                KEY_NAME,
                &text(&secret),
                &text(&dir.join("key.public")),
            ],
        );
        nix.set("secret-key-files", &text(&secret));
        nix
    }

    /// Changes a setting.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Sets a variable of the environment that `impureEnvVars` may let in.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The public key of what was built here.
    pub fn public_key(&self) -> String {
        fs::read_to_string(self.root.with_file_name("key.public")).unwrap()
    }

    /// Where a store path lies on the host.
    pub fn host_path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A command with nothing of the caller's environment but `PATH`.
    pub fn command<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments);
        for (name, value) in &self.settings {
            command.args(["--option", name, value]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed and returns what it printed.
    pub fn run<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> String {
        self.attempt(program, arguments)
            .unwrap_or_else(|error| panic!("{program} failed:\n{error}"))
    }

    /// Runs a command; the error is what it wrote to its standard error.
    pub fn attempt<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Result<String, String> {
        let output = self.command(program, arguments).output().expect("Nix runs");
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
        } else {
            Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Adds a file or directory to the store.
    pub fn add(&self, path: &Path) -> String {
        self.run("nix-store", ["--add", &text(path)])
    }

    /// The hash of a path's NAR, in base 16.
    pub fn hash(&self, algorithm: &str, path: &Path) -> String {
        self.run("nix-hash", ["--type", algorithm, &text(path)])
    }

    /// Evaluates a file to JSON, instantiating derivations on the way.
    pub fn evaluate(&self, file: &Path, arguments: &[(&str, &str)]) -> Value {
        let mut words =
            ["--eval", "--strict", "--json", "--read-write-mode"].map(str::to_owned).to_vec();
        for (name, value) in arguments {
            words.extend(["--argstr", name, value].map(str::to_owned));
        }
        words.push(text(file));
        serde_json::from_str(&self.run("nix-instantiate", words)).unwrap()
    }

    /// Builds all outputs of a derivation: their store paths by name, or what
    /// Nix said.
    pub fn build(&self, drv_path: &str) -> Result<BTreeMap<String, String>, String> {
        let built = self.attempt("nix", ["build", "--no-link", "--json", drv_path])?;
        let built: Value = serde_json::from_str(&built).unwrap();
        let outputs = built[0]["outputs"].as_object().unwrap();
        Ok(outputs
            .iter()
            .map(|(name, path)| (name.clone(), path.as_str().unwrap().to_owned()))
            .collect())
    }

    /// What is registered about every path of the store.
    pub fn everything(&self) -> BTreeMap<String, Info> {
        let all: Value =
            serde_json::from_str(&self.run("nix", ["path-info", "--json", "--all"])).unwrap();
        let infos = all.as_array().unwrap().iter().map(|entry| {
            let references = entry["references"].as_array().unwrap();
            let info = Info {
                nar_hash: entry["narHash"].as_str().unwrap().to_owned(),
                nar_size: entry["narSize"].as_u64().unwrap(),
                references: references
                    .iter()
                    .map(|path| path.as_str().unwrap().to_owned())
                    .collect(),
            };
            (entry["path"].as_str().unwrap().to_owned(), info)
        });
        infos.collect()
    }

    /// Copies the whole store, signed, into a binary cache, and with it how the
    /// content-addressed outputs of `derivations` were realised.
    pub fn publish(&self, cache: &Path, derivations: &[&str]) -> String {
        let secret = text(&self.root.with_file_name("key.secret"));
        let url = format!("file://{}", text(cache));
        let target = format!("{url}?compression=none");
        self.run("nix", ["store", "sign", "--all", "-k", &secret]);
        self.run("nix", ["copy", "--all", "--to", &target]);
        if !derivations.is_empty() {
            let words = ["copy", "--to", &target].into_iter().chain(derivations.iter().copied());
            self.run("nix", words);
        }
        url
    }
}

/// A path as text; test directories are always UTF-8.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
