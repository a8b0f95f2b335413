//! Does the change go back in time?

use super::Both;
use super::pairs::equal;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;
use crate::nix::time::Timestamp;

/// An older revision than before.
pub static RULE: Rule = Rule {
    id: "downgrade",
    level: Level::Warning,
    summary: "an input went back to an older revision, though flake.nix asks for the same as before",
    remedy: "make sure that it is meant: an old revision brings back what was mended since",
    page: page!("downgrade"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let (Some(before), Some(now)) = (old.last_modified(), new.last_modified()) else { return };
    let rev = |of: &Input<'_>| of.locked.rev().map(str::to_ascii_lowercase);
    if now >= before || rev(old) == rev(new) || !equal(&old.node.original, &new.node.original) {
        return;
    }
    let date = |seconds: i64| {
        Timestamp::from_seconds(seconds).map_or_else(|| seconds.to_string(), Timestamp::date)
    };
    let name = |of: &Input<'_>| {
        of.locked.rev().map_or_else(|| of.locked.show(), |rev| short_rev(rev).to_owned())
    };
    let message = format!(
        "went back from {} of {} to {} of {}",
        name(old),
        date(before),
        name(new),
        date(now)
    );
    found.push(
        new.finding(&RULE, message)
            .located(both.head.at_locked(new, "lastModified"))
            .mended_by(new.update()),
    );
}
