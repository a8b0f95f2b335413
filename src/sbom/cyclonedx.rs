//! A bill as `CycloneDX` JSON, 1.6 or 1.7.
//!
//! <https://cyclonedx.org/docs/1.7/json/>. Components are made one by one as
//! they are written, so that a large bill is held once. Properties have the
//! names that nixpkgs and the BSI have registered, and `verify:` for our own.

mod parts;

use std::collections::BTreeSet;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::bill::{Bill, Component, Kind, Reference, Scope};
use parts::{
    contact, distribution, hashes, licences, patch, properties, property, uri, vendored_component,
    vendored_reference,
};

/// The name space that serial numbers are made in (UUID version 5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0e_8a0d_2f2c_5c0e_9a0f_6e69_7876_6572);

/// What stands for a fact that is not known.
pub const NO_ASSERTION: &str = "NOASSERTION";

/// The versions that are written from our own model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.6
    V1_6,
    /// 1.7
    V1_7,
}

impl Version {
    /// As documents call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }
}

/// What a document says beside the bill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// Who made the document: names, with an address for mail behind each.
    pub authors: Vec<(String, Option<String>)>,
    /// Who supplies what it is about.
    pub supplier: Option<(String, Option<String>)>,
}

/// A bill as a document.
#[derive(Debug)]
pub struct Document<'a> {
    bill: &'a Bill,
    version: Version,
    statement: &'a Statement,
    serial_number: Option<String>,
}

impl<'a> Document<'a> {
    /// A document; its serial number follows from its content.
    #[must_use]
    pub fn new(bill: &'a Bill, version: Version, statement: &'a Statement) -> Self {
        let mut document = Self { bill, version, statement, serial_number: None };
        let mut digest = Digester(Sha256::new());
        // Hashing cannot fail, nor can turning our own values into JSON.
        let written = serde_json::to_writer(&mut digest, &document);
        debug_assert!(written.is_ok());
        let uuid = Uuid::new_v5(&NAMESPACE, &digest.0.finalize());
        document.serial_number = Some(format!("urn:uuid:{uuid}"));
        document
    }
}

/// Hashes what is written to it.
struct Digester(Sha256);

impl std::io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A list whose items are made as they are written.
struct Each<F>(F);

impl<I: Iterator<Item = Value>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bill = self.bill;
        let version = self.version.name();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(
            "$schema",
            &format!("http://cyclonedx.org/schema/bom-{version}.schema.json"),
        )?;
        map.serialize_entry("bomFormat", "CycloneDX")?;
        map.serialize_entry("specVersion", version)?;
        if let Some(serial_number) = &self.serial_number {
            map.serialize_entry("serialNumber", serial_number)?;
        }
        map.serialize_entry("version", &1)?;
        map.serialize_entry("metadata", &self.metadata())?;
        let root = self.root();
        let listed = || bill.components.iter().filter(|(reference, _)| root != Some(*reference));
        map.serialize_entry(
            "components",
            &Each(|| listed().map(|(_, component)| self.component(component))),
        )?;
        map.serialize_entry("dependencies", &Each(|| self.dependencies()))?;
        map.serialize_entry("compositions", &self.compositions())?;
        if !bill.builds.is_empty() {
            map.serialize_entry(
                "formulation",
                &[json!({
                    "bom-ref": "formulation",
                    "workflows": self.workflows(),
                })],
            )?;
        }
        map.end()
    }
}

impl Document<'_> {
    /// The one subject, which stands in the metadata and not in the list; of
    /// several none does.
    fn root(&self) -> Option<&Reference> {
        let mut subjects = self.bill.subjects.iter();
        subjects.next().filter(|_| subjects.next().is_none())
    }

    fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(created) = &self.bill.created {
            metadata.insert("timestamp".into(), json!(created));
        }
        let phase = match self.bill.scope {
            Scope::Build => "build",
            Scope::Runtime | Scope::Linked => "post-build",
        };
        metadata.insert("lifecycles".into(), json!([{ "phase": phase }]));
        metadata.insert(
            "tools".into(),
            json!({ "components": [{
                "type": "application", "name": "verify", "version": env!("CARGO_PKG_VERSION"),
            }] }),
        );
        if !self.statement.authors.is_empty() {
            let authors =
                self.statement.authors.iter().map(|(name, mail)| contact(name, mail.as_deref()));
            metadata.insert("authors".into(), authors.collect());
        }
        let component = match self.root().and_then(|root| self.bill.components.get(root)) {
            Some(component) => self.component(component),
            None => json!({
                "type": "application",
                "bom-ref": TOGETHER,
                "name": self.together(),
                "version": self.together_version(),
            }),
        };
        metadata.insert("component".into(), component);
        if let Some(supplier) = self.supplier() {
            metadata.insert("supplier".into(), supplier);
        }
        let mut properties = vec![property("verify:scope", self.bill.scope.name())];
        if self.bill.created.is_none() {
            properties.push(property("cdx:reproducible", "true"));
        }
        metadata.insert("properties".into(), properties.into());
        metadata.into()
    }

    /// What several subjects are called together.
    fn together(&self) -> String {
        let subjects = self.bill.subjects.iter();
        let names: BTreeSet<&str> = subjects
            .filter_map(|one| self.bill.components.get(one))
            .map(|one| one.name.as_str())
            .collect();
        match names.len() {
            0..=3 => names.into_iter().collect::<Vec<_>>().join(", "),
            more => format!("{} and {} more", names.first().unwrap_or(&""), more.saturating_sub(1)),
        }
    }

    fn together_version(&self) -> String {
        let subjects = self.bill.subjects.iter();
        let versions: BTreeSet<&str> =
            subjects.filter_map(|one| self.bill.components.get(one)?.version.as_deref()).collect();
        let mut versions = versions.into_iter();
        match (versions.next(), versions.next()) {
            (Some(only), None) => only.to_owned(),
            _ => NO_ASSERTION.to_owned(),
        }
    }

    fn supplier(&self) -> Option<Value> {
        let (name, url) = self.statement.supplier.as_ref()?;
        let mut supplier = json!({ "name": name });
        if let (Some(url), Some(map)) = (url, supplier.as_object_mut()) {
            map.insert("url".into(), json!([url]));
        }
        Some(supplier)
    }

    fn component(&self, component: &Component) -> Value {
        let subject = self.bill.subjects.contains(&component.reference);
        let kind = match component.kind {
            _ if subject => "application",
            Kind::Output | Kind::Object => "library",
            Kind::Fixed | Kind::Source => "file",
        };
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        put("type", json!(kind));
        put("bom-ref", json!(component.reference));
        let supplier = match &component.supplier {
            Some(name) => json!({ "name": name }),
            None => match self.supplier() {
                Some(supplier) if subject => supplier,
                _ => json!({ "name": NO_ASSERTION }),
            },
        };
        put("supplier", supplier);
        put("name", json!(component.name));
        put("version", json!(component.version.as_deref().unwrap_or(NO_ASSERTION)));
        if let Some(description) = &component.description {
            put("description", json!(description));
        }
        let hashes = hashes(component);
        if !hashes.is_empty() {
            put("hashes", hashes.clone().into());
        }
        put("licenses", licences(&component.licence));
        if let Some(cpe) = &component.cpe {
            put("cpe", json!(cpe));
        }
        if let Some(purl) = &component.purl {
            put("purl", json!(purl.text));
        }
        if !component.patches.is_empty() {
            let patches = component.patches.iter().map(patch).collect::<Vec<_>>();
            put("pedigree", json!({ "patches": patches }));
        }
        let mut references: Vec<Value> = component.sources.iter().flat_map(distribution).collect();
        if let Some(homepage) = &component.homepage {
            references.push(json!({ "type": "website", "url": uri(homepage) }));
        }
        if let (Some(path), false) = (&component.store_path, hashes.is_empty()) {
            references.push(json!({
                "type": "distribution", "url": uri(&format!("file://{path}")),
                "comment": "hashes of the NAR of this store object", "hashes": hashes,
            }));
        }
        if !references.is_empty() {
            put("externalReferences", references.into());
        }
        let vendored = component.vendored.iter().flat_map(|inventory| &inventory.found);
        let vendored: Vec<Value> =
            vendored.map(|one| vendored_component(&component.reference, one)).collect();
        if !vendored.is_empty() {
            put("components", vendored.into());
        }
        put("properties", properties(component).into());
        map.into()
    }

    fn dependencies(&self) -> impl Iterator<Item = Value> {
        let together = (self.root().is_none())
            .then(|| json!({ "ref": TOGETHER, "dependsOn": self.bill.subjects }));
        let own = self.bill.components.iter().map(|(reference, component)| {
            let mut on: BTreeSet<Reference> =
                self.bill.dependencies.get(reference).cloned().unwrap_or_default();
            let inside = component.vendored.iter().flat_map(|inventory| &inventory.found);
            on.extend(inside.map(|one| vendored_reference(reference, one)));
            json!({ "ref": reference, "dependsOn": on })
        });
        together.into_iter().chain(own)
    }

    /// What is complete and what is not.
    fn compositions(&self) -> Value {
        let unknown: Vec<&Reference> = self.bill.unknown_dependencies().collect();
        let mut known: Vec<&str> = self.bill.dependencies.keys().map(String::as_str).collect();
        if self.root().is_none() {
            known.push(TOGETHER);
        }
        let whole = if unknown.is_empty() { "complete" } else { "incomplete" };
        let mut compositions = Vec::new();
        if !known.is_empty() {
            compositions.push(json!({
                "bom-ref": "composition-known", "aggregate": "complete", "dependencies": known,
            }));
        }
        if !unknown.is_empty() {
            compositions.push(json!({
                "bom-ref": "composition-unknown", "aggregate": "unknown", "dependencies": unknown,
            }));
        }
        let (mut looked, mut partly, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
        for (reference, component) in &self.bill.components {
            match &component.vendored {
                Some(inventory) if inventory.is_complete() => looked.push(reference),
                Some(_) => partly.push(reference),
                None => unseen.push(reference),
            }
        }
        // What lies inside: a program that says nothing may hold anything, so
        // nothing is ever called complete here.
        for (name, aggregate, assemblies) in [
            ("composition-inside-read", "incomplete", looked),
            ("composition-inside-partly-read", "incomplete", partly),
            ("composition-inside-unknown", "unknown", unseen),
        ] {
            if !assemblies.is_empty() {
                compositions.push(json!({
                    "bom-ref": name, "aggregate": aggregate, "assemblies": assemblies,
                }));
            }
        }
        let root = self.root().map_or(TOGETHER, String::as_str);
        compositions.push(json!({
            "bom-ref": "composition-whole", "aggregate": whole, "assemblies": [root],
        }));
        compositions.into()
    }

    /// How each derivation was built.
    fn workflows(&self) -> Vec<Value> {
        let builds = self.bill.builds.iter();
        builds
            .map(|(drv_path, build)| {
                let resources = |all: &BTreeSet<Reference>, kind: &str| -> Value {
                    let there = all.iter().filter(|one| self.bill.components.contains_key(*one));
                    there.map(|one| json!({ kind: { "ref": one } })).collect()
                };
                let command: Vec<&str> = std::iter::once(build.builder.as_str())
                    .chain(build.arguments.iter().map(String::as_str))
                    .collect();
                let uid = drv_path.to_string();
                json!({
                    "bom-ref": uid,
                    "uid": uid,
                    "taskTypes": ["build"],
                    "steps": [{ "commands": [{ "executed": command.join(" ") }] }],
                    "inputs": resources(&build.inputs, "resource"),
                    "outputs": resources(&build.outputs, "resource"),
                    "properties": [property("nix:system", &build.system)],
                })
            })
            .collect()
    }
}

/// The reference of what several subjects are together.
const TOGETHER: &str = "together";
