//! Does it still come from where it came from?

use super::Both;
use super::pairs::equal;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::Comparison;

/// Another source, though flake.nix asks for the same.
pub static RULE: Rule = Rule {
    id: "source-swapped",
    level: Level::Error,
    summary: "an input is locked to another source than before, though flake.nix asks for the same",
    remedy: "do not accept the change before you know why; an update never does this by itself",
    page: page!("source-swapped"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    if !equal(&old.node.original, &new.node.original) {
        return;
    }
    let Comparison::Differs(attribute) = old.locked.compare(new.locked) else { return };
    // A path in the store changes with its content.
    if attribute == "path" && old.locked.kind() == new.locked.kind() {
        return;
    }
    let right = new.original.compare(new.locked) == Comparison::Same;
    let (level, why) = if right {
        (Level::Note, ", which is what flake.nix asks for")
    } else {
        (Level::Error, ", though flake.nix asks for the same as before")
    };
    let (from, to) = (old.locked.show(), new.locked.show());
    let message = format!("was locked to {from}, now to {to}{why}");
    found.push(
        new.finding(&RULE, message)
            .weighed(level)
            .located(both.head.at_both(new, attribute))
            .with("original", new.original.show())
            .with("base", from)
            .with("locked", to)
            .mended_by(new.update()),
    );
}
