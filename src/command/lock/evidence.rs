//! What clones of the inputs' repositories have to say to the lock.

use std::path::Path;

use super::super::cli::LockArgs;
use super::super::deliver::show;
use super::super::{Environment, ToolError};
use crate::check::lock::audit::Audit;
use crate::check::lock::change::Pairs;
use crate::check::lock::questions;
use crate::check::signers::{AllowedSigners, Keyring, Signers};
use crate::check::{Inconclusive, NotRun, Reason};
use crate::gather::git::answer::answer_all;
use crate::gather::git::mirrors::Mirrors;
use crate::gather::input;
use crate::gather::lock_inputs::Base;
use crate::report::lock::LockReport;

/// Largest file of keys that is read. The keyrings of whole distributions have
/// some megabytes.
const MAX_KEYS: usize = 64 << 20;

/// The keys that the options name. A file inside the repository is read from
/// the base revision if there is one, so that a change cannot bring its own
/// signers.
///
/// # Errors
/// Files that cannot be read or understood.
pub(super) fn signers(
    args: &LockArgs,
    base: Option<&Base>,
    now: i64,
    environment: &Environment,
) -> Result<Signers, ToolError> {
    let mut signers = Signers { now, ..Signers::default() };
    if let Some(path) = &args.allowed_signers {
        let bytes = trusted(path, base, environment)?;
        signers.allowed = AllowedSigners::parse(&bytes)
            .map_err(|error| ToolError::failed(format!("use '{}'", show(path)), error))?;
    }
    if let Some(path) = &args.keyring {
        let bytes = trusted(path, base, environment)?;
        signers.keyring = Keyring::parse(&bytes)
            .map_err(|error| ToolError::failed(format!("use '{}'", show(path)), error))?;
    }
    Ok(signers)
}

fn trusted(
    path: &Path,
    base: Option<&Base>,
    environment: &Environment,
) -> Result<Vec<u8>, ToolError> {
    let whole = environment.absolute(path);
    let failed = |error| ToolError::failed(format!("read '{}'", show(path)), error);
    if let Some(Base::Commit(commit)) = base
        && let Some(inside) = commit.inside(&whole)
    {
        let then = commit.read(&inside, MAX_KEYS).map_err(|error| {
            ToolError::failed(format!("read '{}' of {}", show(path), commit.revision), error)
        })?;
        return then.ok_or_else(|| {
            ToolError::Usage(format!(
                "'{}' is not in {}: keys inside the repository are read from the base, so that a change cannot bring its own",
                show(path),
                commit.revision
            ))
        });
    }
    input::read(&whole, MAX_KEYS).map_err(failed)
}

/// Opens the clones that `--mirror` names.
///
/// # Errors
/// What is no clone.
pub(super) fn mirrors(args: &LockArgs) -> Result<Mirrors, ToolError> {
    Mirrors::open(args.mirrors.iter().map(String::as_str))
        .map_err(|error| ToolError::failed("open the clones that --mirror names", error))
}

/// Asks the clones, and puts what they say into the report.
pub(super) fn ask(
    report: &mut LockReport<'_>,
    head: &Audit<'_>,
    base: Option<&Audit<'_>>,
    pairs: Option<&Pairs>,
    mirrors: &Mirrors,
    signers: &Signers,
) {
    let asked = questions::of(head, base, pairs);
    let all: Vec<_> = asked.iter().map(|(_, question)| question.clone()).collect();
    for ((at, question), evidence) in asked.iter().zip(answer_all(&all, mirrors, signers)) {
        let Some(input) = head.inputs.get(*at) else { continue };
        let judged = questions::judged(head, input, question, &evidence);
        report.findings.extend(judged.findings);
        report.asked += judged.coverage.asked;
        report.answered += judged.coverage.answered;
        report.inconclusive.extend(judged.coverage.inconclusive);
        if let Some(count) = evidence.commits_between {
            report.commits_between.insert(input.path.clone(), count);
        }
        report.evidence.insert(input.path.clone(), questions::facts(&evidence));
    }
    if questions::archives(head) > 0 {
        report.not_run.push(NotRun {
            check: "what archives and files hold".to_owned(),
            because: "clones of repositories say nothing of them".to_owned(),
        });
    }
}

/// Says what was not asked without clones. Signers that the configuration
/// requires were asked for: without an answer they are open.
pub(super) fn without(report: &mut LockReport<'_>, head: &Audit<'_>) {
    report.not_run.push(NotRun {
        check: "whether revisions, dates and hashes are what the repositories hold".to_owned(),
        because: "there is no clone to ask (--mirror)".to_owned(),
    });
    for input in head.reached() {
        if !head.config.required_signers(&input.path).is_empty() {
            report.asked += 1;
            report.inconclusive.push(Inconclusive {
                subject: input.path.clone(),
                check: "missing-signer".to_owned(),
                reason: Reason::NotInMirror,
                detail:
                    "the configuration requires a signer, and there is no clone to ask (--mirror)"
                        .to_owned(),
            });
        }
    }
}
