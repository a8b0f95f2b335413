//! Who is to blame: the first derivations that diverge, and how much stands on
//! each.
//!
//! Every derivation was judged on its inputs as claimed, so a divergence is its
//! own and never handed down. Still the place to start is where nothing below
//! diverges, and the most urgent one is what most others stand on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::facts::{DerivationFacts, Rebuild, Role};
use super::judge::{Basis, OutputStatus};
use super::verdicts::OutputVerdict;
use crate::nix::store_path::StorePath;

/// A derivation that gives something else than is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergent {
    /// The derivation.
    pub drv_path: StorePath,
    /// Those of its outputs that differ.
    pub outputs: Vec<String>,
    /// The divergent derivations that it builds on, directly or not; none for
    /// one of the first.
    pub below: Vec<StorePath>,
    /// How many derivations of the report build on it, directly or not.
    pub dependents: u64,
    /// How many of those are targets.
    pub targets: u64,
}

impl Divergent {
    /// Whether nothing that it builds on diverges.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.below.is_empty()
    }
}

/// How many outputs were judged, and how many of them reproduced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Outputs that a trusted claim was compared with and is equal to.
    pub reproduced: u64,
    /// Outputs that a trusted claim was compared with.
    pub judged: u64,
    /// Outputs that were asked for and could not be judged: they count neither
    /// way.
    pub unjudged: u64,
    /// Fixed outputs, which stand outside the rate.
    pub fixed: u64,
}

impl Rate {
    /// Counts.
    #[must_use]
    pub fn of(verdicts: &[OutputVerdict<'_>]) -> Self {
        let mut rate = Self::default();
        for judged in verdicts.iter().filter(|judged| judged.is_asked()) {
            if judged.derivation.basis == Basis::Fixed {
                rate.fixed += 1;
                continue;
            }
            match judged.status {
                Some(OutputStatus::Reproduced) => {
                    rate.reproduced += 1;
                    rate.judged += 1;
                }
                Some(OutputStatus::Differs) => rate.judged += 1,
                _ => rate.unjudged += 1,
            }
        }
        rate
    }

    /// The rate in percent with one digit, rounded down: only when all
    /// reproduced it is a hundred. `None` if nothing was judged.
    #[must_use]
    pub fn percent(&self) -> Option<String> {
        let tenths = (u128::from(self.reproduced) * 1000).checked_div(self.judged.into())?;
        Some(format!("{}.{} %", tenths / 10, tenths % 10))
    }
}

/// The derivations that differ: the first ones before the others, and those
/// that more stands on before those that less does.
#[must_use]
pub fn divergent(rebuild: &Rebuild, verdicts: &[OutputVerdict<'_>]) -> Vec<Divergent> {
    let mut differing: BTreeMap<&StorePath, Vec<String>> = BTreeMap::new();
    for judged in verdicts {
        let fixed = judged.derivation.basis == Basis::Fixed;
        if judged.status == Some(OutputStatus::Differs) && !fixed {
            let outputs = differing.entry(&judged.derivation.drv_path).or_default();
            outputs.push(judged.output.name.clone());
        }
    }
    if differing.is_empty() {
        return Vec::new();
    }
    let nodes: BTreeMap<&StorePath, &DerivationFacts> =
        rebuild.derivations.iter().map(|facts| (&facts.drv_path, facts)).collect();
    let mut readers: BTreeMap<&StorePath, Vec<&StorePath>> = BTreeMap::new();
    for facts in nodes.values() {
        for read in &facts.reads {
            readers.entry(read).or_default().push(&facts.drv_path);
        }
    }
    let above = |path| reach(path, |path| readers.get(path).into_iter().flatten().copied());
    let below =
        |path| reach(path, |path| nodes.get(path).into_iter().flat_map(|facts| facts.reads.iter()));
    let mut found: Vec<Divergent> = differing
        .iter()
        .map(|(drv_path, outputs)| {
            let above = above(drv_path);
            let is_target =
                |path: &&StorePath| nodes.get(path).is_some_and(|facts| facts.role == Role::Target);
            Divergent {
                drv_path: (*drv_path).clone(),
                outputs: outputs.clone(),
                below: below(drv_path)
                    .into_iter()
                    .filter(|path| differing.contains_key(path))
                    .cloned()
                    .collect(),
                dependents: count(above.len()),
                targets: count(above.iter().filter(|path| is_target(path)).count()),
            }
        })
        .collect();
    found.sort_by(|a, b| {
        let key =
            |one: &Divergent| (!one.is_first(), Reverse(one.dependents), Reverse(one.targets));
        key(a).cmp(&key(b)).then_with(|| a.drv_path.cmp(&b.drv_path))
    });
    found
}

/// Everything that is reached from `start`, itself apart.
fn reach<'a, I: Iterator<Item = &'a StorePath>>(
    start: &'a StorePath,
    next: impl Fn(&'a StorePath) -> I,
) -> BTreeSet<&'a StorePath> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(path) = open.pop() {
        for other in next(path) {
            if other != start && reached.insert(other) {
                open.push(other);
            }
        }
    }
    reached
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{built, path, trusted};
    use super::super::verdicts::verdicts;
    use super::*;
    use crate::nix::store_path::StoreDir;

    /// A derivation that reads others; what is claimed is 1, or nothing.
    fn node(name: &str, ours: u8, claimed: bool, reads: &[&str]) -> DerivationFacts {
        let claims = claimed.then(|| trusted(name, 1)).into_iter().collect();
        DerivationFacts {
            role: if name.starts_with("top") { Role::Target } else { Role::Member },
            reads: reads.iter().map(|name| path(&format!("{name}.drv"))).collect(),
            ..built(name, ours, claims)
        }
    }

    fn blamed(derivations: Vec<DerivationFacts>) -> (Vec<String>, Rate) {
        let rebuild = Rebuild { derivations, ..Rebuild::default() };
        let verdicts = verdicts(&rebuild, &StoreDir::default());
        let said = divergent(&rebuild, &verdicts)
            .into_iter()
            .map(|one| {
                let name = one.drv_path.name().trim_end_matches(".drv").to_owned();
                format!("{name} {} {}/{}", one.below.len(), one.dependents, one.targets)
            })
            .collect();
        (said, Rate::of(&verdicts))
    }

    #[test]
    fn the_first_and_most_used_come_first() {
        let (said, rate) = blamed(vec![
            node("leaf", 1, true, &[]),
            node("rare", 2, true, &["leaf"]),
            node("core", 2, true, &["leaf"]),
            node("quiet", 1, false, &["core"]),
            node("mid", 1, true, &["quiet"]),
            node("late", 2, true, &["mid", "rare"]),
            node("top1", 1, true, &["late"]),
            node("top2", 1, true, &["mid"]),
        ]);
        assert_eq!(said, ["core 0 5/2", "rare 0 2/1", "late 2 1/1"]);
        assert_eq!(rate, Rate { reproduced: 4, judged: 7, unjudged: 1, fixed: 0 });
        assert_eq!(rate.percent().unwrap(), "57.1 %");
    }

    #[test]
    fn nobody_is_blamed_for_nothing() {
        let (said, rate) = blamed(vec![node("a", 1, true, &[]), node("b", 3, false, &["a"])]);
        assert!(said.is_empty());
        assert_eq!(rate.percent().unwrap(), "100.0 %");
        assert_eq!(Rate::default().percent(), None);
        let almost = Rate { reproduced: 99_999, judged: 100_000, ..Rate::default() };
        assert_eq!(almost.percent().unwrap(), "99.9 %");
    }

    #[test]
    fn circles_end() {
        let (said, _) = blamed(vec![node("a", 2, true, &["b"]), node("b", 2, true, &["a"])]);
        assert_eq!(said, ["a 1 1/0", "b 1 1/0"]);
    }
}
