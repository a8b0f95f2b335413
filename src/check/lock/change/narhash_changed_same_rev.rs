//! Is the content of a revision still the same?

use super::Both;
use crate::check::lock::audit::Input;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;

/// Another hash for the same revision.
pub static RULE: Rule = Rule {
    id: "narhash-changed-same-rev",
    level: Level::Error,
    summary: "the hash of an input changed, but its revision did not: Nix evaluates other content under the same name",
    remedy: "recompute the hash from the repository (--mirror) before you accept it; it is either a repair of a wrong hash or a forged one",
    page: page!("narhash-changed-same-rev"),
};

pub(super) fn check(
    old: &Input<'_>,
    new: &Input<'_>,
    both: &Both<'_, '_>,
    found: &mut Vec<Finding>,
) {
    let (Some(from), Some(to)) = (old.locked.rev(), new.locked.rev()) else { return };
    let (Some(before), Some(now)) = (old.good_nar_hash(), new.good_nar_hash()) else { return };
    if !from.eq_ignore_ascii_case(to) || before == now || old.identity != new.identity {
        return;
    }
    let message = format!(
        "narHash changed, but the revision is {} as before: one of the two hashes is not of this revision",
        short_rev(to)
    );
    let place = both.head.source.labelled(new.locked_span("narHash"), "changed");
    let place = both.head.source.beside(place, new.locked_span("rev"), "not changed");
    found.push(
        new.finding(&RULE, message)
            .located(place)
            .with("base narHash", before.hash().sri())
            .with("narHash", now.hash().sri())
            .with("rev of both", to)
            .mended_by(new.update()),
    );
}
