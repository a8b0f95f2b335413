//! Real output against the published schema.

use super::report_schema::{check, closed, published};
use super::*;

#[test]
fn every_fixture_gives_a_valid_report() {
    let mut count = 0;
    for kind in ["nar", "narinfo", "lock", "drv/go-nix", "drv/nix", "drv/nix-ca", "drv/nix-ia"] {
        for entry in fixtures().join(kind).read_dir().unwrap() {
            let path = entry.unwrap().path();
            let wanted = ["nar", "narinfo", "drv", "lock"];
            if !path.extension().is_some_and(|e| wanted.iter().any(|one| e == *one)) {
                continue;
            }
            let path = path.to_str().unwrap();
            let (_, report) = report(&["inspect", path]);
            check(&report, path);
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn nars_held_against_each_other_give_valid_reports() {
    for (against, code) in [("nar/case.nar", 0), ("nar/simple.nar", 1), ("lock/none", 2)] {
        let ran = verify(&["inspect", "nar/case.nar", "--against", against, "--format", "json"]);
        assert_eq!(ran.code, code, "{}", ran.all());
        if code < 2 {
            check(&ran.json(), against);
        }
    }
}

#[test]
fn clean_and_reproducible_reports_are_valid() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    let (_, cleaned) = report(&["clean", "--state-dir", state.to_str().unwrap()]);
    check(&cleaned, "clean");
    assert!(cleaned["run"].is_object());
    let (_, bare) = report(&["inspect", "nar/case.nar", "--reproducible"]);
    check(&bare, "reproducible");
    assert!(bare.get("run").is_none());
}

#[test]
fn the_closed_schema_refuses_what_it_does_not_name() {
    let (_, mut report) = report(&["inspect", "nar/case.nar"]);
    check(&report, "as it is");
    report["subjects"][0]["surprise"] = 1.into();
    assert!(jsonschema::validator_for(&published()).unwrap().is_valid(&report));
    assert!(!jsonschema::validator_for(&closed(published())).unwrap().is_valid(&report));
    report["version"] = 2.into();
    assert!(!jsonschema::validator_for(&published()).unwrap().is_valid(&report));
}

#[test]
fn a_rebuild_gives_a_valid_report() {
    let place = tempfile::tempdir().unwrap();
    let cache = format!("file://{}", fixtures().join("quickstart/cache").display());
    let targets: Vec<String> = fixtures()
        .join("quickstart")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|path| path.ends_with(".drv"))
        .collect();
    let mut arguments = vec!["rebuild", "--cache", &cache];
    arguments.extend(["--trusted-keys-file", "quickstart/keys.txt"]);
    arguments.extend(["--state-dir", place.path().to_str().unwrap()]);
    arguments.extend(targets.iter().map(String::as_str));
    let (code, report) = report(&arguments);
    assert_eq!(code, 1, "{report}");
    check(&report, "rebuild");
}
