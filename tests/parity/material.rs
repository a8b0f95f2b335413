//! What the cases build with: busybox, the probes, and files to download.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::nix::Nix;
use super::web;

/// One case of the fixtures.
#[derive(Debug)]
pub struct Case {
    /// Its attribute.
    pub name: String,
    /// The row of the world it looks at.
    pub row: String,
    /// The derivation's store path.
    pub drv_path: String,
    /// If Nix does not build it: part of the reason that we must give.
    pub fails: Option<String>,
}

/// Puts the material into the store and evaluates all cases.
pub fn cases(nix: &Nix, dir: &Path, http: &str) -> Vec<Case> {
    let store = Stored::new(nix, dir);
    let tree = tree(dir);
    let hash = |algorithm: &str, path: &Path| Value::from(nix.hash(algorithm, path));
    let reference = dir.join("reference");
    fs::create_dir(&reference).unwrap();
    fs::write(reference.join("file"), format!("{}\n", store.bb)).unwrap();
    let executable = dir.join("executable");
    write_executable(&executable, "parity\n");
    let hashes = Value::from_iter([
        ("tree", hash("sha256", &tree)),
        ("treeSha1", hash("sha1", &tree)),
        ("treeMd5", hash("md5", &tree)),
        ("treeSha512", hash("sha512", &tree)),
        ("reference", hash("sha256", &reference)),
        ("executable", hash("sha256", &executable)),
    ]);
    let arguments = [
        ("bb", store.bb.as_str()),
        ("probe", &store.probe),
        ("probeFile", &store.probe_file),
        ("probe32", &store.probe32),
        ("http", http),
        ("hashes", &hashes.to_string()),
    ];
    let found = nix.evaluate(&fixtures(), &arguments);
    let cases = found.as_object().unwrap().iter().map(|(name, case)| Case {
        name: name.clone(),
        row: case["row"].as_str().unwrap().to_owned(),
        drv_path: case["drvPath"].as_str().unwrap().to_owned(),
        fails: case["fails"].as_str().map(str::to_owned),
    });
    cases.collect()
}

/// Serves what `builtin:fetchurl` downloads; returns the address.
pub fn serve(dir: &Path) -> String {
    let tree = tree(dir);
    let nar = dir.join("tree.nar");
    let dump = Command::new("nix-store").arg("--dump").arg(&tree).output().unwrap();
    fs::write(&nar, &dump.stdout).unwrap();
    assert!(Command::new("xz").args(["-k", "-f"]).arg(&nar).status().unwrap().success(), "xz runs");
    let packed = fs::read(dir.join("tree.nar.xz")).unwrap();
    web::serve(BTreeMap::from([
        ("/parity.txt", b"parity\n".to_vec()),
        ("/tree.nar", dump.stdout),
        ("/tree.nar.xz", packed),
    ]))
}

/// Store paths of the builders.
struct Stored {
    bb: String,
    probe: String,
    probe_file: String,
    probe32: String,
}

impl Stored {
    fn new(nix: &Nix, dir: &Path) -> Self {
        let bb = super::busybox::add(nix, dir);
        let probe = dir.join("probe");
        fs::create_dir_all(probe.join("bin")).unwrap();
        let program = probe.join("bin/probe");
        compile("probe.c", &program, &["-static", "-O1"]);
        symlink("probe", probe.join("bin/another-name")).unwrap();
        let script = format!("#!{bb}/bin/sh\necho \"$0\" \"$@\" > $out\necho $# >> $out\n");
        write_executable(&probe.join("bin/script"), &script);
        let probe_file = dir.join("probe-file");
        fs::copy(&program, &probe_file).unwrap();
        // No 32-bit headers or libraries are needed for this one.
        let bare = [
            "-m32",
            "-nostdlib",
            "-static",
            "-ffreestanding",
            "-fno-pie",
            "-no-pie",
            "-fno-stack-protector",
        ];
        let probe32 = dir.join("probe32");
        compile("probe32.c", &probe32, &[bare.as_slice(), &["-O1"]].concat());
        Self {
            bb,
            probe: nix.add(&probe),
            probe_file: nix.add(&probe_file),
            probe32: nix.add(&probe32),
        }
    }
}

fn compile(source: &str, target: &Path, flags: &[&str]) {
    let source = fixtures().join(source);
    let status = Command::new("gcc")
        .args(flags)
        .arg("-o")
        .arg(target)
        .arg(source)
        .status()
        .expect("gcc runs");
    assert!(status.success(), "gcc compiles {}", target.display());
}

/// The small tree that recursive fixed outputs have.
fn tree(dir: &Path) -> PathBuf {
    let tree = dir.join("tree");
    if !tree.exists() {
        fs::create_dir_all(tree.join("dir")).unwrap();
        write_executable(&tree.join("dir/file"), "parity\n");
        symlink("dir/file", tree.join("link")).unwrap();
    }
    tree
}

fn write_executable(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}
