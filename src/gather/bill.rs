//! Store objects for a bill of materials: what sources say of them, and what
//! their bytes are.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest as _, Sha512};

use crate::check::cache::{SourceKind, SubjectFacts, Survey, versions};
use crate::gather::nar::tree::{self, TreeError};
use crate::nix::closure_listing::Listing;
use crate::nix::hash::{NarHash, base16};
use crate::nix::store_path::StorePath;
use crate::sbom::assemble::Object;

/// The objects of a listing.
#[must_use]
pub fn listed(listing: &Listing) -> BTreeMap<StorePath, Object> {
    let object = |listed: &crate::nix::closure_listing::Listed| Object {
        nar: listed.nar.map(|(hash, size)| (hash, Some(size))),
        references: Some(listed.references.clone()),
        deriver: listed.deriver.clone(),
        ..Object::default()
    };
    listing.paths.iter().map(|(path, listed)| (path.clone(), object(listed))).collect()
}

/// What sources said, object by object. Where they disagree, what the local
/// store has counts, for that is what is here; else what is signed.
#[must_use]
pub fn surveyed(survey: &Survey) -> BTreeMap<StorePath, Object> {
    let objects = survey.subjects.iter().filter_map(|subject| {
        Some((survey.table.path(subject.id)?.clone(), object(survey, subject)))
    });
    objects.collect()
}

fn object(survey: &Survey, subject: &SubjectFacts) -> Object {
    let mut object = Object::default();
    let all = versions(subject);
    let is_local = |source: usize| {
        survey.sources.get(source).is_some_and(|one| one.kind == SourceKind::LocalStore)
    };
    let here = all.iter().find(|one| one.claims.iter().any(|(source, _)| is_local(*source)));
    let Some(chosen) = here.or_else(|| all.first()) else {
        return object;
    };
    object.nar = Some((chosen.nar_hash, Some(chosen.nar_size)));
    let references = chosen.references.iter().filter_map(|id| survey.table.path(*id).cloned());
    object.references = Some(references.collect());
    for (source, trust) in &chosen.claims {
        let Some(claim) = subject.answers.get(*source).and_then(|answer| answer.claim()) else {
            continue;
        };
        if trust.decides() {
            object.signed_by.extend(claim.standing.keys().iter().map(ToString::to_string));
        }
        let deriver = claim.deriver.and_then(|id| survey.table.path(id));
        object.deriver = object.deriver.or_else(|| deriver.cloned());
    }
    // Who signs nothing may leave references out.
    if here.is_none() && !chosen.claims.iter().any(|(_, trust)| trust.decides()) {
        object.unknown.push(
            "whether its hash and its references are right: no trusted key has signed them"
                .to_owned(),
        );
    }
    if all.len() > 1 {
        let hashes: Vec<String> = all.iter().map(|one| one.nar_hash.to_string()).collect();
        object.unknown.push(format!(
            "which content is the right one: sources claim different ones ({})",
            hashes.join(", ")
        ));
    }
    object
}

/// Reads the bytes of objects that are at hand, all at once on all processors.
/// Those that are not what is said of them come back, with the stated hash and the
/// found one; those that are not there stay without a hash of their own.
pub fn read_contents(
    objects: &mut BTreeMap<StorePath, Object>,
    place: impl Fn(&StorePath) -> std::path::PathBuf + Sync,
    done: impl Fn(u64) + Sync,
) -> Vec<(StorePath, NarHash, NarHash)> {
    let modified = objects.par_iter_mut().filter_map(|(path, object)| {
        let read = read_one(&place(path));
        match read {
            Ok(Some((hash, size, sha512))) => {
                done(size);
                let stated = object.nar.map(|(hash, _)| hash);
                if let Some(stated) = stated.filter(|stated| *stated != hash) {
                    return Some((path.clone(), stated, hash));
                }
                object.nar = Some((hash, Some(size)));
                object.nar_sha512 = Some(sha512);
                None
            }
            Ok(None) => None,
            Err(error) => {
                object.unknown.push(format!("its bytes: {error}"));
                None
            }
        }
    });
    modified.collect()
}

/// NarHash, size and SHA-512 of the NAR; `None` if there is no such object.
fn read_one(path: &Path) -> Result<Option<(NarHash, u64, String)>, TreeError> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let mut sha512 = Sha512Sink(Sha512::new());
    let (hash, size) = tree::hash_tree(path, &mut [&mut sha512])?;
    Ok(Some((hash, size, base16(&sha512.0.finalize()))))
}

struct Sha512Sink(Sha512);

impl Write for Sha512Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
