//! Does every input lead somewhere?

use crate::check::lock::audit::Audit;
use crate::check::{Finding, Level, Rule};
use crate::nix::flake_lock::graph::{DefectKind, MAX_DEPTH, show_name, show_path};

/// An input that names a node that is not there.
pub static MISSING_NODE: Rule = Rule {
    id: "missing-node",
    level: Level::Error,
    summary: "an input leads to a node that is not in the lock",
    remedy: "Nix refuses the file: restore it from version control or lock the flake again. A bad merge is the usual cause",
    page: page!("missing-node"),
};

/// An input that follows a path that leads nowhere.
pub static DANGLING_FOLLOWS: Rule = Rule {
    id: "dangling-follows",
    level: Level::Error,
    summary: "an input follows another that does not exist",
    remedy: "mend or remove the 'follows' in flake.nix and lock the flake again",
    page: page!("dangling-follows"),
};

/// Inputs that follow each other in a circle.
pub static FOLLOWS_CYCLE: Rule = Rule {
    id: "follows-cycle",
    level: Level::Error,
    summary: "inputs follow each other in a circle",
    remedy: "remove one of the 'follows' in flake.nix and lock the flake again",
    page: page!("follows-cycle"),
};

/// Nodes that lead back to themselves.
pub static INPUT_CYCLE: Rule = Rule {
    id: "input-cycle",
    level: Level::Error,
    summary: "an input leads back to a node it comes from, or lies deeper than anything is read",
    remedy: "lock the flake again; no Nix since 2.4 writes this",
    page: page!("input-cycle"),
};

pub(super) fn check(audit: &Audit<'_>, found: &mut Vec<Finding>) {
    for defect in &audit.graph.defects {
        let (rule, message) = match &defect.kind {
            DefectKind::MissingNode(name) => (
                &MISSING_NODE,
                format!("leads to the node '{}', which is not in the lock", show_name(name)),
            ),
            DefectKind::DanglingFollows { path, at } => {
                let (path, at) = (show_path(path), show_name(at));
                let message = if path == at {
                    format!("follows '{path}', which does not exist")
                } else {
                    format!("follows '{path}', but nothing is called '{at}' there")
                };
                (&DANGLING_FOLLOWS, message)
            }
            DefectKind::FollowsCycle { through } => {
                let first = audit.graph.shown_input(defect.node, defect.input);
                let paths: Vec<String> =
                    through.iter().take(20).map(|path| show_path(path)).collect();
                let more = if through.len() > paths.len() { " -> …" } else { "" };
                let message =
                    format!("follows in a circle: {first} -> {}{more}", paths.join(" -> "));
                (&FOLLOWS_CYCLE, message)
            }
            DefectKind::IntoCycle { path } => (
                &FOLLOWS_CYCLE,
                format!("follows '{}', which follows in a circle", show_path(path)),
            ),
            DefectKind::NodeCycle(node) => {
                (&INPUT_CYCLE, format!("leads back to {}", audit.graph.shown(*node)))
            }
            DefectKind::TooDeep => (
                &INPUT_CYCLE,
                format!(
                    "lies more than {MAX_DEPTH} inputs below the root; what is below is not examined"
                ),
            ),
        };
        let reached = audit.graph.nodes.get(defect.node).is_some_and(|node| node.depth.is_some());
        // Nix never looks at what the root does not reach.
        let level = match (&defect.kind, reached) {
            // Mended with the circle, which has its own finding.
            (DefectKind::IntoCycle { .. }, _) => Level::Note,
            (_, true) => Level::Error,
            (_, false) => Level::Warning,
        };
        found.push(
            Finding::new(rule, audit.graph.shown_input(defect.node, defect.input), message)
                .weighed(level)
                .located(audit.source.at(defect.edge.span)),
        );
    }
}
