//! Can the date be right?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_lock::Attribute;
use crate::nix::time::Timestamp;

/// A date that cannot be right.
pub static RULE: Rule = Rule {
    id: "impossible-date",
    level: Level::Warning,
    summary: "an input claims a date that cannot be right",
    remedy: "lock the input again; the date decides what counts as newer and as stale, and Nix never checks it against the commit",
    page: page!("impossible-date"),
};

/// How far clocks of committers may go wrong: a day, for time zones.
const SLACK: i64 = 86_400;

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let Some(attr) = input.locked.attribute("lastModified") else { return };
    let Attribute::Number(text) = &attr.value else { return };
    let message = match text.parse::<i64>().ok().and_then(Timestamp::from_seconds) {
        None => {
            format!("lastModified {} is no time since 1970", crate::nix::flake_secrets::brief(text))
        }
        Some(date) if date.seconds() > audit.now.saturating_add(SLACK) => {
            format!("lastModified says {date}, which is in the future")
        }
        Some(_) => return,
    };
    found.push(
        input
            .finding(&RULE, message)
            .located(audit.at_locked(input, "lastModified"))
            .mended_by(input.update()),
    );
}
