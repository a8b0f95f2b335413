//! `verify sbom graph`.

use super::super::deliver::{show, write_stdout};
use super::super::{Environment, ToolError};
use super::GraphArgs;
use crate::gather::named::input;
use crate::nix::json::MAX_LEN;
use crate::report::Exit;
use crate::report::drawing::{Format, draw};
use crate::report::sbom::{graph, treemap};
use crate::sbom::document::Document;
use crate::sbom::outline::Outline;
use crate::state::atomic;

/// Draws a document.
///
/// # Errors
/// A document that cannot be read, a graph too large, a picture that cannot be
/// written.
pub(super) fn run(args: &GraphArgs, environment: &Environment) -> Result<Exit, ToolError> {
    let name = show(&args.file);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        ToolError::failed(format!("draw '{name}'"), error)
    };
    let bytes = input::read(&environment.absolute(&args.file), MAX_LEN)
        .map_err(|error| failed(error.into()))?;
    let document = Document::read(&bytes).map_err(|error| failed(error.into()))?;
    if document.duplicates.count > 0 {
        return Err(ToolError::Usage(format!(
            "'{name}' names a key twice in one object, so that it can be read in two ways: 'verify sbom check' says where"
        )));
    }
    let outline = Outline::of(document.spec, &document.value);
    let as_map = args.treemap || (!args.dot && outline.parts.len() > graph::MAX_LOOKED_AT);
    let picture = if as_map {
        treemap::draw(&graph::treemap(&outline))
    } else {
        let format = if args.dot { Format::Dot } else { Format::Svg };
        draw(&graph::drawing(&outline), format).map_err(|error| failed(error.into()))?
    };
    match &args.output {
        Some(path) => atomic::write_output(&environment.absolute(path), picture.as_bytes())
            .map_err(|error| ToolError::failed(format!("write '{}'", show(path)), error))?,
        None => write_stdout(|out| out.write_all(picture.as_bytes()))?,
    }
    Ok(Exit::Pass)
}
