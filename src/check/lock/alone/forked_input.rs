//! Is it the repository everybody means by that name?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_secrets::brief;

/// A repository named like a well-known one, of another owner.
pub static RULE: Rule = Rule {
    id: "forked-input",
    level: Level::Note,
    summary: "an input is another owner's copy of a well-known repository",
    remedy: "make sure that the copy is meant, and that somebody brings it up to date",
    page: page!("forked-input"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if !matches!(input.locked.kind(), "github" | "gitlab" | "sourcehut" | "git") {
        return;
    }
    let Some((owner, repo)) = input.locked.owner_and_repo() else { return };
    let Some(known) = audit.tables.repository(repo) else { return };
    if known.owners.iter().any(|one| one.eq_ignore_ascii_case(owner)) {
        return;
    }
    let usual = known.owners.first().map_or("", String::as_str);
    let message = format!(
        "{} is a copy by '{}'; the well-known repository is of '{usual}'",
        input.locked.show(),
        brief(owner)
    );
    found.push(input.finding(&RULE, message).located(audit.at_locked(input, "owner")));
}
