//! A build that is not the same twice: `differs`, and which file is to blame.

use std::path::Path;

use super::nix::Nix;
use super::ours::Rebuild;
use super::{busybox, nix};

#[test]
fn the_right_file_is_named() {
    if nix::missing().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let nix = Nix::new(dir.path());
    let bb = busybox::add(&nix, dir.path());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/unstable.nix");
    let found = nix.evaluate(&file, &[("bb", &bb)]);
    let drv_path = found["unstable"].as_str().unwrap();
    nix.build(drv_path).unwrap();
    let url = nix.publish(&dir.path().join("cache"), &[]);
    let rebuild = Rebuild {
        nix: &nix,
        cache: &url,
        state: dir.path().join("state"),
        options: Vec::new(),
        variables: Vec::new(),
    };
    let (report, _) = rebuild.run(&[drv_path]);
    assert_eq!(report["verdict"]["exit_code"], 1);
    assert_eq!(report["subjects"][0]["status"], "differs");
    let evidence = report["findings"][0]["evidence"].as_array().unwrap();
    let files: Vec<&str> = evidence
        .iter()
        .filter(|item| item["label"] == "file")
        .map(|item| item["value"].as_str().unwrap())
        .collect();
    assert_eq!(files.len(), 1);
    assert!(
        files[0].starts_with("dir/stamp: other contents (27 bytes claimed, 27 in ours)"),
        "{files:?}"
    );
}
