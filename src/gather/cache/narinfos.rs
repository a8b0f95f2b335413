//! Many questions for narinfos at once.
//!
//! Each cache has a few threads of its own. A thread drives as many requests
//! as the [pace](crate::gather::http::pace) of its cache allows over its own connections,
//! and deals with their answers itself: nothing is handed from thread to
//! thread, and all processors parse and verify.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::check::Reason;
use crate::gather::cache::questions::{Next, Questions};
use crate::gather::cache::url::Place;
use crate::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer, Unanswered};
use crate::gather::http::lane::Borrowed;
use crate::gather::http::pace::Pace;
use crate::nix::store_path::StorePath;

/// Most threads for one cache; more processors are kept busy by other caches.
const MAX_THREADS: usize = 8;

/// Questions in a row that a cache may leave unanswered, each after all its
/// tries, before it counts as down and is asked no more: not so few that a
/// short trouble among hundreds of open requests ends everything.
const MAX_SILENCE: u32 = 64;

/// Most answers dealt with before connections are looked after again: a
/// millisecond's worth of verifying.
const MAX_READY: usize = 32;

/// A question for the narinfo of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Which of the caches is asked.
    pub cache: usize,
    /// For what.
    pub path: StorePath,
}

impl CacheClient {
    /// Puts many questions to `caches`, many at a time, and hands each answer
    /// to `answered`, in no particular order and on several threads. What
    /// `answered` adds to its last argument is asked too, before this
    /// returns: so can references be followed.
    ///
    /// Questions are taken from the iterator as others are answered, and
    /// answers are not collected: neither list is ever held. `answered`
    /// should take no longer than parsing and verifying does, for requests
    /// wait meanwhile.
    pub fn narinfos(
        &self,
        caches: &[CacheUrl],
        questions: impl Iterator<Item = Question> + Send,
        answered: impl Fn(Question, NarInfoAnswer, &mut Vec<Question>) + Sync,
    ) {
        let questions = Questions::new(questions, caches.len(), |question| question.cache);
        let threads = available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let answer = |question, answer| {
            let mut more = Vec::new();
            answered(question, answer, &mut more);
            questions.answered(more);
        };
        if caches.is_empty() {
            while let Some(question) = questions.next(0) {
                answer(question, no_such_cache());
            }
        }
        std::thread::scope(|scope| {
            for (index, cache) in caches.iter().enumerate() {
                let silence = Arc::new(Silence::default());
                for _ in 0..threads {
                    let (questions, answer) = (&questions, &answer);
                    let silence = Arc::clone(&silence);
                    scope.spawn(move || {
                        let worker = Worker { client: self, cache, index, threads, silence };
                        worker.work(questions, answer);
                    });
                }
            }
        });
    }
}

fn no_such_cache() -> NarInfoAnswer {
    let detail = "there is no such cache".to_owned();
    NarInfoAnswer::Unreachable(Unanswered { reason: Reason::Unreachable, detail })
}

/// How often in a row a cache has left questions unanswered, and why.
#[derive(Default)]
struct Silence {
    count: AtomicU32,
    why: Mutex<Option<Unanswered>>,
}

impl Silence {
    /// Takes an answer into account; says whether there was none.
    fn note(&self, answer: &NarInfoAnswer) -> bool {
        let NarInfoAnswer::Unreachable(why) = answer else {
            self.count.store(0, Ordering::Relaxed);
            return false;
        };
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        }
        true
    }

    /// The answer to every further question, once the cache counts as down.
    fn verdict(&self) -> Option<NarInfoAnswer> {
        (self.count.load(Ordering::Relaxed) >= MAX_SILENCE).then(|| {
            let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
            let first = why.as_ref().map_or("silence", |why| why.detail.as_str());
            let detail = format!(
                "not asked, because {MAX_SILENCE} questions in a row were left unanswered, \
                 the first because of {first}"
            );
            let reason = why.as_ref().map_or(Reason::Unreachable, |why| why.reason);
            NarInfoAnswer::Unreachable(Unanswered { reason, detail })
        })
    }
}

/// One thread's part in asking one cache.
struct Worker<'a> {
    client: &'a CacheClient,
    cache: &'a CacheUrl,
    index: usize,
    threads: usize,
    silence: Arc<Silence>,
}

impl Worker<'_> {
    fn work<I: Iterator<Item = Question>>(
        &self,
        questions: &Questions<I>,
        answer: &impl Fn(Question, NarInfoAnswer),
    ) {
        let Some(first) = questions.next(self.index) else { return };
        // Whether it is a cache at all is asked once, by whoever is first.
        let down = self.client.cache_info(self.cache).err().map(|error| Unanswered::from(&error));
        let unknown = match self.cache.place() {
            Place::Directory(_) => None,
            Place::Server(url) => Some(url.scheme() == "https"),
        };
        match (down, unknown) {
            (None, Some(unknown)) => match self.client.http().any_lane() {
                Ok(lane) => self.over(&lane, unknown, first, questions, answer),
                Err(failure) => self.one_by_one(first, questions, answer, |_| {
                    let (reason, detail) = (failure.reason(), failure.to_string());
                    NarInfoAnswer::Unreachable(Unanswered { reason, detail })
                }),
            },
            (None, None) => self.one_by_one(first, questions, answer, |question| {
                self.client.narinfo(self.cache, &question.path)
            }),
            (Some(why), _) => self
                .one_by_one(first, questions, answer, |_| NarInfoAnswer::Unreachable(why.clone())),
        }
    }

    /// Answers one question after the other.
    fn one_by_one<I: Iterator<Item = Question>>(
        &self,
        first: Question,
        questions: &Questions<I>,
        answer: &impl Fn(Question, NarInfoAnswer),
        ask: impl Fn(&Question) -> NarInfoAnswer,
    ) {
        let mut next = Some(first);
        while let Some(question) = next {
            let found = if question.cache == self.index { ask(&question) } else { no_such_cache() };
            answer(question, found);
            next = questions.next(self.index);
        }
    }

    /// Keeps many requests open over one lane.
    fn over<I: Iterator<Item = Question>>(
        &self,
        lane: &Borrowed,
        unknown: bool,
        first: Question,
        questions: &Questions<I>,
        answer: &impl Fn(Question, NarInfoAnswer),
    ) {
        let mut pace = Pace::new(self.threads, unknown);
        let mut open = FuturesUnordered::new();
        let mut next = Next::Question(first);
        loop {
            loop {
                match next {
                    Next::Question(question) if question.cache != self.index => {
                        answer(question, no_such_cache());
                    }
                    Next::Question(question) => match self.silence.verdict() {
                        Some(verdict) => answer(question, verdict),
                        None => open.push(self.ask(lane, question)),
                    },
                    Next::Later | Next::End => break,
                }
                if open.len() >= pace.limit() {
                    break;
                }
                next = questions.try_next(self.index);
            }
            if open.is_empty() {
                // Others may still give rise to more.
                match questions.next(self.index) {
                    Some(question) => next = Next::Question(question),
                    None => return,
                }
                continue;
            }
            // All that have come, outside of the runtime, so that whoever
            // takes the answers may make requests too.
            let ready = lane.block_on(open.by_ref().ready_chunks(MAX_READY).next());
            for (question, found, took) in ready.unwrap_or_default() {
                pace.learn(took, self.silence.note(&found));
                answer(question, found);
            }
            next = if open.len() < pace.limit() {
                questions.try_next(self.index)
            } else {
                Next::Later
            };
        }
    }

    async fn ask(
        &self,
        lane: &Borrowed,
        question: Question,
    ) -> (Question, NarInfoAnswer, Duration) {
        let since = Instant::now();
        let found = self.client.narinfo_on(lane, self.cache, &question.path).await;
        (question, found, since.elapsed())
    }
}
