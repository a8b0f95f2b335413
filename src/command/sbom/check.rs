//! `verify sbom check`.

use super::super::deliver::show;
use super::super::{Environment, ToolError};
use super::CheckArgs;
use crate::check::Source;
use crate::check::sbom::check;
use crate::gather::named::input;
use crate::nix::json::MAX_LEN;
use crate::report::{Report, sbom};
use crate::sbom::profile::Profile;

/// Documents as they were read, with what they are called.
pub(in crate::command) type Read = Vec<(String, Vec<u8>)>;

/// Holds every file against its format and the profiles.
///
/// # Errors
/// Files that cannot be read.
pub(in crate::command) fn run(
    args: &CheckArgs,
    environment: &Environment,
) -> Result<(Read, Report), ToolError> {
    let mut profiles: Vec<Profile> = args.profiles.iter().map(|name| (*name).into()).collect();
    profiles.sort();
    profiles.dedup();
    let mut checked = Vec::new();
    let mut read = Vec::new();
    for path in &args.files {
        let name = show(path);
        let bytes = input::read(&environment.absolute(path), MAX_LEN)
            .map_err(|error| ToolError::failed(format!("check '{name}'"), error))?;
        let source = Source::new(name.as_str(), &bytes);
        let one = check(&source, &bytes, &profiles)
            .map_err(|error| ToolError::failed(format!("check '{name}'"), error))?;
        checked.push(one);
        read.push((name, bytes));
    }
    Ok((read, sbom::checked(checked)))
}
