//! `verify report`: reports and bills of materials as one page.

use std::path::Path;

use super::cli::ReportArgs;
use super::{Environment, Exit, ToolError, deliver};
use crate::gather::named::input::Input;
use crate::report::page::{self, Content, MAX_SHEETS, Sheet};
use crate::report::text::escape_bytes;
use crate::state::atomic;

/// Largest report that is read: a hundred thousand paths of a cache, and more
/// than any page can show.
const MAX_REPORT: usize = 256 << 20;

/// Makes the page.
///
/// # Errors
/// A file that cannot be read or is no report, and a page that cannot be
/// written.
pub fn run(args: &ReportArgs, environment: &Environment) -> Result<Exit, ToolError> {
    if args.reports.len() > MAX_SHEETS {
        return Err(ToolError::Usage(format!(
            "{} reports are too many for one page (expected at most {MAX_SHEETS})",
            args.reports.len()
        )));
    }
    if args.output.is_none() && environment.stdout_terminal {
        return Err(ToolError::Usage(
            "a page is nothing for a terminal: name a file with --output page.html".to_owned(),
        ));
    }
    let sheets: Vec<Sheet> =
        args.reports.iter().map(|file| read(file, environment)).collect::<Result<_, _>>()?;
    let page = page::render(&sheets);
    let Some(path) = &args.output else { return Ok(deliver::print(&page)) };
    atomic::write_output(&environment.absolute(path), page.as_bytes()).map_err(|error| {
        ToolError::failed(format!("write the page to '{}'", deliver::show(path)), error)
    })?;
    Ok(Exit::Pass)
}

fn read(file: &Path, environment: &Environment) -> Result<Sheet, ToolError> {
    let name = escape_bytes(file.as_os_str().as_encoded_bytes());
    let doing = || format!("show '{name}'");
    let bytes = Input::open(&environment.absolute(file))
        .and_then(|input| input.read_up_to(MAX_REPORT))
        .map_err(|error| ToolError::failed(doing(), error))?;
    if bytes.len() > MAX_REPORT {
        return Err(ToolError::failed(doing(), TooLong));
    }
    let content = Content::parse(&bytes).map_err(|error| ToolError::failed(doing(), error))?;
    Ok(Sheet { name, content })
}

/// A report that no page can show.
#[derive(Debug, thiserror::Error)]
#[error("it is longer than {} MiB, which no page can show", MAX_REPORT >> 20)]
struct TooLong;
