//! `verify sbom export`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::cli::EXIT_CODES;
use super::super::deliver::show;
use super::super::options::{DerivationOptions, ExpressionOptions, KeyOptions, SourceOptions};
use super::super::policy::PolicyOptions;
use super::super::product::ProductOptions;
use super::super::sources::Sources;
use super::super::time::Timestamp;
use super::super::{Environment, ToolError};
use super::{ProfileName, targets};
use crate::check::Source;
use crate::check::cache::{Judge, Survey};
use crate::check::sbom::{check, exported};
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
use crate::sbom::cyclonedx::{Document, Statement, Version};
use crate::sbom::document::Spec;
use crate::sbom::meta::Meta;
use crate::sbom::profile::Profile;
use crate::sbom::proof::Proofs;
use crate::sbom::source;
use crate::sbom::written::{self, Form};

/// Largest report or file of descriptions: all of nixpkgs has some 150 MB.
const MAX_FILE: usize = 512 << 20;

/// The variable that gives the time (<https://reproducible-builds.org/specs/source-date-epoch/>).
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

const EXAMPLES: &str = "\
Examples:
  What is in a closure, from the local store:
    verify sbom export /run/current-system --local-store --output system.cdx.json
  Without building or downloading, from what caches say of it:
    verify sbom export /nix/store/HASH-hello --cache https://cache.nixos.org
  Everything that a derivation is built from, with licences:
    nix-env -f '<nixpkgs>' -qa --json --meta --out-path > meta.json
    verify sbom export ./app.drv --scope build --meta meta.json
  With the crates, packages and modules inside sources and programs:
    verify sbom export ./app.drv --scope build --local-store --vendored
  In a Nix sandbox, from the listing of exportReferencesGraph:
    verify sbom export ./closure --spec spdx-2.3
  With what was proven of it:
    verify rebuild ./app.drv --closure --format json --output rebuild.json
    verify sbom export ./app.drv --scope build --evidence rebuild.json
";

/// What `verify sbom export` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct ExportArgs {
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
    /// Who makes the document: 'NAME' or 'NAME <MAIL>'; may be repeated
    #[arg(long, value_name = "NAME", value_parser = party, help_heading = "Content")]
    pub author: Vec<Party>,
    /// Who supplies what the document is about: 'NAME' or 'NAME <URL>'
    #[arg(long, value_name = "NAME", value_parser = party, help_heading = "Content")]
    pub supplier: Option<Party>,
    /// The format: cyclonedx-1.7, 1.6, 1.5, 1.4 or 1.3, spdx-2.3 or csv
    #[arg(
        long, value_enum, value_name = "FORMAT", default_value_t = SpecName::CycloneDx1_7,
        hide_possible_values = true, help_heading = "Content"
    )]
    pub spec: SpecName,
    /// json or xml (CycloneDX)
    #[arg(
        long, value_enum, value_name = "ENCODING", default_value_t = Encoding::Json,
        hide_possible_values = true, help_heading = "Content"
    )]
    pub encoding: Encoding,
    /// Fields to ask for: cisa-2026, bsi-2.1 or ntia-2021 (docs/profiles); may be repeated
    #[arg(long = "profile", value_enum, value_name = "PROFILE", hide_possible_values = true)]
    pub profiles: Vec<ProfileName>,
    /// What the document has to meet.
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// How much work runs at once [default: the number of processors]
    #[arg(long, value_name = "N", help_heading = "Work")]
    pub jobs: Option<NonZeroUsize>,
    /// Where claims come from.
    #[command(flatten)]
    pub sources: SourceOptions,
    /// Whose signatures count.
    #[command(flatten)]
    pub keys: KeyOptions,
    /// Where the document goes.
    #[command(flatten)]
    pub product: ProductOptions,
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

/// The formats, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpecName {
    /// CycloneDX 1.7
    #[value(name = "cyclonedx-1.7", alias = "1.7")]
    CycloneDx1_7,
    /// CycloneDX 1.6
    #[value(name = "cyclonedx-1.6", alias = "1.6")]
    CycloneDx1_6,
    /// CycloneDX 1.5
    #[value(name = "cyclonedx-1.5", alias = "1.5")]
    CycloneDx1_5,
    /// CycloneDX 1.4
    #[value(name = "cyclonedx-1.4", alias = "1.4")]
    CycloneDx1_4,
    /// CycloneDX 1.3
    #[value(name = "cyclonedx-1.3", alias = "1.3")]
    CycloneDx1_3,
    /// SPDX 2.3
    #[value(name = "spdx-2.3", alias = "2.3")]
    Spdx2_3,
    /// A table
    Csv,
}

/// How a document is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// JSON
    Json,
    /// XML
    Xml,
}

/// Somebody, with an address if one is given.
pub type Party = (String, Option<String>);

/// Reads `NAME` or `NAME <ADDRESS>`.
fn party(text: &str) -> Result<Party, String> {
    let (name, address) = match text.split_once('<') {
        Some((name, rest)) => {
            let address = rest.strip_suffix('>').ok_or("there is no '>' at the end")?;
            (name.trim(), Some(address.trim().to_owned()))
        }
        None => (text.trim(), None),
    };
    if name.is_empty() || text.chars().any(char::is_control) {
        return Err("expected NAME or 'NAME <ADDRESS>'".to_owned());
    }
    Ok((name.to_owned(), address))
}

/// Writes the bill.
///
/// # Errors
/// An option that makes no sense, or something that cannot be read or written.
pub(in super::super) fn run(
    args: &ExportArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<(Vec<u8>, Report), ToolError> {
    let form = form(args)?;
    if !args.policy.policies.is_empty() && !matches!(form, Form::Json(_) | Form::Spdx) {
        return Err(ToolError::Usage(format!("--policy reads no {form}: write JSON")));
    }
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
    let statement = Statement { authors: args.author.clone(), supplier: args.supplier.clone() };
    let document = write(&bill, &statement, form)?;
    let mut profiles: Vec<Profile> = args.profiles.iter().map(|name| (*name).into()).collect();
    profiles.sort();
    profiles.dedup();
    let checked = (!profiles.is_empty()).then(|| {
        let name = args.product.output.as_deref().map_or_else(|| "the document".to_owned(), show);
        check(&Source::new(name.as_str(), &document.bytes), &document.bytes, &profiles)
            .map_err(|error| ToolError::failed("check the document", error))
    });
    let judged = exported::examine(exported::Exported {
        bill: &bill,
        store_dir: &store_dir,
        form: form.to_string(),
        left_out: &document.left_out,
        described: args.meta.is_some(),
        proofs: &proofs,
        modified: gathered.modified,
        findings: named.findings.into_iter().chain(gathered.findings).collect(),
        unanswered: named.unanswered,
        checked: checked.transpose()?,
    });
    let report = render::exported(judged);
    Ok((document.bytes, report))
}

/// A document that is ready to be written down.
struct Written {
    bytes: Vec<u8>,
    left_out: BTreeSet<String>,
}

fn write(bill: &Bill, statement: &Statement, form: Form) -> Result<Written, ToolError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        ToolError::failed(format!("write the bill as {form}"), error)
    };
    let newest = Document::new(bill, Version::V1_7, statement);
    let document = match form {
        Form::Json(Spec::CycloneDx1_7) => newest,
        Form::Json(Spec::CycloneDx1_6) => Document::new(bill, Version::V1_6, statement),
        _ => {
            let value = serde_json::to_value(&newest).map_err(|error| failed(error.into()))?;
            let written = written::write(&value, form).map_err(|error| failed(error.into()))?;
            let (bytes, left_out) = (written.bytes, written.left_out);
            return Ok(Written { bytes, left_out });
        }
    };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    Ok(Written { bytes, left_out: BTreeSet::new() })
}

fn form(args: &ExportArgs) -> Result<Form, ToolError> {
    let spec = match args.spec {
        SpecName::CycloneDx1_7 => Spec::CycloneDx1_7,
        SpecName::CycloneDx1_6 => Spec::CycloneDx1_6,
        SpecName::CycloneDx1_5 => Spec::CycloneDx1_5,
        SpecName::CycloneDx1_4 => Spec::CycloneDx1_4,
        SpecName::CycloneDx1_3 => Spec::CycloneDx1_3,
        SpecName::Spdx2_3 | SpecName::Csv if args.encoding == Encoding::Xml => {
            return Err(ToolError::Usage(
                "--encoding xml is for CycloneDX: SPDX 2.3 is written as JSON, a table as CSV"
                    .to_owned(),
            ));
        }
        SpecName::Spdx2_3 => return Ok(Form::Spdx),
        SpecName::Csv => return Ok(Form::Csv),
    };
    Ok(match args.encoding {
        Encoding::Json => Form::Json(spec),
        Encoding::Xml => Form::Xml(spec),
    })
}

fn scope(args: &ExportArgs, targets: &BTreeSet<Target>) -> Scope {
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
    findings: Vec<crate::check::Finding>,
    modified: Vec<(StorePath, NarHash, NarHash)>,
}

fn gather(
    args: &ExportArgs,
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
    args: &ExportArgs,
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
