//! Building the same again, otherwise: do builds agree among themselves?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::executor::Executor;
use super::job::BuildJob;
use super::outcome::{BuildError, BuildOutcome, Built, BuiltOutput, FailureReason};

/// Between the beginnings of two rounds, at least: whoever writes down a second
/// of the clock writes another one.
pub const APART: Duration = Duration::from_secs(2);

/// One repetition.
#[derive(Debug)]
pub struct Round {
    /// Its number; the first build is round 0.
    pub number: u32,
    /// What was otherwise than in the first build, and what was not.
    pub varied: Vec<String>,
    /// What it gave.
    pub end: RoundEnd,
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

/// Builds `job` again until there are `rounds` builds, the one that gave
/// `first` included.
#[must_use]
pub fn repeat(executor: &dyn Executor, job: &BuildJob, first: Duration, rounds: u32) -> Vec<Round> {
    let mut began = Instant::now().checked_sub(first).unwrap_or_else(Instant::now);
    (1..rounds)
        .map(|number| {
            std::thread::sleep(APART.saturating_sub(began.elapsed()));
            began = Instant::now();
            let cores = cores(job.cores, number);
            let again = BuildJob { round: number, cores, keep_failed: false, ..job.clone() };
            let mut varied = vec![format!("cores {cores}")];
            let end = match executor.build(&again) {
                Ok(BuildOutcome::Built(Built { outputs, surroundings, .. })) => {
                    varied.extend(surroundings.varied);
                    RoundEnd::Outputs(outputs)
                }
                Ok(BuildOutcome::Failed(failed)) => RoundEnd::Failed(failed.reason),
                Err(error) => RoundEnd::Error(error),
            };
            Round { number, varied, end }
        })
        .collect()
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
