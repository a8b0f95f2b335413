//! The targets that the command line names, read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::cli::RebuildArgs;
use super::super::sources::Sources;
use super::super::{Environment, ToolError};
use crate::check::Finding;
use crate::gather::drv_files::{DrvFileError, DrvFiles};
use crate::gather::graph;
use crate::nix::derivation::Derivation;
use crate::nix::store_path::{StoreDir, StorePath};

/// The targets, read.
pub struct Targets {
    /// The store paths of those that have one.
    pub paths: BTreeSet<StorePath>,
    /// What they say.
    pub derivations: BTreeMap<StorePath, Derivation>,
    /// Where further derivations are found.
    pub files: DrvFiles,
    /// Targets that are malformed.
    pub findings: Vec<Finding>,
}

/// Reads what the command line names.
///
/// # Errors
/// A file that cannot be read at all; a malformed one is a finding.
pub fn read_targets(
    args: &RebuildArgs,
    environment: &Environment,
    sources: &Sources,
    store_dir: &StoreDir,
) -> Result<Targets, ToolError> {
    let mut files = DrvFiles::new(store_dir.clone());
    for directory in &args.drv_dirs {
        files.add_directory(&environment.absolute(directory));
    }
    if let Some(local) = &sources.local {
        files.add_local_store(std::sync::Arc::clone(local));
    }
    let mut derivations = BTreeMap::new();
    let mut findings = Vec::new();
    let mut directories = Vec::new();
    for target in &args.targets {
        let file = environment.absolute(target);
        directories.extend(file.parent().map(Path::to_owned));
        match files.load_file(&file) {
            Ok((path, derivation)) => {
                derivations.insert(path, derivation);
            }
            Err(
                error @ (DrvFileError::Io { .. }
                | DrvFileError::NotRegular(_)
                | DrvFileError::Name(_)),
            ) => {
                return Err(ToolError::failed("read a target", error));
            }
            Err(error) => {
                let subject = file.file_name().unwrap_or_default().to_string_lossy();
                findings.push(graph::malformed(&subject, &error, store_dir));
            }
        }
    }
    for directory in directories {
        files.add_directory(&directory);
    }
    Ok(Targets { paths: derivations.keys().cloned().collect(), derivations, files, findings })
}
