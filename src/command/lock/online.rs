//! `--online`: what is asked over HTTPS.

use std::collections::BTreeSet;
use std::num::NonZero;

use rayon::prelude::*;
use url::Url;

use super::super::cli::LockArgs;
use super::super::sources::{http, read_netrc};
use super::super::{Environment, ToolError};
use crate::check::Reason;
use crate::check::lock::evidence::{Answer, PinEvidence, PinQuestion, PinSource};
use crate::gather::git::mirrors::Mirrors;
use crate::gather::git::online::{Online, fetch_all};
use crate::gather::git::server::ServerLimits;
use crate::gather::http::HttpClient;
use crate::gather::http::credentials::Netrc;
use crate::gather::lock::archives::{ArchiveError, Archives};
use crate::report::Progress;
use crate::report::progress::Unit;
use crate::state::StateDir;

/// What requests are made with, and where what comes is kept.
pub(super) struct Network {
    http: HttpClient,
    netrc: Netrc,
    state: StateDir,
    limits: ServerLimits,
    jobs: usize,
}

impl Network {
    /// Opens what the options name.
    ///
    /// # Errors
    /// A host that is none, a file or state directory that cannot be used.
    pub(super) fn open(args: &LockArgs, environment: &Environment) -> Result<Self, ToolError> {
        let origins: BTreeSet<String> =
            args.private_hosts.iter().map(|host| origin(host)).collect::<Result<_, _>>()?;
        let state = StateDir::open(&args.work.state_path(environment)?)
            .map_err(|error| ToolError::failed("open the state directory", error))?;
        Ok(Self {
            http: http(args.offline, args.ca_file.as_deref(), origins, environment)?,
            netrc: read_netrc(args.netrc_file.as_deref(), environment)?,
            state,
            limits: ServerLimits::default(),
            jobs: args.work.jobs.map_or_else(processors, NonZero::get),
        })
    }

    /// Fetches the repositories of all inputs, and adds them to the clones.
    ///
    /// # Errors
    /// Our own failures.
    pub(super) fn fetch(
        &self,
        questions: &[PinQuestion],
        mirrors: &mut Mirrors,
        progress: &Progress,
    ) -> Result<(), ToolError> {
        let Self { http, netrc, state, limits, jobs } = self;
        let online = Online { http, netrc, state, limits };
        let phase = progress.phase("fetching repositories", Unit::Items, None);
        let fetched = fetch_all(questions, online, *jobs, &phase)
            .map_err(|error| ToolError::failed("keep what git servers give", error))?;
        let mut fresh = Vec::new();
        for (name, came) in fetched {
            match came {
                Ok(mirror) => fresh.push(mirror),
                Err(trouble) => {
                    mirrors.troubles.insert(name, trouble);
                }
            }
        }
        // What a server says now comes before older clones.
        fresh.append(&mut mirrors.all);
        mirrors.all = fresh;
        Ok(())
    }

    /// Fetches archives and files, and adds what they say to the answers.
    ///
    /// # Errors
    /// Our own failures.
    pub(super) fn archives(
        &self,
        questions: &[PinQuestion],
        answers: &mut [PinEvidence],
        progress: &Progress,
    ) -> Result<(), ToolError> {
        let archives = Archives { http: &self.http, netrc: &self.netrc, state: &self.state };
        let failed =
            |error: ArchiveError| ToolError::failed("keep what the URLs of archives serve", error);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .build()
            .map_err(|error| ToolError::failed("start threads", error))?;
        let phase =
            progress.phase("fetching archives", Unit::Items, u64::try_from(questions.len()).ok());
        pool.install(|| {
            questions.par_iter().zip(answers).try_for_each(|(question, evidence)| {
                evidence.served = archives.answer(question)?;
                if let Answer::Unknown { reason: Reason::Unsupported, .. } = evidence.nar_hash
                    && let Some(proven) = archives.of_forge(question)?
                {
                    evidence.nar_hash = proven;
                }
                if let PinSource::Other(kind) = &question.source
                    && kind != "path"
                {
                    let detail = format!("inputs of the type '{kind}' are not asked");
                    evidence.exists = Answer::unknown(Reason::Unsupported, detail);
                }
                phase.advance(1);
                Ok(())
            })
        })
        .map_err(failed)
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The origin that a `HOST` or `HOST:PORT` stands for.
fn origin(host: &str) -> Result<String, ToolError> {
    let url = Url::parse(&format!("https://{host}/")).ok();
    let bare = |url: &Url| {
        url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !host.contains('/')
    };
    match url.filter(bare) {
        Some(url) => Ok(url.origin().ascii_serialization()),
        None => Err(ToolError::Usage(format!(
            "--private-host: '{}' is no host (expected HOST or HOST:PORT)",
            host.escape_default()
        ))),
    }
}
