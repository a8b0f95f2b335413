//! Does it say something that Nix does not understand?

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule, Span};
use crate::nix::flake_lock::graph::show_name;
use crate::nix::flake_ref::is_known;
use crate::nix::flake_secrets::brief;

/// An attribute or key that Nix does not know.
pub static RULE: Rule = Rule {
    id: "unknown-attribute",
    level: Level::Warning,
    summary: "a lock has an attribute that Nix does not know",
    remedy: "lock the input again. Nix refuses unknown attributes of references and passes over other unknown keys, where anything can stand",
    page: page!("unknown-attribute"),
};

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let mut unknown = |name: &str, span: Span, place: &str| {
        let message = format!("'{}' in {place} is nothing that Nix knows", show_name(name));
        found.push(input.finding(&RULE, message).located(audit.source.at(span)));
    };
    for (part, of) in [("locked", input.locked), ("original", input.original)] {
        let kind = of.kind();
        for (name, attr) in of.0.iter().filter(|(name, _)| !is_known(kind, name)) {
            unknown(name, attr.key, &format!("'{part}' of type '{}'", brief(kind)));
        }
    }
    for (name, span) in &input.node.unknown {
        unknown(name, *span, "a node");
    }
}
