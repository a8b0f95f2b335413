//! From what the command line names to a bill of materials.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::deliver::show;
use super::super::options::{DerivationOptions, ExpressionOptions, KeyOptions, SourceOptions};
use super::super::sources::Sources;
use super::super::time::Timestamp;
use super::super::{Environment, ToolError};
use super::targets;
use crate::check::cache::{Judge, Survey};
use crate::check::sbom::exported;
use crate::check::{Finding, Inconclusive};
use crate::gather::bill;
use crate::gather::cache::survey::{Scope as SurveyScope, Surveyor};
use crate::gather::derivations::graph::{self, DerivationGraph};
use crate::gather::named::input;
use crate::gather::vendored;
use crate::nix::derivation::Output;
use crate::nix::hash::NarHash;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::progress::Unit;
use crate::report::{Progress, Report, sbom as render};
use crate::sbom::assemble::{Facts, Object, Target, assemble};
use crate::sbom::bill::{Bill, Scope};
use crate::sbom::meta::Meta;
use crate::sbom::proof::Proofs;
use crate::sbom::source;

/// Largest report or file of descriptions: all of nixpkgs has some 150 MB.
const MAX_FILE: usize = 512 << 20;

/// The variable that gives the time (<https://reproducible-builds.org/specs/source-date-epoch/>).
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What a bill is about, and what is known of it.
#[derive(Debug, Clone, Args)]
pub struct BillArgs {
    /// What the bill is about: .drv files, store paths, closure listings of
    /// exportReferencesGraph, or flake installables
    #[arg(value_name = "TARGET", required_unless_present = "files")]
    pub targets: Vec<OsString>,
    /// What Nix is to evaluate.
    #[command(flatten)]
    pub expressions: ExpressionOptions,
    /// Where derivations are.
    #[command(flatten)]
    pub derivations: DerivationOptions,
    /// What it covers: runtime (what is referred to), linked (also what was
    /// linked against) or build (everything, down to the sources)
    /// [default: build for derivations, else runtime]
    #[arg(
        long,
        value_enum,
        value_name = "SCOPE",
        hide_possible_values = true,
        help_heading = "Content"
    )]
    pub scope: Option<ScopeName>,
    /// What packages say of themselves, as 'nix-env -qa --json --meta
    /// --out-path' prints it: licences, homepages, package URLs
    #[arg(long, value_name = "FILE", help_heading = "Content")]
    pub meta: Option<PathBuf>,
    /// A report (--format json) of rebuild, cache or lock, whose verdicts are
    /// attached to what they are about; may be repeated
    #[arg(long, value_name = "REPORT.json", help_heading = "Content")]
    pub evidence: Vec<PathBuf>,
    /// Read the NARs, and the objects of the local store: hash, size, format and references
    #[arg(long, help_heading = "Content")]
    pub contents: bool,
    /// Look into the objects that are at hand for dependencies that lie inside:
    /// what lock files, packages and programs say
    #[arg(long, help_heading = "Content")]
    pub vendored: bool,
    /// How much work runs at once [default: the number of processors]
    #[arg(long, value_name = "N", help_heading = "Work")]
    pub jobs: Option<NonZeroUsize>,
    /// Where claims come from.
    #[command(flatten)]
    pub sources: SourceOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
}

/// The scopes, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// What is referred to
    Runtime,
    /// Also what was linked against
    Linked,
    /// Everything, down to the sources
    Build,
}

/// A bill, and what there is to be said about how it came to be.
pub(super) struct Made {
    pub(super) bill: Bill,
    pub(super) about: About,
}

/// What there is to be said about how a bill came to be.
pub(super) struct About {
    store_dir: StoreDir,
    described: bool,
    proofs: Proofs,
    modified: Vec<(StorePath, NarHash, NarHash)>,
    findings: Vec<Finding>,
    unanswered: Vec<Inconclusive>,
}

impl About {
    /// The report on a bill that was written in `form`, and held against profiles
    /// if any were asked for.
    pub(super) fn report(
        self,
        bill: &Bill,
        form: String,
        left_out: &BTreeSet<String>,
        checked: Option<crate::check::sbom::Checked>,
    ) -> Report {
        render::exported(exported::examine(exported::Exported {
            bill,
            store_dir: &self.store_dir,
            form,
            left_out,
            described: self.described,
            proofs: &self.proofs,
            modified: self.modified,
            findings: self.findings,
            unanswered: self.unanswered,
            checked,
        }))
    }
}

/// Makes the bill of what is named.
///
/// # Errors
/// An option that makes no sense, or something that cannot be read.
pub(super) fn make(
    args: &BillArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<Made, ToolError> {
    let store_dir = StoreDir::default();
    let meta = match &args.meta {
        Some(file) => {
            let doing = || format!("use the descriptions in '{}'", show(file));
            let bytes =
                whole(file, environment).map_err(|error| ToolError::failed(doing(), error))?;
            Meta::parse(&bytes).map_err(|error| ToolError::failed(doing(), error))?
        }
        None => Meta::default(),
    };
    let mut proofs = Proofs::default();
    for file in &args.evidence {
        let doing = || format!("use the evidence in '{}'", show(file));
        let bytes = whole(file, environment).map_err(|error| ToolError::failed(doing(), error))?;
        proofs.add(&bytes).map_err(|error| ToolError::failed(doing(), error))?;
    }
    let sources = Sources::open(&args.sources, &args.keys, environment, &store_dir)?;
    let mut named = targets::read(args, environment, &sources, &store_dir)?;
    let scope = scope(args, &named.targets);
    let gathered = gather(args, environment, &sources, &store_dir, scope, &mut named, progress)?;
    let unusable: BTreeMap<StorePath, String> = gathered
        .graph
        .all_unusable()
        .iter()
        .map(|(path, why)| (path.clone(), why.to_string()))
        .collect();
    let facts = Facts {
        store_dir: &store_dir,
        targets: &named.targets,
        derivations: &gathered.graph,
        producers: gathered.graph.producers(),
        unusable: &unusable,
        objects: &gathered.objects,
        meta: &meta,
        proofs: &proofs,
        created: created(environment, &proofs)?,
    };
    let bill = assemble(&facts, scope);
    let about = About {
        described: args.meta.is_some(),
        proofs,
        modified: gathered.modified,
        findings: named.findings.into_iter().chain(gathered.findings).collect(),
        unanswered: named.unanswered,
        store_dir: store_dir.clone(),
    };
    Ok(Made { bill, about })
}

fn scope(args: &BillArgs, targets: &BTreeSet<Target>) -> Scope {
    let built = targets.iter().all(|target| matches!(target, Target::Derivation(..)));
    match args.scope {
        Some(ScopeName::Runtime) => Scope::Runtime,
        Some(ScopeName::Linked) => Scope::Linked,
        Some(ScopeName::Build) => Scope::Build,
        None if built => Scope::Build,
        None => Scope::Runtime,
    }
}

/// The time the bill is valid for: what the caller says, else the newest date
/// that a lock pins.
fn created(environment: &Environment, proofs: &Proofs) -> Result<Option<String>, ToolError> {
    let Some(epoch) = environment.variable(SOURCE_DATE_EPOCH) else {
        return Ok(proofs.newest_date().map(str::to_owned));
    };
    let seconds = epoch.to_str().and_then(|text| text.parse().ok());
    let time = seconds.and_then(Timestamp::from_seconds).ok_or_else(|| {
        ToolError::Usage(format!(
            "{SOURCE_DATE_EPOCH} is '{}' (expected the seconds since 1970)",
            show(Path::new(epoch))
        ))
    })?;
    Ok(Some(time.to_string()))
}

/// What the sources know.
struct Gathered {
    graph: DerivationGraph,
    objects: BTreeMap<StorePath, Object>,
    findings: Vec<Finding>,
    modified: Vec<(StorePath, NarHash, NarHash)>,
}

fn gather(
    args: &BillArgs,
    environment: &Environment,
    sources: &Sources,
    store_dir: &StoreDir,
    scope: Scope,
    named: &mut targets::Named<'_>,
    progress: &Progress,
) -> Result<Gathered, ToolError> {
    let mut objects = std::mem::take(&mut named.objects);
    let mut derivations = std::mem::take(&mut named.derivations);
    if scope != Scope::Build {
        let mut wanted = BTreeSet::new();
        for target in &named.targets {
            match target {
                Target::Path(path) => {
                    wanted.insert(path.clone());
                }
                Target::Derivation(path, outputs) => {
                    let made = derivations.get(path).into_iter().flat_map(|one| &one.outputs);
                    let meant = made.filter(|(name, _)| {
                        outputs.as_ref().is_none_or(|outputs| outputs.contains(*name))
                    });
                    wanted.extend(meant.filter_map(|(_, output)| Output::path(output)).cloned());
                }
            }
        }
        wanted.retain(|path| !objects.contains_key(path));
        if !wanted.is_empty() {
            let survey = survey(args, environment, sources, store_dir, wanted, true, progress);
            objects.extend(bill::surveyed(&survey));
        }
    }
    // What a source says made an object is a hint; the derivation has to make it.
    let hints: BTreeSet<StorePath> =
        objects.values().filter_map(|object| object.deriver.clone()).collect();
    for hint in hints {
        if !derivations.contains_key(&hint)
            && let Ok(derivation) = named.files.load(&hint)
        {
            derivations.insert(hint, derivation);
        }
    }
    let loaded = graph::load(derivations, store_dir, &named.files)
        .map_err(|error| ToolError::failed("read the derivations", error))?;
    let graph = loaded.graph;
    if scope == Scope::Linked {
        let ask = |wanted: BTreeSet<StorePath>| {
            let survey = survey(args, environment, sources, store_dir, wanted, true, progress);
            bill::surveyed(&survey)
        };
        add_linked(&mut objects, &graph, store_dir, ask);
    }
    // Of what is built from, hashes and signatures, if there is somebody to ask.
    let asked = sources.local.is_some() || sources.caches.iter().any(|cache| cache.named);
    if scope == Scope::Build && asked {
        let mut wanted: BTreeSet<StorePath> = graph.producers().keys().cloned().collect();
        wanted.extend(graph.sources().cloned());
        wanted.retain(|path| !objects.contains_key(path));
        let survey = survey(args, environment, sources, store_dir, wanted, false, progress);
        let mut found = bill::surveyed(&survey);
        // What nobody has is not an object that is known.
        found.retain(|_, object| object.nar.is_some());
        objects.extend(found);
    }
    let mut modified = Vec::new();
    let place = |path: &StorePath| match &sources.local {
        Some(local) => local.host_path(path),
        None => PathBuf::from(store_dir.full(path)),
    };
    if args.contents {
        let phase = progress.phase("reading contents", Unit::Bytes, None);
        modified = bill::read_contents(&mut objects, place, |size| phase.advance(size));
    }
    if args.vendored {
        let phase = progress.phase("looking inside", Unit::Bytes, None);
        let found = vendored::look_inside(&mut objects, place, |size| phase.advance(size));
        // Those that were found out before are not found out again.
        let known: BTreeSet<StorePath> = modified.iter().map(|one| one.0.clone()).collect();
        modified.extend(found.into_iter().filter(|one| !known.contains(&one.0)));
    }
    Ok(Gathered { graph, objects, findings: loaded.findings, modified })
}

/// Adds what objects were linked against, which nothing need refer to.
fn add_linked(
    objects: &mut BTreeMap<StorePath, Object>,
    graph: &DerivationGraph,
    store_dir: &StoreDir,
    ask: impl Fn(BTreeSet<StorePath>) -> BTreeMap<StorePath, Object>,
) {
    loop {
        let made = objects.keys().filter_map(|path| graph.producers().get(path));
        let derivations = made.filter_map(|(drv_path, _)| graph.get(drv_path));
        let mut wanted: BTreeSet<StorePath> =
            derivations.flat_map(|derivation| source::linked(derivation, store_dir)).collect();
        wanted.retain(|path| !objects.contains_key(path));
        if wanted.is_empty() {
            return;
        }
        for (path, object) in ask(wanted.clone()) {
            objects.entry(path).or_insert(object);
        }
        // Whatever came of it, nothing is asked twice.
        for path in wanted {
            objects.entry(path).or_default();
        }
    }
}

fn survey(
    args: &BillArgs,
    environment: &Environment,
    sources: &Sources,
    store_dir: &StoreDir,
    wanted: BTreeSet<StorePath>,
    closure: bool,
    progress: &Progress,
) -> Survey {
    // Who names the local store alone asks nobody else.
    let local_alone = sources.local.is_some() && !sources.caches.iter().any(|one| one.named);
    let surveyor = Surveyor {
        client: &sources.client,
        caches: if local_alone { &[] } else { &sources.caches },
        local: sources.local.as_deref(),
        judge: Judge { keys: &sources.keys, store_dir },
        jobs: args.jobs.map_or(environment.parallelism, NonZeroUsize::get).max(1),
    };
    let phase = progress.phase("asking for claims", Unit::Items, None);
    surveyor.ask(wanted, SurveyScope { closure, contents: false }, &phase)
}

fn whole(
    file: &Path,
    environment: &Environment,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let bytes = input::read(&environment.absolute(file), MAX_FILE)?;
    if bytes.len() > MAX_FILE {
        return Err(format!("it is longer than {} MiB", MAX_FILE >> 20).into());
    }
    Ok(bytes)
}
