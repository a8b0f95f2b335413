//! Finding the files in which a cache's object differs from ours.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;

use super::answers::{Answers, CacheAnswer};
use super::tree::dump;
use crate::check::rebuild::contrast::{Catalog, contrast};
use crate::check::rebuild::{Claim, Contents, Source, Standing};
use crate::nix::hash::NarHash;
use crate::nix::narinfo::NarInfo;
use crate::nix::store_path::StorePath;
use crate::state::StateDir;

/// Whether a trusted claim names another hash for `path` than `ours`: then its
/// content is needed until [`name_files`] has seen it.
#[must_use]
pub fn is_claimed_otherwise(path: &StorePath, ours: NarHash, answers: &Answers<'_>) -> bool {
    let otherwise = |claim: &Claim| {
        matches!(claim.standing, Standing::Trusted { .. })
            && claim.contents.as_ref().is_some_and(|claimed| claimed.nar_hash != ours)
    };
    (0..answers.len()).any(|cache| match &*answers.ask(cache, path) {
        CacheAnswer::Known(answer) => otherwise(&answer.claim),
        _ => false,
    })
}

/// Completes trusted claims of caches that differ from `ours`, the content of
/// `tree`, with the files in which they differ. What a cache does not serve, or
/// serves otherwise than it claims, is said instead.
pub fn name_files(
    claims: &mut [Claim],
    ours: &Contents,
    tree: &Path,
    answers: &Answers<'_>,
    state: &StateDir,
) {
    for claim in claims {
        let differs =
            claim.differences(ours).iter().any(|difference| difference.name() == "NarHash");
        if !differs || !matches!(claim.standing, Standing::Trusted { .. }) {
            continue;
        }
        claim.contrast = compare(claim, tree, answers, state)
            .unwrap_or_else(|why| vec![format!("the two could not be compared: {why}")]);
    }
}

fn compare(
    claim: &Claim,
    tree: &Path,
    answers: &Answers<'_>,
    state: &StateDir,
) -> Result<Vec<String>, String> {
    let (cache, narinfo) = served(claim, answers).ok_or("nobody serves the claimed content")?;
    let claimed = catalog(state, |sink| {
        let url = answers.cache(cache).ok_or("the cache is not known")?;
        let downloaded = answers.client().download_nar(url, &narinfo, sink);
        downloaded.map(drop).map_err(|error| error.to_string())
    })?;
    let ours =
        catalog(state, |sink| dump(tree, sink).map(drop).map_err(|error| error.to_string()))?;
    Ok(contrast(&claimed, &ours))
}

/// The cache behind a claim, with its narinfo.
fn served(claim: &Claim, answers: &Answers<'_>) -> Option<(usize, NarInfo)> {
    let Source::Cache(name) = &claim.source else { return None };
    let cache = (0..answers.len()).find(|cache| answers.name(*cache) == *name)?;
    match &*answers.ask(cache, &claim.path) {
        CacheAnswer::Known(answer) => Some((cache, answer.narinfo.clone())),
        _ => None,
    }
}

/// Reads what `write` writes, by way of a file: a NAR may be of any size, and
/// one from a cache is hashed to its end before it is read.
fn catalog(
    state: &StateDir,
    write: impl FnOnce(&mut dyn Write) -> Result<(), String>,
) -> Result<Catalog, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut file = state.download().map_err(|error| error.to_string())?;
    let mut sink = BufWriter::new(file.as_file_mut());
    write(&mut sink)?;
    sink.flush().map_err(said)?;
    drop(sink);
    let file: &mut File = file.as_file_mut();
    file.seek(SeekFrom::Start(0)).map_err(said)?;
    Catalog::read(BufReader::new(file)).map_err(|error| error.to_string())
}
