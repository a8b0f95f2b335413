//! The derivations that a hash modulo needs, read from directories.
//!
//! A fixed output stands for itself, so what *it* is made from is not needed.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::input::{self, InputError};
use crate::check::inspect::derivation::ModuloInputs;
use crate::nix::derivation::aterm::MAX_DRV_LEN;
use crate::nix::derivation::{Derivation, name_of};
use crate::nix::store_path::{StoreDir, StorePath};

/// Reads what `derivation` builds on from the first of `directories` that has
/// a file of that name.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read(
    derivation: &Derivation,
    directories: &[PathBuf],
    store_dir: &StoreDir,
) -> Result<ModuloInputs, InputError> {
    let mut found = ModuloInputs::default();
    let needed = |one: &Derivation| -> Vec<StorePath> {
        if one.is_fixed() { Vec::new() } else { one.input_drvs.keys().cloned().collect() }
    };
    let mut todo = needed(derivation);
    let mut seen: BTreeSet<StorePath> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        let Some(bytes) = find(&path, directories)? else {
            found.missing.insert(path);
            continue;
        };
        match parse(&path, &bytes, store_dir) {
            Ok(input) => {
                todo.extend(needed(&input).into_iter().filter(|next| seen.insert(next.clone())));
                found.derivations.insert(path, input);
            }
            Err(problem) => {
                found.bad.insert(path, problem);
            }
        }
    }
    Ok(found)
}

fn find(path: &StorePath, directories: &[PathBuf]) -> Result<Option<Vec<u8>>, InputError> {
    for directory in directories {
        match input::read(&directory.join(path.to_string()), MAX_DRV_LEN) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error)
                if matches!(
                    error.source.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn parse(path: &StorePath, bytes: &[u8], store_dir: &StoreDir) -> Result<Derivation, String> {
    let derivation = Derivation::parse(bytes, store_dir).map_err(|error| error.to_string())?;
    let name = name_of(path).ok_or("its path does not end in '.drv'")?;
    let computed = derivation.drv_path(name, store_dir).map_err(|error| error.to_string())?;
    if computed == *path { Ok(derivation) } else { Err(format!("its bytes belong to {computed}")) }
}
