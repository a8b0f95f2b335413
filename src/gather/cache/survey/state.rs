//! What is known so far, shared by the threads that ask.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{MAX_PATHS, Read, Scope};
use crate::check::cache::{Answer, PathId, PathTable, Role, Silence, SubjectFacts, Survey};
use crate::check::rebuild::Standing;
use crate::check::{Inconclusive, Reason};
use crate::nix::store_path::{StoreDir, StorePath};

/// The answers of a survey while they come in.
pub(super) struct State {
    sources: usize,
    scope: Scope,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    table: PathTable,
    subjects: Vec<SubjectFacts>,
    index: HashMap<PathId, usize>,
    standings: BTreeSet<Arc<Standing>>,
    silences: BTreeSet<Arc<Silence>>,
    /// References were left alone because there were too many.
    cut: bool,
}

impl State {
    /// For answers of so many sources.
    pub(super) fn new(sources: usize, scope: Scope) -> Self {
        Self { sources, scope, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a path; `false` if it is known already, or one too many.
    pub(super) fn enter(&self, path: &StorePath, role: Role) -> bool {
        let mut known = self.lock();
        let id = known.table.intern(path);
        let next = known.subjects.len();
        if known.index.contains_key(&id) {
            return false;
        }
        if next >= MAX_PATHS && role == Role::Closure {
            known.cut = true;
            return false;
        }
        known.index.insert(id, next);
        let answers = std::iter::repeat_with(Answer::default).take(self.sources).collect();
        known.subjects.push(SubjectFacts { id, role, answers, findings: Vec::new() });
        true
    }

    /// Every equal silence is held once.
    pub(super) fn silence(&self, silence: Silence) -> Arc<Silence> {
        share(&mut self.lock().silences, silence)
    }

    /// Records what `source` said about a path that was entered. Gives the
    /// references to follow: those that were not met before.
    pub(super) fn record(&self, path: &StorePath, source: usize, read: Read) -> Vec<StorePath> {
        let mut guard = self.lock();
        let known = &mut *guard;
        let mut references = Vec::new();
        let answer = match read {
            Read::Answer(answer) => answer,
            Read::Claim(reading) => {
                if self.scope.closure {
                    for path in &reading.facts().references {
                        let id = known.table.intern(path);
                        if !known.index.contains_key(&id) {
                            references.push(path.clone());
                        }
                    }
                }
                let Known { table, standings, .. } = known;
                let shared = |standing| share(standings, standing);
                Answer::Claim(Box::new(reading.enter(table, shared, self.scope.contents)))
            }
        };
        let place = known.table.find(path).and_then(|id| known.index.get(&id).copied());
        if let Some(slot) = place
            .and_then(|place| known.subjects.get_mut(place))
            .and_then(|subject| subject.answers.get_mut(source))
        {
            *slot = answer;
        }
        references
    }

    /// The survey, sorted.
    pub(super) fn finish(self, store_dir: &StoreDir) -> Survey {
        let known = self.known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Known { table, mut subjects, cut, mut silences, .. } = known;
        subjects.sort_by(|a, b| table.path(a.id).cmp(&table.path(b.id)));
        // Every source was asked about every path, so that an answer that is
        // missing was not given.
        let silence = Silence {
            reason: Reason::Unreachable,
            detail: "the question was not answered before the run ended".to_owned(),
        };
        let silence = share(&mut silences, silence);
        for answer in subjects.iter_mut().flat_map(|subject| subject.answers.iter_mut()) {
            if matches!(answer, Answer::NotAsked) {
                *answer = Answer::Silent(Arc::clone(&silence));
            }
        }
        let mut survey =
            Survey { store_dir: store_dir.clone(), table, subjects, ..Survey::default() };
        if cut {
            survey.unanswered.push(Inconclusive {
                subject: "closure".to_owned(),
                check: "references of the paths".to_owned(),
                reason: Reason::TooLarge,
                detail: format!("more than {MAX_PATHS} paths; the rest was not followed"),
            });
        }
        survey
    }
}

/// One place in memory for all equal values.
fn share<T: Ord>(known: &mut BTreeSet<Arc<T>>, value: T) -> Arc<T> {
    let value = Arc::new(value);
    match known.get(&value) {
        Some(shared) => Arc::clone(shared),
        None => {
            known.insert(Arc::clone(&value));
            value
        }
    }
}
