//! The things that reports list: inputs of locks, paths in caches, outputs
//! that were rebuilt. Each stands among the subjects of its report and among
//! its facts; one that stands in only one of them was tampered with.

use std::collections::BTreeSet;

use serde_json::Value;

use super::file::Scope;
use super::material::Defect;
use super::reports::{Parts, SubjectPart};
use super::subject::{self, Fact, Field, Kind, Subject};
use crate::nix::hash::NarHash;
use crate::nix::time::Timestamp;

type Things = (Vec<Subject>, Vec<Defect>);

/// The things a report of that scope lists, with what contradicts in them.
pub(super) fn read(scope: Scope, report: &Parts<'_>) -> Result<Things, Defect> {
    match scope {
        Scope::Lock => inputs(report),
        Scope::Cache => paths(report),
        Scope::Rebuild | Scope::Runtime | Scope::Build => outputs(report),
    }
}

fn list<'r>(value: &'r Value, key: &str) -> Result<&'r [Value], Defect> {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| Defect::malformed(format!("/facts/{key}"), "it is no list"))
}

fn text<'r>(value: &'r Value, key: &str) -> Option<&'r str> {
    value.get(key).and_then(Value::as_str)
}

/// The fact of a key: a text is known, `null` and nothing are missing.
fn stated(value: &Value, key: &str) -> Fact {
    match value.get(key) {
        None | Some(Value::Null) => Fact::Missing,
        Some(Value::String(text)) => Fact::Known(subject::Value::Text(text.clone())),
        Some(Value::Bool(truth)) => Fact::Known(subject::Value::Truth(*truth)),
        Some(Value::Number(number)) => number.as_i64().map_or_else(
            || Fact::Unusable(format!("{number} is no whole number")),
            |number| Fact::Known(subject::Value::Number(number)),
        ),
        Some(_) => Fact::Unusable("it is a list or an object".to_owned()),
    }
}

fn judged(subject: &mut Subject, part: SubjectPart<'_>) {
    subject.text(Field::Verdict, part.verdict);
    if Field::named(subject.kind, "status").is_some() {
        subject.text(Field::Status, part.status);
    }
}

fn absent(pointer: String, id: &str) -> Defect {
    Defect::contradictory(pointer, format!("'{id}' is not among the subjects"))
}

/// The subjects that nothing in the facts speaks about.
fn strays<'r>(report: &Parts<'r>, seen: &BTreeSet<&str>) -> impl Iterator<Item = Defect> {
    report
        .subjects
        .iter()
        .filter(|(id, _)| !seen.contains(*id))
        .map(|(id, part)| {
            let message = format!("nothing among the facts speaks about '{id}'");
            Defect::contradictory(format!("/subjects/{}", part.at), message)
        })
        .collect::<Vec<_>>()
        .into_iter()
}

fn inputs(report: &Parts<'_>) -> Result<Things, Defect> {
    let mut defects = Vec::new();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let listed = list(report.facts, "inputs")?;
    for (at, one) in listed.iter().enumerate() {
        let pointer = format!("/facts/inputs/{at}");
        let id = text(one, "input").unwrap_or_default();
        if !seen.insert(id) {
            defects.push(Defect::contradictory(&pointer, format!("the input '{id}' stands twice")));
        }
        let mut subject = Subject::new(Kind::Input, id, pointer.clone());
        match report.subjects.get(id) {
            Some(part) => judged(&mut subject, *part),
            None => defects.push(absent(pointer, id)),
        }
        subject.text(Field::Name, id.rsplit('/').next().unwrap_or(id));
        for (field, key) in [
            (Field::Depth, "depth"),
            (Field::Flake, "flake"),
            (Field::Original, "original"),
            (Field::Locked, "locked"),
            (Field::Type, "type"),
            (Field::Host, "host"),
            (Field::Owner, "owner"),
            (Field::Repo, "repo"),
            (Field::Ref, "ref"),
            (Field::Rev, "rev"),
        ] {
            subject.state(field, stated(one, key));
        }
        subject.state(Field::NarHash, nar_hash(one));
        subject.state(Field::LastModified, moment(one, "last_modified"));
        let signers = one.pointer("/evidence/signed_by").map_or(Fact::Missing, names);
        subject.state(Field::SignedBy, signers);
        found.push(subject);
    }
    // A file that is no lock, or locks nothing, is its own only subject.
    if !found.is_empty() {
        defects.extend(strays(report, &seen));
    }
    Ok((found, defects))
}

fn moment(value: &Value, key: &str) -> Fact {
    match text(value, key) {
        None => Fact::Missing,
        Some(text) => match text.parse::<Timestamp>() {
            Ok(time) => Fact::Known(subject::Value::Time(time.seconds())),
            Err(error) => Fact::Unusable(format!("'{text}': {error}")),
        },
    }
}

/// A list of texts.
fn names(value: &Value) -> Fact {
    let listed = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> =
        listed.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    if names.len() == listed.len() {
        Fact::Known(subject::Value::Texts(names))
    } else {
        Fact::Unusable("it holds something that is no text".to_owned())
    }
}

/// The name part of a store path.
fn name_of(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split_once('-').map_or(base, |(_, name)| name)
}

fn nar_hash(value: &Value) -> Fact {
    match text(value, "nar_hash").map(NarHash::parse) {
        None => Fact::Missing,
        Some(Ok(hash)) => Fact::Known(subject::Value::Text(hash.hash().sri())),
        Some(Err(error)) => Fact::Unusable(error.to_string()),
    }
}

fn paths(report: &Parts<'_>) -> Result<Things, Defect> {
    let mut defects = Vec::new();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, one) in list(report.facts, "paths")?.iter().enumerate() {
        let pointer = format!("/facts/paths/{at}");
        let id = text(one, "path").unwrap_or_default();
        if !seen.insert(id) {
            defects.push(Defect::contradictory(&pointer, format!("the path '{id}' stands twice")));
        }
        let mut subject = Subject::new(Kind::Path, id, pointer.clone());
        match report.subjects.get(id) {
            Some(part) => {
                judged(&mut subject, *part);
                if text(one, "verdict") != Some(part.verdict)
                    || text(one, "status") != Some(part.status)
                {
                    let message = format!("'{id}' is judged otherwise among the subjects");
                    defects.push(Defect::contradictory(pointer.clone(), message));
                }
            }
            None => defects.push(absent(pointer, id)),
        }
        subject.text(Field::Path, id);
        subject.text(Field::Name, name_of(id));
        subject.state(Field::Role, stated(one, "role"));
        claims(&mut subject, one);
        found.push(subject);
    }
    if let Some(realisations) = report.facts.get("realisations").and_then(Value::as_array) {
        seen.extend(realisations.iter().filter_map(|one| text(one, "id")));
    }
    defects.extend(strays(report, &seen));
    Ok((found, defects))
}

/// What is claimed of a path: of the one content that is trusted, who says so.
fn claims(subject: &mut Subject, path: &Value) {
    let versions = path.get("versions").and_then(Value::as_array);
    let versions = versions.map(Vec::as_slice).unwrap_or_default();
    let count = i64::try_from(versions.len()).unwrap_or(i64::MAX);
    subject.state(Field::Versions, Fact::Known(subject::Value::Number(count)));
    let claims_of = |version: &Value, trust: &[&str]| -> Vec<Value> {
        let claims = version.get("claims").and_then(Value::as_array);
        let claims = claims.map(Vec::as_slice).unwrap_or_default();
        let trusted =
            |claim: &&Value| text(claim, "trust").is_some_and(|word| trust.contains(&word));
        claims.iter().filter(trusted).cloned().collect()
    };
    let trusted: Vec<&Value> = versions
        .iter()
        .filter(|version| !claims_of(version, &["signed", "content-addressed"]).is_empty())
        .collect();
    let version = match trusted.as_slice() {
        [] => return,
        [one] => *one,
        many => {
            let why = format!("{} different contents are trusted", many.len());
            for field in [Field::NarHash, Field::Operators, Field::SignedBy] {
                subject.state(field, Fact::Unusable(why.clone()));
            }
            return;
        }
    };
    subject.state(Field::NarHash, nar_hash(version));
    subject.state(Field::Operators, version.get("attested_by").map_or(Fact::Missing, names));
    let keys: BTreeSet<String> = claims_of(version, &["signed"])
        .iter()
        .filter_map(|claim| claim.get("keys")?.as_array().cloned())
        .flatten()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    subject.state(Field::SignedBy, Fact::Known(subject::Value::Texts(keys.into_iter().collect())));
}

fn outputs(report: &Parts<'_>) -> Result<Things, Defect> {
    if report.facts.get("plan").is_some() {
        return Err(Defect::unfinished("/facts/plan", "it is a plan: nothing was built"));
    }
    let mut defects = Vec::new();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let derivations = list(report.facts, "derivations")?;
    let shared = shared_paths(derivations);
    for (at, derivation) in derivations.iter().enumerate() {
        let drv = text(derivation, "drv_path").unwrap_or_default();
        let role = text(derivation, "role").unwrap_or_default();
        let Some(outputs) = derivation.get("outputs").and_then(Value::as_object) else { continue };
        if outputs.is_empty() {
            if let Some((id, part)) = report.subjects.get_key_value(drv) {
                seen.insert(*id);
                let mut subject =
                    Subject::new(Kind::Output, drv, format!("/facts/derivations/{at}"));
                judged(&mut subject, *part);
                subject.text(Field::Drv, drv);
                subject.text(Field::Name, name_of(drv).trim_end_matches(".drv"));
                subject.state(Field::Role, stated(derivation, "role"));
                subject.state(Field::FixedOutput, stated(derivation, "fixed_output"));
                found.push(subject);
            } else if role != "input" {
                defects.push(absent(format!("/facts/derivations/{at}"), drv));
            }
        }
        for (name, output) in outputs {
            let pointer =
                format!("/facts/derivations/{at}/outputs/{}", crate::sbom::document::escape(name));
            let long = format!("{drv}!{name}");
            let path = text(output, "path").filter(|path| !shared.contains(path));
            let id = path.unwrap_or(&long);
            let Some((id, part)) = report.subjects.get_key_value(id) else {
                // What nobody asked about an input is no subject.
                if role != "input" {
                    defects.push(absent(pointer, id));
                }
                continue;
            };
            seen.insert(*id);
            let mut subject = Subject::new(Kind::Output, *id, pointer);
            judged(&mut subject, *part);
            built(&mut subject, derivation, name, output);
            found.push(subject);
        }
    }
    defects.extend(strays(report, &seen));
    defects.extend(miscounted(report, &found));
    Ok((found, defects))
}

/// Paths that more than one output has.
fn shared_paths(derivations: &[Value]) -> BTreeSet<&str> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    let outputs = derivations.iter().filter_map(|one| one.get("outputs")?.as_object());
    for path in outputs.flat_map(|outputs| outputs.values()).filter_map(|one| text(one, "path")) {
        if !seen.insert(path) {
            shared.insert(path);
        }
    }
    shared
}

fn built(subject: &mut Subject, derivation: &Value, name: &str, output: &Value) {
    let drv = text(derivation, "drv_path").unwrap_or_default();
    subject.text(Field::Drv, drv);
    subject.text(Field::Output, name);
    let named = text(output, "path").unwrap_or(drv);
    subject.text(Field::Name, name_of(named).trim_end_matches(".drv"));
    subject.state(Field::Path, stated(output, "path"));
    subject.state(Field::Role, stated(derivation, "role"));
    subject.state(Field::System, stated(derivation, "system"));
    subject.state(Field::FixedOutput, stated(derivation, "fixed_output"));
    subject.state(Field::NarHash, nar_hash(output));
    if let Some(stability) = output.get("stability") {
        subject.state(Field::Builds, stated(stability, "builds"));
        subject.state(Field::Stable, stated(stability, "stable"));
    }
    let claims = output.get("claims").and_then(Value::as_array);
    let keys: BTreeSet<String> = claims
        .into_iter()
        .flatten()
        .filter(|claim| {
            text(claim, "standing") == Some("trusted")
                && claim.get("equal").and_then(Value::as_bool) == Some(true)
        })
        .filter_map(|claim| claim.get("keys")?.as_array())
        .flatten()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    subject.state(Field::SignedBy, Fact::Known(subject::Value::Texts(keys.into_iter().collect())));
}

/// The counts of the report, held against what it lists.
fn miscounted(report: &Parts<'_>, found: &[Subject]) -> Option<Defect> {
    let rate = report.facts.get("rate");
    let number = |key: &str| rate.and_then(|rate| rate.get(key)).and_then(Value::as_u64);
    let (Some(judged), Some(unjudged), Some(fixed), Some(reproduced)) =
        (number("judged"), number("unjudged"), number("fixed"), number("reproduced"))
    else {
        return Some(Defect::malformed("/facts/rate", "the counts are missing"));
    };
    let outputs = found.iter().filter(|one| one.value(Field::Output).is_ok());
    let (mut count, mut same) = (0_u64, 0_u64);
    for output in outputs {
        count += 1;
        same += u64::from(output.as_text(Field::Status) == Ok("reproduced"));
    }
    let counted = judged.saturating_add(unjudged).saturating_add(fixed);
    (counted != count || same > reproduced).then(|| {
        let message = format!(
            "it counts {counted} outputs and {reproduced} reproduced ones; {count} and {same} are listed"
        );
        Defect::contradictory("/facts/rate", message)
    })
}
