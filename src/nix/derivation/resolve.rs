//! Putting real paths where a derivation has placeholders.
//!
//! Follows `tryResolve` and `rewriteDerivation` in
//! `src/libstore/derivations.cc`: what is built is the resolved derivation,
//! in which every input is a source.

use std::collections::BTreeMap;

use super::modulo::{HashModuloCache, MergeRule, ModuloError};
use super::paths::input_addressed_path;
use super::placeholder::{Rewrites, downstream_placeholder};
use super::{Derivation, Kind, Output};
use crate::nix::store_path::{NameError, StoreDir, StorePath};

/// Why a derivation cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The path of an input is not known.
    #[error("the path of output '{output}' of '{drv_path}' is not known")]
    UnknownInput {
        /// The input derivation.
        drv_path: StorePath,
        /// Its output.
        output: String,
    },
    /// An output cannot have a store path.
    #[error("output '{output}' cannot have a store path: {source}")]
    Name {
        /// The output.
        output: String,
        /// Which rule its path's name breaks.
        source: NameError,
    },
    /// The hash modulo cannot be computed.
    #[error(transparent)]
    Modulo(#[from] ModuloError),
}

impl Derivation {
    /// Whether Nix builds the resolved form of this derivation instead:
    /// deferred, floating and impure ones with inputs (`inputsRealised` in
    /// `src/libstore/build/derivation-goal.cc`). Nix also resolves every fixed
    /// one where content-addressed derivations are enabled; that changes what
    /// is built only where a placeholder is replaced.
    #[must_use]
    pub fn needs_resolving(&self) -> bool {
        match self.kind() {
            Kind::Deferred => true,
            Kind::FloatingCa | Kind::Impure => !self.input_drvs.is_empty(),
            Kind::Fixed => self.has_placeholders(),
            Kind::InputAddressed => false,
        }
    }

    /// Whether a placeholder of an input stands anywhere in it.
    fn has_placeholders(&self) -> bool {
        let mut placeholders = Rewrites::default();
        for (drv_path, outputs) in &self.input_drvs {
            for output in outputs.iter() {
                placeholders.insert(downstream_placeholder(drv_path, output), "");
            }
        }
        let variables = self.env.iter().flat_map(|(name, value)| [name, value]);
        std::iter::once(&self.builder)
            .chain(&self.args)
            .chain(variables)
            .any(|text| placeholders.occur_in(text))
    }
}

/// The derivation called `name` with the paths of its inputs put in.
///
/// # Errors
/// A path is missing in `paths`.
pub fn resolve(
    drv: &Derivation,
    name: &str,
    store_dir: &StoreDir,
    paths: &BTreeMap<(StorePath, String), StorePath>,
) -> Result<Derivation, ResolveError> {
    let mut rewrites = Rewrites::default();
    let mut input_srcs = drv.input_srcs.clone();
    for (drv_path, outputs) in &drv.input_drvs {
        for output in outputs.iter() {
            let key = (drv_path.clone(), output.clone());
            let Some(path) = paths.get(&key) else {
                let (drv_path, output) = key;
                return Err(ResolveError::UnknownInput { drv_path, output });
            };
            rewrites.insert(downstream_placeholder(drv_path, output), store_dir.full(path));
            input_srcs.insert(path.clone());
        }
    }
    let mut env = BTreeMap::new();
    for (name, value) in &drv.env {
        env.entry(rewrites.apply(name)).or_insert_with(|| rewrites.apply(value));
    }
    let mut resolved = Derivation {
        outputs: drv.outputs.clone(),
        input_drvs: BTreeMap::new(),
        input_srcs,
        platform: drv.platform.clone(),
        builder: rewrites.apply(&drv.builder),
        args: drv.args.iter().map(|arg| rewrites.apply(arg)).collect(),
        env,
    };
    if resolved.kind() == Kind::Deferred {
        // Without input derivations both merge rules are the same.
        let nothing = BTreeMap::<StorePath, Derivation>::new();
        let modulo =
            HashModuloCache::new(MergeRule::Merge, store_dir, &nothing).masked(&resolved)?;
        for (output_name, output) in resolved.outputs.iter_mut() {
            let Some(hash) = modulo.known() else { continue };
            let path = input_addressed_path(&hash, name, output_name, store_dir)
                .map_err(|source| ResolveError::Name { output: output_name.clone(), source })?;
            resolved.env.insert(output_name.clone().into(), store_dir.full(&path).into());
            *output = Output::InputAddressed { path };
        }
    }
    Ok(resolved)
}
