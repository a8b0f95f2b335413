//! `verify policy check`.

use std::path::PathBuf;

use super::super::time::Timestamp;
use super::super::{Environment, ToolError};
use super::{CheckArgs, advisories, materials, policies, setting};
use crate::policy::{built_in, judge};
use crate::report::Report;
use crate::report::policy;

/// Judges files by policies.
///
/// # Errors
/// Files that cannot be read, and policies that make no sense.
pub(super) fn run(args: &CheckArgs, environment: &Environment) -> Result<Report, ToolError> {
    let default = [PathBuf::from(built_in::DEFAULT)];
    let named = if args.policies.is_empty() { &default } else { args.policies.as_slice() };
    let policies = policies(named, environment)?;
    let judged = materials(&args.files, environment)?;
    let baselines = materials(&args.against.baselines, environment)?;
    let advisories = advisories(&args.against, environment)?;
    let now = args.output.now.unwrap_or_else(|| Timestamp::from(environment.now)).seconds();
    let setting = setting(now, &baselines, advisories.as_ref());
    let judgement = judge(&policies, &judged, &setting);
    Ok(policy::checked(&policies, &judged, &setting, judgement))
}
