//! What is known when the last build has ended, put together for judging.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::super::sources::Sources;
use super::builds::{Done, reason};
use super::closure::nearest;
use super::gathered::Gathered;
use super::own_chain::Again;
use super::shelf::contents;
use crate::build::limits::Mechanism;
use crate::build::rounds::{Round, RoundEnd};
use crate::build::{BuiltOutput, Limits, RootKind};
use crate::check::Reason;
use crate::check::rebuild::facts::{
    ChainBuild, DerivationFacts, InputFacts, Origin, OutputFacts, Production, Rebuild, Role,
    SandboxFacts,
};
use crate::check::rebuild::rounds::{RoundFacts, Unlike};
use crate::check::rebuild::{Basis, Claim, Contents, Contrast, Sides};
use crate::gather::cache::answers::Answers;
use crate::gather::cache::claims::{self, Ids};
use crate::gather::derivations::graph::DerivationGraph;
use crate::gather::difference::differing::{Differing, LaterRound};
use crate::gather::inputs::Object;
use crate::nix::build_trace::BuildTraceKey;
use crate::nix::derivation::{Derivation, Kind};
use crate::nix::realisation::DrvOutput;
use crate::nix::store_path::StorePath;
use crate::report::Section;

/// Kept files that are shown to people; the JSON names all.
const SHOWN_KEPT: usize = 20;

/// Everything that is known when the last build has ended.
pub struct Outcome<'a> {
    /// The derivations.
    pub graph: &'a DerivationGraph,
    /// The plan, and what was had without building.
    pub gathered: &'a Gathered,
    /// What came of each build.
    pub done: &'a BTreeMap<StorePath, Done>,
    /// Everything that was at hand in the end.
    pub objects: &'a BTreeMap<StorePath, Object>,
    /// What came of building again on our own inputs.
    pub again: &'a BTreeMap<StorePath, Again>,
    /// Explains what differs.
    pub differing: &'a Differing<'a>,
}

impl Outcome<'_> {
    /// Puts it all together, asking for claims about every output.
    #[must_use]
    pub fn facts(
        &self,
        targets: &BTreeSet<StorePath>,
        wanted: &BTreeSet<StorePath>,
        answers: &Answers<'_>,
        sources: &Sources,
    ) -> Rebuild {
        let mut rebuild =
            Rebuild { findings: self.gathered.findings.clone(), ..Rebuild::default() };
        let subjects: BTreeSet<&StorePath> = wanted.iter().chain(self.done.keys()).collect();
        let role = |drv_path| match (wanted.contains(drv_path), targets.contains(drv_path)) {
            (true, true) => Role::Target,
            (true, false) => Role::Member,
            (false, _) => Role::Input,
        };
        let collected: Vec<(DerivationFacts, Vec<claims::Claims>)> = subjects
            .par_iter()
            .map(|drv_path| {
                let (mut facts, claims) = self.derivation(drv_path, answers, sources);
                facts.role = role(drv_path);
                facts.reads = nearest(self.graph, drv_path, &subjects);
                (facts, claims)
            })
            .collect();
        for (facts, claims) in collected {
            rebuild.derivations.push(facts);
            for claims in claims {
                rebuild.findings.extend(claims.findings);
                rebuild.unanswered.extend(claims.unanswered);
            }
        }
        rebuild.derivations.sort_by(|a, b| (a.role, &a.drv_path).cmp(&(b.role, &b.drv_path)));
        rebuild.inputs = self.inputs();
        rebuild.findings.extend(self.done.values().filter_map(|done| done.finding.clone()));
        rebuild.findings.extend(answers.findings());
        let (unanswered, remarks) = answers.silences();
        rebuild.unanswered.extend(unanswered);
        rebuild.remarks.extend(remarks);
        rebuild.remarks.sort();
        rebuild.remarks.dedup();
        rebuild.sandbox = self.sandbox();
        rebuild
    }

    fn derivation(
        &self,
        drv_path: &StorePath,
        answers: &Answers<'_>,
        sources: &Sources,
    ) -> (DerivationFacts, Vec<claims::Claims>) {
        let derivation = self.graph.get(drv_path);
        let checked = self.graph.usable(drv_path).map(|(_, checked)| checked);
        let done = self.done.get(drv_path);
        let floating = derivation.is_some_and(|derivation| derivation.kind() == Kind::FloatingCa);
        let mut production = done.map(|done| done.production.clone());
        let mut outputs = Vec::new();
        let mut chain = BTreeMap::new();
        let mut collected = Vec::new();
        for name in derivation.into_iter().flat_map(|derivation| derivation.outputs.keys()) {
            let planned = checked.and_then(|checked| checked.outputs.get(name).cloned().flatten());
            let built = done.and_then(|done| done.outputs.get(name));
            let path = built.map(|built| built.path.clone()).or(planned);
            let mut ours = built.map(contents);
            let mut ca = built.and_then(|built| built.ca.as_ref().map(ToString::to_string));
            if production.is_none() || matches!(production, Some(Production::Obtained { .. })) {
                // A fixed output, got by its hash.
                let (got, known, address) = self.obtained(path.as_ref());
                production = Some(got);
                ours = known;
                ca = address;
            }
            let realisation = checked
                .filter(|_| floating)
                .and_then(|checked| DrvOutput::new(checked.modulo?, name).ok());
            let build_trace = done
                .and_then(|done| done.resolved.clone())
                .and_then(|resolved| BuildTraceKey::new(resolved, name).ok());
            let mut claims = claims::collect(
                path.as_ref(),
                &Ids { realisation, build_trace },
                answers,
                &sources.keys,
                sources.local.as_deref(),
            );
            let mut about = std::mem::take(&mut claims.claims);
            let mut unlike = None;
            if let (Some(done), Some(built), Some(ours)) = (done, built, &ours) {
                if let Some((made, tree)) = self.chained(drv_path, name) {
                    chain.extend(self.chain_contrast(name, &about, made, tree, &mut claims));
                }
                let open = self.differing.explain(&mut about, ours, &built.host_path);
                claims.unanswered.extend(open);
                unlike = self.unlike(name, done, built, &mut claims);
            }
            outputs.push(OutputFacts { name: name.clone(), path, ours, ca, claims: about, unlike });
            collected.push(claims);
        }
        let facts = DerivationFacts {
            drv_path: drv_path.clone(),
            system: derivation
                .map(|derivation| String::from_utf8_lossy(&derivation.platform).into_owned())
                .unwrap_or_default(),
            role: Role::Target,
            basis: derivation.map(basis).unwrap_or_default(),
            reads: BTreeSet::new(),
            chain: self
                .again
                .get(drv_path)
                .map(|again| ChainBuild { contrasts: chain, ..again.facts.clone() }),
            built_on: done.map(|done| self.rebuilt(&done.inputs)).unwrap_or_default(),
            production: production.unwrap_or_else(|| Production::Missing {
                reason: Reason::DerivationMissing,
                detail: "its derivation could not be used".to_owned(),
                tail: Vec::new(),
            }),
            rounds: done
                .map(|done| done.rounds.iter().map(repetition).collect())
                .unwrap_or_default(),
            outputs,
        };
        (facts, collected)
    }

    /// An output that was built again on our own inputs and has to be looked at.
    fn chained(&self, drv_path: &StorePath, name: &str) -> Option<(&Contents, &Path)> {
        let again = self.again.get(drv_path)?;
        let (_, made) = again.facts.outputs.get(name)?;
        Some((made, again.trees.get(name)?))
    }

    /// The output called `name` of our own chain, `made`, beside what is claimed.
    fn chain_contrast(
        &self,
        name: &str,
        about: &[Claim],
        made: &Contents,
        tree: &Path,
        claims: &mut claims::Claims,
    ) -> Option<(String, Contrast)> {
        let mut about = about.to_vec();
        claims.unanswered.extend(self.differing.explain(&mut about, made, tree));
        let contrast = about.into_iter().flat_map(|claim| claim.contrast).next();
        contrast.map(|contrast| (name.to_owned(), contrast))
    }

    /// The output called `name` beside that of the first round that differs.
    fn unlike(
        &self,
        name: &str,
        done: &Done,
        first: &BuiltOutput,
        claims: &mut claims::Claims,
    ) -> Option<Unlike> {
        let later = done.rounds.iter().find_map(|round| {
            let Round { number, cores, .. } = *round;
            let tree = &round.unlike(name, first)?.host_path;
            Some(LaterRound { number, cores, tree })
        })?;
        let unanswered = &mut claims.unanswered;
        let contrast = self.differing.rounds(&first.path, &first.host_path, &later, unanswered);
        Some(Unlike { round: later.number, contrast })
    }

    /// Those of `inputs` that were built in this run.
    fn rebuilt(&self, inputs: &BTreeSet<StorePath>) -> BTreeSet<StorePath> {
        let rebuilt = |path: &&StorePath| {
            let object = self.objects.get(*path);
            object.is_some_and(|object| matches!(object.origin, Origin::Rebuilt { .. }))
        };
        inputs.iter().filter(rebuilt).cloned().collect()
    }

    /// A fixed output that was got instead of built.
    fn obtained(&self, path: Option<&StorePath>) -> (Production, Option<Contents>, Option<String>) {
        let object = path.and_then(|path| self.objects.get(path));
        match object {
            Some(object) => {
                let ca = object.input.ca.as_ref().map(ToString::to_string);
                (
                    Production::Obtained { origin: object.origin.clone() },
                    Some(object.contents()),
                    ca,
                )
            }
            None => {
                let lack = path.and_then(|path| self.gathered.plan.lacking.get(path));
                let (reason, detail) = lack.map_or_else(
                    || (Reason::InputMissing, "it could not be had".to_owned()),
                    |lack| (lack.reason, lack.detail.clone()),
                );
                (Production::Missing { reason, detail, tail: Vec::new() }, None, None)
            }
        }
    }

    /// The objects that builds could read.
    fn inputs(&self) -> Vec<InputFacts> {
        let used: BTreeSet<&StorePath> = self.done.values().flat_map(|done| &done.inputs).collect();
        used.into_iter()
            .filter_map(|path| {
                let object = self.objects.get(path)?;
                Some(InputFacts {
                    path: path.clone(),
                    contents: object.contents(),
                    origin: object.origin.clone(),
                })
            })
            .collect()
    }

    /// The sandbox, as the builds found it.
    fn sandbox(&self) -> SandboxFacts {
        let surroundings = self.done.values().filter_map(|done| done.surroundings.as_ref());
        let ownership =
            surroundings.clone().next().map(|found| ownership(found.root_kind)).unwrap_or_default();
        let differences: BTreeSet<String> =
            surroundings.flat_map(|found| found.differences.iter().cloned()).collect();
        SandboxFacts { ownership, shell: None, differences: differences.into_iter().collect() }
    }
}

/// What came of one repetition.
fn repetition(round: &Round) -> RoundFacts {
    let outputs = match &round.end {
        RoundEnd::Outputs(outputs) => {
            Ok(outputs.iter().map(|(name, output)| (name.clone(), contents(output))).collect())
        }
        RoundEnd::Failed(why) => Err((reason(why), why.to_string())),
        RoundEnd::Error(error) => Err((Reason::Environment, error.to_string())),
    };
    RoundFacts { round: round.number, varied: round.varied.clone(), outputs }
}

/// How files are kept apart from the builder, in words.
fn ownership(kind: RootKind) -> String {
    match kind {
        RootKind::HostRoot => "started by root: inputs belong to another user than the builder, as under the Nix daemon",
        RootKind::SubIds => "started by an ordinary user with subordinate ids: inputs belong to another user than the builder, as under the Nix daemon",
        RootKind::SingleId => "started by an ordinary user without subordinate ids: everything belongs to the builder, inputs are mounted read-only",
    }
    .to_owned()
}

/// What the outputs of a derivation are judged by.
fn basis(derivation: &Derivation) -> Basis {
    match derivation.kind() {
        Kind::Fixed => Basis::Fixed,
        Kind::FloatingCa => Basis::Realisations,
        Kind::InputAddressed | Kind::Deferred | Kind::Impure => Basis::Claims,
    }
}

/// What only this run can say: logs, times, kept directories.
#[must_use]
pub fn run_facts(
    done: &BTreeMap<StorePath, Done>,
    executor: &str,
    limits: &Limits,
) -> Map<String, Value> {
    let builds: Map<String, Value> = done
        .iter()
        .map(|(drv_path, done)| {
            let facts = json!({
                "log": done.run.log.as_ref().map(|path| path.to_string_lossy()),
                "milliseconds": done.run.duration.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                "kept": done.run.kept.as_ref().map(|path| path.to_string_lossy()),
            });
            (drv_path.to_string(), facts)
        })
        .collect();
    let mut run = Map::new();
    run.insert("executor".to_owned(), executor.into());
    let surroundings = done.values().filter_map(|done| done.surroundings.as_ref());
    if let Some(held) = surroundings.map(|found| found.held).next() {
        let limit = |limit: Option<u64>, by: Mechanism| json!({ "limit": limit, "by": by.name() });
        let held = json!({
            "processes": limit(Some(limits.max_processes), held.processes),
            "memory": limit(limits.max_memory, held.memory),
            "disk": limit(limits.max_disk, held.disk),
        });
        run.insert("limits".to_owned(), held);
    }
    run.insert("builds".to_owned(), builds.into());
    run
}

/// The same for people: what they may want to open next.
#[must_use]
pub fn kept_section(rebuild: &Rebuild) -> Option<Section> {
    let mut lines = BTreeSet::new();
    for Beside { contrast, .. } in compared(rebuild) {
        let nars = contrast.first_nar.iter().chain(&contrast.second_nar);
        let paths = nars.chain(&contrast.diffoscope);
        lines.extend(paths.map(|path| path.to_string_lossy().into_owned()));
    }
    let title = "Kept to be looked into".to_owned();
    let lines: Vec<String> = lines.into_iter().take(SHOWN_KEPT).collect();
    (!lines.is_empty()).then_some(Section::Lines { title, lines })
}

/// Where the two sides of each difference are kept, and what diffoscope wrote.
#[must_use]
pub fn kept_differences(rebuild: &Rebuild) -> Value {
    let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
    let kept = compared(rebuild).into_iter().filter_map(|Beside { path, source, contrast }| {
        let Contrast { first_nar, second_nar, diffoscope, sides, .. } = contrast;
        if first_nar.is_none() && second_nar.is_none() {
            return None;
        }
        let (first, second) = if *sides == Sides::default() {
            ("claimed_nar", "our_nar")
        } else {
            ("first_nar", "second_nar")
        };
        Some(json!({
            "path": path.to_string(),
            "source": source,
            first: first_nar.as_ref().map(shown),
            second: second_nar.as_ref().map(shown),
            "diffoscope": diffoscope.iter().map(shown).collect::<Vec<_>>(),
        }))
    });
    kept.collect()
}

/// Two things that were compared.
struct Beside<'a> {
    /// The store path that both are for.
    path: &'a StorePath,
    /// Who claims the first, or which builds they are.
    source: String,
    contrast: &'a Contrast,
}

/// All that was compared, derivation by derivation.
fn compared(rebuild: &Rebuild) -> Vec<Beside<'_>> {
    let mut all = Vec::new();
    for derivation in &rebuild.derivations {
        for output in &derivation.outputs {
            for claim in &output.claims {
                let source = claim.source.to_string();
                let one = |contrast| Beside { path: &claim.path, source: source.clone(), contrast };
                all.extend(claim.contrast.iter().map(one));
            }
            if let (Some(path), Some(Unlike { round, contrast })) = (&output.path, &output.unlike) {
                all.push(Beside { path, source: format!("rounds 0 and {round}"), contrast });
            }
        }
        let chain = derivation.chain.iter().flat_map(|chain| &chain.contrasts);
        all.extend(chain.filter_map(|(name, contrast)| {
            let (path, _) = derivation.chain.as_ref()?.outputs.get(name)?;
            Some(Beside { path, source: "own chain".to_owned(), contrast })
        }));
    }
    all
}
