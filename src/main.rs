//! The thin binary: reads the process environment once, then hands over.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place where arguments, variables, clock and terminal are read"
)]

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use nix_verify::build::sandbox::{SUPERVISOR_ARGUMENT, supervisor};
use nix_verify::command::{self, Environment};

fn main() -> ExitCode {
    // A build starts this program once more, as its supervisor.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == SUPERVISOR_ARGUMENT) {
        return supervisor::main();
    }
    #[cfg(feature = "rego")]
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == nix_verify::gather::rego::ARGUMENT)
    {
        return nix_verify::gather::rego::main();
    }
    let environment = Environment {
        arguments: std::env::args_os().collect(),
        variables: std::env::vars_os().collect::<BTreeMap<_, _>>(),
        directory: std::env::current_dir().unwrap_or_default(),
        now: SystemTime::now(),
        started: Instant::now(),
        process: std::process::id(),
        parallelism: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        stdout_terminal: std::io::stdout().is_terminal(),
        stderr_terminal: std::io::stderr().is_terminal(),
        terminal_width: rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0),
    };
    command::main(&environment)
}
