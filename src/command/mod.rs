//! The commands: each joins gathering, checking and reporting.
//!
//! A command is a function from its arguments and the [`Environment`] to a
//! [`Report`]. What it could not do because *we* failed is a [`ToolError`]
//! (exit code 2); if some of the work was finished before, it is better said
//! in [`Report::troubles`], which keeps the rest.

pub mod all;
pub mod attest;
pub mod cache;
pub mod clean;
pub mod cli;
mod deliver;
pub mod describe;
pub mod doctor;
mod environment;
pub mod explain;
pub mod gate;
pub mod inspect;
pub mod lock;
pub mod options;
pub mod page;
pub mod policy;
mod product;
pub mod rebuild;
pub mod sbom;
mod size;
mod sources;
pub mod time;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;
use clap::error::ErrorKind;

pub use environment::Environment;

use crate::report::text::{is_unsafe, printable, printable_lines};
use crate::report::{Exit, Progress, Report, Trouble};
use cli::{Cli, Command};
use options::OutputOptions;

/// Why a command could not do its work at all. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The command was misused in a way that the parser cannot see.
    #[error("{0}")]
    Usage(String),
    /// Something went wrong while the command was `doing` something.
    #[error("could not {doing}")]
    Failed {
        /// What was being done: "read '/etc/keys'".
        doing: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ToolError {
    /// An error met while `doing` something ("read '/etc/keys'").
    pub fn failed(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { doing: doing.into(), source: source.into() }
    }
}

/// Whether any thread panicked; the run cannot be trusted then.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Runs what the arguments ask for.
#[must_use]
pub fn main(environment: &Environment) -> ExitCode {
    // Also where the arguments could not be read.
    let bisecting = environment.arguments.iter().any(|argument| argument == "--bisect");
    let code = move |exit: Exit| if bisecting { exit.bisect_code() } else { exit.code() };
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.store(true, Ordering::SeqCst);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        say(&format!(
            "internal error at {place}: {what}\nThis is a bug in verify; nothing it has said in this run counts. Please report it."
        ));
        // Released programs do not unwind, and an abort would have no exit code.
        // What is left behind is what a kill leaves behind (docs/state.md).
        if cfg!(panic = "abort") {
            std::process::exit(code(Exit::Trouble).into());
        }
    }));
    let exit = catch_unwind(AssertUnwindSafe(|| dispatch(environment))).unwrap_or(Exit::Trouble);
    code(if PANICKED.load(Ordering::SeqCst) { Exit::Trouble } else { exit }).into()
}

fn dispatch(environment: &Environment) -> Exit {
    let cli = match Cli::try_parse_from(&environment.arguments) {
        Ok(cli) => cli,
        Err(error) => return answer_usage(&error, environment),
    };
    match &cli.command {
        Command::Rebuild(args) => {
            let mut record = None;
            let exit = finish(&args.output, environment, |progress| {
                let earlier = args.baseline.as_ref();
                args.policy.over_report(earlier, &args.output, environment, || {
                    rebuild::run(args, environment, progress, &mut record)
                })
            });
            match rebuild::end(record, exit) {
                Ok(()) => exit,
                Err(error) => complain(&error),
            }
        }
        Command::Cache(args) => finish(&args.output, environment, |progress| {
            args.policy.over_report(None, &args.output, environment, || {
                cache::run(args, environment, progress)
            })
        }),
        Command::All(args) => {
            finish(&args.output, environment, |progress| all::run(args, environment, progress))
        }
        Command::Attest(args) => match &args.command {
            attest::AttestCommand::Make(args) => {
                attest::make(args, environment).unwrap_or_else(|error| complain(&error))
            }
            attest::AttestCommand::Verify(args) => {
                finish(&args.output, environment, |_| attest::verify(args, environment))
            }
        },
        Command::Gate(args) => {
            finish(&args.output, environment, |progress| gate::run(args, environment, progress))
        }
        Command::Inspect(args) => {
            finish(&args.output, environment, |_| inspect::run(args, environment))
        }
        Command::Lock(args) => finish(&args.output, environment, |progress| {
            args.policy.over_report(None, &args.output, environment, || {
                lock::run(args, environment, progress)
            })
        }),
        Command::Sbom(args) => sbom::dispatch(args, environment),
        Command::Policy(args) => policy::dispatch(args, environment),
        Command::Explain(args) => match explain::run(args) {
            Ok(page) => deliver::print(&page),
            Err(error) => complain(&error),
        },
        Command::Clean(args) => {
            finish(&args.output, environment, |_| clean::run(args, environment))
        }
        Command::Doctor(args) => {
            finish(&args.output, environment, |_| doctor::run(args, environment))
        }
        Command::Report(args) => {
            page::run(args, environment).unwrap_or_else(|error| complain(&error))
        }
        Command::Completions(args) => describe::completions(args),
        Command::Man(args) => {
            describe::man(args, environment).unwrap_or_else(|error| complain(&error))
        }
    }
}

/// Runs a command and writes its report.
fn finish(
    options: &OutputOptions,
    environment: &Environment,
    command: impl FnOnce(&Progress) -> Result<Report, ToolError>,
) -> Exit {
    let progress = Progress::new(environment.stderr_terminal, options.quiet);
    let mut result = command(&progress);
    progress.clear();
    if let (Ok(report), true) = (&mut result, PANICKED.load(Ordering::SeqCst)) {
        report.troubles.push(Trouble::new("verify met an internal error while it worked"));
    }
    match result.and_then(|report| deliver::report(report, options, environment)) {
        Ok(exit) => exit,
        Err(error) => complain(&error),
    }
}

/// Help and version go to standard output, misuse to standard error; what was
/// typed is never printed raw.
fn answer_usage(error: &clap::Error, environment: &Environment) -> Exit {
    let text = printable_lines(&error.render().to_string());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let color = deliver::color(options::ColorWhen::Auto, environment);
            deliver::print(&if color { error.render().ansi().to_string() } else { text })
        }
        _ => {
            say_raw(&text);
            Exit::Trouble
        }
    }
}

fn complain(error: &ToolError) -> Exit {
    let trouble = Trouble::from_error(error);
    let mut text = trouble.message;
    for cause in trouble.causes {
        text.push_str(": ");
        text.push_str(&cause);
    }
    say(&text);
    Exit::Trouble
}

/// One error on standard error.
fn say(text: &str) {
    let lines: Vec<String> = text.lines().map(|line| printable(line).into_owned()).collect();
    say_raw(&format!("verify: error: {}\n", lines.join("\n  ")));
}

fn say_raw(text: &str) {
    debug_assert!(!text.contains(|c: char| c != '\n' && is_unsafe(c)), "raw control character");
    // If standard error is gone there is nobody left to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
