//! The specification's own documents through every form that is written: what
//! comes out is valid, and reads back as what was meant.

use super::unpacked;
use nix_verify::sbom::document::{Document, Spec};
use nix_verify::sbom::outline::Outline;
use nix_verify::sbom::validate::{References, references, schema_defects};
use nix_verify::sbom::written::{Form, WrittenError, write};
use serde_json::Value;

const OLDER: [Spec; 4] =
    [Spec::CycloneDx1_6, Spec::CycloneDx1_5, Spec::CycloneDx1_4, Spec::CycloneDx1_3];

/// Documents of things that no bill of ours has, and that an older version
/// refuses: the forms, and why.
const REFUSED: [(&str, &str); 1] =
    [("valid-cryptography-full", "1.6 says otherwise what 1.7 says of key exchange")];

fn documents() -> Vec<(String, Value)> {
    unpacked("cyclonedx-specification.tar.xz")
        .into_iter()
        .filter(|(name, _)| name.starts_with("1.7/valid") && name.ends_with(".json"))
        .map(|(name, bytes)| (name, serde_json::from_slice(&bytes).unwrap()))
        .collect()
}

/// What is wrong with a file that was written.
fn wrong(bytes: &[u8], spec: Spec) -> Option<String> {
    let document = match Document::read(bytes) {
        Ok(document) => document,
        Err(error) => return Some(error.to_string()),
    };
    if document.spec != spec {
        return Some(format!("{}", document.spec));
    }
    schema_defects(&document).unwrap().first().map(|one| format!("{} {}", one.pointer, one.message))
}

#[test]
fn every_form_is_valid() {
    let (mut broken, mut refused, mut count) = (Vec::new(), Vec::new(), 0);
    for (name, value) in documents() {
        let mut forms: Vec<(Form, Spec)> =
            vec![(Form::Xml(Spec::CycloneDx1_7), Spec::CycloneDx1_7), (Form::Spdx, Spec::Spdx2_3)];
        for spec in OLDER {
            forms.push((Form::Json(spec), spec));
            forms.push((Form::Xml(spec), spec));
        }
        for (form, spec) in forms {
            match write(&value, form) {
                Ok(written) => {
                    count += 1;
                    if let Some(why) = wrong(&written.bytes, spec) {
                        broken.push(format!("{name} as {form}: {why}"));
                    }
                }
                // The table of XML is known not to have everything.
                Err(WrittenError::Xml(_)) => {}
                Err(_) if REFUSED.iter().any(|(known, _)| name.contains(known)) => {}
                Err(error) => refused.push(format!("{name} as {form}: {error}")),
            }
        }
    }
    assert_eq!(broken, [""; 0]);
    assert_eq!(refused, [""; 0]);
    assert!(count > 400, "{count}");
}

#[test]
fn xml_reads_back_as_it_was_meant() {
    let mut count = 0;
    for (name, mut value) in documents() {
        let Ok(written) = write(&value, Form::Xml(Spec::CycloneDx1_7)) else { continue };
        let back = Document::read(&written.bytes).unwrap();
        value.as_object_mut().unwrap().remove("$schema");
        // XML has no empty list of dependencies.
        let listed = value.get_mut("dependencies").and_then(Value::as_array_mut);
        for one in listed.into_iter().flatten() {
            if one["dependsOn"].as_array().is_some_and(Vec::is_empty) {
                one.as_object_mut().unwrap().remove("dependsOn");
            }
        }
        // XML has one way to say what JSON says in two.
        let components = value.get_mut("components").and_then(Value::as_array_mut);
        for component in components.into_iter().flatten() {
            if let Some(identity) = component.pointer_mut("/evidence/identity")
                && identity.is_object()
            {
                *identity = Value::Array(vec![identity.take()]);
            }
        }
        fill_properties(&mut value);
        assert_eq!(back.value, value, "{name}");
        count += 1;
    }
    assert!(count > 25, "{count}");
}

/// XML does not tell a property without a value from an empty one.
fn fill_properties(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(fill_properties),
        Value::Object(map) => {
            let properties = map.get_mut("properties").and_then(Value::as_array_mut);
            for one in properties.into_iter().flatten().filter_map(Value::as_object_mut) {
                one.entry("value").or_insert_with(|| Value::String(String::new()));
            }
            map.values_mut().for_each(fill_properties);
        }
        _ => {}
    }
}

#[test]
fn spdx_has_every_component_and_leads_nowhere_else() {
    for (name, value) in documents() {
        let outline = Outline::of(Spec::CycloneDx1_7, &value);
        let written = write(&value, Form::Spdx).unwrap();
        let document = Document::read(&written.bytes).unwrap();
        assert_eq!(references(&document), References::default(), "{name}");
        let packages = document.value["packages"].as_array().unwrap().len();
        assert_eq!(packages, outline.parts.len(), "{name}");
    }
}

#[test]
fn the_same_document_gives_the_same_bytes() {
    for (name, value) in documents() {
        for form in [Form::Spdx, Form::Csv, Form::Json(Spec::CycloneDx1_5)] {
            let (first, second) = (write(&value, form), write(&value.clone(), form));
            match (first, second) {
                (Ok(first), Ok(second)) => assert_eq!(first.bytes, second.bytes, "{name} {form}"),
                (Err(_), Err(_)) => {}
                _ => panic!("{name} {form}"),
            }
        }
    }
}
