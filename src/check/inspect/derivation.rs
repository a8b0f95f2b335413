//! What a derivation says, and whether its paths follow from it.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::BAD_ATTRIBUTE;
use super::{Answers, Inspected};
use crate::check::rebuild::rules::{MALFORMED_DERIVATION, WRONG_OUTPUT_PATH};
use crate::check::{Finding, Reason};
use crate::nix::derivation::modulo::ModuloError;
use crate::nix::derivation::options::Options;
use crate::nix::derivation::{Derivation, OutputPathCheck, PathsReport, check_paths};
use crate::nix::store_path::{StoreDir, StorePath};

/// The check of the `.drv` file's own path.
const DRV_PATH: &str = "path of the derivation";

/// The check of the outputs' paths.
const OUTPUT_PATHS: &str = "output paths";

/// Missing inputs that are named in one answer; the facts name them all.
const MAX_NAMED: usize = 5;

/// What is known of the derivation's path beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The whole path, from the user or the file's name.
    Path(StorePath),
    /// The name alone.
    Name(String),
    /// Nothing.
    Unknown,
}

/// What was found of the derivations that a hash modulo needs.
#[derive(Debug, Clone, Default)]
pub struct ModuloInputs {
    /// Derivations whose bytes are those of their path.
    pub derivations: BTreeMap<StorePath, Derivation>,
    /// Paths of which no directory has a file.
    pub missing: BTreeSet<StorePath>,
    /// Files that are no derivation, or another one than their name says, and
    /// what is wrong with them.
    pub bad: BTreeMap<StorePath, String>,
}

/// What a derivation says.
#[derive(Debug, Clone)]
pub struct DerivationFacts {
    /// Its fields.
    pub derivation: Derivation,
    /// The path its bytes have, when its name is known.
    pub drv_path: Option<StorePath>,
    /// The outputs' paths recomputed, when all inputs were at hand.
    pub paths: Option<PathsReport>,
    /// Inputs that were not at hand.
    pub missing: Vec<StorePath>,
    /// The attributes with a meaning to Nix, unless one cannot be understood
    /// or has to wait until inputs are built.
    pub options: Option<Options>,
}

/// Reads a derivation.
///
/// # Errors
/// The finding about bytes that are no derivation, as a whole inspection.
pub fn parse(
    subject: &str,
    bytes: &[u8],
    store_dir: &StoreDir,
) -> Result<Derivation, Box<Inspected<DerivationFacts>>> {
    Derivation::parse(bytes, store_dir).map_err(|error| {
        let mut answers = Answers::about(subject);
        answers.fail(
            Finding::new(&MALFORMED_DERIVATION, subject, error.to_string())
                .with("byte offset", error.offset),
        );
        Box::new(Inspected { facts: None, answers })
    })
}

/// Judges a derivation that was read, with the inputs that were found.
#[must_use]
pub fn inspect(
    subject: &str,
    derivation: Derivation,
    name: &Name,
    inputs: &ModuloInputs,
    store_dir: &StoreDir,
) -> Inspected<DerivationFacts> {
    let mut answers = Answers::about(subject);
    answers.pass();
    let drv_path = check_drv_path(&mut answers, &derivation, name, store_dir);
    for (path, problem) in &inputs.bad {
        answers.remark(Finding::new(&MALFORMED_DERIVATION, store_dir.full(path), problem.as_str()));
    }
    let paths = check_outputs(&mut answers, &derivation, drv_path.as_ref(), inputs, store_dir);
    let options = match Options::of(&derivation, store_dir) {
        Ok(options) => Some(options),
        // Before inputs are built placeholders stand where store paths will be.
        Err(_) if derivation.needs_resolving() => None,
        Err(error) => {
            answers.remark(Finding::new(&BAD_ATTRIBUTE, subject, error.to_string()));
            None
        }
    };
    let missing = inputs.missing.iter().cloned().collect();
    let facts = DerivationFacts { derivation, drv_path, paths, missing, options };
    Inspected { facts: Some(facts), answers }
}

fn check_drv_path(
    answers: &mut Answers,
    derivation: &Derivation,
    name: &Name,
    store_dir: &StoreDir,
) -> Option<StorePath> {
    let (expected, text) = match name {
        Name::Path(path) => (Some(path), path.name().strip_suffix(".drv").unwrap_or(path.name())),
        Name::Name(name) => (None, name.as_str()),
        Name::Unknown => {
            answers.not_run(DRV_PATH, "the file's name says nothing; ask with --store-path");
            return None;
        }
    };
    let computed = match derivation.drv_path(text, store_dir) {
        Ok(path) => path,
        Err(error) => {
            let message = format!("it has no store path under the name '{text}': {error}");
            answers.fail(Finding::new(&MALFORMED_DERIVATION, answers.subject.clone(), message));
            return None;
        }
    };
    match expected {
        None => {
            answers.not_run(DRV_PATH, "the file's name has no hash part; ask with --store-path")
        }
        Some(path) if *path == computed => answers.pass(),
        Some(path) => answers.fail(
            Finding::new(
                &MALFORMED_DERIVATION,
                answers.subject.clone(),
                "its bytes belong to another store path",
            )
            .with("asked for", store_dir.full(path))
            .with("path of these bytes", store_dir.full(&computed)),
        ),
    }
    Some(computed)
}

fn check_outputs(
    answers: &mut Answers,
    derivation: &Derivation,
    drv_path: Option<&StorePath>,
    inputs: &ModuloInputs,
    store_dir: &StoreDir,
) -> Option<PathsReport> {
    let Some(drv_path) = drv_path else {
        answers.not_run(OUTPUT_PATHS, "the derivation's name is not known; ask with --store-path");
        return None;
    };
    if !inputs.bad.is_empty() {
        answers.open(OUTPUT_PATHS, Reason::InputMissing, "an input's derivation is damaged");
        return None;
    }
    if !inputs.missing.is_empty() {
        let mut named: Vec<String> =
            inputs.missing.iter().take(MAX_NAMED).map(|path| store_dir.full(path)).collect();
        if inputs.missing.len() > MAX_NAMED {
            named.push(format!("and {} more", inputs.missing.len().saturating_sub(MAX_NAMED)));
        }
        answers.open(
            OUTPUT_PATHS,
            Reason::DerivationMissing,
            format!("not found in any --drv-dir: {}", named.join(", ")),
        );
        return None;
    }
    let report = match check_paths(derivation, drv_path, store_dir, &inputs.derivations) {
        Ok(report) => report,
        Err(error @ ModuloError::Missing(_)) => {
            answers.open(OUTPUT_PATHS, Reason::DerivationMissing, error.to_string());
            return None;
        }
        Err(error) => {
            let subject = answers.subject.clone();
            answers.fail(Finding::new(&MALFORMED_DERIVATION, subject, error.to_string()));
            return None;
        }
    };
    answers.pass();
    for (name, check) in &report.outputs {
        if let Some(finding) = wrong_path(&answers.subject, name, check, store_dir) {
            answers.remark(finding);
        }
    }
    Some(report)
}

fn wrong_path(
    subject: &str,
    name: &str,
    check: &OutputPathCheck,
    store_dir: &StoreDir,
) -> Option<Finding> {
    let finding = |message: &str| {
        Finding::new(&WRONG_OUTPUT_PATH, subject, format!("output '{name}': {message}"))
    };
    Some(match check {
        OutputPathCheck::Matches { .. }
        | OutputPathCheck::NeedlesslyDeferred { .. }
        | OutputPathCheck::NoPathYet => return None,
        OutputPathCheck::Differs { stated, expected } => {
            finding("its path is not the one that follows from the derivation")
                .with("stated", store_dir.full(stated))
                .with("recomputed", store_dir.full(expected))
        }
        OutputPathCheck::VariableDiffers { path, found } => {
            let shown = found
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), |value| value.escape_ascii().to_string());
            finding("the variable of its name holds something else than its path")
                .with("path", store_dir.full(path))
                .with("variable", shown)
        }
        OutputPathCheck::ShouldBeDeferred { stated } => {
            finding("it states a path although an input's path is not known before the build")
                .with("stated", store_dir.full(stated))
        }
    })
}
