//! The functions that policies have beside CEL's own.

use std::sync::Arc;

use cel::{Context, DeclarationError, ExecutionError, Value};

use super::super::licence::Allowed;
use super::super::version;
use crate::check::lock::config::matches;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Declares all of them. `now` is in seconds since 1970.
///
/// # Errors
/// A name that is taken, which none is.
pub fn declare(context: &mut Context<'_, '_>, now: i64) -> Result<(), DeclarationError> {
    context.add_function("spdx_ok", |licence: Arc<String>, allowed: Arc<Vec<Value>>| {
        let names = texts("spdx_ok", &allowed)?;
        let allowed = Allowed::parse(&names)
            .map_err(|error| ExecutionError::function_error("spdx_ok", error))?;
        allowed.covers(&licence).map_err(|error| ExecutionError::function_error("spdx_ok", error))
    })?;
    context.add_function("version_cmp", |a: Arc<String>, b: Arc<String>| -> i64 {
        match version::compare(&a, &b) {
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
        }
    })?;
    context.add_function("age_days", move |time: i64| -> Result<i64, ExecutionError> {
        age_days(time, now).map_err(|error| ExecutionError::function_error("age_days", error))
    })?;
    context.add_function("signed_by", |keys: Arc<Vec<Value>>, patterns: Arc<Vec<Value>>| {
        let (keys, patterns) = (texts("signed_by", &keys)?, texts("signed_by", &patterns)?);
        let fits = |key: &str| patterns.iter().any(|pattern| matches(pattern, key));
        Ok::<bool, ExecutionError>(keys.iter().any(|key| fits(key)))
    })?;
    context.add_function("glob", |text: Arc<String>, pattern: Arc<String>| -> bool {
        matches(&pattern, &text)
    })
}

/// Whole days between a moment and now. What lies in the future has no age.
///
/// # Errors
/// The moment is later than now by more than a day.
pub fn age_days(time: i64, now: i64) -> Result<i64, String> {
    let age = now.saturating_sub(time);
    if age < -DAY {
        return Err("the time lies in the future".to_owned());
    }
    Ok(age.max(0) / DAY)
}

fn texts(function: &str, list: &[Value]) -> Result<Vec<String>, ExecutionError> {
    list.iter()
        .map(|value| match value {
            Value::String(text) => Ok(text.as_str().to_owned()),
            _ => Err(ExecutionError::function_error(function, "an element is no text")),
        })
        .collect()
}
