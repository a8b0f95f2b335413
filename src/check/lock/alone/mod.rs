//! Rules that look at one lock alone, one file each.

pub mod broken_graph;
pub mod credentials_in_url;
pub mod dirty_rev;
pub mod doubled_key;
pub mod duplicate_input;
pub mod end_of_life_branch;
pub mod escaping_path;
pub mod forked_input;
pub mod hash_notation;
pub mod impossible_date;
pub mod indirect_input;
pub mod insecure_scheme;
pub mod local_input;
pub mod malformed_pin;
pub mod missing_nar_hash;
pub mod mutable_tarball;
pub mod one_hash_for_two_revs;
pub mod orphan_node;
pub mod pin_mismatch;
pub mod rev_with_two_hashes;
pub mod source_mismatch;
pub mod stale_input;
pub mod submodules;
pub mod tarball_rev_mismatch;
pub mod unknown_attribute;
pub mod unlocked_input;

use rayon::prelude::*;

use super::audit::{Audit, Input, MANY};
use crate::check::{Finding, Rule};

/// Inputs that one thread looks at in a row.
const CHUNK: usize = 1_024;

/// A rule over one input.
type InputCheck = fn(&Input<'_>, &Audit<'_>, &mut Vec<Finding>);

/// A rule over the whole lock.
type LockCheck = fn(&Audit<'_>, &mut Vec<Finding>);

/// The rules over each input that the root reaches.
static INPUT_CHECKS: [InputCheck; 18] = [
    credentials_in_url::check,
    dirty_rev::check,
    end_of_life_branch::check,
    escaping_path::check,
    forked_input::check,
    hash_notation::check,
    impossible_date::check,
    indirect_input::check,
    insecure_scheme::check,
    local_input::check,
    malformed_pin::check,
    missing_nar_hash::check,
    mutable_tarball::check,
    pin_mismatch::check,
    source_mismatch::check,
    stale_input::check,
    submodules::check,
    unlocked_input::check,
];

/// The rules over an input that say something of tarballs and attributes.
static MORE_INPUT_CHECKS: [InputCheck; 2] = [tarball_rev_mismatch::check, unknown_attribute::check];

/// The rules over the whole lock.
static LOCK_CHECKS: [LockCheck; 6] = [
    broken_graph::check,
    doubled_key::check,
    duplicate_input::check,
    one_hash_for_two_revs::check,
    orphan_node::check,
    rev_with_two_hashes::check,
];

/// The rules here, those shared with other commands apart.
pub static RULES: [&Rule; 30] = [
    &broken_graph::DANGLING_FOLLOWS,
    &broken_graph::FOLLOWS_CYCLE,
    &broken_graph::INPUT_CYCLE,
    &broken_graph::MISSING_NODE,
    &credentials_in_url::RULE,
    &dirty_rev::RULE,
    &duplicate_input::RULE,
    &end_of_life_branch::RULE,
    &escaping_path::RULE,
    &forked_input::RULE,
    &hash_notation::RULE,
    &impossible_date::RULE,
    &indirect_input::RULE,
    &insecure_scheme::RULE,
    &local_input::RULE,
    &malformed_pin::RULE,
    &missing_nar_hash::RULE,
    &mutable_tarball::RULE,
    &one_hash_for_two_revs::RULE,
    &orphan_node::RULE,
    &pin_mismatch::RULE,
    &rev_with_two_hashes::DATES,
    &rev_with_two_hashes::RULE,
    &source_mismatch::RULE,
    &stale_input::RULE,
    &submodules::RULE,
    &tarball_rev_mismatch::RULE,
    &unknown_attribute::RULE,
    &unlocked_input::RULE,
    &unlocked_input::UNKNOWN_TYPE,
];

/// Applies every rule; the number of answers comes back.
pub fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) -> u64 {
    let each = |inputs: &[Input<'_>]| {
        let (mut answered, mut found) = (0, Vec::new());
        for input in inputs {
            answered += check_input(input, audit, &mut found);
        }
        (answered, found)
    };
    let mut answered = 0;
    let parts = if audit.inputs.len() < MANY {
        vec![each(&audit.inputs)]
    } else {
        audit.inputs.par_chunks(CHUNK).map(each).collect()
    };
    for (more, findings) in parts {
        answered += more;
        found.extend(findings);
    }
    for check in &LOCK_CHECKS {
        check(audit, found);
        answered += 1;
    }
    answered
}

/// Applies every rule over one input.
fn check_input(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) -> u64 {
    if input.depth.is_none() {
        // Nix never reads it, but everybody can.
        credentials_in_url::check(input, audit, found);
        return 1;
    }
    let mut answered = 0;
    for check in INPUT_CHECKS.iter().chain(&MORE_INPUT_CHECKS) {
        check(input, audit, found);
        answered += 1;
    }
    answered
}
