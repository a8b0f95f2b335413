//! JSON in its one canonical form (RFC 8785, the JSON Canonicalization
//! Scheme), and JSON without doubled keys.
//!
//! A statement is signed as bytes, so that nothing depends on this form; that
//! it is demanded leaves no second way to write the same statement, and no
//! place to hide anything in. Numbers that the scheme would write with an
//! exponent, and whole numbers that other readers would round, are refused.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use crate::nix::json::{self, JsonError};

/// Largest whole number that every JSON reader keeps (RFC 7493, section 2.2).
const MAX_WHOLE: u64 = (1 << 53) - 1;

/// From here on the scheme writes an exponent.
const MAX_PLAIN: f64 = 1e21;

/// Below here too.
const MIN_PLAIN: f64 = 1e-6;

/// Why a text is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// No JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A key that stands twice.
    #[error("the key '{0}' stands twice in one object")]
    Duplicate(String),
    /// What the second reader says.
    #[error("not readable as JSON")]
    Value(#[source] serde_json::Error),
    /// A number without a form that everybody writes alike.
    #[error("the number {0} has no plain form that every reader keeps")]
    Number(String),
    /// Not the canonical form.
    #[error("it is not in canonical form (RFC 8785): byte {0} is the first that differs")]
    Form(usize),
}

/// Reads JSON in which no key stands twice.
///
/// # Errors
/// A text that is no JSON, or doubles a key.
pub fn read_once(bytes: &[u8]) -> Result<Value, CanonicalError> {
    let document = json::parse(bytes)?;
    if let Some(double) = document.duplicates.named.first() {
        return Err(CanonicalError::Duplicate(double.key.clone()));
    }
    serde_json::from_slice(bytes).map_err(CanonicalError::Value)
}

/// Reads JSON in canonical form.
///
/// # Errors
/// As [`read_once`], and any other form.
pub fn read(bytes: &[u8]) -> Result<Value, CanonicalError> {
    let value = read_once(bytes)?;
    let canonical = write(&value)?;
    if canonical.as_bytes() == bytes {
        return Ok(value);
    }
    let same = canonical.bytes().zip(bytes).take_while(|(one, other)| one == *other).count();
    Err(CanonicalError::Form(same))
}

/// The canonical form of a value.
///
/// # Errors
/// A number that has none here.
pub fn write(value: &Value) -> Result<String, CanonicalError> {
    let mut text = String::new();
    append(value, &mut text)?;
    Ok(text)
}

/// Values are read with a bound on their depth, so that this one may recurse.
fn append(value: &Value, text: &mut String) -> Result<(), CanonicalError> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => text.push_str(&plain(number)?),
        Value::String(string) => quote(string, text),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                append(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (at, (key, item)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                quote(key, text);
                text.push(':');
                append(item, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

/// Section 3.2.2.2: the short escapes, `\u00xx` for other control characters,
/// everything else as it is.
fn quote(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Section 3.2.2.3, as far as no exponent is written.
fn plain(number: &Number) -> Result<String, CanonicalError> {
    let refused = || CanonicalError::Number(number.to_string());
    if let Some(whole) = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64()) {
        return if whole <= MAX_WHOLE { Ok(number.to_string()) } else { Err(refused()) };
    }
    match number.as_f64() {
        // Minus zero too.
        Some(0.0) => Ok("0".to_owned()),
        // Rust writes the shortest digits that read back, as ECMAScript does.
        Some(float) if (MIN_PLAIN..MAX_PLAIN).contains(&float.abs()) => Ok(float.to_string()),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        // Section 3.2.3, with keys that sort otherwise by code points.
        let text = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew","1":"One","\ud83d\ude00":"Emoji","\u0080":"Control","\u00f6":"Latin"}"#;
        let value = read_once(text.as_bytes()).unwrap();
        let keys: Vec<String> = serde_json::from_str::<Value>(&write(&value).unwrap())
            .unwrap()
            .as_object()
            .unwrap()
            .values()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(keys.len(), 7);
        let canonical = write(&value).unwrap();
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let places: Vec<usize> = order.iter().map(|word| canonical.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{canonical}");
        assert!(canonical.starts_with("{\"\\r\":"));
    }

    #[test]
    fn numbers() {
        for (text, wanted) in [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("-0.0", Some("0")),
            ("1.0", Some("1")),
            ("0.95", Some("0.95")),
            ("1e3", Some("1000")),
            ("-7", Some("-7")),
            ("9007199254740991", Some("9007199254740991")),
            ("9007199254740992", None),
            ("18446744073709551615", None),
            ("0.000001", Some("0.000001")),
            ("1e-7", None),
            ("1e21", None),
        ] {
            let value = read_once(text.as_bytes()).unwrap();
            assert_eq!(write(&value).ok().as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn other_forms_and_doubled_keys_are_refused() {
        let good = br#"{"a":[1,"x\ny"],"b":null}"#;
        assert!(read(good).is_ok());
        for bad in [
            &br#"{"b":null,"a":[1,"x\ny"]}"#[..],
            br#"{"a":[1, "x\ny"],"b":null}"#,
            br#"{"a":[1,"x\u000ay"],"b":null}"#,
            br#"{"a":[1.0,"x\ny"],"b":null}"#,
            br#"{"a":1,"a":1}"#,
            br#"{"a":1} "#,
            br#"{"a":{"b":1,"b":2}}"#,
            b"",
        ] {
            assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
