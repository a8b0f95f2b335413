//! Does an object name a key twice?

use crate::check::inspect::rules::DUPLICATE_KEY;
use crate::check::lock::audit::Audit;
use crate::check::{Finding, Span};
use crate::nix::flake_lock::graph::show_name;

pub(super) fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) {
    let duplicates = &audit.lock.duplicates;
    for doubled in &duplicates.named {
        let subject = match doubled.path.as_slice() {
            [nodes, key, ..] if nodes == "nodes" => audit.node_subject(key),
            [nodes] if nodes == "nodes" => audit.node_subject(&doubled.key),
            _ => audit.source.name().to_owned(),
        };
        let path: Vec<String> = doubled.path.iter().map(|part| show_name(part)).collect();
        let place = if path.is_empty() {
            "the top level".to_owned()
        } else {
            format!("'{}'", path.join("."))
        };
        let key = |offset: usize| Span::new(offset, offset + doubled.key.len() + 2);
        let location = audit.source.beside(
            audit.source.labelled(key(doubled.again), "this one counts for Nix"),
            key(doubled.first),
            "others may take this one",
        );
        found.push(
            Finding::new(
                &DUPLICATE_KEY,
                subject,
                format!("the key '{}' stands twice in {place}", show_name(&doubled.key)),
            )
            .located(location),
        );
    }
    let unnamed = duplicates.count.saturating_sub(duplicates.named.len());
    if unnamed > 0 {
        let message = format!("{unnamed} more keys stand twice");
        found.push(Finding::new(&DUPLICATE_KEY, audit.source.name(), message));
    }
}
