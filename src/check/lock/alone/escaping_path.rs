//! Does a relative path stay inside its flake?

use std::borrow::Cow;

use crate::check::lock::audit::{Audit, Input};
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_lock::LockNode;
use crate::nix::flake_lock::graph::{Graph, Target};
use crate::nix::flake_ref::FlakeRef;

/// A relative path that leads out of the directory it counts from.
pub static RULE: Rule = Rule {
    id: "escaping-path",
    level: Level::Warning,
    summary: "a relative path leads out of the directory of its flake",
    remedy: "make sure that it stays inside the repository; Nix refuses what leads out of that, and what is in it depends on where the flake lies",
    page: page!("escaping-path"),
};

/// Most inputs a path may count from, one from the other.
const MAX_PARENTS: usize = 50;

pub(super) fn check(input: &Input<'_>, audit: &Audit<'_>, found: &mut Vec<Finding>) {
    if !input.locked.is_relative() {
        return;
    }
    let Some(path) = input.locked.text("path") else { return };
    let lowest = lowest(&base(input.node, audit.graph), path);
    if lowest >= 0 {
        return;
    }
    let levels = lowest.unsigned_abs();
    let message = format!(
        "path:{} leads {levels} {} above the directory of its flake",
        crate::nix::flake_secrets::brief(path),
        if levels == 1 { "level" } else { "levels" }
    );
    found.push(input.finding(&RULE, message).located(audit.at_locked(input, "path")));
}

/// The directories a path counts from, below the root of a source.
fn base(node: &LockNode<'_>, graph: &Graph<'_>) -> String {
    let mut base = String::new();
    let mut node = node;
    for _ in 0..MAX_PARENTS {
        let Some(parent) = node.parent.as_ref().and_then(|path| find(graph, path)) else { break };
        let locked = FlakeRef(&parent.locked);
        let dir = locked.text("dir").unwrap_or_default();
        if locked.is_relative() {
            base = format!("{}/{dir}/{base}", locked.text("path").unwrap_or_default());
            node = parent;
        } else {
            return format!("{dir}/{base}");
        }
    }
    base
}

fn find<'l>(graph: &Graph<'l>, path: &[Cow<'_, str>]) -> Option<&'l LockNode<'l>> {
    let mut at = graph.root;
    for name in path {
        let inputs = &graph.nodes.get(at)?.inputs;
        let place = inputs.binary_search_by(|input| input.name.cmp(name.as_ref())).ok()?;
        match inputs.get(place)?.target {
            Target::Node(node) | Target::Follows(node) => at = node,
            Target::Nowhere => return None,
        }
    }
    graph.nodes.get(at).map(|node| node.node)
}

/// How far a path goes below (positive) or above (negative) the place it
/// starts from, at its highest.
fn lowest(base: &str, path: &str) -> i64 {
    let (mut depth, mut lowest) = (0_i64, 0_i64);
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        lowest = lowest.min(depth);
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_place_counts() {
        for (base, path, wanted) in [
            ("", "./a", 0),
            ("", "../..", -2),
            ("a/b", "../..", 0),
            ("a", "../../b/c", -1),
            ("", "a/../../b", -1),
        ] {
            assert_eq!(lowest(base, path), wanted, "{base} {path}");
        }
    }
}
