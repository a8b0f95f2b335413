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
pub mod untested_branch;

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::audit::{Audit, Input, MANY};
use crate::check::{Finding, Rule};

/// Inputs that one thread looks at in a row.
pub(super) const CHUNK: usize = 1_024;

/// A rule over one input.
type InputCheck = fn(&Input<'_>, &Audit<'_>, &mut Vec<Finding>);

/// A rule over the whole lock.
type LockCheck = fn(&Audit<'_>, &mut Vec<Finding>);

/// What a check looks at.
enum Looks {
    /// Each input that the root reaches.
    AtInput(InputCheck),
    /// The whole lock.
    AtLock(LockCheck),
}

/// A check with the rules whose findings it makes.
struct Check {
    rules: &'static [&'static Rule],
    looks: Looks,
}

const fn input(rules: &'static [&'static Rule], check: InputCheck) -> Check {
    Check { rules, looks: Looks::AtInput(check) }
}

const fn lock(rules: &'static [&'static Rule], check: LockCheck) -> Check {
    Check { rules, looks: Looks::AtLock(check) }
}

/// All checks here. Rules that are shared with other commands are named there.
static CHECKS: &[Check] = &[
    input(&[&credentials_in_url::RULE], credentials_in_url::check),
    input(&[&dirty_rev::RULE], dirty_rev::check),
    input(&[&end_of_life_branch::RULE], end_of_life_branch::check),
    input(&[&escaping_path::RULE], escaping_path::check),
    input(&[&forked_input::RULE], forked_input::check),
    input(&[&hash_notation::RULE], hash_notation::check),
    input(&[&impossible_date::RULE], impossible_date::check),
    input(&[&indirect_input::RULE], indirect_input::check),
    input(&[&insecure_scheme::RULE], insecure_scheme::check),
    input(&[&local_input::RULE], local_input::check),
    input(&[&malformed_pin::RULE], malformed_pin::check),
    input(&[&missing_nar_hash::RULE], missing_nar_hash::check),
    input(&[&mutable_tarball::RULE], mutable_tarball::check),
    input(&[&pin_mismatch::RULE], pin_mismatch::check),
    input(&[&source_mismatch::RULE], source_mismatch::check),
    input(&[&stale_input::RULE], stale_input::check),
    input(&[&submodules::RULE], submodules::check),
    input(&[&tarball_rev_mismatch::RULE], tarball_rev_mismatch::check),
    input(&[&unknown_attribute::RULE], unknown_attribute::check),
    input(&[&unlocked_input::RULE, &unlocked_input::UNKNOWN_TYPE], unlocked_input::check),
    input(&[&untested_branch::RULE], untested_branch::check),
    lock(
        &[
            &broken_graph::DANGLING_FOLLOWS,
            &broken_graph::FOLLOWS_CYCLE,
            &broken_graph::INPUT_CYCLE,
            &broken_graph::MISSING_NODE,
        ],
        broken_graph::check,
    ),
    lock(&[], doubled_key::check),
    lock(&[&duplicate_input::RULE], duplicate_input::check),
    lock(&[&one_hash_for_two_revs::RULE], one_hash_for_two_revs::check),
    lock(&[&orphan_node::RULE], orphan_node::check),
    lock(&[&rev_with_two_hashes::DATES, &rev_with_two_hashes::RULE], rev_with_two_hashes::check),
];

/// The rules here, those shared with other commands apart.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    CHECKS.iter().flat_map(|check| check.rules).copied()
}

/// Applies every check; the number of answers comes back.
pub fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) -> u64 {
    check_those(audit, |_| true, found)
}

/// Applies the checks that may have made the findings of certain rules.
pub(super) fn check_for(
    rules: &BTreeSet<&'static str>,
    audit: &Audit<'_>,
    found: &mut Vec<Finding>,
) {
    // What names no rule makes findings of other commands' rules.
    let makes = |check: &Check| {
        check.rules.is_empty() || check.rules.iter().any(|rule| rules.contains(rule.id))
    };
    check_those(audit, makes, found);
}

fn check_those(audit: &Audit<'_>, those: impl Fn(&Check) -> bool, found: &mut Vec<Finding>) -> u64 {
    let checks: Vec<&Check> = CHECKS.iter().filter(|check| those(check)).collect();
    let each = |inputs: &[Input<'_>]| {
        let (mut answered, mut found) = (0, Vec::new());
        for input in inputs {
            answered += check_input(&checks, input, audit, &mut found);
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
    for check in &checks {
        if let Looks::AtLock(check) = check.looks {
            check(audit, found);
            answered += 1;
        }
    }
    answered
}

/// Applies those checks that look at one input.
fn check_input(
    checks: &[&Check],
    input: &Input<'_>,
    audit: &Audit<'_>,
    found: &mut Vec<Finding>,
) -> u64 {
    if input.depth.is_none() {
        // Nix never reads it, but everybody can.
        credentials_in_url::check(input, audit, found);
        return 1;
    }
    let mut answered = 0;
    for check in checks {
        if let Looks::AtInput(check) = check.looks {
            check(input, audit, found);
            answered += 1;
        }
    }
    answered
}
