//! Real programs from source: the same outputs from Nix and from us, and an
//! honest `differs` where the source does not reproduce.
//!
//! Sources and compiler are downloads (`.ci/real-sources DIR`), so these tests
//! run only when asked: `REAL_SOURCES=DIR cargo test --release --test
//! parity real:: -- --ignored`. They need root, Nix and build users.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::busybox;
use super::nix::{self, Nix};
use super::ours::Rebuild;

/// Programs that reproduce.
const REPRODUCING: [&str; 4] = ["bzip2", "lua", "sqlite", "zlib"];

/// The program that does not, and the one file of its output that differs.
const STAMPED: (&str, &str) = ("stamped", "bin/lua");

/// A store with the compiler and the sources.
pub struct Workshop {
    pub nix: Nix,
    /// Derivations by attribute.
    pub drv_paths: BTreeMap<String, String>,
}

impl Workshop {
    pub fn new(dir: &Path) -> Self {
        let sources = PathBuf::from(
            std::env::var_os("REAL_SOURCES").expect("REAL_SOURCES names the sources"),
        );
        let nix = Nix::new(dir);
        let bb = busybox::add(&nix, dir);
        let add = |name: &str| nix.add(&sources.join(name).canonicalize().expect(name));
        let (zig, sqlite) = (add("zig"), add("sqlite"));
        let (lua, zlib, bzip2) = (add("lua.tar.gz"), add("zlib.tar.bz2"), add("bzip2.tar.gz"));
        let arguments = [
            ("bb", &bb),
            ("zig", &zig),
            ("lua", &lua),
            ("zlib", &zlib),
            ("bzip2", &bzip2),
            ("sqlite", &sqlite),
        ];
        let arguments = arguments.map(|(name, path)| (name, path.as_str()));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/real/default.nix");
        let found = nix.evaluate(&file, &arguments);
        let drv_paths = found.as_object().unwrap().iter();
        let drv_paths = drv_paths
            .map(|(name, path)| (name.clone(), path.as_str().unwrap().to_owned()))
            .collect();
        Self { nix, drv_paths }
    }
}

#[test]
#[ignore = "needs downloaded sources, takes minutes"]
fn programs_are_as_under_nix() {
    assert!(nix::missing().is_none(), "needs real Nix");
    let dir = tempfile::tempdir().unwrap();
    let workshop = Workshop::new(dir.path());
    let nix = &workshop.nix;
    let built: BTreeMap<&str, BTreeMap<String, String>> = workshop
        .drv_paths
        .iter()
        .map(|(name, drv_path)| {
            (name.as_str(), nix.build(drv_path).unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    let url = nix.publish(&dir.path().join("cache"), &[]);
    let registered = nix.everything();
    let rebuild = Rebuild {
        nix,
        cache: &url,
        state: dir.path().join("state"),
        options: Vec::new(),
        variables: Vec::new(),
    };

    let wanted: Vec<&str> =
        REPRODUCING.iter().map(|name| workshop.drv_paths[*name].as_str()).collect();
    let (report, outcomes) = rebuild.run(&wanted);
    assert_eq!(report["verdict"]["exit_code"], 0, "{:#}", report["findings"]);
    for name in REPRODUCING {
        let output = &outcomes[&workshop.drv_paths[name]].outputs["out"];
        assert_eq!(output.info.as_ref(), Some(&registered[&built[name]["out"]]), "{name}");
        assert!(output.confirmed, "{name}");
        eprintln!("{name}: {} from Nix and from us", registered[&built[name]["out"]].nar_hash);
    }

    let (name, file) = STAMPED;
    let (report, _) = rebuild.run(&[&workshop.drv_paths[name]]);
    assert_eq!(report["verdict"]["exit_code"], 1);
    assert_eq!(report["subjects"][0]["status"], "differs");
    let findings = report["findings"].to_string();
    assert!(findings.contains(file), "names {file}: {findings}");
    assert!(!findings.contains("share/README"), "names only what differs: {findings}");
    eprintln!("{name}: differs in {file}");
}
