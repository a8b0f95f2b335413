//! What caches say the outputs of content-addressed derivations turned out to
//! be.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::Surveyor;
use crate::check::cache::{RealisationClaim, RealisationFacts};
use crate::check::rebuild::Standing;
use crate::check::rebuild::rules::MALFORMED_REALISATION;
use crate::check::{Finding, Inconclusive};
use crate::gather::cache::{NarInfoAnswer, Unanswered};
use crate::nix::realisation::{DrvOutput, Realisation};
use crate::nix::signature::KeyName;
use crate::nix::store_path::StorePath;

/// Where realisations are in a cache.
const DIRECTORY: &str = "realisations";

/// How they are named behind their id.
const SUFFIX: &str = ".doi";

/// The realisations that a cache in a directory holds.
///
/// # Errors
/// When the directory cannot be listed.
pub fn list_realisations(
    directory: &Path,
    cache: &str,
) -> io::Result<(BTreeSet<DrvOutput>, Vec<Finding>)> {
    let (mut ids, mut findings) = (BTreeSet::new(), Vec::new());
    let entries = match std::fs::read_dir(directory.join(DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((ids, findings)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(SUFFIX) else { continue };
        match stem.parse::<DrvOutput>() {
            Ok(id) if id.to_string() == stem => {
                ids.insert(id);
            }
            _ => findings.push(Finding::new(
                &MALFORMED_REALISATION,
                format!("{cache}/{DIRECTORY}/{name}"),
                format!("{cache}: the file is not named '<id>{SUFFIX}'"),
            )),
        }
    }
    Ok((ids, findings))
}

/// One answer about one output.
enum Said {
    Claim(RealisationClaim),
    Bad(Finding),
    Open(Inconclusive),
    Nothing,
}

/// What came of asking about realisations.
#[derive(Debug, Default)]
pub struct Realised {
    /// The claims about each output, sorted.
    pub facts: Vec<RealisationFacts>,
    /// Malformed ones.
    pub findings: Vec<Finding>,
    /// Questions without an answer.
    pub unanswered: Vec<Inconclusive>,
}

impl Realised {
    /// Every store path that a realisation names.
    pub fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.facts.iter().flat_map(|facts| &facts.claims).map(|claim| &claim.path)
    }
}

impl Surveyor<'_> {
    /// Asks every cache about these outputs, on the threads of the caller.
    #[must_use]
    pub fn ask_realisations(&self, ids: BTreeSet<DrvOutput>) -> Realised {
        let asked: Vec<(DrvOutput, Vec<Said>)> = ids
            .into_par_iter()
            .map(|id| {
                let said = (0..self.caches.len()).map(|cache| self.realisation(cache, &id));
                let said = said.collect();
                (id, said)
            })
            .collect();
        let mut realised = Realised::default();
        for (id, said) in asked {
            let mut claims = Vec::new();
            for said in said {
                match said {
                    Said::Claim(claim) => claims.push(claim),
                    Said::Bad(finding) => realised.findings.push(finding),
                    Said::Open(open) => realised.unanswered.push(open),
                    Said::Nothing => {}
                }
            }
            realised.facts.push(RealisationFacts { id, claims });
        }
        realised.facts.sort_by(|a, b| a.id.cmp(&b.id));
        realised
    }

    fn realisation(&self, cache: usize, id: &DrvOutput) -> Said {
        let Some(asked) = self.caches.get(cache) else { return Said::Nothing };
        let bytes = match self.client.realisation(&asked.url, id) {
            NarInfoAnswer::Present(bytes) => bytes,
            NarInfoAnswer::Absent => return Said::Nothing,
            NarInfoAnswer::Unreachable(_) if !asked.named => return Said::Nothing,
            NarInfoAnswer::Unreachable(Unanswered { reason, detail }) => {
                return Said::Open(Inconclusive {
                    subject: id.to_string(),
                    check: format!("realisation of {}", asked.url),
                    reason,
                    detail,
                });
            }
        };
        let read = Realisation::parse(&bytes).and_then(|found| found.check_id(id).map(|()| found));
        match read {
            Ok(realisation) => {
                let standing = self.standing(&realisation);
                Said::Claim(RealisationClaim {
                    source: cache,
                    path: realisation.out_path,
                    standing,
                })
            }
            Err(error) => {
                let message = format!("{} serves a bad realisation: {error}", asked.url);
                Said::Bad(Finding::new(&MALFORMED_REALISATION, id.to_string(), message))
            }
        }
    }

    fn standing(&self, realisation: &Realisation) -> Standing {
        let checked = realisation.verify(self.judge.keys);
        let names = |keys: &[KeyName]| keys.iter().map(ToString::to_string).collect();
        if !checked.bad().is_empty() {
            let bad = checked.bad().iter();
            Standing::Forged { keys: bad.map(|one| one.key_name().to_string()).collect() }
        } else if checked.is_trusted() {
            Standing::Trusted { keys: names(checked.good()) }
        } else {
            Standing::Untrusted { unknown_keys: names(checked.unknown()) }
        }
    }
}
