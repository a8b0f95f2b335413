//! Did the content change with the revision?

use super::Both;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;

/// Another revision with the hash and date of the old one.
pub static RULE: Rule = Rule {
    id: "narhash-not-updated",
    level: Level::Error,
    summary: "the revision of an input changed, but its hash and date did not: Nix still evaluates the old content",
    remedy: "lock the input again; somebody, or a bot, edited the revision as text",
    page: page!("narhash-not-updated"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let (Some(from), Some(to)) = (old.locked.rev(), new.locked.rev()) else { return };
    let (Some(hash), Some(kept)) = (old.good_nar_hash(), new.good_nar_hash()) else { return };
    // Commits that hold the same files are common; that they have one date
    // too is not.
    if from.eq_ignore_ascii_case(to) || hash != kept || old.last_modified() != new.last_modified() {
        return;
    }
    let message = format!(
        "the revision went from {} to {}, but narHash and date are still those of before",
        short_rev(from),
        short_rev(to)
    );
    let place = both.head.source.labelled(new.locked_span("rev"), "changed");
    let place = both.head.source.beside(place, new.locked_span("narHash"), "not changed");
    found.push(
        new.finding(&RULE, message)
            .located(place)
            .with("base rev", from)
            .with("rev", to)
            .with("narHash of both", hash.hash().sri())
            .mended_by(new.update()),
    );
}
