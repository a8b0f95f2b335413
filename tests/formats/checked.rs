//! `verify sbom check`, by its real binary.

use super::{report, verify};
use serde_json::{Value, json};

/// A document that lacks nothing.
fn whole() -> Value {
    let part = |name: &str| {
        json!({
            "type": "library", "bom-ref": name, "name": name, "version": "1",
            "purl": format!("pkg:generic/{name}@1"),
            "manufacturer": {"name": "Maker", "url": ["https://maker.example"]},
            "supplier": {"name": "Supplier"},
            "licenses": [{"expression": "MIT", "acknowledgement": "concluded"}],
            "hashes": [{"alg": "SHA-256", "content": "ab".repeat(32)}],
            "externalReferences": [{"type": "distribution", "url": "https://x.example/a.nar",
                "hashes": [{"alg": "SHA-512", "content": "ab".repeat(64)}]}],
            "properties": [
                {"name": "bsi:component:filename", "value": "a.nar"},
                {"name": "bsi:component:executable", "value": "non-executable"},
                {"name": "bsi:component:archive", "value": "archive"},
                {"name": "bsi:component:structured", "value": "structured"}]
        })
    };
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {
            "timestamp": "2026-01-01T00:00:00Z",
            "authors": [{"name": "Author", "email": "author@maker.example"}],
            "tools": {"components": [{"type": "application", "name": "verify", "version": "1"}]},
            "lifecycles": [{"phase": "build"}],
            "component": part("top")
        },
        "components": [part("a")],
        "dependencies": [{"ref": "top", "dependsOn": ["a"]}, {"ref": "a"}],
        "compositions": [{"aggregate": "complete", "dependencies": ["top", "a"]}]
    })
}

/// A file with that content, for as long as the directory is there.
fn file(place: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = place.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn rules(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|one| one["rule"].as_str().unwrap()).collect()
}

#[test]
fn a_whole_document_passes_every_profile() {
    let place = tempfile::tempdir().unwrap();
    let path = file(&place, "bom.json", &whole().to_string());
    let all = ["--profile", "cisa-2026", "--profile", "bsi-2.1", "--profile", "ntia-2021"];
    let (code, found) = report(&[&["sbom", "check", &path][..], &all].concat());
    assert_eq!(code, 0, "{found:#}");
    // The signature may be kept elsewhere.
    assert_eq!(rules(&found), ["missing-field"]);
    assert_eq!(found["findings"][0]["level"], "warning");
    assert_eq!(found["coverage"]["answered"], 6);
    let (code, _) = report(&[&["sbom", "check", &path, "--fail-on", "warning"][..], &all].concat());
    assert_eq!(code, 1);
    let (code, found) = report(&["sbom", "check", &path]);
    assert_eq!((code, found["coverage"]["not_run"].as_array().unwrap().len()), (0, 1));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let place = tempfile::tempdir().unwrap();
    let text = "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\", \"version\": 1,\n \"components\": [\n  {\"type\": \"library\", \"name\": \"a\", \"bom-ref\": \"a\"},\n  {\"type\": \"library\", \"name\": \"b\", \"bom-ref\": \"a\", \"colour\": \"red\", \"name\": \"c\"}],\n \"dependencies\": [{\"ref\": \"gone\"}]}";
    let path = file(&place, "bom.json", text);
    let (code, found) = report(&["sbom", "check", &path]);
    assert_eq!(code, 1);
    assert_eq!(
        rules(&found),
        ["ambiguous-sbom", "ambiguous-sbom", "dangling-reference", "invalid-sbom"]
    );
    assert_eq!(found["facts"]["files"][0]["defects"], 4);
    let lines: Vec<u64> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["location"]["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [4, 4, 5, 4]);
}

#[test]
fn what_cannot_be_judged_never_passes() {
    let place = tempfile::tempdir().unwrap();
    for (text, code) in [
        ("", 1),
        ("not json", 1),
        ("{}", 1),
        ("[]", 1),
        ("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"2.0\"}", 3),
        ("{\"bomFormat\":\"CycloneDX\"}", 3),
        ("{\"spdxVersion\":\"SPDX-2.2\"}", 3),
        ("{\"@context\":\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\",\"@graph\":[]}", 3),
    ] {
        let path = file(&place, "bom", text);
        let (found, report) = report(&["sbom", "check", &path, "--profile", "ntia-2021"]);
        assert_eq!(found, code, "{text}: {report:#}");
    }
    assert_eq!(verify(&["sbom", "check", "/nonexistent"]).0, 2);
}

#[test]
fn one_bad_document_among_good_ones_fails_the_run() {
    let place = tempfile::tempdir().unwrap();
    let good = file(&place, "good.json", &whole().to_string());
    let bad =
        file(&place, "bad.json", "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.7\",\"x\":1}");
    let (code, found) = report(&["sbom", "check", &good, &bad]);
    assert_eq!(code, 1);
    let status: Vec<&str> = found["subjects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_str().unwrap())
        .collect();
    assert_eq!(status, ["invalid", "holds"]);
}

#[test]
fn many_gaps_alike_are_counted() {
    let place = tempfile::tempdir().unwrap();
    let mut value = whole();
    let parts: Vec<Value> = (0..1000)
        .map(|at| json!({"type": "library", "name": format!("n\u{1b}[31m{at}"), "bom-ref": format!("r{at}")}))
        .collect();
    value["components"] = parts.into();
    value["dependencies"] = json!([{"ref": "top"}]);
    let path = file(&place, "bom.json", &value.to_string());
    let (code, found) = report(&["sbom", "check", &path, "--profile", "ntia-2021"]);
    assert_eq!(code, 1);
    let fields = found["facts"]["files"][0]["profiles"][0]["fields"].as_array().unwrap();
    let version = fields.iter().find(|one| one["field"] == "version-of-the-component").unwrap();
    assert_eq!(version["missing"], 1000);
    let findings = found["findings"].as_array().unwrap();
    assert!(findings.len() < 600, "{}", findings.len());
    let (_, page, _) = verify(&["sbom", "check", &path, "--profile", "ntia-2021"]);
    assert!(!page.contains('\u{1b}'));
    assert!(page.contains("1000 missing"), "{page}");
}
