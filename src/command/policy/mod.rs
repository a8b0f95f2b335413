//! `verify policy`: judging reports and bills of materials.

mod check;
mod files;
mod outcome;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::cli::EXIT_CODES;
use super::options::OutputOptions;
use super::{Environment, ToolError, finish};
use crate::report::Exit;

pub(super) use files::{advisories, materials, policies, setting};
pub use outcome::PolicyOptions;

const EXAMPLES: &str = "\
Examples:
  Does all this hold what we ask for?
    verify policy check --policy policy.toml lock.json rebuild.json app.cdx.json
  Do the policies say what we think they say?
    verify policy test ./policies
";

/// What `verify policy` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What can be done with policies.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    /// Judge reports and bills of materials by policies
    Check(Box<CheckArgs>),
    /// Run the example cases that lie beside policies
    Test(Box<TestArgs>),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  By the policy that is built in:
    verify lock --format json --output lock.json
    verify policy check --policy baseline lock.json
  By policies of your own, over everything that was found out:
    verify policy check --policy ours.toml lock.json cache.json rebuild.json app.cdx.json
  What got worse, and what came in, since the last release:
    verify policy check --policy release.toml --baseline old/app.cdx.json app.cdx.json
  Known vulnerabilities, from advisories at hand, less what does not apply:
    verify policy check --policy ours.toml --osv ./osv --vex ours.vex.json app.cdx.json
";

/// What `verify policy check` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{CHECK_EXAMPLES}\n{EXIT_CODES}"))]
pub struct CheckArgs {
    /// Reports of verify (--format json) and bills of materials (CycloneDX, SPDX; JSON)
    #[arg(value_name = "REPORT-OR-SBOM", required = true)]
    pub files: Vec<PathBuf>,
    /// A policy that everything has to meet (docs/policies.md); may be repeated
    /// [default: baseline]
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// What the policies hold these against.
    #[command(flatten)]
    pub against: AgainstOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// What policies hold reports and bills against.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Held against")]
pub struct AgainstOptions {
    /// An earlier report or bill, for rules about what changed; may be repeated
    #[arg(long = "baseline", value_name = "REPORT-OR-SBOM")]
    pub baselines: Vec<PathBuf>,
    /// A directory of advisories in the OSV format, for rules about known
    /// vulnerabilities; may be repeated
    #[arg(long = "osv", value_name = "DIR")]
    pub osv: Vec<PathBuf>,
    /// Statements that vulnerabilities do not apply (OpenVEX, CycloneDX); may be
    /// repeated
    #[arg(long = "vex", value_name = "FILE", requires = "osv")]
    pub vex: Vec<PathBuf>,
}

impl AgainstOptions {
    /// That something is asked of what is named here.
    ///
    /// # Errors
    /// There are no policies: it would be read, and nothing held against it.
    pub(super) fn need(&self, policies: &[PathBuf]) -> Result<(), ToolError> {
        if !policies.is_empty() || (self.baselines.is_empty() && self.osv.is_empty()) {
            return Ok(());
        }
        Err(ToolError::Usage(
            "--baseline and --osv are for policies: name one with --policy".into(),
        ))
    }
}

const TEST_EXAMPLES: &str = "\
Examples:
  Every policy of a directory, with the cases in POLICY.cases.toml beside it:
    verify policy test ./policies
";

/// What `verify policy test` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{TEST_EXAMPLES}\n{EXIT_CODES}"))]
pub struct TestArgs {
    /// The directory of the policies
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Does what the arguments say.
pub(super) fn dispatch(args: &PolicyArgs, environment: &Environment) -> Exit {
    match &args.command {
        PolicyCommand::Check(args) => {
            finish(&args.output, environment, |_| check::run(args, environment))
        }
        PolicyCommand::Test(args) => {
            finish(&args.output, environment, |_| test::run(args, environment))
        }
    }
}
