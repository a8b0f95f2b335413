//! Everything that a cache in a directory or the local store holds (`--all`).

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;

use rayon::prelude::*;

use super::local;
use crate::check::Finding;
use crate::check::cache::read::refused;
use crate::check::cache::rules::MALFORMED_REGISTRATION;
use crate::check::rebuild::rules::{FOREIGN_NARINFO, MALFORMED_NARINFO};
use crate::gather::cache::file::open_beneath;
use crate::gather::store::local::{LocalStore, LocalStoreError};
use crate::nix::narinfo::{MAX_NARINFO_LEN, NarInfo, NarInfoError};
use crate::nix::nix32;
use crate::nix::store_path::{HASH_PART_LEN, StoreDir, StorePath};

/// How narinfos are named behind the hash part.
const SUFFIX: &str = ".narinfo";

/// What a source holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// The paths.
    pub paths: BTreeSet<StorePath>,
    /// What is wrong with entries that give no path.
    pub findings: Vec<Finding>,
}

/// The narinfos of a cache in a directory, each read to learn its path.
///
/// # Errors
/// When the directory cannot be listed.
pub fn list_directory(directory: &Path, cache: &str, store_dir: &StoreDir) -> io::Result<Listing> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(SUFFIX) {
            names.push(name);
        }
    }
    let read: Vec<Result<StorePath, Finding>> =
        names.par_iter().map(|name| read_entry(directory, name, cache, store_dir)).collect();
    let mut listing = Listing::default();
    for entry in read {
        match entry {
            Ok(path) => {
                listing.paths.insert(path);
            }
            Err(finding) => listing.findings.push(finding),
        }
    }
    Ok(listing)
}

/// The path that a narinfo is about, if it is named as that path's has to be.
fn read_entry(
    directory: &Path,
    name: &str,
    cache: &str,
    store_dir: &StoreDir,
) -> Result<StorePath, Finding> {
    let subject = format!("{cache}/{name}");
    let malformed = |message: String| {
        Finding::new(&MALFORMED_NARINFO, subject.clone(), format!("{cache}: {message}"))
    };
    let hash_part = name.strip_suffix(SUFFIX).unwrap_or_default();
    if hash_part.len() != HASH_PART_LEN || nix32::decode::<20>(hash_part.as_bytes()).is_err() {
        return Err(malformed("the file is not named '<hash part>.narinfo'".to_owned()));
    }
    let file = open_beneath(directory, name).map_err(|error| malformed(error.to_string()))?;
    let file = file.ok_or_else(|| malformed("the file is gone".to_owned()))?;
    let cap = u64::try_from(MAX_NARINFO_LEN).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(cap).read_to_end(&mut bytes).map_err(|error| malformed(error.to_string()))?;
    match NarInfo::parse(&bytes, store_dir) {
        Ok(info) if info.store_path.hash_part() == hash_part => Ok(info.store_path),
        Ok(info) => {
            let message = format!("{cache} has the narinfo of another store path under this name");
            Err(Finding::new(&FOREIGN_NARINFO, subject.clone(), message)
                .with("StorePath", store_dir.full(&info.store_path)))
        }
        // Fit to be asked about, so that the finding names the path.
        Err(error @ NarInfoError::TooLong(_)) => Err(*refused(&error, &subject, cache)),
        Err(error) => match path_line(&bytes, hash_part, store_dir) {
            Some(path) => Ok(path),
            None => Err(*refused(&error, &subject, cache)),
        },
    }
}

/// The path that a malformed narinfo is plainly about.
fn path_line(bytes: &[u8], hash_part: &str, store_dir: &StoreDir) -> Option<StorePath> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("StorePath: "))?;
    store_dir.parse(line).ok().filter(|path| path.hash_part() == hash_part)
}

/// The paths of a local store; objects that its database does not know are
/// findings.
///
/// # Errors
/// When the database or the directory cannot be read.
pub fn list_local(local: &LocalStore, store_dir: &StoreDir) -> Result<Listing, LocalStoreError> {
    let mut listing = Listing::default();
    for path in local.paths()? {
        match path {
            Ok(path) => {
                listing.paths.insert(path);
            }
            Err(error) => listing.findings.push(Finding::new(
                &MALFORMED_REGISTRATION,
                local::name(local),
                error.to_string(),
            )),
        }
    }
    let objects = local.objects().map_err(|source| LocalStoreError::Objects {
        directory: local.directory().to_owned(),
        source,
    })?;
    for path in objects {
        if !listing.paths.contains(&path) && !local::is_lock(local, &path) {
            let subject = store_dir.full(&path);
            listing.findings.push(local::unregistered(local, &subject, &path));
        }
    }
    Ok(listing)
}
