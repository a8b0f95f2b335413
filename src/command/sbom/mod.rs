//! `verify sbom`: bills of materials.

mod check;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::cli::EXIT_CODES;
use super::options::OutputOptions;
use super::{Environment, finish};
use crate::report::Exit;
use crate::sbom::profile::Profile;

const EXAMPLES: &str = "\
Examples:
  Is this a document that its format allows, and has it what CISA asks for?
    verify sbom check app.cdx.json --profile cisa-2026
";

/// What `verify sbom` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct SbomArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SbomCommand,
}

/// What can be done with bills of materials.
#[derive(Debug, Clone, Subcommand)]
pub enum SbomCommand {
    /// Hold documents of anybody's against their format and against what is asked of them
    Check(Box<CheckArgs>),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  Does its format allow what it says, and do its references lead somewhere?
    verify sbom check app.cdx.json
  Has it the fields that publications ask for?
    verify sbom check app.cdx.json --profile cisa-2026 --profile bsi-2.1
  Every gap with its place, for code scanning:
    verify sbom check *.json --profile ntia-2021 --format sarif --output gaps.sarif
";

/// What `verify sbom check` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{CHECK_EXAMPLES}\n{EXIT_CODES}"))]
pub struct CheckArgs {
    /// The documents: CycloneDX 1.2 to 1.7, SPDX 2.3
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Fields to ask for: cisa-2026, bsi-2.1 or ntia-2021 (docs/profiles); may be repeated
    #[arg(long = "profile", value_enum, value_name = "PROFILE", hide_possible_values = true)]
    pub profiles: Vec<ProfileName>,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// The profiles, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// 2026 Minimum Elements for an SBOM, CISA and others
    #[value(name = "cisa-2026")]
    Cisa2026,
    /// BSI TR-03183-2, version 2.1.0
    #[value(name = "bsi-2.1")]
    Bsi2_1,
    /// The Minimum Elements For an SBOM, NTIA
    #[value(name = "ntia-2021")]
    Ntia2021,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Cisa2026 => Self::Cisa2026,
            ProfileName::Bsi2_1 => Self::Bsi2_1,
            ProfileName::Ntia2021 => Self::Ntia2021,
        }
    }
}

/// Does what the arguments say.
pub(super) fn dispatch(args: &SbomArgs, environment: &Environment) -> Exit {
    match &args.command {
        SbomCommand::Check(args) => {
            finish(&args.output, environment, |_| check::run(args, environment))
        }
    }
}
