//! The schemas that the formats' own projects publish, as data, and the
//! validators made of them. Nothing is ever fetched.

use std::sync::OnceLock;

use jsonschema::{Registry, Validator};
use serde_json::Value;

use super::document::Spec;

/// The schemas that others refer to, by their addresses.
const SHARED: [(&str, &str); 3] = [
    ("http://cyclonedx.org/schema/spdx.schema.json", include_str!("schemas/spdx.schema.json")),
    (
        "http://cyclonedx.org/schema/jsf-0.82.schema.json",
        include_str!("schemas/jsf-0.82.schema.json"),
    ),
    (
        "http://cyclonedx.org/schema/cryptography-defs.schema.json",
        include_str!("schemas/cryptography-defs.schema.json"),
    ),
];

/// A schema of our own that cannot be used: a defect of this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the built-in schema of {spec} cannot be used: {why}")]
pub struct SchemaError {
    spec: String,
    why: String,
}

/// The text of a specification's schema.
const fn text(spec: Spec) -> &'static str {
    match spec {
        Spec::CycloneDx1_2 => include_str!("schemas/bom-1.2-strict.schema.json"),
        Spec::CycloneDx1_3 => include_str!("schemas/bom-1.3-strict.schema.json"),
        Spec::CycloneDx1_4 => include_str!("schemas/bom-1.4.schema.json"),
        Spec::CycloneDx1_5 => include_str!("schemas/bom-1.5.schema.json"),
        Spec::CycloneDx1_6 => include_str!("schemas/bom-1.6.schema.json"),
        Spec::CycloneDx1_7 => include_str!("schemas/bom-1.7.schema.json"),
        Spec::Spdx2_3 => include_str!("schemas/spdx-2.3.schema.json"),
    }
}

/// The validator of a specification, made once.
pub(super) fn validator(spec: Spec) -> Result<&'static Validator, SchemaError> {
    static MADE: [OnceLock<Result<Validator, SchemaError>>; Spec::ALL.len()] =
        [const { OnceLock::new() }; Spec::ALL.len()];
    let failed = |why: String| SchemaError { spec: spec.to_string(), why };
    let place = Spec::ALL.iter().position(|one| *one == spec);
    let cell = place.and_then(|place| MADE.get(place)).ok_or_else(|| failed("unknown".into()))?;
    cell.get_or_init(|| make(spec).map_err(failed)).as_ref().map_err(Clone::clone)
}

fn make(spec: Spec) -> Result<Validator, String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| e.to_string());
    let mut registry = Registry::new();
    for (address, text) in SHARED {
        registry = registry.add(address, parse(text)?).map_err(|e| e.to_string())?;
    }
    let registry = registry.prepare().map_err(|e| e.to_string())?;
    jsonschema::options()
        .with_registry(&registry)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .build(&parse(text(spec))?)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_can_be_used() {
        for spec in Spec::ALL {
            validator(spec).unwrap();
        }
    }
}
