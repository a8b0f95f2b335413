//! What clones of the inputs' repositories, git servers and the URLs of archives
//! have to say to the lock.

use std::path::Path;

use super::super::cli::LockArgs;
use super::super::deliver::show;
use super::super::{Environment, ToolError};
use super::online::Network;
use crate::check::lock::audit::{Audit, Input};
use crate::check::lock::change::Pairs;
use crate::check::lock::evidence::{PinEvidence, PinQuestion};
use crate::check::lock::questions;
use crate::check::signers::{AllowedSigners, Keyring, Signers};
use crate::check::{Inconclusive, NotRun, Reason};
use crate::gather::git::answer::answer_all;
use crate::gather::git::mirrors::Mirrors;
use crate::gather::lock::files::Base;
use crate::gather::named::input;
use crate::report::Progress;
use crate::report::lock::LockReport;
use crate::report::progress::Unit;

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
    let named = args.allowed_signers.is_some() || args.keyring.is_some();
    if named && args.mirrors.is_empty() && !args.online {
        return Err(ToolError::Usage(
            "--allowed-signers and --keyring need something to look for signatures in: --mirror or --online".to_owned(),
        ));
    }
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

/// What there is to ask.
pub(super) struct Witnesses {
    mirrors: Mirrors,
    network: Option<Network>,
}

impl Witnesses {
    /// Opens the clones that `--mirror` names, and what `--online` needs.
    ///
    /// # Errors
    /// What is no clone; a state directory or a file that cannot be used.
    pub(super) fn open(args: &LockArgs, environment: &Environment) -> Result<Self, ToolError> {
        let mirrors = Mirrors::open(args.mirrors.iter().map(String::as_str))
            .map_err(|error| ToolError::failed("open the clones that --mirror names", error))?;
        let network = args.online.then(|| Network::open(args, environment)).transpose()?;
        Ok(Self { mirrors, network })
    }

    /// Whether there is nobody.
    fn is_empty(&self) -> bool {
        self.network.is_none() && self.mirrors.all.is_empty() && self.mirrors.refused.is_empty()
    }

    /// Asks all of them, and puts what they say into the report.
    ///
    /// # Errors
    /// Our own failures.
    pub(super) fn ask(
        mut self,
        report: &mut LockReport<'_>,
        head: &Audit<'_>,
        base: Option<&Audit<'_>>,
        pairs: Option<&Pairs>,
        signers: &Signers,
        progress: &Progress,
    ) -> Result<(), ToolError> {
        if self.is_empty() {
            without(report, head);
            return Ok(());
        }
        let asked = questions::of(head, base, pairs);
        let all: Vec<_> = asked.iter().map(|(_, question)| question.clone()).collect();
        if let Some(network) = &self.network {
            network.fetch(&all, &mut self.mirrors, progress)?;
        }
        let phase = progress.phase("reading repositories", Unit::Items, None);
        let mut answers = answer_all(&all, &self.mirrors, signers, &phase);
        drop(phase);
        if let Some(network) = &self.network {
            network.archives(&all, &mut answers, progress)?;
        }
        for ((at, question), evidence) in asked.iter().zip(answers) {
            let Some(input) = head.inputs.get(*at) else { continue };
            take(report, head, input, question, &evidence);
        }
        if self.network.is_none() && questions::archives(head) > 0 {
            report.not_run.push(NotRun {
                check: "what archives and files hold".to_owned(),
                because: "clones of repositories say nothing of them (--online)".to_owned(),
            });
        }
        Ok(())
    }
}

fn take(
    report: &mut LockReport<'_>,
    head: &Audit<'_>,
    input: &Input<'_>,
    question: &PinQuestion,
    evidence: &PinEvidence,
) {
    let judged = questions::judged(head, input, question, evidence);
    if judged.coverage.asked == 0 && judged.findings.is_empty() {
        return;
    }
    report.findings.extend(judged.findings);
    report.asked += judged.coverage.asked;
    report.answered += judged.coverage.answered;
    report.inconclusive.extend(judged.coverage.inconclusive);
    if let Some(count) = evidence.commits_between {
        report.commits_between.insert(input.path.clone(), count);
    }
    report.evidence.insert(input.path.clone(), questions::facts(evidence));
}

/// Says what was not asked without clones. Signers that the configuration
/// requires were asked for: without an answer they are open.
fn without(report: &mut LockReport<'_>, head: &Audit<'_>) {
    report.not_run.push(NotRun {
        check: "whether revisions, dates and hashes are what the repositories hold".to_owned(),
        because: "there is nobody to ask (--mirror, --online)".to_owned(),
    });
    for input in head.reached() {
        if !head.config.required_signers(&input.path).is_empty() {
            report.asked += 1;
            report.inconclusive.push(Inconclusive {
                subject: input.path.clone(),
                check: "missing-signer".to_owned(),
                reason: Reason::NotInMirror,
                detail:
                    "the configuration requires a signer, and there is nobody to ask (--mirror, --online)"
                        .to_owned(),
            });
        }
    }
}
