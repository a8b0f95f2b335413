//! What reports of this tool prove about components.
//!
//! A report is bound to a component by its store path and the hash of its NAR,
//! never by its name: what was reproduced must be what is in the bill.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::bill::{Component, Proof};
use crate::nix::hash::{NarHash, base16};

/// What reports call themselves.
const FORMAT: &str = "nix-verify-report";

/// The version that is read.
const VERSION: u64 = 1;

/// Why a report cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// No JSON.
    #[error("it is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Not a report, or one that lacks something.
    #[error(
        "'{0}' is not what a report has there (expected a report of verify rebuild, cache or lock, written with --format json)"
    )]
    Field(String),
    /// A report of another command.
    #[error(
        "it is a report of 'verify {0}' (expected one of rebuild, cache or lock: no other proves anything about components)"
    )]
    Command(String),
}

/// What reports prove.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// By store path, then by content.
    by_object: BTreeMap<String, BTreeMap<NarHash, Vec<Proof>>>,
    /// What locks pin has no store path.
    by_content: BTreeMap<NarHash, Vec<Proof>>,
    /// The newest date that a lock pins, RFC 3339.
    newest: Option<String>,
}

impl Proofs {
    /// Adds what a report says.
    ///
    /// # Errors
    /// Anything but a report of `rebuild`, `cache` or `lock`.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), ProofError> {
        let report: Value = serde_json::from_slice(bytes)?;
        if text(&report, "format")? != FORMAT {
            return Err(ProofError::Field("format".to_owned()));
        }
        if report.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err(ProofError::Field("version".to_owned()));
        }
        let reader = Reader {
            command: text(&report, "command")?,
            verdicts: verdicts(&report)?,
            facts: report.get("facts").ok_or_else(|| ProofError::Field("facts".to_owned()))?,
            digest: base16(&Sha256::digest(bytes)),
        };
        match reader.command {
            "rebuild" => reader.rebuild(self),
            "cache" => reader.cache(self),
            "lock" => reader.lock(self),
            other => Err(ProofError::Command(super::name::printable(other.as_bytes()))),
        }
    }

    fn add_to(&mut self, path: &str, hash: NarHash, proof: Proof) {
        let at = self.by_object.entry(path.to_owned()).or_default();
        at.entry(hash).or_default().push(proof);
    }

    /// What is proven about a component.
    #[must_use]
    pub fn of(&self, component: &Component) -> Vec<Proof> {
        let Some((hash, _)) = component.nar else { return Vec::new() };
        let paths = component.store_path.iter();
        let by_object = paths.filter_map(|path| self.by_object.get(path)?.get(&hash));
        let mut proofs: Vec<Proof> =
            by_object.chain(self.by_content.get(&hash)).flatten().cloned().collect();
        proofs.sort();
        proofs.dedup();
        proofs
    }

    /// The one content of a store path that reports call good, if there is just
    /// one.
    #[must_use]
    pub fn only_good(&self, path: &str) -> Option<NarHash> {
        let at = self.by_object.get(path)?.iter();
        let mut good = at.filter(|(_, proofs)| proofs.iter().all(|proof| proof.holds));
        let (hash, _) = good.next()?;
        good.next().is_none().then_some(*hash)
    }

    /// What reports say about a store path, whatever its content.
    pub fn hashes_of(&self, path: &str) -> impl Iterator<Item = NarHash> {
        self.by_object.get(path).into_iter().flat_map(|at| at.keys()).copied()
    }

    /// The newest date that a lock pins.
    #[must_use]
    pub fn newest_date(&self) -> Option<&str> {
        self.newest.as_deref()
    }

    /// Whether no report says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_object.is_empty() && self.by_content.is_empty()
    }
}

struct Reader<'a> {
    command: &'a str,
    /// Of each subject, its word and whether it passes.
    verdicts: BTreeMap<&'a str, (&'a str, bool)>,
    facts: &'a Value,
    digest: String,
}

impl Reader<'_> {
    fn proof(&self, status: &str, holds: bool) -> Proof {
        Proof {
            command: self.command.to_owned(),
            status: super::name::printable(status.as_bytes()),
            holds,
            report: self.digest.clone(),
            facts: BTreeMap::new(),
        }
    }

    fn rebuild(&self, proofs: &mut Proofs) -> Result<(), ProofError> {
        for derivation in list(self.facts, "derivations")? {
            let outputs = derivation.get("outputs").and_then(Value::as_object);
            let outputs = outputs.ok_or_else(|| ProofError::Field("outputs".to_owned()))?;
            for output in outputs.values() {
                let (Some(path), Some(hash)) = (output.get("path"), output.get("nar_hash")) else {
                    continue;
                };
                let (Some(path), Some(hash)) = (path.as_str(), hash.as_str()) else { continue };
                let Some((status, holds)) = self.verdicts.get(path) else { continue };
                let ours = nar_hash(hash)?;
                let mut proof = self.proof(status, *holds);
                let world = text(self.facts, "world")?;
                insert(&mut proof, "world", world);
                // What a claim is about and differs from ours has failed too,
                // but what was reproduced is ours alone: somebody untrusted
                // may claim another content of the same path.
                let mut about = BTreeSet::from([ours]);
                for claim in list(output, "claims")? {
                    let trusted = text(claim, "standing")? == "trusted";
                    let equal = claim.get("equal") == Some(&Value::Bool(true));
                    if let Some(hash) = claim.get("nar_hash").filter(|_| !holds) {
                        let hash = hash.as_str().unwrap_or_default();
                        if text(claim, "path")? == path {
                            about.insert(nar_hash(hash)?);
                        }
                    }
                    for key in list(claim, "keys")?.iter().filter_map(Value::as_str) {
                        if trusted && equal {
                            insert(&mut proof, "key", key);
                        }
                    }
                }
                for hash in about {
                    proofs.add_to(path, hash, proof.clone());
                }
            }
        }
        Ok(())
    }

    fn cache(&self, proofs: &mut Proofs) -> Result<(), ProofError> {
        for one in list(self.facts, "paths")? {
            let path = text(one, "path")?;
            let (status, verdict) = (text(one, "status")?, text(one, "verdict")?);
            for version in list(one, "versions")? {
                let hash = nar_hash(text(version, "nar_hash")?)?;
                let mut keys = BTreeSet::new();
                let mut vouched = false;
                for claim in list(version, "claims")? {
                    if matches!(text(claim, "trust")?, "signed" | "content-addressed") {
                        vouched = true;
                        keys.extend(list(claim, "keys")?.iter().filter_map(Value::as_str));
                    }
                }
                // A path passes by the version that somebody trusted vouches
                // for; another one, claimed beside it, does not.
                let mut proof = match verdict {
                    "pass" if !vouched => self.proof("untrusted", false),
                    verdict => self.proof(status, verdict == "pass"),
                };
                for key in keys {
                    insert(&mut proof, "key", key);
                }
                let operators = version.get("attested_by").and_then(Value::as_array);
                for operator in operators.into_iter().flatten().filter_map(Value::as_str) {
                    insert(&mut proof, "operator", operator);
                }
                proofs.add_to(path, hash, proof);
            }
        }
        Ok(())
    }

    fn lock(&self, proofs: &mut Proofs) -> Result<(), ProofError> {
        for input in list(self.facts, "inputs")? {
            let name = text(input, "input")?;
            if let Some(date) = input.get("last_modified").and_then(Value::as_str)
                && proofs.newest.as_deref().is_none_or(|newest| newest < date)
            {
                proofs.newest = Some(date.to_owned());
            }
            let Some(hash) = input.get("nar_hash").and_then(Value::as_str) else { continue };
            let Ok(hash) = NarHash::parse(hash) else { continue };
            let (status, holds) = self.verdicts.get(name).copied().unwrap_or(("pinned", false));
            let mut proof = self.proof(status, holds);
            insert(&mut proof, "input", name);
            insert(&mut proof, "locked", text(input, "locked")?);
            if let Some(rev) = input.get("rev").and_then(Value::as_str) {
                insert(&mut proof, "rev", rev);
            }
            proofs.by_content.entry(hash).or_default().push(proof);
        }
        Ok(())
    }
}

fn insert(proof: &mut Proof, name: &str, value: &str) {
    let value = super::name::printable(value.as_bytes());
    proof.facts.entry(name.to_owned()).or_default().insert(value);
}

fn verdicts(report: &Value) -> Result<BTreeMap<&str, (&str, bool)>, ProofError> {
    let mut found = BTreeMap::new();
    for subject in list(report, "subjects")? {
        let holds = match text(subject, "verdict")? {
            "pass" => true,
            "fail" | "inconclusive" => false,
            _ => return Err(ProofError::Field("subjects.verdict".to_owned())),
        };
        let id = text(subject, "id")?;
        if found.insert(id, (text(subject, "status")?, holds)).is_some() {
            return Err(ProofError::Field(format!("subjects: '{id}' twice")));
        }
    }
    Ok(found)
}

fn nar_hash(text: &str) -> Result<NarHash, ProofError> {
    NarHash::parse(text).map_err(|_| ProofError::Field("nar_hash".to_owned()))
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, ProofError> {
    value.get(field).and_then(Value::as_str).ok_or_else(|| ProofError::Field(field.to_owned()))
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a [Value], ProofError> {
    let items = value.get(field).and_then(Value::as_array).map(Vec::as_slice);
    items.ok_or_else(|| ProofError::Field(field.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "sha256:06arpldzpalbsxhz6rpsvi1x3y92gl23hxls2p7x24jf3md047ka";
    const THEIRS: &str = "sha256:12nzayj81hymzl4d34h6q6f0y4kyyhzh4ycwsf7v050abvfb2ij3";

    fn rebuild(status: &str, verdict: &str) -> Value {
        json!({
            "format": FORMAT, "version": 1, "command": "rebuild",
            "subjects": [{ "id": "/nix/store/a", "verdict": verdict, "status": status }],
            "facts": { "world": "nix-2.35", "derivations": [{ "outputs": { "out": {
                "path": "/nix/store/a", "nar_hash": OURS,
                "claims": [
                    { "path": "/nix/store/a", "nar_hash": OURS, "keys": ["k-1"],
                      "standing": "trusted", "equal": true },
                    { "path": "/nix/store/a", "nar_hash": OURS, "keys": ["k-2"],
                      "standing": "forged", "equal": true },
                    { "path": "/nix/store/a", "nar_hash": THEIRS, "keys": ["k-3"],
                      "standing": "untrusted", "equal": false },
                    { "path": "/nix/store/b", "nar_hash": THEIRS, "keys": ["k-1"],
                      "standing": "trusted", "equal": false },
                ]
            } } }] }
        })
    }

    fn statuses(proofs: &Proofs, path: &str, hash: &str) -> Vec<(String, bool)> {
        let hash = NarHash::parse(hash).unwrap();
        let found = proofs.by_object.get(path).and_then(|at| at.get(&hash)).cloned();
        let found = found.unwrap_or_default();
        found.into_iter().map(|proof| (proof.status, proof.holds)).collect()
    }

    #[test]
    fn a_verdict_is_bound_to_path_and_content() {
        let mut proofs = Proofs::default();
        proofs.add(rebuild("differs", "fail").to_string().as_bytes()).unwrap();
        let differs = vec![("differs".to_owned(), false)];
        assert_eq!(statuses(&proofs, "/nix/store/a", OURS), differs);
        assert_eq!(statuses(&proofs, "/nix/store/a", THEIRS), differs);
        assert_eq!(statuses(&proofs, "/nix/store/b", OURS), []);
        let other = "sha256:1jxf8brg4ll9mbb9sprjabnv9a8gzidg95v46783v516jglpcrrj";
        assert_eq!(statuses(&proofs, "/nix/store/a", other), []);
    }

    #[test]
    fn what_was_reproduced_is_ours_alone() {
        let mut proofs = Proofs::default();
        proofs.add(rebuild("reproduced", "pass").to_string().as_bytes()).unwrap();
        let reproduced = vec![("reproduced".to_owned(), true)];
        assert_eq!(statuses(&proofs, "/nix/store/a", OURS), reproduced);
        assert_eq!(statuses(&proofs, "/nix/store/a", THEIRS), []);
        // Only trusted signatures count.
        let all = format!("{proofs:?}");
        assert!(all.contains("k-1") && !all.contains("k-2") && !all.contains("k-3"), "{all}");
    }

    #[test]
    fn a_path_passes_by_the_version_that_is_vouched_for() {
        let version = |hash: &str, trust: &str| json!({ "nar_hash": hash, "claims": [{ "trust": trust, "keys": ["k-1"] }] });
        let report = json!({
            "format": FORMAT, "version": 1, "command": "cache", "subjects": [],
            "facts": { "paths": [{
                "path": "/nix/store/a", "status": "verified", "verdict": "pass",
                "versions": [version(OURS, "signed"), version(THEIRS, "untrusted")],
            }] }
        });
        let mut proofs = Proofs::default();
        proofs.add(report.to_string().as_bytes()).unwrap();
        let of = |hash| statuses(&proofs, "/nix/store/a", hash);
        assert_eq!(of(OURS), [("verified".to_owned(), true)]);
        assert_eq!(of(THEIRS), [("untrusted".to_owned(), false)]);
    }

    #[test]
    fn what_is_no_report_proves_nothing() {
        let good = rebuild("reproduced", "pass");
        for (pointer, value) in [
            ("/format", json!("other")),
            ("/version", json!(2)),
            ("/command", json!("clean")),
            ("/subjects", Value::Null),
            ("/subjects/0/verdict", json!("passed")),
            ("/facts/derivations", json!({})),
            ("/facts/derivations/0/outputs/out/nar_hash", json!("sha256:xyz")),
            ("/facts/derivations/0/outputs/out/claims", json!(3)),
        ] {
            let mut report = good.clone();
            *report.pointer_mut(pointer).unwrap() = value;
            assert!(Proofs::default().add(report.to_string().as_bytes()).is_err(), "{pointer}");
        }
        assert!(Proofs::default().add(good.to_string().as_bytes()).is_ok());
        assert!(Proofs::default().add(b"{").is_err());
    }
}
