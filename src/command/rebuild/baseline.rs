//! `--baseline`: what got worse since an earlier report?

use super::super::cli::RebuildArgs;
use super::super::{Environment, ToolError};
use crate::check::Examination;
use crate::check::baseline::Baseline;
use crate::gather::named::input::Input;
use crate::nix::json;
use crate::report::{View, baseline as render};

/// Reads the report that the options name.
///
/// # Errors
/// A file that cannot be read or is no report of a rebuild.
pub fn read(args: &RebuildArgs, environment: &Environment) -> Result<Option<Baseline>, ToolError> {
    let Some(file) = &args.baseline else { return Ok(None) };
    let doing = || format!("use the baseline '{}'", file.display());
    let bytes = Input::open(&environment.absolute(file))
        .and_then(|input| input.read_up_to(json::MAX_LEN))
        .map_err(|error| ToolError::failed(doing(), error))?;
    let baseline = Baseline::parse(&bytes, "rebuild");
    baseline.map(Some).map_err(|error| ToolError::failed(doing(), error))
}

/// Leaves in the report what is new to the baseline, and says how they compare.
///
/// # Errors
/// Facts that are no JSON, which no report has.
pub fn compare(
    baseline: &Baseline,
    examination: &mut Examination,
    view: &mut View,
) -> Result<(), ToolError> {
    let comparison = baseline.apply(examination);
    let facts = render::facts(&comparison)
        .map_err(|error| ToolError::failed("put the comparison into the report", error))?;
    if let Some(all) = examination.facts.as_object_mut() {
        all.insert("baseline".to_owned(), facts);
    }
    // Right behind the setting: it is what was asked.
    let place = view.sections.len().min(1);
    view.sections.splice(place..place, render::sections(&comparison));
    Ok(())
}
