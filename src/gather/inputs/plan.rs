//! What has to be fetched and what has to be built, before any of it is.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{Lack, Locator, Way, WayKey};
use crate::check::Reason;
use crate::gather::derivations::graph::{DerivationGraph, Unusable};
use crate::nix::derivation::Derivation;
use crate::nix::store_path::StorePath;

/// A derivation to build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The store paths it needs, as far as they are known before any build:
    /// its sources and the named outputs of its input derivations.
    pub inputs: BTreeSet<StorePath>,
    /// The outputs it needs whose paths only their builds will tell.
    pub unknown_inputs: BTreeSet<(StorePath, String)>,
    /// Why it cannot be built, if that is known already.
    pub lack: Option<Lack>,
}

/// Which objects come from where, and which derivations have to be built.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Every object that some build may read, and how to come by it.
    pub ways: BTreeMap<StorePath, Way>,
    /// Objects that some build needs and that cannot be had.
    pub lacking: BTreeMap<StorePath, Lack>,
    /// The derivations to build: the targets, and those whose outputs are
    /// needed and cannot be had otherwise.
    pub nodes: BTreeMap<StorePath, Node>,
}

/// What a run is to have in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goals {
    /// Derivations to build.
    pub builds: BTreeSet<StorePath>,
    /// Objects to have.
    pub objects: BTreeSet<StorePath>,
}

/// Plans for `goals`, leaving out the ways in `failed`.
///
/// Goes from the goals along inputs and references, one wave after another,
/// asking all caches about a whole wave at once.
#[must_use]
pub fn plan(
    goals: &Goals,
    graph: &DerivationGraph,
    locator: &Locator<'_>,
    failed: &BTreeSet<(StorePath, WayKey)>,
) -> Plan {
    let mut plan = Plan::default();
    let mut wanted = goals.objects.clone();
    let mut new_nodes: Vec<StorePath> = goals.builds.iter().cloned().collect();
    loop {
        while let Some(drv_path) = new_nodes.pop() {
            if plan.nodes.contains_key(&drv_path) {
                continue;
            }
            let node = node(&drv_path, graph);
            wanted.extend(node.inputs.iter().cloned());
            new_nodes.extend(node.unknown_inputs.iter().map(|(drv_path, _)| drv_path.clone()));
            plan.nodes.insert(drv_path, node);
        }
        let known =
            |path: &StorePath| plan.ways.contains_key(path) || plan.lacking.contains_key(path);
        let wave: Vec<StorePath> =
            std::mem::take(&mut wanted).into_iter().filter(|path| !known(path)).collect();
        if wave.is_empty() {
            return plan;
        }
        let located: Vec<(StorePath, Result<Way, Lack>)> = wave
            .into_par_iter()
            .map(|path| {
                let way = locator.locate(&path, |way| failed.contains(&(path.clone(), way)));
                (path, way)
            })
            .collect();
        for (path, way) in located {
            match way {
                Ok(way) => {
                    if let Way::Build { drv_path } = &way {
                        new_nodes.push(drv_path.clone());
                    }
                    wanted.extend(way.references(&path));
                    plan.ways.insert(path, way);
                }
                Err(lack) => {
                    plan.lacking.insert(path, lack);
                }
            }
        }
    }
}

/// What building one derivation needs.
fn node(drv_path: &StorePath, graph: &DerivationGraph) -> Node {
    match graph.usable(drv_path) {
        Some((derivation, _)) => needs(derivation, graph),
        None => Node { lack: Some(unusable(drv_path, graph)), ..Node::default() },
    }
}

/// Why a derivation of the graph cannot be built.
#[must_use]
pub fn unusable(drv_path: &StorePath, graph: &DerivationGraph) -> Lack {
    let (reason, detail) = match graph.unusable(drv_path) {
        Some(Unusable::Experimental(why)) => (Reason::Unsupported, why.clone()),
        Some(Unusable::Malformed) => {
            (Reason::Unsupported, format!("{drv_path} is not a valid derivation"))
        }
        Some(Unusable::Unproven(why)) => (
            Reason::DerivationMissing,
            format!("the output paths of {drv_path} cannot be recomputed: {why}"),
        ),
        Some(Unusable::Missing) | None => (
            Reason::DerivationMissing,
            format!(
                "{drv_path} was not found beside the target, in --drv-dir, in the local store or in a cache"
            ),
        ),
    };
    Lack { reason, detail }
}

/// The inputs of a derivation.
fn needs(derivation: &Derivation, graph: &DerivationGraph) -> Node {
    let mut node = Node { inputs: derivation.input_srcs.clone(), ..Node::default() };
    for (drv_path, outputs) in &derivation.input_drvs {
        let Some((_, checked)) = graph.usable(drv_path) else {
            node.lack = Some(unusable(drv_path, graph));
            continue;
        };
        for output in outputs.iter() {
            match checked.outputs.get(output) {
                Some(Some(path)) => {
                    node.inputs.insert(path.clone());
                }
                Some(None) => {
                    node.unknown_inputs.insert((drv_path.clone(), output.clone()));
                }
                None => {
                    let detail = format!("{drv_path} has no output '{output}'");
                    node.lack = Some(Lack { reason: Reason::InputMissing, detail });
                }
            }
        }
    }
    node
}

impl Plan {
    /// For each derivation to build, the derivations that must be built first:
    /// those that make something in the closure of its inputs.
    #[must_use]
    pub fn needs(&self) -> BTreeMap<StorePath, BTreeSet<StorePath>> {
        self.nodes.iter().map(|(drv_path, node)| (drv_path.clone(), self.needs_of(node))).collect()
    }

    fn needs_of(&self, node: &Node) -> BTreeSet<StorePath> {
        let mut needs: BTreeSet<StorePath> =
            node.unknown_inputs.iter().map(|(drv_path, _)| drv_path.clone()).collect();
        let mut seen = node.inputs.clone();
        let mut open: Vec<StorePath> = node.inputs.iter().cloned().collect();
        while let Some(path) = open.pop() {
            match self.ways.get(&path) {
                Some(Way::Build { drv_path }) => {
                    needs.insert(drv_path.clone());
                }
                Some(way) => {
                    for reference in way.references(&path) {
                        if seen.insert(reference.clone()) {
                            open.push(reference);
                        }
                    }
                }
                None => {}
            }
        }
        needs
    }
}
