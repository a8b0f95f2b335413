//! Memory that decoders may take together.
//!
//! What a stream's header asks for is the stream's word, so a server could
//! make every one of many downloads ask for the largest window there is. A
//! decoder starts only once its share of one budget is free.

use std::sync::{Condvar, Mutex, PoisonError};

/// What all decoders may take: the largest window with its tables, and a few
/// ordinary ones beside it.
const BUDGET: u64 = 96 << 20;

/// The budget of this process.
pub(super) static DECODERS: Budget = Budget::new(BUDGET);

/// A number of bytes, given out in the order of asking.
pub(super) struct Budget {
    total: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    left: u64,
    /// The next ticket handed out, and the one whose turn it is.
    tickets: u64,
    turn: u64,
    /// How many wait: nobody is woken where nobody waits.
    waiting: usize,
}

/// A share of a budget; it goes back when this is dropped.
#[must_use]
pub(super) struct Permit<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    const fn new(total: u64) -> Self {
        let state = State { left: total, tickets: 0, turn: 0, waiting: 0 };
        Self { total, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until so many bytes are free; asking for more than there are in
    /// all waits for all. Whoever holds a permit must not ask for another.
    pub(super) fn take(&self, bytes: u64) -> Permit<'_> {
        let bytes = bytes.min(self.total);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = state.tickets;
        state.tickets = ticket.wrapping_add(1);
        let waits = |state: &mut State| state.turn != ticket || state.left < bytes;
        state.waiting = state.waiting.saturating_add(1);
        let waited = self.changed.wait_while(state, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting = state.waiting.saturating_sub(1);
        state.left = state.left.saturating_sub(bytes);
        state.turn = ticket.wrapping_add(1);
        let others = state.waiting > 0;
        drop(state);
        if others {
            self.changed.notify_all();
        }
        Permit { budget: self, bytes }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left = state.left.saturating_add(self.bytes);
        let others = state.waiting > 0;
        drop(state);
        if others {
            self.budget.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn never_more_is_out_than_there_is() {
        let budget = Budget::new(100);
        let out = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for worker in 0..8_u64 {
                let (budget, out) = (&budget, &out);
                scope.spawn(move || {
                    for round in 0..200_u64 {
                        let bytes = (worker * 37 + round * 11) % 130;
                        let permit = budget.take(bytes);
                        let now = out.fetch_add(bytes.min(100), Ordering::SeqCst);
                        assert!(now + bytes.min(100) <= 100);
                        out.fetch_sub(bytes.min(100), Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(budget.state.into_inner().unwrap().left, 100);
    }
}
