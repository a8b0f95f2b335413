//! A bill of materials in the format that is asked for: what CycloneDX of the
//! newest version says, in every other form, and what a form cannot say named.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::document::Spec;
use super::legacy::{self, LegacyError};
use super::outline::Outline;
use super::{csv, spdx, xml};

/// A form that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// CycloneDX of a version, as JSON.
    Json(Spec),
    /// CycloneDX of a version, as XML.
    Xml(Spec),
    /// SPDX 2.3, as JSON.
    Spdx,
    /// A table.
    Csv,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(spec) => write!(f, "{spec} JSON"),
            Self::Xml(spec) => write!(f, "{spec} XML"),
            Self::Spdx => f.write_str("SPDX 2.3 JSON"),
            Self::Csv => f.write_str("CSV"),
        }
    }
}

/// Why a form could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WrittenError {
    /// The older version cannot say it.
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    /// XML cannot say it.
    #[error(transparent)]
    Xml(#[from] xml::WriteError),
    /// The table could not be written.
    #[error(transparent)]
    Csv(#[from] csv::CsvError),
    /// The JSON could not be written.
    #[error("the document could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A document in a form.
#[derive(Debug)]
pub struct Written {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// What the form cannot say, as paths of keys; empty if all is there.
    pub left_out: BTreeSet<String>,
}

/// What a table has no column for.
const NOT_IN_TABLES: [&str; 7] = [
    "compositions",
    "components/evidence",
    "components/externalReferences",
    "components/pedigree",
    "components/properties",
    "formulation",
    "metadata",
];

/// Fields of CycloneDX 1.7 that have no counterpart in SPDX 2.3.
const NOT_IN_SPDX: [&str; 4] =
    ["compositions", "components/evidence", "declarations", "formulation"];

/// Writes a document, given as CycloneDX 1.7 JSON, in a form.
///
/// # Errors
/// What a form cannot say and may not leave out.
pub fn write(bom: &Value, form: Form) -> Result<Written, WrittenError> {
    let newest = Spec::CycloneDx1_7;
    match form {
        Form::Json(spec) => {
            let (value, left_out) = lowered(bom, spec)?;
            let bytes = match legacy::library_json(&value, spec) {
                Some(bytes) => bytes,
                None => pretty(&value)?,
            };
            Ok(Written { bytes, left_out })
        }
        Form::Xml(spec) => {
            let (value, left_out) = lowered(bom, spec)?;
            let bytes = match legacy::library_xml(&value, spec) {
                Some(bytes) => bytes,
                None => xml::write(&value)?.into_bytes(),
            };
            Ok(Written { bytes, left_out })
        }
        Form::Spdx => {
            let bytes = pretty(&spdx::write(&Outline::of(newest, bom)))?;
            Ok(Written { bytes, left_out: there(bom, &NOT_IN_SPDX) })
        }
        Form::Csv => {
            let bytes = csv::write(&Outline::of(newest, bom))?;
            Ok(Written { bytes, left_out: there(bom, &NOT_IN_TABLES) })
        }
    }
}

fn lowered(bom: &Value, spec: Spec) -> Result<(Value, BTreeSet<String>), LegacyError> {
    if bom.get("specVersion").and_then(Value::as_str) == Some(spec.version()) {
        return Ok((bom.clone(), BTreeSet::new()));
    }
    let lowered = legacy::lower(bom, spec)?;
    Ok((lowered.value, lowered.left_out))
}

fn pretty(value: &Value) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Which of those fields the document has.
fn there(bom: &Value, fields: &[&str]) -> BTreeSet<String> {
    let has = |field: &&&str| match field.split_once('/') {
        Some((list, key)) => {
            let items = bom.get(list).and_then(Value::as_array);
            items.into_iter().flatten().any(|one| one.get(key).is_some())
        }
        None => bom.get(**field).is_some(),
    };
    fields.iter().filter(has).map(ToString::to_string).collect()
}
