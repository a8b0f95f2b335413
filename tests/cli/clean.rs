//! `verify clean` and the state directory.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn leftovers_go_and_strangers_stay() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("cache/verify");
    let path = state.to_str().unwrap();
    // Nothing is made just to clean it.
    assert_eq!(report(&["clean", "--state-dir", path]).0, 0);
    assert!(!state.exists());

    drop(nix_verify::state::StateDir::open(&state).unwrap());
    assert_eq!(state.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let locked = state.join("builds/left/inside");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::write(locked.join("file"), b"x").unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::os::unix::fs::symlink(place.path(), state.join("builds/left/link")).unwrap();

    let (_, would) = report(&["clean", "--state-dir", path, "--dry-run"]);
    assert_eq!(would["facts"]["removed"], serde_json::json!(["builds/left"]));
    assert!(locked.exists());
    let mut by_default = command(&["clean", "--format", "json"]);
    by_default.env("XDG_CACHE_HOME", place.path().join("cache"));
    let did = Ran::of(by_default).json();
    assert_eq!(did["facts"]["removed"], would["facts"]["removed"]);
    assert!(!state.join("builds/left").exists() && state.exists());

    std::fs::write(place.path().join("letter"), b"dear").unwrap();
    let ran = verify(&["clean", "--all", "--state-dir", place.path().to_str().unwrap()]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(place.path().join("letter").exists());
}

#[test]
fn what_is_in_use_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let state = nix_verify::state::StateDir::open(place.path()).unwrap();
    let path = place.path().to_str().unwrap();
    let ran = verify(&["clean", "--all", "--state-dir", path]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.err.contains("in use"), "{}", ran.err);
    drop(state);
    assert_eq!(verify(&["clean", "--all", "--state-dir", path]).code, 0);
}
