//! Every kind of non-determinism gets its class.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::nix::{Nix, text};
use super::{busybox, material, nix};

/// Where the claim was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// In Nix's sandbox, with other cores than ours.
    Sandbox,
    /// Without a sandbox: another directory, host name and user.
    Outside,
}

/// One case: its attribute, where the claim is built, the class we must find,
/// and part of the evidence.
const CASES: [(&str, Where, &str, &str); 22] = [
    ("dateText", Where::Sandbox, "timestamp", "date in text"),
    ("epochText", Where::Sandbox, "timestamp", "number of seconds"),
    ("epochBinary", Where::Sandbox, "timestamp", "32-bit little-endian number of seconds"),
    ("buildPathText", Where::Outside, "build-path", "directory of the build"),
    ("buildPathDebug", Where::Outside, "build-path", "directory of the build"),
    ("randomHex", Where::Sandbox, "randomness", "hexadecimal digits"),
    ("randomBytes", Where::Sandbox, "randomness", "bytes without any pattern"),
    ("randomUuid", Where::Sandbox, "randomness", "UUID"),
    ("randomName", Where::Sandbox, "randomness", "letters without any pattern"),
    ("directoryOrder", Where::Sandbox, "ordering", "order of lines"),
    ("hashOrder", Where::Sandbox, "ordering", "order of"),
    ("hostName", Where::Outside, "build-host", "host name of the machine"),
    ("userId", Where::Outside, "build-host", "user id of the machine"),
    ("coreCount", Where::Sandbox, "build-host", "number of cores of the machine"),
    ("zipDates", Where::Sandbox, "timestamp", "in the zip archive"),
    ("arDates", Where::Sandbox, "timestamp", "modification time in the ar archive"),
    ("arOrder", Where::Sandbox, "ordering", "order of the members of the ar archive"),
    ("gzipDate", Where::Sandbox, "timestamp", "modification time in the gzip header"),
    ("gzipLevel", Where::Sandbox, "compression", "gzip"),
    ("tarOwner", Where::Outside, "build-host", "user id in the tar archive"),
    ("uninitialised", Where::Outside, "randomness", "addresses of memory"),
    ("linkOrder", Where::Sandbox, "link-order", "order in which object files were linked"),
];

#[test]
fn every_kind_gets_its_class() {
    if nix::missing().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut nix = Nix::new(dir.path());
    assert!(Path::new("/nix").is_dir(), "builds without a sandbox need the directory /nix");
    let bb = busybox::add(&nix, dir.path());
    let tools = material::tools(&nix, dir.path(), &bb);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/default.nix");
    let found = nix.evaluate(&fixtures, &[("bb", &bb), ("tools", &tools)]);
    let drv_paths: BTreeMap<&str, &str> =
        CASES.iter().map(|case| (case.0, found[case.0].as_str().unwrap())).collect();

    // The claims: other cores, another file system, and for some no sandbox.
    nix.set("sandbox-paths", &format!("/bin/sh={}", busybox::PATH));
    nix.set("cores", "7");
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    nix.set_variable("TMPDIR", shared.path().to_str().unwrap());
    for (name, place, ..) in CASES {
        match place {
            Where::Sandbox => {
                drop(nix.build(drv_paths[name]).unwrap_or_else(|e| panic!("{name}: {e}")))
            }
            Where::Outside => build_outside(&mut nix, dir.path(), drv_paths[name]),
        }
    }
    let url = nix.publish(&dir.path().join("cache"), &[]);

    let targets: Vec<&str> = drv_paths.values().copied().collect();
    let report = rebuild(&nix, &url, &dir.path().join("state"), &targets);
    assert_eq!(report["verdict"]["exit_code"], 1);
    let mut wrong = Vec::new();
    for (name, _, class, what) in CASES {
        let facts = difference(&report, drv_paths[name]);
        eprintln!(
            "{name}: {} {}, explained: {}",
            facts["class"], facts["classes"], facts["explained"]
        );
        let clues = facts["entries"].as_array().into_iter().flatten();
        let clues = clues.flat_map(|entry| entry["clues"].as_array().unwrap());
        let seen = clues
            .clone()
            .any(|clue| clue["class"] == class && clue["what"].as_str().unwrap().contains(what));
        if facts["class"] != class || !seen {
            wrong.push(format!("{name}: {class} ({what}) expected, but found {facts:#}"));
        }
    }
    eprintln!("{} of {} kinds have the right class", CASES.len() - wrong.len(), CASES.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Builds without a sandbox. Nix always has one where its store is not at
/// `/nix/store`, so it sees ours there, in a mount namespace of its own.
fn build_outside(nix: &mut Nix, dir: &Path, drv_path: &str) {
    nix.set("sandbox", "false");
    let inner = nix.command("nix-store", ["--realise", drv_path]);
    nix.set("sandbox", "true");
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /nix && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(dir.join("root/nix"));
    command.arg(inner.get_program()).args(inner.get_args());
    let variables = inner.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).env("NIX_REMOTE", "local");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{drv_path}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The report of our rebuild, with two cores.
fn rebuild(nix: &Nix, cache: &str, state: &Path, drv_paths: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.arg("rebuild").args(drv_paths.iter().map(|path| nix.host_path(path)));
    command.args(["--world", "nix-2.8", "--cores", "2", "--format", "json"]);
    command.args(["--cache", cache, "--trusted-key", nix.public_key().trim()]);
    command.args(["--shell", busybox::PATH, "--state-dir", &text(state)]);
    let output = command.env_remove("CI").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no report ({error}), {}:\n{said}", output.status))
}

/// How the output of a derivation differs from the claim.
fn difference(report: &Value, drv_path: &str) -> Value {
    let derivations = report["facts"]["derivations"].as_array().unwrap();
    let facts = derivations.iter().find(|facts| facts["drv_path"] == drv_path).unwrap();
    let claims = facts["outputs"]["out"]["claims"].as_array().unwrap();
    let claim = claims.first().unwrap_or_else(|| panic!("no claim: {facts:#}"));
    assert_eq!(claim["equal"], false, "{drv_path} differs: {facts:#}");
    claim["differences"][0].clone()
}
