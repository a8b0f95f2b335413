//! `verify lock`: what a lock file pins, and what a change does to it.

mod evidence;
mod online;
mod settings;

use std::path::{Path, PathBuf};

use super::cli::LockArgs;
use super::deliver::show;
use super::time::Timestamp;
use super::{Environment, ToolError};
use crate::check::lock::audit::Audit;
use crate::check::lock::reading::{Readings, is_large, together};
use crate::check::lock::well_known::Tables;
use crate::check::lock::{Judgement, judge, malformed, suppress};
use crate::check::{Inconclusive, Reason, Source};
use crate::gather::lock::files::{Base, is_directory};
use crate::gather::named::input;
use crate::nix::flake_lock::Reading;
use crate::nix::flake_lock::graph::Graph;
use crate::nix::flake_secrets::hidden_in_file;
use crate::nix::json::MAX_LEN;
use crate::report::lock::{BaseShown, LockReport};
use crate::report::{Progress, Report};
use evidence::Witnesses;
use settings::Settings;

/// The file that is looked for in a directory.
const LOCK: &str = "flake.lock";

/// Audits a lock file.
///
/// # Errors
/// Files that cannot be read, a base that is not there, a configuration that
/// makes no sense.
pub fn run(
    args: &LockArgs,
    environment: &Environment,
    progress: &Progress,
) -> Result<Report, ToolError> {
    let named = lock_path(args.path.as_deref(), environment);
    let name = show(&named);
    let path = environment.absolute(&named);
    let bytes = input::read(&path, MAX_LEN)
        .map_err(|error| ToolError::failed(format!("audit '{name}'"), error))?;
    let base = args.base.as_deref().map(|base| find_base(base, &path, environment)).transpose()?;
    let settings = Settings::find(args, &path, base.as_ref(), environment)?;
    let witnesses = Witnesses::open(args, environment)?;
    let now = args.output.now.unwrap_or_else(|| Timestamp::from(environment.now)).seconds();
    let tables = Tables::built_in();
    let signers = evidence::signers(args, base.as_ref(), now, environment)?;

    let mut config_source =
        settings.text.as_ref().map(|(name, bytes)| Source::new(name.as_str(), bytes.as_bytes()));
    if let Some(config) = &mut config_source {
        config.hide(settings.text.iter().flat_map(|(_, text)| hidden_in_file(text.as_bytes())));
    }
    let base_bytes = match &base {
        Some(Base::File { bytes, .. }) => Some(bytes.clone()),
        Some(Base::Commit(commit)) => match commit.inside(&path) {
            Some(inside) => commit
                .read(&inside, MAX_LEN)
                .map_err(|error| ToolError::failed(format!("read '{name}' of the base"), error))?,
            None => {
                return Err(ToolError::Usage(format!(
                    "'{name}' does not lie in the repository that --base names a revision of"
                )));
            }
        },
        None => None,
    };
    let Readings { head: reading, base: base_reading, hidden } =
        Readings::of(&bytes, base_bytes.as_deref());
    let mut source = Source::new(name.as_str(), &bytes);
    source.hide(hidden);
    let mut report = LockReport::new(&source, settings.origin.clone());
    report.base = base.as_ref().map(|base| match base {
        Base::File { path, .. } => BaseShown::File(show(path)),
        Base::Commit(commit) => BaseShown::Commit {
            revision: commit.revision.clone(),
            commit: commit.commit.to_string(),
            has_lock: base_bytes.is_some(),
        },
    });
    report.findings.extend(settings.findings(&name));
    let Reading { lock, defects } = match reading {
        Ok(reading) => reading,
        Err(error) => {
            report.asked += 1;
            report.answered += 1;
            report.findings.push(malformed(&source, &error));
            return Ok(report.without_lock());
        }
    };
    // The lock before the change; one that cannot be read leaves the change
    // unjudged.
    let base_name = report.base.as_ref().map_or_else(String::new, BaseShown::name);
    let base_source = Source::new(base_name.as_str(), base_bytes.as_deref().unwrap_or_default());
    let base_reading = match base_reading {
        Some(Ok(reading)) => Some(reading),
        Some(Err(error)) => {
            report.asked += 1;
            report.inconclusive.push(Inconclusive {
                subject: name.clone(),
                check: "what the change does".to_owned(),
                reason: Reason::InputMissing,
                detail: format!("the lock of {base_name} cannot be read: {error}"),
            });
            None
        }
        None => None,
    };
    let (graph, base_graph) = together(
        is_large(&bytes, base_bytes.as_deref()),
        || Graph::new(&lock),
        || base_reading.as_ref().map(|reading| Graph::new(&reading.lock)),
    );
    let head = Audit::new(&lock, &graph, &source, now, &settings.config, &tables);
    let base_audit = base_reading.as_ref().zip(base_graph.as_ref()).map(|(reading, graph)| {
        Audit::new(&reading.lock, graph, &base_source, now, &settings.config, &tables)
    });

    let Judgement { findings, answered, mut not_run, pairs } =
        judge(&head, base_audit.as_ref(), &defects);
    if report.base.is_some() {
        not_run.retain(|one| !one.because.contains("--base"));
    }
    report.findings.extend(findings);
    report.asked += answered;
    report.answered += answered;
    report.not_run.extend(not_run);
    witnesses.ask(&mut report, &head, base_audit.as_ref(), pairs.as_ref(), &signers, progress)?;
    report.suppressed =
        suppress::apply(&settings.config, config_source.as_ref(), now, &mut report.findings);
    Ok(report.finish(&head, base_audit.as_ref(), pairs.as_ref()))
}

/// The lock that is meant: the file, or the one in the directory.
fn lock_path(named: Option<&Path>, environment: &Environment) -> PathBuf {
    match named {
        None => PathBuf::from(LOCK),
        Some(path) => {
            // Code hosts find no file by a name with './' before it.
            let short = path.strip_prefix(".").unwrap_or(path);
            if is_directory(&environment.absolute(path)) {
                short.join(LOCK)
            } else {
                short.to_owned()
            }
        }
    }
}

fn find_base(name: &str, lock: &Path, environment: &Environment) -> Result<Base, ToolError> {
    Base::find(name, &environment.absolute(Path::new(name)), lock, MAX_LEN)
        .map_err(|error| ToolError::failed(format!("use '{name}' as --base"), error))
}
