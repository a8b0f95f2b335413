//! Who claims what about an output.

use super::answers::{Answers, CacheAnswer};
use super::local_store::LocalStore;
use crate::check::rebuild::{Claim, Contents, Source, Standing, rules};
use crate::check::{Finding, Inconclusive, Reason};
use crate::nix::realisation::{DrvOutput, Realisation};
use crate::nix::signature::TrustedKeys;
use crate::nix::store_path::StorePath;

/// Claims about one output, with what was wrong with answers about it.
#[derive(Debug, Default)]
pub struct Claims {
    /// In the order of the caches, the local store last.
    pub claims: Vec<Claim>,
    /// Malformed realisations.
    pub findings: Vec<Finding>,
    /// A local store that was asked for and cannot be read.
    pub unanswered: Vec<Inconclusive>,
}

/// Asks every cache and the local store about the output at `path`, and about
/// the realisation `id` of a content-addressed output.
#[must_use]
pub fn collect(
    path: Option<&StorePath>,
    id: Option<&DrvOutput>,
    answers: &Answers<'_>,
    keys: &TrustedKeys,
    local: Option<&LocalStore>,
) -> Claims {
    let mut found = Claims::default();
    for cache in 0..answers.len() {
        if let Some(path) = path
            && let CacheAnswer::Known(answer) = &*answers.ask(cache, path)
        {
            found.claims.push(answer.claim.clone());
        }
        if let Some(id) = id {
            found.add_realisation(cache, id, answers, keys);
        }
    }
    if let (Some(local), Some(path)) = (local, path) {
        match local.query(path) {
            Ok(Some(known)) => found.claims.push(Claim {
                source: source(local),
                path: path.clone(),
                contents: Some(Contents {
                    nar_hash: known.info.nar_hash,
                    nar_size: known.info.nar_size,
                    references: known.info.references,
                }),
                standing: Standing::Untrusted { unknown_keys: Vec::new() },
                contrast: Vec::new(),
            }),
            Ok(None) => {}
            Err(error) => found.unanswered.push(Inconclusive {
                subject: answers.store_dir().full(path),
                check: format!("claim of {}", source(local)),
                reason: Reason::Unreachable,
                detail: error.to_string(),
            }),
        }
    }
    found
}

/// How claims name the local store.
fn source(local: &LocalStore) -> Source {
    Source::LocalStore(local.root().display().to_string())
}

impl Claims {
    /// What a cache says the output `id` turned out to be. The content behind
    /// the path is claimed by the cache's narinfo of that path, if it has one.
    fn add_realisation(
        &mut self,
        cache: usize,
        id: &DrvOutput,
        answers: &Answers<'_>,
        keys: &TrustedKeys,
    ) {
        let Some(url) = answers.cache(cache) else { return };
        let Some(bytes) = answers.realisation(cache, id) else { return };
        let read = Realisation::parse(&bytes).and_then(|found| found.check_id(id).map(|()| found));
        let realisation = match read {
            Ok(realisation) => realisation,
            Err(error) => {
                let message = format!("{url} serves a bad realisation: {error}");
                self.findings.push(Finding::new(
                    &rules::MALFORMED_REALISATION,
                    id.to_string(),
                    message,
                ));
                return;
            }
        };
        let checked = realisation.verify(keys);
        let names = |keys: &[crate::nix::signature::KeyName]| {
            keys.iter().map(ToString::to_string).collect()
        };
        let standing = if !checked.bad().is_empty() {
            let keys =
                checked.bad().iter().map(|signature| signature.key_name().to_string()).collect();
            Standing::Forged { keys }
        } else if checked.is_trusted() {
            Standing::Trusted { keys: names(checked.good()) }
        } else {
            Standing::Untrusted { unknown_keys: names(checked.unknown()) }
        };
        self.claims.push(Claim {
            source: Source::Cache(url.to_string()),
            path: realisation.out_path,
            contents: None,
            standing,
            contrast: Vec::new(),
        });
    }
}
