//! A bill of materials as a table: one line for each component, RFC 4180.
//! <https://www.rfc-editor.org/rfc/rfc4180>
//!
//! A spreadsheet computes what begins with `=`, `+`, `-`, `@`, a tab or a
//! carriage return. Such a cell gets an apostrophe before it, which spreadsheets
//! take for "this is text" (<https://owasp.org/www-community/attacks/CSV_Injection>).

use super::outline::{HashOf, Outline, Part, Party};

/// The columns.
pub const COLUMNS: [&str; 17] = [
    "name",
    "version",
    "type",
    "group",
    "reference",
    "purl",
    "identifiers",
    "licences",
    "supplier",
    "maker",
    "sha256",
    "sha512",
    "sources",
    "store_path",
    "output",
    "verdict",
    "depends_on",
];

/// Between several values of one cell.
const SEPARATOR: &str = " ";

/// Names under which a store path stands among a component's properties.
const STORE_PATH: &str = "nix:store_path";

/// A table that could not be written: out of memory.
#[derive(Debug, thiserror::Error)]
#[error("the table could not be written")]
pub struct CsvError(#[from] csv::Error);

/// Writes the components of a document.
///
/// # Errors
/// A table that could not be written.
pub fn write(outline: &Outline) -> Result<Vec<u8>, CsvError> {
    let mut out =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    out.write_record(COLUMNS)?;
    let mut needs: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for one in &outline.dependencies {
        needs.entry(&one.of).or_default().extend(one.on.iter().map(String::as_str));
    }
    for part in &outline.parts {
        let below = part.reference.as_deref().and_then(|name| needs.get(name));
        out.write_record(record(part, below.map_or(&[][..], Vec::as_slice)).map(|one| safe(&one)))?;
    }
    out.into_inner().map_err(|error| CsvError(error.into_error().into()))
}

fn record(part: &Part, needs: &[&str]) -> [String; COLUMNS.len()] {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = |text: &Option<super::outline::At>| {
        text.as_ref().map(|one| one.text.clone()).unwrap_or_default()
    };
    let named = |parties: &[Party]| {
        let names: Vec<&str> = parties.iter().filter_map(|one| one.name.as_deref()).collect();
        names.join(", ")
    };
    let hash = |name: &str| {
        part.hashes
            .iter()
            .filter(|one| one.of != HashOf::Source)
            .find(|one| one.algorithm.replace('-', "") == name)
            .map(|one| one.value.clone())
            .unwrap_or_default()
    };
    let joined = |texts: Vec<&str>| texts.join(SEPARATOR);
    let property = |name: &str| joined(part.property(name).map(|one| one.text.as_str()).collect());
    let licences: Vec<&str> = part.licences.iter().map(|one| one.text.as_str()).collect();
    let sources = part.links.iter().filter(|(kind, _)| kind == "source-distribution");
    [
        at(&part.name),
        at(&part.version),
        own(&part.kind),
        own(&part.group),
        own(&part.reference),
        joined(part.purls.iter().map(|one| one.text.as_str()).collect()),
        joined(part.identifiers.iter().map(|one| one.text.as_str()).collect()),
        licences.join("; "),
        named(&part.suppliers),
        named(&part.makers),
        hash("SHA256"),
        hash("SHA512"),
        joined(sources.map(|(_, url)| url.text.as_str()).collect()),
        property(STORE_PATH),
        part.output().unwrap_or_default().to_owned(),
        part.verdict().unwrap_or_default().to_owned(),
        joined(needs.to_vec()),
    ]
}

/// A cell that no spreadsheet computes.
fn safe(text: &str) -> String {
    let text: String =
        text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    if text.starts_with(['=', '+', '-', '@', '\u{fffd}']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::document::Spec;
    use serde_json::json;

    #[test]
    fn cells_are_quoted_and_never_computed() {
        let value = json!({"components": [
            {"type": "library", "name": "=cmd|'/c calc'!A0", "version": "1,2\"3\n4",
                "bom-ref": "@x", "licenses": [{"license": {"id": "MIT"}}]},
            {"type": "library", "name": "\t-1", "version": "1"}],
            "dependencies": [{"ref": "@x", "dependsOn": ["a", "b"]}]});
        let outline = Outline::of(Spec::CycloneDx1_7, &value);
        let text = String::from_utf8(write(&outline).unwrap()).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(&rows[0][0], "'=cmd|'/c calc'!A0");
        assert_eq!(&rows[0][1], "1,2\"3\n4");
        assert_eq!(&rows[0][4], "'@x");
        assert_eq!(&rows[0][16], "a b");
        assert_eq!(&rows[1][0], "'\u{fffd}-1");
        assert!(text.starts_with("name,version,") && text.ends_with("\r\n"));
    }
}
