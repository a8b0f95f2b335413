//! `verify doctor` on this very machine.

use nix_verify::build::limits::Spare;
use nix_verify::command::doctor::LITTLE_DISK;

use super::*;

/// How a part is.
fn health<'r>(report: &'r Value, name: &str) -> &'r str {
    let parts = report["facts"]["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == name);
    part.unwrap_or_else(|| panic!("no {name} in {report}"))["health"].as_str().unwrap()
}

#[test]
fn a_machine_that_can_rebuild_is_told_so() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().to_str().unwrap();
    let (code, found) = report(&["doctor", "--offline", "--state-dir", state]);
    report_schema::check(&found, "doctor");
    assert_eq!(code, 0, "{found}");
    for part in ["platform", "canary", "keys"] {
        assert_eq!(health(&found, part), "works", "{part}");
    }
    // As the machine of the test has it.
    let spare = Spare::here(place.path(), 1).disk.unwrap();
    let enough = if spare < LITTLE_DISK { "limited" } else { "works" };
    assert_eq!(health(&found, "state directory"), enough, "{spare} bytes to spare");
    let cache = "cache https://cache.nixos.org";
    assert_eq!(health(&found, cache), "not asked");
    let not_run = found["coverage"]["not_run"].as_array().unwrap();
    assert!(not_run.iter().any(|left| left["check"] == cache), "{not_run:?}");
}

#[test]
fn what_lacks_is_named_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let file = file.to_str().unwrap();
    let (code, found) = report(&["doctor", "--offline", "--state-dir", file]);
    assert_eq!(code, 1, "{found}");
    assert_eq!(rules(&found)[0], "machine-lacks");
    assert_eq!(health(&found, "state directory"), "lacking");
    assert!(evidence(&found["findings"][0], "what to do").contains("--state-dir"));
    // A cache that was named has to answer.
    let state = place.path().join("state");
    let nowhere = "http://127.0.0.1:9/";
    let (code, found) =
        report(&["doctor", "--cache", nowhere, "--state-dir", state.to_str().unwrap()]);
    assert_eq!(code, 3, "{found}");
    assert_eq!(found["coverage"]["inconclusive"][0]["reason"], "unreachable");
    // No key came with it.
    assert_eq!(health(&found, "keys"), "limited");
}
