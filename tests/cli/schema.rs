//! Real output against the published schema.

use super::*;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The published schema lets readers meet fields that are added later. Our own
/// output may have no field that it does not name.
fn closed(mut schema: Value) -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Object(object) => {
                let names_all = object.contains_key("properties") && object.contains_key("type");
                if names_all && !object.contains_key("additionalProperties") {
                    object.insert("additionalProperties".to_owned(), false.into());
                }
                object.values_mut().for_each(close);
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    close(&mut schema);
    schema
}

/// Fails with every place that breaks the schema.
pub(super) fn check(report: &Value, what: &str) {
    for (name, schema) in [("published", schema()), ("closed", closed(schema()))] {
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{what}, {name} schema:\n{}", errors.join("\n"));
    }
}

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
    assert!(jsonschema::validator_for(&schema()).unwrap().is_valid(&report));
    assert!(!jsonschema::validator_for(&closed(schema())).unwrap().is_valid(&report));
    report["version"] = 2.into();
    assert!(!jsonschema::validator_for(&schema()).unwrap().is_valid(&report));
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
