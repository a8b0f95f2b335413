//! The hash modulo: a derivation's identity regardless of how its fixed
//! inputs are fetched.
//!
//! Follows `hashDerivationModulo` in `src/libstore/derivations.cc`. The graph
//! is walked without recursion, and every derivation is hashed once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::paths::name_of;
use super::{Derivation, Kind, OUT, Output};
use crate::nix::content_address::ContentAddressError;
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::{StoreDir, StorePath};

/// Where the derivations of a graph are.
pub trait DerivationSource {
    /// The derivation whose file has this path.
    fn derivation(&self, path: &StorePath) -> Option<&Derivation>;
}

impl DerivationSource for BTreeMap<StorePath, Derivation> {
    fn derivation(&self, path: &StorePath) -> Option<&Derivation> {
        self.get(path)
    }
}

impl DerivationSource for HashMap<StorePath, Derivation> {
    fn derivation(&self, path: &StorePath) -> Option<&Derivation> {
        self.get(path)
    }
}

impl DerivationSource for BTreeMap<StorePath, Arc<Derivation>> {
    fn derivation(&self, path: &StorePath) -> Option<&Derivation> {
        self.get(path).map(AsRef::as_ref)
    }
}

/// What happens when two inputs have the same hash modulo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MergeRule {
    /// Their output names are joined: Nix 2.8 to 2.34, and Lix.
    Merge,
    /// The input whose path is later wins: Nix up to 2.7, and 2.35.
    Overwrite,
}

impl fmt::Display for MergeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merge (Nix 2.8 to 2.34)",
            Self::Overwrite => "overwrite (Nix up to 2.7, and 2.35)",
        })
    }
}

/// Why a hash modulo cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuloError {
    /// An input's file is not at hand.
    #[error("the derivation '{0}' is needed to recompute the output paths and is missing")]
    Missing(StorePath),
    /// An input does not make what is asked of it.
    #[error("the input derivation '{drv_path}' has no output '{output}'")]
    NoSuchOutput {
        /// The input.
        drv_path: StorePath,
        /// The output that is used.
        output: String,
    },
    /// A derivation that needs itself: some file is not what its path says.
    #[error("the derivation '{0}' is its own input")]
    Cycle(StorePath),
    /// A path that does not end in `.drv`.
    #[error("'{0}' is not the path of a derivation")]
    NotDrv(StorePath),
    /// The name of an output's path breaks the rules.
    #[error("an output of '{drv_path}' cannot have a store path: {source}")]
    Name {
        /// The derivation.
        drv_path: StorePath,
        /// Which rule is broken.
        source: ContentAddressError,
    },
}

/// A hash modulo with what is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modulo {
    hash: Option<Hash>,
    known: bool,
    collides: bool,
}

impl Modulo {
    /// The hash; `None` for impure derivations.
    #[must_use]
    pub const fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// The hash if it decides store paths: not for floating and impure
    /// derivations and what builds on them.
    #[must_use]
    pub const fn known(&self) -> Option<Hash> {
        if self.known { self.hash } else { None }
    }

    /// Whether the other [`MergeRule`] may give another hash.
    #[must_use]
    pub const fn rules_differ(&self) -> bool {
        self.collides
    }

    /// What stands for the derivation where it is an input.
    fn key(&self) -> String {
        let impure = || Hash::of(HashAlgorithm::Sha256, b"impure");
        self.hash.unwrap_or_else(impure).base16()
    }
}

/// Computes and remembers the hashes modulo of one graph under one rule.
pub struct HashModuloCache<'s> {
    rule: MergeRule,
    store_dir: &'s StoreDir,
    source: &'s dyn DerivationSource,
    known: HashMap<StorePath, Modulo>,
}

impl<'s> HashModuloCache<'s> {
    /// Over the graph that `source` holds.
    #[must_use]
    pub fn new(rule: MergeRule, store_dir: &'s StoreDir, source: &'s dyn DerivationSource) -> Self {
        Self { rule, store_dir, source, known: HashMap::new() }
    }

    /// The hash modulo of the derivation at `drv_path` as an input of others.
    ///
    /// # Errors
    /// See [`ModuloError`].
    pub fn as_input(&mut self, drv_path: &StorePath) -> Result<Modulo, ModuloError> {
        // Depth first; a path stays on the stack until its inputs are known.
        let mut stack = vec![drv_path.clone()];
        let mut open = HashSet::new();
        while let Some(path) = stack.last() {
            if self.known.contains_key(path) {
                stack.pop();
                continue;
            }
            let drv =
                self.source.derivation(path).ok_or_else(|| ModuloError::Missing(path.clone()))?;
            let modulo = if let Some(modulo) = self.without_inputs(drv, path)? {
                modulo
            } else if open.insert(path.clone()) {
                let inputs = drv.input_drvs.keys().filter(|input| !self.known.contains_key(*input));
                let before = stack.len();
                for input in inputs {
                    if open.contains(input) {
                        return Err(ModuloError::Cycle(input.clone()));
                    }
                    stack.push(input.clone());
                }
                if stack.len() > before {
                    continue;
                }
                self.hash_text(drv, false)?
            } else {
                self.hash_text(drv, false)?
            };
            if let Some(path) = stack.pop() {
                open.remove(&path);
                self.known.insert(path, modulo);
            }
        }
        self.known.get(drv_path).copied().ok_or_else(|| ModuloError::Missing(drv_path.clone()))
    }

    /// The hash modulo of `drv` with its own output paths left blank: what
    /// those paths are made from.
    ///
    /// # Errors
    /// See [`ModuloError`].
    pub fn masked(&mut self, drv: &Derivation) -> Result<Modulo, ModuloError> {
        match drv.kind() {
            Kind::Impure => Ok(Modulo { hash: None, known: false, collides: false }),
            // What follows from a fixed hash needs no inputs.
            Kind::Fixed => {
                let text = drv.outputs.values().next().and_then(|output| self.fixed_text(output));
                Ok(Self::of_fixed(text))
            }
            Kind::InputAddressed | Kind::FloatingCa | Kind::Deferred => {
                for input in drv.input_drvs.keys() {
                    self.as_input(input)?;
                }
                self.hash_text(drv, true)
            }
        }
    }

    /// The text whose SHA-256 is the masked hash modulo of `drv`.
    ///
    /// # Errors
    /// See [`ModuloError`].
    pub fn masked_text(&mut self, drv: &Derivation) -> Result<Vec<u8>, ModuloError> {
        for input in drv.input_drvs.keys() {
            self.as_input(input)?;
        }
        Ok(self.text(drv, true)?.0)
    }

    /// Fixed and impure derivations stand for themselves.
    fn without_inputs(
        &self,
        drv: &Derivation,
        drv_path: &StorePath,
    ) -> Result<Option<Modulo>, ModuloError> {
        name_of(drv_path).ok_or_else(|| ModuloError::NotDrv(drv_path.clone()))?;
        Ok(match drv.kind() {
            Kind::Impure => Some(Modulo { hash: None, known: false, collides: false }),
            Kind::Fixed => {
                let output = drv.outputs.get(OUT);
                Some(Self::of_fixed(output.and_then(|output| self.fixed_text(output))))
            }
            Kind::InputAddressed | Kind::FloatingCa | Kind::Deferred => None,
        })
    }

    fn of_fixed(text: Option<String>) -> Modulo {
        let hash = text.map(|text| Hash::of(HashAlgorithm::Sha256, text.as_bytes()));
        Modulo { hash, known: hash.is_some(), collides: false }
    }

    fn fixed_text(&self, output: &Output) -> Option<String> {
        let Output::Fixed { path, method, hash } = output else { return None };
        Some(format!(
            "fixed:out:{}{}:{}:{}",
            method.file_prefix(),
            hash.algorithm(),
            hash.base16(),
            self.store_dir.full(path)
        ))
    }

    fn hash_text(&self, drv: &Derivation, masked: bool) -> Result<Modulo, ModuloError> {
        let (text, known, collides) = self.text(drv, masked)?;
        let hash = Some(Hash::of(HashAlgorithm::Sha256, &text));
        Ok(Modulo { hash, known, collides })
    }

    /// All inputs must be known.
    fn text(&self, drv: &Derivation, masked: bool) -> Result<(Vec<u8>, bool, bool), ModuloError> {
        let mut known = drv.kind() != Kind::FloatingCa;
        let mut collides = false;
        let mut inputs: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (path, names) in &drv.input_drvs {
            let missing = || ModuloError::Missing(path.clone());
            let modulo = self.known.get(path).ok_or_else(missing)?;
            let input = self.source.derivation(path).ok_or_else(missing)?;
            if let Some(output) = names.iter().find(|name| !input.outputs.contains_key(name)) {
                let (drv_path, output) = (path.clone(), output.clone());
                return Err(ModuloError::NoSuchOutput { drv_path, output });
            }
            known &= modulo.known;
            collides |= modulo.collides;
            let names = names.iter().map(String::as_str).collect::<BTreeSet<_>>();
            match inputs.entry(modulo.key()) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(names);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    collides |= *entry.get() != names;
                    match self.rule {
                        MergeRule::Merge => entry.get_mut().extend(names),
                        MergeRule::Overwrite => {
                            entry.insert(names);
                        }
                    }
                }
            }
        }
        Ok((drv.modulo_text(self.store_dir, masked, &inputs), known, collides))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(index: usize) -> StorePath {
        let digest = Hash::of(HashAlgorithm::Sha256, &index.to_le_bytes());
        StorePath::new(crate::nix::hash::fold(digest.digest()), "x.drv").unwrap()
    }

    fn with_inputs(inputs: &[usize]) -> Derivation {
        Derivation {
            outputs: [(OUT.to_owned(), Output::Deferred)].into(),
            input_drvs: inputs
                .iter()
                .map(|&input| (path(input), BTreeSet::from([OUT.to_owned()]).into()))
                .collect(),
            input_srcs: BTreeSet::new(),
            platform: Vec::new(),
            builder: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
        }
    }

    #[test]
    fn long_chains_need_no_stack() {
        const LENGTH: usize = 20_000;
        let mut graph: HashMap<_, _> =
            (1..=LENGTH).map(|index| (path(index), with_inputs(&[index - 1]))).collect();
        graph.insert(path(0), with_inputs(&[]));
        let dir = StoreDir::default();
        let run = || {
            HashModuloCache::new(MergeRule::Merge, &dir, &graph).as_input(&path(LENGTH)).unwrap()
        };
        let small = std::thread::Builder::new().stack_size(128 << 10);
        std::thread::scope(|scope| {
            assert!(small.spawn_scoped(scope, run).unwrap().join().unwrap().known().is_some());
        });
    }

    #[test]
    fn wide_graphs_are_walked_once() {
        // Each level uses all of the level below: 2^60 ways down.
        let mut graph = BTreeMap::new();
        for index in 0..120_usize {
            let level = index / 2;
            let below: &[usize] = if level == 0 { &[] } else { &[2 * level - 2, 2 * level - 1] };
            let mut drv = with_inputs(below);
            drv.platform = index.to_string().into();
            graph.insert(path(index), drv);
        }
        let dir = StoreDir::default();
        let mut cache = HashModuloCache::new(MergeRule::Overwrite, &dir, &graph);
        assert!(cache.as_input(&path(119)).is_ok());
    }

    #[test]
    fn cycles_and_missing_outputs_are_named() {
        let dir = StoreDir::default();
        for graph in [
            BTreeMap::from([(path(0), with_inputs(&[0]))]),
            BTreeMap::from([
                (path(0), with_inputs(&[1, 2])),
                (path(1), with_inputs(&[2])),
                (path(2), with_inputs(&[0])),
            ]),
        ] {
            let mut cache = HashModuloCache::new(MergeRule::Merge, &dir, &graph);
            assert!(matches!(cache.as_input(&path(0)), Err(ModuloError::Cycle(_))));
        }
        let mut graph = BTreeMap::from([(path(0), with_inputs(&[])), (path(1), with_inputs(&[0]))]);
        graph.insert(path(1), {
            let mut drv = with_inputs(&[]);
            drv.input_drvs.insert(path(0), BTreeSet::from(["dev".to_owned()]).into());
            drv
        });
        let mut cache = HashModuloCache::new(MergeRule::Merge, &dir, &graph);
        let (drv_path, output) = (path(0), "dev".to_owned());
        assert_eq!(cache.as_input(&path(1)), Err(ModuloError::NoSuchOutput { drv_path, output }));
    }
}
