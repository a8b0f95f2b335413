//! A bill as `CycloneDX` JSON, 1.6 or 1.7.
//!
//! <https://cyclonedx.org/docs/1.7/json/>. Components are made one by one as
//! they are written, so that a large bill is held once. Properties have the
//! names that nixpkgs and the BSI have registered, and `verify:` for our own.

mod parts;

use std::collections::{BTreeMap, BTreeSet};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::bill::{Bill, Build, Component, Kind, Reference, Scope};
use parts::{
    Component as Part, Contact, Text, distribution, hashes, licences, object, pedigree, properties,
    property, vendored_component, vendored_reference, website,
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

impl<T: Serialize, I: Iterator<Item = T>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// What a component depends on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    depends_on: Vec<Text<'a>>,
    #[serde(rename = "ref")]
    reference: &'a str,
}

/// How outputs came to be.
#[derive(Serialize)]
struct Formulation<W> {
    #[serde(rename = "bom-ref")]
    bom_ref: &'static str,
    workflows: W,
}

/// How one derivation was built.
struct Workflow<'a> {
    drv_path: String,
    build: &'a Build,
    components: &'a BTreeMap<Reference, Component>,
}

impl Serialize for Workflow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let command: Vec<&str> = std::iter::once(self.build.builder.as_str())
            .chain(self.build.arguments.iter().map(String::as_str))
            .collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("bom-ref", &self.drv_path)?;
        map.serialize_entry("inputs", &self.resources(&self.build.inputs))?;
        map.serialize_entry("outputs", &self.resources(&self.build.outputs))?;
        map.serialize_entry("properties", &[property("nix:system", &self.build.system)])?;
        map.serialize_entry(
            "steps",
            &[Step { commands: [Executed { executed: command.join(" ") }] }],
        )?;
        map.serialize_entry("taskTypes", &["build"])?;
        map.serialize_entry("uid", &self.drv_path)?;
        map.end()
    }
}

impl Workflow<'_> {
    /// Those that are components of the bill.
    fn resources(&self, all: &BTreeSet<Reference>) -> impl Serialize {
        Each(move || {
            let there = all.iter().filter(|one| self.components.contains_key(*one));
            there.map(|reference| Resource { resource: Referred { reference } })
        })
    }
}

/// What a build read or made.
#[derive(Serialize)]
struct Resource<'a> {
    resource: Referred<'a>,
}

#[derive(Serialize)]
struct Referred<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
}

#[derive(Serialize)]
struct Step {
    commands: [Executed; 1],
}

#[derive(Serialize)]
struct Executed {
    executed: String,
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
            let workflows = Each(|| {
                bill.builds.iter().map(|(drv_path, build)| Workflow {
                    drv_path: drv_path.to_string(),
                    build,
                    components: &bill.components,
                })
            });
            map.serialize_entry(
                "formulation",
                &[Formulation { bom_ref: "formulation", workflows }],
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
            let authors = self.statement.authors.iter();
            let authors: Vec<Contact<'_>> = authors
                .map(|(name, mail)| Contact { email: mail.as_deref(), ..Contact::named(name) })
                .collect();
            metadata.insert("authors".into(), json!(authors));
        }
        let component = match self.root().and_then(|root| self.bill.components.get(root)) {
            Some(component) => json!(self.component(component)),
            None => json!({
                "type": "application",
                "bom-ref": TOGETHER,
                "name": self.together(),
                "version": self.together_version(),
            }),
        };
        metadata.insert("component".into(), component);
        if let Some(supplier) = self.supplier() {
            metadata.insert("supplier".into(), json!(supplier));
        }
        let mut properties = vec![property("verify:scope", self.bill.scope.name())];
        if self.bill.created.is_none() {
            properties.push(property("cdx:reproducible", "true"));
        }
        metadata.insert("properties".into(), json!(properties));
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

    fn supplier(&self) -> Option<Contact<'_>> {
        let (name, url) = self.statement.supplier.as_ref()?;
        Some(Contact { url: url.as_deref().map(|url| [url]), ..Contact::named(name) })
    }

    fn component<'a>(&'a self, component: &'a Component) -> Part<'a> {
        let subject = self.bill.subjects.contains(&component.reference);
        let kind = match component.kind {
            _ if subject => "application",
            Kind::Output | Kind::Object => "library",
            Kind::Fixed | Kind::Source => "file",
        };
        let supplier = match &component.supplier {
            Some(name) => Contact::named(name),
            None => match self.supplier() {
                Some(supplier) if subject => supplier,
                _ => Contact::named(NO_ASSERTION),
            },
        };
        let hashes = hashes(component);
        let mut references: Vec<_> = component.sources.iter().flat_map(distribution).collect();
        references.extend(component.homepage.as_deref().map(website));
        if let (Some(path), false) = (&component.store_path, hashes.is_empty()) {
            references.push(object(path, hashes.clone()));
        }
        let vendored = component.vendored.iter().flat_map(|inventory| &inventory.found);
        let vendored = vendored.map(|one| vendored_component(&component.reference, one));
        Part {
            bom_ref: Text::from(&*component.reference),
            components: vendored.collect(),
            cpe: component.cpe.as_deref(),
            description: component.description.as_deref(),
            evidence: None,
            external_references: references,
            hashes,
            licenses: licences(&component.licence),
            name: &component.name,
            pedigree: pedigree(&component.patches),
            properties: properties(component),
            purl: component.purl.as_ref().map(|purl| purl.text.as_str()),
            supplier,
            kind,
            version: component.version.as_deref().unwrap_or(NO_ASSERTION),
        }
    }

    fn dependencies(&self) -> impl Iterator<Item = Dependency<'_>> {
        let together = (self.root().is_none()).then(|| Dependency {
            reference: TOGETHER,
            depends_on: self.bill.subjects.iter().map(|one| Text::from(&**one)).collect(),
        });
        let own = self.bill.components.iter().map(|(reference, component)| {
            let on = self.bill.dependencies.get(reference).into_iter().flat_map(|on| on.iter());
            let mut depends_on: Vec<Text<'_>> = on.map(|one| Text::from(&**one)).collect();
            let inside = component.vendored.iter().flat_map(|inventory| &inventory.found);
            depends_on.extend(inside.map(|one| vendored_reference(reference, one).into()));
            depends_on.sort_unstable();
            depends_on.dedup();
            Dependency { reference, depends_on }
        });
        together.into_iter().chain(own)
    }

    /// What is complete and what is not.
    fn compositions(&self) -> Value {
        let unknown: Vec<&Reference> = self.bill.unknown_dependencies().collect();
        let mut known: Vec<&str> = self.bill.dependencies.keys().map(AsRef::as_ref).collect();
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
        let root = self.root().map_or(TOGETHER, AsRef::as_ref);
        compositions.push(json!({
            "bom-ref": "composition-whole", "aggregate": whole, "assemblies": [root],
        }));
        compositions.into()
    }
}

/// The reference of what several subjects are together.
const TOGETHER: &str = "together";
