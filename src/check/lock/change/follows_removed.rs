//! Does an input that followed another go its own way?

use super::{Both, Change};
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};

/// An input that followed and has its own node now.
pub static RULE: Rule = Rule {
    id: "follows-removed",
    level: Level::Warning,
    summary: "an input that followed another is locked on its own now",
    remedy: "restore the 'follows' in flake.nix if nobody meant to remove it: what was one reviewed source is two now",
    page: page!("follows-removed"),
};

pub(super) fn check(
    new: &Input<'_>,
    change: &Change,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let Change::Added { followed: Some(followed), .. } = change else { return };
    let Some(old) = both.base.inputs.get(*followed) else { return };
    let message = format!("followed {} before, is locked to {} now", old.path, new.locked.show());
    found.push(
        new.finding(&RULE, message)
            .located(both.head.at_locked(new, "rev"))
            .with("followed", old.locked.show())
            .with("locked", new.locked.show()),
    );
}
