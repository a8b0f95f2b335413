//! Descriptions of packages from outside the derivations: what
//! `nix-env -qa --json --meta` prints.
//!
//! An entry describes a store object if one of its outputs has that very path,
//! or, where it has no paths, if its name is the derivation's and no other
//! entry of that name says otherwise.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::bill::Licence;
use super::name::printable;

/// Longest text that is taken from a description.
const MAX_LICENCES: usize = 100;

/// Why a file of descriptions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// No JSON.
    #[error("it is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Another shape.
    #[error(
        "{place} is {found} (expected {expected}, as 'nix-env -qa --json --meta --out-path' prints)"
    )]
    Shape {
        /// Where, by attribute.
        place: String,
        /// What was found.
        found: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

/// What a package says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// What it is.
    pub description: Option<String>,
    /// Where people read about it.
    pub homepage: Option<String>,
    /// Its licence.
    pub licence: Licence,
    /// Its package URL.
    pub purl: Option<String>,
    /// Its name in the National Vulnerability Database.
    pub cpe: Option<String>,
    /// Who maintains it.
    pub maintainers: Vec<String>,
    /// Vulnerabilities that it admits to.
    pub known_vulnerabilities: Vec<String>,
}

/// Descriptions, by what they describe.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    by_path: BTreeMap<String, Description>,
    /// `None` where entries of one name say different things.
    by_name: BTreeMap<String, Option<Description>>,
}

impl Meta {
    /// Reads the file.
    ///
    /// # Errors
    /// Anything but what `nix-env` prints.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetaError> {
        let value: Value = serde_json::from_slice(bytes)?;
        let all = value.as_object().ok_or_else(|| shape("the file", &value, "an object"))?;
        let mut meta = Self::default();
        for (attribute, entry) in all {
            let place = || printable(attribute.as_bytes());
            let entry = entry.as_object().ok_or_else(|| shape(&place(), entry, "an object"))?;
            let name = entry.get("name").unwrap_or(&Value::Null);
            let name =
                name.as_str().ok_or_else(|| shape(&format!("{}.name", place()), name, "a name"))?;
            let none = Map::new();
            let described = match entry.get("meta") {
                None | Some(Value::Null) => &none,
                Some(Value::Object(described)) => described,
                Some(other) => return Err(shape(&format!("{}.meta", place()), other, "an object")),
            };
            let description = Description::read(described);
            let outputs = entry.get("outputs").and_then(Value::as_object);
            let paths = outputs.into_iter().flat_map(Map::values).filter_map(Value::as_str);
            for path in paths {
                meta.by_path.insert(path.to_owned(), description.clone());
            }
            meta.by_name
                .entry(name.to_owned())
                .and_modify(|known| {
                    if known.as_ref() != Some(&description) {
                        *known = None;
                    }
                })
                .or_insert(Some(description));
        }
        Ok(meta)
    }

    /// The description of a store object, given its full path and the name of
    /// its derivation.
    #[must_use]
    pub fn find(&self, path: Option<&str>, name: &str) -> Option<&Description> {
        let by_path = path.and_then(|path| self.by_path.get(path));
        by_path.or_else(|| self.by_name.get(name)?.as_ref())
    }

    /// Whether entries of that name contradict each other.
    #[must_use]
    pub fn is_ambiguous(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(Option::is_none)
    }

    /// How many packages are described.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether nothing is described.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl Description {
    fn read(meta: &Map<String, Value>) -> Self {
        let text = |field: &str| meta.get(field).and_then(Value::as_str).map(clean);
        let identifiers = meta.get("identifiers");
        let identifier = |field: &str| {
            let value = identifiers.and_then(|all| all.get(field))?;
            let first = value.as_array().and_then(|all| all.first()).unwrap_or(value);
            first.as_str().map(str::to_owned)
        };
        let homepage = meta.get("homepage");
        let homepage = homepage.map(|page| match page {
            Value::Array(all) => all.first().unwrap_or(&Value::Null),
            page => page,
        });
        let purl = identifier("purl").or_else(|| identifier("purls"));
        Self {
            description: text("description"),
            homepage: homepage.and_then(Value::as_str).map(clean),
            licence: licence(meta.get("license")),
            purl: purl.filter(|purl| purl.parse::<packageurl::PackageUrl<'_>>().is_ok()),
            cpe: identifier("cpe").filter(|cpe| cpe.starts_with("cpe:2.3:")),
            maintainers: names(meta.get("maintainers")),
            known_vulnerabilities: strings(meta.get("knownVulnerabilities")),
        }
    }
}

fn clean(text: &str) -> String {
    printable(text.as_bytes())
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(clean).collect()
}

/// The names of maintainers, with their addresses.
fn names(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |one: &Value| {
        let name = one.as_str().or_else(|| one.get("name")?.as_str())?;
        Some(match one.get("email").and_then(Value::as_str) {
            Some(mail) => format!("{} <{}>", clean(name), clean(mail)),
            None => clean(name),
        })
    };
    items.iter().filter_map(name).collect()
}

/// The licence as an SPDX expression. A list means that each of them applies;
/// what is no SPDX identifier becomes a `LicenseRef-`.
fn licence(value: Option<&Value>) -> Licence {
    let mut names = BTreeMap::new();
    match value.and_then(|value| expression(value, &mut names, 0)) {
        Some(text) => Licence::Expression { text, names },
        None => Licence::Unknown,
    }
}

/// Levels of compound licences that are read.
const MAX_DEPTH: usize = 16;

fn expression(value: &Value, names: &mut BTreeMap<String, String>, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::String(text) => Some(single(None, text, names)),
        Value::Array(all) => joined(all, "AND", names, depth),
        Value::Object(one) => {
            let text = |field: &str| one.get(field).and_then(Value::as_str);
            if let Some(Value::Array(all)) = one.get("licenses") {
                let operator = text("operator").unwrap_or("AND").to_ascii_uppercase();
                let known = ["AND", "OR", "WITH"].into_iter().find(|known| *known == operator)?;
                return joined(all, known, names, depth);
            }
            let called = text("fullName").or_else(|| text("shortName"));
            let short = text("shortName").or(called).or_else(|| text("spdxId"))?;
            Some(match text("spdxId") {
                Some(id) => single(Some(id), short, names),
                None => reference(short, called.unwrap_or(short), names),
            })
        }
        _ => None,
    }
}

fn joined(
    all: &[Value],
    operator: &str,
    names: &mut BTreeMap<String, String>,
    depth: usize,
) -> Option<String> {
    if all.len() > MAX_LICENCES {
        return None;
    }
    // One that cannot be read makes all of them unknown: what is left would
    // say less, or more, than the package does.
    let parts: Vec<String> =
        all.iter().map(|one| expression(one, names, depth + 1)).collect::<Option<_>>()?;
    match parts.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        _ => {
            let nested = |part: &String| {
                if part.contains(" OR ") || part.contains(" AND ") {
                    format!("({part})")
                } else {
                    part.clone()
                }
            };
            let parts: Vec<String> = parts.iter().map(nested).collect();
            Some(parts.join(&format!(" {operator} ")))
        }
    }
}

/// One licence: an SPDX identifier or expression as it is, anything else by
/// reference.
fn single(id: Option<&str>, called: &str, names: &mut BTreeMap<String, String>) -> String {
    let text = id.unwrap_or(called);
    match spdx::Expression::parse(text) {
        Ok(_) => text.to_owned(),
        Err(_) => reference(called, called, names),
    }
}

fn reference(short: &str, called: &str, names: &mut BTreeMap<String, String>) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let id: String = short.chars().take(64).map(fit).collect();
    let id = format!("LicenseRef-nixpkgs-{}", id.trim_matches('-'));
    names.insert(id.clone(), clean(called));
    id
}

fn shape(place: &str, value: &Value, expected: &'static str) -> MetaError {
    let found = match value {
        Value::Null => "missing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    MetaError::Shape { place: place.to_owned(), found, expected }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> Option<String> {
        match licence(Some(value)) {
            Licence::Expression { text, .. } => Some(text),
            Licence::Unknown => None,
        }
    }

    #[test]
    fn licences_become_expressions() {
        let mit = json!({ "spdxId": "MIT", "fullName": "MIT License", "shortName": "mit" });
        let unfree = json!({ "fullName": "Unfree", "shortName": "unfree", "free": false });
        for (value, wanted) in [
            (json!("MIT"), Some("MIT")),
            (mit.clone(), Some("MIT")),
            (json!({ "spdxId": "ISC" }), Some("ISC")),
            (json!([mit, "Apache-2.0"]), Some("MIT AND Apache-2.0")),
            (unfree.clone(), Some("LicenseRef-nixpkgs-unfree")),
            (json!([mit, unfree]), Some("MIT AND LicenseRef-nixpkgs-unfree")),
            (
                json!({ "operator": "OR", "licenses": [mit, ["Zlib", "ISC"]] }),
                Some("MIT OR (Zlib AND ISC)"),
            ),
            (json!("something of my own"), Some("LicenseRef-nixpkgs-something-of-my-own")),
            (json!(["MIT", 3]), None),
            (json!([]), None),
            (json!({ "operator": "XOR", "licenses": ["MIT", "ISC"] }), None),
        ] {
            assert_eq!(text(&value).as_deref(), wanted, "{value}");
            if let Some(wanted) = wanted {
                spdx::Expression::parse(wanted).unwrap();
            }
        }
    }

    #[test]
    fn entries_are_found_by_path_then_by_a_name_that_is_clear() {
        let meta = Meta::parse(
            json!({
                "a": { "name": "a-1", "outputs": { "out": "/nix/store/x-a-1" }, "meta": { "license": "MIT" } },
                "b": { "name": "b-1", "meta": { "license": "ISC" } },
                "b2": { "name": "b-1", "meta": { "license": "Zlib" } },
                "c": { "name": "c-1", "meta": { "license": "ISC" } },
            })
            .to_string()
            .as_bytes(),
        )
        .unwrap();
        assert!(meta.find(Some("/nix/store/x-a-1"), "other").is_some());
        assert!(meta.find(None, "c-1").is_some());
        assert!(meta.find(None, "b-1").is_none() && meta.is_ambiguous("b-1"));
        assert!(meta.find(None, "d-1").is_none() && !meta.is_ambiguous("d-1"));
    }

    #[test]
    fn other_shapes_are_refused_with_their_place() {
        for (text, says) in [
            ("[]", "the file is a list"),
            ("{\"a\": 1}", "a is a number"),
            ("{\"a\": {}}", "a.name is missing"),
            ("{\"a\": {\"name\": \"x\", \"meta\": []}}", "a.meta is a list"),
            ("{", "not valid JSON"),
        ] {
            let error = Meta::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
