//! A report read back: the envelope as `docs/schema/report-v1.json` has it, as
//! far as a page shows it.
//!
//! A page judges nothing. It repeats what a report says of itself, so a report
//! that lacks a part, or has another version, is refused rather than shown in
//! half.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::report::envelope;

/// Most reports and bills on one page.
pub const MAX_SHEETS: usize = 200;

/// A report of any command.
#[derive(Debug, Clone, Deserialize)]
pub struct Saved {
    format: String,
    version: u32,
    pub(super) tool: Tool,
    pub(super) command: String,
    pub(super) verdict: Verdict,
    pub(super) subjects: Vec<Subject>,
    pub(super) facts: Value,
    pub(super) findings: Vec<Finding>,
    pub(super) coverage: Coverage,
    pub(super) troubles: Vec<Trouble>,
    pub(super) run: Option<Run>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Fail,
    Inconclusive,
    Pass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warning,
    Note,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Verdict {
    pub(super) result: Word,
    pub(super) exit_code: u8,
    pub(super) sentence: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) verdict: Word,
    pub(super) status: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) level: Level,
    pub(super) subject: String,
    pub(super) message: String,
    pub(super) evidence: Vec<Evidence>,
    pub(super) summary: String,
    pub(super) remedy: String,
    pub(super) location: Option<Location>,
    pub(super) repair: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Evidence {
    pub(super) label: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Location {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Coverage {
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) inconclusive: Vec<Open>,
    pub(super) not_run: Vec<NotRun>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Open {
    pub(super) subject: String,
    pub(super) check: String,
    pub(super) reason: String,
    pub(super) detail: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NotRun {
    pub(super) check: String,
    pub(super) because: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trouble {
    pub(super) message: String,
    pub(super) causes: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) started: String,
    pub(super) milliseconds: u64,
}

/// A bill of materials, as far as a page shows it.
#[derive(Debug, Clone)]
pub struct Bill {
    pub(super) format: String,
    pub(super) about: String,
    pub(super) created: Option<String>,
    pub(super) components: Vec<Component>,
    pub(super) edges: u64,
}

/// A component of a bill.
#[derive(Debug, Clone, Default)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) purl: String,
    pub(super) licences: String,
    pub(super) properties: Vec<(String, String)>,
}

/// What can stand on a page.
#[derive(Debug, Clone)]
pub enum Content {
    /// A report of this tool.
    Report(Box<Saved>),
    /// A bill of materials in CycloneDX's JSON.
    Bill(Box<Bill>),
}

/// Why a file cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// No JSON, or a report that lacks a part.
    #[error("it is neither a report of verify (--format json) nor a CycloneDX bill in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Another format.
    #[error(
        "its format is '{format}' version {version} (expected '{}' version {})",
        envelope::FORMAT,
        envelope::VERSION
    )]
    Format {
        /// What it calls itself.
        format: String,
        /// Its version.
        version: u32,
    },
}

impl Content {
    /// Reads a report, or a bill of materials.
    ///
    /// # Errors
    /// Anything else, and a report that lacks a part.
    pub fn parse(bytes: &[u8]) -> Result<Self, SavedError> {
        let value: Value = serde_json::from_slice(bytes)?;
        if value.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX") {
            return Ok(Self::Bill(Box::new(Bill::read(&value))));
        }
        let saved: Saved = serde_json::from_value(value)?;
        if saved.format != envelope::FORMAT || saved.version != envelope::VERSION {
            return Err(SavedError::Format { format: saved.format, version: saved.version });
        }
        Ok(Self::Report(Box::new(saved)))
    }
}

impl Bill {
    fn read(value: &Value) -> Self {
        let metadata = value.get("metadata");
        let about = metadata.and_then(|metadata| metadata.get("component"));
        let mut components = Vec::new();
        // Components inside components are listed behind them.
        let mut todo: Vec<&Value> = list(value, "components").iter().rev().collect();
        while let Some(component) = todo.pop() {
            components.push(Component::read(component));
            todo.extend(list(component, "components").iter().rev());
        }
        let edges = list(value, "dependencies").iter().map(|entry| list(entry, "dependsOn").len());
        Self {
            format: format!("CycloneDX {}", text(value, "specVersion")),
            about: about.map(title).unwrap_or_default(),
            created: metadata
                .and_then(|metadata| metadata.get("timestamp"))
                .and_then(Value::as_str)
                .map(str::to_owned),
            components,
            edges: edges.map(|count| u64::try_from(count).unwrap_or(u64::MAX)).sum(),
        }
    }
}

impl Component {
    fn read(value: &Value) -> Self {
        let licences: Vec<String> = list(value, "licenses").iter().map(licence).collect();
        let properties = list(value, "properties").iter();
        Self {
            name: match value.get("group").and_then(Value::as_str) {
                Some(group) if !group.is_empty() => format!("{group}/{}", text(value, "name")),
                _ => text(value, "name").to_owned(),
            },
            version: text(value, "version").to_owned(),
            kind: text(value, "type").to_owned(),
            purl: text(value, "purl").to_owned(),
            licences: licences.join(", "),
            properties: properties
                .map(|one| (text(one, "name").to_owned(), text(one, "value").to_owned()))
                .collect(),
        }
    }

    /// The value of the first property of that name.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let mut found = self.properties.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

fn licence(choice: &Value) -> String {
    if let Some(expression) = choice.get("expression").and_then(Value::as_str) {
        return expression.to_owned();
    }
    let licence = choice.get("license").unwrap_or(&Value::Null);
    match text(licence, "id") {
        "" => text(licence, "name").to_owned(),
        id => id.to_owned(),
    }
}

fn title(component: &Value) -> String {
    format!("{} {}", text(component, "name"), text(component, "version")).trim().to_owned()
}

/// The text of a field; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a field; none where there is no list.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The number of a field.
pub(super) fn number(value: &Value, field: &str) -> Option<u64> {
    value.get(field).and_then(Value::as_u64)
}

/// The entries of a field that is an object.
pub(super) fn object<'a>(value: &'a Value, field: &str) -> Option<&'a Map<String, Value>> {
    value.get(field).and_then(Value::as_object)
}
