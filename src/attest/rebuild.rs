//! What a rebuild found, as a predicate: target, inputs with their hashes, who
//! built and in which world, outputs, claims and verdicts
//! (`docs/schema/rebuild-predicate-v1.json`).
//!
//! Failures are attested like successes. The subjects of the statement are all
//! contents it says anything about: what was built, and what was claimed and
//! is something else.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical::CanonicalError;
use super::material::{Found, Material, MaterialError, Open, RunVerdict, Tool, overall, part};
use super::statement::{Digest, Statement, Subject};
use super::wire;
pub use super::wire::object::ObjectPath;
use crate::check::Verdict;
use crate::nix::hash::NarHash;
use crate::nix::path_info::PathInfo;

/// What tells this predicate from others.
pub const PREDICATE_TYPE: &str = "urn:nix-verify:rebuild:v1";

/// The command whose reports are attested.
const COMMAND: &str = "rebuild";

/// An output that a trusted claim confirms.
const REPRODUCED: &str = "reproduced";

/// An output that its derivation fixes the hash of.
const FIXED: &str = "fixed-by-hash";

/// An output that the report has no judgement over.
const NOT_ASKED: &str = "not-asked";

/// The standing of a claim under a good signature by a trusted key.
const TRUSTED: &str = "trusted";

/// The standing of a claim under a bad signature in a trusted name.
const FORGED: &str = "forged";

/// All standings that there are: a word that is none would decide nothing.
const STANDINGS: [&str; 4] = [TRUSTED, FORGED, "unsorted-references", "untrusted"];

/// The production of an output that is not there.
const MISSING: &str = "missing";

/// All productions that there are.
const PRODUCTIONS: [&str; 3] = ["built", "obtained", MISSING];

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rebuild {
    /// The tool that built.
    pub tool: Tool,
    /// The SHA-256 of the report that this was made from.
    pub report: Digest,
    /// When the run began, if the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// The verdict over the run.
    pub verdict: RunVerdict,
    /// The profile of what builders saw.
    pub world: String,
    /// Who built: owner of the build, shell, and what was otherwise than under
    /// Nix; as in the report.
    pub executor: Value,
    /// Whether the run could tell same from different, if that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// What was built or obtained.
    pub derivations: Vec<Derivation>,
    /// What it was built from.
    pub inputs: Vec<Input>,
    /// What failed.
    pub findings: Vec<Found>,
    /// What got no answer.
    pub inconclusive: Vec<Open>,
}

/// The trial of a run on two derivations of known answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// What the one that is always the same came out as.
    pub same: String,
    /// What the one that never is came out as.
    pub random: String,
    /// Whether both are as they should be.
    pub holds: bool,
}

/// A derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// Its path.
    pub drv_path: ObjectPath,
    /// The platform it is built on.
    pub system: String,
    /// Why it was built: as a target, for a closure, as an input.
    pub role: String,
    /// Whether it fixes the hash of its output.
    pub fixed_output: bool,
    /// How its outputs came to be: `built`, `obtained` or `missing`.
    pub production: String,
    /// Why they are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, Output>,
}

/// Why there are no outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason, from the closed list.
    pub reason: String,
    /// The particulars.
    pub detail: String,
}

/// An output with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The judgement; reports have it elsewhere.
    #[serde(with = "wire::verdict", default = "nobody_judged")]
    pub verdict: Verdict,
    /// The word for it.
    #[serde(default = "nobody_asked")]
    pub status: String,
    /// Its path, if that is known.
    pub path: Option<ObjectPath>,
    /// What was built.
    #[serde(flatten, with = "wire::whole")]
    pub contents: Option<Contents>,
    /// Its content address.
    pub ca: Option<String>,
    /// What came of building it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<Stability>,
    /// What others say it is.
    pub claims: Vec<Claim>,
}

const fn nobody_judged() -> Verdict {
    Verdict::Inconclusive
}

fn nobody_asked() -> String {
    NOT_ASKED.to_owned()
}

/// What a store object holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The hash of its NAR.
    #[serde(with = "wire::nar_hash")]
    pub nar_hash: NarHash,
    /// The size of its NAR.
    pub nar_size: u64,
    /// What it refers to.
    pub references: BTreeSet<ObjectPath>,
}

/// What came of building an output several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stability {
    /// Whether all builds gave the same.
    pub stable: bool,
    /// How many builds gave it.
    pub builds: u64,
    /// How many different results these are.
    pub results: u64,
}

/// What somebody says an output is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What kind of place it was found in.
    pub source: String,
    /// The place.
    pub location: String,
    /// How much it weighs.
    pub standing: String,
    /// The keys behind that.
    pub keys: Vec<String>,
    /// The path it is about.
    pub path: ObjectPath,
    /// What is claimed; a realisation claims the path alone.
    #[serde(flatten, with = "wire::whole")]
    pub contents: Option<Contents>,
    /// Whether it is what was built.
    pub equal: Option<bool>,
}

/// What something was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its path.
    pub path: ObjectPath,
    /// What it holds.
    #[serde(flatten)]
    pub contents: Contents,
    /// Where it came from, and what proved it.
    pub origin: Origin,
}

/// Where an input came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What proved it.
    pub kind: String,
    /// From where.
    pub from: String,
    /// The keys that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
}

/// The facts of a report.
#[derive(Deserialize)]
struct Facts {
    world: String,
    sandbox: Value,
    derivations: Vec<Derivation>,
    inputs: Vec<Input>,
    #[serde(default)]
    canary: Option<Canary>,
    #[serde(default)]
    plan: Option<Value>,
}

impl Rebuild {
    /// What a report of `verify rebuild` says.
    ///
    /// # Errors
    /// Another report, or one that contradicts itself.
    pub fn of(material: &Material) -> Result<Self, MaterialError> {
        if material.command != COMMAND {
            let found = material.command.clone();
            return Err(MaterialError::Command { found, expected: COMMAND });
        }
        let Facts { world, sandbox, mut derivations, inputs, canary, plan } =
            part(&material.facts, "facts of a rebuild")?;
        if plan.is_some() {
            let what = "it is a plan (--plan): nothing was built that could be attested";
            return Err(MaterialError::Nothing(what.to_owned()));
        }
        let mut judged = BTreeMap::new();
        for subject in &material.subjects {
            if judged.insert(subject.id.as_str(), subject).is_some() {
                let twice = format!("it judges '{}' twice", subject.id);
                return Err(MaterialError::Contradiction(twice));
            }
        }
        for derivation in &mut derivations {
            let drv_path = derivation.drv_path.to_string();
            for (name, output) in &mut derivation.outputs {
                let by_drv = judged.get(format!("{drv_path}!{name}").as_str()).copied();
                let by_path = output.path.as_ref().map(ToString::to_string);
                let by_path = by_path.and_then(|path| judged.get(path.as_str()).copied());
                if by_drv.is_some() && by_path.is_some() {
                    let both = format!("it judges '{drv_path}!{name}' under two names");
                    return Err(MaterialError::Contradiction(both));
                }
                let answer = by_drv.or(by_path);
                output.verdict = answer.map_or_else(nobody_judged, |one| one.verdict);
                output.status = answer.map_or_else(nobody_asked, |one| one.status.clone());
            }
        }
        let rebuild = Self {
            tool: material.tool.clone(),
            report: material.digest,
            started: material.started.clone(),
            verdict: material.verdict,
            world,
            executor: sandbox,
            canary,
            derivations,
            inputs,
            findings: material.findings.clone(),
            inconclusive: material.open.clone(),
        };
        rebuild.check().map_err(MaterialError::Contradiction)?;
        Ok(rebuild)
    }

    /// Reads the predicate of a statement, and holds it against itself and
    /// against what the statement is about.
    ///
    /// # Errors
    /// What is missing, or what contradicts what.
    pub fn from_statement(statement: &Statement) -> Result<Self, MaterialError> {
        let rebuild: Self = part(&statement.predicate, "predicate")?;
        rebuild.check().map_err(MaterialError::Contradiction)?;
        if rebuild.subjects() != statement.subjects {
            let what = "its subjects are not the contents that its predicate speaks of";
            return Err(MaterialError::Contradiction(what.to_owned()));
        }
        Ok(rebuild)
    }

    /// The statement to sign.
    ///
    /// # Errors
    /// A rebuild that knows of no content at all.
    pub fn statement(&self) -> Result<Statement, MaterialError> {
        let subjects = self.subjects();
        if subjects.is_empty() {
            let what = "it knows of no content at all, built or claimed: there is nothing that a statement could be about";
            return Err(MaterialError::Nothing(what.to_owned()));
        }
        let predicate = serde_json::to_value(self).map_err(CanonicalError::Value)?;
        Ok(Statement { subjects, predicate_type: PREDICATE_TYPE.to_owned(), predicate })
    }

    /// All contents that it says anything about.
    #[must_use]
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let mut subjects = BTreeSet::new();
        for output in self.derivations.iter().flat_map(|one| one.outputs.values()) {
            let built = output.path.as_ref().zip(output.contents.as_ref());
            let claimed = output
                .claims
                .iter()
                .filter_map(|claim| Some((&claim.path, claim.contents.as_ref()?)));
            for (path, contents) in built.into_iter().chain(claimed) {
                let sha256 = Digest::from(contents.nar_hash);
                subjects.insert(Subject { name: path.to_string(), sha256 });
            }
        }
        subjects
    }

    /// The outputs that were built here and that a trusted claim confirms, as
    /// Nix signs them.
    pub fn reproduced(&self) -> impl Iterator<Item = Reproduced<'_>> {
        self.derivations.iter().flat_map(|derivation| {
            derivation.outputs.values().filter_map(move |output| {
                let right = output.verdict == Verdict::Pass && output.status == REPRODUCED;
                let path = output.path.as_ref().filter(|_| right)?;
                let contents = output.contents.as_ref()?;
                let same_store = |one: &ObjectPath| one.dir == path.dir;
                if !contents.references.iter().all(same_store) {
                    return None;
                }
                let info = PathInfo {
                    path: path.path.clone(),
                    nar_hash: contents.nar_hash,
                    nar_size: contents.nar_size,
                    references: contents.references.iter().map(|one| one.path.clone()).collect(),
                };
                Some(Reproduced { path, info, deriver: &derivation.drv_path })
            })
        })
    }

    /// That no pass stands here that the rest does not bear out.
    fn check(&self) -> Result<(), String> {
        for derivation in &self.derivations {
            if !PRODUCTIONS.contains(&derivation.production.as_str()) {
                return Err(format!(
                    "{}: '{}' is no way in which outputs come to be",
                    derivation.drv_path, derivation.production
                ));
            }
            for (name, output) in &derivation.outputs {
                let id = format!("{}!{name}", derivation.drv_path);
                output.check_claims().map_err(|why| format!("{id}: {why}"))?;
                if output.verdict == Verdict::Pass {
                    self.borne_out(derivation, output).map_err(|why| {
                        format!("{id} is said to pass as '{}', but {why}", output.status)
                    })?;
                }
            }
        }
        let open = !self.inconclusive.is_empty();
        let amounts = overall(&self.findings, open, self.verdict.fail_on);
        if self.verdict.result == Verdict::Pass && amounts != Verdict::Pass {
            return Err(format!("its verdict is pass, and what it found amounts to {amounts}"));
        }
        Ok(())
    }

    /// Whether what stands beside a pass is what makes one.
    fn borne_out(&self, derivation: &Derivation, output: &Output) -> Result<(), String> {
        let say = |why: &str| Err(why.to_owned());
        if self.canary.as_ref().is_some_and(|canary| !canary.holds) {
            return say("the run could not tell same from different");
        }
        if output.path.is_none() || output.contents.is_none() || derivation.production == MISSING {
            return say("nothing was built");
        }
        if derivation.failure.is_some() {
            return say("its build failed");
        }
        if output
            .stability
            .as_ref()
            .is_some_and(|stability| !stability.stable || stability.results != 1)
        {
            return say("its builds are not all the same");
        }
        let standing =
            |word: &'static str| output.claims.iter().filter(move |claim| claim.standing == word);
        if standing(FORGED).next().is_some() {
            return say("a claim about it is forged");
        }
        if standing(TRUSTED).any(|claim| !output.equals(claim)) {
            return say("a trusted claim is something else");
        }
        match output.status.as_str() {
            FIXED if derivation.fixed_output => Ok(()),
            FIXED => say("its derivation fixes no hash"),
            // A path that follows from its content says nothing of where it
            // came from: there only a realisation confirms.
            REPRODUCED if derivation.fixed_output => say("its derivation fixes its hash"),
            REPRODUCED => {
                let floating = output.ca.is_some();
                let confirms = |claim: &Claim| !floating || claim.contents.is_none();
                if standing(TRUSTED).any(confirms) {
                    Ok(())
                } else {
                    say("no trusted claim confirms it")
                }
            }
            _ => say("that is no status of an output that passes"),
        }
    }
}

/// An output to sign for Nix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reproduced<'a> {
    /// Its whole path.
    pub path: &'a ObjectPath,
    /// What is signed.
    pub info: PathInfo,
    /// What it was built by.
    pub deriver: &'a ObjectPath,
}

impl Output {
    /// Whether a claim says what was built.
    #[must_use]
    pub fn equals(&self, claim: &Claim) -> bool {
        let same = match (&claim.contents, &self.contents) {
            (Some(claimed), Some(ours)) => claimed == ours,
            (None, _) => true,
            (Some(_), None) => false,
        };
        same && self.contents.is_some() && self.path.as_ref() == Some(&claim.path)
    }

    /// That claims are equal or not as it is said of them.
    fn check_claims(&self) -> Result<(), String> {
        let known = self.path.is_some() && self.contents.is_some();
        for claim in &self.claims {
            if !STANDINGS.contains(&claim.standing.as_str()) {
                return Err(format!("'{}' is no standing of a claim", claim.standing));
            }
            let right = known.then(|| self.equals(claim));
            if claim.equal != right {
                return Err(format!(
                    "the claim of {} is said to be {}, which it is not",
                    claim.location,
                    match claim.equal {
                        Some(true) => "equal",
                        Some(false) => "something else",
                        None => "not comparable",
                    }
                ));
            }
        }
        Ok(())
    }
}
