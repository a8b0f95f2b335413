//! `--policy` of the commands that find something out: what they found is held
//! against policies in the same call.

use std::path::PathBuf;

use clap::Args;

use super::super::deliver;
use super::super::options::OutputOptions;
use super::super::time::Timestamp;
use super::super::{Environment, ToolError};
use super::{materials, policies, setting};
use crate::policy::{Material, Policy, judge};
use crate::report::{Report, policy as render};

/// What the report of a run is called where policies speak about it.
const THIS_REPORT: &str = "this report";

/// Policies that a run has to meet.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Report")]
pub struct PolicyOptions {
    /// A policy that everything has to meet (docs/policies.md); may be repeated
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
}

impl PolicyOptions {
    /// Runs a command and holds its report against the policies, with an earlier
    /// one if there is one. They are read before the work begins.
    ///
    /// # Errors
    /// Those of the command, and policies and files that cannot be read.
    pub fn over_report(
        &self,
        earlier: Option<&PathBuf>,
        output: &OutputOptions,
        environment: &Environment,
        command: impl FnOnce() -> Result<Report, ToolError>,
    ) -> Result<Report, ToolError> {
        let policies = policies(&self.policies, environment)?;
        let mut report = command()?;
        if policies.is_empty() {
            return Ok(report);
        }
        // Without clock and timing, so that its digest says the same every time.
        let text = deliver::json_text(&mut report, output.fail_on.into(), None)
            .map_err(|error| ToolError::failed("write the report for the policies", error))?;
        let judged = [Material::read(THIS_REPORT, &text)];
        drop(text);
        let earlier: Vec<PathBuf> = earlier.into_iter().cloned().collect();
        let baselines = materials(&earlier, environment)?;
        Ok(held(report, &policies, &judged, &baselines, output.now, environment))
    }

    /// Runs a command and holds bills of materials against the policies.
    ///
    /// # Errors
    /// Those of the command and of `bills`, and policies that cannot be read.
    pub fn over_bills<T>(
        &self,
        now: Option<Timestamp>,
        environment: &Environment,
        command: impl FnOnce() -> Result<(T, Report), ToolError>,
        bills: impl FnOnce(&mut T) -> Result<Vec<Material>, ToolError>,
    ) -> Result<(T, Report), ToolError> {
        let policies = policies(&self.policies, environment)?;
        let (mut made, report) = command()?;
        if policies.is_empty() {
            return Ok((made, report));
        }
        let report = held(report, &policies, &bills(&mut made)?, &[], now, environment);
        Ok((made, report))
    }
}

fn held(
    report: Report,
    policies: &[Policy],
    judged: &[Material],
    baselines: &[Material],
    now: Option<Timestamp>,
    environment: &Environment,
) -> Report {
    let now = now.unwrap_or_else(|| Timestamp::from(environment.now)).seconds();
    let setting = setting(now, baselines, None);
    let judgement = judge(policies, judged, &setting);
    render::held(report, policies, judged, &setting, judgement)
}
