//! What reads and evaluates Rego: the one place that names `regorus`.
//!
//! Its own bounds are not all that is needed (a text that doubles forty times
//! takes no time, and all memory), so that modules are evaluated in a process
//! that has limits: `gather::rego`.

use regorus::{Engine, Value};

/// The package that modules are.
const PACKAGE: &str = "data.verify";

/// The rule that decides.
const ALLOW: &str = "data.verify.allow";

/// Whether a text is a module.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<(), String> {
    engine(text).map(drop)
}

fn engine(text: &str) -> Result<Engine, String> {
    let mut engine = Engine::new();
    // Otherwise `not` would make truth of an error.
    engine.set_strict_builtin_errors(true);
    let package = engine
        .add_policy("rego".to_owned(), text.to_owned())
        .map_err(|error| one_line(&error.to_string()))?;
    if package != PACKAGE {
        return Err("its package is another one (expected 'package verify')".to_owned());
    }
    Ok(engine)
}

/// Evaluates a module on inputs, each on a line, and hands over each answer.
///
/// # Errors
/// The module cannot be read; [`check`] has said so before.
pub fn evaluate<'i>(
    text: &str,
    inputs: impl Iterator<Item = &'i str>,
    mut each: impl FnMut(Result<bool, String>),
) -> Result<(), String> {
    let mut engine = engine(text)?;
    for input in inputs {
        let told = engine.set_input_json(input).map_err(|error| one_line(&error.to_string()));
        each(told.and_then(|()| allow(&mut engine)));
    }
    Ok(())
}

fn allow(engine: &mut Engine) -> Result<bool, String> {
    match engine.eval_rule(ALLOW.to_owned()).map_err(|error| one_line(&error.to_string()))? {
        Value::Bool(truth) => Ok(truth),
        Value::Undefined => Err("'allow' is undefined".to_owned()),
        _ => Err("'allow' is neither true nor false".to_owned()),
    }
}

/// What an error says, without its picture of the source.
fn one_line(error: &str) -> String {
    let last = error.lines().rev().find(|line| !line.trim().is_empty());
    last.unwrap_or("it has no answer").trim().trim_start_matches("error: ").to_owned()
}
