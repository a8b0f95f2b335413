//! The profiles, on documents with every field and with one less.

use super::*;
use serde_json::json;

fn whole() -> Value {
    let part = |reference: &str| {
        json!({
            "type": "library", "bom-ref": reference, "name": reference, "version": "1",
            "purl": format!("pkg:generic/{reference}@1"),
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
        "signature": {"algorithm": "Ed25519", "value": "x"},
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

fn gaps(value: &Value, profile: Profile) -> Vec<(&'static str, String)> {
    judge(value, profile).into_iter().map(|gap| (gap.field, gap.pointer)).collect()
}

#[test]
fn a_whole_document_has_no_gap() {
    for profile in Profile::ALL {
        assert_eq!(gaps(&whole(), profile), [], "{profile}");
    }
}

/// Removes what a pointer leads to.
fn without(pointer: &str) -> Value {
    let mut value = whole();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(map) => assert!(map.remove(key).is_some(), "{pointer}"),
        Value::Array(list) => drop(list.remove(key.parse().unwrap())),
        _ => panic!("{pointer}"),
    }
    value
}

#[test]
fn each_field_that_is_missing_is_a_gap() {
    use Profile::{Bsi2_1 as Bsi, Cisa2026 as Cisa, Ntia2021 as Ntia};
    for (pointer, profile, wanted) in [
        ("/signature", Cisa, vec!["sbom-author-signature"]),
        ("/metadata/authors", Cisa, vec!["sbom-author"]),
        ("/metadata/authors/0/email", Bsi, vec!["creator-of-the-sbom"]),
        ("/metadata/timestamp", Cisa, vec!["sbom-timestamp"]),
        ("/metadata/timestamp", Bsi, vec!["timestamp"]),
        ("/metadata/timestamp", Ntia, vec!["timestamp"]),
        ("/metadata/lifecycles", Cisa, vec!["sbom-generation-context"]),
        ("/metadata/tools", Cisa, vec!["sbom-tool-name", "sbom-tool-version"]),
        ("/metadata/tools/components/0/version", Cisa, vec!["sbom-tool-version"]),
        ("/metadata/component", Bsi, vec!["primary-component"]),
        ("/serialNumber", Bsi, vec!["sbom-uri"]),
        ("/compositions", Cisa, vec!["coverage"]),
        ("/compositions/0/dependencies/1", Bsi, vec!["completeness-of-dependencies"]),
        ("/dependencies/1", Bsi, vec!["dependencies-on-other-components"]),
        (
            "/dependencies",
            Cisa,
            vec!["component-dependency-relationship", "component-dependency-relationship"],
        ),
        ("/dependencies", Ntia, vec!["dependency-relationship", "dependency-relationship"]),
        ("/components/0/version", Cisa, vec!["component-version"]),
        ("/components/0/version", Bsi, vec!["component-version"]),
        ("/components/0/version", Ntia, vec!["version-of-the-component"]),
        ("/components/0/name", Ntia, vec!["component-name"]),
        ("/components/0/purl", Cisa, vec!["component-identifiers"]),
        ("/components/0/purl", Ntia, vec!["other-unique-identifiers"]),
        ("/components/0/purl", Bsi, vec!["other-unique-identifiers"]),
        ("/components/0/licenses", Cisa, vec!["component-license"]),
        ("/components/0/licenses", Bsi, vec!["distribution-licences"]),
        ("/components/0/manufacturer", Bsi, vec!["component-creator"]),
        ("/components/0/manufacturer", Cisa, vec![]),
        ("/components/0/externalReferences", Bsi, vec!["hash-value-of-the-deployable-component"]),
        ("/components/0/externalReferences", Cisa, vec![]),
        ("/components/0/properties/0", Bsi, vec!["filename-of-the-component"]),
        ("/components/0/properties/1", Bsi, vec!["executable-property"]),
        ("/components/0/properties/2", Bsi, vec!["archive-property"]),
        ("/components/0/properties/3", Bsi, vec!["structured-property"]),
    ] {
        let found: Vec<&str> =
            gaps(&without(pointer), profile).into_iter().map(|(field, _)| field).collect();
        assert_eq!(found, wanted, "{profile} without {pointer}");
    }
}

/// Puts a value where a pointer leads.
fn with(pointer: &str, new: Value) -> Value {
    let mut value = whole();
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

#[test]
fn what_does_not_count_is_a_gap_at_its_place() {
    use Profile::{Bsi2_1 as Bsi, Cisa2026 as Cisa, Ntia2021 as Ntia};
    for (pointer, new, profile, field) in [
        ("/metadata/timestamp", json!("yesterday"), Cisa, "sbom-timestamp"),
        ("/metadata/timestamp", json!("2026-02-30T00:00:00Z"), Ntia, "timestamp"),
        ("/metadata/timestamp", json!("2026-01-01T00:00:00"), Bsi, "timestamp"),
        ("/components/0/purl", json!("generic/a"), Cisa, "component-identifiers"),
        ("/components/0/hashes/0/content", json!("abcd"), Cisa, "component-hash-value"),
        ("/components/0/licenses/0/expression", json!("Mit Licence"), Bsi, "distribution-licences"),
        ("/components/0/licenses/0/expression", json!("NOASSERTION"), Bsi, "distribution-licences"),
        ("/components/0/properties/0/value", json!("dir/a.nar"), Bsi, "filename-of-the-component"),
        ("/components/0/properties/1/value", json!("yes"), Bsi, "executable-property"),
        ("/specVersion", json!("1.5"), Bsi, "data-format"),
    ] {
        let value = with(pointer, new);
        let found = judge(&value, profile);
        let [gap] = found.as_slice() else { panic!("{pointer}: {found:?}") };
        assert_eq!((gap.field, gap.lack), (field, Lack::Unusable), "{pointer}");
        assert!(pointer.starts_with(gap.pointer.as_str()), "{pointer} {}", gap.pointer);
    }
}

#[test]
fn who_says_that_something_is_unknown_has_said_it_to_cisa_alone() {
    let unknown = with("/components/0/version", json!("unknown"));
    assert_eq!(gaps(&unknown, Profile::Cisa2026), []);
    assert_eq!(gaps(&unknown, Profile::Ntia2021).len(), 1);
    assert_eq!(gaps(&unknown, Profile::Bsi2_1).len(), 1);
    let mut stated = without("/components/0/hashes");
    let part = stated.pointer_mut("/components/0").unwrap();
    part.as_object_mut().unwrap().remove("externalReferences");
    assert_eq!(gaps(&stated, Profile::Cisa2026).len(), 1);
    let property =
        json!([{"name": "cdx:cisa:unknown-information", "value": "Component Hash Value"}]);
    *stated.pointer_mut("/components/0/properties").unwrap() = property;
    assert_eq!(gaps(&stated, Profile::Cisa2026), []);
}

#[test]
fn nothing_at_all_meets_no_profile() {
    for text in
        ["{}", r#"{"bomFormat":"CycloneDX","specVersion":"1.7"}"#, r#"{"spdxVersion":"SPDX-2.3"}"#]
    {
        let value: Value = serde_json::from_str(text).unwrap();
        for profile in Profile::ALL {
            let gaps = judge(&value, profile);
            assert!(gaps.iter().any(|gap| gap.need == Need::Must), "{profile} {text}");
        }
    }
    let mut empty = without("/metadata/component");
    *empty.pointer_mut("/components").unwrap() = json!([]);
    for profile in Profile::ALL {
        assert!(!judge(&empty, profile).is_empty(), "{profile}");
    }
}

#[test]
fn every_gap_names_a_field_of_its_list() {
    for profile in Profile::ALL {
        let empty = json!({"bomFormat": "CycloneDX", "specVersion": "1.6",
            "components": [{"type": "library"}, {"type": "file", "purl": "x"}]});
        for gap in judge(&empty, profile) {
            assert!(fields(profile).contains(&(gap.field, gap.section)), "{gap:?}");
        }
    }
}

#[test]
fn spdx_is_judged_by_its_own_fields() {
    let package = |name: &str| {
        json!({"SPDXID": format!("SPDXRef-{name}"), "name": name, "versionInfo": "1",
            "supplier": "Organization: S (mail@s.example)", "originator": "NOASSERTION",
            "downloadLocation": "NOASSERTION", "licenseConcluded": "MIT",
            "checksums": [{"algorithm": "SHA256", "checksumValue": "ab".repeat(32)}],
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                "referenceLocator": "pkg:generic/a@1"}]})
    };
    let value = json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT",
        "documentNamespace": "https://x.example/1",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "comment": "SBOM type: Build",
            "creators": ["Organization: O (o@o.example)", "Tool: verify-1.0"]},
        "packages": [package("a"), package("b")],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                "relatedSpdxElement": "SPDXRef-a"},
            {"spdxElementId": "SPDXRef-a", "relationshipType": "DEPENDS_ON",
                "relatedSpdxElement": "SPDXRef-b"}]});
    assert_eq!(gaps(&value, Profile::Ntia2021), []);
    let found: Vec<&str> = gaps(&value, Profile::Cisa2026).iter().map(|gap| gap.0).collect();
    assert_eq!(found, ["coverage", "sbom-author-signature"]);
    assert_eq!(gaps(&value, Profile::Bsi2_1), [("data-format", "/spdxVersion".to_owned())]);
    let mut less = value;
    *less.pointer_mut("/packages/1/externalRefs").unwrap() = json!([]);
    *less.pointer_mut("/packages/1/supplier").unwrap() = json!("NOASSERTION");
    let found: Vec<String> = gaps(&less, Profile::Ntia2021).into_iter().map(|gap| gap.1).collect();
    assert_eq!(found, ["/packages/1", "/packages/1"]);
}
