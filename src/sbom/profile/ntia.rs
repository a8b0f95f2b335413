//! "The Minimum Elements For a Software Bill of Materials (SBOM)", NTIA, 12 July
//! 2021: the seven baseline data fields of its section III.
//! <https://www.ntia.gov/report/2021/minimum-elements-software-bill-materials-sbom>

use super::Gap;
use super::cisa::{identifiers, moment};
use super::fields::{Field, Gaps, Graph, field, has_name, says};
use crate::sbom::outline::Outline;

pub(super) const FIELDS: &[(&str, &str)] = &[
    ("supplier-name", "III, Data Fields, Supplier Name"),
    ("component-name", "III, Data Fields, Component Name"),
    ("version-of-the-component", "III, Data Fields, Version of the Component"),
    ("other-unique-identifiers", "III, Data Fields, Other Unique Identifiers"),
    ("dependency-relationship", "III, Data Fields, Dependency Relationship"),
    ("author-of-sbom-data", "III, Data Fields, Author of SBOM Data"),
    ("timestamp", "III, Data Fields, Timestamp"),
];

fn of(name: &'static str) -> Field {
    field(FIELDS, name)
}

pub(super) fn judge(outline: &Outline) -> Vec<Gap> {
    let mut gaps = Gaps::default();
    // The data may come from an analysis tool, the text says, and names it an
    // author then.
    let tool = outline.tools.iter().any(|one| one.name.as_deref().is_some_and(says));
    if !tool && !outline.authors.iter().any(has_name) {
        let cyclonedx = outline.spec.is_cyclonedx();
        let place = if cyclonedx { "/metadata/authors" } else { "/creationInfo/creators" };
        let text =
            "neither a person nor an organisation nor a tool is named that made the document";
        gaps.missing(of("author-of-sbom-data"), place, "", text);
    }
    moment(outline, of("timestamp"), &mut gaps);
    if outline.parts.is_empty() {
        gaps.missing(of("component-name"), "/components", "", "the document lists no component");
    }
    let graph = Graph::new(outline);
    for part in &outline.parts {
        let (title, here) = (part.title(), part.pointer.as_str());
        if !part.suppliers.iter().chain(&part.makers).any(has_name) {
            gaps.missing(of("supplier-name"), here, &title, "no supplier is named");
        }
        if !part.name.as_ref().is_some_and(|one| says(&one.text)) {
            gaps.missing(of("component-name"), here, &title, "it has no name");
        }
        if !part.version.as_ref().is_some_and(|one| says(&one.text)) {
            gaps.missing(of("version-of-the-component"), here, &title, "it has no version");
        }
        identifiers(part, of("other-unique-identifiers"), &mut gaps, "");
        if outline.parts.len() > 1 && !graph.knows(part) {
            let text = "nothing says what it depends on or what depends on it";
            gaps.missing(of("dependency-relationship"), here, &title, text);
        }
    }
    gaps.0
}
