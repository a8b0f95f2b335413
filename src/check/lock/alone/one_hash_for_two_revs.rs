//! Does one content stand for two revisions?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;

/// Two revisions, one hash.
pub static RULE: Rule = Rule {
    id: "one-hash-for-two-revs",
    level: Level::Note,
    summary: "two revisions of one repository are locked with the same content",
    remedy: "harmless if both commits hold the same files; if the dates are equal too, a revision was probably edited by hand: lock the input again",
    page: page!("one-hash-for-two-revs"),
};

pub(super) fn check<'a>(audit: &'a Audit<'_>, found: &mut Vec<Finding>) {
    let key = |input: &'a Input<'_>| Some((input.identity.as_ref()?, input.good_nar_hash()?));
    for inputs in audit.groups(key) {
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
