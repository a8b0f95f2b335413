//! Is the date of a revision still the same?

use super::Both;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;
use crate::nix::time::Timestamp;

/// Another date for the same revision.
pub static RULE: Rule = Rule {
    id: "date-changed-same-rev",
    level: Level::Warning,
    summary: "the date of an input changed, but its revision did not",
    remedy: "lock the input again; a commit has one date, and a false one makes an old revision look new",
    page: page!("date-changed-same-rev"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let (Some(from), Some(to)) = (old.locked.rev(), new.locked.rev()) else { return };
    let (Some(before), Some(now)) = (old.last_modified(), new.last_modified()) else { return };
    if !from.eq_ignore_ascii_case(to) || before == now || old.good_nar_hash() != new.good_nar_hash()
    {
        return;
    }
    let date = |seconds: i64| {
        Timestamp::from_seconds(seconds)
            .map_or_else(|| seconds.to_string(), |date| date.to_string())
    };
    let message = format!(
        "lastModified went from {} to {}, but the revision is {} as before",
        date(before),
        date(now),
        short_rev(to)
    );
    found.push(
        new.finding(&RULE, message)
            .located(both.head.at_locked(new, "lastModified"))
            .mended_by(new.update()),
    );
}
