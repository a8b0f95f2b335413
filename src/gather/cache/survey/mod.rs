//! Asking caches and the local store about many paths, and reading what they
//! serve: the facts of `verify cache`.
//!
//! Each question goes to every source. Answers are parsed and their signatures
//! checked where they arrive, on many threads; what is kept of them is small
//! ([`crate::check::cache::facts`]), so that a hundred thousand paths fit into
//! memory. NARs are streamed and never kept.

mod again;
mod contents;
mod listing;
mod local;
mod realisations;
mod state;
mod unregistered;

use std::collections::BTreeSet;

pub use listing::{Listing, list_directory, list_local};
pub use realisations::{Realised, list_realisations};

use self::state::State;
use crate::check::Finding;
use crate::check::cache::rules::FOREIGN_STORE_DIRECTORY;
use crate::check::cache::{
    Answer, Judge, Reading, Role, Silence, SourceFacts, SourceKind, Survey, read_narinfo,
};
use crate::gather::cache::answers::AskedCache;
use crate::gather::cache::narinfos::Question;
use crate::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer, Unanswered};
use crate::gather::store::local::LocalStore;
use crate::nix::store_path::StorePath;
use crate::report::progress::Phase;

/// Most paths that one run follows references to: twenty times all of nixpkgs
/// with its sources. A cache could invent references without end.
pub const MAX_PATHS: usize = 2_000_000;

/// Who is asked, and whose signatures count.
#[derive(Clone, Copy)]
pub struct Surveyor<'a> {
    /// Asks caches.
    pub client: &'a CacheClient,
    /// The caches.
    pub caches: &'a [AskedCache],
    /// The local store.
    pub local: Option<&'a LocalStore>,
    /// Whose signatures count.
    pub judge: Judge<'a>,
    /// How many processors to use for local objects.
    pub jobs: usize,
}

/// What the narinfo questions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Follow references.
    pub closure: bool,
    /// Keep what is needed to read NARs afterwards.
    pub contents: bool,
}

impl<'a> Surveyor<'a> {
    /// Asks every source about `targets`, and about all they refer to if the
    /// scope says so.
    #[must_use]
    pub fn ask(&self, targets: BTreeSet<StorePath>, scope: Scope, phase: &Phase) -> Survey {
        let state = State::new(self.sources().len(), scope);
        let urls = self.urls();
        let mut frontier = Vec::with_capacity(targets.len());
        for path in targets {
            frontier.extend(self.begin(&state, path, Role::Target));
        }
        let count = |paths: usize| u64::try_from(paths.saturating_mul(urls.len())).unwrap_or(0);
        phase.grow(count(frontier.len()));
        let questions = frontier
            .iter()
            .flat_map(|path| (0..urls.len()).map(|cache| Question { cache, path: path.clone() }));
        self.client.narinfos(&urls, questions, |question, answer, more| {
            let references = self.take(&state, &question, answer);
            phase.advance(1);
            for path in references {
                let fresh = self.begin(&state, path, Role::Closure);
                phase.grow(count(fresh.len()));
                for path in fresh {
                    more.extend(
                        (0..urls.len()).map(|cache| Question { cache, path: path.clone() }),
                    );
                }
            }
        });
        let mut survey = state.finish(self.judge.store_dir);
        survey.sources = self.sources();
        self.note_foreign_stores(&mut survey);
        survey
    }

    fn urls(&self) -> Vec<CacheUrl> {
        self.caches.iter().map(|asked| asked.url.clone()).collect()
    }

    /// The sources in the order of answers.
    fn sources(&self) -> Vec<SourceFacts> {
        let caches = self.caches.iter().map(|asked| SourceFacts {
            name: asked.url.to_string(),
            kind: SourceKind::Cache,
            named: asked.named,
            forbidden: self.client.forbidden(&asked.url),
        });
        let local = self.local.map(|local| SourceFacts {
            name: local.root().display().to_string(),
            kind: SourceKind::LocalStore,
            named: true,
            forbidden: 0,
        });
        caches.chain(local).collect()
    }

    /// Enters a path and asks the local store about it, and about all that its
    /// answers lead to. Gives the paths that caches have to be asked about.
    fn begin(&self, state: &State, path: StorePath, role: Role) -> Vec<StorePath> {
        let mut fresh = Vec::new();
        let mut todo = vec![(path, role)];
        while let Some((path, role)) = todo.pop() {
            if !state.enter(&path, role) {
                continue;
            }
            if let Some(local) = self.local {
                let answer = local::ask(local, &path, self.judge);
                let references = state.record(&path, self.caches.len(), answer);
                todo.extend(references.into_iter().map(|path| (path, Role::Closure)));
            }
            fresh.push(path);
        }
        fresh
    }

    /// Takes in the answer to a question. Gives the references to follow.
    fn take(&self, state: &State, question: &Question, answer: NarInfoAnswer) -> Vec<StorePath> {
        let answer = match answer {
            NarInfoAnswer::Present(bytes) => self.read(question, &bytes),
            NarInfoAnswer::Absent => Read::Answer(Answer::Absent),
            NarInfoAnswer::Unreachable(Unanswered { reason, detail }) => {
                Read::Answer(Answer::Silent(state.silence(Silence { reason, detail })))
            }
        };
        state.record(&question.path, question.cache, answer)
    }

    fn read(&self, question: &Question, bytes: &[u8]) -> Read {
        let Some(asked) = self.caches.get(question.cache) else {
            return Read::Answer(Answer::Absent);
        };
        let name = asked.url.to_string();
        match read_narinfo(bytes, &question.path, &name, self.judge) {
            Ok(reading) => Read::Claim(Box::new(reading)),
            Err(finding) => Read::Answer(Answer::Bad(finding)),
        }
    }

    /// Caches that are made for another store directory are no use, and it is
    /// their own `nix-cache-info` that says so.
    fn note_foreign_stores(&self, survey: &mut Survey) {
        for asked in self.caches {
            let Err(error) = self.client.cache_info(&asked.url) else { continue };
            let Some(found) = error.foreign_store() else { continue };
            let name = asked.url.to_string();
            let message = format!("{name} is made for another store directory");
            survey.findings.push(
                Finding::new(&FOREIGN_STORE_DIRECTORY, name, message)
                    .with("found", found)
                    .with("expected", self.judge.store_dir),
            );
        }
    }
}

/// What came back, before it is in the table.
enum Read {
    /// A claim.
    Claim(Box<Reading>),
    /// Anything else.
    Answer(Answer),
}
