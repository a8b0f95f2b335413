//! Did its connection become worse?

use super::Both;
use crate::check::lock::alone::insecure_scheme;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};

/// A connection that was authenticated and is no more.
pub static RULE: Rule = Rule {
    id: "newly-insecure",
    level: Level::Error,
    summary: "an input was fetched over an authenticated connection and is no more",
    remedy: "go back to https or ssh in flake.nix, then lock the input again",
    page: page!("newly-insecure"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let Some(scheme) = insecure_scheme::scheme(new.locked) else { return };
    if insecure_scheme::scheme(old.locked).is_some() {
        return;
    }
    let message = format!("was fetched from {}, now over {scheme}", old.locked.show());
    found.push(
        new.finding(&RULE, message)
            .located(both.head.at_locked(new, "url"))
            .with("base", old.locked.show())
            .with("locked", new.locked.show()),
    );
}
