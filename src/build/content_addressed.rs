//! The paths under which outputs are built.
//!
//! In the sandbox an output is built under its own path if that is known. If
//! its path follows from its content it gets a scratch path, and every
//! occurrence of that is replaced later ([`super::outputs`]).

use std::collections::BTreeMap;

use crate::nix::derivation::{Derivation, output_path_name};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::{NameError, StoreDir, StorePath};

/// The path under which an output is built whose own path is not known yet
/// (`makeFallbackPath` of `src/libstore/build/local-derivation-goal.cc`).
/// `name` is the derivation's, without `.drv`.
///
/// # Errors
/// A name that no store path may have.
pub fn scratch_path(
    store_dir: &StoreDir,
    drv_path: &StorePath,
    name: &str,
    output: &str,
) -> Result<StorePath, NameError> {
    let zero = Hash::new(HashAlgorithm::Sha256, &[0; 32]);
    let zero = zero.unwrap_or_else(|| Hash::of(HashAlgorithm::Sha256, &[]));
    let kind = format!("rewrite:{drv_path}:name:{output}");
    StorePath::make(store_dir, &kind, &zero, &output_path_name(name, output))
}

/// The paths under which the outputs of a resolved derivation are built in
/// the sandbox, by output. `name` is the derivation's, without `.drv`.
///
/// # Errors
/// A name that no store path may have.
pub fn scratch_paths(
    store_dir: &StoreDir,
    drv_path: &StorePath,
    name: &str,
    derivation: &Derivation,
) -> Result<BTreeMap<String, StorePath>, NameError> {
    let path = |(output, what): (&String, &crate::nix::derivation::Output)| {
        let path = match what.path() {
            Some(path) => path.clone(),
            None => scratch_path(store_dir, drv_path, name, output)?,
        };
        Ok((output.clone(), path))
    };
    derivation.outputs.iter().map(path).collect()
}
