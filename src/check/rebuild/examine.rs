//! From what a rebuild found out to its outcomes.

use super::facts::{DerivationFacts, Production, Rebuild, Role};
use super::rounds::STABLE;
use super::siblings::mixed;
use super::verdicts::{OutputVerdict, REPRODUCES, verdicts};
use crate::check::{Coverage, Examination, Inconclusive, NotRun, Reason, Subject, Verdict};
use crate::nix::store_path::StoreDir;

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
    for judged in verdicts(rebuild, store_dir) {
        examine_rounds(&judged, &mut examination);
        if judged.is_asked() {
            let (verdict, status) = (judged.verdict(), judged.word().to_owned());
            examination.subjects.push(Subject { id: judged.id, verdict, status });
            examination.coverage.asked += 1;
            examination.coverage.answered += u64::from(judged.open.is_none());
            examination.coverage.inconclusive.extend(judged.open);
        }
        // What is wrong with a claim is wrong whether it was asked for or not.
        examination.findings.extend(judged.findings);
    }
    for facts in &rebuild.derivations {
        examine_unknown(facts, store_dir, &mut examination);
    }
    let mixed = rebuild.derivations.iter().filter_map(|facts| mixed(facts, store_dir));
    examination.findings.extend(mixed);
    let coverage = &mut examination.coverage;
    coverage.asked = coverage.asked.saturating_add(count(rebuild.unanswered.len()));
    coverage.inconclusive.extend(rebuild.unanswered.iter().cloned());
    if !local_store_asked {
        coverage.not_run.push(NotRun {
            check: "claims of the local store".to_owned(),
            because: "--local-store was not given".to_owned(),
        });
    }
    if let Some(sample) = &rebuild.sample {
        let left_out = sample.population.saturating_sub(count(sample.drawn.len()));
        if left_out > 0 {
            coverage.not_run.push(NotRun {
                check: format!("{REPRODUCES}, of {left_out} derivations of the closure"),
                because: format!("--sample {} did not draw them", sample.asked),
            });
        }
    }
    coverage.not_run.extend(never_repeated(rebuild));
    if rebuild.fetchers > 0 {
        coverage.not_run.push(NotRun {
            check: format!(
                "{REPRODUCES}, of {} derivations that only help to fetch",
                rebuild.fetchers
            ),
            because: "what they fetch is known by its hash".to_owned(),
        });
    }
    examination.sort();
    examination
}

/// A derivation that was asked for and of which not even the outputs are known:
/// it has no verdict that could tell that there was no answer.
fn examine_unknown(facts: &DerivationFacts, store_dir: &StoreDir, examination: &mut Examination) {
    if facts.role == Role::Input || !facts.outputs.is_empty() {
        return;
    }
    let (reason, detail) = match &facts.production {
        Production::Missing { reason, detail, .. } => (*reason, detail.clone()),
        _ => (Reason::BuildFailed, "it has no outputs".to_owned()),
    };
    let id = store_dir.full(&facts.drv_path);
    let (verdict, status) = (Verdict::Inconclusive, reason.name().to_owned());
    examination.subjects.push(Subject { id: id.clone(), verdict, status });
    examination.coverage.asked += 1;
    let check = REPRODUCES.to_owned();
    examination.coverage.inconclusive.push(Inconclusive { subject: id, check, reason, detail });
}

/// What came of building an output again, if that was asked for.
fn examine_rounds(judged: &OutputVerdict<'_>, examination: &mut Examination) {
    let Some(stability) = &judged.stability else { return };
    let coverage = &mut examination.coverage;
    coverage.asked += 1;
    match stability.open(&judged.id) {
        Some(open) => coverage.inconclusive.push(open),
        None => coverage.answered += 1,
    }
    examination.findings.extend(stability.finding(&judged.id, judged.output));
}

/// The fixed outputs that rounds were asked of and that nobody built even once.
fn never_repeated(rebuild: &Rebuild) -> Option<NotRun> {
    let obtained = |facts: &&DerivationFacts| {
        facts.role != Role::Input && matches!(facts.production, Production::Obtained { .. })
    };
    let number = rebuild.derivations.iter().filter(obtained).count();
    (rebuild.rounds > 1 && number > 0).then(|| NotRun {
        check: format!("{STABLE}, of {number} fixed outputs"),
        because: "they were got by their hash, which says what they are; nothing was built"
            .to_owned(),
    })
}

/// A count as reports carry it.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::claim::{Claim, Standing};
    use super::super::facts::Origin;
    use super::super::fixture::{self, built, path};
    use super::*;
    use crate::check::Level;

    fn trusted(seed: u8) -> Claim {
        fixture::trusted("x", seed)
    }

    fn derivation(role: Role, production: Production, claims: Vec<Claim>) -> DerivationFacts {
        let mut made = built("x", 1, claims);
        if production != Production::Built {
            made.outputs.iter_mut().for_each(|output| output.ours = None);
        }
        DerivationFacts { role, production, ..made }
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
    fn what_was_not_built_reproduces_nothing() {
        let origin = Origin::Signed { from: "file:///c".into(), keys: vec!["k-1".into()] };
        let got = Production::Obtained { origin };
        let (verdict, examination) = verdict(vec![derivation(Role::Target, got, vec![trusted(1)])]);
        assert_eq!(verdict, Verdict::Inconclusive, "{examination:?}");
    }

    #[test]
    fn what_has_no_known_outputs_is_no_pass() {
        let good = || derivation(Role::Target, Production::Built, vec![trusted(1)]);
        for (role, wanted) in [
            (Role::Target, Verdict::Inconclusive),
            (Role::Member, Verdict::Inconclusive),
            (Role::Input, Verdict::Pass),
        ] {
            let mut unknown = derivation(role, missing(), vec![]);
            unknown.drv_path = path("unknown.drv");
            unknown.outputs.clear();
            assert_eq!(verdict(vec![good(), unknown]).0, wanted, "{role:?}");
        }
    }

    #[test]
    fn rounds_of_what_is_only_fetched_are_not_run() {
        let origin = Origin::FixedByHash { from: "file:///c".into() };
        let production = Production::Obtained { origin };
        let fixed = derivation(Role::Target, production, vec![]);
        for (rounds, role, wanted) in
            [(1, Role::Target, 0), (2, Role::Input, 0), (2, Role::Target, 1), (3, Role::Member, 1)]
        {
            let derivations = vec![DerivationFacts { role, ..fixed.clone() }];
            let rebuild = Rebuild { derivations, rounds, ..Rebuild::default() };
            let examination = examine(&rebuild, &StoreDir::default(), true);
            assert_eq!(examination.coverage.not_run.len(), wanted, "{rounds} {role:?}");
        }
    }

    #[test]
    fn a_failed_build_says_why() {
        let (_, examination) = verdict(vec![derivation(Role::Target, missing(), vec![])]);
        assert_eq!(examination.subjects[0].status, "build-failed");
        assert_eq!(examination.coverage.inconclusive[0].reason, Reason::BuildFailed);
    }

    #[test]
    fn what_is_built_on_a_diverged_input_is_not_judged() {
        let node = |name: &str, seed: Option<u8>, on: &[&str]| {
            let mut made = derivation(Role::Target, Production::Built, vec![]);
            made.drv_path = path(&format!("{name}.drv"));
            made.built_on = on.iter().map(|name| path(name)).collect();
            for output in &mut made.outputs {
                output.path = Some(path(name));
                output.claims = seed
                    .map(|seed| Claim { path: path(name), ..trusted(seed) })
                    .into_iter()
                    .collect();
            }
            made
        };
        let statuses = |derivations: Vec<DerivationFacts>| {
            let (_, examination) = verdict(derivations);
            let statuses = examination.subjects.into_iter().map(|subject| subject.status);
            statuses.collect::<Vec<_>>().join(" ")
        };
        // Names are in order: a is read by b, b by c.
        let chain =
            |a, b, c| statuses(vec![node("a", a, &[]), node("b", b, &["a"]), node("c", c, &["b"])]);
        assert_eq!(chain(Some(1), Some(1), Some(2)), "reproduced reproduced differs");
        assert_eq!(chain(None, Some(1), Some(2)), "no-reference reproduced differs");
        assert_eq!(chain(Some(2), Some(2), Some(1)), "differs blocked-by blocked-by");
        assert_eq!(chain(Some(2), None, Some(2)), "differs blocked-by blocked-by");
        assert_eq!(chain(Some(2), Some(1), Some(1)), "differs blocked-by reproduced");
    }

    #[test]
    fn outputs_that_share_a_path_keep_their_own_verdicts() {
        let twin = |name: &str, seed| {
            let mut made = derivation(Role::Target, Production::Built, vec![trusted(seed)]);
            made.drv_path = path(name);
            made
        };
        let (_, examination) = verdict(vec![twin("a.drv", 1), twin("b.drv", 2)]);
        let ids: BTreeSet<&str> =
            examination.subjects.iter().map(|subject| subject.id.as_str()).collect();
        assert_eq!(ids.len(), 2, "{ids:?}");
    }
}
