//! What is signed is what the report holds, and nothing better.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::scene::{DATED, GREETING, Scene, rebuild_report, rules, subject};

/// Something done to a report.
type Edit = Box<dyn Fn(&mut Value)>;

/// The statement in a file of one envelope.
fn statement(line: &str) -> Value {
    let envelope: Value = serde_json::from_str(line).unwrap();
    let payload = BASE64.decode(envelope["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn failures_are_attested_like_successes() {
    let scene = Scene::with_report();
    let ran = scene.verify(&[
        "attest",
        "make",
        "rebuild.json",
        "--key",
        "ci.secret",
        "--output",
        "a.jsonl",
        "--report",
        "made.json",
    ]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("ci-1") && ran.err.contains("PASS"), "{}", ran.err);
    let made: Value = serde_json::from_str(&scene.read("made.json")).unwrap();
    super::schema::check(&made, "the report");
    // On standard output it is the same.
    let again = scene.verify(&["attest", "make", "rebuild.json", "--key", "ci.secret", "--quiet"]);
    assert_eq!(again.out, scene.read("a.jsonl"));
    assert!(again.err.starts_with("PASS"), "{}", again.err);

    let (code, report) = scene.check("a.jsonl", &[]);
    assert_eq!(code, 1);
    assert_eq!(rules(&report), ["attested-failure", "attested-failure"]);
    let good = subject(&report, GREETING);
    assert_eq!((&good["verdict"], &good["attested_by"][0]), (&"pass".into(), &"ci-1".into()));
    assert_eq!(subject(&report, DATED)["status"], "failed");
}

#[test]
fn the_predicate_keeps_to_its_schema() {
    let scene = Scene::with_report();
    let made = scene.verify(&["attest", "make", "rebuild.json", "--key", "ci.secret"]);
    let statement = statement(&made.out);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/rebuild-predicate-v1.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(statement["predicateType"], schema["$id"]);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let predicate = &statement["predicate"];
    let errors: Vec<String> = validator
        .iter_errors(predicate)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // Everything that is said of a store object can be found by its NAR hash.
    let report: Value = serde_json::from_str(rebuild_report()).unwrap();
    let derivations = report["facts"]["derivations"].as_array().unwrap();
    let mut count = 0;
    for output in derivations.iter().flat_map(|one| one["outputs"].as_object().unwrap().values()) {
        for content in output["claims"].as_array().unwrap().iter().chain([output]) {
            let asked = format!(
                "{}={}",
                content["path"].as_str().unwrap(),
                content["nar_hash"].as_str().unwrap()
            );
            scene.write("a.jsonl", &made.out);
            let (_, found) = scene.check("a.jsonl", &["--subject", &asked]);
            assert_eq!(found["facts"]["subjects"].as_array().unwrap().len(), 1, "{asked}");
            count += 1;
        }
    }
    assert!(count > 6, "{count}");
}

/// Every edit that makes a report say something better than its evidence does
/// is refused, with nothing written.
#[test]
fn edited_reports_are_not_signed() {
    let dated = |report: &mut Value, edit: &dyn Fn(&mut Value)| {
        let derivations = report["facts"]["derivations"].as_array_mut().unwrap();
        let found = derivations.iter_mut().find(|one| one["outputs"]["out"]["path"] == DATED);
        edit(&mut found.unwrap()["outputs"]["out"]);
    };
    let passed = |report: &mut Value| {
        let subjects = report["subjects"].as_array_mut().unwrap();
        let one = subjects.iter_mut().find(|one| one["id"] == DATED).unwrap();
        one["verdict"] = "pass".into();
        one["status"] = "reproduced".into();
    };
    let edits: Vec<(&str, Edit)> = vec![
        ("a better verdict", Box::new(|report| report["verdict"]["result"] = "pass".into())),
        ("a better exit code", Box::new(|report| report["verdict"]["exit_code"] = 0.into())),
        ("no findings", Box::new(|report| report["findings"] = Value::Array(Vec::new()))),
        ("a subject that passes", Box::new(passed)),
        (
            "and its claim equal",
            Box::new(move |report| {
                passed(report);
                dated(report, &|output| output["claims"][0]["equal"] = true.into());
            }),
        ),
        (
            "and no claim",
            Box::new(move |report| {
                passed(report);
                dated(report, &|output| output["claims"] = Value::Array(Vec::new()));
            }),
        ),
        (
            "and a claim of no standing",
            Box::new(move |report| {
                passed(report);
                dated(report, &|output| output["claims"][0]["standing"] = "Trusted".into());
            }),
        ),
        (
            "and fixed by a hash that there is not",
            Box::new(move |report| {
                passed(report);
                let subjects = report["subjects"].as_array_mut().unwrap();
                let one = subjects.iter_mut().find(|one| one["id"] == DATED).unwrap();
                one["status"] = "fixed-by-hash".into();
                dated(report, &|output| output["claims"] = Value::Array(Vec::new()));
            }),
        ),
        (
            "a canary that does not sing",
            Box::new(|report| report["facts"]["canary"]["holds"] = false.into()),
        ),
        (
            "half a content",
            Box::new(move |report| {
                dated(report, &|output| {
                    output.as_object_mut().unwrap().remove("nar_size");
                });
            }),
        ),
        (
            "a run that failed",
            Box::new(|report| {
                report["troubles"] = serde_json::json!([{ "message": "disk full", "causes": [] }]);
            }),
        ),
        ("another command", Box::new(|report| report["command"] = "cache".into())),
        ("another version", Box::new(|report| report["version"] = 2.into())),
        ("no format", Box::new(|report| report["format"] = Value::Null)),
        ("a plan", Box::new(|report| report["facts"]["plan"] = serde_json::json!({}))),
    ];
    for (what, edit) in edits {
        let scene = Scene::with_report();
        let mut report: Value = serde_json::from_str(rebuild_report()).unwrap();
        edit(&mut report);
        scene.write("rebuild.json", report.to_string());
        let arguments = ["attest", "make", "rebuild.json", "--key", "ci.secret", "--output", "a"];
        let ran = scene.verify(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{what}: {}", ran.err);
        assert!(!scene.path("a").exists(), "{what}");
    }
    // A key that stands twice means two things.
    let scene = Scene::with_report();
    let twice = rebuild_report().replacen(
        "\"verdict\"",
        "\"verdict\":{\"result\":\"pass\"},\"verdict\"",
        1,
    );
    scene.write("rebuild.json", twice);
    assert_eq!(scene.verify(&["attest", "make", "rebuild.json", "--key", "ci.secret"]).code, 2);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let scene = Scene::with_report();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scene.path("ci.secret"), open).unwrap();
    let ran = scene.verify(&["attest", "make", "rebuild.json", "--key", "ci.secret"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
}
