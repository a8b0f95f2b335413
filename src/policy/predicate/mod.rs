//! Predicates in the Common Expression Language
//! (<https://github.com/google/cel-spec>), for what declarative rules cannot
//! say: `component.licence != "AGPL-3.0-only"`.
//!
//! An expression is checked when the policy is read ([`types`]), its work is
//! counted before it is done ([`cost`]), and whatever goes wrong while it is
//! evaluated, a missing fact above all, is [`Unknown`], never an answer.

mod cost;
pub mod functions;
mod types;
mod value;

use cel::{Context, ExecutionError, Program, Value};

use super::subject::{Field, Kind, Subject, Unknown};
use types::{Checker, Ty};

/// Longest expression, in bytes. Genuine ones have some hundred.
pub const MAX_LEN: usize = 4096;

/// Most of any of the nested brackets and operators without an operand
/// between them that a reader of expressions is given: it recurses.
const MAX_NESTING: usize = 100;

/// A checked expression.
#[derive(Debug)]
pub struct Predicate {
    text: String,
    kind: Kind,
    program: Program,
}

/// Two expressions are the same if they are written the same.
impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.kind) == (&other.text, other.kind)
    }
}

/// Why a text is no expression that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredicateError {
    /// Too long.
    #[error("the expression has {0} bytes (expected at most {MAX_LEN})")]
    TooLong(usize),
    /// Too deep for the reader of expressions.
    #[error("the expression nests too deeply (expected at most {MAX_NESTING} levels)")]
    TooDeep,
    /// No CEL.
    #[error("the expression is not CEL: {0}")]
    Syntax(String),
    /// CEL that has no meaning here.
    #[error("at character {column} of the expression: {message}")]
    Meaning {
        /// The character, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
}

impl Predicate {
    /// Reads an expression that speaks about things of a kind.
    ///
    /// # Errors
    /// What is no CEL, or has no meaning here.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, PredicateError> {
        if text.len() > MAX_LEN {
            return Err(PredicateError::TooLong(text.len()));
        }
        if nesting(text) > MAX_NESTING {
            return Err(PredicateError::TooDeep);
        }
        let program = Program::compile(text).map_err(|errors| {
            let mut lines = errors.errors.iter().map(|error| error.msg.clone());
            PredicateError::Syntax(lines.next().unwrap_or_else(|| "it cannot be read".to_owned()))
        })?;
        let column = |node: u64| {
            let start = program.source_info().offset_for(node).map_or(0, |(start, _)| start);
            usize::try_from(start).unwrap_or_default().saturating_add(1)
        };
        let meaning =
            |node, message: String| PredicateError::Meaning { column: column(node), message };
        let ty = Checker::new(kind)
            .check(program.expression())
            .map_err(|defect| meaning(defect.node, defect.message))?;
        if ty != Ty::Truth {
            let message = "the whole expression has to be true or false".to_owned();
            return Err(meaning(program.expression().id, message));
        }
        Ok(Self { text: text.to_owned(), kind, program })
    }

    /// Whether a text is CEL that names a kind of thing.
    #[must_use]
    pub fn mentions(text: &str, kind: Kind) -> bool {
        text.len() <= MAX_LEN
            && nesting(text) <= MAX_NESTING
            && Program::compile(text)
                .is_ok_and(|program| program.references().has_variable(kind.name()))
    }

    /// The expression as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The kind of thing it speaks about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The most steps that evaluating it on a subject takes.
    #[must_use]
    pub fn cost(&self, subject: &Subject) -> u64 {
        cost::cost(self.program.expression(), self.kind, subject)
    }
}

/// Something that evaluates expressions, with the functions they may call.
pub struct Evaluator<'s> {
    context: Context<'s, 's>,
}

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").finish_non_exhaustive()
    }
}

impl<'s> Evaluator<'s> {
    /// At a moment, in seconds since 1970.
    ///
    /// # Errors
    /// None in practice: no function's name is taken.
    pub fn new(now: i64) -> Result<Self, Unknown> {
        let mut context = Context::default();
        functions::declare(&mut context, now).map_err(|error| Unknown::Other(error.to_string()))?;
        Ok(Self { context })
    }

    /// Whether an expression holds of a subject.
    ///
    /// # Errors
    /// Whatever it needs and is not there, and whatever goes wrong.
    pub fn holds(&self, predicate: &Predicate, subject: &'s Subject) -> Result<bool, Unknown> {
        if subject.kind != predicate.kind {
            return Err(Unknown::Other(format!(
                "the rule speaks about '{}' and this is '{}'",
                predicate.kind, subject.kind
            )));
        }
        let mut scope = self.context.new_inner_scope();
        scope.add_variable_as_val(subject.kind.name(), Box::new(value::Facts(subject)));
        match predicate.program.execute(&scope) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err(Unknown::Other("the expression is neither true nor false".to_owned())),
            Err(ExecutionError::NoSuchKey(name)) => Err(match Field::named(subject.kind, &name) {
                Some(field) => match subject.value(field) {
                    Err(unknown) => unknown,
                    Ok(_) => Unknown::Missing(field),
                },
                None => Unknown::Other(format!("'{name}' is missing")),
            }),
            Err(ExecutionError::FunctionError { function, message }) => {
                Err(match Field::named(subject.kind, &function) {
                    Some(field) => Unknown::Unusable { field, why: message },
                    None => Unknown::Other(format!("{function}: {message}")),
                })
            }
            Err(error) => Err(Unknown::Other(format!("the expression has no answer: {error}"))),
        }
    }
}

/// The most brackets open at once, operators that stand before their operand
/// and parts of a chain counted too, texts left out.
fn nesting(text: &str) -> usize {
    let (mut deepest, mut open, mut row) = (0_usize, 0_usize, 0_usize);
    let mut quote = None;
    let mut escaped = false;
    for character in text.chars() {
        if let Some(mark) = quote {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == mark {
                quote = None;
            }
            continue;
        }
        match character {
            '"' | '\'' => {
                quote = Some(character);
                row = 0;
            }
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '!' | '-' => row += 1,
            one if one.is_whitespace() => {}
            _ => row = 0,
        }
        deepest = deepest.max(open + row);
    }
    // A text that never ends is for the reader to complain about; it may look
    // at what is in it.
    if quote.is_some() {
        deepest.max(text.matches(['(', '[', '{', '!', '-']).count())
    } else {
        deepest
    }
}

#[cfg(test)]
mod tests;
