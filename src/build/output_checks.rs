//! The conditions a derivation sets on its own outputs.
//!
//! Follows `checkOutputs` (`src/libstore/build/local-derivation-goal.cc` up to
//! 2.28, `src/libstore/build/derivation-check.cc` later): sizes first, then
//! what an output may and may not refer to, directly and through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::nix::derivation::options::{AllOutputChecks, OutputChecks, ReferenceSpec};
use crate::nix::store_path::{StoreDir, StorePath};

use super::{BuildError, FailureReason};

/// What the checks look at in a store object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// The length of its NAR.
    pub nar_size: u64,
    /// What it refers to, itself included if it does.
    pub references: &'a BTreeSet<StorePath>,
}

/// What is known when the checks are made.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The paths of the outputs, by name.
    pub outputs: BTreeMap<&'a str, &'a StorePath>,
    /// Everything the outputs can refer to: the inputs and the outputs.
    pub objects: BTreeMap<&'a StorePath, Object<'a>>,
    /// For messages.
    pub store_dir: &'a StoreDir,
}

/// Why an output does not pass.
#[derive(Debug)]
enum Fault {
    /// The condition that is broken, and how.
    Broken(String),
    /// What could not be found out.
    Unknown(BuildError),
}

impl Checked<'_> {
    /// Applies all checks to all outputs, in the order of their names.
    ///
    /// # Errors
    /// The outer error: an object of the closure is not among the inputs. The
    /// inner one: the first condition that an output breaks.
    pub fn apply(&self, checks: &AllOutputChecks) -> Result<Result<(), FailureReason>, BuildError> {
        for (name, path) in &self.outputs {
            let Some(checks) = checks.of(name) else { continue };
            match self.output(path, checks) {
                Ok(()) => {}
                Err(Fault::Unknown(error)) => return Err(error),
                Err(Fault::Broken(why)) => {
                    let output = (*name).to_owned();
                    return Ok(Err(FailureReason::OutputCheck { output, why }));
                }
            }
        }
        Ok(Ok(()))
    }

    fn output(&self, path: &StorePath, checks: &OutputChecks) -> Result<(), Fault> {
        let object = self.object(path)?;
        if let Some(limit) = checks.max_size.filter(|&limit| object.nar_size > limit) {
            let size = object.nar_size;
            return Err(Fault::Broken(format!("it has {size} bytes, and maxSize is {limit}")));
        }
        if let Some(limit) = checks.max_closure_size {
            let (_, size) = self.closure(path)?;
            if size > limit {
                return Err(Fault::Broken(format!(
                    "its closure has {size} bytes, and maxClosureSize is {limit}"
                )));
            }
        }
        if let Some(allowed) = &checks.allowed_references {
            self.allowed(object.references, allowed, "allowedReferences")?;
        }
        if let Some(allowed) = &checks.allowed_requisites {
            self.allowed(&self.requisites(path, checks)?, allowed, "allowedRequisites")?;
        }
        if !checks.disallowed_references.is_empty() {
            let disallowed = &checks.disallowed_references;
            self.disallowed(object.references, disallowed, "disallowedReferences")?;
        }
        if !checks.disallowed_requisites.is_empty() {
            let used = self.requisites(path, checks)?;
            self.disallowed(&used, &checks.disallowed_requisites, "disallowedRequisites")?;
        }
        Ok(())
    }

    fn allowed(
        &self,
        used: &BTreeSet<StorePath>,
        specs: &BTreeSet<ReferenceSpec>,
        attribute: &str,
    ) -> Result<(), Fault> {
        let specified = self.specified(specs, attribute)?;
        self.none_of(used.difference(&specified), attribute)
    }

    fn disallowed(
        &self,
        used: &BTreeSet<StorePath>,
        specs: &BTreeSet<ReferenceSpec>,
        attribute: &str,
    ) -> Result<(), Fault> {
        let specified = self.specified(specs, attribute)?;
        self.none_of(used.intersection(&specified), attribute)
    }

    fn none_of<'p>(
        &self,
        bad: impl Iterator<Item = &'p StorePath>,
        attribute: &str,
    ) -> Result<(), Fault> {
        let bad: Vec<String> = bad.map(|path| self.store_dir.full(path)).collect();
        if bad.is_empty() {
            return Ok(());
        }
        Err(Fault::Broken(format!("{attribute} does not allow it to refer to {}", bad.join(", "))))
    }

    /// The paths that a list of store paths and output names stands for.
    fn specified(
        &self,
        specs: &BTreeSet<ReferenceSpec>,
        attribute: &str,
    ) -> Result<BTreeSet<StorePath>, Fault> {
        let resolve = |spec: &ReferenceSpec| match spec {
            ReferenceSpec::Path(path) => Ok(path.clone()),
            ReferenceSpec::Output(name) => match self.outputs.get(name.as_str()) {
                Some(path) => Ok((*path).clone()),
                None => Err(Fault::Broken(format!(
                    "{attribute} has the illegal reference specifier '{}' (expected a store path \
                     or one of the outputs {})",
                    name.escape_debug(),
                    self.outputs.keys().copied().collect::<Vec<_>>().join(", ")
                ))),
            },
        };
        specs.iter().map(resolve).collect()
    }

    /// The closure as the requisite checks see it.
    fn requisites(
        &self,
        path: &StorePath,
        checks: &OutputChecks,
    ) -> Result<BTreeSet<StorePath>, Fault> {
        let (mut closure, _) = self.closure(path)?;
        if checks.ignore_self_refs {
            closure.remove(path);
        }
        Ok(closure)
    }

    /// Everything an object refers to, through others too and itself
    /// included, and the sum of the sizes.
    fn closure(&self, path: &StorePath) -> Result<(BTreeSet<StorePath>, u64), Fault> {
        let mut closure = BTreeSet::new();
        let mut size = 0_u64;
        let mut left = VecDeque::from([path]);
        while let Some(path) = left.pop_front() {
            if closure.insert(path.clone()) {
                let object = self.object(path)?;
                size = size.saturating_add(object.nar_size);
                left.extend(object.references);
            }
        }
        Ok((closure, size))
    }

    fn object(&self, path: &StorePath) -> Result<Object<'_>, Fault> {
        self.objects.get(path).copied().ok_or_else(|| {
            Fault::Unknown(BuildError::Job(format!(
                "the closure of an output holds '{}', which is no input of the build",
                self.store_dir.full(path)
            )))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        let hash =
            crate::nix::hash::Hash::of(crate::nix::hash::HashAlgorithm::Sha256, name.as_bytes());
        StorePath::new(crate::nix::hash::fold(hash.digest()), name).unwrap()
    }

    fn paths(names: &[&str]) -> BTreeSet<StorePath> {
        names.iter().map(|name| path(name)).collect()
    }

    fn specs(names: &[&str]) -> BTreeSet<ReferenceSpec> {
        let spec = |name: &&str| match name.strip_prefix('@') {
            Some(output) => ReferenceSpec::Output(output.to_owned()),
            None => ReferenceSpec::Path(path(name)),
        };
        names.iter().map(spec).collect()
    }

    /// `out` (100 bytes) refers to itself, to `dev` (10) and to `lib` (1000),
    /// `lib` to `libc` (10000).
    fn check(checks: &OutputChecks) -> Result<(), String> {
        let store_dir = StoreDir::default();
        let facts = [
            ("out", 100, paths(&["out", "dev", "lib"])),
            ("dev", 10, BTreeSet::new()),
            ("lib", 1000, paths(&["libc"])),
            ("libc", 10000, BTreeSet::new()),
        ];
        let known: BTreeMap<StorePath, (u64, BTreeSet<StorePath>)> =
            facts.into_iter().map(|(name, size, refs)| (path(name), (size, refs))).collect();
        let objects = known
            .iter()
            .map(|(path, (nar_size, references))| {
                (path, Object { nar_size: *nar_size, references })
            })
            .collect();
        let (out, dev) = (path("out"), path("dev"));
        let outputs = BTreeMap::from([("out", &out), ("dev", &dev)]);
        let checked = Checked { outputs, objects, store_dir: &store_dir };
        let only = AllOutputChecks::PerOutput([("out".to_owned(), checks.clone())].into());
        match checked.apply(&only).unwrap() {
            Ok(()) => Ok(()),
            Err(FailureReason::OutputCheck { output, why }) if output == "out" => Err(why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn sizes() {
        let sizes = |max_size, max_closure_size| OutputChecks {
            max_size,
            max_closure_size,
            ..OutputChecks::default()
        };
        assert_eq!(check(&sizes(Some(100), Some(11110))), Ok(()));
        assert!(check(&sizes(Some(99), None)).unwrap_err().contains("maxSize is 99"));
        assert!(check(&sizes(None, Some(11109))).unwrap_err().contains("11110 bytes"));
    }

    #[test]
    fn references_are_direct_and_include_the_output_itself() {
        for ignore_self_refs in [false, true] {
            let allowed = |names: &[&str]| OutputChecks {
                ignore_self_refs,
                allowed_references: Some(specs(names)),
                ..OutputChecks::default()
            };
            assert_eq!(check(&allowed(&["@out", "@dev", "lib"])), Ok(()));
            let why = check(&allowed(&["@dev", "lib"])).unwrap_err();
            assert!(why.contains("-out") && !why.contains("-lib"), "{why}");
            // An empty list is not the same as none.
            assert!(check(&allowed(&[])).is_err());
        }
    }

    #[test]
    fn requisites_are_the_closure_and_may_leave_the_output_out() {
        let allowed = |ignore_self_refs, names: &[&str]| OutputChecks {
            ignore_self_refs,
            allowed_requisites: Some(specs(names)),
            ..OutputChecks::default()
        };
        assert_eq!(check(&allowed(true, &["@dev", "lib", "libc"])), Ok(()));
        let why = check(&allowed(false, &["@dev", "lib", "libc"])).unwrap_err();
        assert!(why.contains("-out"), "{why}");
        let why = check(&allowed(true, &["@dev", "lib"])).unwrap_err();
        assert!(why.contains("-libc"), "{why}");
        let disallowed = |ignore_self_refs, names: &[&str]| OutputChecks {
            ignore_self_refs,
            disallowed_requisites: specs(names),
            ..OutputChecks::default()
        };
        assert!(check(&disallowed(true, &["libc"])).is_err());
        assert_eq!(check(&disallowed(true, &["@out", "other"])), Ok(()));
        assert!(check(&disallowed(false, &["@out"])).is_err());
    }

    #[test]
    fn illegal_specifiers_fail_the_build() {
        let checks =
            OutputChecks { disallowed_references: specs(&["@doc"]), ..OutputChecks::default() };
        let why = check(&checks).unwrap_err();
        assert!(why.contains("illegal reference specifier 'doc'"), "{why}");
    }
}
