//! Getting at what a cache claims and we built otherwise, to see why.
//!
//! Both NARs are kept in the state directory by their content; the comparison
//! reads them side by side ([`crate::check::difference`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::check::difference::{Context, HostFact, explain};
use crate::check::rebuild::{Claim, Contents, Contrast, Sides, Source, Standing};
use crate::check::{Inconclusive, Reason};
use crate::gather::cache::answers::{Answers, CacheAnswer};
use crate::gather::difference::diffoscope::Diffoscope;
use crate::gather::nar::download::NarFetchError;
use crate::gather::nar::tree::{TreeError, dump};
use crate::nix::hash::NarHash;
use crate::nix::narinfo::NarInfo;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::{StateDir, StateError};

/// The check that is inconclusive when diffoscope was asked for and gave no
/// answer.
const DIFFOSCOPE: &str = "diffoscope";

/// What differs from round to round among what builders see.
const CORES: &str = "number of cores";

/// Whether a trusted claim names another hash for `path` than `ours`: then its
/// content is needed until [`Differing::explain`] has seen it.
#[must_use]
pub fn is_claimed_otherwise(path: &StorePath, ours: NarHash, answers: &Answers<'_>) -> bool {
    let otherwise = |claim: &Claim| {
        matches!(claim.standing, Standing::Trusted { .. })
            && claim.contents.as_ref().is_some_and(|claimed| claimed.nar_hash != ours)
    };
    (0..answers.len()).any(|cache| match &*answers.ask(cache, path) {
        CacheAnswer::Known(answer) => otherwise(&answer.claim),
        _ => false,
    })
}

/// What is known about our builds: the time, within days, and the machine.
#[must_use]
pub fn context(now: SystemTime, cores: u32) -> Context {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Context { built_at: Some(now), now, host: host_facts(cores) }
}

/// What builders of this machine see of it, to recognise it in outputs. The
/// names are those of the sandbox, whoever runs it.
fn host_facts(cores: u32) -> Vec<HostFact> {
    let system = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    [
        ("host name", "localhost".to_owned()),
        ("kernel release", text(system.release())),
        ("kernel version", text(system.version())),
        ("processor model", processor.unwrap_or_default()),
        (CORES, cores.to_string()),
        ("user name", "nixbld".to_owned()),
        ("user id", "1000".to_owned()),
        ("group id", "100".to_owned()),
    ]
    .into_iter()
    .map(|(what, value)| HostFact { what, value })
    .collect()
}

/// What a round after the first gave.
#[derive(Debug, Clone, Copy)]
pub struct LaterRound<'a> {
    /// Its number.
    pub number: u32,
    /// Its `NIX_BUILD_CORES`.
    pub cores: u32,
    /// The tree of its output.
    pub tree: &'a Path,
}

/// Why a NAR is not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    /// The cache does not serve what it claims.
    #[error("{0}")]
    Served(String),
    /// The state directory does not take it.
    #[error(transparent)]
    State(#[from] StateError),
    /// What we built cannot be read.
    #[error(transparent)]
    Tree(TreeError),
}

impl KeepError {
    /// Whether we failed, not whoever serves the NAR.
    const fn is_ours(&self) -> bool {
        !matches!(self, Self::Served(_))
    }
}

/// Explains differences. One at a time: each may hold hundreds of megabytes.
pub struct Differing<'a> {
    /// What caches say and serve.
    pub answers: &'a Answers<'a>,
    /// Where NARs are kept.
    pub state: &'a StateDir,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// What is known about our builds.
    pub context: Context,
    /// What else is to look into it.
    pub diffoscope: Option<Diffoscope>,
    /// Held while two NARs are compared.
    turn: Mutex<()>,
    /// Our own failures, each said once.
    troubles: Mutex<BTreeMap<String, KeepError>>,
}

impl<'a> Differing<'a> {
    /// Keeps NARs in `state`, and gets those that are claimed by `answers`.
    #[must_use]
    pub fn new(
        answers: &'a Answers<'a>,
        state: &'a StateDir,
        store_dir: &'a StoreDir,
        context: Context,
        diffoscope: Option<Diffoscope>,
    ) -> Self {
        let (turn, troubles) = (Mutex::default(), Mutex::default());
        Self { answers, state, store_dir, context, diffoscope, turn, troubles }
    }

    /// What went wrong on our side, such as a full disk. The comparisons that
    /// are missing for it say so too.
    #[must_use]
    pub fn troubles(self) -> Vec<Box<dyn std::error::Error>> {
        let troubles = self.troubles.into_inner().unwrap_or_else(PoisonError::into_inner);
        troubles.into_values().map(Box::<dyn std::error::Error>::from).collect()
    }

    /// Completes trusted claims of caches that differ from `ours`, the content
    /// of `tree`, with why they do. What a cache does not serve, or serves
    /// otherwise than it claims, is said instead. Gives what was asked for and
    /// got no answer.
    #[must_use]
    pub fn explain(&self, claims: &mut [Claim], ours: &Contents, tree: &Path) -> Vec<Inconclusive> {
        let mut unanswered = Vec::new();
        let mut seen: BTreeMap<String, Contrast> = BTreeMap::new();
        let mut our_nar = None;
        for claim in claims {
            let differs =
                claim.differences(ours).iter().any(|difference| difference.name() == "NarHash");
            if !differs || !matches!(claim.standing, Standing::Trusted { .. }) {
                continue;
            }
            // Two caches may claim the same.
            let hash = claim.contents.as_ref().map(|claimed| claimed.nar_hash.to_string());
            let known = hash.as_ref().and_then(|hash| seen.get(hash)).cloned();
            let contrast = known.unwrap_or_else(|| {
                let kept = self.claimed(claim).and_then(|claimed| {
                    if our_nar.is_none() {
                        our_nar = Some(self.built(tree)?);
                    }
                    Ok((claimed, our_nar.clone().unwrap_or_default()))
                });
                self.contrast(&claim.path, kept, Sides::default(), &self.context, &mut unanswered)
            });
            if let (Some(hash), Ok(_)) = (hash, &contrast.explained) {
                seen.insert(hash, contrast.clone());
            }
            claim.contrast.push(contrast);
        }
        unanswered
    }

    /// Why the output at `path` of our first build, the tree `first`, is not
    /// what the round `later` gave. What was asked for and got no answer is
    /// added to `unanswered`.
    #[must_use]
    pub fn rounds(
        &self,
        path: &StorePath,
        first: &Path,
        later: &LaterRound<'_>,
        unanswered: &mut Vec<Inconclusive>,
    ) -> Contrast {
        let kept = self.built(first).and_then(|first| Ok((first, self.built(later.tree)?)));
        let mut context = self.context.clone();
        for fact in context.host.iter_mut().filter(|fact| fact.what == CORES) {
            fact.value = later.cores.to_string();
        }
        self.contrast(path, kept, Sides::rounds(later.number), &context, unanswered)
    }

    fn silent(&self, path: &StorePath, reason: Reason, why: &str) -> Inconclusive {
        Inconclusive {
            subject: self.store_dir.full(path),
            check: DIFFOSCOPE.to_owned(),
            reason,
            detail: why.to_owned(),
        }
    }

    /// Compares two NARs that are kept, or says why they are not.
    fn contrast(
        &self,
        path: &StorePath,
        kept: Result<(PathBuf, PathBuf), KeepError>,
        sides: Sides,
        context: &Context,
        unanswered: &mut Vec<Inconclusive>,
    ) -> Contrast {
        let (first, second) = match kept {
            Ok(kept) => kept,
            Err(error) => {
                let why = error.to_string();
                let reason =
                    if error.is_ours() { Reason::Environment } else { Reason::Unreachable };
                if self.diffoscope.is_some() {
                    unanswered.push(self.silent(path, reason, &why));
                }
                if error.is_ours() {
                    let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
                    troubles.entry(why.clone()).or_insert(error);
                }
                return Contrast { sides, ..Contrast::impossible(why) };
            }
        };
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |path: &Path| {
            let file = File::open(path).map(BufReader::new);
            file.map_err(|error| format!("cannot open '{}': {error}", path.display()))
        };
        let explained = open(&first).and_then(|first| {
            explain(first, open(&second)?, context)
                .map_err(|error| format!("{error}: {}", error.source))
        });
        drop(turn);
        let mut diffoscope = Vec::new();
        if let Some(program) = &self.diffoscope {
            let [one, other] = sides.names();
            let named = [(one.as_str(), first.as_path()), (other.as_str(), second.as_path())];
            match program.compare(self.state, path, named) {
                Ok(files) => diffoscope = files,
                Err(error) => {
                    unanswered.push(self.silent(path, error.reason(), &error.to_string()));
                }
            }
        }
        let (first_nar, second_nar) = (Some(first), Some(second));
        Contrast { sides, explained, first_nar, second_nar, diffoscope }
    }

    /// The claimed NAR, fetched and proven to be what is claimed.
    fn claimed(&self, claim: &Claim) -> Result<PathBuf, KeepError> {
        let served = |why: &str| KeepError::Served(why.to_owned());
        let (cache, narinfo) =
            self.served(claim).ok_or_else(|| served("nobody serves the claimed content"))?;
        let url = self.answers.cache(cache).ok_or_else(|| served("the cache is not known"))?;
        self.keep(|sink, room| match self.answers.client().download_nar(url, &narinfo, sink) {
            Ok(_) => Ok(()),
            Err(NarFetchError::Sink(source)) => Err(StateError::written(room, source).into()),
            Err(error) => Err(KeepError::Served(error.to_string())),
        })
    }

    /// The NAR of a tree that we built.
    fn built(&self, tree: &Path) -> Result<PathBuf, KeepError> {
        self.keep(|sink, room| match dump(tree, sink) {
            Ok(_) => Ok(()),
            Err(TreeError::Sink(source)) => Err(StateError::written(room, source).into()),
            Err(error) => Err(KeepError::Tree(error)),
        })
    }

    /// The cache behind a claim, with its narinfo.
    fn served(&self, claim: &Claim) -> Option<(usize, NarInfo)> {
        let Source::Cache(name) = &claim.source else { return None };
        let answers = self.answers;
        let cache = (0..answers.len()).find(|cache| answers.name(*cache) == *name)?;
        match &*answers.ask(cache, &claim.path) {
            CacheAnswer::Known(answer) => Some((cache, answer.narinfo.clone())),
            _ => None,
        }
    }

    /// Keeps what `write` writes, and says where. `write` is told the room, to
    /// name it if it cannot be written to.
    fn keep(
        &self,
        write: impl FnOnce(&mut dyn Write, &Path) -> Result<(), KeepError>,
    ) -> Result<PathBuf, KeepError> {
        let mut file = self.state.download()?;
        let room = file.path().parent().unwrap_or_else(|| self.state.root()).to_owned();
        let failed = |source| StateError::written(&room, source);
        let mut sink = BufWriter::new(file.as_file_mut());
        write(&mut sink, &room)?;
        sink.flush().map_err(failed)?;
        // What was not written shall not be tried again when it is dropped.
        drop(sink.into_parts());
        file.as_file_mut().seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(self.state.nars().adopt(file)?.path)
    }
}
