//! Did somebody leave a password or token in the lock?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_lock::Attributes;
use crate::nix::flake_ref::url_parts;
use crate::nix::flake_secrets::{SecretKind, find};

/// A secret in a text of the lock.
pub static RULE: Rule = Rule {
    id: "credentials-in-url",
    level: Level::Error,
    summary: "a lock holds a user name, password or token, for everybody who reads it",
    remedy: "withdraw the secret where it was issued, take it out of flake.nix and the lock, and give it to Nix through netrc-file or access-tokens",
    page: page!("credentials-in-url"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    for (part, attributes) in [("locked", &input.node.locked), ("original", &input.node.original)] {
        check_part(input, audit, part, attributes, found);
    }
}

fn check_part(
    input: &Input<'_>,
    audit: &Audit<'_>,
    part: &str,
    attributes: &Attributes<'_>,
    found: &mut Vec<Finding>,
) {
    for (name, attr) in attributes.iter() {
        let Some(text) = attr.text() else { continue };
        let worst = find(text)
            .into_iter()
            .filter_map(|secret| Some((level(secret.kind, text)?, secret.kind)))
            .max();
        let Some((level, kind)) = worst else { continue };
        let message =
            format!("'{name}' in '{part}' holds {}; it is not repeated here", kind.name());
        found.push(
            input
                .finding(&RULE, message)
                .weighed(level)
                .located(audit.source.labelled(attr.span, part))
                .with("in", format!("{part}.{name}")),
        );
    }
}

/// How much it weighs; a user name is part of every address of ssh.
fn level(kind: SecretKind, text: &str) -> Option<Level> {
    let ssh = url_parts(text).scheme == "ssh";
    match kind {
        SecretKind::PlainUser | SecretKind::User if ssh => None,
        SecretKind::PlainUser => Some(Level::Note),
        SecretKind::User => Some(Level::Warning),
        SecretKind::Password | SecretKind::Parameter | SecretKind::Token => Some(Level::Error),
    }
}
