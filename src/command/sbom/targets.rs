//! What a bill of materials is to be about, told apart by how it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::deliver::show;
use super::super::sources::Sources;
use super::super::{Environment, ToolError};
use super::make::BillArgs;
use crate::check::{Finding, Inconclusive, Reason};
use crate::gather::bill;
use crate::gather::derivations::evaluate::{Evaluator, Expression};
use crate::gather::derivations::files::{DrvFileError, DrvFiles};
use crate::gather::derivations::graph;
use crate::gather::named::files::{Named as Found, look_at};
use crate::gather::named::input;
use crate::nix::closure_listing::Listing;
use crate::nix::derivation::Derivation;
use crate::nix::json::MAX_LEN;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::sbom::assemble::{Object, Target};

/// The check that a target which cannot be read leaves open.
const READING: &str = "what it is made of";

/// Everything that the command line names.
pub(super) struct Named<'a> {
    pub(super) targets: BTreeSet<Target>,
    /// The derivations that are named.
    pub(super) derivations: BTreeMap<StorePath, Derivation>,
    /// Where others are found.
    pub(super) files: DrvFiles<'a>,
    /// What listings say.
    pub(super) objects: BTreeMap<StorePath, Object>,
    pub(super) findings: Vec<Finding>,
    pub(super) unanswered: Vec<Inconclusive>,
}

/// One word of the command line.
enum Word {
    Path(StorePath),
    Derivation(StorePath, Option<BTreeSet<String>>),
    File(PathBuf),
    Expression(Expression),
}

/// Reads what is named, and the derivations below it.
///
/// # Errors
/// Something that is none of what a bill can be about, or that cannot be read.
pub(super) fn read<'a>(
    args: &'a BillArgs,
    environment: &'a Environment,
    sources: &Sources,
    store_dir: &'a StoreDir,
) -> Result<Named<'a>, ToolError> {
    let files = args.derivations.open(environment, store_dir, sources.local.as_ref())?;
    let mut reading = Reading {
        args,
        environment,
        store_dir,
        files,
        read: BTreeMap::new(),
        targets: BTreeSet::new(),
        roots: BTreeSet::new(),
        objects: BTreeMap::new(),
        findings: Vec::new(),
        unanswered: Vec::new(),
    };
    for word in &args.targets {
        let word = reading.tell(word)?;
        reading.add(word)?;
    }
    for expression in args.expressions.named() {
        reading.evaluate(&expression)?;
    }
    Ok(reading.finish())
}

struct Reading<'a> {
    args: &'a BillArgs,
    environment: &'a Environment,
    store_dir: &'a StoreDir,
    files: DrvFiles<'a>,
    read: BTreeMap<StorePath, Derivation>,
    targets: BTreeSet<Target>,
    /// What listings begin with: the targets if no path is named beside them.
    roots: BTreeSet<StorePath>,
    objects: BTreeMap<StorePath, Object>,
    findings: Vec<Finding>,
    unanswered: Vec<Inconclusive>,
}

impl<'a> Reading<'a> {
    fn tell(&self, word: &OsStr) -> Result<Word, ToolError> {
        let text = word.to_str().unwrap_or_default();
        let (whole, outputs) = match text.split_once(['^', '!']) {
            Some((whole, outputs)) => (whole, Some(outputs)),
            None => (text, None),
        };
        if let Ok(path) = self.store_dir.parse(whole) {
            return Ok(match (path.is_derivation(), outputs) {
                (true, None | Some("*")) => Word::Derivation(path, None),
                (true, Some(names)) => {
                    Word::Derivation(path, Some(names.split(',').map(str::to_owned).collect()))
                }
                (false, _) => Word::Path(path),
            });
        }
        let file = self.environment.absolute(Path::new(word));
        match look_at(&file, self.store_dir) {
            Found::InStore(path) if path.is_derivation() => Ok(Word::Derivation(path, None)),
            Found::InStore(path) => Ok(Word::Path(path)),
            Found::File => Ok(Word::File(file)),
            Found::Flake => Ok(Word::Expression(Expression::Flake(text.to_owned()))),
            _ if text.contains(['#', ':']) => {
                Ok(Word::Expression(Expression::Flake(text.to_owned())))
            }
            Found::Directory | Found::Nothing => Err(ToolError::Usage(format!(
                "'{}' is nothing a bill of materials can be about (expected a .drv file, a store \
                 path, a link into the store, the listing of exportReferencesGraph, or an \
                 installable such as nixpkgs#hello)",
                show(Path::new(word))
            ))),
        }
    }

    fn add(&mut self, word: Word) -> Result<(), ToolError> {
        match word {
            Word::Path(path) => {
                self.targets.insert(Target::Path(path));
            }
            Word::Derivation(path, outputs) => self.load(path, outputs)?,
            Word::File(file) => self.file(&file)?,
            Word::Expression(expression) => self.evaluate(&expression)?,
        }
        Ok(())
    }

    /// A `.drv`, or the listing of a closure.
    fn file(&mut self, file: &Path) -> Result<(), ToolError> {
        if file.extension().is_none_or(|extension| extension != "drv") {
            return self.listing(file);
        }
        if let Some(directory) = file.parent() {
            self.files.add_directory(directory);
        }
        match self.files.load_file(file) {
            Ok((path, derivation)) => {
                self.targets.insert(Target::Derivation(path.clone(), None));
                self.read.insert(path, derivation);
            }
            Err(
                error @ (DrvFileError::Io { .. }
                | DrvFileError::NotRegular(_)
                | DrvFileError::Name(_)),
            ) => return Err(ToolError::failed("read a target", error)),
            Err(error) => {
                let subject = file.file_name().unwrap_or_default().to_string_lossy();
                self.findings.push(graph::malformed(&subject, &error, self.store_dir));
            }
        }
        Ok(())
    }

    fn listing(&mut self, file: &Path) -> Result<(), ToolError> {
        let doing = || format!("read the closure listed in '{}'", show(file));
        let bytes =
            input::read(file, MAX_LEN).map_err(|error| ToolError::failed(doing(), error))?;
        if bytes.len() > MAX_LEN {
            let why = format!("it is longer than {MAX_LEN} bytes");
            return Err(ToolError::failed(doing(), why));
        }
        let listing = Listing::parse(&bytes, self.store_dir)
            .map_err(|error| ToolError::failed(doing(), error))?;
        let named = self.args.targets.len() > 1;
        match listing.roots() {
            Ok(roots) => self.roots.extend(roots),
            Err(_) if named => {}
            Err(error) => return Err(ToolError::failed(doing(), error)),
        }
        self.objects.extend(bill::listed(&listing));
        Ok(())
    }

    fn load(
        &mut self,
        path: StorePath,
        outputs: Option<BTreeSet<String>>,
    ) -> Result<(), ToolError> {
        self.files.add_directory(Path::new(self.store_dir.as_str()));
        match self.files.load(&path) {
            Ok(derivation) => {
                let missing = |name: &&String| !derivation.outputs.contains_key(name);
                if let Some(name) = outputs.iter().flatten().find(missing) {
                    let path = self.store_dir.full(&path);
                    return Err(ToolError::Usage(format!("{path} has no output '{name}'")));
                }
                self.read.insert(path.clone(), derivation);
            }
            Err(error @ (DrvFileError::Io { .. } | DrvFileError::NotRegular(_))) => {
                return Err(ToolError::failed("read a target", error));
            }
            Err(error @ DrvFileError::Missing { .. }) => self.open(&path, error.to_string()),
            Err(error) => {
                let subject = self.store_dir.full(&path);
                self.findings.push(graph::malformed(&subject, &error, self.store_dir));
            }
        }
        self.targets.insert(Target::Derivation(path, outputs));
        Ok(())
    }

    fn evaluate(&mut self, expression: &Expression) -> Result<(), ToolError> {
        let root = self.args.sources.local_store.as_ref().and_then(Option::as_ref);
        let root = root.map(|root| self.environment.absolute(root));
        let environment = self.environment;
        let evaluator =
            Evaluator::new(environment.variable("PATH"), &environment.directory, self.store_dir)
                .with_store(root.as_deref())
                .offline(self.args.sources.offline);
        match evaluator.derivations(expression) {
            Ok(found) => {
                self.files.add_directory(&evaluator.store_objects());
                for one in found {
                    self.load(one.drv_path, one.output.map(|output| BTreeSet::from([output])))?;
                }
            }
            Err(error) if error.is_ours() => {
                return Err(ToolError::failed("evaluate a target", error));
            }
            Err(error) => self.unanswered.push(Inconclusive {
                subject: expression.to_string(),
                check: READING.to_owned(),
                reason: if error.is_limit() {
                    Reason::LimitReached
                } else {
                    Reason::DerivationMissing
                },
                detail: error.to_string(),
            }),
        }
        Ok(())
    }

    fn open(&mut self, path: &StorePath, detail: String) {
        self.unanswered.push(Inconclusive {
            subject: self.store_dir.full(path),
            check: READING.to_owned(),
            reason: Reason::DerivationMissing,
            detail,
        });
    }

    fn finish(mut self) -> Named<'a> {
        if self.targets.is_empty() {
            self.targets = std::mem::take(&mut self.roots).into_iter().map(Target::Path).collect();
        }
        Named {
            targets: self.targets,
            derivations: self.read,
            files: self.files,
            objects: self.objects,
            findings: self.findings,
            unanswered: self.unanswered,
        }
    }
}
