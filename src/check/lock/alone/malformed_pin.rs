//! Are the pins what they claim to be?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::{is_rev, required_attributes};
use crate::nix::flake_secrets::brief;

/// A revision or hash that is none, or an attribute that must be there.
pub static RULE: Rule = Rule {
    id: "malformed-pin",
    level: Level::Error,
    summary: "an input has a revision or narHash that is none, or lacks what its type needs",
    remedy: "lock the input again; Nix refuses it as it is",
    page: page!("malformed-pin"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let mut bad = |attribute: &str, message: String| {
        found.push(
            input
                .finding(&RULE, message)
                .located(audit.at_locked(input, attribute))
                .mended_by(input.update()),
        );
    };
    if let Some(Err(error)) = &input.nar_hash {
        let text = input.locked.text("narHash").unwrap_or_default();
        bad("narHash", format!("the narHash '{}' cannot be decoded: {error}", brief(text)));
    }
    if let Some(rev) = input.locked.text("rev")
        && !is_rev(rev)
    {
        let found = brief(rev);
        bad(
            "rev",
            format!("the revision '{found}' is no commit (expected 40 or 64 digits of base-16)"),
        );
    }
    let kind = input.locked.kind();
    for name in required_attributes(kind) {
        if input.locked.text(name).is_none_or(str::is_empty) {
            bad("type", format!("an input of type '{kind}' needs '{name}', which is not there"));
        }
    }
}
