//! Whether a bill of materials is what its format allows: the official schema,
//! and what no schema can say, that references lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::document::{Document, Spec, escape};
use super::schemas;
pub use super::schemas::SchemaError;

/// Most defects that are named; a hostile file can have one in every byte.
pub const MAX_DEFECTS: usize = 1_000;

/// Longest message of a defect in characters: what stands in the file may be
/// long.
const MAX_MESSAGE: usize = 300;

/// Something the format does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defect {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What, in words.
    pub message: String,
    /// The place in the schema that says so.
    pub schema: String,
}

/// What the schema says; empty if it has nothing against the document.
///
/// # Errors
/// A schema of our own that cannot be used.
pub fn schema_defects(document: &Document) -> Result<Vec<Defect>, SchemaError> {
    defects_of(document.spec, &document.value)
}

/// The same for a value that is known to be of a specification.
///
/// # Errors
/// A schema of our own that cannot be used.
pub fn defects_of(spec: Spec, value: &Value) -> Result<Vec<Defect>, SchemaError> {
    let validator = schemas::validator(spec)?;
    let mut defects: Vec<Defect> = validator
        .iter_errors(value)
        .take(MAX_DEFECTS)
        .map(|error| Defect {
            pointer: error.instance_path().as_str().to_owned(),
            message: error.masked_with("the value").to_string().chars().take(MAX_MESSAGE).collect(),
            schema: error.schema_path().as_str().to_owned(),
        })
        .collect();
    // The schemas of CycloneDX leave open what the version is.
    if spec.is_cyclonedx() && value.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
        let named = defects.iter().any(|defect| defect.pointer == "/bomFormat");
        if !named && value.get("bomFormat").is_some() {
            defects.push(Defect {
                pointer: "/bomFormat".to_owned(),
                message: "the value is not \"CycloneDX\"".to_owned(),
                schema: String::new(),
            });
        }
    }
    defects.sort();
    defects.dedup();
    Ok(defects)
}

/// Keys of objects that the schema of a specification does not know, by the
/// pointers of the objects.
///
/// # Errors
/// A schema of our own that cannot be used.
pub(super) fn unknown_keys(
    spec: Spec,
    value: &Value,
) -> Result<Vec<(String, Vec<String>)>, SchemaError> {
    let validator = schemas::validator(spec)?;
    let mut found = Vec::new();
    for error in validator.iter_errors(value) {
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            found.push((error.instance_path().as_str().to_owned(), unexpected.clone()));
        }
    }
    Ok(found)
}

/// What is wrong with the names by which parts of a document refer to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// A name that two parts have: the name, where it stands first and again.
    pub doubled: Vec<(String, String, String)>,
    /// A reference to a name that no part has: the name and where it stands.
    pub dangling: Vec<(String, String)>,
}

/// Follows all references of the document.
#[must_use]
pub fn references(document: &Document) -> References {
    if document.spec.is_cyclonedx() {
        cyclonedx_references(&document.value)
    } else {
        spdx_references(&document.value)
    }
}

/// Keys of CycloneDX whose text names a `bom-ref` of the same document.
/// `dependsOn` and `provides` of dependencies, `assemblies` and
/// `dependencies` of compositions are handled apart.
fn cyclonedx_references(root: &Value) -> References {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut found = References::default();
    let mut used: Vec<(String, String)> = Vec::new();
    let mut todo: Vec<(String, &Value)> = vec![(String::new(), root)];
    while let Some((pointer, value)) = todo.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get("bom-ref") {
                    let here = format!("{pointer}/bom-ref");
                    match names.get(name) {
                        Some(first) => {
                            let (first, again) = ordered(first, &here);
                            found.doubled.push((name.clone(), first, again));
                        }
                        None => {
                            names.insert(name.clone(), here);
                        }
                    }
                }
                for (key, below) in map {
                    todo.push((format!("{pointer}/{}", escape(key)), below));
                }
            }
            Value::Array(items) => {
                for (at, below) in items.iter().enumerate() {
                    todo.push((format!("{pointer}/{at}"), below));
                }
            }
            _ => {}
        }
    }
    let list = |pointer: String, value: Option<&Value>, used: &mut Vec<(String, String)>| {
        for (at, one) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
            if let Some(name) = one.as_str() {
                used.push((name.to_owned(), format!("{pointer}/{at}")));
            }
        }
    };
    let dependencies = root.get("dependencies").and_then(Value::as_array);
    for (at, one) in dependencies.into_iter().flatten().enumerate() {
        if let Some(name) = one.get("ref").and_then(Value::as_str) {
            used.push((name.to_owned(), format!("/dependencies/{at}/ref")));
        }
        for key in ["dependsOn", "provides"] {
            list(format!("/dependencies/{at}/{key}"), one.get(key), &mut used);
        }
    }
    let compositions = root.get("compositions").and_then(Value::as_array);
    for (at, one) in compositions.into_iter().flatten().enumerate() {
        for key in ["assemblies", "dependencies", "vulnerabilities"] {
            list(format!("/compositions/{at}/{key}"), one.get(key), &mut used);
        }
    }
    // A BOM-Link leads into another document.
    found.dangling = used
        .into_iter()
        .filter(|(name, _)| !names.contains_key(name) && !name.starts_with("urn:cdx:"))
        .collect();
    found.limited()
}

/// Lists in an SPDX document whose items have an `SPDXID`.
const ELEMENTS: [&str; 3] = ["packages", "files", "snippets"];

fn spdx_references(root: &Value) -> References {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut found = References::default();
    if let Some(name) = root.get("SPDXID").and_then(Value::as_str) {
        names.insert(name, "/SPDXID".to_owned());
    }
    for list in ELEMENTS {
        let items = root.get(list).and_then(Value::as_array);
        for (at, one) in items.into_iter().flatten().enumerate() {
            let Some(name) = one.get("SPDXID").and_then(Value::as_str) else { continue };
            let here = format!("/{list}/{at}/SPDXID");
            match names.get(name) {
                Some(first) => found.doubled.push((name.to_owned(), first.clone(), here)),
                None => {
                    names.insert(name, here);
                }
            }
        }
    }
    let relationships = root.get("relationships").and_then(Value::as_array);
    for (at, one) in relationships.into_iter().flatten().enumerate() {
        for key in ["spdxElementId", "relatedSpdxElement"] {
            let Some(name) = one.get(key).and_then(Value::as_str) else { continue };
            // Elements of other documents, and the two words for no element.
            let elsewhere = name.starts_with("DocumentRef-");
            if elsewhere || (key == "relatedSpdxElement" && matches!(name, "NONE" | "NOASSERTION"))
            {
                continue;
            }
            if !names.contains_key(name) {
                found.dangling.push((name.to_owned(), format!("/relationships/{at}/{key}")));
            }
        }
    }
    let described = root.get("documentDescribes").and_then(Value::as_array);
    for (at, one) in described.into_iter().flatten().enumerate() {
        if let Some(name) = one.as_str().filter(|name| !names.contains_key(name)) {
            found.dangling.push((name.to_owned(), format!("/documentDescribes/{at}")));
        }
    }
    found.limited()
}

impl References {
    /// Sorted, without repetitions, and bounded.
    fn limited(mut self) -> Self {
        self.doubled.sort();
        self.doubled.truncate(MAX_DEFECTS);
        let mut seen = BTreeSet::new();
        self.dangling.retain(|one| seen.insert(one.clone()));
        self.dangling.sort();
        self.dangling.truncate(MAX_DEFECTS);
        self
    }
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document<'_> {
        Document::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_the_schema_forbids_is_named_with_its_place() {
        let bad = document(
            r#"{"bomFormat":"CycloneDX","specVersion":"1.7","version":1,
               "components":[{"type":"library"},{"type":"libary","name":"x"}]}"#,
        );
        let defects = schema_defects(&bad).unwrap();
        let pointers: Vec<&str> = defects.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(pointers, ["/components/0", "/components/1/type"], "{defects:?}");
        let good = document(r#"{"bomFormat":"CycloneDX","specVersion":"1.7","version":1}"#);
        assert_eq!(schema_defects(&good).unwrap(), []);
    }

    #[test]
    fn references_that_lead_nowhere_are_named() {
        let bill = document(
            r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
                {"type":"library","name":"a","bom-ref":"a"},
                {"type":"library","name":"b","bom-ref":"a"}],
              "dependencies":[{"ref":"a","dependsOn":["b","urn:cdx:x/1#y"]}],
              "compositions":[{"aggregate":"complete","assemblies":["c"]}]}"#,
        );
        let found = references(&bill);
        assert_eq!(found.doubled.len(), 1);
        let dangling: Vec<&str> = found.dangling.iter().map(|one| one.1.as_str()).collect();
        assert_eq!(dangling, ["/dependencies/0/dependsOn/0", "/compositions/0/assemblies/0"]);
    }

    #[test]
    fn spdx_references_too() {
        let bill = document(
            r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[
                {"SPDXID":"SPDXRef-a"},{"SPDXID":"SPDXRef-a"}],
              "relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-a"},
                {"spdxElementId":"SPDXRef-a","relatedSpdxElement":"SPDXRef-gone"},
                {"spdxElementId":"SPDXRef-a","relatedSpdxElement":"NOASSERTION"}]}"#,
        );
        let found = references(&bill);
        assert_eq!(found.doubled.len(), 1);
        assert_eq!(
            found.dangling,
            [("SPDXRef-gone".to_owned(), "/relationships/1/relatedSpdxElement".to_owned())]
        );
    }
}
