//! What a rebuild would do, judged before anything is fetched or built: whether
//! everything that each derivation needs can be had.

use super::facts::Role;
use crate::check::{
    Coverage, Examination, Finding, Inconclusive, NotRun, Reason, Subject, Verdict,
};
use crate::nix::store_path::{StoreDir, StorePath};

/// The check that every derivation undergoes.
const INPUTS: &str = "inputs-available";

/// What is known before anything is fetched or built.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// The derivations whose outputs would be made or, if they are fixed, got.
    pub builds: Vec<PlannedBuild>,
    /// The objects that would be got, and from where.
    pub inputs: Vec<PlannedInput>,
    /// The objects that cannot be had.
    pub lacking: Vec<Lacking>,
    /// Malformed derivations and bad answers.
    pub findings: Vec<Finding>,
    /// Questions to named caches that got no answer.
    pub unanswered: Vec<Inconclusive>,
    /// Questions to default caches that got no answer.
    pub remarks: Vec<String>,
    /// Derivations that only help to fetch fixed outputs.
    pub fetchers: u64,
}

/// A derivation whose outputs would be made or got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBuild {
    /// The derivation.
    pub drv_path: StorePath,
    /// Why it would be.
    pub role: Role,
    /// Whether it would be built; fixed outputs are got by their hash.
    pub is_built: bool,
    /// Why it cannot be, as far as that is known.
    pub obstacle: Option<(Reason, String)>,
}

/// An object that would be got.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedInput {
    /// Its store path.
    pub path: StorePath,
    /// What makes it trustworthy: `signed`, `content-addressed`,
    /// `fixed-by-hash`.
    pub proof: &'static str,
    /// The cache or store that has it; `None` if it is fetched as its
    /// derivation says.
    pub from: Option<String>,
    /// The size of its NAR in bytes, as claimed.
    pub nar_size: Option<u64>,
    /// The size of the download in bytes, as claimed.
    pub file_size: Option<u64>,
}

/// An object that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// Its store path.
    pub path: StorePath,
    /// Why, from the closed list.
    pub reason: Reason,
    /// What was tried.
    pub detail: String,
    /// How many derivations to build read it.
    pub wanted_by: u64,
}

/// Judges a plan. That everything can be had says nothing about what would
/// come of building it, which is therefore listed as not run.
#[must_use]
pub fn examine_plan(planned: &Planned, store_dir: &StoreDir) -> Examination {
    let mut coverage = Coverage::default();
    let mut subjects = Vec::new();
    for build in &planned.builds {
        let id = store_dir.full(&build.drv_path);
        coverage.asked += 1;
        let (verdict, status) = match &build.obstacle {
            None => {
                coverage.answered += 1;
                (Verdict::Pass, "ready")
            }
            Some((reason, detail)) => {
                coverage.inconclusive.push(Inconclusive {
                    subject: id.clone(),
                    check: INPUTS.to_owned(),
                    reason: *reason,
                    detail: detail.clone(),
                });
                (Verdict::Inconclusive, reason.name())
            }
        };
        subjects.push(Subject { id, verdict, status: status.to_owned() });
    }
    coverage.asked += u64::try_from(planned.unanswered.len()).unwrap_or(u64::MAX);
    coverage.inconclusive.extend(planned.unanswered.iter().cloned());
    coverage.not_run.push(NotRun {
        check: super::verdicts::REPRODUCES.to_owned(),
        because: "--plan builds nothing".to_owned(),
    });
    let mut examination = Examination {
        command: "rebuild",
        subjects,
        facts: serde_json::Value::Null,
        findings: planned.findings.clone(),
        coverage,
    };
    examination.sort();
    examination
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    fn build(obstacle: Option<Reason>) -> PlannedBuild {
        PlannedBuild {
            drv_path: StorePath::new([7; 20], "x.drv").unwrap(),
            role: Role::Target,
            is_built: true,
            obstacle: obstacle.map(|reason| (reason, String::new())),
        }
    }

    #[test]
    fn a_plan_is_as_good_as_what_it_lacks() {
        for (builds, wanted) in [
            (vec![], Verdict::Inconclusive),
            (vec![build(None)], Verdict::Pass),
            (vec![build(None), build(Some(Reason::InputMissing))], Verdict::Inconclusive),
        ] {
            let planned = Planned { builds, ..Planned::default() };
            let examination = examine_plan(&planned, &StoreDir::default());
            assert_eq!(examination.verdict(Level::Error), wanted);
            assert!(!examination.coverage.not_run.is_empty());
        }
    }
}
