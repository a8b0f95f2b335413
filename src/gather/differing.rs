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

use super::answers::{Answers, CacheAnswer};
use super::diffoscope::Diffoscope;
use super::tree::dump;
use crate::check::difference::{Context, HostFact, explain};
use crate::check::rebuild::{Claim, Contents, Contrast, Source, Standing};
use crate::check::{Inconclusive, Reason};
use crate::nix::hash::NarHash;
use crate::nix::narinfo::NarInfo;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::StateDir;

/// The check that is inconclusive when diffoscope was asked for and gave no
/// answer.
const DIFFOSCOPE: &str = "diffoscope";

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
        ("number of cores", cores.to_string()),
        ("user name", "nixbld".to_owned()),
        ("user id", "1000".to_owned()),
        ("group id", "100".to_owned()),
    ]
    .into_iter()
    .map(|(what, value)| HostFact { what, value })
    .collect()
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
    pub turn: Mutex<()>,
}

impl Differing<'_> {
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
                        our_nar = Some(self.keep(|sink| {
                            dump(tree, sink).map(drop).map_err(|error| error.to_string())
                        })?);
                    }
                    Ok((claimed, our_nar.clone().unwrap_or_default()))
                });
                match kept {
                    Ok((claimed, ours)) => {
                        self.contrast(&claim.path, claimed, ours, &mut unanswered)
                    }
                    Err(why) => {
                        if self.diffoscope.is_some() {
                            let subject = &claim.path;
                            unanswered.push(self.silent(subject, Reason::Unreachable, &why));
                        }
                        Contrast::impossible(why)
                    }
                }
            });
            if let (Some(hash), Ok(_)) = (hash, &contrast.explained) {
                seen.insert(hash, contrast.clone());
            }
            claim.contrast.push(contrast);
        }
        unanswered
    }

    fn silent(&self, path: &StorePath, reason: Reason, why: &str) -> Inconclusive {
        Inconclusive {
            subject: self.store_dir.full(path),
            check: DIFFOSCOPE.to_owned(),
            reason,
            detail: why.to_owned(),
        }
    }

    /// Compares two NARs that are kept.
    fn contrast(
        &self,
        path: &StorePath,
        claimed: PathBuf,
        ours: PathBuf,
        unanswered: &mut Vec<Inconclusive>,
    ) -> Contrast {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |path: &Path| {
            let file = File::open(path).map(BufReader::new);
            file.map_err(|error| format!("cannot open '{}': {error}", path.display()))
        };
        let explained = open(&claimed).and_then(|claimed| {
            explain(claimed, open(&ours)?, &self.context)
                .map_err(|error| format!("{error}: {}", error.source))
        });
        drop(turn);
        let mut written = Vec::new();
        if let Some(diffoscope) = &self.diffoscope {
            match diffoscope.compare(self.state, path, &claimed, &ours) {
                Ok(files) => written = files,
                Err(error) => {
                    unanswered.push(self.silent(path, error.reason(), &error.to_string()));
                }
            }
        }
        Contrast { explained, claimed_nar: Some(claimed), our_nar: Some(ours), diffoscope: written }
    }

    /// The claimed NAR, fetched and proven to be what is claimed.
    fn claimed(&self, claim: &Claim) -> Result<PathBuf, String> {
        let (cache, narinfo) = self.served(claim).ok_or("nobody serves the claimed content")?;
        self.keep(|sink| {
            let url = self.answers.cache(cache).ok_or("the cache is not known")?;
            let downloaded = self.answers.client().download_nar(url, &narinfo, sink);
            downloaded.map(drop).map_err(|error| error.to_string())
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

    /// Keeps what `write` writes, and says where.
    fn keep(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), String>,
    ) -> Result<PathBuf, String> {
        let said = |error: std::io::Error| error.to_string();
        let mut file = self.state.download().map_err(|error| error.to_string())?;
        let mut sink = BufWriter::new(file.as_file_mut());
        write(&mut sink)?;
        sink.flush().map_err(said)?;
        drop(sink);
        file.as_file_mut().seek(SeekFrom::Start(0)).map_err(said)?;
        let kept = self.state.nars().adopt(file).map_err(|error| error.to_string())?;
        Ok(kept.path)
    }
}
