//! Is it too old?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::time::Timestamp;

/// An input older than it may be.
pub static RULE: Rule = Rule {
    id: "stale-input",
    level: Level::Warning,
    summary: "an input has not been updated for too long",
    remedy: "update the input; security fixes of the time since are missing",
    page: page!("stale-input"),
};

/// Seconds of a day.
const DAY: i64 = 86_400;

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let Some(date) = input.last_modified().and_then(Timestamp::from_seconds) else { return };
    let age = audit.now.saturating_sub(date.seconds()) / DAY;
    let known = || {
        let (owner, repo) = input.locked.owner_and_repo()?;
        let known = audit.tables.repository(repo)?;
        let genuine = known.owners.iter().any(|one| one.eq_ignore_ascii_case(owner));
        known.stale_after_days.filter(|_| genuine)
    };
    let configured = audit.config.max_age_days(&input.path);
    let (limit, level) = match (configured, known()) {
        (Some(days), _) => (days, Level::Error),
        // What inputs of inputs bring along is not in the reader's hands.
        (None, Some(days)) if input.depth == Some(1) => (days, Level::Warning),
        (None, _) => return,
    };
    if age <= limit {
        return;
    }
    let who = if configured.is_some() { "the configuration allows" } else { "usual are at most" };
    let message =
        format!("{} is of {}, {age} days old ({who} {limit})", input.locked.show(), date.date());
    found.push(
        input
            .finding(&RULE, message)
            .weighed(level)
            .located(audit.at_locked(input, "lastModified"))
            .mended_by(input.update()),
    );
}
