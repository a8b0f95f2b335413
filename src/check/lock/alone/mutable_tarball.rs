//! Can an archive's address serve something else tomorrow?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::revs_in;

/// An archive under an address that may change.
pub static RULE: Rule = Rule {
    id: "mutable-tarball",
    level: Level::Warning,
    summary: "an archive is locked to an address that can serve something else tomorrow",
    remedy: "use an address that names a revision or hash, or a server that answers with an immutable link",
    page: page!("mutable-tarball"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if !matches!(input.locked.kind(), "tarball" | "file") {
        return;
    }
    let (Some(locked), original) = (input.locked.text("url"), input.original.text("url")) else {
        return;
    };
    if original != Some(locked) || revs_in(locked).next().is_some() || input.locked.is_local() {
        return;
    }
    let message = format!(
        "{} is locked to the address that was asked for, which names no revision: when it serves something else the lock cannot be used any more",
        input.locked.show()
    );
    found.push(input.finding(&RULE, message).located(audit.at_locked(input, "url")));
}
