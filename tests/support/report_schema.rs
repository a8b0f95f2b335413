//! Reports against the published schema.

use std::path::Path;

use serde_json::Value;

pub fn published() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The published schema lets readers meet fields that are added later. Our own
/// output may have no field that it does not name.
pub fn closed(mut schema: Value) -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Object(object) => {
                let names_all = object.contains_key("properties") && object.contains_key("type");
                if names_all && !object.contains_key("additionalProperties") {
                    object.insert("additionalProperties".to_owned(), false.into());
                }
                object.values_mut().for_each(close);
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    close(&mut schema);
    schema
}

/// Fails with every place that breaks the schema.
#[track_caller]
pub fn check(report: &Value, what: &str) {
    for (name, schema) in [("published", published()), ("closed", closed(published()))] {
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{what}, {name} schema:\n{}", errors.join("\n"));
    }
}
