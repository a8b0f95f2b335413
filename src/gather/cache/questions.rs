//! Questions to several caches that many workers take from one place, and
//! that beget more.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Most questions that wait for caches slower than the others: a few MiB.
const MAX_WAITING: usize = 16_384;

/// Questions asked at first, those that answers gave rise to, and how many
/// are being worked on, which says whether more can come.
pub(in crate::gather) struct Questions<I: Iterator> {
    state: Mutex<State<I>>,
    changed: Condvar,
    /// Which cache a question is for.
    cache_of: fn(&I::Item) -> usize,
}

struct State<I: Iterator> {
    first: I,
    /// By cache.
    waiting: Vec<VecDeque<I::Item>>,
    /// How many of the first are waiting.
    ahead: usize,
    /// How many are being worked on.
    open: usize,
}

/// What there is to do.
pub(in crate::gather) enum Next<T> {
    /// This.
    Question(T),
    /// Nothing now, but that may change.
    Later,
    /// Nothing any more.
    End,
}

impl<I: Iterator> Questions<I> {
    /// Questions to begin with, for so many caches; they are taken one by one
    /// when somebody is free, so that a long list is never held.
    pub(in crate::gather) fn new(first: I, caches: usize, cache_of: fn(&I::Item) -> usize) -> Self {
        let waiting = (0..caches.max(1)).map(|_| VecDeque::new()).collect();
        let state = State { first, waiting, ahead: 0, open: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new(), cache_of }
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next question for `cache`, if there is one now.
    pub(in crate::gather) fn try_next(&self, cache: usize) -> Next<I::Item> {
        let mut state = self.lock();
        self.take(&mut state, cache)
    }

    /// The next question for `cache`; waits while one may still come up.
    /// After `None` there will be no more.
    pub(in crate::gather) fn next(&self, cache: usize) -> Option<I::Item> {
        let mut state = self.lock();
        loop {
            match self.take(&mut state, cache) {
                Next::Question(question) => return Some(question),
                Next::End => return None,
                Next::Later => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn take(&self, state: &mut State<I>, cache: usize) -> Next<I::Item> {
        if let Some(question) = state.waiting.get_mut(cache).and_then(VecDeque::pop_front) {
            state.ahead = state.ahead.saturating_sub(1);
            state.open = state.open.saturating_add(1);
            if state.ahead + 1 == MAX_WAITING {
                self.changed.notify_all();
            }
            return Next::Question(question);
        }
        let mut others = false;
        while state.ahead < MAX_WAITING {
            let Some(question) = state.first.next() else {
                if others {
                    self.changed.notify_all();
                }
                let idle = state.open == 0 && state.waiting.iter().all(VecDeque::is_empty);
                return if idle { Next::End } else { Next::Later };
            };
            // What no cache has is the first's to answer.
            let place = (self.cache_of)(&question);
            let place = if place < state.waiting.len() { place } else { 0 };
            if place == cache {
                state.open = state.open.saturating_add(1);
                if others {
                    self.changed.notify_all();
                }
                return Next::Question(question);
            }
            others = true;
            state.ahead = state.ahead.saturating_add(1);
            if let Some(waiting) = state.waiting.get_mut(place) {
                waiting.push_back(question);
            }
        }
        Next::Later
    }

    /// Says that a question is answered, and what else is to be asked because
    /// of it.
    pub(in crate::gather) fn answered(&self, more: impl IntoIterator<Item = I::Item>) {
        let mut state = self.lock();
        let mut any = false;
        for question in more {
            any = true;
            let place = (self.cache_of)(&question);
            let place = if place < state.waiting.len() { place } else { 0 };
            state.ahead = state.ahead.saturating_add(1);
            if let Some(waiting) = state.waiting.get_mut(place) {
                waiting.push_back(question);
            }
        }
        state.open = state.open.saturating_sub(1);
        let idle = state.open == 0;
        drop(state);
        if any || idle {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_question_is_taken_once_with_all_that_follow() {
        // A question n begets n - 1 and n - 2: as many as Fibonacci's rabbits.
        for caches in 1..4 {
            let of = |question: &(usize, u32)| question.0;
            let questions = Questions::new([(0, 12_u32)].into_iter(), caches, of);
            let taken = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for worker in 0..8 {
                    let (questions, taken) = (&questions, &taken);
                    scope.spawn(move || {
                        while let Some((cache, question)) = questions.next(worker % caches) {
                            assert_eq!(cache % caches, worker % caches);
                            taken.fetch_add(1, Ordering::Relaxed);
                            let more = (1..=2).filter_map(|less| question.checked_sub(less));
                            questions.answered(more.map(|more| ((cache + 1) % caches, more)));
                        }
                    });
                }
            });
            let all = |n: u32| (0..=n).fold((0, 0), |(last, this), _| (this, last + this + 1)).1;
            assert_eq!(taken.into_inner(), all(12));
            assert_eq!(all(2), 4);
        }
    }

    #[test]
    fn a_slow_cache_holds_the_others_up_only_within_bounds() {
        let first = (0..100_000).map(|number| (number % 2, number));
        let questions = Questions::new(first, 2, |question| question.0);
        let mut fast = 0;
        while let Next::Question(_) = questions.try_next(1) {
            fast += 1;
        }
        assert_eq!(fast, MAX_WAITING - 1);
        assert!(matches!(questions.try_next(0), Next::Question(_)));
        // The one that came up behind it goes to the slow one, then one more.
        assert!(matches!(questions.try_next(1), Next::Question(_)));
    }
}
