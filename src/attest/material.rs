//! Reports of `verify`, read back to be attested (`docs/schema/report-v1.json`).
//!
//! Fields that are not known are left alone, as the schema says; fields that
//! are needed are never made up. A report whose verdict is not borne out by
//! what stands beside it is refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical::{self, CanonicalError};
use super::statement::Digest;
use super::wire;
use crate::check::{Level, Verdict};

/// What reports call themselves.
const FORMAT: &str = "nix-verify-report";

/// The version that is read.
const VERSION: u64 = 1;

/// Why a file is no report that can be attested.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// No JSON, or a doubled key.
    #[error("it is no JSON that can be trusted to mean one thing: {0}")]
    Json(#[from] CanonicalError),
    /// No report, or of another version.
    #[error("it is no report that 'verify --format json' wrote (version {VERSION}): {0}")]
    NoReport(String),
    /// A field that is missing or of another kind.
    #[error("its {part} cannot be read: {source}")]
    Shape {
        /// Which part.
        part: &'static str,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// A report of another command.
    #[error("it is a report of '{found}' (expected one of '{expected}')")]
    Command {
        /// The command found.
        found: String,
        /// The command expected.
        expected: &'static str,
    },
    /// The run failed.
    #[error("the run that wrote it failed ({0}): what it says may be incomplete")]
    Troubled(String),
    /// Something in it speaks against something else in it.
    #[error("it contradicts itself: {0}")]
    Contradiction(String),
    /// Nothing in it can be attested.
    #[error("{0}")]
    Nothing(String),
}

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Material {
    /// The SHA-256 of the file.
    pub digest: Digest,
    /// The tool that wrote it.
    pub tool: Tool,
    /// The command.
    pub command: String,
    /// The verdict over the run.
    pub verdict: RunVerdict,
    /// What was examined.
    pub subjects: Vec<Judged>,
    /// The command's own facts.
    pub facts: Value,
    /// What failed.
    pub findings: Vec<Found>,
    /// What got no answer.
    pub open: Vec<Open>,
    /// When the run began, if the report says so.
    pub started: Option<String>,
}

/// The tool that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The verdict over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// The verdict.
    #[serde(with = "wire::verdict")]
    pub result: Verdict,
    /// The least level of a finding that fails the run.
    #[serde(with = "wire::level")]
    pub fail_on: Level,
}

/// A subject of a report.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Judged {
    /// Its name.
    pub id: String,
    /// The judgement over it.
    #[serde(with = "wire::verdict")]
    pub verdict: Verdict,
    /// The command's word for it.
    pub status: String,
}

/// A finding, as far as it is attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The rule.
    pub rule: String,
    /// Its weight.
    #[serde(with = "wire::level")]
    pub level: Level,
    /// What it is about.
    pub subject: String,
    /// What was found.
    pub message: String,
}

/// A check without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// What was examined.
    pub subject: String,
    /// The check.
    pub check: String,
    /// Why, from the closed list.
    pub reason: String,
}

#[derive(Deserialize)]
struct Wire {
    tool: Tool,
    command: String,
    verdict: WireVerdict,
    subjects: Vec<Judged>,
    facts: Value,
    findings: Vec<Found>,
    coverage: Coverage,
    troubles: Vec<Trouble>,
    run: Option<Run>,
}

#[derive(Deserialize)]
struct WireVerdict {
    #[serde(flatten)]
    run: RunVerdict,
    exit_code: u8,
}

#[derive(Deserialize)]
struct Coverage {
    asked: u64,
    answered: u64,
    inconclusive: Vec<Open>,
}

#[derive(Deserialize)]
struct Trouble {
    message: String,
}

#[derive(Deserialize)]
struct Run {
    started: String,
}

impl Material {
    /// Whether a file calls itself a report, whatever is in it.
    #[must_use]
    pub fn is_report(value: &Value) -> bool {
        value.get("format").and_then(Value::as_str) == Some(FORMAT)
    }

    /// Reads a report.
    ///
    /// # Errors
    /// A file that is none, that a run wrote which failed, or whose verdict is
    /// better than what stands beside it.
    pub fn parse(bytes: &[u8]) -> Result<Self, MaterialError> {
        let value = canonical::read_once(bytes)?;
        if !Self::is_report(&value) {
            return Err(MaterialError::NoReport(format!("its format is not {FORMAT}")));
        }
        if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err(MaterialError::NoReport("its version is another one".to_owned()));
        }
        let wire: Wire = serde_json::from_value(value)
            .map_err(|source| MaterialError::Shape { part: "envelope", source })?;
        if let Some(trouble) = wire.troubles.first() {
            return Err(MaterialError::Troubled(trouble.message.clone()));
        }
        let material = Self {
            digest: Digest::of(bytes),
            tool: wire.tool,
            command: wire.command,
            verdict: wire.verdict.run,
            subjects: wire.subjects,
            facts: wire.facts,
            findings: wire.findings,
            open: wire.coverage.inconclusive,
            started: wire.run.map(|run| run.started),
        };
        material.check(wire.coverage.asked, wire.coverage.answered)?;
        let (said, code) = (wire.verdict.exit_code, exit_code(material.verdict.result));
        if said != code {
            return Err(MaterialError::Contradiction(format!(
                "its verdict is {}, and its exit code {said}",
                material.verdict.result
            )));
        }
        Ok(material)
    }

    /// That the verdict is the one that everything else amounts to.
    fn check(&self, asked: u64, answered: u64) -> Result<(), MaterialError> {
        let unanswered = !self.open.is_empty() || answered < asked || answered == 0;
        let borne_out = overall(&self.findings, unanswered, self.verdict.fail_on);
        if borne_out == self.verdict.result {
            return Ok(());
        }
        Err(MaterialError::Contradiction(format!(
            "its verdict is {}, and its findings and coverage amount to {borne_out}",
            self.verdict.result
        )))
    }
}

/// The exit code of a run that did its work.
const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Inconclusive => 3,
    }
}

/// What findings and open questions amount to.
pub(super) fn overall(findings: &[Found], unanswered: bool, fail_on: Level) -> Verdict {
    if findings.iter().any(|finding| finding.level >= fail_on) {
        Verdict::Fail
    } else if unanswered {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

/// A part of the facts in a type of its own.
///
/// # Errors
/// A part that is missing or of another shape.
pub(super) fn part<'de, T: Deserialize<'de>>(
    facts: &'de Value,
    part: &'static str,
) -> Result<T, MaterialError> {
    T::deserialize(facts).map_err(|source| MaterialError::Shape { part, source })
}
