//! Does flake.nix ask for something else?

use super::Both;
use super::pairs::equal;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};

/// flake.nix asks for another source.
pub static RULE: Rule = Rule {
    id: "original-changed",
    level: Level::Note,
    summary: "flake.nix asks for another source than before",
    remedy: "review the change of flake.nix: the lock follows it",
    page: page!("original-changed"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    if equal(&old.node.original, &new.node.original) {
        return;
    }
    let (from, to) = (old.original.show(), new.original.show());
    if from == to {
        return;
    }
    let message = format!("flake.nix asked for {from}, now for {to}");
    let attribute = if old.original.compare(new.original) == crate::nix::flake_ref::Comparison::Same
    {
        "ref"
    } else {
        "owner"
    };
    found.push(new.finding(&RULE, message).located(both.head.at_original(new, attribute)));
}
