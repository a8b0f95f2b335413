//! What came of every output, before it is reported.

use std::collections::{BTreeMap, BTreeSet};

use super::canary::Canary;
use super::claim::{Claim, Contents, Standing};
use super::facts::{DerivationFacts, OutputFacts, Production, Rebuild, Role};
use super::judge::{Basis, OutputStatus, forgeries, judge};
use super::rounds::Stability;
use crate::check::{Finding, Inconclusive, Reason, Verdict};
use crate::nix::store_path::{StoreDir, StorePath};

/// The check that every output of a target undergoes.
pub const REPRODUCES: &str = "reproduces";

/// The status of an output that a claim confirms and another build does not.
const UNSTABLE: &str = "unstable";

/// What came of one output.
#[derive(Debug, Clone)]
pub struct OutputVerdict<'a> {
    /// The derivation that makes it.
    pub derivation: &'a DerivationFacts,
    /// The output.
    pub output: &'a OutputFacts,
    /// What it is called in reports.
    pub id: String,
    /// Its status, if it could be judged.
    pub status: Option<OutputStatus>,
    /// What is wrong with it or with claims about it.
    pub findings: Vec<Finding>,
    /// Why there is no answer, if there is none.
    pub open: Option<Inconclusive>,
    /// What came of building it again, if it was.
    pub stability: Option<Stability>,
}

impl OutputVerdict<'_> {
    /// Whether anybody asked: what nobody claims about an input was not.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.derivation.role != Role::Input || self.open.is_none()
    }

    /// The answer.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let verdict = self.status.map_or(Verdict::Inconclusive, OutputStatus::verdict);
        match &self.stability {
            Some(stability) if !stability.is_stable() => Verdict::Fail,
            Some(stability) if verdict == Verdict::Pass && !stability.missing.is_empty() => {
                Verdict::Inconclusive
            }
            _ => verdict,
        }
    }

    /// The same without its pass: the run that gave it has been shown not to see
    /// what is in front of it. What failed stays failed.
    fn distrusted(mut self, why: &str) -> Self {
        if self.status.is_some_and(|status| status.verdict() == Verdict::Pass) {
            self.status = None;
            self.open = Some(Inconclusive {
                subject: self.id.clone(),
                check: REPRODUCES.to_owned(),
                reason: Reason::CanaryFailed,
                detail: why.to_owned(),
            });
        }
        self
    }

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let passed = self.status.is_some_and(|status| status.verdict() == Verdict::Pass);
        if let Some(stability) = self.stability.as_ref().filter(|_| passed) {
            match stability.missing.first() {
                _ if !stability.is_stable() => return UNSTABLE,
                Some((_, reason, _)) => return reason.name(),
                None => {}
            }
        }
        match (self.status, &self.open) {
            (Some(status), _) => status.name(),
            (None, Some(open)) => open.reason.name(),
            (None, None) => Verdict::Inconclusive.name(),
        }
    }
}

/// Judges every output of the report, in its order.
#[must_use]
pub fn verdicts<'a>(rebuild: &'a Rebuild, store_dir: &StoreDir) -> Vec<OutputVerdict<'a>> {
    let names = Names::of(rebuild, store_dir);
    let strayed = strayed(rebuild);
    let untrusted = rebuild.canary.as_ref().and_then(Canary::failure);
    let mut verdicts = Vec::new();
    for derivation in &rebuild.derivations {
        let astray = derivation.built_on.iter().find_map(|path| strayed.get_key_value(path));
        let blocked = astray.filter(|_| derivation.basis != Basis::Fixed).map(|(path, maker)| {
            let path = store_dir.full(path);
            let maker = store_dir.full(maker);
            format!(
                "its input {path} had to be rebuilt from {maker} and is not what is claimed of it"
            )
        });
        for output in &derivation.outputs {
            let id = names.name(derivation, output);
            let (status, findings, open) = outcome(derivation, output, &id, blocked.as_deref());
            let stability = Stability::of(derivation, output);
            let judged =
                OutputVerdict { derivation, output, id, status, findings, open, stability };
            verdicts.push(match &untrusted {
                Some(why) => judged.distrusted(why),
                None => judged,
            });
        }
    }
    verdicts
}

/// What outputs are called in reports: by their paths, or by derivation and
/// name where the path is not known or several derivations make it.
#[derive(Debug)]
struct Names<'a> {
    store_dir: &'a StoreDir,
    seen: BTreeSet<&'a StorePath>,
    shared: BTreeSet<&'a StorePath>,
}

impl<'a> Names<'a> {
    /// For the outputs of `rebuild`.
    fn of(rebuild: &'a Rebuild, store_dir: &'a StoreDir) -> Self {
        let (seen, shared) = (BTreeSet::new(), BTreeSet::new());
        let mut names = Self { store_dir, seen, shared };
        for output in rebuild.derivations.iter().flat_map(|derivation| &derivation.outputs) {
            if let Some(path) = &output.path
                && !names.seen.insert(path)
            {
                names.shared.insert(path);
            }
        }
        names
    }

    /// The name of one output.
    fn name(&self, derivation: &DerivationFacts, output: &OutputFacts) -> String {
        match &output.path {
            Some(path) if !self.shared.contains(path) => self.store_dir.full(path),
            _ => format!("{}!{}", self.store_dir.full(&derivation.drv_path), output.name),
        }
    }
}

/// The paths that we made and that are not what is claimed of them, or that
/// were made from such and that nobody trusted says are right; each with the
/// derivation that made it.
fn strayed(rebuild: &Rebuild) -> BTreeMap<&StorePath, &StorePath> {
    let mut strayed = BTreeMap::new();
    let mut open = Vec::new();
    for derivation in &rebuild.derivations {
        for output in &derivation.outputs {
            let (Some(path), Some(ours)) = (&output.path, &output.ours) else { continue };
            match judge("", path, ours, derivation.basis, &output.claims).status {
                // Trusted claims that contradict each other, one of which our
                // own build bears out: what is built on it is built on that.
                OutputStatus::Differs if is_borne_out(output, path, ours) => {}
                OutputStatus::Differs => {
                    strayed.insert(path, &derivation.drv_path);
                }
                OutputStatus::NoReference | OutputStatus::Forged => open.push((derivation, path)),
                OutputStatus::Reproduced | OutputStatus::FixedByHash => {}
            }
        }
    }
    // Along the graph, from what strayed to what was made of it.
    let mut made_of: BTreeMap<&StorePath, Vec<(&StorePath, &StorePath)>> = BTreeMap::new();
    for (derivation, path) in open {
        for input in &derivation.built_on {
            made_of.entry(input).or_default().push((path, &derivation.drv_path));
        }
    }
    let mut spread: Vec<&StorePath> = strayed.keys().copied().collect();
    while let Some(input) = spread.pop() {
        for (path, maker) in made_of.remove(input).unwrap_or_default() {
            if strayed.insert(path, maker).is_none() {
                spread.push(path);
            }
        }
    }
    strayed
}

/// Whether a trusted claim says what we built.
fn is_borne_out(output: &OutputFacts, path: &StorePath, ours: &Contents) -> bool {
    let trusted = |claim: &&Claim| matches!(claim.standing, Standing::Trusted { .. });
    output.claims.iter().filter(trusted).any(|claim| claim.equals(path, ours))
}

/// The status of one output with its findings, and why there is no answer.
fn outcome(
    derivation: &DerivationFacts,
    output: &OutputFacts,
    id: &str,
    blocked: Option<&str>,
) -> (Option<OutputStatus>, Vec<Finding>, Option<Inconclusive>) {
    let unanswered = |reason, detail: String| Inconclusive {
        subject: id.to_owned(),
        check: REPRODUCES.to_owned(),
        reason,
        detail,
    };
    if let Production::Missing { reason, detail, .. } = &derivation.production {
        let forged = forgeries(id, &output.claims);
        return (None, forged, Some(unanswered(*reason, detail.clone())));
    }
    // Only what fixes its own hash may be got: anything else would be compared
    // with itself.
    if let Production::Obtained { origin } = &derivation.production
        && derivation.basis != Basis::Fixed
    {
        let forged = forgeries(id, &output.claims);
        let detail = format!("it was got from {} and not built", origin.from());
        return (None, forged, Some(unanswered(Reason::BuildFailed, detail)));
    }
    let (Some(built), Some(ours)) = (&output.path, &output.ours) else {
        let detail = "the build ended without this output".to_owned();
        return (None, Vec::new(), Some(unanswered(Reason::BuildFailed, detail)));
    };
    if let Some(detail) = blocked {
        let forged = forgeries(id, &output.claims);
        return (None, forged, Some(unanswered(Reason::BlockedBy, detail.to_owned())));
    }
    let judgement = judge(id, built, ours, derivation.basis, &output.claims);
    let open = (judgement.status == OutputStatus::NoReference).then(|| {
        let detail = if output.claims.is_empty() {
            "no cache claims anything about this output"
        } else if derivation.basis == Basis::Realisations {
            "no realisation of this output is signed by a trusted key"
        } else {
            "no claim about this output is signed by a trusted key"
        };
        unanswered(Reason::NoReference, detail.to_owned())
    });
    (Some(judgement.status), judgement.findings, open)
}
