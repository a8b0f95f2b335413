//! The outcome of a policy run as a SLSA Verification Summary, v1
//! (<https://slsa.dev/spec/v1.0/verification_summary>).
//!
//! It names the policies and everything that was judged by digest. SLSA knows
//! two results: what is inconclusive is `FAILED` there, and says so in a field
//! of ours. No SLSA level is ever claimed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::canonical::CanonicalError;
use super::material::{Material, MaterialError, part};
use super::rebuild::ObjectPath;
use super::statement::{Digest, Statement, Subject};
use super::wire;
use crate::check::Verdict;
use crate::nix::hash::NarHash;
use crate::nix::signature::KeyName;

/// What tells this predicate from others.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";

/// The commands that hold things against policies.
const COMMANDS: [&str; 2] = ["policy", "gate"];

/// What they are called where one was expected.
const COMMANDS_SHOWN: &str = "policy check', 'gate";

/// What verifiers of ours are called, before the name of their key.
const VERIFIER: &str = "urn:nix-verify:key:";

/// What several policies are called together: their digest is that of the
/// lines that `sha256sum` writes about them, sorted.
const POLICIES: &str = "urn:nix-verify:policies:v1";

/// What several materials are called together, before the digest of such lines.
const MATERIALS: &str = "urn:nix-verify:materials:v1:";

/// The version of SLSA whose words are used.
const SLSA: &str = "1.0";

/// The result where everything holds.
const PASSED: &str = "PASSED";

/// Any other result; also the one level of what failed.
const FAILED: &str = "FAILED";

/// The level of what holds a policy and was not held against SLSA's tracks.
const UNEVALUATED: &str = "SLSA_BUILD_LEVEL_UNEVALUATED";

/// A verification summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The judgement.
    pub verdict: Verdict,
    /// What it is about.
    pub subjects: BTreeSet<Subject>,
    predicate: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    verifier: Verifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_verified: Option<String>,
    resource_uri: String,
    policy: Resource,
    #[serde(default)]
    input_attestations: Vec<Resource>,
    verification_result: String,
    verified_levels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slsa_version: Option<String>,
    /// Ours: the verdict in our own words.
    #[serde(rename = "urn:nix-verify:verdict", default, skip_serializing_if = "Option::is_none")]
    verdict: Option<Word>,
    /// Ours: the report it was made from.
    #[serde(rename = "urn:nix-verify:report", default, skip_serializing_if = "Option::is_none")]
    report: Option<Resource>,
    /// Ours: each of several policies.
    #[serde(rename = "urn:nix-verify:policies", default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Resource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Word(#[serde(with = "wire::verdict")] Verdict);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verifier {
    id: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    version: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Resource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    digest: Digests,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Digests {
    sha256: Digest,
}

/// What both commands say in their facts.
#[derive(Deserialize)]
struct Facts {
    policies: Vec<File>,
    materials: Vec<File>,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    decision: Option<Decision>,
}

#[derive(Deserialize)]
struct Decision {
    activate: bool,
}

#[derive(Deserialize)]
struct File {
    file: String,
    sha256: Digest,
}

#[derive(Deserialize)]
struct Target {
    path: ObjectPath,
    #[serde(with = "wire::nar_hash")]
    nar_hash: NarHash,
}

impl File {
    fn resource(&self) -> Resource {
        Resource { uri: Some(self.file.clone()), digest: Digests { sha256: self.sha256 } }
    }
}

/// The digest of several files: of the lines that `sha256sum` writes.
fn together(files: &[File]) -> Digest {
    let lines: BTreeSet<String> =
        files.iter().map(|one| format!("{}  {}\n", one.sha256, one.file)).collect();
    Digest::of(lines.into_iter().collect::<String>().as_bytes())
}

impl Summary {
    /// What a policy run came to, in the name of `key`.
    ///
    /// # Errors
    /// Another report, or one of a run that no policy had a part in.
    pub fn of(material: &Material, key: &KeyName) -> Result<Self, MaterialError> {
        if !COMMANDS.contains(&material.command.as_str()) {
            let found = material.command.clone();
            return Err(MaterialError::Command { found, expected: COMMANDS_SHOWN });
        }
        let Facts { policies, materials, target, decision } =
            part(&material.facts, "facts of a policy run")?;
        let nothing = |what: &str| Err(MaterialError::Nothing(what.to_owned()));
        let policy = match policies.as_slice() {
            [] => {
                return nothing(
                    "no policy had a part in it (--policy): there is nothing to sum up",
                );
            }
            [one] => one.resource(),
            several => Resource {
                uri: Some(POLICIES.to_owned()),
                digest: Digests { sha256: together(several) },
            },
        };
        let subjects: BTreeSet<Subject> = match &target {
            Some(target) => BTreeSet::from([Subject {
                name: target.path.to_string(),
                sha256: Digest::from(target.nar_hash),
            }]),
            None => materials
                .iter()
                .map(|one| Subject { name: one.file.clone(), sha256: one.sha256 })
                .collect(),
        };
        let resource_uri = match (&target, materials.as_slice()) {
            (Some(target), _) => format!("file://{}", target.path),
            (None, []) => return nothing("it judged nothing that a statement could be about"),
            (None, [one]) => format!("urn:nix-verify:sha256:{}", one.sha256),
            (None, several) => format!("{MATERIALS}{}", together(several)),
        };
        let passed = material.verdict.result == Verdict::Pass;
        if decision.is_some_and(|decision| decision.activate != passed) {
            let what = "its decision is not what its verdict amounts to";
            return Err(MaterialError::Contradiction(what.to_owned()));
        }
        let predicate = Predicate {
            verifier: Verifier {
                id: format!("{VERIFIER}{key}"),
                version: BTreeMap::from([(
                    material.tool.name.clone(),
                    material.tool.version.clone(),
                )]),
            },
            time_verified: material.started.clone(),
            resource_uri,
            policy,
            input_attestations: materials.iter().map(File::resource).collect(),
            verification_result: if passed { PASSED } else { FAILED }.to_owned(),
            verified_levels: vec![if passed { UNEVALUATED } else { FAILED }.to_owned()],
            slsa_version: Some(SLSA.to_owned()),
            verdict: Some(Word(material.verdict.result)),
            report: Some(Resource { uri: None, digest: Digests { sha256: material.digest } }),
            policies: if policies.len() > 1 {
                policies.iter().map(File::resource).collect()
            } else {
                Vec::new()
            },
        };
        Ok(Self { verdict: material.verdict.result, subjects, predicate })
    }

    /// Reads the predicate of a statement, of ours or of anybody who writes
    /// such summaries.
    ///
    /// # Errors
    /// What is missing, or what contradicts what.
    pub fn from_statement(statement: &Statement) -> Result<Self, MaterialError> {
        let predicate: Predicate = part(&statement.predicate, "predicate")?;
        let contradiction = |what: &str| Err(MaterialError::Contradiction(what.to_owned()));
        let failed = predicate.verified_levels.iter().any(|level| level == FAILED);
        let ours = predicate.verdict.map(|Word(verdict)| verdict);
        let verdict = match (predicate.verification_result.as_str(), ours) {
            (PASSED, None | Some(Verdict::Pass)) if !failed => Verdict::Pass,
            (FAILED, None | Some(Verdict::Fail)) => Verdict::Fail,
            (FAILED, Some(Verdict::Inconclusive)) => Verdict::Inconclusive,
            (PASSED | FAILED, _) => {
                return contradiction("its result, its levels and its verdict do not go together");
            }
            _ => return contradiction("its result is neither PASSED nor FAILED"),
        };
        Ok(Self { verdict, subjects: statement.subjects.clone(), predicate })
    }

    /// The word for the judgement.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Pass => "passed",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Fail => "failed",
        }
    }

    /// The statement to sign.
    ///
    /// # Errors
    /// None in practice: every key is text.
    pub fn statement(&self) -> Result<Statement, MaterialError> {
        let predicate = serde_json::to_value(&self.predicate).map_err(CanonicalError::Value)?;
        let predicate_type = PREDICATE_TYPE.to_owned();
        Ok(Statement { subjects: self.subjects.clone(), predicate_type, predicate })
    }
}
