//! What is looked at in SPDX 2.3: its packages.
//!
//! Which field answers which question follows the specification's own annex K,
//! <https://spdx.github.io/spdx-spec/v2.3/how-to-use/>.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    At, Dependencies, Hash, HashOf, Licence, LicenceForm, Meant, Outline, Part, Party, Tool, items,
    string, text,
};
use crate::sbom::document::Spec;

pub(super) fn outline(root: &Value) -> Outline {
    let mut outline = Outline::empty(Spec::Spdx2_3);
    outline.serial = text(root, "documentNamespace", "");
    if let Some(info) = root.get("creationInfo") {
        let here = "/creationInfo";
        outline.timestamp = text(info, "created", here);
        for (pointer, one) in items(info, "creators", here) {
            match one.as_str().and_then(|one| one.split_once(':')) {
                Some(("Tool", name)) => outline.tools.push(tool(name.trim(), pointer)),
                Some((_, name)) => outline.authors.push(party(name.trim(), pointer)),
                None => {}
            }
        }
        outline.contexts.extend(text(info, "comment", here));
    }
    let mut places = BTreeMap::new();
    for (pointer, value) in items(root, "packages", "") {
        let part = package(value, pointer);
        if let Some(name) = &part.reference {
            places.entry(name.clone()).or_insert(outline.parts.len());
        }
        outline.parts.push(part);
    }
    relationships(&mut outline, root, &places);
    outline
}

/// A tool's name and version: `name-version`, section 6.8.
fn tool(text: &str, pointer: String) -> Tool {
    let (name, version) = match text.rsplit_once(['-', ' ']) {
        Some((name, version)) if version.contains(|c: char| c.is_ascii_digit()) => {
            (name, Some(version.to_owned()))
        }
        _ => (text, None),
    };
    Tool { pointer, name: Some(name.to_owned()).filter(|name| !name.is_empty()), version }
}

/// `Name (mail)`, section 6.8.
fn party(text: &str, pointer: String) -> Party {
    let (name, mail) = match text.rsplit_once('(') {
        Some((name, mail)) => (name.trim(), mail.strip_suffix(')').map(str::trim)),
        None => (text, None),
    };
    Party {
        pointer,
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        emails: mail.filter(|mail| !mail.is_empty()).map(str::to_owned).into_iter().collect(),
        urls: Vec::new(),
    }
}

/// What a package says of who made or supplies it.
fn named(value: &Value, key: &str, pointer: &str) -> Option<Party> {
    let text = text(value, key, pointer)?;
    let name = match text.text.split_once(':') {
        Some(("Person" | "Organization", name)) => name.trim(),
        _ => text.text.as_str(),
    };
    Some(party(name, text.pointer))
}

fn package(value: &Value, pointer: String) -> Part {
    let here = pointer.as_str();
    let (mut purls, mut identifiers) = (Vec::new(), Vec::new());
    for (pointer, one) in items(value, "externalRefs", here) {
        let Some(locator) = text(one, "referenceLocator", &pointer) else { continue };
        match one.get("referenceType").and_then(Value::as_str) {
            Some("purl") => purls.push(locator),
            Some("cpe22Type" | "cpe23Type" | "swid" | "swh" | "gitoid") => {
                identifiers.push(locator);
            }
            _ => {}
        }
    }
    let hashes = items(value, "checksums", here)
        .filter_map(|(pointer, one)| {
            let (algorithm, value) = (string(one, "algorithm")?, string(one, "checksumValue")?);
            Some(Hash { pointer, of: HashOf::Component, algorithm, value })
        })
        .collect();
    let licences = [("licenseConcluded", Meant::Concluded), ("licenseDeclared", Meant::Declared)]
        .into_iter()
        .filter_map(|(key, meant)| {
            let At { text, pointer } = text(value, key, here)?;
            Some(Licence { pointer, text, form: LicenceForm::Expression, meant })
        })
        .collect();
    Part {
        reference: string(value, "SPDXID"),
        kind: string(value, "primaryPackagePurpose").map(|kind| kind.to_lowercase()),
        name: text(value, "name", here),
        version: text(value, "versionInfo", here),
        purls,
        identifiers,
        hashes,
        licences,
        makers: named(value, "originator", here).into_iter().collect(),
        suppliers: named(value, "supplier", here).into_iter().collect(),
        properties: annotations(value, here),
        links: text(value, "downloadLocation", here)
            .map(|url| ("distribution".to_owned(), url))
            .into_iter()
            .collect(),
        group: None,
        patches: Vec::new(),
        contains: Vec::new(),
        pointer,
    }
}

/// Named values that stand in annotations, `name=value` with a colon in the
/// name, as our own documents have them.
fn annotations(value: &Value, pointer: &str) -> Vec<(String, At)> {
    items(value, "annotations", pointer)
        .filter_map(|(pointer, one)| {
            let comment = text(one, "comment", &pointer)?;
            let (name, value) = comment.text.split_once('=')?;
            let is_name = name.contains(':') && !name.contains(char::is_whitespace);
            is_name.then(|| (name.to_owned(), At::new(value, comment.pointer.clone())))
        })
        .collect()
}

/// Relationships that say that one package needs another, section 11.1, and
/// which way round they are written.
const NEEDS: [(&str, bool); 16] = [
    ("DEPENDS_ON", true),
    ("DEPENDENCY_OF", false),
    ("CONTAINS", true),
    ("CONTAINED_BY", false),
    ("DYNAMIC_LINK", true),
    ("STATIC_LINK", true),
    ("GENERATED_FROM", true),
    ("GENERATES", false),
    ("BUILD_DEPENDENCY_OF", false),
    ("BUILD_TOOL_OF", false),
    ("DEV_DEPENDENCY_OF", false),
    ("RUNTIME_DEPENDENCY_OF", false),
    ("OPTIONAL_DEPENDENCY_OF", false),
    ("PROVIDED_DEPENDENCY_OF", false),
    ("TEST_DEPENDENCY_OF", false),
    ("PREREQUISITE_FOR", false),
];

fn relationships(outline: &mut Outline, root: &Value, places: &BTreeMap<String, usize>) {
    let mut described: Option<String> =
        items(root, "documentDescribes", "").find_map(|(_, name)| name.as_str().map(str::to_owned));
    for (pointer, one) in items(root, "relationships", "") {
        let (Some(from), Some(kind), Some(to)) = (
            string(one, "spdxElementId"),
            string(one, "relationshipType"),
            string(one, "relatedSpdxElement"),
        ) else {
            continue;
        };
        match kind.as_str() {
            "DESCRIBES" => described = described.or(Some(to)),
            "DESCRIBED_BY" => described = described.or(Some(from)),
            kind => {
                let Some((_, forward)) = NEEDS.iter().find(|(name, _)| *name == kind) else {
                    continue;
                };
                let (of, on) = if *forward { (from, to) } else { (to, from) };
                // `X DEPENDS_ON NONE` says that X needs nothing.
                let on = if on == "NONE" { Vec::new() } else { vec![on] };
                outline.dependencies.push(Dependencies { pointer, of, on });
            }
        }
    }
    outline.primary = described.and_then(|name| places.get(&name).copied());
}
