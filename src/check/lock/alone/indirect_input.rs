//! Was a registry asked what is meant?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};

/// An input that names no source but an entry of the flake registry.
pub static RULE: Rule = Rule {
    id: "indirect-input",
    level: Level::Warning,
    summary: "an input names an entry of the flake registry instead of a source",
    remedy: "name the source in flake.nix (inputs.NAME.url); what the registry says depends on who locks, and when",
    page: page!("indirect-input"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if input.original.kind() != "indirect" {
        return;
    }
    // What inputs of inputs ask for is not in the reader's hands.
    let level = if input.depth == Some(1) { Level::Warning } else { Level::Note };
    let message = format!(
        "{} was looked up in a registry and came out as {}",
        input.original.show(),
        input.locked.show()
    );
    found
        .push(input.finding(&RULE, message).weighed(level).located(audit.at_original(input, "id")));
}
