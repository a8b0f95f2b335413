//! A bill of materials as a predicate: a CycloneDX document as it is, in
//! canonical form (<https://cyclonedx.org/specification/overview/>).
//!
//! The statement is about the store object that the document describes, and
//! about nothing if the document does not say which content that is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::material::MaterialError;
use super::rebuild::ObjectPath;
use super::statement::{Digest, Statement, Subject};
use crate::nix::hash::NarHash;

/// What tells this predicate from others; versions of the format are told
/// apart by the document itself.
pub const PREDICATE_TYPE: &str = "https://cyclonedx.org/bom";

/// What CycloneDX documents call themselves.
const FORMAT: &str = "CycloneDX";

/// The property that holds the hash of a component's NAR.
const NAR_HASH: &str = "nix:narinfo:nar_hash";

/// The property that holds a component's store path.
const STORE_PATH: &str = "nix:store_path";

/// A bill of materials.
#[derive(Debug, Clone, PartialEq)]
pub struct Bill {
    /// What it describes.
    pub subject: Subject,
    document: Value,
}

impl Bill {
    /// Whether a file calls itself one, whatever is in it.
    #[must_use]
    pub fn is_bill(value: &Value) -> bool {
        value.get("bomFormat").and_then(Value::as_str) == Some(FORMAT)
    }

    /// Takes a document.
    ///
    /// # Errors
    /// No CycloneDX, or one that does not say which content it describes.
    pub fn of(document: Value) -> Result<Self, MaterialError> {
        if !Self::is_bill(&document) {
            let what = "it is no CycloneDX document in JSON";
            return Err(MaterialError::NoReport(what.to_owned()));
        }
        let nothing = |what: String| Err(MaterialError::Nothing(what));
        let Some(root) = document.pointer("/metadata/component") else {
            return nothing("it does not say what it describes (/metadata/component)".to_owned());
        };
        let Some(path) = property(root, STORE_PATH)?.and_then(ObjectPath::parse) else {
            return nothing(format!(
                "its root component has no store path (the property {STORE_PATH} of /metadata/component)"
            ));
        };
        let hash = property(root, NAR_HASH)?.and_then(|text| NarHash::parse(text).ok());
        let Some(hash) = hash else {
            return nothing(format!(
                "its root component has no NAR hash (the property {NAR_HASH} of /metadata/component): a statement has to be about a content"
            ));
        };
        let subject = Subject { name: path.to_string(), sha256: Digest::from(hash) };
        Ok(Self { subject, document })
    }

    /// Reads the predicate of a statement, and holds it against what the
    /// statement is about.
    ///
    /// # Errors
    /// What is missing, or what contradicts what.
    pub fn from_statement(statement: &Statement) -> Result<Self, MaterialError> {
        let bill = Self::of(statement.predicate.clone())?;
        if BTreeSet::from([bill.subject.clone()]) == statement.subjects {
            return Ok(bill);
        }
        let what = "its subject is not what the bill of materials describes";
        Err(MaterialError::Contradiction(what.to_owned()))
    }

    /// The document as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// The statement to sign.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement {
            subjects: BTreeSet::from([self.subject.clone()]),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.document.clone(),
        }
    }
}

/// The value of a property that stands at most once.
fn property<'a>(component: &'a Value, name: &str) -> Result<Option<&'a str>, MaterialError> {
    let listed = component.get("properties").and_then(Value::as_array);
    let mut found = listed
        .into_iter()
        .flatten()
        .filter(|one| one.get("name").and_then(Value::as_str) == Some(name))
        .filter_map(|one| one.get("value").and_then(Value::as_str));
    let first = found.next();
    if found.next().is_some() {
        return Err(MaterialError::Contradiction(format!(
            "its root component has the property {name} twice"
        )));
    }
    Ok(first)
}
