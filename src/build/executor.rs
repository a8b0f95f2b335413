//! What builds: anything that takes a job and answers with an outcome.

use super::job::BuildJob;
use super::outcome::{BuildError, BuildOutcome};

/// Something that can build a derivation.
///
/// A job is idempotent: the same derivation and round may be asked for again,
/// by this process or a later one.
pub trait Executor: Sync {
    /// A short name for reports, such as `sandbox`.
    fn name(&self) -> &'static str;

    /// Builds, and answers how that went.
    ///
    /// # Errors
    /// Only when the executor itself failed; then nothing is known about the
    /// derivation.
    fn build(&self, job: &BuildJob) -> Result<BuildOutcome, BuildError>;
}
