//! Statements that a vulnerability does not apply: OpenVEX
//! (<https://github.com/openvex/spec>) and CycloneDX
//! (<https://cyclonedx.org/capabilities/vex/>).
//!
//! What cannot be read in full is an error, and what is said of no product
//! excuses none. Of several statements about one product the last counts; if
//! two of one moment contradict each other, nothing is excused.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use packageurl::PackageUrl;
use serde_json::Value;

use super::AdvisoryError;
use crate::nix::time::Timestamp;

const OPEN: &str = "OpenVEX document";
const CYCLONE: &str = "CycloneDX document with vulnerabilities";

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    vulnerabilities: BTreeSet<String>,
    products: Vec<PackageUrl<'static>>,
    excuses: bool,
    time: i64,
}

/// Whether the statements say that a version of a package is not affected.
pub(super) fn excused(
    statements: &[Statement],
    names: &BTreeSet<String>,
    purl: &PackageUrl<'_>,
    version: &str,
) -> bool {
    let fitting = statements.iter().filter(|one| {
        !one.vulnerabilities.is_disjoint(names)
            && one.products.iter().any(|product| is_it(product, purl, version))
    });
    let fitting: Vec<&Statement> = fitting.collect();
    let Some(last) = fitting.iter().map(|one| one.time).max() else { return false };
    fitting.iter().filter(|one| one.time == last).all(|one| one.excuses)
}

/// A product without a version is every version of it.
fn is_it(product: &PackageUrl<'_>, purl: &PackageUrl<'_>, version: &str) -> bool {
    (product.ty(), product.namespace(), product.name())
        == (purl.ty(), purl.namespace(), purl.name())
        && product.version().is_none_or(|wanted| wanted == version)
        && product.qualifiers().iter().all(|(key, value)| purl.qualifiers().get(key) == Some(value))
        && product.subpath().is_none()
}

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Statement>, AdvisoryError> {
    let root: Value =
        serde_json::from_slice(bytes).map_err(|error| AdvisoryError::new(OPEN, error))?;
    if root.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX") {
        return cyclone(&root);
    }
    let context = root.get("@context").and_then(Value::as_str).unwrap_or_default();
    if !context.starts_with("https://openvex.dev/ns") {
        return Err(AdvisoryError::new(OPEN, "its '@context' is not that of OpenVEX"));
    }
    open(&root)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// The moment of a key, in any of the forms documents have; the past if there
/// is none.
fn moment(value: &Value, keys: &[&str]) -> Option<i64> {
    keys.iter().find_map(|key| {
        let plain = text(value, key)?.trim_end_matches('Z').trim_end_matches("+00:00");
        let seconds = plain.split('.').next()?;
        Some(format!("{seconds}Z").parse::<Timestamp>().ok()?.seconds())
    })
}

fn open(root: &Value) -> Result<Vec<Statement>, AdvisoryError> {
    let wrong = |message: &str| AdvisoryError::new(OPEN, message);
    let statements = list(root, "statements");
    if statements.is_empty() {
        return Err(wrong("it has no 'statements'"));
    }
    let whole = moment(root, &["timestamp"]).ok_or_else(|| wrong("its 'timestamp' is no time"))?;
    let mut found = Vec::new();
    for one in statements {
        let excuses = match text(one, "status") {
            Some("not_affected" | "fixed") => true,
            Some("affected" | "under_investigation") => false,
            _ => return Err(wrong("a statement has no 'status' that is known")),
        };
        let vulnerability = one
            .get("vulnerability")
            .ok_or_else(|| wrong("a statement names no 'vulnerability'"))?;
        let mut vulnerabilities = BTreeSet::new();
        match vulnerability {
            Value::String(name) => {
                vulnerabilities.insert(name.clone());
            }
            other => {
                vulnerabilities.extend(text(other, "name").map(str::to_owned));
                vulnerabilities.extend(
                    list(other, "aliases").iter().filter_map(Value::as_str).map(str::to_owned),
                );
            }
        }
        let mut products = Vec::new();
        for product in list(one, "products") {
            // Inside a product it may be a part only that is meant.
            let parts = list(product, "subcomponents");
            let whole = std::slice::from_ref(product);
            let named = if parts.is_empty() { whole } else { parts };
            products.extend(named.iter().filter_map(product_of));
        }
        let time = moment(one, &["last_updated", "timestamp"]).unwrap_or(whole);
        found.push(Statement { vulnerabilities, products, excuses, time });
    }
    Ok(found)
}

/// The package URL of a product: its id, or its identifier.
fn product_of(product: &Value) -> Option<PackageUrl<'static>> {
    let id = match product {
        Value::String(id) => Some(id.as_str()),
        other => text(other, "@id"),
    };
    let identifier = product.get("identifiers").and_then(|all| text(all, "purl"));
    [id, identifier].into_iter().flatten().find_map(|text| PackageUrl::from_str(text).ok())
}

fn cyclone(root: &Value) -> Result<Vec<Statement>, AdvisoryError> {
    let wrong = |message: &str| AdvisoryError::new(CYCLONE, message);
    let mut purls: BTreeMap<&str, &str> = BTreeMap::new();
    let primary = root.pointer("/metadata/component");
    for part in list(root, "components").iter().chain(primary) {
        if let (Some(name), Some(purl)) = (text(part, "bom-ref"), text(part, "purl")) {
            purls.insert(name, purl);
        }
    }
    let vulnerabilities = list(root, "vulnerabilities");
    if vulnerabilities.is_empty() {
        return Err(wrong("it has no 'vulnerabilities'"));
    }
    let whole = root.get("metadata").and_then(|one| moment(one, &["timestamp"])).unwrap_or(0);
    let mut found = Vec::new();
    for one in vulnerabilities {
        let analysis = one.get("analysis").unwrap_or(&Value::Null);
        let excuses = match text(analysis, "state") {
            Some("not_affected" | "false_positive" | "resolved" | "resolved_with_pedigree") => true,
            Some("exploitable" | "in_triage") | None => false,
            Some(_) => return Err(wrong("a vulnerability has a 'state' that is not known")),
        };
        let mut names: BTreeSet<String> = text(one, "id").map(str::to_owned).into_iter().collect();
        names.extend(
            list(one, "references").iter().filter_map(|one| text(one, "id")).map(str::to_owned),
        );
        let mut products = Vec::new();
        for affected in list(one, "affects") {
            let reference = text(affected, "ref").unwrap_or_default();
            // A link into another document ends in the name there.
            let name = reference.rsplit_once('#').map_or(reference, |(_, name)| name);
            let purl = purls.get(name).copied().unwrap_or(name);
            products.extend(PackageUrl::from_str(purl).ok());
        }
        let time = moment(analysis, &["lastUpdated", "firstIssued"])
            .or_else(|| moment(one, &["updated", "published"]))
            .unwrap_or(whole);
        found.push(Statement { vulnerabilities: names, products, excuses, time });
    }
    Ok(found)
}
