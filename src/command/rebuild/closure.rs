//! Which derivations a run is about: the targets, all they build on, or a
//! random sample of that.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::rebuild::facts::SampleFacts;
use crate::check::sample::Sample;
use crate::gather::derivations::graph::DerivationGraph;
use crate::nix::store_path::StorePath;

/// What a run is about.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The derivations whose outputs are judged.
    pub wanted: BTreeSet<StorePath>,
    /// The sample, if one was drawn.
    pub sample: Option<SampleFacts>,
    /// Derivations that only help to fetch fixed outputs, and are not judged.
    pub fetchers: u64,
}

impl Scope {
    /// The targets alone.
    #[must_use]
    pub fn targets(targets: &BTreeSet<StorePath>) -> Self {
        Self { wanted: targets.clone(), ..Self::default() }
    }

    /// Everything the targets build on, the fixed outputs that it begins with
    /// included. What only helps to fetch those is left out: their content is
    /// known whatever fetches it.
    #[must_use]
    pub fn closure(targets: &BTreeSet<StorePath>, graph: &DerivationGraph) -> Self {
        let mut wanted = targets.clone();
        let mut open: Vec<StorePath> = targets.iter().cloned().collect();
        while let Some(path) = open.pop() {
            for input in built_on(graph, &path) {
                if wanted.insert(input.clone()) {
                    open.push(input.clone());
                }
            }
        }
        let read = wanted.iter().filter(|path| graph.get(path).is_some()).count();
        let fetchers = u64::try_from(graph.len().saturating_sub(read)).unwrap_or(u64::MAX);
        Self { wanted, sample: None, fetchers }
    }

    /// A random sample of the closure's derivations, fixed outputs apart.
    #[must_use]
    pub fn sample(self, size: Sample, seed: &str, graph: &DerivationGraph) -> Self {
        let is_fixed = |path: &StorePath| graph.get(path).is_some_and(|found| found.is_fixed());
        let population: BTreeMap<String, StorePath> = self
            .wanted
            .into_iter()
            .filter(|path| !is_fixed(path))
            .map(|path| (path.to_string(), path))
            .collect();
        let chosen = size.choose(population.keys(), seed);
        let drawn: BTreeSet<StorePath> =
            chosen.into_iter().filter_map(|name| population.get(name)).cloned().collect();
        let sample = SampleFacts {
            asked: size.to_string(),
            seed: seed.to_owned(),
            population: u64::try_from(population.len()).unwrap_or(u64::MAX),
            drawn: drawn.clone(),
        };
        Self { wanted: drawn, sample: Some(sample), fetchers: self.fetchers }
    }
}

/// The derivations that the one at `path` is built on; none for a fixed output.
fn built_on<'a>(
    graph: &'a DerivationGraph,
    path: &StorePath,
) -> impl Iterator<Item = &'a StorePath> {
    let derivation = graph.get(path).filter(|derivation| !derivation.is_fixed());
    derivation.into_iter().flat_map(|derivation| derivation.input_drvs.keys())
}

/// The nearest derivations of `reported` that the one at `path` is built on.
#[must_use]
pub fn nearest(
    graph: &DerivationGraph,
    path: &StorePath,
    reported: &BTreeSet<&StorePath>,
) -> BTreeSet<StorePath> {
    let mut found = BTreeSet::new();
    let mut seen: BTreeSet<&StorePath> = BTreeSet::new();
    let mut open: Vec<&StorePath> = built_on(graph, path).collect();
    while let Some(input) = open.pop() {
        if reported.contains(input) {
            found.insert(input.clone());
        } else if seen.insert(input) {
            open.extend(built_on(graph, input));
        }
    }
    found
}

/// `nodes` in an order in which what is built on comes before what builds on it.
#[must_use]
pub fn bottom_up<'a>(
    graph: &'a DerivationGraph,
    nodes: impl Iterator<Item = &'a StorePath>,
) -> Vec<&'a StorePath> {
    let nodes: BTreeSet<&StorePath> = nodes.collect();
    let mut order = Vec::new();
    let mut seen: BTreeSet<&StorePath> = BTreeSet::new();
    for start in &nodes {
        // Each entry is visited twice: first its inputs are put on top of it.
        let mut open = vec![(*start, false)];
        while let Some((path, inputs_done)) = open.pop() {
            if inputs_done {
                if nodes.contains(path) {
                    order.push(path);
                }
            } else if seen.insert(path) {
                open.push((path, true));
                open.extend(built_on(graph, path).map(|input| (input, false)));
            }
        }
    }
    order
}
