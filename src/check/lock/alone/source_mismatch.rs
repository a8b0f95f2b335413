//! Is what is locked what was asked for?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::Comparison;

/// The locked source is another than the one asked for.
pub static RULE: Rule = Rule {
    id: "source-mismatch",
    level: Level::Error,
    summary: "an input is locked to another source than the one that flake.nix asks for",
    remedy: "lock the input again; if the other source is meant, name it in flake.nix. Nix never compares the two, so nothing else will tell",
    page: page!("source-mismatch"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let Comparison::Differs(attribute) = input.original.compare(input.locked) else { return };
    let (locked, original) = (input.locked.show(), input.original.show());
    let why = if input.locked.is_local() && !input.original.is_local() {
        " (a local override that was committed?)"
    } else {
        ""
    };
    let message = format!("locked to {locked}, but flake.nix asks for {original}{why}");
    found.push(
        input
            .finding(&RULE, message)
            .located(audit.at_both(input, attribute))
            .with("original", original)
            .with("locked", locked)
            .mended_by(input.update()),
    );
}
