//! Rules that compare a lock with the one before a change, one file each.

pub mod date_changed_same_rev;
pub mod downgrade;
pub mod follows_removed;
pub mod hash_dropped;
pub mod narhash_changed_same_rev;
pub mod narhash_not_updated;
pub mod new_transitive_input;
pub mod newly_insecure;
pub mod original_changed;
pub mod pairs;
pub mod source_swapped;

pub use pairs::{Change, Pairs};

use rayon::prelude::*;

use super::alone::CHUNK;
use super::audit::{Audit, Input, MANY};
use crate::check::{Finding, Rule};

/// A rule over an input and what it was before.
type PairCheck = fn(&Input<'_>, &Input<'_>, &Both<'_, '_>, &mut Vec<Finding>);

/// Two locks.
#[derive(Debug)]
pub struct Both<'b, 'a> {
    /// The one before.
    pub base: &'b Audit<'a>,
    /// The one under audit.
    pub head: &'b Audit<'a>,
}

/// The rules over each input that was there before.
static PAIR_CHECKS: [PairCheck; 8] = [
    date_changed_same_rev::check,
    downgrade::check,
    hash_dropped::check,
    narhash_changed_same_rev::check,
    narhash_not_updated::check,
    newly_insecure::check,
    original_changed::check,
    source_swapped::check,
];

/// The rules here.
pub static RULES: [&Rule; 10] = [
    &date_changed_same_rev::RULE,
    &downgrade::RULE,
    &follows_removed::RULE,
    &hash_dropped::RULE,
    &narhash_changed_same_rev::RULE,
    &narhash_not_updated::RULE,
    &new_transitive_input::RULE,
    &newly_insecure::RULE,
    &original_changed::RULE,
    &source_swapped::RULE,
];

/// Applies every rule; the number of answers comes back.
pub fn check(both: &Both<'_, '_>, pairs: &Pairs, found: &mut Vec<Finding>) -> u64 {
    if pairs.changes.len() < MANY {
        return pairs.changes.iter().map(|change| check_one(change, both, found)).sum();
    }
    let each = |changes: &[Change]| {
        let mut found = Vec::new();
        let answered = changes.iter().map(|change| check_one(change, both, &mut found)).sum();
        (answered, found)
    };
    let parts: Vec<(u64, Vec<Finding>)> = pairs.changes.par_chunks(CHUNK).map(each).collect();
    let mut answered = 0;
    for (more, findings) in parts {
        answered += more;
        found.extend(findings);
    }
    answered
}

/// Applies the rules to one input.
fn check_one(change: &Change, both: &Both<'_, '_>, found: &mut Vec<Finding>) -> u64 {
    match *change {
        Change::Same { before, now } | Change::Changed { before, now } => {
            let (Some(old), Some(new)) = (both.base.inputs.get(before), both.head.inputs.get(now))
            else {
                return 0;
            };
            let mut answered = 0;
            for check in &PAIR_CHECKS {
                check(old, new, both, found);
                answered += 1;
            }
            answered
        }
        Change::Added { now, .. } => {
            let Some(new) = both.head.inputs.get(now) else { return 0 };
            follows_removed::check(new, change, both, found);
            new_transitive_input::check(new, change, both, found);
            2
        }
        Change::Removed { .. } => 0,
    }
}
