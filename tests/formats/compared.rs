//! `verify sbom diff` and `graph`, by the real binary.

use super::{report, verify};
use nix_verify::sbom::document::Spec;
use nix_verify::sbom::written::{Form, write};
use serde_json::{Value, json};

fn bill(version: &str, verdict: Option<&str>, licence: &str) -> Value {
    let part = |name: &str, version: &str, verdict: Option<&str>| {
        let mut part = json!({"type": "library", "bom-ref": name, "name": name, "version": version,
            "purl": format!("pkg:generic/{name}@{version}"),
            "hashes": [{"alg": "SHA-256", "content": format!("{version:0>2}").repeat(32)}],
            "licenses": [{"license": {"id": licence}}]});
        if let Some(verdict) = verdict {
            part["properties"] = json!([{"name": "verify:rebuild:status", "value": verdict}]);
        }
        part
    };
    json!({"bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
        "metadata": {"timestamp": "2026-01-01T00:00:00Z", "component": part("app", "1", None)},
        "components": [part("lib", version, verdict), part("same", "7", None)],
        "dependencies": [{"ref": "app", "dependsOn": ["lib", "same"]}, {"ref": "lib"}, {"ref": "same"}]})
}

fn file(place: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path = place.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn rules(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|one| one["rule"].as_str().unwrap()).collect()
}

#[test]
fn what_got_worse_fails_and_what_changed_is_said() {
    let place = tempfile::tempdir().unwrap();
    let old = file(&place, "old", bill("1", Some("reproduced"), "MIT").to_string().as_bytes());
    let new = file(&place, "new", bill("2", Some("differs"), "MIT").to_string().as_bytes());
    let (code, found) = report(&["sbom", "diff", &old, &new]);
    assert_eq!((code, rules(&found)), (1, vec!["verdict-worse", "documents-differ"]), "{found:#}");
    let changes = found["facts"]["changed"][0]["changes"].as_array().unwrap();
    let aspects: Vec<&str> = changes.iter().map(|one| one["aspect"].as_str().unwrap()).collect();
    assert_eq!(aspects, ["version", "hash", "verdict"]);
    // One report that does not hold outweighs one that does.
    let mut both = bill("1", Some("reproduced"), "MIT");
    let list = both["components"][0]["properties"].as_array_mut().unwrap();
    list.push(json!({"name": "verify:rebuild:status", "value": "differs"}));
    let both = file(&place, "both", both.to_string().as_bytes());
    assert_eq!(report(&["sbom", "diff", &old, &both]).0, 1);
    // The other way round it got better.
    assert_eq!(report(&["sbom", "diff", &new, &old]).0, 0);
    assert_eq!(report(&["sbom", "diff", &new, &old, "--fail-on", "note"]).0, 1);
    // A proof that vanished is worse too.
    let bare = file(&place, "bare", bill("1", None, "MIT").to_string().as_bytes());
    assert_eq!(report(&["sbom", "diff", &old, &bare]).0, 1);
    let other =
        file(&place, "other", bill("1", Some("reproduced"), "GPL-3.0-only").to_string().as_bytes());
    let (code, found) = report(&["sbom", "diff", &old, &other, "--fail-on", "warning"]);
    assert_eq!(code, 1);
    assert_eq!(rules(&found).iter().filter(|one| **one == "licence-changed").count(), 3);
    let (code, found) = report(&["sbom", "diff", &old, &old, "--fail-on", "note"]);
    assert_eq!((code, rules(&found).len()), (0, 0));
    assert_eq!(found["facts"]["same"], 3);
}

#[test]
fn one_document_in_all_forms_is_one_document() {
    let place = tempfile::tempdir().unwrap();
    let value = bill("1", Some("reproduced"), "MIT");
    let old = file(&place, "old", value.to_string().as_bytes());
    for form in [
        Form::Xml(Spec::CycloneDx1_7),
        Form::Json(Spec::CycloneDx1_6),
        Form::Xml(Spec::CycloneDx1_5),
        Form::Json(Spec::CycloneDx1_4),
        Form::Xml(Spec::CycloneDx1_3),
        Form::Spdx,
    ] {
        let new = file(&place, "new", &write(&value, form).unwrap().bytes);
        let (code, found) = report(&["sbom", "diff", &old, &new, "--fail-on", "note"]);
        assert_eq!((code, &found["facts"]["same"]), (0, &json!(3)), "{form}: {found:#}");
    }
}

#[test]
fn what_cannot_be_read_is_never_the_same() {
    let place = tempfile::tempdir().unwrap();
    let good = file(&place, "good", bill("1", None, "MIT").to_string().as_bytes());
    for (text, code) in [
        ("not json", 1),
        ("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.7\",\"components\":{}}", 1),
        ("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"9\"}", 3),
        ("<bom xmlns=\"http://cyclonedx.org/schema/bom/1.7\"><declarations/></bom>", 3),
    ] {
        let bad = file(&place, "bad", text.as_bytes());
        assert_eq!(report(&["sbom", "diff", &good, &bad]).0, code, "{text}");
        assert_eq!(report(&["sbom", "diff", &bad, &good]).0, code, "{text}");
    }
}

#[test]
fn pictures_show_every_component() {
    let place = tempfile::tempdir().unwrap();
    let small = file(&place, "small", bill("1", Some("differs"), "MIT").to_string().as_bytes());
    let (code, svg, _) = verify(&["sbom", "graph", &small]);
    assert_eq!((code, svg.matches("<path ").count()), (0, 2), "{svg}");
    assert!(svg.contains("differs: 1") && svg.contains("nothing proven: 2"), "{svg}");
    let (_, dot, _) = verify(&["sbom", "graph", &small, "--dot"]);
    assert_eq!(dot.matches(" -> ").count(), 2, "{dot}");
    let mut value = bill("1", None, "MIT");
    value["components"] = (0..500)
        .map(|at| {
            json!({"type": "library", "name": format!("n{at}"), "bom-ref": format!("r{at}"),
            "properties": [{"name": "nix:narinfo:nar_size", "value": at.to_string()}]})
        })
        .collect();
    let large = file(&place, "large", value.to_string().as_bytes());
    let out = place.path().join("map.svg");
    let (code, _, err) = verify(&["sbom", "graph", &large, "--output", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let map = std::fs::read_to_string(out).unwrap();
    assert_eq!(map.matches("<g>").count(), 501);
    assert_eq!(verify(&["sbom", "graph", "/nonexistent"]).0, 2);
}
