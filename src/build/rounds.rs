//! Building the same again, otherwise: do builds agree among themselves?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::executor::Executor;
use super::job::BuildJob;
use super::outcome::{BuildError, BuildOutcome, Built, BuiltOutput, FailureReason};
use crate::state::BuildDir;

/// Between the beginnings of two rounds, at least: whoever writes down a second
/// of the clock writes another one.
pub const APART: Duration = Duration::from_secs(2);

/// One repetition.
#[derive(Debug)]
pub struct Round {
    /// Its number; the first build is round 0.
    pub number: u32,
    /// Its `NIX_BUILD_CORES`.
    pub cores: u32,
    /// What was otherwise than in the first build, and what was not.
    pub varied: Vec<String>,
    /// What it gave.
    pub end: RoundEnd,
    /// Holds its outputs on disk, if one of them is the first of its name that
    /// is not what the first build gave.
    pub room: Option<Arc<BuildDir>>,
}

impl Round {
    /// The output called `name`, if this round is kept for what it gave and it
    /// is other than `first`.
    #[must_use]
    pub fn unlike(&self, name: &str, first: &BuiltOutput) -> Option<&BuiltOutput> {
        let RoundEnd::Outputs(outputs) = &self.end else { return None };
        let kept = outputs.get(name).filter(|_| self.room.is_some());
        kept.filter(|output| output.nar_hash != first.nar_hash)
    }
}

/// The build that was first.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// What it gave.
    pub outputs: &'a BTreeMap<String, BuiltOutput>,
    /// How long it took.
    pub duration: Duration,
}

/// How a repetition ended.
#[derive(Debug)]
pub enum RoundEnd {
    /// With outputs.
    Outputs(BTreeMap<String, BuiltOutput>),
    /// Without; the first build had some.
    Failed(FailureReason),
    /// We failed.
    Error(BuildError),
}

/// Builds `job` again until there are `rounds` builds, `first` included.
#[must_use]
pub fn repeat(
    executor: &dyn Executor,
    job: &BuildJob,
    first: First<'_>,
    rounds: u32,
) -> Vec<Round> {
    let mut began = Instant::now().checked_sub(first.duration).unwrap_or_else(Instant::now);
    let mut unlike = BTreeSet::new();
    (1..rounds)
        .map(|number| {
            std::thread::sleep(APART.saturating_sub(began.elapsed()));
            began = Instant::now();
            let cores = cores(job.cores, number);
            let again = BuildJob { round: number, cores, keep_failed: false, ..job.clone() };
            let mut varied = vec![format!("cores {cores}")];
            let mut kept = None;
            let end = match executor.build(&again) {
                Ok(BuildOutcome::Built(Built { outputs, surroundings, room, .. })) => {
                    varied.extend(surroundings.varied);
                    let before = unlike.len();
                    unlike.extend(differing(first.outputs, &outputs));
                    kept = room.filter(|_| unlike.len() > before);
                    RoundEnd::Outputs(outputs)
                }
                Ok(BuildOutcome::Failed(failed)) => RoundEnd::Failed(failed.reason),
                Err(error) => RoundEnd::Error(error),
            };
            Round { number, cores, varied, end, room: kept }
        })
        .collect()
}

/// The names of outputs that are not what they were at first.
fn differing(
    first: &BTreeMap<String, BuiltOutput>,
    again: &BTreeMap<String, BuiltOutput>,
) -> impl Iterator<Item = String> {
    let otherwise = |(name, output): &(&String, &BuiltOutput)| {
        first.get(*name).is_some_and(|first| first.nar_hash != output.nar_hash)
    };
    again.iter().filter(otherwise).map(|(name, _)| name.clone())
}

/// The cores of a round: one, then twice as many as at first, then as many.
fn cores(first: u32, round: u32) -> u32 {
    match (round % 3, first) {
        (1, 1) => 2,
        (1, _) => 1,
        (2, 0) => 2,
        (2, _) => first.saturating_mul(2),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repetitions_have_other_cores() {
        for first in [0, 1, 2, 8, u32::MAX] {
            assert_ne!(cores(first, 1), first);
            assert!(cores(first, 2) != first || first == u32::MAX);
            assert_eq!(cores(first, 3), first);
        }
    }
}
