//! Structured attributes: the variable `__json`, and the files `.attrs.json`
//! and `.attrs.sh` that a builder gets instead of an environment.
//!
//! Follows `src/libstore/parsed-derivations.cc` (`prepareStructuredAttrs`,
//! `writeStructuredAttrsShell`), byte for byte, nlohmann::json's printing
//! included.

mod json;
mod number;

use std::collections::BTreeMap;

pub use json::{Json, JsonDefect, JsonError, MAX_DEPTH, MAX_VALUES};
pub use number::Number;

/// The key under which the builder finds its output paths.
const OUTPUTS: &str = "outputs";

/// Structured attributes that are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StructuredAttrsError {
    /// Not JSON.
    #[error("the variable '__json' is damaged: {0}")]
    Json(#[from] JsonError),
    /// JSON, but no object.
    #[error("the variable '__json' holds {0} (expected an object)")]
    NotAnObject(&'static str),
}

/// The attributes of a derivation with `__structuredAttrs`.
#[derive(Debug, Clone, PartialEq)]
pub struct StructuredAttrs(BTreeMap<String, Json>);

impl StructuredAttrs {
    /// Reads the value of the variable `__json`.
    ///
    /// # Errors
    /// Not JSON, or no object.
    pub fn parse(text: &[u8]) -> Result<Self, StructuredAttrsError> {
        match Json::parse(text)? {
            Json::Object(attrs) => Ok(Self(attrs)),
            other => Err(StructuredAttrsError::NotAnObject(other.kind())),
        }
    }

    /// All attributes, sorted.
    #[must_use]
    pub const fn attrs(&self) -> &BTreeMap<String, Json> {
        &self.0
    }

    /// The attributes as a builder gets them: `outputs` replaced by the
    /// output paths, and the references graphs (see
    /// [`super::derivation::graph_text::graph_json`]) added under their names.
    #[must_use]
    pub fn prepare(
        &self,
        outputs: &BTreeMap<String, String>,
        graphs: &BTreeMap<String, Json>,
    ) -> Self {
        let mut attrs = self.0.clone();
        let outputs =
            outputs.iter().map(|(name, path)| (name.clone(), Json::String(path.clone()))).collect();
        attrs.insert(OUTPUTS.to_owned(), Json::Object(outputs));
        attrs.extend(graphs.iter().map(|(name, graph)| (name.clone(), graph.clone())));
        Self(attrs)
    }

    /// The bytes of `.attrs.json`, before placeholders are replaced.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::print_object(&self.0)
    }

    /// The bytes of `.attrs.sh`, before placeholders are replaced: a `declare`
    /// for every attribute that fits one.
    #[must_use]
    pub fn to_shell(&self) -> String {
        let mut out = String::new();
        for (name, value) in self.0.iter().filter(|(name, _)| is_shell_name(name)) {
            let declaration = match value {
                Json::Array(items) => items
                    .iter()
                    .map(|item| simple(item).map(|text| text + " "))
                    .collect::<Option<String>>()
                    .map(|items| format!("declare -a {name}=({items})\n")),
                Json::Object(members) => members
                    .iter()
                    .map(|(key, item)| {
                        simple(item).map(|text| format!("[{}]={text} ", quoted(key)))
                    })
                    .collect::<Option<String>>()
                    .map(|members| format!("declare -A {name}=({members})\n")),
                value => simple(value).map(|text| format!("declare {name}={text}\n")),
            };
            out.push_str(&declaration.unwrap_or_default());
        }
        out
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`.
fn is_shell_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A value that fits one shell word.
fn simple(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(quoted(text)),
        Json::Number(number) => number.to_shell().map(|value| value.to_string()),
        Json::Null => Some("''".to_owned()),
        Json::Bool(true) => Some("1".to_owned()),
        Json::Bool(false) => Some(String::new()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_declarations_follow_the_rules() {
        let attrs = StructuredAttrs::parse(
            br#"{"a":"it's","b":null,"c":true,"d":false,"e":5000000000,"f":1.5,"g":2.0,
                "h":[1,"x",null,false,true],"i":[1,[2]],"j":{"k e'y":1,"l":"m"},"n":{"o":{}},
                "p":[],"q":{},"r-s":1,"1t":1,"_u":"","v":[1.5],"":2}"#,
        )
        .unwrap();
        assert_eq!(
            attrs.to_shell(),
            "declare _u=''\n\
             declare a='it'\\''s'\n\
             declare b=''\n\
             declare c=1\n\
             declare d=\n\
             declare e=705032704\n\
             declare g=2\n\
             declare -a h=(1 'x' ''  1 )\n\
             declare -A j=(['k e'\\''y']=1 ['l']='m' )\n\
             declare -a p=()\n\
             declare -A q=()\n"
        );
    }

    #[test]
    fn outputs_and_graphs_are_put_in() {
        let attrs = StructuredAttrs::parse(br#"{"outputs":["out"],"x":1e25}"#).unwrap();
        let outputs = BTreeMap::from([("out".to_owned(), "/o".to_owned())]);
        let graphs = BTreeMap::from([("g".to_owned(), Json::Array(vec![]))]);
        let prepared = attrs.prepare(&outputs, &graphs);
        assert_eq!(prepared.to_json(), r#"{"g":[],"outputs":{"out":"/o"},"x":1e+25}"#);
    }

    #[test]
    fn only_objects_hold_attributes() {
        assert_eq!(
            StructuredAttrs::parse(b"[1]"),
            Err(StructuredAttrsError::NotAnObject("a list"))
        );
        assert!(StructuredAttrs::parse(b"").is_err());
    }
}
