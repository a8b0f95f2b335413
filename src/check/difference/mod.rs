//! Why two store objects differ (`docs/differences.md`).
//!
//! Both are read as NARs, side by side and once, so that they need never be
//! unpacked: entries are sorted, so what belongs together comes together. Two
//! files that differ are held in memory if they are not too large, looked into
//! (archives, compressed data, programs), and what differs is judged by its
//! form and place. A cause is a guess with its evidence; it changes no verdict.
//!
//! Everything read here may be made to mislead or to exhaust: work and memory
//! are bounded, and readers of formats give up rather than guess.

mod budget;
mod clues;
mod content;
mod dates;
pub mod explanation;
mod fields;
mod generic;
mod hunks;
mod inside;
mod numbers;
mod order;
mod side;
mod walk;
mod words;

pub use clues::{Context, HostFact};
pub use explanation::{
    ByteDifference, CLASSES, Certainty, Change, Class, ClassCount, Clue, EntryDifference,
    Explanation, Item,
};
pub use walk::{ExplainError, Which, explain};

/// Most entries that are named; a build that differs in more is not explained
/// by a longer list.
pub const MAX_NAMED: usize = 200;

/// Two byte strings as if they were the contents of one file: what the cause
/// of their difference looks like.
#[must_use]
pub fn causes(claimed: &[u8], ours: &[u8], context: &Context) -> Vec<Clue> {
    let budget = budget::Budget::default();
    let mut clues = clues::Clues::new(context, &budget);
    if claimed != ours {
        inside::compare(claimed, ours, &mut clues);
    }
    clues.finish().0
}
