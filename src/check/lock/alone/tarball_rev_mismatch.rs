//! Is the revision an archive claims the one in its address?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::revs_in;
use crate::nix::flake_secrets::brief;

/// An archive whose address names another revision.
pub static RULE: Rule = Rule {
    id: "tarball-rev-mismatch",
    level: Level::Error,
    summary: "an archive's address names another revision than the lock",
    remedy: "lock the input again; Nix never compares the two and reports the revision of the lock",
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if !matches!(input.locked.kind(), "tarball" | "file") {
        return;
    }
    let (Some(url), Some(rev)) = (input.locked.text("url"), input.locked.text("rev")) else {
        return;
    };
    let mut named = revs_in(url).filter(|part| part.len() == rev.len()).peekable();
    let Some(first) = named.peek().copied() else { return };
    if named.any(|part| part.eq_ignore_ascii_case(rev)) {
        return;
    }
    let message = format!("the address is that of revision {first}, the lock says {}", brief(rev));
    let place = audit.source.beside(
        audit.source.labelled(input.locked_span("rev"), "the lock's revision"),
        input.locked_span("url"),
        "the address",
    );
    found.push(
        input
            .finding(&RULE, message)
            .located(place)
            .with("revision in the address", first)
            .with("locked rev", brief(rev))
            .mended_by(input.update()),
    );
}
