//! Does an input bring something new along?

use super::{Both, Change};
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};

/// An input of an input that was not there before.
pub static RULE: Rule = Rule {
    id: "new-transitive-input",
    level: Level::Note,
    summary: "an input brings another along that was not there before",
    remedy: "review where it comes from; nobody named it in this flake",
    page: page!("new-transitive-input"),
};

pub(super) fn check(
    new: &Input<'_>,
    change: &Change,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    // What comes with an input that is new itself is said there.
    let Change::Added { with_parent: false, followed: None, .. } = change else { return };
    if new.depth.is_none_or(|depth| depth < 2) {
        return;
    }
    let message = format!("{} was not there before", new.locked.show());
    found.push(new.finding(&RULE, message).located(both.head.at_locked(new, "rev")));
}
