//! Who claims what about an output.

use crate::check::rebuild::{Claim, Contents, Source, Standing, rules};
use crate::check::{Finding, Inconclusive, Reason};
use crate::gather::cache::answers::{Answers, CacheAnswer};
use crate::gather::store::local::LocalStore;
use crate::nix::build_trace::{BuildTraceEntry, BuildTraceKey};
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

/// What a content-addressed output is called by those who say what it turned
/// out to be.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    /// Up to Nix 2.34: by its derivation's hash modulo.
    pub realisation: Option<DrvOutput>,
    /// From Nix 2.35 on: by its resolved derivation.
    pub build_trace: Option<BuildTraceKey>,
}

/// Asks every cache and the local store about the output at `path`, and about
/// what a content-addressed output turned out to be.
#[must_use]
pub fn collect(
    path: Option<&StorePath>,
    ids: &Ids,
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
        if let Some(id) = &ids.realisation {
            found.add_realisation(cache, id, answers, keys);
        }
        if let Some(key) = &ids.build_trace {
            found.add_build_trace(cache, key, answers, keys);
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
        let standing = Standing::of_signatures(&realisation.verify(keys));
        self.claims.push(Claim {
            source: Source::Cache(url.to_string()),
            path: realisation.out_path,
            contents: None,
            standing,
            contrast: Vec::new(),
        });
    }

    /// The same as newer caches say it.
    fn add_build_trace(
        &mut self,
        cache: usize,
        key: &BuildTraceKey,
        answers: &Answers<'_>,
        keys: &TrustedKeys,
    ) {
        let Some(url) = answers.cache(cache) else { return };
        let Some(bytes) = answers.build_trace(cache, key) else { return };
        match BuildTraceEntry::parse(&bytes, key) {
            Ok(entry) => self.claims.push(Claim {
                source: Source::Cache(url.to_string()),
                standing: Standing::of_signatures(&entry.verify(keys)),
                path: entry.out_path,
                contents: None,
                contrast: Vec::new(),
            }),
            Err(error) => {
                let message = format!("{url} serves a bad realisation: {error}");
                self.findings.push(Finding::new(
                    &rules::MALFORMED_REALISATION,
                    key.to_string(),
                    message,
                ));
            }
        }
    }
}
