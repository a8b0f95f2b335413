//! CycloneDX 1.3 to 1.6 from the newest: what an older version has no word for
//! is said with the words it has, or left out and named.
//!
//! `cyclonedx-bom`, which knows 1.3 to 1.5, writes these where it is exact: what
//! it has written is read back and held against what was meant. Where it lost
//! something our own writer is used.

use std::collections::BTreeSet;

use cyclonedx_bom::models::bom::Bom;
use serde_json::{Map, Value, json};

use super::document::Spec;
use super::validate::{self, Defect, SchemaError};
use super::xml;

/// Rounds in which what a schema does not know is taken out: one uncovers the
/// next only where an alternative hides it.
const MAX_ROUNDS: usize = 8;

/// Kinds of components that 1.5 brought, with what was said for them before.
const KINDS: [(&str, &str); 5] = [
    ("platform", "framework"),
    ("device-driver", "library"),
    ("machine-learning-model", "library"),
    ("data", "file"),
    ("cryptographic-asset", "file"),
];

/// References that have had a name since 1.3; others are `other` in it.
const LINKS_1_3: [&str; 16] = [
    "vcs",
    "issue-tracker",
    "website",
    "advisories",
    "bom",
    "mailing-list",
    "social",
    "chat",
    "documentation",
    "support",
    "distribution",
    "license",
    "build-meta",
    "build-system",
    "other",
    "release-notes",
];

/// Words for references that 1.6 brought.
const LINKS_1_6: [(&str, &str); 4] = [
    ("source-distribution", "distribution"),
    ("electronic-signature", "other"),
    ("digital-signature", "other"),
    ("rfc-9116", "security-contact"),
];

/// Why an older version could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// A schema of our own that cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// What came out is not what the older version allows: a defect of this
    /// program.
    #[error("{spec} cannot say what the document says at '{}': {}", .defect.pointer, .defect.message)]
    Refused {
        /// The version.
        spec: Spec,
        /// What it refuses.
        defect: Defect,
    },
    /// XML that cannot be written.
    #[error(transparent)]
    Xml(#[from] xml::WriteError),
}

/// A document in an older version.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// The document.
    pub value: Value,
    /// What it could not say, as paths of keys without places in lists.
    pub left_out: BTreeSet<String>,
}

/// Says what a document of CycloneDX says in an older version.
///
/// # Errors
/// What the version's schema refuses, rather than writing it.
pub fn lower(value: &Value, spec: Spec) -> Result<Lowered, LegacyError> {
    let mut lowered = Lowered { value: value.clone(), left_out: BTreeSet::new() };
    let root = &mut lowered.value;
    if let Some(map) = root.as_object_mut() {
        map.insert("specVersion".to_owned(), spec.version().into());
        map.remove("$schema");
    }
    if spec <= Spec::CycloneDx1_6 {
        to_1_6(root, &mut lowered.left_out);
    }
    if spec <= Spec::CycloneDx1_5 {
        to_1_5(root, &mut lowered.left_out);
    }
    if spec <= Spec::CycloneDx1_4 {
        to_1_4(root, &mut lowered.left_out);
    }
    if spec <= Spec::CycloneDx1_3 {
        to_1_3(root);
    }
    prune(&mut lowered, spec)?;
    match validate::defects_of(spec, &lowered.value)?.into_iter().next() {
        None => Ok(lowered),
        Some(defect) => Err(LegacyError::Refused { spec, defect }),
    }
}

/// Takes out what the version's own schema does not know.
fn prune(lowered: &mut Lowered, spec: Spec) -> Result<(), LegacyError> {
    for _ in 0..MAX_ROUNDS {
        let unknown = validate::unknown_keys(spec, &lowered.value)?;
        if unknown.is_empty() {
            break;
        }
        for (pointer, keys) in unknown {
            let Some(Value::Object(map)) = lowered.value.pointer_mut(&pointer) else { continue };
            for key in keys {
                if map.remove(&key).is_some() {
                    lowered.left_out.insert(path(&format!("{pointer}/{key}")));
                }
            }
        }
    }
    Ok(())
}

/// A pointer without the places in lists: `components/licenses`.
fn path(pointer: &str) -> String {
    let steps: Vec<&str> =
        pointer.split('/').filter(|one| !one.is_empty() && one.parse::<usize>().is_err()).collect();
    steps.join("/")
}

/// Every object of the document, those inside first, with the key it stands
/// under.
fn each(value: &mut Value, key: &str, work: &mut dyn FnMut(&str, &mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            for (key, below) in map.iter_mut() {
                each(below, key, work);
            }
            work(key, map);
        }
        Value::Array(items) => items.iter_mut().for_each(|one| each(one, key, work)),
        _ => {}
    }
}

/// Whether an object under that key is a component.
fn is_component(key: &str) -> bool {
    matches!(key, "component" | "components" | "ancestors" | "descendants" | "variants")
}

/// An expression stood alone until 1.7: of several licences one is made. What
/// is concluded counts before what is declared; all that are left hold at once.
fn to_1_6(root: &mut Value, left_out: &mut BTreeSet<String>) {
    each(root, "", &mut |key, map| {
        if key == "licenses" && map.contains_key("expression") {
            for newer in ["expressionDetails", "licensing", "properties"] {
                if map.remove(newer).is_some() {
                    left_out.insert(format!("components/licenses/{newer}"));
                }
            }
        }
        let Some(Value::Array(list)) = map.get_mut("licenses") else { return };
        if list.len() < 2 || list.iter().all(|one| one.get("expression").is_none()) {
            return;
        }
        let meant = |one: &Value| {
            let holder = one.get("license").unwrap_or(one);
            holder.get("acknowledgement").and_then(Value::as_str).map(str::to_owned)
        };
        let concluded = |one: &Value| meant(one).as_deref() == Some("concluded");
        if list.iter().any(concluded) && !list.iter().all(concluded) {
            list.retain(concluded);
            left_out.insert("components/licenses (those declared)".to_owned());
        }
        if list.len() < 2 {
            return;
        }
        let acknowledged = list.first().and_then(meant);
        let acknowledged =
            acknowledged.filter(|first| list.iter().all(|one| meant(one).as_ref() == Some(first)));
        let texts: Vec<String> = list.iter().filter_map(term).collect();
        let mut one = Map::new();
        one.insert("expression".to_owned(), texts.join(" AND ").into());
        one.extend(acknowledged.map(|word| ("acknowledgement".to_owned(), word.into())));
        left_out.insert("components/licenses (made one expression)".to_owned());
        *list = vec![Value::Object(one)];
    });
}

/// A licence as a part of an expression.
fn term(one: &Value) -> Option<String> {
    if let Some(text) = one.get("expression").and_then(Value::as_str) {
        return Some(if text.contains(' ') { format!("({text})") } else { text.to_owned() });
    }
    let licence = one.get("license")?;
    if let Some(id) = licence.get("id").and_then(Value::as_str) {
        return Some(id.to_owned());
    }
    let name = licence.get("name")?.as_str()?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    Some(format!("LicenseRef-{}", name.chars().map(plain).collect::<String>()))
}

fn to_1_5(root: &mut Value, left_out: &mut BTreeSet<String>) {
    if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
        // Who made the document was a person until 1.6.
        if let Some(maker) = metadata.remove("manufacturer") {
            let contact = maker.pointer("/contact/0/email").cloned();
            let mut author = Map::new();
            author.extend(maker.get("name").map(|name| ("name".to_owned(), name.clone())));
            author.extend(contact.map(|mail| ("email".to_owned(), mail)));
            if metadata.contains_key("authors") || author.is_empty() {
                left_out.insert("metadata/manufacturer".to_owned());
            } else {
                if maker.get("url").is_some() {
                    left_out.insert("metadata/manufacturer/url".to_owned());
                }
                metadata.insert("authors".to_owned(), json!([author]));
            }
        }
    }
    each(root, "", &mut |key, map| match key {
        "externalReferences" => rename(map, "type", &LINKS_1_6),
        "licenses" | "license" if map.remove("acknowledgement").is_some() => {
            left_out.insert("components/licenses/acknowledgement".to_owned());
        }
        "evidence" => {
            if let Some(Value::Array(list)) = map.get_mut("identity") {
                if list.len() > 1 {
                    left_out.insert("components/evidence/identity".to_owned());
                }
                let first = if list.is_empty() { None } else { Some(list.swap_remove(0)) };
                match first {
                    Some(first) => drop(map.insert("identity".to_owned(), first)),
                    None => drop(map.remove("identity")),
                }
            }
        }
        key if is_component(key) => {
            rename(map, "type", &[("cryptographic-asset", "file")]);
            maker_to_author(map, left_out);
        }
        _ => {}
    });
}

/// Who makes a component was one text until 1.6.
fn maker_to_author(map: &mut Map<String, Value>, left_out: &mut BTreeSet<String>) {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let made = map.remove("manufacturer").and_then(|one| name(&one));
    let authors: Vec<String> = match map.remove("authors") {
        Some(Value::Array(list)) => list.iter().filter_map(name).collect(),
        _ => Vec::new(),
    };
    let said = if authors.is_empty() { made } else { Some(authors.join(", ")) };
    if let Some(said) = said {
        left_out.insert("components/manufacturer".to_owned());
        map.entry("author").or_insert_with(|| said.into());
    }
}

fn to_1_4(root: &mut Value, left_out: &mut BTreeSet<String>) {
    let properties = root.as_object_mut().and_then(|map| map.remove("properties"));
    let metadata = root.get_mut("metadata").and_then(Value::as_object_mut);
    match (properties, metadata) {
        (Some(Value::Array(list)), Some(metadata)) => {
            metadata.entry("properties").or_insert_with(|| json!([]));
            if let Some(Value::Array(there)) = metadata.get_mut("properties") {
                there.extend(list);
            }
        }
        (Some(_), _) => {
            left_out.insert("properties".to_owned());
        }
        (None, _) => {}
    }
    if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
        tools(metadata, left_out);
    }
    each(root, "", &mut |key, map| {
        if key == "vulnerabilities" {
            tools(map, left_out);
        }
        if is_component(key) {
            rename(map, "type", &KINDS);
        }
        if key == "externalReferences" {
            other_link(map);
        }
    });
}

/// Tools were no components until 1.5.
fn tools(metadata: &mut Map<String, Value>, left_out: &mut BTreeSet<String>) {
    let Some(Value::Object(tools)) = metadata.get("tools") else { return };
    let known = ["name", "version", "hashes", "externalReferences"];
    let mut list = Vec::new();
    for one in tools.get("components").and_then(Value::as_array).into_iter().flatten() {
        let Some(one) = one.as_object() else { continue };
        let mut tool = Map::new();
        for (key, value) in one {
            if known.contains(&key.as_str()) {
                tool.insert(key.clone(), value.clone());
            } else if !matches!(key.as_str(), "type" | "bom-ref" | "manufacturer" | "supplier") {
                left_out.insert(format!("metadata/tools/components/{key}"));
            }
        }
        let vendor = ["manufacturer", "supplier"].iter().find_map(|key| one.get(*key)?.get("name"));
        tool.extend(vendor.map(|name| ("vendor".to_owned(), name.clone())));
        list.push(Value::Object(tool));
    }
    if tools.contains_key("services") {
        left_out.insert("metadata/tools/services".to_owned());
    }
    metadata.insert("tools".to_owned(), list.into());
}

fn to_1_3(root: &mut Value) {
    each(root, "", &mut |key, map| {
        if is_component(key) {
            // A version was required, and may be empty.
            map.entry("version").or_insert_with(|| "".into());
        }
        if key == "externalReferences" {
            rename(map, "type", &[("release-notes", "other")]);
        }
    });
}

fn rename(map: &mut Map<String, Value>, key: &str, words: &[(&str, &str)]) {
    if let Some(Value::String(word)) = map.get_mut(key)
        && let Some((_, older)) = words.iter().find(|(newer, _)| newer == word)
    {
        (*older).clone_into(word);
    }
}

fn other_link(map: &mut Map<String, Value>) {
    if let Some(Value::String(word)) = map.get_mut("type")
        && !LINKS_1_3.contains(&word.as_str())
    {
        "other".clone_into(word);
    }
}

/// Whether a version is one that `cyclonedx-bom` knows.
const fn is_known(spec: Spec) -> bool {
    matches!(spec, Spec::CycloneDx1_3 | Spec::CycloneDx1_4 | Spec::CycloneDx1_5)
}

/// What `cyclonedx-bom` makes of the document as JSON, if nothing is lost.
#[must_use]
pub fn library_json(value: &Value, spec: Spec) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let bom = library(value, spec)?;
    match spec {
        Spec::CycloneDx1_3 => bom.output_as_json_v1_3(&mut out).ok()?,
        Spec::CycloneDx1_4 => bom.output_as_json_v1_4(&mut out).ok()?,
        _ => bom.output_as_json_v1_5(&mut out).ok()?,
    }
    let back: Value = serde_json::from_slice(&out).ok()?;
    out.push(b'\n');
    (back == *value).then_some(out)
}

/// What `cyclonedx-bom` makes of the document as XML, if nothing is lost.
#[must_use]
pub fn library_xml(value: &Value, spec: Spec) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let bom = library(value, spec)?;
    match spec {
        Spec::CycloneDx1_3 => bom.output_as_xml_v1_3(&mut out).ok()?,
        Spec::CycloneDx1_4 => bom.output_as_xml_v1_4(&mut out).ok()?,
        _ => bom.output_as_xml_v1_5(&mut out).ok()?,
    }
    let back = xml::read(&out).ok()?.value;
    // XML has no empty list of dependencies.
    let mut meant = value.clone();
    for one in meant.get_mut("dependencies").and_then(Value::as_array_mut).into_iter().flatten() {
        let empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
        if let Some(map) = one.as_object_mut()
            && map.get("dependsOn").is_some_and(empty)
        {
            map.remove("dependsOn");
        }
    }
    (back == meant).then_some(out)
}

fn library(value: &Value, spec: Spec) -> Option<Bom> {
    if !is_known(spec) {
        return None;
    }
    let bytes = serde_json::to_vec(value).ok()?;
    match spec {
        Spec::CycloneDx1_3 => Bom::parse_from_json_v1_3(bytes.as_slice()).ok(),
        Spec::CycloneDx1_4 => Bom::parse_from_json_v1_4(bytes.as_slice()).ok(),
        _ => Bom::parse_from_json_v1_5(bytes.as_slice()).ok(),
    }
}
