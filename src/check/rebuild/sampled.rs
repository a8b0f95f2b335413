//! What a random sample of a closure says about the whole of it.

use std::collections::BTreeMap;

use super::facts::SampleFacts;
use super::verdicts::OutputVerdict;
use crate::check::Verdict;
use crate::check::sample::Bound;
use crate::nix::store_path::StorePath;

/// What came of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleResult {
    /// Derivations of the sample with an output that differs or is forged.
    pub bad: u64,
    /// Further ones with an output that could not be judged.
    pub unanswered: u64,
    /// How many of the whole closure may be bad. What could not be judged
    /// counts as bad here: nobody knows that it is good.
    pub bound: Bound,
}

impl SampleResult {
    /// Counts.
    #[must_use]
    pub fn of(sample: &SampleFacts, verdicts: &[OutputVerdict<'_>]) -> Self {
        let mut worst: BTreeMap<&StorePath, Verdict> = BTreeMap::new();
        for judged in verdicts {
            let verdict = worst.entry(&judged.derivation.drv_path).or_insert(Verdict::Pass);
            *verdict = (*verdict).max(judged.verdict());
        }
        let count = |wanted: &dyn Fn(Option<&Verdict>) -> bool| {
            let found = sample.drawn.iter().filter(|path| wanted(worst.get(path)));
            u64::try_from(found.count()).unwrap_or(u64::MAX)
        };
        let bad = count(&|verdict| verdict == Some(&Verdict::Fail));
        let unanswered =
            count(&|verdict| verdict.is_none_or(|verdict| *verdict == Verdict::Inconclusive));
        let drawn = count(&|_| true);
        let bound = Bound::of(drawn, bad.saturating_add(unanswered), sample.population);
        Self { bad, unanswered, bound }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{DerivationFacts, Rebuild, Role};
    use super::super::fixture::{built, trusted};
    use super::super::verdicts::verdicts;
    use super::*;
    use crate::nix::store_path::StoreDir;

    fn drawn(number: u8, claimed: Option<u8>) -> DerivationFacts {
        let name = format!("x{number}");
        let claims = claimed.map(|seed| trusted(&name, seed)).into_iter().collect();
        DerivationFacts { role: Role::Member, ..built(&name, 1, claims) }
    }

    #[test]
    fn what_is_not_known_counts_against_the_bound() {
        let result = |claims: &[Option<u8>]| {
            let numbers = 0..u8::try_from(claims.len()).unwrap();
            let derivations: Vec<_> =
                numbers.zip(claims).map(|(number, claimed)| drawn(number, *claimed)).collect();
            let sample = SampleFacts {
                asked: "10".into(),
                seed: "1".into(),
                population: 1000,
                drawn: derivations.iter().map(|facts| facts.drv_path.clone()).collect(),
            };
            let rebuild = Rebuild { derivations, ..Rebuild::default() };
            SampleResult::of(&sample, &verdicts(&rebuild, &StoreDir::default()))
        };
        let good = result(&[Some(1); 30]);
        assert_eq!((good.bad, good.unanswered), (0, 0));
        let mut claims = [Some(1); 30];
        claims[3] = Some(2);
        claims[4] = None;
        let mixed = result(&claims);
        assert_eq!((mixed.bad, mixed.unanswered), (1, 1));
        assert_eq!(mixed.bound, Bound::of(30, 2, 1000));
        assert!(mixed.bound.below > good.bound.below);
    }
}
