//! Which paths `verify cache` is to ask about.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::cli::CacheArgs;
use super::super::deliver::show;
use super::super::sources::Sources;
use super::super::{Environment, ToolError};
use crate::check::{Finding, Inconclusive, Reason};
use crate::gather::cache::survey::{list_directory, list_local, list_realisations};
use crate::gather::cache::url::Place;
use crate::gather::derivations::evaluate::{Evaluator, Expression};
use crate::gather::derivations::files::DrvFileError;
use crate::gather::derivations::graph;
use crate::gather::named::files::{Named as Found, look_at};
use crate::gather::named::listing;
use crate::nix::derivation::{Derivation, Kind};
use crate::nix::realisation::DrvOutput;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::Progress;
use crate::report::progress::Unit;

/// The check that a derivation tells its outputs.
const OUTPUTS: &str = "output paths";

/// What is to be asked about.
#[derive(Debug, Default)]
pub struct Targets {
    /// The store paths.
    pub paths: BTreeSet<StorePath>,
    /// Derivations with those of their outputs that are targets.
    pub families: BTreeMap<StorePath, BTreeSet<StorePath>>,
    /// Outputs whose paths only realisations tell.
    pub realisations: BTreeSet<DrvOutput>,
    /// Targets that are malformed.
    pub findings: Vec<Finding>,
    /// Targets that nothing can be asked about.
    pub unanswered: Vec<Inconclusive>,
}

/// Outputs of a derivation that are meant: all, or those named.
type Wanted = Option<BTreeSet<String>>;

/// One thing that the command line names.
enum Named {
    /// A store path.
    Path(StorePath),
    /// A derivation by its store path.
    Derivation(StorePath, Wanted),
    /// A `.drv` file.
    File(PathBuf),
    /// What Nix makes of an expression.
    Expression(Expression),
}

/// Reads what the command line names.
///
/// # Errors
/// Nothing named, or something that cannot be read.
pub fn read_targets(
    args: &CacheArgs,
    environment: &Environment,
    sources: &Sources,
    store_dir: &StoreDir,
    progress: &Progress,
) -> Result<Targets, ToolError> {
    let nothing =
        args.targets.is_empty() && args.expressions.files.is_empty() && args.from.is_none();
    if nothing && !args.all {
        return Err(ToolError::Usage(
            "nothing to ask about: name a store path, a .drv file or an installable, a listing with --from, or --all"
                .to_owned(),
        ));
    }
    let mut targets = Targets::default();
    let mut named = args
        .targets
        .iter()
        .map(|word| tell(word, environment, store_dir))
        .collect::<Result<Vec<_>, _>>()?;
    let expressions = args.expressions.named();
    named.extend(expressions.map(Named::Expression));
    if let Some(from) = &args.from {
        targets.paths.extend(listed(from, environment, store_dir)?);
    }
    if args.all {
        let phase = progress.phase("listing", Unit::Items, None);
        list_all(&mut targets, sources, store_dir)?;
        drop(phase);
    }
    read_derivations(named, &mut targets, args, environment, sources, store_dir)?;
    Ok(targets)
}

/// Tells one word by how it is written and what is there.
fn tell(word: &OsStr, environment: &Environment, store_dir: &StoreDir) -> Result<Named, ToolError> {
    let text = word.to_str().unwrap_or_default();
    if let Some((path, wanted)) = in_store(text, store_dir) {
        return Ok(match (path.is_derivation(), wanted) {
            (true, wanted) => Named::Derivation(path, wanted),
            (false, _) => Named::Path(path),
        });
    }
    let file = environment.absolute(Path::new(word));
    match look_at(&file, store_dir) {
        Found::InStore(path) if path.is_derivation() => return Ok(Named::Derivation(path, None)),
        Found::InStore(path) => return Ok(Named::Path(path)),
        Found::File if text.ends_with(".drv") => return Ok(Named::File(file)),
        Found::Flake => return Ok(Named::Expression(Expression::Flake(text.to_owned()))),
        _ if text.contains(['#', ':']) => {
            return Ok(Named::Expression(Expression::Flake(text.to_owned())));
        }
        Found::File | Found::Directory | Found::Nothing => {}
    }
    Err(ToolError::Usage(format!(
        "'{}' is nothing to ask a cache about (expected a store path, a .drv file, a link into the store, or an installable such as nixpkgs#hello)",
        show(Path::new(word))
    )))
}

/// A store path as people write it: whole or its base name, maybe of something
/// inside an object, a derivation maybe with outputs (`x.drv^dev`, `x.drv!*`).
fn in_store(text: &str, store_dir: &StoreDir) -> Option<(StorePath, Wanted)> {
    let below = match text.strip_prefix(store_dir.as_str()) {
        Some(below) => below.strip_prefix('/')?,
        None if !text.contains('/') => text,
        None => return None,
    };
    let base = below.split('/').next().unwrap_or_default();
    let (base, outputs) = match base.split_once(['^', '!']) {
        Some((base, outputs)) => (base, Some(outputs)),
        None => (base, None),
    };
    let path: StorePath = base.parse().ok()?;
    let wanted = match outputs {
        Some(_) if !path.is_derivation() => return None,
        None | Some("*") => None,
        Some(names) => Some(names.split(',').map(str::to_owned).collect()),
    };
    Some((path, wanted))
}

/// The store paths of a listing.
fn listed(
    from: &Path,
    environment: &Environment,
    store_dir: &StoreDir,
) -> Result<BTreeSet<StorePath>, ToolError> {
    let file = (from != Path::new("-")).then(|| environment.absolute(from));
    let doing = || match &file {
        Some(_) => format!("read the listing '{}'", show(from)),
        None => "read the listing on standard input".to_owned(),
    };
    let words = match &file {
        Some(file) => listing::file(file),
        None => listing::standard_input(),
    };
    let words = words.map_err(|error| ToolError::failed(doing(), error))?;
    let mut paths = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let text = word.to_str().unwrap_or_default();
        let (path, _) = in_store(text, store_dir).ok_or_else(|| {
            let word = show(Path::new(word));
            let entry = at.saturating_add(1);
            ToolError::Usage(format!(
                "{}: entry {entry}, '{word}', is no store path in {store_dir}",
                doing()
            ))
        })?;
        paths.insert(path);
    }
    Ok(paths)
}

/// Everything that the caches on disk and the local store hold.
fn list_all(
    targets: &mut Targets,
    sources: &Sources,
    store_dir: &StoreDir,
) -> Result<(), ToolError> {
    let mut any = false;
    for asked in &sources.caches {
        let Place::Directory(directory) = asked.url.place() else { continue };
        let cache = asked.url.to_string();
        let failed = |error| ToolError::failed(format!("list the cache {cache}"), error);
        let listing = list_directory(directory, &cache, store_dir).map_err(failed)?;
        targets.paths.extend(listing.paths);
        targets.findings.extend(listing.findings);
        let (ids, findings) = list_realisations(directory, &cache).map_err(failed)?;
        targets.realisations.extend(ids);
        targets.findings.extend(findings);
        any = true;
    }
    if let Some(local) = &sources.local {
        let listing = list_local(local, store_dir)
            .map_err(|error| ToolError::failed("list the local store", error))?;
        targets.paths.extend(listing.paths);
        targets.findings.extend(listing.findings);
        any = true;
    }
    if any {
        Ok(())
    } else {
        Err(ToolError::Usage(
            "--all needs a source that can be listed: a cache on disk (--cache file://DIR) or --local-store"
                .to_owned(),
        ))
    }
}

/// Turns derivations into the paths of their outputs, by recomputing them.
fn read_derivations(
    named: Vec<Named>,
    targets: &mut Targets,
    args: &CacheArgs,
    environment: &Environment,
    sources: &Sources,
    store_dir: &StoreDir,
) -> Result<(), ToolError> {
    let mut files = args.derivations.open(environment, store_dir, sources.local.as_ref())?;
    let mut read: BTreeMap<StorePath, Derivation> = BTreeMap::new();
    let mut wanted: BTreeMap<StorePath, Wanted> = BTreeMap::new();
    let mut by_path: Vec<(StorePath, Wanted)> = Vec::new();
    for named in named {
        match named {
            Named::Path(path) => {
                targets.paths.insert(path);
            }
            Named::Derivation(path, outputs) => by_path.push((path, outputs)),
            Named::File(file) => {
                if let Some(directory) = file.parent() {
                    files.add_directory(directory);
                }
                match files.load_file(&file) {
                    Ok((path, derivation)) => {
                        wanted.insert(path.clone(), None);
                        read.insert(path, derivation);
                    }
                    Err(
                        error @ (DrvFileError::Io { .. }
                        | DrvFileError::NotRegular(_)
                        | DrvFileError::Name(_)),
                    ) => return Err(ToolError::failed("read a target", error)),
                    Err(error) => {
                        let subject = file.file_name().unwrap_or_default().to_string_lossy();
                        targets.findings.push(graph::malformed(&subject, &error, store_dir));
                    }
                }
            }
            Named::Expression(expression) => {
                let found = evaluate(&expression, args, environment, store_dir, targets)?;
                let (found, objects) = found;
                files.add_directory(&objects);
                by_path.extend(found);
            }
        }
    }
    // Where derivations of a store are when nobody says otherwise.
    if !by_path.is_empty() {
        files.add_directory(Path::new(store_dir.as_str()));
    }
    for (path, outputs) in by_path {
        match files.load(&path) {
            Ok(derivation) => {
                merge(&mut wanted, path.clone(), outputs);
                read.insert(path, derivation);
            }
            Err(error @ DrvFileError::Missing { .. }) => {
                targets.unanswered.push(open(store_dir.full(&path), error.to_string()));
            }
            Err(error @ (DrvFileError::Io { .. } | DrvFileError::NotRegular(_))) => {
                return Err(ToolError::failed("read a target", error));
            }
            Err(error) => {
                let subject = store_dir.full(&path);
                targets.findings.push(graph::malformed(&subject, &error, store_dir));
            }
        }
    }
    if read.is_empty() {
        return Ok(());
    }
    let graph::Loaded { graph, findings } = graph::load(read, store_dir, &files)
        .map_err(|error| ToolError::failed("read the derivations", error))?;
    targets.findings.extend(findings);
    for (drv_path, outputs) in wanted {
        let Some((derivation, checked)) = graph.usable(&drv_path) else {
            targets.unanswered.push(open(
                store_dir.full(&drv_path),
                "its output paths could not be recomputed (name the directory of its inputs' .drv files with --drv-dir)".to_owned(),
            ));
            continue;
        };
        let mut family = BTreeSet::new();
        for (name, path) in &checked.outputs {
            if outputs.as_ref().is_some_and(|outputs| !outputs.contains(name)) {
                continue;
            }
            match (path, checked.modulo) {
                (Some(path), _) => {
                    family.insert(path.clone());
                }
                (None, Some(modulo)) if derivation.kind() == Kind::FloatingCa => {
                    targets.realisations.extend(DrvOutput::new(modulo, name).ok());
                }
                (None, _) => targets.unanswered.push(open(
                    format!("{}!{name}", store_dir.full(&drv_path)),
                    "the path of this output is known only once its inputs are built".to_owned(),
                )),
            }
        }
        let missing = |name: &&String| !checked.outputs.contains_key(name);
        if let Some(name) = outputs.iter().flatten().find(missing) {
            let drv_path = store_dir.full(&drv_path);
            return Err(ToolError::Usage(format!("{drv_path} has no output '{name}'")));
        }
        targets.paths.extend(family.iter().cloned());
        if family.len() > 1 {
            targets.families.insert(drv_path, family);
        }
    }
    Ok(())
}

/// The derivations that an expression stands for, and where they are as files.
fn evaluate(
    expression: &Expression,
    args: &CacheArgs,
    environment: &Environment,
    store_dir: &StoreDir,
    targets: &mut Targets,
) -> Result<(Vec<(StorePath, Wanted)>, PathBuf), ToolError> {
    let root = args.sources.local_store.as_ref().and_then(Option::as_ref);
    let root = root.map(|root| environment.absolute(root));
    let evaluator = Evaluator::new(environment.variable("PATH"), &environment.directory, store_dir)
        .with_store(root.as_deref())
        .offline(args.sources.offline);
    let found = match evaluator.derivations(expression) {
        Ok(found) => found,
        Err(error) if error.is_ours() => {
            return Err(ToolError::failed("evaluate a target", error));
        }
        Err(error) => {
            let mut open = open(expression.to_string(), error.to_string());
            if error.is_limit() {
                open.reason = Reason::LimitReached;
            }
            targets.unanswered.push(open);
            Vec::new()
        }
    };
    let found = found.into_iter().map(|evaluated| {
        (evaluated.drv_path, evaluated.output.map(|output| BTreeSet::from([output])))
    });
    Ok((found.collect(), evaluator.store_objects()))
}

/// All outputs are more than some.
fn merge(wanted: &mut BTreeMap<StorePath, Wanted>, path: StorePath, outputs: Wanted) {
    match wanted.entry(path).or_insert_with(|| Some(BTreeSet::new())) {
        Some(known) if outputs.is_some() => known.extend(outputs.into_iter().flatten()),
        slot => *slot = None,
    }
}

fn open(subject: String, detail: String) -> Inconclusive {
    Inconclusive { subject, check: OUTPUTS.to_owned(), reason: Reason::DerivationMissing, detail }
}
