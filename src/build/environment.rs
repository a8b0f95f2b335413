//! What a builder finds in its environment and its build directory.
//!
//! Follows `initEnv`, `initTmpDir` and `writeStructuredAttrs` in
//! `local-derivation-goal.cc`, `derivation-env-desugar.cc` from 2.31 on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::nix::derivation::graph_text::{GraphError, GraphNode, exported, graph_json, graph_text};
use crate::nix::derivation::options::Options;
use crate::nix::derivation::placeholder::{Rewrites, output_placeholder};
use crate::nix::derivation::{Derivation, Kind, name_of};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::StorePath;
use crate::nix::structured_attrs::Json;

use super::content_addressed::scratch_paths;
use super::job::{BuildJob, InputObject};
use super::outcome::{BuildError, FailureReason};
use super::sandbox::BUILD_DIR;
use super::sandbox::plan::c_string;

/// A file that waits for the builder in its build directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFile {
    /// Its name, one component.
    pub name: Vec<u8>,
    /// Its content.
    pub content: Vec<u8>,
    /// Whether it belongs to the builder, else to root.
    pub owned: bool,
}

/// Everything a builder starts from, besides its world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Where each output is to be made: its final path where that is known.
    pub scratch: BTreeMap<String, StorePath>,
    /// The arguments, the zeroth included.
    pub arguments: Vec<CString>,
    /// `name=value`, sorted by name.
    pub environment: Vec<CString>,
    /// The derivation's own environment with placeholders replaced, which is
    /// what builtin builders read.
    pub own_environment: Vec<CString>,
    /// Files in the build directory.
    pub files: Vec<BuildFile>,
}

/// Why a start cannot be made: the derivation's fault, or ours.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The derivation's.
    #[error("{0}")]
    Refused(Box<FailureReason>),
    /// Ours.
    #[error(transparent)]
    Build(#[from] BuildError),
}

fn refused(why: impl Into<String>) -> StartError {
    StartError::Refused(Box::new(FailureReason::BadDerivation(why.into())))
}

/// Prepares environment, arguments and files. `variable` looks up what the
/// derivation may see of our own environment; `processors` is their number.
///
/// # Errors
/// A derivation whose attributes cannot be honoured.
pub fn prepare(
    job: &BuildJob,
    options: &Options,
    processors: usize,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Start, StartError> {
    let derivation = &job.derivation;
    let mut rewrites = Rewrites::default();
    let name = name_of(&job.drv_path).unwrap_or_else(|| job.drv_path.name());
    let scratch = scratch_paths(&job.store_dir, &job.drv_path, name, derivation)
        .map_err(|error| refused(error.to_string()))?;
    for (output, path) in &scratch {
        rewrites.insert(output_placeholder(output), job.store_dir.full(path));
    }

    let mut files = Vec::new();
    let mut environment = defaults(job, processors);
    if options.structured_attrs.is_none() {
        add_attributes(&mut environment, derivation, options, &rewrites, &mut files);
        for (name, roots) in &options.export_references_graph {
            let content = Graphs::of(job)?.plain(roots)?;
            let owned = job.world.graph_files_owned;
            files.push(BuildFile { name: name.clone().into_bytes(), content, owned });
        }
    }
    for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
        environment.insert(name.into(), BUILD_DIR.into());
    }
    if derivation.is_fixed() {
        environment.insert(b"NIX_OUTPUT_CHECKED".into(), b"1".into());
    }
    if matches!(derivation.kind(), Kind::Fixed | Kind::Impure) {
        for name in &options.impure_env_vars {
            let value = variable(name).map(OsString::into_vec).unwrap_or_default();
            environment.insert(name.clone().into_bytes(), value);
        }
    }
    environment.insert(b"NIX_LOG_FD".into(), b"2".into());
    environment.insert(b"TERM".into(), b"xterm-256color".into());
    add_structured(&mut environment, job, options, &scratch, &rewrites, &mut files)?;

    let mut arguments = vec![c_string(base_name(&derivation.builder).to_vec())];
    arguments.extend(derivation.args.iter().map(|argument| c_string(rewrites.apply(argument))));
    Ok(Start {
        scratch,
        arguments,
        environment: lines(&environment, &rewrites),
        own_environment: lines(&derivation.env, &rewrites),
        files,
    })
}

/// Variables that the derivation may override.
fn defaults(job: &BuildJob, processors: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let cores = if job.cores == 0 && job.world.zero_cores_counted {
        processors.to_string()
    } else {
        job.cores.to_string()
    };
    [
        ("PATH", "/path-not-set"),
        ("HOME", "/homeless-shelter"),
        ("NIX_STORE", job.store_dir.as_str()),
        ("NIX_BUILD_CORES", &cores),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.into()))
    .collect()
}

/// The derivation's own variables, those named in `passAsFile` as files.
fn add_attributes(
    environment: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    derivation: &Derivation,
    options: &Options,
    rewrites: &Rewrites,
    files: &mut Vec<BuildFile>,
) {
    for (name, value) in &derivation.env {
        if !options.pass_as_file.contains(name) {
            environment.insert(name.clone(), value.clone());
            continue;
        }
        let file = format!(".attr-{}", Hash::of(HashAlgorithm::Sha256, name).nix32());
        let path = format!("{BUILD_DIR}/{file}");
        environment.insert([name.as_slice(), b"Path"].concat(), path.into_bytes());
        let content = rewrites.apply(value);
        files.push(BuildFile { name: file.into_bytes(), content, owned: true });
    }
}

/// `.attrs.json` and `.attrs.sh`, and the variables that name them.
fn add_structured(
    environment: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    job: &BuildJob,
    options: &Options,
    scratch: &BTreeMap<String, StorePath>,
    rewrites: &Rewrites,
    files: &mut Vec<BuildFile>,
) -> Result<(), StartError> {
    let Some(attributes) = &options.structured_attrs else { return Ok(()) };
    let outputs =
        scratch.iter().map(|(output, path)| (output.clone(), job.store_dir.full(path))).collect();
    let mut graphs = BTreeMap::new();
    for (name, roots) in &options.export_references_graph {
        graphs.insert(name.clone(), Graphs::of(job)?.structured(roots)?);
    }
    let attributes = attributes.prepare(&outputs, &graphs);
    // Before 2.13.4 the variables named the build directory on the host.
    let directory = if job.world.attrs_paths_inside {
        BUILD_DIR.to_owned()
    } else {
        format!("/tmp/nix-build-{}-0", job.drv_path.name())
    };
    for (variable, file, content) in [
        ("NIX_ATTRS_SH_FILE", ".attrs.sh", attributes.to_shell()),
        ("NIX_ATTRS_JSON_FILE", ".attrs.json", attributes.to_json()),
    ] {
        environment.insert(variable.into(), format!("{directory}/{file}").into_bytes());
        let content = rewrites.apply(content.as_bytes());
        files.push(BuildFile { name: file.into(), content, owned: true });
    }
    Ok(())
}

/// `name=value`, placeholders replaced in both.
fn lines(environment: &BTreeMap<Vec<u8>, Vec<u8>>, rewrites: &Rewrites) -> Vec<CString> {
    environment
        .iter()
        .map(|(name, value)| [name.as_slice(), b"=", value.as_slice()].concat())
        .map(|line| c_string(rewrites.apply(&line)))
        .collect()
}

/// The last component of a path, one trailing slash aside (`baseNameOf`).
fn base_name(path: &[u8]) -> &[u8] {
    let path = match path.strip_suffix(b"/") {
        Some(rest) if !rest.is_empty() => rest,
        _ => path,
    };
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The graphs that a job may export: what is known of every input.
struct Graphs<'a> {
    job: &'a BuildJob,
    nodes: BTreeMap<StorePath, GraphNode>,
    derivations: BTreeMap<StorePath, Derivation>,
}

impl<'a> Graphs<'a> {
    /// Reads the derivations among the inputs, whose outputs are exported
    /// with them.
    fn of(job: &'a BuildJob) -> Result<Self, StartError> {
        let nodes = job.inputs.iter().map(|(path, input)| (path.clone(), node(input))).collect();
        let mut derivations = BTreeMap::new();
        for (path, input) in job.inputs.iter().filter(|(path, _)| path.is_derivation()) {
            let host = &input.host_path;
            let text = std::fs::read(host).map_err(|source| BuildError::Path {
                action: "read",
                path: host.clone(),
                source,
            })?;
            let derivation = Derivation::parse(&text, &job.store_dir)
                .map_err(|error| refused(format!("the input '{path}' is damaged: {error}")))?;
            derivations.insert(path.clone(), derivation);
        }
        Ok(Self { job, nodes, derivations })
    }

    fn plain(&self, roots: &BTreeSet<StorePath>) -> Result<Vec<u8>, StartError> {
        exported(roots, &self.nodes, &self.derivations)
            .and_then(|paths| graph_text(&paths, &self.nodes, &self.job.store_dir))
            .map(String::into_bytes)
            .map_err(|error| self.missing(&error))
    }

    fn structured(&self, roots: &BTreeSet<StorePath>) -> Result<Json, StartError> {
        let valid = self.job.world.graph_valid_key;
        exported(roots, &self.nodes, &self.derivations)
            .and_then(|paths| graph_json(&paths, &self.nodes, &self.job.store_dir, valid))
            .map_err(|error| self.missing(&error))
    }

    /// Outputs of an exported derivation need not be inputs. Nix finds them
    /// in its store; we do not have them.
    fn missing(&self, error: &GraphError) -> StartError {
        match error {
            GraphError::Missing(_) if self.derivations.is_empty() => refused(error.to_string()),
            _ => StartError::Refused(Box::new(FailureReason::Unsupported(format!(
                "exportReferencesGraph: {error}"
            )))),
        }
    }
}

fn node(input: &InputObject) -> GraphNode {
    GraphNode {
        nar_hash: input.nar_hash,
        nar_size: input.nar_size,
        references: input.references.clone(),
        content_address: input.ca.as_ref().map(ToString::to_string),
    }
}

/// A path as bytes, for names of files in the build directory.
#[must_use]
pub fn os_name(name: &[u8]) -> &std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(name)
}
