//! Has one revision one content and one date?

use std::borrow::Cow;

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_ref::short_rev;
use crate::nix::time::Timestamp;

/// One revision, two hashes.
pub static RULE: Rule = Rule {
    id: "rev-with-two-hashes",
    level: Level::Error,
    summary: "one revision of one repository is locked with two different contents",
    remedy: "one of the two is not what the revision holds: recompute both from the repository (--mirror) and lock the wrong one again",
    page: page!("rev-with-two-hashes"),
};

/// One revision, two dates.
pub static DATES: Rule = Rule {
    id: "rev-with-two-dates",
    level: Level::Warning,
    summary: "one revision of one repository is locked with two different dates",
    remedy: "a commit has one date: lock the input with the wrong one again",
    page: page!("rev-with-two-dates"),
};

pub(super) fn check<'a>(audit: &'a Audit<'_>, found: &mut Vec<Finding>) {
    let key = |input: &'a Input<'_>| Some((input.identity.as_ref()?, lower(input.locked.rev()?)));
    for inputs in audit.groups(key) {
        let Some(rev) = inputs.first().and_then(|one| one.locked.rev()) else { continue };
        let first_with = |has: &dyn Fn(&Input<'_>) -> bool| inputs.iter().position(|one| has(one));
        if let Some(first) = first_with(&|one| one.good_nar_hash().is_some()) {
            let Some(first) = inputs.get(first) else { continue };
            let other = inputs.iter().find(|one| {
                one.good_nar_hash().is_some_and(|hash| Some(hash) != first.good_nar_hash())
            });
            if let Some(other) = other {
                let hash = |one: &Input<'_>| {
                    one.good_nar_hash().map(|hash| hash.hash().sri()).unwrap_or_default()
                };
                let message = format!(
                    "{} at {} has another narHash here than as {}",
                    other.locked.show(),
                    short_rev(rev),
                    first.path
                );
                found.push(
                    both(audit, other, first, "narHash", &RULE, message)
                        .with(other.path.as_str(), hash(other))
                        .with(first.path.as_str(), hash(first))
                        .mended_by(other.update()),
                );
            }
        }
        if let Some(first) = first_with(&|one| one.last_modified().is_some()) {
            let Some(first) = inputs.get(first) else { continue };
            let other = inputs.iter().find(|one| {
                one.last_modified().is_some_and(|date| Some(date) != first.last_modified())
            });
            if let Some(other) = other {
                let date = |one: &Input<'_>| {
                    one.last_modified()
                        .and_then(Timestamp::from_seconds)
                        .map_or_else(|| "no date".to_owned(), |date| date.to_string())
                };
                let message = format!(
                    "{} at {} is of {} here and of {} as {}",
                    other.locked.show(),
                    short_rev(rev),
                    date(other),
                    date(first),
                    first.path
                );
                found.push(both(audit, other, first, "lastModified", &DATES, message));
            }
        }
    }
}

fn lower(rev: &str) -> Cow<'_, str> {
    if rev.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(rev.to_ascii_lowercase())
    } else {
        Cow::Borrowed(rev)
    }
}

fn both(
    audit: &Audit<'_>,
    one: &Input<'_>,
    other: &Input<'_>,
    attribute: &str,
    rule: &'static Rule,
    message: String,
) -> Finding {
    let place = audit.source.labelled(one.locked_span(attribute), &one.path);
    let place = audit.source.beside(place, other.locked_span(attribute), &other.path);
    one.finding(rule, message).located(place)
}
