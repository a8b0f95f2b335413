//! Both sides of a difference are kept, and an installed diffoscope is asked.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::nar;
use serde_json::Value;

/// The derivation of the quick start that contains the time of its build.
fn rebuild(state: &Path, path: &str, more: &[&str]) -> (i32, Value) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quickstart");
    let dated = fixtures.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let dated = dated.into_iter().find(|path| path.to_str().unwrap().ends_with("-dated-1.0.drv"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().env("PATH", path).arg("rebuild").arg(dated.unwrap());
    command.arg("--cache").arg(format!("file://{}/cache", fixtures.display()));
    command.arg("--trusted-keys-file").arg(fixtures.join("keys.txt"));
    command.arg("--state-dir").arg(state).args(["--offline", "--format", "json"]).args(more);
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

fn kept(report: &Value) -> &Value {
    let kept = report["run"]["differences"].as_array().unwrap();
    assert_eq!(kept.len(), 1);
    &kept[0]
}

#[test]
fn both_nars_are_kept_under_their_hashes() {
    let state = tempfile::tempdir().unwrap();
    let (code, report) = rebuild(state.path(), "/usr/bin:/bin", &[]);
    assert_eq!(code, 1);
    let claim = &report["facts"]["derivations"][0]["outputs"]["out"];
    let hashes = [&claim["claims"][0]["nar_hash"], &claim["nar_hash"]];
    for (side, nar_hash) in ["claimed_nar", "our_nar"].iter().zip(hashes) {
        let path = PathBuf::from(kept(&report)[side].as_str().unwrap());
        assert_eq!(path.parent().unwrap(), state.path().join("nars"));
        let bytes = std::fs::read(&path).unwrap();
        let name = Hash::of(HashAlgorithm::Sha256, &bytes).nix32();
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("{name}.nar"));
        assert_eq!(nar::check(bytes.as_slice()).unwrap().0.to_string(), *nar_hash);
    }
    assert_eq!(claim["claims"][0]["differences"][0]["class"], "timestamp");
    let (_, report) = rebuild(state.path(), "/usr/bin:/bin", &["--reproducible"]);
    assert!(!report.to_string().contains("/nars/"), "no path of this machine");
}

#[test]
fn diffoscope_writes_its_report_beside_them() {
    if !Path::new("/usr/bin/diffoscope").exists() {
        assert!(std::env::var_os("CI").is_none(), "CI asks diffoscope");
        eprintln!("skipped: diffoscope is not installed");
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    let (code, report) = rebuild(state.path(), path, &["--diffoscope"]);
    assert_eq!(code, 1);
    assert_eq!(report["coverage"]["inconclusive"], serde_json::json!([]), "{report:#}");
    let written = kept(&report)["diffoscope"].as_array().unwrap();
    let text = std::fs::read_to_string(written[0].as_str().unwrap()).unwrap();
    assert!(text.contains("--- claimed/") && text.contains("+++ ours/"), "{text}");
    let html = std::fs::read_to_string(written[1].as_str().unwrap()).unwrap();
    assert!(html.contains("<html"), "{html}");
    let left: Vec<_> = state.path().join("builds").read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_diffoscope_that_check_is_inconclusive() {
    let state = tempfile::tempdir().unwrap();
    let nothing = tempfile::tempdir().unwrap();
    let (code, report) = rebuild(state.path(), nothing.path().to_str().unwrap(), &["--diffoscope"]);
    assert_eq!(code, 1, "the difference is one all the same");
    let open = report["coverage"]["inconclusive"].as_array().unwrap();
    assert_eq!((open.len(), &open[0]["check"]), (1, &Value::from("diffoscope")));
    assert_eq!(open[0]["reason"], "environment");
    assert!(open[0]["detail"].as_str().unwrap().contains("no 'diffoscope' on the PATH"));
}

/// A file system that is torn down when dropped.
struct Mount(PathBuf);

impl Mount {
    /// One in which no file can be made.
    fn full(place: PathBuf) -> Self {
        let options = ["-t", "tmpfs", "-o", "nr_inodes=1,mode=700", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&place).status();
        assert!(mounted.unwrap().success());
        Self(place)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A full disk is our failure, exit code 2, and takes nothing from what is
/// known: the difference is in the report, and what was built waits for the
/// same command to be run again.
#[test]
fn a_disk_that_is_full_when_nars_are_kept_loses_nothing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root to mount a file system");
        return;
    }
    let state = tempfile::tempdir().unwrap();
    // Inputs are at hand from now on; only the two NARs are kept anew.
    assert_eq!(rebuild(state.path(), "/usr/bin:/bin", &[]).0, 1);
    let mount = Mount::full(state.path().join("downloads"));
    let (code, report) = rebuild(state.path(), "/usr/bin:/bin", &[]);
    assert_eq!(code, 2, "{report:#}");
    assert_eq!(report["subjects"][0]["status"], "differs");
    assert_eq!(report["findings"][0]["rule"], "output-differs");
    let troubles = report["troubles"].to_string();
    assert!(troubles.contains("no room is left"), "{troubles}");
    drop(mount);
    let (code, report) = rebuild(state.path(), "/usr/bin:/bin", &[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(report["run"]["resumed"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(
        kept(&report)["claimed_nar"].as_str().map(|path| Path::new(path).exists()),
        Some(true)
    );
}
