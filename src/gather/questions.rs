//! Questions that many workers take from one place, and that beget more.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Questions asked at first, those that answers gave rise to, and how many
/// are being worked on, which says whether more can come.
pub(super) struct Questions<I: Iterator> {
    state: Mutex<State<I>>,
    changed: Condvar,
}

struct State<I: Iterator> {
    first: I,
    more: VecDeque<I::Item>,
    open: usize,
}

impl<I: Iterator> Questions<I> {
    /// Questions to begin with; they are taken one by one when somebody is
    /// free, so that a long list is never held.
    pub(super) fn new(first: I) -> Self {
        let state = State { first, more: VecDeque::new(), open: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next question; waits while one may still come up. After `None`
    /// there will be no more.
    pub(super) fn next(&self) -> Option<I::Item> {
        let mut state = self.lock();
        loop {
            if let Some(question) = state.take() {
                return Some(question);
            }
            if state.open == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a question is answered, and what else is to be asked because
    /// of it.
    pub(super) fn answered(&self, more: impl IntoIterator<Item = I::Item>) {
        let mut state = self.lock();
        state.more.extend(more);
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }
}

impl<I: Iterator> State<I> {
    fn take(&mut self) -> Option<I::Item> {
        let question = self.more.pop_front().or_else(|| self.first.next())?;
        self.open = self.open.saturating_add(1);
        Some(question)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_question_is_taken_once_with_all_that_follow() {
        // A question n begets n - 1 and n - 2: as many as Fibonacci's rabbits.
        let questions = Questions::new([10_u32].into_iter());
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(question) = questions.next() {
                        taken.fetch_add(1, Ordering::Relaxed);
                        let more = (1..=2).filter_map(|less| question.checked_sub(less));
                        questions.answered(more);
                    }
                });
            }
        });
        let all = |n: u32| (0..=n).fold((0, 0), |(last, this), _| (this, last + this + 1)).1;
        assert_eq!(taken.into_inner(), all(10));
        assert_eq!(all(2), 4);
    }
}
