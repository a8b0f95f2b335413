//! Is there a hash of the content?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};

/// A revision without a hash of its content.
pub static RULE: Rule = Rule {
    id: "missing-nar-hash",
    level: Level::Warning,
    summary: "an input has a revision but no narHash",
    remedy: "lock it with a Nix that writes narHash; without it the host that makes the archive is trusted for its content",
    page: page!("missing-nar-hash"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let locked = input.locked;
    if locked.text("narHash").is_some() || locked.rev().is_none() {
        return;
    }
    let (level, why) = match locked.kind() {
        "github" | "gitlab" | "sourcehut" => {
            (Level::Warning, "the archive that the host makes of the revision is taken as it comes")
        }
        // A revision of git is a hash of the content, if a weak one.
        "git" | "hg" => (Level::Note, "only the revision, a SHA-1 as a rule, holds the content"),
        _ => return,
    };
    found.push(
        input
            .finding(&RULE, format!("{} has no narHash: {why}", locked.show()))
            .weighed(level)
            .located(audit.at_locked(input, "rev"))
            .mended_by(input.update()),
    );
}
