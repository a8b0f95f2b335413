//! What the configuration allows, held against a lock.

use super::audit::{Audit, Input};
use super::config::matches;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_secrets::brief;

/// A host that is not allowed.
pub static HOST_NOT_ALLOWED: Rule = Rule {
    id: "host-not-allowed",
    level: Level::Error,
    summary: "an input comes from a host that the configuration does not allow",
    remedy: "use an allowed host, or allow this one in .verify.toml (allowed-hosts)",
    page: page!("host-not-allowed"),
};

/// An owner that is not allowed.
pub static OWNER_NOT_ALLOWED: Rule = Rule {
    id: "owner-not-allowed",
    level: Level::Error,
    summary: "an input has an owner that the configuration does not allow",
    remedy: "use a repository of an allowed owner, or allow this one in .verify.toml (allowed-owners)",
    page: page!("owner-not-allowed"),
};

/// A branch that is not allowed.
pub static REF_NOT_ALLOWED: Rule = Rule {
    id: "ref-not-allowed",
    level: Level::Error,
    summary: "an input follows a branch or tag that the configuration does not allow",
    remedy: "follow an allowed branch in flake.nix, or allow this one in .verify.toml (allowed-refs)",
    page: page!("ref-not-allowed"),
};

/// The rules here.
pub static RULES: [&Rule; 3] = [&HOST_NOT_ALLOWED, &OWNER_NOT_ALLOWED, &REF_NOT_ALLOWED];

/// Holds every input against what is allowed; the number of answers comes
/// back.
pub fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) -> u64 {
    let mut answered = 0;
    for input in audit.reached() {
        if let Some(allowed) = audit.config.allowed_hosts(&input.path) {
            answered += 1;
            check_host(input, audit, allowed, found);
        }
        if let Some(allowed) = audit.config.allowed_owners(&input.path) {
            answered += 1;
            check_owner(input, audit, allowed, found);
        }
        if let Some(allowed) = audit.config.allowed_refs(&input.path) {
            answered += 1;
            check_ref(input, audit, allowed, found);
        }
        if audit.config.max_age_days(&input.path).is_some() {
            // The rule of stale inputs looks at it.
            answered += 1;
        }
    }
    answered
}

fn check_host(input: &Input<'_>, audit: &Audit<'_>, allowed: &[String], found: &mut Vec<Finding>) {
    if input.locked.is_relative() {
        return;
    }
    let host = input.locked.host();
    let fits = |host: &str| allowed.iter().any(|one| matches(&one.to_ascii_lowercase(), host));
    if host.as_deref().is_some_and(fits) {
        return;
    }
    let from = host.map_or_else(|| "no host".to_owned(), |host| format!("'{}'", brief(&host)));
    let message = format!("{} comes from {from}, which is not allowed", input.locked.show());
    found.push(
        input
            .finding(&HOST_NOT_ALLOWED, message)
            .located(audit.at_locked(input, "host"))
            .with("allowed hosts", allowed.join(", ")),
    );
}

fn check_owner(input: &Input<'_>, audit: &Audit<'_>, allowed: &[String], found: &mut Vec<Finding>) {
    if input.locked.is_relative() {
        return;
    }
    let host = input.locked.host().unwrap_or_default();
    let owner = input.locked.owner_and_repo().map(|(owner, _)| owner.to_ascii_lowercase());
    let fits = owner.as_deref().is_some_and(|owner| {
        let whole = format!("{host}/{owner}");
        allowed
            .iter()
            .map(|one| one.to_ascii_lowercase())
            .any(|one| if one.contains('/') { matches(&one, &whole) } else { matches(&one, owner) })
    });
    if fits {
        return;
    }
    let of =
        owner.map_or_else(|| "nobody that is known".to_owned(), |one| format!("'{}'", brief(&one)));
    let message = format!("{} is of {of}, which is not allowed", input.locked.show());
    found.push(
        input
            .finding(&OWNER_NOT_ALLOWED, message)
            .located(audit.at_locked(input, "owner"))
            .with("allowed owners", allowed.join(", ")),
    );
}

fn check_ref(input: &Input<'_>, audit: &Audit<'_>, allowed: &[String], found: &mut Vec<Finding>) {
    if input.locked.is_relative() {
        return;
    }
    let asked = input.original.git_ref().or_else(|| input.locked.git_ref());
    let name = asked.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name));
    let fits = |name: &str| {
        allowed.iter().any(|one| matches(one.strip_prefix("refs/heads/").unwrap_or(one), name))
    };
    if name.is_some_and(fits) {
        return;
    }
    let follows = name.map_or_else(
        || "names no branch: it follows whatever is the default".to_owned(),
        |name| format!("follows '{}', which is not allowed", brief(name)),
    );
    let message = format!("{} {follows}", input.original.show());
    found.push(
        input
            .finding(&REF_NOT_ALLOWED, message)
            .located(audit.at_original(input, "ref"))
            .with("allowed refs", allowed.join(", ")),
    );
}
