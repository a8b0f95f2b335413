//! What our own chain of builds gives, apart from what the derivation itself
//! gives.
//!
//! A derivation's own verdict is about its build on the inputs *as claimed*. If
//! we made one of those inputs otherwise, the derivation is built once more on
//! what we made, and this says what came of that. It decides nothing: a
//! difference handed down is the fault of the node it comes from.

use super::canary::Canary;
use super::facts::{DerivationFacts, OutputFacts, Production, Rebuild};
use super::judge::{OutputStatus, judge};

/// Where our own chain of builds leads at one derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// Every input we made is as claimed: there is no other chain.
    Same,
    /// Inputs diverged, and what is made of them is as claimed all the same.
    Absorbed,
    /// Inputs diverged, and what is made of them is not what is claimed.
    Differs,
    /// It could not be built on our own chain.
    NotBuilt,
}

impl Chain {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Absorbed => "absorbed",
            Self::Differs => "differs",
            Self::NotBuilt => "not-built",
        }
    }
}

/// Where our own chain leads at a derivation: the worst of its outputs. `None`
/// if no chain was followed, if the derivation was not built, or if the canary
/// shows that comparisons of this run count for nothing.
#[must_use]
pub fn chain(rebuild: &Rebuild, derivation: &DerivationFacts) -> Option<Chain> {
    // A comparison that sees no difference would call anything absorbed.
    let blind = rebuild.canary.as_ref().and_then(Canary::failure).is_some();
    if !rebuild.chained || blind || derivation.production != Production::Built {
        return None;
    }
    derivation.outputs.iter().map(|output| output_chain(derivation, output)).max()
}

/// Where our own chain leads at one output of a derivation that was built.
///
/// What trusted keys claim is the measure; where they claim nothing, what we
/// built on the claimed inputs is.
#[must_use]
pub fn output_chain(derivation: &DerivationFacts, output: &OutputFacts) -> Chain {
    let Some(again) = &derivation.chain else { return Chain::Same };
    let Some((path, contents)) = again.outputs.get(&output.name) else { return Chain::NotBuilt };
    if again.production != Production::Built {
        return Chain::NotBuilt;
    }
    match judge("", path, contents, derivation.basis, &output.claims).status {
        OutputStatus::Reproduced | OutputStatus::FixedByHash => Chain::Absorbed,
        OutputStatus::Differs => Chain::Differs,
        OutputStatus::NoReference | OutputStatus::Forged => {
            let own = output.path.as_ref().zip(output.ours.as_ref());
            let as_before = own == Some((path, contents));
            if as_before { Chain::Absorbed } else { Chain::Differs }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::facts::{ChainBuild, Role};
    use super::super::fixture::{self, contents, path, trusted};
    use super::*;
    use crate::check::Reason;

    /// Made `ours` on the claimed inputs, `again` on our own.
    fn built(claimed: Option<u8>, ours: u8, again: Option<Result<u8, Reason>>) -> DerivationFacts {
        let claims = claimed.map(|seed| trusted("x", seed)).into_iter().collect();
        DerivationFacts {
            role: Role::Member,
            chain: again.map(|again| ChainBuild {
                diverged: BTreeSet::from([path("input")]),
                production: again.err().map_or(Production::Built, |reason| Production::Missing {
                    reason,
                    detail: String::new(),
                    tail: Vec::new(),
                }),
                outputs: again
                    .ok()
                    .map(|seed| ("out".to_owned(), (path("x"), contents(seed))))
                    .into_iter()
                    .collect::<BTreeMap<_, _>>(),
                contrasts: BTreeMap::new(),
            }),
            ..fixture::built("x", ours, claims)
        }
    }

    #[test]
    fn the_chain_is_measured_by_what_is_claimed() {
        let rebuild = Rebuild { chained: true, ..Rebuild::default() };
        for (claimed, ours, again, wanted) in [
            (Some(1), 1, None, Chain::Same),
            (Some(1), 2, None, Chain::Same),
            (Some(1), 1, Some(Ok(1)), Chain::Absorbed),
            (Some(1), 2, Some(Ok(1)), Chain::Absorbed),
            (Some(1), 1, Some(Ok(2)), Chain::Differs),
            (Some(1), 2, Some(Ok(2)), Chain::Differs),
            (None, 1, Some(Ok(1)), Chain::Absorbed),
            (None, 1, Some(Ok(2)), Chain::Differs),
            (Some(1), 1, Some(Err(Reason::BuildFailed)), Chain::NotBuilt),
        ] {
            let facts = built(claimed, ours, again);
            assert_eq!(chain(&rebuild, &facts), Some(wanted), "{claimed:?} {ours} {again:?}");
        }
        assert_eq!(chain(&Rebuild::default(), &built(Some(1), 1, None)), None);
    }
}
