//! From what a rebuild found out to its outcomes.

use super::facts::{DerivationFacts, OutputFacts, Production, Rebuild, Role};
use super::judge::{Basis, OutputStatus, forgeries, judge};
use crate::check::{
    Coverage, Examination, Finding, Inconclusive, NotRun, Reason, Subject, Verdict,
};
use crate::nix::store_path::StoreDir;

/// The check that every output of a target undergoes.
const REPRODUCES: &str = "reproduces";

/// Judges every output of every target.
///
/// Outputs of derivations that were only rebuilt as inputs are judged too when
/// somebody claims something of them: a divergence there is as real.
#[must_use]
pub fn examine(rebuild: &Rebuild, store_dir: &StoreDir, local_store_asked: bool) -> Examination {
    let mut examination = Examination {
        command: "rebuild",
        subjects: Vec::new(),
        facts: serde_json::Value::Null,
        findings: rebuild.findings.clone(),
        coverage: Coverage::default(),
    };
    for derivation in &rebuild.derivations {
        for output in &derivation.outputs {
            examine_output(derivation, output, store_dir, &mut examination);
        }
    }
    let coverage = &mut examination.coverage;
    coverage.asked = coverage.asked.saturating_add(count(rebuild.unanswered.len()));
    coverage.inconclusive.extend(rebuild.unanswered.iter().cloned());
    if !local_store_asked {
        coverage.not_run.push(NotRun {
            check: "claims of the local store".to_owned(),
            because: "--local-store was not given".to_owned(),
        });
    }
    examination.sort();
    examination
}

/// What an output is called in reports: its path, or its derivation and name.
fn subject(derivation: &DerivationFacts, output: &OutputFacts, store_dir: &StoreDir) -> String {
    output.path.as_ref().map_or_else(
        || format!("{}!{}", store_dir.full(&derivation.drv_path), output.name),
        |path| store_dir.full(path),
    )
}

fn examine_output(
    derivation: &DerivationFacts,
    output: &OutputFacts,
    store_dir: &StoreDir,
    examination: &mut Examination,
) {
    let id = subject(derivation, output, store_dir);
    let (status, findings, open) = outcome(derivation, output, &id);
    let answered = open.is_none();
    if derivation.role == Role::Input && !answered {
        // What nobody claims about an input was not asked; what is wrong with
        // a claim about it is wrong all the same.
        examination.findings.extend(findings);
        return;
    }
    let verdict = status.map_or(Verdict::Inconclusive, OutputStatus::verdict);
    let word = match (status, &open) {
        (Some(status), _) => status.name(),
        (None, Some(open)) => open.reason.name(),
        (None, None) => Verdict::Inconclusive.name(),
    };
    examination.subjects.push(Subject { id, verdict, status: word.to_owned() });
    examination.findings.extend(findings);
    examination.coverage.asked += 1;
    examination.coverage.answered += u64::from(answered);
    examination.coverage.inconclusive.extend(open);
}

/// The status of one output with its findings, and why there is no answer.
fn outcome(
    derivation: &DerivationFacts,
    output: &OutputFacts,
    id: &str,
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
    let (Some(built), Some(ours)) = (&output.path, &output.ours) else {
        let detail = "the build ended without this output".to_owned();
        return (None, Vec::new(), Some(unanswered(Reason::BuildFailed, detail)));
    };
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

/// A count as reports carry it.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::claim::{Claim, Contents, Source, Standing};
    use super::*;
    use crate::check::Level;
    use crate::nix::hash::NarHash;
    use crate::nix::store_path::StorePath;

    fn path(name: &str) -> StorePath {
        StorePath::new([7; 20], name).unwrap()
    }

    fn contents(seed: u8) -> Contents {
        Contents {
            nar_hash: NarHash::from_digest([seed; 32]),
            nar_size: 96,
            references: BTreeSet::new(),
        }
    }

    fn trusted(seed: u8) -> Claim {
        Claim {
            source: Source::Cache("file:///c".into()),
            contrast: Vec::new(),
            path: path("x"),
            contents: Some(contents(seed)),
            standing: Standing::Trusted { keys: vec!["k-1".into()] },
        }
    }

    fn derivation(role: Role, production: Production, claims: Vec<Claim>) -> DerivationFacts {
        let ours = (production == Production::Built).then(|| contents(1));
        DerivationFacts {
            drv_path: path("x.drv"),
            system: "x86_64-linux".into(),
            role,
            basis: Basis::Claims,
            production,
            outputs: vec![OutputFacts {
                name: "out".into(),
                path: Some(path("x")),
                ours,
                ca: None,
                claims,
            }],
        }
    }

    fn verdict(derivations: Vec<DerivationFacts>) -> (Verdict, Examination) {
        let rebuild = Rebuild { derivations, ..Rebuild::default() };
        let examination = examine(&rebuild, &StoreDir::default(), true);
        (examination.verdict(Level::Error), examination)
    }

    fn missing() -> Production {
        Production::Missing { reason: Reason::BuildFailed, detail: "x".into(), tail: vec![] }
    }

    #[test]
    fn a_run_is_as_good_as_its_worst_output() {
        use Role::{Input, Target};
        let good = || derivation(Target, Production::Built, vec![trusted(1)]);
        let bad = || derivation(Target, Production::Built, vec![trusted(2)]);
        let open = || derivation(Target, Production::Built, vec![]);
        let failed = || derivation(Target, missing(), vec![trusted(1)]);
        for (derivations, wanted) in [
            (vec![], Verdict::Inconclusive),
            (vec![good()], Verdict::Pass),
            (vec![good(), bad()], Verdict::Fail),
            (vec![good(), open()], Verdict::Inconclusive),
            (vec![good(), failed()], Verdict::Inconclusive),
            (vec![open(), bad()], Verdict::Fail),
            (vec![derivation(Input, Production::Built, vec![])], Verdict::Inconclusive),
            (vec![good(), derivation(Input, Production::Built, vec![])], Verdict::Pass),
            (vec![good(), derivation(Input, Production::Built, vec![trusted(2)])], Verdict::Fail),
        ] {
            assert_eq!(verdict(derivations.clone()).0, wanted, "{derivations:?}");
        }
    }

    #[test]
    fn a_cache_that_was_named_and_silent_is_no_pass() {
        let rebuild = Rebuild {
            derivations: vec![derivation(Role::Target, Production::Built, vec![trusted(1)])],
            unanswered: vec![Inconclusive {
                subject: "x".into(),
                check: "claim".into(),
                reason: Reason::Unreachable,
                detail: String::new(),
            }],
            ..Rebuild::default()
        };
        let examination = examine(&rebuild, &StoreDir::default(), true);
        assert_eq!(examination.verdict(Level::Error), Verdict::Inconclusive);
        assert_eq!((examination.coverage.asked, examination.coverage.answered), (2, 1));
    }

    #[test]
    fn a_forgery_needs_no_build() {
        let mut forged = trusted(1);
        forged.standing = Standing::Forged { keys: vec!["k-1".into()] };
        let (verdict, _) = verdict(vec![derivation(Role::Target, missing(), vec![forged])]);
        assert_eq!(verdict, Verdict::Fail);
    }

    #[test]
    fn a_failed_build_says_why() {
        let (_, examination) = verdict(vec![derivation(Role::Target, missing(), vec![])]);
        assert_eq!(examination.subjects[0].status, "build-failed");
        assert_eq!(examination.coverage.inconclusive[0].reason, Reason::BuildFailed);
    }
}
