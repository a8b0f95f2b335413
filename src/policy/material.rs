//! What is judged: a report of ours, or a bill of materials of anybody's,
//! turned into subjects with typed facts.
//!
//! A file that breaks its format is still a material: its defects are
//! findings, whatever the policies say.

use sha2::{Digest as _, Sha256};

use super::file::Scope;
use super::subject::Subject;
use super::{bills, reports};
use crate::check::Rule;
use crate::check::policy::{CONTRADICTORY_MATERIAL, MALFORMED_MATERIAL, UNFINISHED_REPORT};
use crate::nix::json::{self, MAX_LEN};
use crate::sbom::outline::Outline;

/// Most defects of one material that are named.
pub(super) const MAX_DEFECTS: usize = 50;

/// What a material is.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// A report of that command of ours.
    Report(String),
    /// A bill of materials.
    Bill(Box<Outline>),
    /// Neither, or too damaged to tell.
    Unreadable,
}

/// Something that is wrong with a material itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// What kind of thing is wrong.
    pub rule: &'static Rule,
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl Defect {
    /// It breaks its format.
    pub(super) fn malformed(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: &MALFORMED_MATERIAL, pointer: pointer.into(), message: message.into() }
    }

    /// It contradicts itself.
    pub(super) fn contradictory(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: &CONTRADICTORY_MATERIAL, pointer: pointer.into(), message: message.into() }
    }

    /// It is of a run that did not do its work.
    pub(super) fn unfinished(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: &UNFINISHED_REPORT, pointer: pointer.into(), message: message.into() }
    }
}

/// A report or a bill of materials.
#[derive(Debug, Clone, PartialEq)]
pub struct Material {
    /// The file, as it was named.
    pub name: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// What it is.
    pub form: Form,
    /// The scopes whose rules judge it; none if it is unreadable.
    pub scopes: Vec<Scope>,
    /// The report or bill as a whole.
    pub whole: Option<Subject>,
    /// The things it lists.
    pub things: Vec<Subject>,
    /// What is wrong with it.
    pub defects: Vec<Defect>,
}

/// What the reading of a format gives.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub scopes: Vec<Scope>,
    pub whole: Option<Subject>,
    pub things: Vec<Subject>,
    pub defects: Vec<Defect>,
}

impl Material {
    /// Reads a file. `name` is what it is called in reports.
    #[must_use]
    pub fn read(name: &str, bytes: &[u8]) -> Self {
        let (form, content) = contents(bytes);
        let Content { scopes, whole, things, defects } = content;
        Self {
            name: name.to_owned(),
            sha256: crate::nix::hash::base16(&Sha256::digest(bytes)),
            form,
            scopes,
            whole,
            things,
            defects,
        }
    }

    /// What it is called: `rebuild report`, `CycloneDX 1.7`.
    #[must_use]
    pub fn kind(&self) -> String {
        match &self.form {
            Form::Report(command) => format!("{command} report"),
            Form::Bill(outline) => outline.spec.to_string(),
            Form::Unreadable => "unreadable".to_owned(),
        }
    }
}

fn contents(bytes: &[u8]) -> (Form, Content) {
    let unreadable = |defect: Defect| {
        (Form::Unreadable, Content { defects: vec![defect], ..Content::default() })
    };
    if bytes.len() > MAX_LEN {
        let message = format!("it has more than {MAX_LEN} bytes");
        return unreadable(Defect::malformed("", message));
    }
    let document = match json::parse(bytes) {
        Ok(document) => document,
        Err(error) => return unreadable(Defect::malformed("", format!("it is no JSON: {error}"))),
    };
    if let Some(key) = document.duplicates.named.first() {
        let pointer: String = key.path.iter().map(|part| format!("/{part}")).collect();
        let message = format!("the key '{}' stands twice", key.key);
        return unreadable(Defect::malformed(pointer, message));
    }
    if document.root.member("format").is_some() {
        return match reports::read(bytes) {
            Ok((command, content)) => (Form::Report(command), content),
            Err(defects) => (Form::Unreadable, Content { defects, ..Content::default() }),
        };
    }
    match bills::read(bytes) {
        Ok((outline, content)) => (Form::Bill(Box::new(outline)), content),
        Err(defect) => unreadable(defect),
    }
}
