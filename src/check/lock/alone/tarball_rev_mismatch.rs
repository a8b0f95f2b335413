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
    page: page!("tarball-rev-mismatch"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if !matches!(input.locked.kind(), "tarball" | "file") {
        return;
    }
    let (Some(url), Some(rev)) = (input.locked.text("url"), input.locked.text("rev")) else {
        return;
    };
    // The path and the parameters each for itself, so that a true revision in
    // one does not vouch for a false one in the other.
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    let other = |part: &'_ str| {
        let named: Vec<String> =
            revs_in(part).filter(|one| one.len() == rev.len()).map(str::to_owned).collect();
        let right = named.iter().any(|one| one.eq_ignore_ascii_case(rev));
        named.into_iter().next().filter(|_| !right)
    };
    let Some(first) = other(path).or_else(|| other(parameters)) else { return };
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
