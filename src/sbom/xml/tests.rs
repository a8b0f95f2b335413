//! There and back.

use super::*;
use serde_json::{Value, json};

#[test]
fn what_is_written_reads_back() {
    let value = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.7", "version": 3,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {"timestamp": "2026-01-01T00:00:00Z", "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "verify"}]},
            "authors": [{"name": "A & <B>", "email": "a@b.example"}],
            "component": {"type": "application", "name": "app", "bom-ref": "a\"'\n\tb", "version": " 1 "}},
        "components": [{"type": "library", "isExternal": true, "bom-ref": "x", "name": "x",
            "manufacturer": {"name": "m", "url": ["https://1", "https://2"], "contact": [{"email": "e"}]},
            "hashes": [{"alg": "SHA-256", "content": "ab"}],
            "licenses": [{"license": {"id": "MIT", "acknowledgement": "declared"}},
                {"license": {"name": "Own", "text": {"contentType": "text/plain", "content": "x"}}}],
            "swhid": ["swh:1"], "modified": false,
            "pedigree": {"patches": [{"type": "unofficial", "diff": {"url": "file:p",
                "text": {"content": "--- a\n+++ b\n"}}, "resolves": [{"type": "security", "id": "CVE-1",
                "references": ["https://x"]}]}], "notes": "n"},
            "externalReferences": [{"type": "vcs", "url": "https://g", "comment": "c",
                "hashes": [{"alg": "MD5", "content": "00"}]}],
            "properties": [{"name": "nix:x", "value": "a\u{20ac}"}, {"name": "empty", "value": ""}],
            "components": [{"type": "file", "name": "inner"}],
            "evidence": {"identity": [{"field": "purl", "confidence": 0.5,
                "methods": [{"technique": "filename", "confidence": 1, "value": "v"}]}],
                "occurrences": [{"location": "/a", "line": 4}], "copyright": [{"text": "c"}]}}],
        "dependencies": [{"ref": "x", "dependsOn": ["a", "b"]}, {"ref": "a"}],
        "compositions": [{"aggregate": "incomplete", "assemblies": ["x"], "dependencies": ["x"]}],
        "formulation": [{"bom-ref": "f", "components": [{"type": "platform", "name": "x86_64-linux"}],
            "workflows": [{"bom-ref": "w", "uid": "w", "taskTypes": ["build"],
                "steps": [{"commands": [{"executed": "sh -c true"}]}],
                "inputs": [{"resource": {"ref": "a"}}], "outputs": [{"resource": {"ref": "x"}}],
                "properties": [{"name": "nix:system", "value": "x86_64-linux"}]}]}]
    });
    let text = write(&value).unwrap();
    let back = read(text.as_bytes()).unwrap();
    assert_eq!(back.value, value, "{text}");
    let place = back.places["/components/0/hashes/0"];
    assert!(text[place.start..place.end].starts_with("<hash alg="), "{place:?}");
    assert_eq!(write(&back.value).unwrap(), text);
}

#[test]
fn what_has_no_place_is_an_error() {
    for (value, pointer) in [
        (json!({"specVersion": "1.7", "colour": 1}), "/colour"),
        (json!({"specVersion": "1.7", "metadata": {"x/y": 1}}), "/metadata/x~1y"),
        (
            json!({"specVersion": "1.7", "components": [{"licenses": [{"license": {}, "x": 1}]}]}),
            "/components/0/licenses/0/x",
        ),
        (
            json!({"specVersion": "1.7", "dependencies": [{"ref": "a", "x": 1}]}),
            "/dependencies/0/x",
        ),
    ] {
        assert_eq!(write(&value), Err(WriteError::Unknown(pointer.to_owned())));
    }
    assert!(matches!(
        write(&json!({"specVersion": "1.7", "version": "1"})),
        Err(WriteError::Wrong { .. })
    ));
}

fn error(inside: &str) -> ReadError {
    let text = format!("<bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">{inside}</bom>");
    read(text.as_bytes()).unwrap_err()
}

#[test]
fn what_is_wrong_is_not_passed_over() {
    assert!(matches!(read(b"<bom/>"), Err(ReadError::NoFormat(_))));
    assert!(matches!(read(b"<html xmlns=\"x\"/>"), Err(ReadError::NoFormat(_))));
    for text in
        ["", "x", "<a>", "<a></b>", "<a/><b/>", "<a x='1' x='2'/>", "<a>&x;</a>", "<a/>text"]
    {
        assert!(matches!(read(text.as_bytes()), Err(ReadError::Malformed { .. })), "{text}");
    }
    for (inside, part) in [
        ("<components/><metadata/>", "stands behind"),
        ("<metadata/><metadata/>", "stands twice"),
        ("<metadata>text</metadata>", "text where"),
        ("<dependencies><dependency/></dependencies>", "no ref"),
    ] {
        let found = error(inside).to_string();
        assert!(found.contains(part), "{inside}: {found}");
    }
    assert!(matches!(error("<x:sig/>"), ReadError::Unsupported { .. }));
    assert!(matches!(error("<colour/>"), ReadError::Unsupported { .. }));
    let doctype = read(b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>").unwrap_err();
    assert!(matches!(doctype, ReadError::Forbidden { .. }));
    let deep = "<a>".repeat(100_000);
    assert!(matches!(read(deep.as_bytes()), Err(ReadError::Malformed { .. })));
}

#[test]
fn control_characters_are_written_as_people_write_them() {
    let value: Value =
        json!({"specVersion": "1.7", "properties": [{"name": "n", "value": "a\u{1b}\u{0}b"}]});
    let text = write(&value).unwrap();
    assert!(text.contains("a\\u{1b}\\u{0}b"), "{text}");
    assert!(read(text.as_bytes()).is_ok());
}
