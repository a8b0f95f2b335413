//! What builds take from and leave for each other, and the jobs made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::builds::BuildSettings;
use crate::build::{BuildJob, BuiltOutput, InputObject};
use crate::check::Reason;
use crate::check::rebuild::Contents;
use crate::check::rebuild::facts::Origin;
use crate::gather::derivations::graph::DerivationGraph;
use crate::gather::inputs::plan::Plan;
use crate::gather::inputs::{Lack, Object};
use crate::nix::derivation::{Derivation, Output, name_of, resolve};
use crate::nix::store_path::{StoreDir, StorePath};

/// What builds leave for later ones.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// Objects at hand: those obtained, and outputs that are inputs.
    pub objects: BTreeMap<StorePath, Object>,
    /// What content-addressed and deferred outputs turned out to be.
    pub realised: BTreeMap<(StorePath, String), StorePath>,
}

impl Shelf {
    /// Puts an output at hand. Of several derivations that turn out to make
    /// one content-addressed path, the first by name is named as its origin.
    pub fn offer(&mut self, drv_path: &StorePath, output: &BuiltOutput) {
        let kept = self.objects.get(&output.path).is_some_and(|known| match &known.origin {
            Origin::Rebuilt { drv_path: other } => other <= drv_path,
            _ => true,
        });
        if !kept {
            self.objects.insert(output.path.clone(), rebuilt(drv_path, output));
        }
    }
}

/// An output of ours as an input of others.
#[must_use]
pub fn rebuilt(drv_path: &StorePath, output: &BuiltOutput) -> Object {
    Object {
        input: InputObject {
            host_path: output.host_path.clone(),
            nar_hash: output.nar_hash,
            nar_size: output.nar_size,
            references: output.references.clone(),
            ca: output.ca,
            deriver: Some(drv_path.clone()),
        },
        origin: Origin::Rebuilt { drv_path: drv_path.clone() },
    }
}

/// An output of ours as it is judged.
#[must_use]
pub fn contents(output: &BuiltOutput) -> Contents {
    Contents {
        nar_hash: output.nar_hash,
        nar_size: output.nar_size,
        references: output.references.clone(),
    }
}

/// Why something cannot be done.
pub fn lack(reason: Reason, detail: impl Into<String>) -> Lack {
    Lack { reason, detail: detail.into() }
}

/// Makes jobs of derivations and what is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Assembly<'a> {
    /// The derivations.
    pub graph: &'a DerivationGraph,
    /// What is built and what is not.
    pub plan: &'a Plan,
    /// What all builds have in common.
    pub settings: &'a BuildSettings,
    /// The store directory.
    pub store_dir: &'a StoreDir,
}

impl Assembly<'_> {
    /// The job of building `drv_path` on what the shelf holds.
    ///
    /// # Errors
    /// What is lacking.
    pub fn job(&self, drv_path: &StorePath, shelf: &Shelf) -> Result<BuildJob, Lack> {
        let node = self
            .plan
            .nodes
            .get(drv_path)
            .ok_or_else(|| lack(Reason::DerivationMissing, "it was not planned"))?;
        if let Some(lack) = &node.lack {
            return Err(lack.clone());
        }
        let (derivation, _) = self
            .graph
            .usable(drv_path)
            .ok_or_else(|| lack(Reason::DerivationMissing, "its derivation is not at hand"))?;
        let derivation = self.resolved(drv_path, derivation, shelf)?;
        let roots = node.inputs.iter().chain(&derivation.input_srcs);
        let inputs = self.closure(roots, shelf)?;
        let own = derivation.outputs.values().filter_map(Output::path);
        if let Some(own) = own.into_iter().find(|path| inputs.contains_key(*path)) {
            let own = self.store_dir.full(own);
            return Err(lack(
                Reason::Unsupported,
                format!("its inputs are claimed to refer to {own}, which it is to make"),
            ));
        }
        let outputs = derivation
            .outputs
            .iter()
            .map(|(name, output)| (name.clone(), output.path().cloned()))
            .collect();
        Ok(BuildJob {
            drv_path: drv_path.clone(),
            network: self.settings.network && derivation.is_fixed(),
            derivation,
            outputs,
            inputs,
            world: self.settings.world,
            cores: self.settings.cores,
            limits: self.settings.limits,
            shell: self.settings.shell.clone(),
            keep_failed: self.settings.keep_failed,
            hardened: self.settings.hardened,
            round: 0,
            store_dir: self.store_dir.clone(),
        })
    }

    /// The derivation with the paths of inputs that only builds could tell.
    fn resolved(
        &self,
        drv_path: &StorePath,
        derivation: &Derivation,
        shelf: &Shelf,
    ) -> Result<Derivation, Lack> {
        if !derivation.needs_resolving() {
            return Ok(derivation.clone());
        }
        let mut paths = shelf.realised.clone();
        for (input, outputs) in &derivation.input_drvs {
            let Some((_, checked)) = self.graph.usable(input) else { continue };
            for output in outputs.iter() {
                if let Some(Some(path)) = checked.outputs.get(output) {
                    paths.insert((input.clone(), output.clone()), path.clone());
                }
            }
        }
        let name = name_of(drv_path).unwrap_or_default();
        resolve(derivation, name, self.store_dir, &paths)
            .map_err(|error| lack(Reason::InputMissing, error.to_string()))
    }

    /// Everything that `roots` reach, on this machine.
    fn closure<'s>(
        &self,
        roots: impl Iterator<Item = &'s StorePath>,
        shelf: &Shelf,
    ) -> Result<BTreeMap<StorePath, InputObject>, Lack> {
        let mut closure = BTreeMap::new();
        let mut open: BTreeSet<StorePath> = roots.cloned().collect();
        while let Some(path) = open.pop_last() {
            if closure.contains_key(&path) {
                continue;
            }
            let object = shelf.objects.get(&path).ok_or_else(|| {
                self.plan.lacking.get(&path).cloned().unwrap_or_else(|| {
                    lack(
                        Reason::InputMissing,
                        format!("{} is not at hand", self.store_dir.full(&path)),
                    )
                })
            })?;
            open.extend(object.input.references.iter().cloned());
            closure.insert(path, object.input.clone());
        }
        Ok(closure)
    }
}
