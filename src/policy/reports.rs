//! Our own reports as facts.
//!
//! A report has to be what its schema says (`docs/schema/report-v1.json`); one
//! of this very version may have no other fields either, so that a misspelt
//! field is seen even where it may be left out. Then it has to agree with
//! itself: verdict, findings, coverage, subjects and facts say the same thing
//! in several places, and what was taken out of one shows in another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::file::Scope;
use super::material::{Content, Defect, MAX_DEFECTS};
use super::report_things as things;
use super::subject::{self, Fact, Field, Kind, Subject};
use crate::check::registry;
use crate::check::{Level, Verdict};

/// What reports of this format call themselves.
const FORMAT: &str = "nix-verify-report";

/// The version that is understood.
const VERSION: u64 = 1;

/// Longest message of a defect, in characters.
const MAX_MESSAGE: usize = 300;

static SCHEMA: &str = include_str!("../../docs/schema/report-v1.json");

/// The schema, and the same without room for other fields.
static VALIDATORS: LazyLock<Result<(Validator, Validator), String>> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).map_err(|error| error.to_string())?;
    let mut narrow = schema.clone();
    close(&mut narrow);
    let build =
        |schema: &Value| jsonschema::validator_for(schema).map_err(|error| error.to_string());
    Ok((build(&schema)?, build(&narrow)?))
});

/// Leaves objects of a schema no room for fields that it does not name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (key, below) in map.iter_mut() {
                // Conditions speak about a part of an object only.
                if !["allOf", "if", "then"].contains(&key.as_str()) {
                    close(below);
                }
            }
            let names = map.get("properties").is_some_and(Value::is_object);
            if names && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// Reads a report; the command comes back too.
///
/// What is so wrong that nothing can be told from it comes back alone.
pub(super) fn read(bytes: &[u8]) -> Result<(String, Content), Vec<Defect>> {
    let alone = |pointer: &str, message: String| vec![Defect::malformed(pointer, message)];
    let root: Value = serde_json::from_slice(bytes)
        .map_err(|error| alone("", format!("it is no JSON: {error}")))?;
    if root.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(alone("/format", format!("it is not '{FORMAT}'")));
    }
    if root.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(alone("/version", format!("it is not {VERSION}, the one version known here")));
    }
    let command = root.get("command").and_then(Value::as_str).unwrap_or_default();
    let scope = match command {
        "lock" => Scope::Lock,
        "cache" => Scope::Cache,
        "rebuild" => Scope::Rebuild,
        _ => {
            let message = "no rules speak about reports of this command (expected lock, cache \
                           or rebuild)";
            return Err(alone("/command", message.to_owned()));
        }
    };
    let ours =
        root.pointer("/tool/version").and_then(Value::as_str) == Some(env!("CARGO_PKG_VERSION"));
    let defects = against_schema(&root, ours);
    if !defects.is_empty() {
        return Err(defects);
    }
    let report = Parts::of(&root).ok_or_else(|| alone("", "it lacks a part".to_owned()))?;
    let mut defects = report.contradictions(ours);
    let things = match things::read(scope, &report) {
        Ok((things, more)) => {
            defects.extend(more);
            things
        }
        Err(defect) => {
            defects.push(defect);
            Vec::new()
        }
    };
    defects.truncate(MAX_DEFECTS);
    let whole = Some(report.whole(command));
    Ok((command.to_owned(), Content { scopes: vec![scope], whole, things, defects }))
}

fn against_schema(root: &Value, ours: bool) -> Vec<Defect> {
    let (wide, narrow) = match &*VALIDATORS {
        Ok(both) => both,
        Err(error) => return vec![Defect::malformed("", format!("no schema: {error}"))],
    };
    let validator = if ours { narrow } else { wide };
    validator
        .iter_errors(root)
        .take(MAX_DEFECTS)
        .map(|error| {
            let message: String =
                error.masked_with("the value").to_string().chars().take(MAX_MESSAGE).collect();
            Defect::malformed(error.instance_path().as_str(), message)
        })
        .collect()
}

/// The parts that every report has.
pub(super) struct Parts<'r> {
    verdict: &'r Map<String, Value>,
    /// The subjects by their ids.
    pub subjects: BTreeMap<&'r str, SubjectPart<'r>>,
    twice: Vec<&'r str>,
    pub facts: &'r Value,
    findings: &'r [Value],
    coverage: &'r Map<String, Value>,
    troubles: &'r [Value],
    tool: &'r str,
}

/// What a report says of a subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct SubjectPart<'r> {
    pub verdict: &'r str,
    pub status: &'r str,
    /// Its place in the list.
    pub at: usize,
}

impl<'r> Parts<'r> {
    fn of(root: &'r Value) -> Option<Self> {
        let mut subjects = BTreeMap::new();
        let mut twice = Vec::new();
        for (at, one) in root.get("subjects")?.as_array()?.iter().enumerate() {
            let id = one.get("id")?.as_str()?;
            let verdict = one.get("verdict")?.as_str()?;
            let status = one.get("status")?.as_str()?;
            if subjects.insert(id, SubjectPart { verdict, status, at }).is_some() {
                twice.push(id);
            }
        }
        Some(Self {
            verdict: root.get("verdict")?.as_object()?,
            subjects,
            twice,
            facts: root.get("facts")?,
            findings: root.get("findings")?.as_array()?,
            coverage: root.get("coverage")?.as_object()?,
            troubles: root.get("troubles")?.as_array()?,
            tool: root.pointer("/tool/version")?.as_str()?,
        })
    }

    fn levels(&self) -> impl Iterator<Item = Level> {
        self.findings.iter().filter_map(|one| level(one.get("level")?.as_str()?))
    }

    fn count(&self, name: &str) -> u64 {
        self.coverage.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    fn unanswered(&self) -> usize {
        self.coverage.get("inconclusive").and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The verdict that follows from what the report says.
    fn follows(&self, fail_on: Level) -> Verdict {
        let (asked, answered) = (self.count("asked"), self.count("answered"));
        if self.levels().any(|level| level >= fail_on) {
            Verdict::Fail
        } else if self.unanswered() > 0
            || answered < asked
            || answered == 0
            || !self.troubles.is_empty()
        {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }

    fn contradictions(&self, ours: bool) -> Vec<Defect> {
        let mut defects = Vec::new();
        let text = |key: &str| self.verdict.get(key).and_then(Value::as_str).unwrap_or_default();
        let result = text("result");
        // A run is judged with the level it was told; that is not ours to take
        // as stricter than it was.
        if let Some(fail_on) = level(text("fail_on")) {
            let follows = self.follows(fail_on);
            if follows.name() != result {
                defects.push(Defect::contradictory(
                    "/verdict/result",
                    format!("it is '{result}', but findings and coverage make it '{follows}'"),
                ));
            }
        }
        let code = match (self.troubles.is_empty(), result) {
            (false, _) => 2,
            (true, "pass") => 0,
            (true, "fail") => 1,
            (true, _) => 3,
        };
        if self.verdict.get("exit_code").and_then(Value::as_u64) != Some(code) {
            let message = format!("the rest of the report makes it {code}");
            defects.push(Defect::contradictory("/verdict/exit_code", message));
        }
        for (name, level) in
            [("errors", Level::Error), ("warnings", Level::Warning), ("notes", Level::Note)]
        {
            let stated = self.verdict.get("findings").and_then(|counts| counts.get(name)?.as_u64());
            let is_of = |finding: &&Value| {
                finding.get("level").and_then(Value::as_str) == Some(level.name())
            };
            let found = self.findings.iter().filter(is_of).count();
            if stated != u64::try_from(found).ok() {
                let message = format!("it is another number than the {found} that are listed");
                defects.push(Defect::contradictory(format!("/verdict/findings/{name}"), message));
            }
        }
        if self.count("answered") > self.count("asked") {
            let message = "more was answered than was asked";
            defects.push(Defect::contradictory("/coverage/answered", message));
        }
        if let Some(trouble) = self.troubles.first() {
            let message = trouble.get("message").and_then(Value::as_str).unwrap_or_default();
            defects.push(Defect::unfinished("/troubles/0", message));
        }
        for id in &self.twice {
            let message = format!("the subject '{id}' stands twice");
            defects.push(Defect::contradictory("/subjects", message));
        }
        for (at, finding) in self.findings.iter().enumerate() {
            defects.extend(rule_defect(finding, at, ours));
        }
        defects
    }

    fn whole(&self, command: &str) -> Subject {
        let mut subject = Subject::new(Kind::Report, format!("{command} report"), "");
        subject.text(Field::Command, command);
        let result = self.verdict.get("result").and_then(Value::as_str).unwrap_or_default();
        subject.text(Field::Verdict, result);
        subject.text(Field::Tool, self.tool);
        let rules: BTreeSet<&str> = self
            .findings
            .iter()
            .filter_map(|one| one.get("rule").and_then(Value::as_str))
            .collect();
        let rules = if rules.is_empty() { BTreeSet::from(["none"]) } else { rules };
        let rules = rules.into_iter().map(str::to_owned).collect();
        subject.state(Field::Rules, Fact::Known(subject::Value::Texts(rules)));
        let mut number = |field, count: usize| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            subject.state(field, Fact::Known(subject::Value::Number(count)));
        };
        let of = |wanted: Level| self.levels().filter(|level| *level == wanted).count();
        number(Field::Errors, of(Level::Error));
        number(Field::Warnings, of(Level::Warning));
        number(Field::Notes, of(Level::Note));
        let open = self.count("asked").saturating_sub(self.count("answered"));
        let open = usize::try_from(open).unwrap_or(usize::MAX).max(self.unanswered());
        number(Field::Unanswered, open);
        number(Field::Subjects, self.subjects.len());
        subject
    }
}

/// What is wrong with the rule of a finding: one that no command has, or, in a
/// report of this very version, one whose words are those of another.
fn rule_defect(finding: &Value, at: usize, ours: bool) -> Option<Defect> {
    let text = |key: &str| finding.get(key).and_then(Value::as_str).unwrap_or_default();
    let rule = text("rule");
    let pointer = format!("/findings/{at}/rule");
    match registry::rule(rule) {
        None => {
            Some(Defect::contradictory(pointer, format!("there is no rule '{rule}' known here")))
        }
        Some(known)
            if ours && (text("summary"), text("remedy")) != (known.summary, known.remedy) =>
        {
            let message = format!("the finding's words are not those of the rule '{rule}'");
            Some(Defect::contradictory(pointer, message))
        }
        Some(_) => None,
    }
}

fn level(word: &str) -> Option<Level> {
    [Level::Note, Level::Warning, Level::Error].into_iter().find(|level| level.name() == word)
}
