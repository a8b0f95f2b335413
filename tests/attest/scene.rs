//! A rebuild that really took place, keys, and the binary.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix_verify::nix::signature::SecretKey;
use serde_json::Value;
use tempfile::TempDir;

/// An output of the fixtures that reproduces.
pub const GREETING: &str = "/nix/store/s331z3al5w7q0qy2vpig2jfcmy0br50q-greeting-1.0";

/// One that differs from what its cache claims.
pub const DATED: &str = "/nix/store/v9ydzsllzsfmq7g2bzy2iffhb79g7gvw-dated-1.0";

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickstart")
}

/// The report of the quick start's rebuild: outputs that reproduce, one that
/// differs and one that is forged.
pub fn rebuild_report() -> &'static str {
    static REPORT: OnceLock<String> = OnceLock::new();
    REPORT.get_or_init(|| {
        let scene = Scene::new();
        let mut drvs: Vec<String> = fixtures()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
            .filter(|path| path.ends_with(".drv"))
            .collect();
        drvs.sort();
        let cache = format!("file://{}", fixtures().join("cache").display());
        let keys = fixtures().join("keys.txt");
        let mut arguments = vec!["rebuild", "--cache", &cache, "--state-dir", "state"];
        arguments.extend(["--trusted-keys-file", keys.to_str().unwrap(), "--format", "json"]);
        arguments.extend(drvs.iter().map(String::as_str));
        let ran = scene.verify(&arguments);
        assert_eq!(ran.code, 1, "{}", ran.err);
        ran.out
    })
}

/// A secret key with a fixed seed.
pub fn key(name: &str, seed: u8) -> SecretKey {
    SecretKey::from_seed(name.parse().unwrap(), &[seed; 32])
}

/// What a run left.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.err))
    }
}

/// A directory of one's own.
pub struct Scene(TempDir);

impl Scene {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With the report and a key `ci-1`.
    pub fn with_report() -> Self {
        let scene = Self::new();
        scene.write("rebuild.json", rebuild_report());
        scene.write_key("ci.secret", &key("ci-1", 1));
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write_key(&self, name: &str, key: &SecretKey) {
        self.write(name, key.to_secret_text() + "\n");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), private).unwrap();
    }

    /// Runs the binary here, with nothing in its environment.
    pub fn verify(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_verify"))
            .args(arguments)
            .env_clear()
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks `file` with the key `ci-1`, with a report in JSON that keeps to
    /// the schema.
    #[track_caller]
    pub fn check(&self, file: &str, more: &[&str]) -> (i32, Value) {
        let trusted = key("ci-1", 1).public_key().to_string();
        let mut arguments = vec!["attest", "verify", file, "--trusted-key", &trusted];
        arguments.extend(["--format", "json"]);
        arguments.extend(more);
        let ran = self.verify(&arguments);
        let report = ran.json();
        super::schema::check(&report, "the report");
        (ran.code, report)
    }
}

/// The subject of that name in a report.
#[track_caller]
pub fn subject<'r>(report: &'r Value, name: &str) -> &'r Value {
    let subjects = report["facts"]["subjects"].as_array().unwrap();
    subjects.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{report:#}"))
}

/// The rules of the findings.
pub fn rules(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
}
