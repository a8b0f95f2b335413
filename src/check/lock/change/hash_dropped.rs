//! Is its hash still there?

use super::Both;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};

/// A hash that is gone.
pub static RULE: Rule = Rule {
    id: "hash-dropped",
    level: Level::Error,
    summary: "an input had a narHash and has none any more",
    remedy: "lock the input again; without the hash, whoever serves the content decides what it is",
    page: page!("hash-dropped"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let gone = old.locked.text("narHash").is_some() && new.locked.text("narHash").is_none();
    if gone && !new.locked.is_relative() {
        let message = format!("{} had a narHash before the change", new.locked.show());
        found.push(
            new.finding(&RULE, message)
                .located(both.head.at_locked(new, "rev"))
                .with("base narHash", old.locked.text("narHash").unwrap_or_default())
                .mended_by(new.update()),
        );
    }
}
