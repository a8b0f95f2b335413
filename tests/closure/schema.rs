//! Reports against the published schema, which must name every field of ours.

use std::path::Path;

use serde_json::Value;

/// Objects that list their properties may have no others.
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

#[track_caller]
pub fn validate(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
    let mut schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}
