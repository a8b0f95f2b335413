//! Is the hash written as Nix wants it now?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_secrets::brief;

/// A `narHash` that is not SRI.
pub static RULE: Rule = Rule {
    id: "hash-notation",
    level: Level::Warning,
    summary: "a narHash is not in SRI notation",
    remedy: "lock the input again; current Nix takes nothing but SRI",
    page: page!("hash-notation"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let Some(hash) = input.good_nar_hash() else { return };
    let text = input.locked.text("narHash").unwrap_or_default();
    let sri = hash.hash().sri();
    if text == sri {
        return;
    }
    let message = format!("the narHash '{}' is not SRI; current Nix refuses it", brief(text));
    let level = if text.trim_end_matches('=') == sri.trim_end_matches('=') {
        Level::Note
    } else {
        Level::Warning
    };
    found.push(
        input
            .finding(&RULE, message)
            .weighed(level)
            .located(audit.at_locked(input, "narHash"))
            .with("the same as SRI", sri)
            .mended_by(input.update()),
    );
}
