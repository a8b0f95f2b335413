//! Does it bring other repositories along?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};

/// A repository with its submodules.
pub static RULE: Rule = Rule {
    id: "submodules",
    level: Level::Note,
    summary: "an input is fetched with its submodules",
    remedy: "review the submodules too: they come from other repositories, and a comparison of the input's commits does not show what is in them",
    page: page!("submodules"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if input.locked.kind() == "git" && input.locked.switch("submodules") {
        let message = format!("{} is fetched with its submodules", input.locked.show());
        found.push(input.finding(&RULE, message).located(audit.at_locked(input, "submodules")));
    }
}
