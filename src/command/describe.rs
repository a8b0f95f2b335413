//! `verify completions` and `verify man`: the command line, told to shells and
//! to `man`. Both are made from the one description that parses arguments.

use std::io;

use clap::CommandFactory as _;

use super::cli::{Cli, CompletionsArgs, ManArgs};
use super::{Environment, Exit, ToolError, deliver};
use crate::state::atomic;

/// What the pages stand in: user commands.
const SECTION: &str = "1";

/// Prints a script that completes the command line.
#[must_use]
pub fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "verify", &mut script);
    deliver::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of a command, or writes all of them to a directory.
///
/// # Errors
/// A command that there is none of, and pages that cannot be written.
pub fn man(args: &ManArgs, environment: &Environment) -> Result<Exit, ToolError> {
    let mut root = Cli::command();
    root.build();
    if let Some(directory) = &args.output_dir {
        let directory = environment.absolute(directory);
        for (name, page) in pages(&root, "")? {
            let file = directory.join(format!("{name}.{SECTION}"));
            atomic::write_output(&file, &page).map_err(|error| {
                ToolError::failed(format!("write the page '{}'", deliver::show(&file)), error)
            })?;
        }
        return Ok(Exit::Pass);
    }
    let wanted = args.command.iter().fold("verify".to_owned(), |name, word| name + "-" + word);
    let all = pages(&root, "")?;
    match all.iter().find(|(name, _)| *name == wanted) {
        Some((_, page)) => Ok(deliver::print(&String::from_utf8_lossy(page))),
        None => Err(ToolError::Usage(format!(
            "there is no command '{}'; 'verify --help' lists all",
            args.command.join(" ")
        ))),
    }
}

/// A command's page and those of its subcommands, each with its name.
fn pages(command: &clap::Command, above: &str) -> Result<Vec<(String, Vec<u8>)>, ToolError> {
    let name = match above {
        "" => command.get_name().to_owned(),
        above => format!("{above}-{}", command.get_name()),
    };
    let mut found = vec![(name.clone(), page(command, &name)?)];
    for below in command.get_subcommands() {
        found.extend(pages(below, &name)?);
    }
    Ok(found)
}

fn page(command: &clap::Command, name: &str) -> Result<Vec<u8>, ToolError> {
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone())
        .section(SECTION)
        .source(concat!("verify ", env!("CARGO_PKG_VERSION")))
        .manual("User commands")
        .render(&mut roff)
        .map_err(|error: io::Error| {
            ToolError::failed(format!("write the page of {name}"), error)
        })?;
    Ok(roff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let mut root = Cli::command();
        root.build();
        let pages = pages(&root, "").unwrap();
        assert!(pages.iter().any(|(name, _)| name == "verify-rebuild"));
        for (name, page) in pages {
            let text = String::from_utf8(page).unwrap();
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}");
            assert!(!text.contains('\u{1b}'), "{name}");
        }
    }
}
