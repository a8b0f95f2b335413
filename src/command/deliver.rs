//! From a report to bytes on standard output or in a file.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::options::{ColorWhen, Format, OutputOptions};
use super::time::Timestamp;
use super::{Environment, ToolError};
use crate::check::Level;
use crate::report::text::escape_bytes;
use crate::report::{
    Exit, Look, Manner, Report, RunFrame, github, gitlab, human, json, junit, markdown, sarif,
};
use crate::state::atomic;

/// Whether to colour what goes to standard output.
/// <https://no-color.org>: a `NO_COLOR` that is not empty switches it off.
pub(super) fn color(when: ColorWhen, environment: &Environment) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            environment.stdout_terminal
                && environment.variable("NO_COLOR").is_none()
                && environment.variable("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Columns at hand: of the terminal, or what `COLUMNS` says.
fn columns(environment: &Environment) -> Option<usize> {
    let said = environment.variable("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
    if environment.stdout_terminal { environment.terminal_width.or(said) } else { said }
}

/// Judges a report, renders it and writes it where it belongs.
///
/// # Errors
/// A report that cannot be written.
pub(super) fn report(
    mut report: Report,
    options: &OutputOptions,
    environment: &Environment,
) -> Result<Exit, ToolError> {
    report.examination.sort();
    report.troubles.sort();
    report.troubles.dedup();
    let to_file = options.output.is_some();
    let colored = match options.color {
        ColorWhen::Auto => !to_file && color(ColorWhen::Auto, environment),
        when => color(when, environment),
    };
    let width = if to_file { None } else { columns(environment) };
    let manner = Manner {
        fail_on: options.fail_on.into(),
        quiet: options.quiet,
        look: Look::new(colored, environment.speaks_utf8(), width),
        run: (!options.reproducible).then(|| frame(options, environment)),
    };
    let rendered = match options.format {
        // The one that carries everything there is to say is written while it
        // is made.
        Format::Json => None,
        Format::Human => Some(human::render(&report, &manner).into_bytes()),
        Format::Sarif => Some(
            sarif::render(&report, &manner)
                .map_err(|error| ToolError::failed("write the report as SARIF", error))?,
        ),
        Format::Gitlab => Some(
            gitlab::render(&report)
                .map_err(|error| ToolError::failed("write the report for GitLab", error))?,
        ),
        Format::Junit => Some(junit::render(&report, &manner).into_bytes()),
        Format::Github => Some(github::render(&report, &manner).into_bytes()),
        Format::Markdown => Some(markdown::render(&report, &manner).into_bytes()),
    };
    let produce = |out: &mut dyn Write| match &rendered {
        Some(bytes) => out.write_all(bytes),
        None => json::write(&report, &manner, out),
    };
    match &options.output {
        Some(path) => {
            atomic::produce_output(&environment.absolute(path), produce).map_err(|error| {
                ToolError::failed(format!("write the report to '{}'", show(path)), error)
            })?
        }
        None => write_stdout(produce)?,
    }
    let exit = Exit::of(&report, manner.fail_on);
    Ok(if options.exit_zero { exit.forgiving() } else { exit })
}

/// A report as JSON, for what is to read it in this very run.
///
/// # Errors
/// None in practice; see [`json::write`].
pub(super) fn json_text(
    report: &mut Report,
    fail_on: Level,
    run: Option<RunFrame>,
) -> io::Result<Vec<u8>> {
    report.examination.sort();
    report.troubles.sort();
    report.troubles.dedup();
    let manner = Manner { fail_on, quiet: false, look: Look::new(false, true, None), run };
    let mut bytes = Vec::new();
    json::write(report, &manner, &mut bytes)?;
    Ok(bytes)
}

/// Prints text that is no report.
pub(super) fn print(text: &str) -> Exit {
    match write_stdout(|out| out.write_all(text.as_bytes())) {
        Ok(()) => Exit::Pass,
        Err(error) => super::complain(&error),
    }
}

/// A path as it is shown in messages.
pub(super) fn show(path: &Path) -> String {
    escape_bytes(path.as_os_str().as_encoded_bytes())
}

pub(super) fn frame(options: &OutputOptions, environment: &Environment) -> RunFrame {
    let started = options.now.unwrap_or_else(|| Timestamp::from(environment.now));
    RunFrame {
        started: started.to_string(),
        milliseconds: u64::try_from(environment.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        process: environment.process,
        arguments: environment
            .arguments
            .iter()
            .map(|argument| without_credentials(&escape_bytes(argument.as_encoded_bytes())))
            .collect(),
    }
}

/// What stands for a login and password in reports.
const HIDDEN: &str = "***";

/// An argument in which URLs have lost what stands before the host.
fn without_credentials(argument: &str) -> String {
    let mut shown = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown.push_str(HIDDEN);
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = behind;
    }
    shown + rest
}

/// A reader that has seen enough (`| head`) is no failure of ours.
pub(super) fn write_stdout(
    produce: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ToolError> {
    match atomic::gathered(io::stdout().lock(), produce) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(ToolError::failed("write the report to standard output", error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_lose_their_credentials() {
        for (argument, shown) in [
            ("--cache=https://me:secret@h/c?x=a@b", "--cache=https://***@h/c?x=a@b"),
            ("https://a@b@h", "https://***@h"),
            ("https://h/a@b https://x:y@i", "https://h/a@b https://***@i"),
            ("user@host", "user@host"),
            ("file:///srv", "file:///srv"),
        ] {
            assert_eq!(without_credentials(argument), shown);
        }
    }
}
