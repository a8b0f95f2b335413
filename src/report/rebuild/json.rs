//! The facts of a rebuild as public JSON (`docs/schema/report-v1.json`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::super::difference;
use super::repeated::{CanaryPart, RoundPart, StabilityPart};
use super::{equal, location};
use crate::check::rebuild::blame::{Rate, divergent};
use crate::check::rebuild::chain::{chain, output_chain};
use crate::check::rebuild::facts::{
    DerivationFacts, InputFacts, Origin, OutputFacts, Production, Rebuild, WorldFact,
};
use crate::check::rebuild::sampled::SampleResult;
use crate::check::rebuild::{Basis, Contents, Source, verdicts};
use crate::check::sample::CONFIDENCE;
use crate::nix::store_path::StoreDir;

/// The public form of [`Rebuild`]: the `facts` of a rebuild report
/// (`docs/schema/report-v1.json`).
#[derive(Serialize)]
struct Facts<'a> {
    world: &'a str,
    store_dir: &'a str,
    sandbox: Sandbox<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_worlds: Vec<WorldFactPart<'a>>,
    derivations: Vec<Derivation<'a>>,
    inputs: Vec<Input<'a>>,
    remarks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryPart<'a>>,
    rate: RatePart,
    divergent: Vec<DivergentPart>,
    chained: bool,
    fetchers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<SamplePart<'a>>,
}

#[derive(Serialize)]
struct RatePart {
    reproduced: u64,
    judged: u64,
    unjudged: u64,
    fixed: u64,
}

#[derive(Serialize)]
struct DivergentPart {
    drv_path: String,
    outputs: Vec<String>,
    first: bool,
    below: Vec<String>,
    dependents: u64,
    targets: u64,
}

#[derive(Serialize)]
struct SamplePart<'a> {
    asked: &'a str,
    seed: &'a str,
    population: u64,
    drawn: Vec<String>,
    bad: u64,
    unanswered: u64,
    bad_in_population_below: u64,
    confidence_percent: u32,
    sentence: String,
}

#[derive(Serialize)]
struct ChainPart<'a> {
    result: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diverged_inputs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outputs: BTreeMap<&'a str, ChainOutput<'a>>,
}

#[derive(Serialize)]
struct ChainOutput<'a> {
    result: &'static str,
    path: String,
    #[serde(flatten)]
    contents: ContentsPart,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<difference::Difference<'a>>,
}

#[derive(Serialize)]
struct WorldFactPart<'a> {
    fact: &'a str,
    here: bool,
    otherwise_in: &'a [String],
}

#[derive(Serialize)]
struct Sandbox<'a> {
    ownership: &'a str,
    shell: Option<Shell<'a>>,
    differences: &'a [String],
}

#[derive(Serialize)]
struct Shell<'a> {
    origin: &'a str,
    sha256: &'a str,
}

#[derive(Serialize)]
struct Derivation<'a> {
    drv_path: String,
    system: &'a str,
    role: &'static str,
    reads: Vec<String>,
    fixed_output: bool,
    production: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<OriginPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<ChainPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rounds: Vec<RoundPart<'a>>,
    outputs: BTreeMap<&'a str, Output<'a>>,
}

#[derive(Serialize)]
pub struct Failure<'a> {
    pub reason: &'static str,
    pub detail: &'a str,
}

#[derive(Serialize)]
struct Output<'a> {
    path: Option<String>,
    #[serde(flatten)]
    contents: Option<ContentsPart>,
    ca: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stability: Option<StabilityPart<'a>>,
    claims: Vec<ClaimPart<'a>>,
}

#[derive(Serialize)]
pub struct ContentsPart {
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
}

#[derive(Serialize)]
struct ClaimPart<'a> {
    source: &'static str,
    location: &'a str,
    standing: &'static str,
    keys: &'a [String],
    path: String,
    #[serde(flatten)]
    contents: Option<ContentsPart>,
    equal: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<difference::Difference<'a>>,
}

#[derive(Serialize)]
struct Input<'a> {
    path: String,
    #[serde(flatten)]
    contents: ContentsPart,
    origin: OriginPart<'a>,
}

#[derive(Serialize)]
struct OriginPart<'a> {
    kind: &'static str,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a [String]>,
}

/// The facts of a rebuild in their public shape.
///
/// # Errors
/// None in practice: every key is text.
pub fn facts(rebuild: &Rebuild, store_dir: &StoreDir) -> Result<Value, serde_json::Error> {
    let verdicts = verdicts(rebuild, store_dir);
    let rate = Rate::of(&verdicts);
    serde_json::to_value(Facts {
        world: &rebuild.world,
        store_dir: store_dir.as_str(),
        other_worlds: rebuild
            .other_worlds
            .iter()
            .map(|WorldFact { fact, here, otherwise_in }| WorldFactPart {
                fact,
                here: *here,
                otherwise_in,
            })
            .collect(),
        sandbox: Sandbox {
            ownership: &rebuild.sandbox.ownership,
            shell: rebuild
                .sandbox
                .shell
                .as_ref()
                .map(|shell| Shell { origin: &shell.origin, sha256: &shell.sha256 }),
            differences: &rebuild.sandbox.differences,
        },
        derivations: rebuild
            .derivations
            .iter()
            .map(|derivation| derivation_part(rebuild, derivation, store_dir))
            .collect(),
        inputs: rebuild.inputs.iter().map(|input| input_part(input, store_dir)).collect(),
        remarks: &rebuild.remarks,
        canary: rebuild.canary.as_ref().map(CanaryPart::of),
        rate: RatePart {
            reproduced: rate.reproduced,
            judged: rate.judged,
            unjudged: rate.unjudged,
            fixed: rate.fixed,
        },
        divergent: divergent(rebuild, &verdicts)
            .into_iter()
            .map(|one| DivergentPart {
                first: one.is_first(),
                drv_path: store_dir.full(&one.drv_path),
                outputs: one.outputs,
                below: one.below.iter().map(|path| store_dir.full(path)).collect(),
                dependents: one.dependents,
                targets: one.targets,
            })
            .collect(),
        chained: rebuild.chained,
        fetchers: rebuild.fetchers,
        sample: rebuild.sample.as_ref().map(|sample| {
            let result = SampleResult::of(sample, &verdicts);
            SamplePart {
                asked: &sample.asked,
                seed: &sample.seed,
                population: sample.population,
                drawn: sample.drawn.iter().map(|path| store_dir.full(path)).collect(),
                bad: result.bad,
                unanswered: result.unanswered,
                bad_in_population_below: result.bound.below,
                confidence_percent: CONFIDENCE,
                sentence: result.bound.sentence("derivations", "differ or could not be judged"),
            }
        }),
    })
}

/// What our own chain of builds gives, if one was followed.
fn chain_part<'a>(
    rebuild: &Rebuild,
    derivation: &'a DerivationFacts,
    store_dir: &StoreDir,
) -> Option<ChainPart<'a>> {
    let result = chain(rebuild, derivation)?.name();
    let mut part =
        ChainPart { result, diverged_inputs: Vec::new(), failure: None, outputs: BTreeMap::new() };
    let Some(again) = &derivation.chain else { return Some(part) };
    part.diverged_inputs = again.diverged.iter().map(|path| store_dir.full(path)).collect();
    if let Production::Missing { reason, detail, .. } = &again.production {
        part.failure = Some(Failure { reason: reason.name(), detail });
    }
    for output in &derivation.outputs {
        if let Some((path, contents)) = again.outputs.get(&output.name) {
            let made = ChainOutput {
                result: output_chain(derivation, output).name(),
                path: store_dir.full(path),
                contents: contents_part(contents, store_dir),
                difference: again.contrasts.get(&output.name).map(difference::part),
            };
            part.outputs.insert(&output.name, made);
        }
    }
    Some(part)
}

fn derivation_part<'a>(
    rebuild: &Rebuild,
    derivation: &'a DerivationFacts,
    store_dir: &StoreDir,
) -> Derivation<'a> {
    let (production, origin, failure) = match &derivation.production {
        Production::Built => ("built", None, None),
        Production::Obtained { origin } => ("obtained", Some(origin_part(origin)), None),
        Production::Missing { reason, detail, .. } => {
            ("missing", None, Some(Failure { reason: reason.name(), detail }))
        }
    };
    Derivation {
        drv_path: store_dir.full(&derivation.drv_path),
        system: &derivation.system,
        role: derivation.role.name(),
        reads: derivation.reads.iter().map(|path| store_dir.full(path)).collect(),
        fixed_output: derivation.basis == Basis::Fixed,
        production,
        origin,
        failure,
        chain: chain_part(rebuild, derivation, store_dir),
        rounds: RoundPart::all(derivation, store_dir),
        outputs: derivation
            .outputs
            .iter()
            .map(|output| (output.name.as_str(), output_part(derivation, output, store_dir)))
            .collect(),
    }
}

fn output_part<'a>(
    derivation: &DerivationFacts,
    output: &'a OutputFacts,
    store_dir: &StoreDir,
) -> Output<'a> {
    Output {
        path: output.path.as_ref().map(|path| store_dir.full(path)),
        contents: output.ours.as_ref().map(|ours| contents_part(ours, store_dir)),
        ca: output.ca.as_deref(),
        stability: StabilityPart::of(derivation, output),
        claims: output
            .claims
            .iter()
            .map(|claim| ClaimPart {
                source: match claim.source {
                    Source::Cache(_) => "cache",
                    Source::LocalStore(_) => "local-store",
                },
                location: location(&claim.source),
                standing: claim.standing.name(),
                keys: claim.standing.keys(),
                path: store_dir.full(&claim.path),
                contents: claim.contents.as_ref().map(|claimed| contents_part(claimed, store_dir)),
                equal: equal(output, claim),
                differences: claim.contrast.iter().map(difference::part).collect(),
            })
            .collect(),
    }
}

pub fn contents_part(contents: &Contents, store_dir: &StoreDir) -> ContentsPart {
    ContentsPart {
        nar_hash: contents.nar_hash.to_string(),
        nar_size: contents.nar_size,
        references: contents.references.iter().map(|path| store_dir.full(path)).collect(),
    }
}

fn input_part<'a>(input: &'a InputFacts, store_dir: &StoreDir) -> Input<'a> {
    Input {
        path: store_dir.full(&input.path),
        contents: contents_part(&input.contents, store_dir),
        origin: origin_part(&input.origin),
    }
}

fn origin_part(origin: &Origin) -> OriginPart<'_> {
    let keys = match origin {
        Origin::Signed { keys, .. } => Some(keys.as_slice()),
        _ => None,
    };
    OriginPart { kind: origin.name(), from: origin.from(), keys }
}
