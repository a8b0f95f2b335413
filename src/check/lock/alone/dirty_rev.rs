//! Was it locked with changes that nobody committed?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_secrets::brief;

/// A lock of a repository with changes that were not committed.
pub static RULE: Rule = Rule {
    id: "dirty-rev",
    level: Level::Warning,
    summary: "an input was locked with changes that nobody committed",
    remedy: "commit them, push them, and lock the input again",
    page: page!("dirty-rev"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let Some(rev) = input.locked.text("dirtyRev") else { return };
    let message = format!(
        "locked to changes on top of {} that no commit holds",
        brief(rev.trim_end_matches("-dirty"))
    );
    found.push(
        input
            .finding(&RULE, message)
            .located(audit.at_locked(input, "dirtyRev"))
            .mended_by(input.update()),
    );
}
