//! Planning and obtaining inputs until everything planned is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::super::ToolError;
use super::super::sources::Sources;
use crate::check::Finding;
use crate::gather::cache::answers::Answers;
use crate::gather::derivations::graph::DerivationGraph;
use crate::gather::inputs::admit::AdmitError;
use crate::gather::inputs::locate::is_fetchurl;
use crate::gather::inputs::plan::{Goals, Plan, plan};
use crate::gather::inputs::{Admission, Locator, Object, Way, WayKey};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::Progress;
use crate::report::progress::Unit;
use crate::state::{Objects, StateDir};

/// Inputs at hand, and what is left to build.
pub struct Gathered {
    /// The plan that holds in the end.
    pub plan: Plan,
    /// Every object that did not have to be built.
    pub objects: BTreeMap<StorePath, Object>,
    /// Sources that served something else than they claimed.
    pub findings: Vec<Finding>,
}

/// What inputs are gathered with.
pub struct Gathering<'a> {
    /// The derivations.
    pub graph: &'a DerivationGraph,
    /// What caches say.
    pub answers: &'a Answers<'a>,
    /// Where else objects come from.
    pub sources: &'a Sources,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// Where objects are kept.
    pub state: &'a StateDir,
    /// Whether builders of fixed outputs may use the network.
    pub network_builders: bool,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Where progress is shown.
    pub progress: &'a Progress,
}

impl Gathering<'_> {
    /// Plans for `targets` by what sources say they have, and gets nothing.
    /// Also gives what is wrong with what they say.
    #[must_use]
    pub fn plan(&self, targets: &BTreeSet<StorePath>) -> (Plan, Vec<Finding>) {
        let kept = self.state.objects();
        let locator = self.locator(&kept);
        let goals = goals(targets, self.graph, locator.network_builders);
        let phase = self.progress.phase("asking for inputs", Unit::Items, None);
        let plan = plan(&goals, self.graph, &locator, &BTreeSet::new());
        drop(phase);
        let conflicts = locator.conflicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        (plan, conflicts.into_values().collect())
    }

    /// What finds objects.
    fn locator<'s>(&'s self, kept: &'s Objects) -> Locator<'s> {
        Locator {
            answers: self.answers,
            local: self.sources.local.as_deref(),
            graph: self.graph,
            store_dir: self.store_dir,
            keys: &self.sources.keys,
            offline: self.offline,
            network_builders: self.network_builders && !self.offline,
            kept,
            conflicts: Mutex::default(),
        }
    }

    /// Plans for `targets` and obtains every input. A way that fails is ruled
    /// out and the rest planned anew, so that each failure leads to the next
    /// best way.
    ///
    /// # Errors
    /// Only when *we* failed to keep an object.
    pub fn run(&self, targets: &BTreeSet<StorePath>) -> Result<Gathered, ToolError> {
        let Self { graph, answers, sources, store_dir, state, progress, .. } = *self;
        let kept = state.objects();
        let locator = self.locator(&kept);
        let admission = Admission {
            answers,
            local: sources.local.as_deref(),
            http: &sources.http,
            netrc: &sources.netrc,
            graph,
            store_dir,
            state,
        };
        let goals = goals(targets, graph, locator.network_builders);

        let mut failed: BTreeSet<(StorePath, WayKey)> = BTreeSet::new();
        let mut why: BTreeMap<StorePath, Vec<String>> = BTreeMap::new();
        let mut objects: BTreeMap<StorePath, Object> = BTreeMap::new();
        let mut findings = Vec::new();
        loop {
            let phase = progress.phase("asking for inputs", Unit::Items, None);
            let mut plan = plan(&goals, graph, &locator, &failed);
            drop(phase);
            let open: Vec<(&StorePath, &Way)> = plan
                .ways
                .iter()
                .filter(|(path, way)| {
                    !objects.contains_key(*path) && !matches!(way, Way::Build { .. })
                })
                .collect();
            let phase =
                progress.phase("obtaining inputs", Unit::Items, u64::try_from(open.len()).ok());
            let admitted: Vec<(StorePath, WayKey, Result<Option<Object>, AdmitError>)> = open
                .into_par_iter()
                .map(|(path, way)| {
                    let object = admission.admit(path, way);
                    phase.advance(1);
                    (path.clone(), way.key(), object)
                })
                .collect();
            let mut again = false;
            for (path, way, result) in admitted {
                match result {
                    Ok(Some(object)) => {
                        objects.insert(path, object);
                    }
                    Ok(None) => {}
                    Err(error) if error.is_ours() => {
                        return Err(ToolError::failed("keep an input", error));
                    }
                    Err(error) => {
                        why.entry(path.clone()).or_default().push(error.to_string());
                        if let AdmitError::Refused(finding) = error {
                            findings.push(*finding);
                        }
                        again |= failed.insert((path, way));
                    }
                }
            }
            if !again {
                for (path, reasons) in &why {
                    if let Some(lack) = plan.lacking.get_mut(path) {
                        lack.detail = format!("{} ({})", lack.detail, reasons.join("; "));
                    }
                }
                let conflicts = locator.conflicts.into_inner();
                findings.extend(conflicts.unwrap_or_else(PoisonError::into_inner).into_values());
                return Ok(Gathered { plan, objects, findings });
            }
        }
    }
}

/// What has to be built and what has to be had: fixed outputs are had by
/// their hash unless their builders may use the network. What the
/// builtin fetcher would fetch is always fetched by our own code.
fn goals(targets: &BTreeSet<StorePath>, graph: &DerivationGraph, network_builders: bool) -> Goals {
    let mut goals = Goals::default();
    for target in targets {
        let fixed = graph.usable(target).filter(|(derivation, _)| {
            derivation.is_fixed() && (is_fetchurl(&derivation.builder) || !network_builders)
        });
        match fixed.map(|(_, checked)| checked.outputs.values().flatten().cloned()) {
            Some(paths) => goals.objects.extend(paths),
            None => {
                goals.builds.insert(target.clone());
            }
        }
    }
    goals
}
