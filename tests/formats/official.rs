//! The documents that the CycloneDX project tests its schemas with.

use super::unpacked;
use nix_verify::sbom::document::{Document, DocumentError};
use nix_verify::sbom::validate::schema_defects;

/// Files about which the JSON schema and the project's own words differ, with
/// the reason.
const KNOWN: [(&str, &str); 0] = [];

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
