//! `verify sbom diff`.

use std::path::Path;

use super::super::deliver::show;
use super::super::{Environment, ToolError};
use super::DiffArgs;
use crate::check::Source;
use crate::check::sbom::{Checked, check, difference as judged};
use crate::gather::named::input;
use crate::nix::json::MAX_LEN;
use crate::report::Report;
use crate::report::sbom::difference::{Compared, compared};
use crate::sbom::difference::compare;
use crate::sbom::document::Document;
use crate::sbom::outline::Outline;

/// Compares two documents.
///
/// # Errors
/// Files that cannot be read.
pub(super) fn run(args: &DiffArgs, environment: &Environment) -> Result<Report, ToolError> {
    let (old, before) = read(&args.old, environment)?;
    let (new, after) = read(&args.new, environment)?;
    let result = before.zip(after).map(|(before, after)| {
        let difference = compare(&before, &after);
        let findings = judged::judge(&new.file, &after, &difference);
        Compared { old: before, new: after, difference, findings }
    });
    Ok(compared(old, new, result))
}

/// A document, with what its format has against it.
fn read(path: &Path, environment: &Environment) -> Result<(Checked, Option<Outline>), ToolError> {
    let name = show(path);
    let failed = || format!("compare '{name}'");
    let bytes = input::read(&environment.absolute(path), MAX_LEN)
        .map_err(|error| ToolError::failed(failed(), error))?;
    let source = Source::new(name.as_str(), &bytes);
    let mut checked =
        check(&source, &bytes, &[]).map_err(|error| ToolError::failed(failed(), error))?;
    checked.not_run.clear();
    let outline = Document::read(&bytes).ok().map(|one| Outline::of(one.spec, &one.value));
    Ok((checked, outline))
}
