//! What every cache says about every path, asked once.
//!
//! Inputs and claims ask the same questions; each is put to a cache once in a
//! run. A cache that keeps failing is not asked any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::check::rebuild::{Answer, Claim, Source, Standing, read_answer, rules};
use crate::check::{Finding, Inconclusive, Reason};
use crate::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer, Unanswered};
use crate::nix::build_trace::BuildTraceKey;
use crate::nix::realisation::DrvOutput;
use crate::nix::signature::TrustedKeys;
use crate::nix::store_path::{StoreDir, StorePath};

/// Questions in a row that a cache may leave unanswered, each after all its
/// retries, before it counts as down for the rest of the run.
const MAX_SILENCE: u32 = 3;

/// A cache that is asked.
#[derive(Debug, Clone)]
pub struct AskedCache {
    /// Where it is.
    pub url: CacheUrl,
    /// Whether the user named it; a default cache may be silent.
    pub named: bool,
}

/// What one cache said about one path.
#[derive(Debug, Clone)]
pub enum CacheAnswer {
    /// A well-formed narinfo of that path.
    Known(Box<Answer>),
    /// The cache does not have the path.
    Absent,
    /// The cache did not answer, and why.
    Unreachable(String),
    /// The answer is malformed or about another path.
    Bad(Box<Finding>),
}

/// All answers of a run.
pub struct Answers<'a> {
    client: &'a CacheClient,
    caches: &'a [AskedCache],
    silences: Vec<AtomicU32>,
    store_dir: &'a StoreDir,
    keys: &'a TrustedKeys,
    known: Mutex<BTreeMap<(usize, StorePath), Arc<CacheAnswer>>>,
    /// Questions about realisations that were left unanswered, and why.
    open_realisations: Mutex<BTreeMap<(usize, String), String>>,
}

impl<'a> Answers<'a> {
    /// Asks `caches` through `client`.
    #[must_use]
    pub fn new(
        client: &'a CacheClient,
        caches: &'a [AskedCache],
        store_dir: &'a StoreDir,
        keys: &'a TrustedKeys,
    ) -> Self {
        let silences = caches.iter().map(|_| AtomicU32::new(0)).collect();
        Self {
            client,
            caches,
            silences,
            store_dir,
            keys,
            known: Mutex::default(),
            open_realisations: Mutex::default(),
        }
    }

    /// How many caches there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.caches.len()
    }

    /// Whether there is no cache.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.caches.is_empty()
    }

    /// The client behind the answers.
    #[must_use]
    pub const fn client(&self) -> &CacheClient {
        self.client
    }

    /// The store directory that questions are about.
    #[must_use]
    pub const fn store_dir(&self) -> &StoreDir {
        self.store_dir
    }

    /// A cache by its place.
    #[must_use]
    pub fn cache(&self, cache: usize) -> Option<&CacheUrl> {
        self.caches.get(cache).map(|asked| &asked.url)
    }

    /// What a cache is called in reports.
    #[must_use]
    pub fn name(&self, cache: usize) -> String {
        self.cache(cache).map(ToString::to_string).unwrap_or_default()
    }

    /// What a cache says about `path`.
    #[must_use]
    pub fn ask(&self, cache: usize, path: &StorePath) -> Arc<CacheAnswer> {
        let key = (cache, path.clone());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(&key) {
            return Arc::clone(answer);
        }
        let answer = Arc::new(self.ask_anew(cache, path));
        Arc::clone(known().entry(key).or_insert(answer))
    }

    fn ask_anew(&self, cache: usize, path: &StorePath) -> CacheAnswer {
        let Some(asked) = self.caches.get(cache) else { return CacheAnswer::Absent };
        match self.put(cache, |client, url| client.narinfo(url, path)) {
            NarInfoAnswer::Unreachable(why) => CacheAnswer::Unreachable(why.detail),
            NarInfoAnswer::Absent => CacheAnswer::Absent,
            NarInfoAnswer::Present(bytes) => {
                let source = Source::Cache(asked.url.to_string());
                match read_answer(&bytes, path, &source, self.store_dir, self.keys) {
                    Ok(answer) => CacheAnswer::Known(Box::new(answer)),
                    Err(finding) => CacheAnswer::Bad(finding),
                }
            }
        }
    }

    /// The realisation of `id` as a cache serves it; `None` if it has none. A
    /// question left unanswered is among the [`silences`](Self::silences).
    #[must_use]
    pub fn realisation(&self, cache: usize, id: &DrvOutput) -> Option<Vec<u8>> {
        self.put_about(cache, id, |client, url| client.realisation(url, id))
    }

    /// The same in the form that newer caches have it in.
    #[must_use]
    pub fn build_trace(&self, cache: usize, key: &BuildTraceKey) -> Option<Vec<u8>> {
        self.put_about(cache, key, |client, url| client.build_trace(url, key))
    }

    fn put_about(
        &self,
        cache: usize,
        id: &dyn std::fmt::Display,
        question: impl FnOnce(&CacheClient, &CacheUrl) -> NarInfoAnswer,
    ) -> Option<Vec<u8>> {
        match self.put(cache, question) {
            NarInfoAnswer::Present(bytes) => Some(bytes),
            NarInfoAnswer::Absent => None,
            NarInfoAnswer::Unreachable(why) => {
                let mut open =
                    self.open_realisations.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert((cache, id.to_string()), why.detail);
                None
            }
        }
    }

    /// Puts a question to a cache, unless it is down.
    fn put(
        &self,
        cache: usize,
        question: impl FnOnce(&CacheClient, &CacheUrl) -> NarInfoAnswer,
    ) -> NarInfoAnswer {
        let (Some(asked), Some(silence)) = (self.caches.get(cache), self.silences.get(cache))
        else {
            return NarInfoAnswer::Absent;
        };
        if silence.load(Ordering::Relaxed) >= MAX_SILENCE {
            // A cache that never answered gives one reason for all questions.
            let why = match self.client.cache_info(&asked.url) {
                Err(error) => Unanswered::from(&error),
                Ok(_) => Unanswered {
                    reason: Reason::Unreachable,
                    detail: "it left earlier questions of this run unanswered".to_owned(),
                },
            };
            return NarInfoAnswer::Unreachable(why);
        }
        let answer = question(self.client, &asked.url);
        match answer {
            NarInfoAnswer::Unreachable(_) => {
                silence.fetch_add(1, Ordering::Relaxed);
            }
            NarInfoAnswer::Absent | NarInfoAnswer::Present(_) => {
                silence.store(0, Ordering::Relaxed);
            }
        }
        answer
    }

    /// Every cache's claim about `path`.
    #[must_use]
    pub fn claims(&self, path: &StorePath) -> Vec<Claim> {
        (0..self.len())
            .filter_map(|cache| match &*self.ask(cache, path) {
                CacheAnswer::Known(answer) => Some(answer.claim.clone()),
                _ => None,
            })
            .collect()
    }

    /// What was wrong with the answers given so far: malformed and foreign
    /// ones, and forged claims.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter_map(|((_, path), answer)| match &**answer {
                CacheAnswer::Bad(finding) => Some((**finding).clone()),
                CacheAnswer::Known(answer) => forged(&answer.claim, path, self.store_dir),
                _ => None,
            })
            .collect()
    }

    /// The questions that were left unanswered: those to named caches are open
    /// questions of the run, those to default caches mere remarks.
    #[must_use]
    pub fn silences(&self) -> (Vec<Inconclusive>, Vec<String>) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let realisations = self.open_realisations.lock().unwrap_or_else(PoisonError::into_inner);
        let narinfos = known.iter().filter_map(|((cache, path), answer)| match &**answer {
            CacheAnswer::Unreachable(why) => Some((cache, "claim", self.store_dir.full(path), why)),
            _ => None,
        });
        let realisations =
            realisations.iter().map(|((cache, id), why)| (cache, "realisation", id.clone(), why));
        let (mut open, mut remarks) = (Vec::new(), BTreeMap::new());
        for (cache, what, subject, why) in narinfos.chain(realisations) {
            let Some(asked) = self.caches.get(*cache) else { continue };
            if asked.named {
                open.push(Inconclusive {
                    subject,
                    check: format!("{what} of {}", asked.url),
                    reason: Reason::Unreachable,
                    detail: why.clone(),
                });
            } else {
                remarks
                    .entry(*cache)
                    .or_insert_with(|| format!("{} does not answer: {why}", asked.url));
            }
        }
        (open, remarks.into_values().collect())
    }
}

/// The finding for a forged claim, about an input as well as about a target.
fn forged(claim: &Claim, path: &StorePath, store_dir: &StoreDir) -> Option<Finding> {
    matches!(claim.standing, Standing::Forged { .. })
        .then(|| rules::forged(&store_dir.full(path), claim))
}
