//! Which input of one lock is which of another: the one with the same path.

use super::Both;
use crate::check::lock::audit::Audit;
use crate::nix::flake_lock::Attributes;
use crate::nix::flake_lock::graph::{Graph, Target};

/// What became of the inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// In the order of the head's inputs; what is gone at the end.
    pub changes: Vec<Change>,
}

/// What became of an input; numbers are places in `Audit::inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Locked and asked for as before.
    Same {
        /// Before.
        before: usize,
        /// Now.
        now: usize,
    },
    /// Locked or asked for otherwise than before.
    Changed {
        /// Before.
        before: usize,
        /// Now.
        now: usize,
    },
    /// Not there before, or following another.
    Added {
        /// Now.
        now: usize,
        /// The input (of the base) it led to by following.
        followed: Option<usize>,
        /// Whether the input that brings it is new too.
        with_parent: bool,
    },
    /// Gone.
    Removed {
        /// Before.
        before: usize,
    },
}

impl Pairs {
    /// Pairs the inputs of two locks.
    #[must_use]
    pub fn new(both: &Both<'_, '_>) -> Self {
        let forward = counterparts(both.head.graph, both.base.graph);
        let backward = counterparts(both.base.graph, both.head.graph);
        let (in_base, in_head) = (places(both.base), places(both.head));
        let mut changes = Vec::new();
        for (now, input) in both.head.inputs.iter().enumerate() {
            if input.depth.is_none() {
                continue;
            }
            changes.push(match of(&forward, input.at) {
                Some(Counterpart::Node(node)) => match of(&in_base, node) {
                    Some(before) => {
                        let same = both.base.inputs.get(before).is_some_and(|old| {
                            equal(&old.node.locked, &input.node.locked)
                                && equal(&old.node.original, &input.node.original)
                        });
                        if same {
                            Change::Same { before, now }
                        } else {
                            Change::Changed { before, now }
                        }
                    }
                    None => Change::Added { now, followed: None, with_parent: false },
                },
                Some(Counterpart::Followed(node)) => {
                    Change::Added { now, followed: of(&in_base, node), with_parent: false }
                }
                Some(Counterpart::None) => {
                    Change::Added { now, followed: None, with_parent: false }
                }
                None => Change::Added { now, followed: None, with_parent: true },
            });
        }
        for (before, input) in both.base.inputs.iter().enumerate() {
            let there = match of(&backward, input.at) {
                Some(Counterpart::Node(node)) => of(&in_head, node).is_some(),
                _ => false,
            };
            if input.depth.is_some() && !there {
                changes.push(Change::Removed { before });
            }
        }
        Self { changes }
    }
}

/// Where a node of one graph is in the other.
#[derive(Clone, Copy)]
enum Counterpart {
    Node(usize),
    /// The input is there and follows to this node.
    Followed(usize),
    None,
}

/// For each node of `of` that is reached, and whose parent has a counterpart,
/// where its path leads in `to`.
fn counterparts(of: &Graph<'_>, to: &Graph<'_>) -> Vec<Option<Counterpart>> {
    let mut found = vec![None; of.nodes.len()];
    let set = |found: &mut Vec<_>, at: usize, counterpart| {
        if let Some(slot) = found.get_mut(at) {
            *slot = Some(counterpart);
        }
    };
    set(&mut found, of.root, Counterpart::Node(to.root));
    for at in &of.order {
        let Some((parent, name)) = of.nodes.get(*at).and_then(|node| node.parent) else { continue };
        let Some(Counterpart::Node(parent)) = found.get(parent).copied().flatten() else {
            continue;
        };
        let input = to.nodes.get(parent).and_then(|node| {
            let place = node.inputs.binary_search_by(|input| input.name.cmp(name)).ok()?;
            node.inputs.get(place)
        });
        let counterpart = match input.map(|input| input.target) {
            Some(Target::Node(node)) => Counterpart::Node(node),
            Some(Target::Follows(node)) => Counterpart::Followed(node),
            Some(Target::Nowhere) | None => Counterpart::None,
        };
        set(&mut found, *at, counterpart);
    }
    found
}

/// Where each node is among the inputs.
fn places(audit: &Audit<'_>) -> Vec<Option<usize>> {
    let mut places = vec![None; audit.graph.nodes.len()];
    for (place, input) in audit.inputs.iter().enumerate() {
        if let Some(slot) = places.get_mut(input.at) {
            *slot = Some(place);
        }
    }
    places
}

/// What there is of a node.
fn of<T: Copy>(all: &[Option<T>], node: usize) -> Option<T> {
    all.get(node).copied().flatten()
}

/// Whether two references say the same, wherever they stand.
pub(super) fn equal(a: &Attributes<'_>, b: &Attributes<'_>) -> bool {
    a.len() == b.len()
        && a.iter().zip(b.iter()).all(|((name, one), (other_name, other))| {
            name == other_name && one.value == other.value
        })
}
