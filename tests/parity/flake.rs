//! The flake evaluates, with a stub in the place of nixpkgs and no network.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::nix::{Nix, text};

/// Where the flake must build.
const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];

#[test]
fn evaluates_offline() {
    if super::nix::missing().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let nix = Nix::new(dir.path());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A copy without target/, which Nix would take for part of the source.
    let copy = dir.path().join("flake");
    fs::create_dir(&copy).unwrap();
    for file in ["flake.nix", "Cargo.toml", "Cargo.lock"] {
        fs::copy(here.join(file), copy.join(file)).unwrap();
    }
    let stub = format!("path:{}", text(&here.join("tests/fixtures/flake-stub")));
    let flake = format!("path:{}", text(&copy));
    let ask = |words: &[&str], what: &str| {
        let offline = ["--offline", "--no-write-lock-file", "--override-input", "nixpkgs", &stub];
        let target = format!("{flake}{what}");
        nix.run("nix", words.iter().chain(&offline).chain(&[target.as_str()]))
    };
    ask(&["flake", "check", "--no-build"], "");
    let shown: Value = serde_json::from_str(&ask(&["flake", "show", "--json"], "")).unwrap();
    let version = format!("{}-{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    for system in SYSTEMS {
        assert_eq!(shown["packages"][system]["default"]["name"], version);
        assert_eq!(shown["packages"][system]["verify"]["name"], version);
        assert_eq!(shown["apps"][system]["default"]["type"], "app");
        assert_eq!(shown["devShells"][system]["default"]["type"], "derivation");
        assert_eq!(shown["checks"][system]["verify"]["type"], "derivation");
        let program = ask(&["eval", "--raw"], &format!("#apps.{system}.default.program"));
        assert!(program.ends_with("/bin/verify"), "{program}");
    }
}
