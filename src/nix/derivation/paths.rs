//! The store paths that follow from a derivation, and whether they are the
//! ones it states.
//!
//! Follows `checkInvariants` in `src/libstore/derivations.cc`: the path of
//! every output, and the environment variable named after it, must be what
//! the hash modulo or the fixed hash says.

use std::collections::{BTreeMap, BTreeSet};

use super::modulo::{DerivationSource, HashModuloCache, MergeRule, ModuloError};
use super::{Derivation, OUT, Output};
use crate::nix::content_address::{ContentAddress, ContentAddressError, Method, References};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::{NameError, StoreDir, StorePath};

/// What ends the name of a derivation's file.
pub const EXTENSION: &str = ".drv";

/// The name of the derivation whose file has this path.
#[must_use]
pub fn name_of(drv_path: &StorePath) -> Option<&str> {
    drv_path.name().strip_suffix(EXTENSION)
}

/// The name of an output's store path: `<name>-<output>`, or `<name>` for `out`.
#[must_use]
pub fn output_path_name(drv_name: &str, output: &str) -> String {
    if output == OUT { drv_name.to_owned() } else { format!("{drv_name}-{output}") }
}

/// The path of the `.drv` file with these bytes: a text with `references`
/// (`computeStorePathForText`).
///
/// # Errors
/// `name` cannot be part of a store path.
pub fn drv_path(
    aterm: &[u8],
    references: &BTreeSet<StorePath>,
    name: &str,
    store_dir: &StoreDir,
) -> Result<StorePath, ContentAddressError> {
    let content = Hash::of(HashAlgorithm::Sha256, aterm);
    let references = References { others: references.clone(), self_ref: false };
    ContentAddress::new(Method::Text, content)?.store_path(
        store_dir,
        &format!("{name}{EXTENSION}"),
        &references,
    )
}

/// The path of an input-addressed output, from the masked hash modulo.
///
/// # Errors
/// The output's name makes the path's name too long.
pub fn input_addressed_path(
    modulo: &Hash,
    drv_name: &str,
    output: &str,
    store_dir: &StoreDir,
) -> Result<StorePath, NameError> {
    let name = output_path_name(drv_name, output);
    StorePath::make(store_dir, &format!("output:{output}"), modulo, &name)
}

/// The path of a fixed output (`makeFixedOutputPath`, without references).
///
/// # Errors
/// The name cannot be a store path's.
pub fn fixed_path(
    method: Method,
    hash: &Hash,
    name: &str,
    store_dir: &StoreDir,
) -> Result<StorePath, ContentAddressError> {
    ContentAddress::new(method, *hash)?.store_path(store_dir, name, &References::default())
}

/// What recomputing says about one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPathCheck {
    /// Path and variable are what follows from the derivation.
    Matches {
        /// The path.
        path: StorePath,
    },
    /// The path is another than the derivation states.
    Differs {
        /// As stated.
        stated: StorePath,
        /// As recomputed (by the newest rule, see [`MergeRule`]).
        expected: StorePath,
    },
    /// The path is right, the variable named after the output is not: the
    /// builder would write elsewhere.
    VariableDiffers {
        /// The path.
        path: StorePath,
        /// What the variable holds, if it is there.
        found: Option<Vec<u8>>,
    },
    /// A path is stated, yet an input's path is not known before the build.
    ShouldBeDeferred {
        /// As stated.
        stated: StorePath,
    },
    /// No path is stated, yet all inputs are known.
    NeedlesslyDeferred {
        /// As recomputed.
        expected: StorePath,
    },
    /// Floating, impure or rightly deferred: nothing to compare before the build.
    NoPathYet,
}

impl OutputPathCheck {
    /// Whether the derivation states anything wrong about this output. A
    /// needlessly deferred output is not wrong: Nix fills it in.
    #[must_use]
    pub const fn is_wrong(&self) -> bool {
        matches!(
            self,
            Self::Differs { .. } | Self::VariableDiffers { .. } | Self::ShouldBeDeferred { .. }
        )
    }
}

/// What recomputing says about a derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathsReport {
    /// The answer for every output.
    pub outputs: BTreeMap<String, OutputPathCheck>,
    /// The only merge rule under which the paths come out as stated. `None`
    /// where both rules give the same, or neither gives the stated paths.
    pub only_rule: Option<MergeRule>,
    /// The masked hash modulo under the rule that matched: what names the
    /// outputs' realisations up to Nix 2.34. `None` for impure derivations.
    pub modulo: Option<Hash>,
}

impl PathsReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        !self.outputs.values().any(OutputPathCheck::is_wrong)
    }
}

/// Recomputes the output paths of the derivation at `drv_path`. The files of
/// all derivations it builds on must be in `source`.
///
/// # Errors
/// Something needed for the computation is missing or damaged.
pub fn check_paths(
    drv: &Derivation,
    drv_path: &StorePath,
    store_dir: &StoreDir,
    source: &dyn DerivationSource,
) -> Result<PathsReport, ModuloError> {
    PathChecker::new(store_dir, source).check(drv, drv_path)
}

/// [`check_paths`] for many derivations of one graph, remembering what was
/// computed.
pub struct PathChecker<'s> {
    store_dir: &'s StoreDir,
    merge: HashModuloCache<'s>,
    overwrite: HashModuloCache<'s>,
}

impl<'s> PathChecker<'s> {
    /// Over the graph that `source` holds.
    #[must_use]
    pub fn new(store_dir: &'s StoreDir, source: &'s dyn DerivationSource) -> Self {
        Self {
            store_dir,
            merge: HashModuloCache::new(MergeRule::Merge, store_dir, source),
            overwrite: HashModuloCache::new(MergeRule::Overwrite, store_dir, source),
        }
    }

    /// See [`check_paths`].
    ///
    /// # Errors
    /// Something needed for the computation is missing or damaged.
    pub fn check(
        &mut self,
        drv: &Derivation,
        drv_path: &StorePath,
    ) -> Result<PathsReport, ModuloError> {
        let merged = self.merge.masked(drv)?;
        let with_merge = self.compare(drv, drv_path, merged.known())?;
        if !merged.rules_differ() {
            let modulo = merged.hash();
            return Ok(PathsReport { outputs: with_merge, only_rule: None, modulo });
        }
        let wrong = |outputs: &BTreeMap<_, OutputPathCheck>| {
            outputs.values().any(OutputPathCheck::is_wrong)
        };
        let overwritten = self.overwrite.masked(drv)?;
        let with_overwrite = self.compare(drv, drv_path, overwritten.known())?;
        let differ = merged.known() != overwritten.known();
        Ok(match (wrong(&with_merge), wrong(&with_overwrite)) {
            (false, _) => PathsReport {
                outputs: with_merge,
                only_rule: (differ && wrong(&with_overwrite)).then_some(MergeRule::Merge),
                modulo: merged.hash(),
            },
            (true, false) => PathsReport {
                outputs: with_overwrite,
                only_rule: Some(MergeRule::Overwrite),
                modulo: overwritten.hash(),
            },
            (true, true) => PathsReport { outputs: with_overwrite, only_rule: None, modulo: None },
        })
    }

    fn compare(
        &self,
        drv: &Derivation,
        drv_path: &StorePath,
        modulo: Option<Hash>,
    ) -> Result<BTreeMap<String, OutputPathCheck>, ModuloError> {
        let name = name_of(drv_path).ok_or_else(|| ModuloError::NotDrv(drv_path.clone()))?;
        let bad_name = |source| ModuloError::Name { drv_path: drv_path.clone(), source };
        let mut outputs = BTreeMap::new();
        for (output_name, output) in &drv.outputs {
            let expected = match (output, &modulo) {
                (Output::FloatingCa { .. } | Output::Impure { .. }, _)
                | (Output::Deferred | Output::InputAddressed { .. }, None) => None,
                (Output::Fixed { method, hash, .. }, _) => {
                    let name = output_path_name(name, output_name);
                    Some(fixed_path(*method, hash, &name, self.store_dir).map_err(bad_name)?)
                }
                (Output::Deferred | Output::InputAddressed { .. }, Some(modulo)) => Some(
                    input_addressed_path(modulo, name, output_name, self.store_dir)
                        .map_err(|source| bad_name(source.into()))?,
                ),
            };
            let check = match (output.path().cloned(), expected) {
                (None, None) => OutputPathCheck::NoPathYet,
                (None, Some(expected)) => OutputPathCheck::NeedlesslyDeferred { expected },
                (Some(stated), None) => OutputPathCheck::ShouldBeDeferred { stated },
                (Some(stated), Some(expected)) if stated != expected => {
                    OutputPathCheck::Differs { stated, expected }
                }
                (Some(path), Some(_)) => {
                    let found = drv.variable(output_name);
                    if found == Some(self.store_dir.full(&path).as_bytes()) {
                        OutputPathCheck::Matches { path }
                    } else {
                        let found = found.map(<[u8]>::to_vec);
                        OutputPathCheck::VariableDiffers { path, found }
                    }
                }
            };
            outputs.insert(output_name.clone(), check);
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOD_DRV: &str = "ggws72cnvz92sc0534z993syh93qxk54-data.txt.drv";
    const PKG_DRV: &str = "sjhhwn4ldq5gbmfgx8yq13kr6nsna51z-pkg-1.0.drv";

    fn parse(text: &str) -> Derivation {
        let drv = Derivation::parse(text.as_bytes(), &StoreDir::default()).unwrap();
        assert_eq!(drv.to_aterm(&StoreDir::default()), text.as_bytes());
        drv
    }

    /// formats.md, worked example A.
    fn pkg(out: &str, dev: &str) -> Derivation {
        parse(&format!(
            "Derive([(\"dev\",\"/nix/store/{dev}\",\"\",\"\"),(\"out\",\"/nix/store/{out}\",\"\",\
             \"\")],[(\"/nix/store/{FOD_DRV}\",[\"out\"])],[\"/nix/store/d53mkxp0ail7fhg02is8zdhqgdz\
             c3jja-greet.sh\"],\"x86_64-linux\",\"/bin/sh\",[\"/nix/store/d53mkxp0ail7fhg02is8zdhqgdz\
             c3jja-greet.sh\"],[(\"builder\",\"/bin/sh\"),(\"dev\",\"/nix/store/{dev}\"),(\"fod\",\
             \"/nix/store/snvwng24c1v75d5hqy346rp3122n7yk4-data.txt\"),(\"name\",\"pkg-1.0\"),\
             (\"out\",\"/nix/store/{out}\"),(\"outputs\",\"out dev\"),(\"system\",\
             \"x86_64-linux\")])"
        ))
    }

    fn fod() -> Derivation {
        let path = "/nix/store/snvwng24c1v75d5hqy346rp3122n7yk4-data.txt";
        let hash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        parse(&format!(
            "Derive([(\"out\",\"{path}\",\"sha256\",\"{hash}\")],[],[],\"x86_64-linux\",\"/bin/sh\",[],\
             [(\"out\",\"{path}\")])"
        ))
    }

    #[test]
    fn worked_example_a() {
        let dir = StoreDir::default();
        let drv = pkg(
            "xp76z8883k3p48lxxd5wd5i59fs3mi43-pkg-1.0",
            "hm2rfdnkz96l9smhs1x3vqsjbnn8rm56-pkg-1.0-dev",
        );
        let path = PKG_DRV.parse().unwrap();
        assert_eq!(drv.drv_path("pkg-1.0", &dir), Ok(path));
        let path = PKG_DRV.parse().unwrap();
        let graph = BTreeMap::from([(FOD_DRV.parse().unwrap(), fod()), (path, drv.clone())]);
        let path = PKG_DRV.parse().unwrap();
        let report = check_paths(&drv, &path, &dir, &graph).unwrap();
        assert!(report.is_right(), "{report:?}");
        assert_eq!(
            report.modulo.map(|hash| hash.base16()).as_deref(),
            Some("effc7347bd2f80934380400a1ae7fb370f2d66df7a694739b17408e457daae4f")
        );
        let mut cache = HashModuloCache::new(MergeRule::Merge, &dir, &graph);
        assert_eq!(
            cache.as_input(&path).unwrap().hash().map(|hash| hash.base16()).as_deref(),
            Some("8ebefe4611f1f83b0578799c61f5899fbd9c7551966e4f3537eac51f43ba3b92")
        );
        let report = check_paths(&fod(), &FOD_DRV.parse().unwrap(), &dir, &graph).unwrap();
        assert!(report.is_right(), "{report:?}");
    }

    #[test]
    fn wrong_paths_and_variables_are_named() {
        let dir = StoreDir::default();
        let graph = BTreeMap::from([(FOD_DRV.parse().unwrap(), fod())]);
        let path = PKG_DRV.parse().unwrap();
        let dev = "hm2rfdnkz96l9smhs1x3vqsjbnn8rm56-pkg-1.0-dev";
        let drv = pkg("xp76z8883k3p48lxxd5wd5i59fs3mi44-pkg-1.0", dev);
        let report = check_paths(&drv, &path, &dir, &graph).unwrap();
        assert!(matches!(report.outputs["out"], OutputPathCheck::Differs { .. }));
        assert!(matches!(report.outputs["dev"], OutputPathCheck::Matches { .. }));

        let mut drv = pkg("xp76z8883k3p48lxxd5wd5i59fs3mi43-pkg-1.0", dev);
        drv.env.insert(b"out".to_vec(), b"/tmp/elsewhere".to_vec());
        let report = check_paths(&drv, &path, &dir, &graph).unwrap();
        assert!(matches!(report.outputs["out"], OutputPathCheck::VariableDiffers { .. }));
        drv.env.remove(&b"out"[..]);
        // The name of the variable is part of the hash, its value is not.
        assert!(!check_paths(&drv, &path, &dir, &graph).unwrap().is_right());

        let nothing = BTreeMap::<StorePath, Derivation>::new();
        assert_eq!(
            check_paths(&drv, &path, &dir, &nothing),
            Err(ModuloError::Missing(FOD_DRV.parse().unwrap()))
        );
    }

    #[test]
    fn recursive_fixed_outputs() {
        let dir = StoreDir::default();
        for (hash, wanted) in [
            (
                "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
                "vf1jyy5lb82396nhwlj3ap2gs6dd4ykm-tree",
            ),
            (
                "sha1:11f6ad8ec52a2984abaafd7c3b516503785c2072",
                "b0lqppyg8vm94a30cysb8z1qi2nrxaaf-tree",
            ),
        ] {
            let hash = Hash::parse(hash, None).unwrap();
            let path = fixed_path(Method::Recursive, &hash, "tree", &dir).unwrap();
            assert_eq!(path.to_string(), wanted);
        }
    }
}
