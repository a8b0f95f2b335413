//! Is it on the machine of whoever locked it?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};

/// An input that only exists on one machine.
pub static RULE: Rule = Rule {
    id: "local-input",
    level: Level::Warning,
    summary: "an input is a path or repository of one machine",
    remedy: "point it to where others can fetch it, then lock it again; it may be an override that was committed",
    page: page!("local-input"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if !input.locked.is_local() || input.locked.is_relative() {
        return;
    }
    let message =
        format!("{} is only there on the machine where it was locked", input.locked.show());
    let attribute = if input.locked.kind() == "path" { "path" } else { "url" };
    found.push(
        input
            .finding(&RULE, message)
            .located(audit.at_locked(input, attribute))
            .mended_by(input.update()),
    );
}
