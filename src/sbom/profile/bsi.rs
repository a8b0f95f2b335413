//! BSI TR-03183-2, version 2.1.0, 20 August 2025: formats (4), required fields
//! (5.2.1, 5.2.2), fields required if they exist (5.2.3, 5.2.4), licences (6.1)
//! and no vulnerabilities (3.1). Which field of CycloneDX is meant follows its
//! tables 8 to 12 and BSI's property taxonomy.
//! <https://www.bsi.bund.de/dok/TR-03183-en>,
//! <https://github.com/BSI-Bund/tr-03183-cyclonedx-property-taxonomy>

use super::cisa::moment;
use super::fields::{
    Field, Gaps, Graph, can_be_reached, field, is_purl, is_sha512, is_spdx, is_whole, says,
};
use super::{Gap, Lack, Need};
use crate::sbom::document::Spec;
use crate::sbom::outline::{HashOf, Meant, Outline, Part};

pub(super) const FIELDS: &[(&str, &str)] = &[
    ("data-format", "4"),
    ("creator-of-the-sbom", "5.2.1"),
    ("timestamp", "5.2.1"),
    ("primary-component", "3.2.1"),
    ("component-creator", "5.2.2"),
    ("component-name", "5.2.2"),
    ("component-version", "5.2.2"),
    ("filename-of-the-component", "5.2.2"),
    ("dependencies-on-other-components", "5.2.2"),
    ("completeness-of-dependencies", "5.2.2"),
    ("distribution-licences", "5.2.2, 6.1"),
    ("hash-value-of-the-deployable-component", "5.2.2"),
    ("executable-property", "5.2.2"),
    ("archive-property", "5.2.2"),
    ("structured-property", "5.2.2"),
    ("sbom-uri", "5.2.3"),
    ("other-unique-identifiers", "5.2.4"),
    ("original-licences", "5.2.4, 6.1"),
    ("effective-licence", "5.2.5, 6.1"),
    ("no-vulnerability-information", "3.1"),
];

fn of(name: &'static str) -> Field {
    field(FIELDS, name)
}

/// Properties with the values they may have.
const FLAGS: [(&str, &str, [&str; 2]); 3] = [
    ("executable-property", "bsi:component:executable", ["executable", "non-executable"]),
    ("archive-property", "bsi:component:archive", ["archive", "no archive"]),
    ("structured-property", "bsi:component:structured", ["structured", "unstructured"]),
];

pub(super) fn judge(outline: &Outline) -> Vec<Gap> {
    let mut gaps = Gaps::default();
    if !matches!(outline.spec, Spec::CycloneDx1_6 | Spec::CycloneDx1_7) {
        let text = format!(
            "{} is not accepted: CycloneDX from 1.6 or SPDX from 3.0.1 is; nothing else was looked at",
            outline.spec
        );
        let place = if outline.spec.is_cyclonedx() { "/specVersion" } else { "/spdxVersion" };
        gaps.unusable(of("data-format"), place, "", text);
        return gaps.0;
    }
    if !outline.authors.iter().any(can_be_reached) {
        let text = "no address for mail and no page of who made the document";
        gaps.missing(of("creator-of-the-sbom"), "/metadata/manufacturer", "", text);
    }
    moment(outline, of("timestamp"), &mut gaps);
    if outline.primary.is_none() {
        let text = "nothing says what the document is about";
        gaps.missing(of("primary-component"), "/metadata/component", "", text);
    }
    if outline.serial.is_none() {
        gaps.wanted(of("sbom-uri"), "/serialNumber", "", "the document has no URI of its own");
    }
    if let Some(place) = &outline.vulnerabilities {
        let text = "the document holds vulnerabilities, which change while the software does not";
        gaps.unusable(of("no-vulnerability-information"), place, "", text);
    }
    let graph = Graph::new(outline);
    for part in &outline.parts {
        component(outline, part, &graph, &mut gaps);
    }
    gaps.0
}

fn component(outline: &Outline, part: &Part, graph: &Graph<'_>, gaps: &mut Gaps) {
    let title = part.title();
    let here = part.pointer.as_str();
    if !part.makers.iter().any(can_be_reached) {
        let text = "no address for mail and no page of who makes it (manufacturer, authors)";
        gaps.missing(of("component-creator"), here, &title, text);
    }
    if !part.name.as_ref().is_some_and(|one| says(&one.text)) {
        gaps.missing(of("component-name"), here, &title, "it has no name");
    }
    if !part.version.as_ref().is_some_and(|one| says(&one.text)) {
        gaps.missing(of("component-version"), here, &title, "it has no version");
    }
    filename(part, gaps, &title);
    if !graph.lists(part) {
        let text = "its dependencies are not listed; none is an empty list";
        gaps.missing(of("dependencies-on-other-components"), here, &title, text);
    }
    let covered = outline.completeness.iter().any(|one| {
        matches!(one.aggregate.as_str(), "complete" | "incomplete" | "unknown")
            && (one.of.is_empty() || part.reference.as_ref().is_some_and(|n| one.of.contains(n)))
    });
    if !covered {
        let text = "nothing says whether the list of its dependencies is complete";
        gaps.missing(of("completeness-of-dependencies"), here, &title, text);
    }
    licences(part, gaps, &title);
    deployable_hash(part, gaps, &title);
    for (name, property, values) in FLAGS {
        flag(part, gaps, &title, of(name), property, values);
    }
    if let Some(bad) = part.purls.iter().find(|one| !is_purl(&one.text)) {
        gaps.unusable(of("other-unique-identifiers"), &bad.pointer, &title, "no package URL");
    } else if part.purls.is_empty() && part.identifiers.is_empty() {
        let text = "no other identifier (CPE, SWID, package URL); it is required if there is one";
        gaps.wanted(of("other-unique-identifiers"), here, &title, text);
    }
}

fn filename(part: &Part, gaps: &mut Gaps, title: &str) {
    let field = of("filename-of-the-component");
    let found: Vec<_> = part.property("bsi:component:filename").collect();
    match found.as_slice() {
        [] => gaps.missing(
            field,
            &part.pointer,
            title,
            "no bsi:component:filename; only a logical component (3.2.2) has none",
        ),
        [one] if !says(&one.text) || one.text.contains('/') => {
            gaps.unusable(
                field,
                &one.pointer,
                title,
                "the name of a file is wanted, without its path",
            );
        }
        [_] => {}
        [_, second, ..] => gaps.unusable(field, &second.pointer, title, "it is given twice"),
    }
}

fn flag(
    part: &Part,
    gaps: &mut Gaps,
    title: &str,
    field: Field,
    property: &str,
    values: [&str; 2],
) {
    let found: Vec<_> = part.property(property).collect();
    let expected = || format!("expected '{}' or '{}'", values[0], values[1]);
    match found.as_slice() {
        [] => gaps.missing(
            field,
            &part.pointer,
            title,
            format!("no {property}; only a logical component (3.2.2) has none"),
        ),
        [one] if !values.contains(&one.text.as_str()) => {
            gaps.unusable(field, &one.pointer, title, expected());
        }
        [_] => {}
        [_, second, ..] => gaps.unusable(field, &second.pointer, title, "it is given twice"),
    }
}

/// 6.1: by SPDX identifiers and expressions. What is only declared is the
/// original licence, table 11.
fn licences(part: &Part, gaps: &mut Gaps, title: &str) {
    let field = of("distribution-licences");
    for one in part.licences.iter().filter(|one| !is_spdx(one)) {
        let field = if one.meant == Meant::Declared { of("original-licences") } else { field };
        let text = "no licence identifier or expression of SPDX; one that has none is written as LicenseRef-...";
        gaps.unusable(field, &one.pointer, title, text);
    }
    if !part.licences.iter().any(|one| one.meant != Meant::Declared) {
        let text = "no licence under which it can be used (acknowledgement: concluded)";
        gaps.missing(field, &part.pointer, title, text);
    }
    for one in part.property("bsi:component:effectiveLicence") {
        if !super::fields::is_expression(&one.text) {
            let text = "no licence expression of SPDX";
            gaps.unusable(of("effective-licence"), &one.pointer, title, text);
        }
    }
}

/// Table 9: SHA-512 of what is deployed, at the reference of type
/// `distribution`.
fn deployable_hash(part: &Part, gaps: &mut Gaps, title: &str) {
    let field = of("hash-value-of-the-deployable-component");
    let good = |one: &&crate::sbom::outline::Hash| is_sha512(&one.algorithm) && is_whole(one);
    let of = |what: HashOf| part.hashes.iter().filter(move |one| one.of == what);
    if of(HashOf::Distribution).any(|one| good(&one)) {
        return;
    }
    if let Some(one) = of(HashOf::Component).find(good) {
        gaps.note(
            field,
            Need::Must,
            Lack::Unusable,
            &one.pointer,
            title,
            "the SHA-512 stands at the component; table 9 wants it at its external reference of type 'distribution'",
        );
        return;
    }
    let text = "no SHA-512 of what is deployed (external reference of type 'distribution'); only a logical component (3.2.2) has none";
    gaps.missing(field, &part.pointer, title, text);
}
