//! The documents that the CycloneDX project tests its schemas with.

use super::unpacked;
use nix_verify::sbom::document::{Document, DocumentError};
use nix_verify::sbom::validate::{references, schema_defects};
use nix_verify::sbom::xml::ReadError;

/// Files about which the JSON schema and the project's own words differ, with
/// the reason.
const KNOWN: [(&str, &str); 0] = [];

/// The same of XML.
const KNOWN_XML: [(&str, &str); 0] = [];

#[test]
fn json_is_judged_as_the_specification_does() {
    let (mut valid, mut invalid) = (0, 0);
    let mut wrong = Vec::new();
    for (name, bytes) in unpacked("cyclonedx-specification.tar.xz") {
        if !name.ends_with(".json") {
            continue;
        }
        let file = name.rsplit('/').next().unwrap();
        // What the project leaves out of its own run.
        if file.starts_with("skip") {
            continue;
        }
        let wanted = if file.starts_with("valid") {
            valid += 1;
            true
        } else {
            assert!(file.starts_with("invalid"), "{name}");
            invalid += 1;
            false
        };
        let found = match Document::read(&bytes) {
            Ok(document) => schema_defects(&document).unwrap().is_empty(),
            Err(DocumentError::Unsupported(_)) => false,
            Err(error) => panic!("{name}: {error}"),
        };
        if found != wanted && !KNOWN.iter().any(|(known, _)| *known == name) {
            wrong.push(format!("{name}: {found}"));
        }
    }
    assert!(valid > 200 && invalid > 130, "{valid} {invalid}");
    assert_eq!(wrong, [""; 0]);
}

/// What became of an XML file.
#[derive(Debug, PartialEq)]
enum Answer {
    Valid,
    Invalid(String),
    Open,
}

fn judge(bytes: &[u8]) -> Answer {
    match Document::read(bytes) {
        // The XML schema wants names to be unique, the JSON schema cannot.
        Ok(document) if !references(&document).doubled.is_empty() => {
            Answer::Invalid("doubled name".to_owned())
        }
        Ok(document) => match schema_defects(&document).unwrap().first() {
            None => Answer::Valid,
            Some(defect) => Answer::Invalid(format!("{}: {}", defect.pointer, defect.message)),
        },
        Err(DocumentError::Unsupported(_) | DocumentError::Xml(ReadError::Unsupported { .. })) => {
            Answer::Open
        }
        Err(error) => Answer::Invalid(error.to_string()),
    }
}

#[test]
fn xml_is_judged_as_the_specification_does_or_not_at_all() {
    let (mut valid, mut invalid, mut open) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (name, bytes) in unpacked("cyclonedx-specification.tar.xz") {
        let file = name.rsplit('/').next().unwrap();
        if !name.ends_with(".xml") || file.starts_with("skip") || file.starts_with("informal") {
            continue;
        }
        let answer = judge(&bytes);
        match (file.starts_with("valid"), &answer) {
            (true, Answer::Valid) => valid += 1,
            (false, Answer::Invalid(_)) => invalid += 1,
            (_, Answer::Open) => open += 1,
            _ if KNOWN_XML.iter().any(|(known, _)| name.contains(known)) => {}
            _ => wrong.push(format!("{name}: {answer:?}")),
        }
    }
    println!("{valid} valid, {invalid} invalid, {open} open");
    assert_eq!(wrong, [""; 0]);
    assert!(valid > 1 && invalid > 1, "{valid} {invalid} {open}");
}
