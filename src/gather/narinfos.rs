//! Many questions for narinfos at once.

use super::cache::{CacheClient, CacheUrl, NarInfoAnswer};
use super::questions::Questions;
use crate::nix::store_path::StorePath;

/// How many questions are open at once.
const IN_FLIGHT: usize = 64;

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
    /// answers are not collected: neither list is ever held.
    pub fn narinfos(
        &self,
        caches: &[CacheUrl],
        questions: impl Iterator<Item = Question> + Send,
        answered: impl Fn(Question, NarInfoAnswer, &mut Vec<Question>) + Sync,
    ) {
        let questions = Questions::new(questions);
        std::thread::scope(|scope| {
            for _ in 0..IN_FLIGHT {
                scope.spawn(|| {
                    while let Some(question) = questions.next() {
                        let answer = match caches.get(question.cache) {
                            Some(cache) => self.narinfo(cache, &question.path),
                            None => NarInfoAnswer::Unreachable("there is no such cache".to_owned()),
                        };
                        let mut more = Vec::new();
                        answered(question, answer, &mut more);
                        questions.answered(more);
                    }
                });
            }
        });
    }
}
