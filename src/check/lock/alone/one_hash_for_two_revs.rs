//! Does one content stand for two revisions?

use std::collections::BTreeMap;

use crate::check::lock::audit::{Audit, Input};
use crate::check::lock::identity::Identity;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;
use crate::nix::hash::NarHash;

/// Two revisions, one hash.
pub static RULE: Rule = Rule {
    id: "one-hash-for-two-revs",
    level: Level::Note,
    summary: "two revisions of one repository are locked with the same content",
    remedy: "harmless if both commits hold the same files; if the dates are equal too, a revision was probably edited by hand: lock the input again",
};

pub(super) fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let mut by_hash: BTreeMap<(Identity, NarHash), Vec<&Input<'_>>> = BTreeMap::new();
    for input in audit.reached() {
        if let (Some(identity), Some(hash)) = (Identity::of(input.locked), input.good_nar_hash()) {
            by_hash.entry((identity, *hash)).or_default().push(input);
        }
    }
    for inputs in by_hash.values() {
        let Some(first) = inputs.iter().find(|one| one.locked.rev().is_some()) else { continue };
        let rev = |one: &Input<'_>| one.locked.rev().map(str::to_ascii_lowercase);
        let Some(other) = inputs.iter().find(|one| rev(one).is_some() && rev(one) != rev(first))
        else {
            continue;
        };
        let same_date =
            other.last_modified().is_some() && other.last_modified() == first.last_modified();
        let level = if same_date { Level::Warning } else { Level::Note };
        let message = format!(
            "{} has one narHash{} for {} here and {} as {}",
            other.locked.show(),
            if same_date { " and one date" } else { "" },
            short_rev(&rev(other).unwrap_or_default()),
            short_rev(&rev(first).unwrap_or_default()),
            first.path
        );
        let place = audit.source.labelled(other.locked_span("rev"), &other.path);
        let place = audit.source.beside(place, first.locked_span("rev"), &first.path);
        found.push(other.finding(&RULE, message).weighed(level).located(place));
    }
}
