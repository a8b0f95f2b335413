//! `verify sbom`: bills of materials.

pub(super) mod check;
mod diff;
pub(super) mod export;
mod graph;
pub(super) mod make;
mod targets;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::cli::EXIT_CODES;
use super::options::OutputOptions;
use super::policy::PolicyOptions;
use super::{Environment, complain, deliver, finish, product};
use crate::policy::Material;
use crate::report::Exit;
use crate::sbom::profile::Profile;

const EXAMPLES: &str = "\
Examples:
  What is in this closure, as CycloneDX 1.7?
    verify sbom export /run/current-system --local-store --output system.cdx.json
  Is this a document that its format allows, and has it what CISA asks for?
    verify sbom check app.cdx.json --profile cisa-2026
  What did this change bring with it?
    verify sbom diff before.cdx.json after.cdx.json
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
    /// Write the bill of materials of derivations, store paths or closures
    Export(Box<export::ExportArgs>),
    /// Hold documents of anybody's against their format and against what is asked of them
    Check(Box<CheckArgs>),
    /// Compare two documents: added, removed, changed versions, hashes, licences, verdicts
    Diff(Box<DiffArgs>),
    /// Draw what is in a document or a closure, as a graph or, of many components, as a treemap
    Graph(Box<GraphArgs>),
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
    /// What they have to meet.
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  What did this change bring with it?
    verify sbom diff before.cdx.json after.cdx.json
  Should be the same, whatever the format?
    verify sbom diff app.cdx.json app.spdx.json --fail-on note
";

/// What `verify sbom diff` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{DIFF_EXAMPLES}\n{EXIT_CODES}"))]
pub struct DiffArgs {
    /// The document before
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The document after
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// How the report is written.
    #[command(flatten)]
    pub output: OutputOptions,
}

const GRAPH_EXAMPLES: &str = "\
Examples:
  Who needs whom?
    verify sbom graph /run/current-system --local-store --output system.svg
  In a document?
    verify sbom graph app.cdx.json --output app.svg
  For Graphviz:
    verify sbom graph app.cdx.json --dot | dot -Tpdf -o app.pdf
  What is large, and what of it is reproduced?
    verify sbom graph app.cdx.json --treemap --output app.svg
";

/// What `verify sbom graph` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = GRAPH_EXAMPLES)]
pub struct GraphArgs {
    /// What to draw: a document, or what a bill of materials can be about.
    #[command(flatten)]
    pub bill: make::BillArgs,
    /// As SVG: a graph, or a treemap of more than 150 components [default]
    #[arg(long, conflicts_with = "dot")]
    pub svg: bool,
    /// As a graph for Graphviz
    #[arg(long)]
    pub dot: bool,
    /// As a treemap, areas by size, whatever the number
    #[arg(long, conflicts_with = "dot")]
    pub treemap: bool,
    /// Write the picture to FILE, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
        SbomCommand::Export(args) => product::run(&args.product, environment, |progress| {
            let name = args.product.output.as_deref();
            let name = name.map_or_else(|| "the document".to_owned(), deliver::show);
            args.policy.over_bills(
                args.product.now,
                environment,
                || export::run(args, environment, progress),
                |product| Ok(vec![Material::read(&name, product.bytes()?)]),
            )
        }),
        SbomCommand::Check(args) => finish(&args.output, environment, |_| {
            let of = |read: &mut check::Read| {
                Ok(read.iter().map(|(name, bytes)| Material::read(name, bytes)).collect())
            };
            let run = || check::run(args, environment);
            Ok(args.policy.over_bills(args.output.now, environment, run, of)?.1)
        }),
        SbomCommand::Diff(args) => {
            finish(&args.output, environment, |_| diff::run(args, environment))
        }
        SbomCommand::Graph(args) => match graph::run(args, environment) {
            Ok(exit) => exit,
            Err(error) => complain(&error),
        },
    }
}
