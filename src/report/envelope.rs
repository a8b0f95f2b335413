//! The public JSON: one versioned envelope for all commands.
//!
//! These structs are the format (`docs/schema/report-v1.json`) and nothing
//! else, so that the inside can change without the outside. Fields are only
//! ever added.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Exit, LongList, Manner, Report, Trouble, human};
use crate::check::{Coverage, Evidence, Finding, Inconclusive, Level, NotRun, Subject};

/// What tells this format from others.
pub const FORMAT: &str = "nix-verify-report";

/// The version of the envelope.
pub const VERSION: u32 = 1;

/// A whole report.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    format: &'static str,
    version: u32,
    tool: Tool,
    command: &'a str,
    verdict: VerdictPart,
    subjects: Each<'a, Subject, SubjectPart<'a>>,
    facts: FactsPart<'a>,
    findings: Each<'a, Finding, FindingPart<'a>>,
    coverage: CoveragePart<'a>,
    troubles: Each<'a, Trouble, TroublePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunPart<'a>>,
}

#[derive(Debug, Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct VerdictPart {
    result: &'static str,
    exit_code: u8,
    fail_on: &'static str,
    findings: FindingCounts,
    sentence: String,
}

/// How many findings there are of each level: who takes one out of a report
/// leaves a trace.
#[derive(Debug, Serialize)]
struct FindingCounts {
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl FindingCounts {
    fn of(findings: &[Finding]) -> Self {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Self {
            errors: count(Level::Error),
            warnings: count(Level::Warning),
            notes: count(Level::Note),
        }
    }
}

#[derive(Debug, Serialize)]
struct SubjectPart<'a> {
    id: &'a str,
    verdict: &'static str,
    status: &'a str,
}

#[derive(Debug, Serialize)]
struct FindingPart<'a> {
    rule: &'static str,
    level: &'static str,
    subject: &'a str,
    message: &'a str,
    evidence: Each<'a, Evidence, EvidencePart<'a>>,
    summary: &'static str,
    remedy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LocationPart<'a> {
    file: &'a str,
    byte_offset: usize,
    byte_length: usize,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Debug, Serialize)]
struct EvidencePart<'a> {
    label: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct CoveragePart<'a> {
    asked: u64,
    answered: u64,
    inconclusive: Each<'a, Inconclusive, InconclusivePart<'a>>,
    not_run: Each<'a, NotRun, NotRunPart<'a>>,
}

#[derive(Debug, Serialize)]
struct InconclusivePart<'a> {
    subject: &'a str,
    check: &'a str,
    reason: &'static str,
    detail: &'a str,
}

#[derive(Debug, Serialize)]
struct NotRunPart<'a> {
    check: &'a str,
    because: &'a str,
}

#[derive(Debug, Serialize)]
struct TroublePart<'a> {
    message: &'a str,
    causes: &'a [String],
}

#[derive(Debug, Serialize)]
struct RunPart<'a> {
    started: &'a str,
    milliseconds: u64,
    process: u32,
    arguments: &'a [String],
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

impl<'a> Envelope<'a> {
    /// Puts a report, already sorted, into its public shape.
    #[must_use]
    pub fn new(report: &'a Report, manner: &'a Manner) -> Self {
        let examination = &report.examination;
        let exit = Exit::of(report, manner.fail_on);
        Self {
            format: FORMAT,
            version: VERSION,
            tool: Tool { name: "verify", version: env!("CARGO_PKG_VERSION") },
            command: examination.command,
            verdict: VerdictPart {
                result: human::verdict(report, manner.fail_on).name(),
                exit_code: exit.code(),
                fail_on: manner.fail_on.name(),
                findings: FindingCounts::of(&examination.findings),
                sentence: human::sentence(report, manner.fail_on),
            },
            subjects: Each(&examination.subjects, |subject| SubjectPart {
                id: &subject.id,
                verdict: subject.verdict.name(),
                status: &subject.status,
            }),
            facts: FactsPart { facts: &examination.facts, long: report.long.as_ref() },
            findings: Each(&examination.findings, FindingPart::new),
            coverage: CoveragePart::new(&examination.coverage),
            troubles: Each(&report.troubles, |trouble| TroublePart {
                message: &trouble.message,
                causes: &trouble.causes,
            }),
            policy: report.policy.as_ref(),
            run: manner.run.as_ref().map(|frame| RunPart {
                started: &frame.started,
                milliseconds: frame.milliseconds,
                process: frame.process,
                arguments: &frame.arguments,
                more: &report.run,
            }),
        }
    }
}

/// A list whose items get their public shape one by one, as they are written.
#[derive(Debug)]
struct Each<'a, T, P>(&'a [T], fn(&'a T) -> P);

impl<T, P: Serialize> Serialize for Each<'_, T, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// The facts, with the one list that is made as it is written behind them.
#[derive(Debug)]
struct FactsPart<'a> {
    facts: &'a Value,
    long: Option<&'a LongList>,
}

impl Serialize for FactsPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Value::Object(facts), Some(long)) = (self.facts, self.long) else {
            return self.facts.serialize(serializer);
        };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in facts {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(long.field, &Items(long))?;
        map.end()
    }
}

/// The items of a long list.
struct Items<'a>(&'a LongList);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.items())
    }
}

impl<'a> FindingPart<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule.id,
            level: finding.level.name(),
            subject: &finding.subject,
            message: &finding.message,
            evidence: Each(&finding.evidence, |item| EvidencePart {
                label: &item.label,
                value: &item.value,
            }),
            summary: finding.rule.summary,
            remedy: finding.rule.remedy,
            location: finding.location.as_deref().map(|place| LocationPart {
                file: &place.file,
                byte_offset: place.span.start,
                byte_length: place.span.end.saturating_sub(place.span.start),
                line: place.start.line,
                column: place.start.column,
                end_line: place.end.line,
                end_column: place.end.column,
            }),
            repair: finding.repair.as_deref(),
        }
    }
}

impl<'a> CoveragePart<'a> {
    fn new(coverage: &'a Coverage) -> Self {
        Self {
            asked: coverage.asked,
            answered: coverage.answered,
            inconclusive: Each(&coverage.inconclusive, |open| InconclusivePart {
                subject: &open.subject,
                check: &open.check,
                reason: open.reason.name(),
                detail: &open.detail,
            }),
            not_run: Each(&coverage.not_run, |left| NotRunPart {
                check: &left.check,
                because: &left.because,
            }),
        }
    }
}
