//! `verify cache`: what caches and the local store claim, against each other,
//! against their signatures and against their bytes.
//!
//! The work goes: find out which paths are meant, ask every source about each,
//! follow references if asked to, read the bytes if asked to, ask again where
//! answers were odd, judge.

mod targets;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use self::targets::{Targets, read_targets};
use super::cli::CacheArgs;
use super::sources::Sources;
use super::{Environment, ToolError};
use crate::check::cache::{Asked, Family, Judge, PathId, Survey, examine};
use crate::gather::cache::survey::{Realised, Scope, Surveyor};
use crate::nix::realisation::DrvOutput;
use crate::nix::store_path::StoreDir;
use crate::report::progress::Unit;
use crate::report::{Progress, Report, cache as render};

/// Questions about realisations that are put at once; there are few of them.
const REALISATIONS_AT_ONCE: usize = 32;

/// What samples are drawn by when nobody says.
const DEFAULT_SEED: &str = "0";

/// Asks about the targets and judges the answers.
///
/// # Errors
/// An option that makes no sense, a target that cannot be read, or a failure
/// of ours.
pub fn run(
    args: &CacheArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<Report, ToolError> {
    let store_dir = StoreDir::default();
    let sources = Sources::open(&args.sources, &args.keys, environment, &store_dir)?;
    if let Some(wanted) = args.min_agree
        && wanted.get() > sources.operators.witnesses()
    {
        return Err(ToolError::Usage(format!(
            "--min-agree {wanted} can never be met: the file of operators names {} that build and have a key",
            sources.operators.witnesses()
        )));
    }
    let Targets { mut paths, families, realisations, findings, unanswered } =
        read_targets(args, environment, &sources, &store_dir, progress)?;
    let jobs = args.jobs.map_or(environment.parallelism, NonZeroUsize::get);
    let surveyor = Surveyor {
        client: &sources.client,
        caches: &sources.caches,
        local: sources.local.as_deref(),
        judge: Judge { keys: &sources.keys, store_dir: &store_dir },
        jobs: jobs.max(1),
    };
    let realised = realised(&surveyor, realisations)?;
    // What a realisation names has to be there and signed like anything else.
    paths.extend(realised.paths().cloned());
    let scope = Scope { closure: args.closure, contents: args.contents };
    let phase = progress.phase("asking for claims", Unit::Items, None);
    let mut survey = surveyor.ask(paths, scope, &phase);
    drop(phase);
    survey.asked = Asked {
        closure: args.closure,
        all: args.all,
        contents: args.contents,
        sample: args
            .sample
            .map(|sample| (sample, args.seed.clone().unwrap_or_else(|| DEFAULT_SEED.to_owned()))),
        min_agree: args.min_agree.map(NonZeroUsize::get),
        local_store: sources.local.is_some(),
    };
    survey.findings.extend(findings);
    survey.findings.extend(realised.findings);
    survey.unanswered.extend(unanswered);
    survey.unanswered.extend(realised.unanswered);
    survey.realisations = realised.facts;
    for (drv_path, outputs) in families {
        let outputs: Vec<PathId> =
            outputs.iter().filter_map(|path| survey.table.find(path)).collect();
        survey.families.push(Family { drv_path, outputs });
    }
    if args.contents {
        let chosen = sample(&survey);
        let phase = progress.phase("reading contents", Unit::Items, None);
        surveyor.read_contents(&mut survey, chosen.as_ref(), &phase);
    }
    let phase = progress.phase("asking again", Unit::Items, None);
    surveyor.ask_again(&mut survey, &phase);
    drop(phase);
    survey.operators = sources.operators;
    let examined = examine(&survey);
    Ok(render::report(survey, examined))
}

/// What caches say the outputs of content-addressed derivations are.
fn realised(surveyor: &Surveyor<'_>, ids: BTreeSet<DrvOutput>) -> Result<Realised, ToolError> {
    if ids.is_empty() {
        return Ok(Realised::default());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(REALISATIONS_AT_ONCE)
        .build()
        .map_err(|error| ToolError::failed("start threads", error))?;
    Ok(pool.install(|| surveyor.ask_realisations(ids)))
}

/// The paths whose bytes are read, if not all are: of those that anybody has.
fn sample(survey: &Survey) -> Option<BTreeSet<PathId>> {
    let (sample, seed) = survey.asked.sample.as_ref()?;
    let there = survey.subjects.iter().filter(|subject| subject.claims().next().is_some());
    let ids = there.filter_map(|subject| survey.table.path(subject.id)).map(ToString::to_string);
    let chosen = sample.choose(ids, seed);
    let paths = chosen.iter().filter_map(|text| text.parse().ok());
    Some(paths.filter_map(|path| survey.table.find(&path)).collect())
}
