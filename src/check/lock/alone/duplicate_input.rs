//! Is one repository there more than once?

use std::collections::BTreeSet;

use crate::check::lock::audit::Audit;
use crate::check::{Finding, Level, Rule};

/// One repository, locked more than once.
pub static RULE: Rule = Rule {
    id: "duplicate-input",
    level: Level::Note,
    summary: "one repository is locked more than once",
    remedy: "let the others follow one of them in flake.nix (inputs.NAME.inputs.OTHER.follows): fewer revisions to review, fetch and evaluate",
    page: page!("duplicate-input"),
};

/// Most paths that are named.
const MAX_NAMED: usize = 6;

pub(super) fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) {
    for inputs in audit.groups(|input| input.identity.as_ref()) {
        let [first, second, ..] = inputs.as_slice() else { continue };
        let revs: BTreeSet<Option<&str>> =
            inputs.iter().map(|one| one.locked.rev().or(one.locked.text("narHash"))).collect();
        let mut paths: Vec<&str> =
            inputs.iter().take(MAX_NAMED).map(|one| one.path.as_str()).collect();
        let more = format!("{} more", inputs.len().saturating_sub(MAX_NAMED));
        if inputs.len() > MAX_NAMED {
            paths.push(&more);
        }
        let revisions = if revs.len() == 1 {
            "one revision".to_owned()
        } else {
            format!("{} revisions", revs.len())
        };
        let message =
            format!("{} is locked {} times, in {revisions}", first.locked.show(), inputs.len());
        let place = audit.source.labelled(second.locked_span("repo"), &second.path);
        let place = audit.source.beside(place, first.locked_span("repo"), &first.path);
        found.push(first.finding(&RULE, message).located(place).with("as", paths.join(", ")));
    }
}
