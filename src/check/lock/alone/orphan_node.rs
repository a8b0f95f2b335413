//! Is every node reached?

use crate::check::lock::audit::Audit;
use crate::check::{Finding, Level, Rule};

/// A node that nothing leads to.
pub static RULE: Rule = Rule {
    id: "orphan-node",
    level: Level::Warning,
    summary: "a node is in the lock that no input leads to",
    remedy: "lock the flake again, which drops it; a bad merge leaves such nodes behind, and one with a telling name can deceive a reader",
    page: page!("orphan-node"),
};

pub(super) fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) {
    for input in audit.inputs.iter().filter(|input| input.depth.is_none()) {
        let message = format!("{} is never used: no input leads here", input.locked.show());
        found.push(
            input
                .finding(&RULE, message)
                .located(audit.source.at(input.node.key))
                .mended_by("nix flake lock"),
        );
    }
}
