//! `verify policy test`.

use std::path::{Path, PathBuf};

use super::super::deliver::show;
use super::super::{Environment, ToolError};
use super::{AgainstOptions, TestArgs, advisories, files, materials, setting};
use crate::gather::named::directory;
use crate::gather::named::input;
use crate::policy::cases::{Case, Outcome, cases, outcome};
use crate::policy::{file, judge};
use crate::report::Report;
use crate::report::policy::tested;

/// What the cases of `strict.toml` lie in: `strict.cases.toml`.
const CASES: &str = ".cases.toml";

/// Runs the cases of every policy in a directory.
///
/// # Errors
/// Files that cannot be read, and policies and cases that make no sense.
pub(super) fn run(args: &TestArgs, environment: &Environment) -> Result<Report, ToolError> {
    let directory = environment.absolute(&args.directory);
    let all = directory::inside(&directory, "toml").map_err(|error| {
        ToolError::failed(format!("test the policies in '{}'", show(&args.directory)), error)
    })?;
    let is_cases = |path: &Path| path.to_str().is_some_and(|path| path.ends_with(CASES));
    let mut tests = Vec::new();
    for path in all.iter().filter(|path| !is_cases(path)) {
        tests.push(one(path, &directory, environment)?);
    }
    if let Some(stray) = all.iter().filter(|path| is_cases(path)).find(|path| {
        let policy = path.to_str().and_then(|path| path.strip_suffix(CASES));
        policy.is_none_or(|policy| !all.contains(&PathBuf::from(format!("{policy}.toml"))))
    }) {
        return Err(ToolError::Usage(format!(
            "'{}' has cases for a policy that is not there",
            show(stray)
        )));
    }
    Ok(tested(tests))
}

fn one(path: &Path, directory: &Path, environment: &Environment) -> Result<Outcome, ToolError> {
    let inside = path.strip_prefix(directory).unwrap_or(path);
    let name = show(inside);
    let read = |path: &Path| {
        input::read(path, file::MAX_LEN)
            .map_err(|error| ToolError::failed(format!("read '{}'", show(path)), error))
    };
    let policy = files::policy(&name, &read(path)?)?;
    let mut beside = path.with_extension("").into_os_string();
    beside.push(CASES);
    let beside = PathBuf::from(beside);
    if !is_there(&beside) {
        return Ok(outcome(policy, Vec::new()));
    }
    let failed = |error| ToolError::failed(format!("read the cases '{}'", show(&beside)), error);
    let cases = cases(&policy, &read(&beside)?).map_err(failed)?;
    let mut ran = Vec::new();
    for case in cases {
        ran.push(run_case(&policy, case, directory, environment)?);
    }
    Ok(outcome(policy, ran))
}

fn is_there(path: &Path) -> bool {
    input::Input::open(path).is_ok()
}

fn run_case(
    policy: &crate::policy::Policy,
    case: Case,
    directory: &Path,
    environment: &Environment,
) -> Result<(Case, crate::policy::Judgement), ToolError> {
    let there = |names: &[String]| -> Vec<PathBuf> {
        names.iter().map(|name| directory.join(name)).collect()
    };
    let judged = materials(&there(&case.materials), environment)?;
    let baselines = materials(&there(&case.baselines), environment)?;
    let against =
        AgainstOptions { baselines: Vec::new(), osv: there(&case.osv), vex: there(&case.vex) };
    let advisories = advisories(&against, environment)?;
    let setting = setting(case.now, &baselines, advisories.as_ref());
    let judgement = judge(std::slice::from_ref(policy), &judged, &setting);
    Ok((case, judgement))
}
