//! SPDX 2.3 in JSON. <https://spdx.github.io/spdx-spec/v2.3/>
//!
//! Written from what is looked at in a CycloneDX document ([`Outline`]). What
//! SPDX has no field for stands in annotations of the package, so that nothing
//! is lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::outline::{At, Hash, HashOf, Licence, LicenceForm, Meant, Outline, Part, Party};

/// What stands for a moment that is not known: the field is required.
const NO_MOMENT: &str = "1970-01-01T00:00:00Z";

/// Algorithms of checksums that SPDX knows, by what CycloneDX calls them.
const CHECKSUMS: [(&str, &str); 12] = [
    ("MD5", "MD5"),
    ("SHA-1", "SHA1"),
    ("SHA-256", "SHA256"),
    ("SHA-384", "SHA384"),
    ("SHA-512", "SHA512"),
    ("SHA3-256", "SHA3-256"),
    ("SHA3-384", "SHA3-384"),
    ("SHA3-512", "SHA3-512"),
    ("BLAKE2b-256", "BLAKE2b-256"),
    ("BLAKE2b-384", "BLAKE2b-384"),
    ("BLAKE2b-512", "BLAKE2b-512"),
    ("BLAKE3", "BLAKE3"),
];

/// Purposes of packages, by types of components.
const PURPOSES: [(&str, &str); 9] = [
    ("application", "APPLICATION"),
    ("framework", "FRAMEWORK"),
    ("library", "LIBRARY"),
    ("container", "CONTAINER"),
    ("operating-system", "OPERATING_SYSTEM"),
    ("device", "DEVICE"),
    ("firmware", "FIRMWARE"),
    ("file", "FILE"),
    ("platform", "OTHER"),
];

/// CISA's word for the type of a document, by CycloneDX's phases.
const CONTEXTS: [(&str, &str); 7] = [
    ("design", "Design"),
    ("pre-build", "Source"),
    ("build", "Build"),
    ("post-build", "Analyzed"),
    ("operations", "Deployed"),
    ("discovery", "Analyzed"),
    ("decommission", "Deployed"),
];

/// Writes a document.
#[must_use]
pub fn write(outline: &Outline) -> Value {
    let mut names = Names::default();
    let ids: Vec<String> = outline.parts.iter().map(|part| names.id(part)).collect();
    let mut licences = Licences::default();
    let created = moment(outline);
    let annotator = creator(outline);
    let packages: Vec<Value> = outline
        .parts
        .iter()
        .zip(&ids)
        .map(|(part, id)| package(part, id, &mut licences, &created, &annotator))
        .collect();
    let primary = outline.primary.and_then(|at| outline.parts.get(at));
    let title = primary.map_or_else(|| "bill of materials".to_owned(), Part::title);
    let serial = outline.serial.as_ref().map_or("unnumbered", |one| one.text.as_str());
    let serial = serial.strip_prefix("urn:uuid:").unwrap_or(serial);
    let mut info = json!({ "created": created, "creators": creators(outline, &annotator) });
    let mut comments = Vec::new();
    let words: BTreeSet<&str> = outline.contexts.iter().filter_map(context).collect();
    if !words.is_empty() {
        let words: Vec<&str> = words.into_iter().collect();
        comments.push(format!("SBOM Type: {}", words.join(", ")));
    }
    if outline.timestamp.is_none() {
        comments.push("the moment of creation is left out; 1970 stands for it".to_owned());
    }
    set(&mut info, "comment", (!comments.is_empty()).then(|| comments.join("; ").into()));
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": title,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", plain(&title), plain(serial)),
        "creationInfo": info,
        "packages": packages,
        "relationships": relationships(outline, &ids),
    });
    let extracted = licences.extracted();
    set(&mut document, "hasExtractedLicensingInfos", extracted);
    document
}

fn set(value: &mut Value, key: &str, new: Option<Value>) {
    if let (Some(map), Some(new)) = (value.as_object_mut(), new) {
        map.insert(key.to_owned(), new);
    }
}

fn context(at: &At) -> Option<&'static str> {
    CONTEXTS.iter().find(|(phase, _)| *phase == at.text).map(|(_, word)| *word)
}

/// Whole seconds in UTC, as section 6.9 wants them; a moment that is not in
/// UTC or no moment is as if none were known.
fn moment(outline: &Outline) -> String {
    let text = outline.timestamp.as_ref().map_or("", |one| one.text.as_str());
    let whole = text.split(['.', 'Z']).next().unwrap_or_default();
    let utc = text.ends_with('Z') && whole.len() == NO_MOMENT.len() - 1;
    if utc { format!("{whole}Z") } else { NO_MOMENT.to_owned() }
}

/// The tool that annotates.
fn creator(outline: &Outline) -> String {
    let tool = outline.tools.first();
    let name = tool.and_then(|one| one.name.clone()).unwrap_or_else(|| "unknown".to_owned());
    match tool.and_then(|one| one.version.as_deref()) {
        Some(version) => format!("Tool: {name}-{version}"),
        None => format!("Tool: {name}"),
    }
}

fn creators(outline: &Outline, tool: &str) -> Vec<String> {
    let mut list = vec![tool.to_owned()];
    list.extend(outline.authors.iter().filter_map(actor));
    list
}

/// `Organization: name (mail)`.
fn actor(party: &Party) -> Option<String> {
    let name = one_line(party.name.as_deref()?);
    let word = if party.pointer.contains("/authors/") { "Person" } else { "Organization" };
    Some(match party.emails.first() {
        Some(mail) => format!("{word}: {name} ({})", one_line(mail)),
        None => format!("{word}: {name}"),
    })
}

/// Text without what would end a line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Letters, digits, dots and hyphens: what identifiers are made of.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// Identifiers that were given.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// An identifier for a part that no other has.
    fn id(&mut self, part: &Part) -> String {
        let name = part.reference.clone().unwrap_or_else(|| part.title());
        let name = name.strip_prefix("/nix/store/").unwrap_or(&name);
        let first = format!("SPDXRef-{}", plain(name));
        let mut id = first.clone();
        let mut count = 1_usize;
        while !self.0.insert(id.clone()) {
            count += 1;
            id = format!("{first}-{count}");
        }
        id
    }
}

/// Licences that are not on SPDX's list, with the texts that are known of them.
#[derive(Default)]
struct Licences(BTreeMap<String, String>);

impl Licences {
    /// A licence as an expression; what is only a name becomes a reference.
    fn expression(&mut self, licence: &Licence) -> String {
        match licence.form {
            LicenceForm::Identifier | LicenceForm::Expression
                if spdx::Expression::parse(&licence.text).is_ok()
                    || matches!(licence.text.as_str(), "NOASSERTION" | "NONE") =>
            {
                for word in licence.text.split([' ', '(', ')']) {
                    if word.starts_with("LicenseRef-") {
                        let text = format!("{word} of the package");
                        self.0.entry(word.to_owned()).or_insert(text);
                    }
                }
                licence.text.clone()
            }
            _ => {
                let id = format!("LicenseRef-{}", plain(&licence.text));
                self.0.entry(id.clone()).or_insert_with(|| licence.text.clone());
                id
            }
        }
    }

    fn extracted(&self) -> Option<Value> {
        let list = self
            .0
            .iter()
            .map(|(id, text)| json!({ "licenseId": id, "name": text, "extractedText": text }));
        (!self.0.is_empty()).then(|| list.collect())
    }

    /// All licences that are meant in that way, as one expression.
    fn all(&mut self, part: &Part, meant: &[Meant]) -> String {
        let wanted = part.licences.iter().filter(|one| meant.contains(&one.meant));
        let mut list: Vec<String> = wanted.map(|one| self.expression(one)).collect();
        list.dedup();
        // What is not known of one is not known of all.
        if list.is_empty() || list.iter().any(|one| one == "NOASSERTION") {
            return "NOASSERTION".to_owned();
        }
        let several = list.len() > 1;
        let wrap =
            |one: String| if several && one.contains(' ') { format!("({one})") } else { one };
        list.into_iter().map(wrap).collect::<Vec<_>>().join(" AND ")
    }
}

fn package(
    part: &Part,
    id: &str,
    licences: &mut Licences,
    created: &str,
    annotator: &str,
) -> Value {
    let link = |kind: &str| part.links.iter().find(|(one, _)| one == kind).map(|(_, at)| &at.text);
    let web = |url: &&String| {
        ["https://", "http://", "ftp://"].iter().any(|scheme| url.starts_with(scheme))
            && !url.contains(char::is_whitespace)
    };
    let download =
        link("distribution").filter(web).or_else(|| link("source-distribution").filter(web));
    let name = part.name.as_ref().map_or_else(|| part.title(), |one| one.text.clone());
    let someone =
        |list: &[Party]| list.iter().find_map(actor).unwrap_or_else(|| "NOASSERTION".to_owned());
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": download.map_or("NOASSERTION", String::as_str),
        "filesAnalyzed": false,
        "supplier": someone(&part.suppliers),
        "originator": someone(&part.makers),
        "licenseConcluded": licences.all(part, &[Meant::Concluded]),
        "licenseDeclared": licences.all(part, &[Meant::Declared, Meant::Unsaid]),
        "copyrightText": "NOASSERTION",
    });
    let version = part.version.as_ref().filter(|one| !one.text.is_empty());
    set(&mut package, "versionInfo", version.map(|one| one.text.clone().into()));
    let purpose = PURPOSES.iter().find(|(kind, _)| part.kind.as_deref() == Some(*kind));
    set(&mut package, "primaryPackagePurpose", purpose.map(|(_, word)| (*word).into()));
    set(&mut package, "homepage", link("website").filter(web).map(|url| url.clone().into()));
    let checksums: Vec<Value> = checksums(part);
    set(&mut package, "checksums", (!checksums.is_empty()).then(|| checksums.into()));
    let references: Vec<Value> = references(part);
    set(&mut package, "externalRefs", (!references.is_empty()).then(|| references.into()));
    let notes: Vec<Value> = notes(part)
        .into_iter()
        .map(|comment| {
            json!({ "annotationDate": created, "annotationType": "OTHER", "annotator": annotator,
                "comment": comment })
        })
        .collect();
    set(&mut package, "annotations", (!notes.is_empty()).then(|| notes.into()));
    package
}

/// What the package itself hashes to; one of each algorithm.
fn checksums(part: &Part) -> Vec<Value> {
    let mut list: Vec<&Hash> = part.hashes.iter().filter(|one| one.of != HashOf::Source).collect();
    list.sort_by_key(|one| one.of);
    let mut seen = BTreeSet::new();
    list.into_iter()
        .filter_map(|hash| {
            let (_, name) = CHECKSUMS.iter().find(|(theirs, _)| *theirs == hash.algorithm)?;
            seen.insert(*name)
                .then(|| json!({ "algorithm": name, "checksumValue": hash.value.to_lowercase() }))
        })
        .collect()
}

/// Identifiers by which others know it, annex F.
fn references(part: &Part) -> Vec<Value> {
    let reference = |category: &str, kind: &str, locator: &str| json!({ "referenceCategory": category, "referenceType": kind, "referenceLocator": locator });
    let purls = part.purls.iter().map(|one| reference("PACKAGE-MANAGER", "purl", &one.text));
    let others = part.identifiers.iter().filter_map(|one| {
        let text = one.text.as_str();
        Some(match text {
            _ if text.starts_with("cpe:2.3:") => reference("SECURITY", "cpe23Type", text),
            _ if text.starts_with("cpe:/") => reference("SECURITY", "cpe22Type", text),
            _ if text.starts_with("swh:") => reference("PERSISTENT-ID", "swh", text),
            _ if text.starts_with("gitoid:") => reference("PERSISTENT-ID", "gitoid", text),
            _ => return None,
        })
    });
    purls.chain(others).collect()
}

/// What SPDX has no field for.
fn notes(part: &Part) -> Vec<String> {
    let mut notes: Vec<String> =
        part.properties.iter().map(|(name, value)| format!("{name}={}", value.text)).collect();
    for (kind, url) in &part.links {
        if !matches!(kind.as_str(), "distribution" | "website") {
            notes.push(format!("{kind}: {}", url.text));
        }
    }
    for hash in part.hashes.iter().filter(|one| one.of == HashOf::Source) {
        notes.push(format!("source {}: {}", hash.algorithm, hash.value));
    }
    notes.extend(part.patches.iter().map(|patch| format!("patch: {patch}")));
    notes.sort();
    notes.dedup();
    notes
}

fn relationships(outline: &Outline, ids: &[String]) -> Vec<Value> {
    let relationship = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut by_name: BTreeMap<&str, &str> = BTreeMap::new();
    for (part, id) in outline.parts.iter().zip(ids) {
        if let Some(name) = &part.reference {
            by_name.entry(name).or_insert(id);
        }
    }
    let mut list = Vec::new();
    // A document has to describe something.
    let described: Vec<&String> = match outline.primary.and_then(|at| ids.get(at)) {
        Some(id) => vec![id],
        None => ids.iter().collect(),
    };
    for id in described {
        list.push(relationship("SPDXRef-DOCUMENT", "DESCRIBES", id));
    }
    for (part, id) in outline.parts.iter().zip(ids) {
        for below in part.contains.iter().filter_map(|at| ids.get(*at)) {
            list.push(relationship(id, "CONTAINS", below));
        }
    }
    for one in &outline.dependencies {
        let Some(from) = by_name.get(one.of.as_str()) else { continue };
        if one.on.is_empty() {
            list.push(relationship(from, "DEPENDS_ON", "NONE"));
        }
        for to in one.on.iter().filter_map(|name| by_name.get(name.as_str())) {
            list.push(relationship(from, "DEPENDS_ON", to));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::document::Spec;
    use crate::sbom::validate::{defects_of, references as follow};

    #[test]
    fn what_is_written_is_valid_and_loses_nothing() {
        let value = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
            "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
            "metadata": {"timestamp": "2026-01-01T00:00:00.5Z", "lifecycles": [{"phase": "build"}],
                "tools": {"components": [{"type": "application", "name": "verify", "version": "1"}]},
                "component": {"type": "application", "name": "a\nb", "version": "1", "bom-ref": "a/b"}},
            "components": [
                {"type": "library", "name": "x", "bom-ref": "a-b", "version": "2",
                    "purl": "pkg:generic/x@2", "cpe": "cpe:2.3:a:x:x:2:*:*:*:*:*:*:*",
                    "licenses": [{"license": {"name": "Own (old)"}}, {"license": {"id": "MIT"}}],
                    "supplier": {"name": "S"},
                    "hashes": [{"alg": "SHA-512", "content": "AB".repeat(64)}],
                    "externalReferences": [{"type": "source-distribution", "url": "https://x/y.tar",
                        "hashes": [{"alg": "SHA-256", "content": "cd".repeat(32)}]}],
                    "pedigree": {"patches": [{"type": "unofficial", "diff": {"url": "fix.patch"}}]},
                    "properties": [{"name": "nix:store_path", "value": "/nix/store/q"}]},
                {"type": "file", "name": "y", "bom-ref": "y",
                    "licenses": [{"expression": "MIT OR LicenseRef-z"}]}],
            "dependencies": [{"ref": "a/b", "dependsOn": ["a-b", "y"]}, {"ref": "y"}]
        });
        let outline = Outline::of(Spec::CycloneDx1_7, &value);
        let spdx = write(&outline);
        assert_eq!(defects_of(Spec::Spdx2_3, &spdx).unwrap(), []);
        let text = serde_json::to_string(&spdx).unwrap();
        let document = crate::sbom::document::Document::read(text.as_bytes()).unwrap();
        assert_eq!(follow(&document), crate::sbom::validate::References::default());
        assert_eq!(spdx["creationInfo"]["created"], "2026-01-01T00:00:00Z");
        assert_eq!(spdx["packages"][1]["SPDXID"], "SPDXRef-a-b-2");
        assert_eq!(spdx["packages"][1]["licenseDeclared"], "LicenseRef-Own--old- AND MIT");
        assert_eq!(spdx["packages"][2]["licenseConcluded"], "NOASSERTION");
        for part in
            ["fix.patch", "nix:store_path=/nix/store/q", &"cd".repeat(32), "https://x/y.tar"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let back = Outline::of(Spec::Spdx2_3, &spdx);
        assert_eq!(back.parts.len(), 3);
        assert_eq!(back.primary, Some(0));
        assert_eq!(back.dependencies.iter().map(|one| one.on.len()).sum::<usize>(), 2);
    }
}
