//! Rules in Rego (<https://www.openpolicyagent.org/docs/policy-language>), for
//! those who have their policies in it already. Only programs built with the
//! feature `rego` evaluate them.
//!
//! In Rego what is missing is undefined, and `not` makes truth of it. So that
//! nothing holds because something is missing, a module may speak about its
//! input only field by field (`input.output.status`); what it names is known
//! before it is evaluated, and a subject that lacks any of it is not judged.
//! What is undefined, no truth value, or an error in the end is no answer.

#[cfg(feature = "rego")]
pub mod engine;

use std::fmt;

use serde_json::{Map, Value as Json};

use super::subject::{Field, Kind, Subject, Type, Unknown, Value};
use super::suggest::suggest;

/// Longest module, in bytes: some hundred lines.
pub const MAX_LEN: usize = 16 << 10;

/// Words of the language that could hide what a rule depends on: other
/// documents, other inputs, answers where there is none, and chance.
const REFUSED: [(&str, &str); 7] = [
    ("data", "name rules of the module by their names alone"),
    ("default", "what is undefined denies by itself"),
    ("import", "everything of Rego v1 is there without"),
    ("print", "nobody would see it"),
    ("rand", "an answer must not depend on chance"),
    ("trace", "nobody would see it"),
    ("with", "the input is what the report says"),
];

/// What evaluates modules, bounded in time and memory.
pub trait Evaluator: fmt::Debug + Sync {
    /// Whether `allow` of a module is true of each of some inputs (JSON), in
    /// their order; why there is no answer where there is none. An answer that
    /// is not there at all is none either.
    fn answers(&self, module: &str, inputs: &[String]) -> Vec<Result<bool, String>>;
}

/// A module that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    text: String,
    kind: Kind,
    fields: Vec<Field>,
}

/// Why a text is no module that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegoError {
    /// Too long.
    #[error("the module has {0} bytes (expected at most {MAX_LEN})")]
    TooLong(usize),
    /// The program cannot evaluate it.
    #[error(
        "this program was built without Rego (build it with 'cargo build --features rego', or write the rule as 'require')"
    )]
    NotBuiltIn,
    /// No Rego.
    #[error("the module is not Rego: {0}")]
    Syntax(String),
    /// Rego that has no meaning here.
    #[error("line {line} of the module: {message}")]
    Meaning {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Module {
    /// Reads a module that speaks about one of these kinds of things.
    ///
    /// # Errors
    /// What is no Rego, has no meaning here, or cannot be evaluated by this program.
    pub fn parse(text: &str, kinds: [Kind; 2]) -> Result<Self, RegoError> {
        if text.len() > MAX_LEN {
            return Err(RegoError::TooLong(text.len()));
        }
        let (kind, fields) = fields(text, kinds)?;
        check(text)?;
        Ok(Self { text: text.to_owned(), kind, fields })
    }

    /// The module as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The kind of thing it speaks about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is told of a subject, as JSON on one line.
    ///
    /// # Errors
    /// The first field it names and the subject lacks.
    pub fn input(&self, subject: &Subject) -> Result<String, Unknown> {
        let mut facts = Map::new();
        for field in &self.fields {
            let value = match subject.value(*field)? {
                Value::Text(text) => Json::from(text.as_str()),
                Value::Number(number) | Value::Time(number) => Json::from(*number),
                Value::Truth(truth) => Json::from(*truth),
                Value::Texts(texts) => Json::from(texts.clone()),
            };
            facts.insert(field.name().to_owned(), value);
        }
        let facts = Map::from_iter([(self.kind.name().to_owned(), Json::from(facts))]);
        Ok(Json::from(facts).to_string())
    }
}

#[cfg(feature = "rego")]
fn check(text: &str) -> Result<(), RegoError> {
    engine::check(text).map_err(RegoError::Syntax)
}

#[cfg(not(feature = "rego"))]
const fn check(_: &str) -> Result<(), RegoError> {
    Err(RegoError::NotBuiltIn)
}

/// The kind of thing that a module speaks about, and all it asks of one.
fn fields(text: &str, kinds: [Kind; 2]) -> Result<(Kind, Vec<Field>), RegoError> {
    let mut rest = text;
    let mut named: Option<Kind> = None;
    let mut fields = Vec::new();
    let mut before = "";
    let wrong = |rest: &str, message: String| {
        let read = text.get(..text.len().saturating_sub(rest.len())).unwrap_or(text);
        RegoError::Meaning { line: read.matches('\n').count() + 1, message }
    };
    while let Some(first) = rest.chars().next() {
        let mut length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '`' => {
                literal(rest, first).ok_or_else(|| wrong(rest, "a text has no end".to_owned()))?
            }
            '$' => return Err(wrong(rest, "texts with templates are not allowed".to_owned())),
            one if is_word(one) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            one => one.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        if let Some((word, why)) = REFUSED.iter().find(|(word, _)| *word == token) {
            return Err(wrong(rest, format!("'{word}' is not allowed: {why}")));
        }
        if token == "input" {
            let (kind, field, end) = asked(behind, kinds).map_err(|why| wrong(rest, why))?;
            if named.is_some_and(|one| one != kind) {
                return Err(wrong(rest, "a rule speaks about one kind of thing".to_owned()));
            }
            named = Some(kind);
            fields.push(field);
            length = length.saturating_add(end);
        } else if token == "." && !has_parts(before) {
            let message = format!("nothing here has parts to be asked for ('{before}.')");
            return Err(wrong(rest, message));
        }
        let (token, behind) = rest.split_at(length);
        if first != '#' && !first.is_whitespace() {
            before = token;
        }
        rest = behind;
    }
    let kind = named.ok_or_else(|| {
        let [a, b] = kinds;
        wrong("", format!("it asks nothing (expected 'input.{a}.…' or 'input.{b}.…')"))
    })?;
    fields.sort_unstable();
    fields.dedup();
    Ok((kind, fields))
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// How long the text is that begins here.
fn literal(rest: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    for (at, one) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if one == '\\' && mark == '"' {
            escaped = true;
        } else if one == mark {
            return Some(at + 1);
        } else if one == '\n' && mark == '"' {
            return None;
        }
    }
    None
}

/// Whether a dot may follow: within a number, and behind the first part of the
/// name of a function. All facts are plain, and what has no parts would be
/// undefined.
fn has_parts(word: &str) -> bool {
    ["array", "bits", "numbers", "object", "strings"].contains(&word)
        || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The kind and the field that stand behind `input`, and how long they are.
fn asked(behind: &str, kinds: [Kind; 2]) -> Result<(Kind, Field, usize), String> {
    let [whole, thing] = kinds;
    let shape = || format!("'input' is asked as 'input.{whole}.FIELD' or 'input.{thing}.FIELD'");
    let (kind, rest) =
        behind.strip_prefix('.').and_then(|rest| rest.split_once('.')).ok_or_else(shape)?;
    let kind = kinds.into_iter().find(|one| one.name() == kind).ok_or_else(shape)?;
    let end = rest.find(|one| !is_word(one)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let field = Field::named(kind, name).ok_or_else(|| {
        let known = kind.fields().iter().map(|field| field.name());
        format!("'{kind}' has no field '{name}'{}", suggest(name, known))
    })?;
    if field.kind() != Type::Texts && after.trim_start().starts_with('[') {
        return Err(format!("'{name}' is {} and has no elements", field.kind().name()));
    }
    Ok((kind, field, behind.len().saturating_sub(after.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 2] = [Kind::Report, Kind::Output];

    #[test]
    fn a_module_tells_what_it_asks() {
        let text = "package verify\n# input.output.typo\nallow if not input.output.status == \"a \\\" input\"\n\
                    # A dot.\nallow if { input.output.name == `input` ; array.concat([1.5], []) }";
        assert_eq!(fields(text, KINDS), Ok((Kind::Output, vec![Field::Name, Field::Status])));
    }

    #[test]
    fn what_could_hide_something_missing_is_refused() {
        for (text, line, part) in [
            ("package verify\nallow if not input.output.statsu == \"x\"", 2, "'status'"),
            ("allow if { o := input.output; not o.typo }", 1, "input.output.FIELD"),
            ("allow if not input[\"output\"].typo", 1, "input.output.FIELD"),
            ("allow if not input.output.name.typo", 1, "has parts"),
            ("allow if not input.output.name[\"typo\"]", 1, "has no elements"),
            ("allow if { some p in input.output.signed_by; not p.typo }", 1, "'p.'"),
            ("allow if { # so.\n input.output.typo }", 2, "'typo'"),
            ("allow if not input.component.name", 1, "input.output.FIELD"),
            ("allow if { input.output.name ; input.report.id }", 1, "one kind of thing"),
            ("\n\nallow if not data.verify.typo", 3, "'data' is not allowed"),
            ("default allow := true", 1, "'default' is not allowed"),
            ("import data.x as y", 1, "'import' is not allowed"),
            ("allow if f(input.output.name) with input as {}", 1, "'with' is not allowed"),
            ("x := $\"{input.output.typo}\"", 1, "templates"),
            ("x := \"a\nb\"", 1, "no end"),
            ("allow := true", 1, "asks nothing"),
        ] {
            match fields(text, KINDS) {
                Err(RegoError::Meaning { line: at, message }) => {
                    assert!(at == line && message.contains(part), "{text}: {at}: {message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
