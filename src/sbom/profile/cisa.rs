//! "2026 Minimum Elements for a Software Bill of Materials (SBOM)", CISA, NSA,
//! FBI and partners, 29 July 2026: the 17 data fields of its appendix A, and
//! of its practices the one that a document can show, coverage.
//! <https://www.cisa.gov/resources-tools/resources/2026-minimum-elements-software-bill-materials-sbom>

use super::fields::{
    Field, Gaps, Graph, field, has_name, is_moment, is_purl, is_sound, is_whole, says,
    says_unknown, stated_unknown,
};
use super::{Gap, Lack, Need};
use crate::sbom::outline::{HashOf, Outline, Part};

pub(super) const FIELDS: &[(&str, &str)] = &[
    ("component-dependency-relationship", "Appendix A, Component Dependency Relationship"),
    ("component-hash-algorithm", "Appendix A, Component Hash Algorithm"),
    ("component-hash-value", "Appendix A, Component Hash Value"),
    ("component-identifiers", "Appendix A, Component Identifiers"),
    ("component-license", "Appendix A, Component License"),
    ("component-name", "Appendix A, Component Name"),
    ("component-producer", "Appendix A, Component Producer"),
    ("component-version", "Appendix A, Component Version"),
    ("sbom-author", "Appendix A, SBOM Author"),
    ("sbom-author-signature", "Appendix A, SBOM Author Signature"),
    ("sbom-data-format-name", "Appendix A, SBOM Data Format Name"),
    ("sbom-data-format-version", "Appendix A, SBOM Data Format Version"),
    ("sbom-generation-context", "Appendix A, SBOM Generation Context"),
    ("sbom-timestamp", "Appendix A, SBOM Timestamp"),
    ("sbom-tool-name", "Appendix A, SBOM Tool Name"),
    ("sbom-tool-version", "Appendix A, SBOM Tool Version"),
    ("sbom-version", "Appendix A, SBOM Version"),
    ("coverage", "Practices and Processes, Coverage"),
];

fn of(name: &'static str) -> Field {
    field(FIELDS, name)
}

/// Kinds of CycloneDX components that are no software.
const NO_SOFTWARE: [&str; 2] = ["cryptographic-asset", "data"];

/// Words of the 2026 text, of CISA's types of SBOM and of CycloneDX for the
/// moment at which a document was made.
const CONTEXTS: [&str; 19] = [
    "before build",
    "before-build",
    "pre-build",
    "build",
    "during build",
    "after build",
    "after-build",
    "post-build",
    "design",
    "source",
    "analyzed",
    "analysed",
    "deployed",
    "runtime",
    "operations",
    "discovery",
    "decommission",
    "development",
    "deployment",
];

pub(super) fn judge(outline: &Outline) -> Vec<Gap> {
    let mut gaps = Gaps::default();
    document(outline, &mut gaps);
    let graph = Graph::new(outline);
    let software: Vec<&Part> = outline
        .parts
        .iter()
        .filter(|part| part.kind.as_deref().is_none_or(|kind| !NO_SOFTWARE.contains(&kind)))
        .collect();
    if software.is_empty() {
        gaps.missing(of("component-name"), "/components", "", "the document lists no component");
    }
    for part in &software {
        component(part, &mut gaps);
        if software.len() > 1 && !graph.knows(part) {
            gaps.missing(
                of("component-dependency-relationship"),
                &part.pointer,
                &part.title(),
                "nothing says what it depends on or what depends on it",
            );
        }
    }
    gaps.0
}

fn document(outline: &Outline, gaps: &mut Gaps) {
    let cyclonedx = outline.spec.is_cyclonedx();
    let at = |theirs, other| if cyclonedx { theirs } else { other };
    if !outline.authors.iter().any(has_name) {
        let (field, place) = (of("sbom-author"), at("/metadata/authors", "/creationInfo/creators"));
        let text = "nobody is named who made the document; a tool is no author";
        gaps.missing(field, place, "", text);
    }
    if outline.signature.is_none() {
        let text = "the document carries no signature; one that is kept apart from it counts too, and cannot be seen here";
        gaps.wanted(of("sbom-author-signature"), "/signature", "", text);
    }
    let place = at("/metadata/lifecycles", "/creationInfo/comment");
    if outline.contexts.is_empty() {
        let text = "nothing says whether it was made before, during or after the build";
        gaps.missing(of("sbom-generation-context"), place, "", text);
    } else if !outline.contexts.iter().any(|one| names_context(&one.text, cyclonedx)) {
        let text = "no word for a moment in the software's life (before build, build, after build, or a more specific one)";
        gaps.unusable(of("sbom-generation-context"), place, "", text);
    }
    moment(outline, of("sbom-timestamp"), gaps);
    let place = at("/metadata/tools", "/creationInfo/creators");
    let named: Vec<_> =
        outline.tools.iter().filter(|one| one.name.as_deref().is_some_and(says)).collect();
    if named.is_empty() {
        gaps.missing(of("sbom-tool-name"), place, "", "no tool is named that made the document");
    }
    if !named.iter().any(|one| {
        one.version.as_deref().is_some_and(|version| says(version) || says_unknown(version))
    }) {
        gaps.missing(of("sbom-tool-version"), place, "", "no version of the tool is given");
    }
    if outline.revision.is_none() && outline.serial.as_ref().is_none_or(|one| !says(&one.text)) {
        let text = "nothing tells this version of the document from others";
        gaps.missing(of("sbom-version"), at("/version", "/documentNamespace"), "", text);
    }
    let declared = |words: &[&str]| {
        outline.completeness.iter().any(|one| words.contains(&one.aggregate.as_str()))
    };
    if outline.completeness.is_empty() {
        let text = "nothing says whether the list of components is complete";
        gaps.wanted(of("coverage"), at("/compositions", "/relationships"), "", text);
    } else if !declared(&["complete"]) {
        let text = "the document says itself that it is not complete";
        gaps.note(of("coverage"), Need::Should, Lack::Unusable, "/compositions", "", text);
    }
}

/// The moment the document was made.
pub(super) fn moment(outline: &Outline, field: Field, gaps: &mut Gaps) {
    let place =
        if outline.spec.is_cyclonedx() { "/metadata/timestamp" } else { "/creationInfo/created" };
    match &outline.timestamp {
        None => gaps.missing(field, place, "", "nothing says when the document was made"),
        Some(at) if !is_moment(&at.text) => {
            gaps.unusable(field, &at.pointer, "", "no moment as RFC 3339 writes it");
        }
        Some(_) => {}
    }
}

/// In SPDX 2.3 the context is a word in a comment, annex K.
fn names_context(text: &str, alone: bool) -> bool {
    let text = text.to_lowercase();
    if alone {
        // A phase of the author's own counts if it says something.
        return says(&text);
    }
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .any(|word| CONTEXTS.contains(&word))
}

fn component(part: &Part, gaps: &mut Gaps) {
    let title = part.title();
    let here = part.pointer.as_str();
    if !part.name.as_ref().is_some_and(|one| says(&one.text)) {
        gaps.missing(of("component-name"), here, &title, "it has no name");
    }
    let said = |text: &str| says(text) || says_unknown(text);
    if !part.version.as_ref().is_some_and(|one| said(&one.text))
        && !stated_unknown(part, "Component Version")
    {
        let text = "it has no version, and nothing says that none is known";
        gaps.missing(of("component-version"), here, &title, text);
    }
    let made = part.makers.iter().chain(&part.suppliers);
    if !made.clone().any(|one| one.name.as_deref().is_some_and(said))
        && !stated_unknown(part, "Component Producer")
    {
        let text = "nobody is named who makes it, and nothing says that its origin is not known";
        gaps.missing(of("component-producer"), here, &title, text);
    }
    identifiers(part, of("component-identifiers"), gaps, "Component Identifiers");
    hashes(part, gaps, &title);
    if part.licences.iter().all(|one| one.text.trim().is_empty())
        && !stated_unknown(part, "Component License")
    {
        let text = "no licence is given, and nothing says that none is known";
        gaps.missing(of("component-license"), here, &title, text);
    }
}

/// At least one identifier by which others know it.
pub(super) fn identifiers(part: &Part, field: Field, gaps: &mut Gaps, element: &str) {
    let title = part.title();
    let good = part.purls.iter().any(|one| is_purl(&one.text))
        || part.identifiers.iter().any(|one| says(&one.text));
    if let Some(bad) = part.purls.iter().find(|one| !is_purl(&one.text)) {
        gaps.unusable(field, &bad.pointer, &title, "no package URL");
    } else if !good && !stated_unknown(part, element) {
        let text = "no identifier that others know it by (package URL, CPE, SWID, SWHID)";
        gaps.missing(field, &part.pointer, &title, text);
    }
}

fn hashes(part: &Part, gaps: &mut Gaps, title: &str) {
    let own: Vec<_> = part.hashes.iter().filter(|one| one.of != HashOf::Source).collect();
    if let Some(bad) = own.iter().find(|one| !is_whole(one)) {
        let text = format!("no {} in hexadecimal digits", bad.algorithm);
        gaps.unusable(of("component-hash-value"), &bad.pointer, title, text);
    } else if own.is_empty() && !stated_unknown(part, "Component Hash Value") {
        let text = "it has no hash, and nothing says that none is known";
        gaps.missing(of("component-hash-value"), &part.pointer, title, text);
    }
    if !own.is_empty() && !own.iter().any(|one| is_sound(&one.algorithm)) {
        gaps.note(
            of("component-hash-algorithm"),
            Need::Should,
            Lack::Unusable,
            own.first().map_or(&part.pointer, |one| &one.pointer),
            title,
            "only hashes of algorithms that are no longer approved",
        );
    }
}
