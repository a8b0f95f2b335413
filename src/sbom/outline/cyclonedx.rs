//! What is looked at in CycloneDX.

use serde_json::Value;

use super::{
    At, Completeness, Dependencies, Hash, HashOf, Licence, LicenceForm, Meant, Outline, Part,
    Party, Tool, items, string, text,
};
use crate::sbom::document::Spec;

/// Deepest nesting of components that is followed; the reader of JSON allows
/// no more.
const MAX_DEPTH: usize = crate::nix::json::MAX_DEPTH;

pub(super) fn outline(spec: Spec, root: &Value) -> Outline {
    let mut outline = Outline::empty(spec);
    outline.serial = text(root, "serialNumber", "");
    outline.revision = text(root, "version", "");
    outline.signature = root.get("signature").map(|_| "/signature".to_owned());
    let full = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    outline.vulnerabilities =
        root.get("vulnerabilities").filter(|list| full(list)).map(|_| "/vulnerabilities".into());
    outline.properties = properties(root, "");
    if let Some(metadata) = root.get("metadata") {
        metadata_of(&mut outline, metadata);
    }
    let mut parts = Vec::new();
    for (pointer, value) in items(root, "components", "") {
        walk(&mut parts, value, pointer, 0);
    }
    let offset = outline.parts.len();
    for part in &mut parts {
        for one in &mut part.contains {
            *one += offset;
        }
    }
    outline.parts.extend(parts);
    for (pointer, one) in items(root, "dependencies", "") {
        let Some(of) = string(one, "ref") else { continue };
        let on = items(one, "dependsOn", &pointer)
            .filter_map(|(_, name)| name.as_str().map(str::to_owned))
            .collect();
        outline.dependencies.push(Dependencies { pointer, of, on });
    }
    for (pointer, one) in items(root, "compositions", "") {
        let Some(aggregate) = string(one, "aggregate") else { continue };
        let of = ["assemblies", "dependencies"]
            .into_iter()
            .flat_map(|key| items(one, key, &pointer))
            .filter_map(|(_, name)| name.as_str().map(str::to_owned))
            .collect();
        outline.completeness.push(Completeness { pointer, aggregate, of });
    }
    outline
}

fn metadata_of(outline: &mut Outline, metadata: &Value) {
    let here = "/metadata";
    outline.timestamp = text(metadata, "timestamp", here);
    outline.authors.extend(items(metadata, "authors", here).map(|(at, one)| person(one, at)));
    if let Some(one) = metadata.get("manufacturer") {
        outline.authors.push(organisation(one, format!("{here}/manufacturer")));
    }
    match metadata.get("tools") {
        Some(Value::Array(_)) => {
            let tools = items(metadata, "tools", here).map(|(at, one)| tool(one, at));
            outline.tools.extend(tools);
        }
        Some(tools) => {
            let pointer = format!("{here}/tools");
            for key in ["components", "services"] {
                let tools = items(tools, key, &pointer).map(|(at, one)| tool(one, at));
                outline.tools.extend(tools);
            }
        }
        None => {}
    }
    for (pointer, one) in items(metadata, "lifecycles", here) {
        let named = text(one, "phase", &pointer).or_else(|| text(one, "name", &pointer));
        outline.contexts.extend(named);
    }
    outline.properties.extend(properties(metadata, here));
    if let Some(component) = metadata.get("component") {
        walk(&mut outline.parts, component, format!("{here}/component"), 0);
        outline.primary = Some(0);
    }
}

fn tool(value: &Value, pointer: String) -> Tool {
    Tool { name: string(value, "name"), version: string(value, "version"), pointer }
}

fn person(value: &Value, pointer: String) -> Party {
    Party {
        name: string(value, "name"),
        emails: string(value, "email").into_iter().collect(),
        urls: Vec::new(),
        pointer,
    }
}

/// An organisation; its contacts' addresses are its own.
fn organisation(value: &Value, pointer: String) -> Party {
    let texts = |key: &str| match value.get(key) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let contacts = match value.get("contact") {
        Some(Value::Array(list)) => list.iter().filter_map(|one| string(one, "email")).collect(),
        Some(one) => string(one, "email").into_iter().collect(),
        None => Vec::new(),
    };
    Party { name: string(value, "name"), emails: contacts, urls: texts("url"), pointer }
}

/// A component and those inside it.
fn walk(parts: &mut Vec<Part>, value: &Value, pointer: String, depth: usize) -> usize {
    let place = parts.len();
    parts.push(part(value, pointer.clone()));
    if depth < MAX_DEPTH {
        let below: Vec<usize> = items(value, "components", &pointer)
            .map(|(pointer, one)| walk(parts, one, pointer, depth + 1))
            .collect();
        if let Some(part) = parts.get_mut(place) {
            part.contains = below;
        }
    }
    place
}

fn part(value: &Value, pointer: String) -> Part {
    let here = pointer.as_str();
    let mut makers: Vec<Party> =
        items(value, "authors", here).map(|(at, one)| person(one, at)).collect();
    if let Some(one) = value.get("manufacturer") {
        makers.push(organisation(one, format!("{here}/manufacturer")));
    }
    let named = |key: &str| Party {
        pointer: format!("{here}/{key}"),
        name: string(value, key),
        ..Party::default()
    };
    if value.get("author").is_some() {
        makers.push(named("author"));
    }
    let mut suppliers = Vec::new();
    if let Some(one) = value.get("supplier") {
        suppliers.push(organisation(one, format!("{here}/supplier")));
    }
    if value.get("publisher").is_some() {
        suppliers.push(named("publisher"));
    }
    let mut identifiers: Vec<At> = text(value, "cpe", here).into_iter().collect();
    if let Some(swid) = value.get("swid") {
        identifiers.extend(text(swid, "tagId", &format!("{here}/swid")));
    }
    for key in ["swhid", "omniborId"] {
        identifiers.extend(
            items(value, key, here).filter_map(|(at, one)| one.as_str().map(|id| At::new(id, at))),
        );
    }
    let mut hashes = hashes(value, here, HashOf::Component);
    let mut links = Vec::new();
    for (pointer, one) in items(value, "externalReferences", here) {
        let kind = string(one, "type").unwrap_or_default();
        match kind.as_str() {
            "distribution" => hashes.extend(self::hashes(one, &pointer, HashOf::Distribution)),
            "source-distribution" => hashes.extend(self::hashes(one, &pointer, HashOf::Source)),
            _ => {}
        }
        links.extend(text(one, "url", &pointer).map(|url| (kind, url)));
    }
    Part {
        reference: string(value, "bom-ref"),
        kind: string(value, "type"),
        group: string(value, "group"),
        name: text(value, "name", here),
        version: text(value, "version", here),
        purls: text(value, "purl", here).into_iter().collect(),
        identifiers,
        hashes,
        licences: licences(value, here),
        makers,
        suppliers,
        properties: properties(value, here),
        links,
        patches: patches(value),
        contains: Vec::new(),
        pointer,
    }
}

fn patches(value: &Value) -> Vec<String> {
    let patches = value.pointer("/pedigree/patches").and_then(Value::as_array);
    patches
        .into_iter()
        .flatten()
        .map(|patch| {
            let url = patch.pointer("/diff/url").and_then(Value::as_str);
            let issue = patch.pointer("/resolves/0/id").and_then(Value::as_str);
            url.or(issue).unwrap_or("without an address").to_owned()
        })
        .collect()
}

fn properties(value: &Value, pointer: &str) -> Vec<(String, At)> {
    items(value, "properties", pointer)
        .filter_map(|(at, one)| {
            let name = string(one, "name")?;
            Some((name, text(one, "value", &at)?))
        })
        .collect()
}

fn hashes(value: &Value, pointer: &str, of: HashOf) -> Vec<Hash> {
    items(value, "hashes", pointer)
        .filter_map(|(pointer, one)| {
            let (algorithm, value) = (string(one, "alg")?, string(one, "content")?);
            Some(Hash { pointer, of, algorithm, value })
        })
        .collect()
}

fn licences(value: &Value, pointer: &str) -> Vec<Licence> {
    items(value, "licenses", pointer)
        .filter_map(|(pointer, one)| {
            let (holder, text, form) = match (one.get("expression"), one.get("license")) {
                (Some(text), _) => (one, text, LicenceForm::Expression),
                (None, Some(licence)) => match (licence.get("id"), licence.get("name")) {
                    (Some(id), _) => (licence, id, LicenceForm::Identifier),
                    (None, Some(name)) => (licence, name, LicenceForm::Name),
                    _ => return None,
                },
                _ => return None,
            };
            let meant = match holder.get("acknowledgement").and_then(Value::as_str) {
                Some("declared") => Meant::Declared,
                Some("concluded") => Meant::Concluded,
                _ => Meant::Unsaid,
            };
            Some(Licence { pointer, text: text.as_str()?.to_owned(), form, meant })
        })
        .collect()
}
