//! The derivations that a hash modulo needs.
//!
//! A fixed output stands for itself, so what *it* is made from is not needed.

use std::collections::BTreeSet;

use crate::check::inspect::derivation::ModuloInputs;
use crate::gather::derivations::files::{DrvFileError, DrvFiles};
use crate::nix::derivation::Derivation;
use crate::nix::store_path::StorePath;

/// Reads what `derivation` builds on.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read(derivation: &Derivation, files: &DrvFiles) -> Result<ModuloInputs, DrvFileError> {
    let mut found = ModuloInputs::default();
    let needed = |one: &Derivation| -> Vec<StorePath> {
        if one.is_fixed() { Vec::new() } else { one.input_drvs.keys().cloned().collect() }
    };
    let mut todo = needed(derivation);
    let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        match files.load(&path) {
            Ok(input) => {
                todo.extend(needed(&input).into_iter().filter(|next| seen.insert(next.clone())));
                found.derivations.insert(path, input);
            }
            Err(DrvFileError::Missing { .. }) => {
                found.missing.insert(path);
            }
            Err(error @ DrvFileError::Io { .. }) => return Err(error),
            Err(problem) => {
                found.bad.insert(path, problem.to_string());
            }
        }
    }
    Ok(found)
}
