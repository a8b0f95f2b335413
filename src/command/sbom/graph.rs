//! `verify sbom graph`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::super::deliver::{show, write_stdout};
use super::super::product::{self, ProductOptions};
use super::super::{Environment, ToolError};
use super::GraphArgs;
use super::make::{Made, make};
use crate::gather::named::files::{Named, look_at};
use crate::gather::named::input;
use crate::nix::json::MAX_LEN;
use crate::nix::store_path::StoreDir;
use crate::report::Exit;
use crate::report::drawing::{Format, TooLarge, draw};
use crate::report::sbom::{graph, treemap};
use crate::sbom::cyclonedx::{self, Statement, Version};
use crate::sbom::document::{Document, Spec};
use crate::sbom::outline::Outline;
use crate::state::atomic;

/// Draws a document, or the bill of what is named.
///
/// # Errors
/// Something that cannot be read, a graph too large, a picture that cannot be
/// written.
pub(super) fn run(args: &GraphArgs, environment: &Environment) -> Result<Exit, ToolError> {
    if let [word] = args.bill.targets.as_slice()
        && let Some(bytes) = document(word, environment)?
    {
        return drawn(args, environment, Path::new(word), &bytes);
    }
    let options = ProductOptions { output: args.output.clone(), ..ProductOptions::default() };
    product::try_run(&options, environment, |progress| {
        let Made { bill, about } = make(&args.bill, environment, progress)?;
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            ToolError::failed("draw what was found", error)
        };
        let statement = Statement::default();
        let document = cyclonedx::Document::new(&bill, Version::V1_7, &statement);
        let value = serde_json::to_value(&document).map_err(|error| failed(error.into()))?;
        let picture = picture(args, &Outline::of(Spec::CycloneDx1_7, &value))
            .map_err(|error| failed(error.into()))?;
        Ok((
            picture.into_bytes(),
            about.report(&bill, "a picture".to_owned(), &BTreeSet::new(), None),
        ))
    })
}

/// The bytes of a file that is written as documents are.
fn document(word: &OsStr, environment: &Environment) -> Result<Option<Vec<u8>>, ToolError> {
    let path = Path::new(word);
    let file = environment.absolute(path);
    if path.extension().is_some_and(|end| end == "drv")
        || !matches!(look_at(&file, &StoreDir::default()), Named::File)
    {
        return Ok(None);
    }
    let bytes = input::read(&file, MAX_LEN)
        .map_err(|error| ToolError::failed(format!("read '{}'", show(path)), error))?;
    // The listing of a closure begins with a store path.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok((first != Some(&b'/')).then_some(bytes))
}

/// Draws a document that somebody wrote.
fn drawn(
    args: &GraphArgs,
    environment: &Environment,
    path: &Path,
    bytes: &[u8],
) -> Result<Exit, ToolError> {
    let name = show(path);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        ToolError::failed(format!("draw '{name}'"), error)
    };
    let document = Document::read(bytes).map_err(|error| failed(error.into()))?;
    if document.duplicates.count > 0 {
        return Err(ToolError::Usage(format!(
            "'{name}' names a key twice in one object, so that it can be read in two ways: 'verify sbom check' says where"
        )));
    }
    let outline = Outline::of(document.spec, &document.value);
    let picture = picture(args, &outline).map_err(|error| failed(error.into()))?;
    match &args.output {
        Some(path) => atomic::write_output(&environment.absolute(path), picture.as_bytes())
            .map_err(|error| ToolError::failed(format!("write '{}'", show(path)), error))?,
        None => write_stdout(|out| out.write_all(picture.as_bytes()))?,
    }
    Ok(Exit::Pass)
}

fn picture(args: &GraphArgs, outline: &Outline) -> Result<String, TooLarge> {
    let as_map = args.treemap || (!args.dot && outline.parts.len() > graph::MAX_LOOKED_AT);
    if as_map {
        return Ok(treemap::draw(&graph::treemap(outline)));
    }
    let format = if args.dot { Format::Dot } else { Format::Svg };
    draw(&graph::drawing(outline), format)
}
