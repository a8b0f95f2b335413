//! Commands that make something: it goes to standard output or to a file, and
//! the report about it to standard error, so that both can be had at once.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::options::{ColorWhen, OutputOptions};
use super::time::Timestamp;
use super::{Environment, ToolError, complain, deliver};
use crate::check::Level;
use crate::report::{Exit, Look, Manner, Progress, Report, human, json};
use crate::state::atomic;

/// Where what is made goes, and what is said of it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ProductOptions {
    /// Write what is made to FILE, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Also write the report as JSON (docs/schema/report-v1.json)
    #[arg(long = "report", value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Leave clock, timing, process and host out of the report
    #[arg(long)]
    pub reproducible: bool,
    /// The time to take as now, as 2026-01-31T12:00:00Z or @SECONDS
    #[arg(long, value_name = "TIME")]
    pub now: Option<Timestamp>,
    /// Say only what is wrong, and the verdict
    #[arg(long, short)]
    pub quiet: bool,
    /// When to colour: auto, always or never
    #[arg(
        long, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto,
        hide_possible_values = true
    )]
    pub color: ColorWhen,
}

/// What was made, ready to be written.
pub(super) trait Product {
    /// Writes it.
    ///
    /// # Errors
    /// What `out` refuses.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl Product for Vec<u8> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self)
    }
}

/// Makes something and writes it, with the report about it.
pub(super) fn run<P: Product>(
    options: &ProductOptions,
    environment: &Environment,
    command: impl FnOnce(&Progress) -> Result<(P, Report), ToolError>,
) -> Exit {
    try_run(options, environment, command).unwrap_or_else(|error| complain(&error))
}

/// As [`run`], for a caller that has something to say about errors.
///
/// # Errors
/// Whatever cannot be made or written.
pub(super) fn try_run<P: Product>(
    options: &ProductOptions,
    environment: &Environment,
    command: impl FnOnce(&Progress) -> Result<(P, Report), ToolError>,
) -> Result<Exit, ToolError> {
    let progress = Progress::new(environment.stderr_terminal, options.quiet);
    let made = command(&progress);
    progress.clear();
    let (product, report) = made?;
    deliver(&product, report, options, environment)
}

/// Writes what was made and the report about it.
///
/// # Errors
/// Whatever cannot be written.
pub(super) fn deliver(
    product: &impl Product,
    mut report: Report,
    options: &ProductOptions,
    environment: &Environment,
) -> Result<Exit, ToolError> {
    report.examination.sort();
    let run = OutputOptions { now: options.now, ..OutputOptions::default() };
    let color = match options.color {
        ColorWhen::Auto => {
            environment.stderr_terminal && environment.variable("NO_COLOR").is_none()
        }
        ColorWhen::Always => true,
        ColorWhen::Never => false,
    };
    let manner = Manner {
        fail_on: Level::Error,
        quiet: options.quiet,
        look: Look::new(color, environment.speaks_utf8(), environment.terminal_width),
        run: (!options.reproducible).then(|| deliver::frame(&run, environment)),
    };
    match &options.output {
        Some(path) => {
            let written =
                atomic::produce_output(&environment.absolute(path), |out| product.write(out));
            written.map_err(|error| {
                ToolError::failed(format!("write '{}'", deliver::show(path)), error)
            })?;
        }
        None => deliver::write_stdout(|out| product.write(out))?,
    }
    if let Some(path) = &options.report {
        atomic::produce_output(&environment.absolute(path), |out| {
            json::write(&report, &manner, out)
        })
        .map_err(|error| {
            ToolError::failed(format!("write the report to '{}'", deliver::show(path)), error)
        })?;
    }
    // If standard error is gone there is nobody left to tell.
    let _ = io::stderr().write_all(human::render(&report, &manner).as_bytes());
    Ok(Exit::of(&report, manner.fail_on))
}
