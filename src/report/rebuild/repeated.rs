//! The canary and repeated builds, as public JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::difference::{self, Difference};
use super::json::{ContentsPart, Failure, contents_part};
use crate::check::rebuild::Contents;
use crate::check::rebuild::canary::Canary;
use crate::check::rebuild::facts::{DerivationFacts, OutputFacts};
use crate::check::rebuild::rounds::{RoundFacts, Stability};
use crate::nix::store_path::StoreDir;

/// The canary.
#[derive(Serialize)]
pub struct CanaryPart<'a> {
    same: &'a str,
    random: &'a str,
    holds: bool,
}

impl<'a> CanaryPart<'a> {
    /// Of a run.
    pub fn of(canary: &'a Canary) -> Self {
        Self { same: &canary.same, random: &canary.random, holds: canary.failure().is_none() }
    }
}

/// One repetition of a build.
#[derive(Serialize)]
pub struct RoundPart<'a> {
    round: u32,
    varied: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<BTreeMap<&'a str, ContentsPart>>,
}

impl<'a> RoundPart<'a> {
    /// All repetitions of a derivation.
    pub fn all(derivation: &'a DerivationFacts, store_dir: &StoreDir) -> Vec<Self> {
        derivation.rounds.iter().map(|round| Self::of(round, store_dir)).collect()
    }

    fn of(round: &'a RoundFacts, store_dir: &StoreDir) -> Self {
        let RoundFacts { round, varied, outputs } = round;
        let part = |(name, contents): (&'a String, &Contents)| {
            (name.as_str(), contents_part(contents, store_dir))
        };
        let failure = outputs.as_ref().err();
        Self {
            round: *round,
            varied,
            failure: failure.map(|(reason, detail)| Failure { reason: reason.name(), detail }),
            outputs: outputs.as_ref().ok().map(|outputs| outputs.iter().map(part).collect()),
        }
    }
}

/// How stable an output is.
#[derive(Serialize)]
pub struct StabilityPart<'a> {
    stable: bool,
    builds: usize,
    results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    unlike: Option<UnlikePart<'a>>,
}

/// The first build beside a later one.
#[derive(Serialize)]
struct UnlikePart<'a> {
    round: u32,
    difference: Difference<'a>,
}

impl<'a> StabilityPart<'a> {
    /// Of an output, if it was built more than once.
    pub fn of(derivation: &DerivationFacts, output: &'a OutputFacts) -> Option<Self> {
        Stability::of(derivation, output).map(|found| Self {
            stable: found.is_stable(),
            builds: found.rounds(),
            results: found.results.len(),
            unlike: output.unlike.as_ref().map(|unlike| UnlikePart {
                round: unlike.round,
                difference: difference::part(&unlike.contrast),
            }),
        })
    }
}
