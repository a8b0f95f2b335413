//! The files that a judgement reads.

use std::path::{Path, PathBuf};

use super::super::deliver::show;
use super::super::{Environment, ToolError};
use super::AgainstOptions;
use crate::gather::named::directory;
use crate::gather::named::input;
use crate::nix::json::MAX_LEN;
use crate::policy::advisories::Advisories;
use crate::policy::{Material, Policy, Setting, built_in, file};

/// Longest advisory or statement. The longest genuine ones have some megabytes.
const MAX_ADVISORY: usize = 64 << 20;

/// The policies that are named, as files or as those that are built in; none if
/// none are.
///
/// # Errors
/// One that cannot be read or makes no sense, and two of one name.
pub fn policies(named: &[PathBuf], environment: &Environment) -> Result<Vec<Policy>, ToolError> {
    let mut found: Vec<Policy> = Vec::new();
    for path in named {
        let name = show(path);
        let built_in = path.to_str().and_then(built_in::text);
        let policy = match built_in {
            Some(text) => policy(&format!("built in: {name}"), text.as_bytes())?,
            None => {
                let bytes =
                    input::read(&environment.absolute(path), file::MAX_LEN).map_err(|error| {
                        ToolError::failed(format!("read the policy '{name}'"), error)
                    })?;
                policy(&name, &bytes)?
            }
        };
        if let Some(other) = found.iter().find(|other| other.name == policy.name) {
            return Err(ToolError::Usage(format!(
                "the policies '{}' and '{}' have the same name",
                other.file, policy.file
            )));
        }
        found.push(policy);
    }
    Ok(found)
}

/// What a judgement stands on beside policies and what they judge.
pub fn setting<'a>(
    now: i64,
    baselines: &'a [Material],
    advisories: Option<&'a Advisories>,
) -> Setting<'a> {
    #[cfg(feature = "rego")]
    let rego = Some(&crate::gather::rego::Processes as &dyn crate::policy::rego::Evaluator);
    #[cfg(not(feature = "rego"))]
    let rego = None;
    Setting { now, baselines, advisories, rego }
}

/// A policy out of its text.
pub(super) fn policy(name: &str, bytes: &[u8]) -> Result<Policy, ToolError> {
    Policy::parse(name, bytes)
        .map_err(|error| ToolError::failed(format!("read the policy '{name}'"), error))
}

/// The reports and bills that are named, each once.
///
/// # Errors
/// One that cannot be read; one that breaks its form is a finding.
pub fn materials(named: &[PathBuf], environment: &Environment) -> Result<Vec<Material>, ToolError> {
    named
        .iter()
        .map(|path| {
            let name = show(path);
            let bytes = input::read(&environment.absolute(path), MAX_LEN)
                .map_err(|error| ToolError::failed(format!("judge '{name}'"), error))?;
            Ok(Material::read(&name, &bytes))
        })
        .collect()
}

/// The advisories and statements that are named; `None` if none are.
///
/// # Errors
/// One that cannot be read or is none, and a directory without any.
pub fn advisories(
    against: &AgainstOptions,
    environment: &Environment,
) -> Result<Option<Advisories>, ToolError> {
    if against.osv.is_empty() {
        return Ok(None);
    }
    let mut all = Advisories::default();
    for directory in &against.osv {
        let name = show(directory);
        let doing = || format!("use the advisories in '{name}'");
        let files = directory::below(&environment.absolute(directory), "json")
            .map_err(|error| ToolError::failed(doing(), error))?;
        if files.is_empty() {
            return Err(ToolError::Usage(format!("there are no advisories (*.json) in '{name}'")));
        }
        for file in files {
            let bytes = read(&file)?;
            all.add_osv(&bytes).map_err(|error| {
                ToolError::failed(format!("use the advisory '{}'", show(&file)), error)
            })?;
        }
    }
    for path in &against.vex {
        let bytes = read(&environment.absolute(path))?;
        all.add_vex(&bytes).map_err(|error| {
            ToolError::failed(format!("use the statements '{}'", show(path)), error)
        })?;
    }
    Ok(Some(all))
}

fn read(path: &Path) -> Result<Vec<u8>, ToolError> {
    input::read(path, MAX_ADVISORY)
        .map_err(|error| ToolError::failed(format!("read '{}'", show(path)), error))
}
