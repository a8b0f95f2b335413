//! From what a rebuild found out to its outcomes.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{DerivationFacts, OutputFacts, Production, Rebuild, Role};
use super::judge::{Basis, OutputStatus, forgeries, judge};
use crate::check::{
    Coverage, Examination, Finding, Inconclusive, NotRun, Reason, Subject, Verdict,
};
use crate::nix::store_path::{StoreDir, StorePath};

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
    let names = Names::of(rebuild, store_dir);
    let strayed = strayed(rebuild);
    for derivation in &rebuild.derivations {
        let astray = derivation.built_on.iter().find(|path| strayed.contains(path));
        let blocked = astray.filter(|_| derivation.basis != Basis::Fixed).map(|path| {
            let path = store_dir.full(path);
            format!("its input {path} had to be rebuilt and is not what is claimed of it")
        });
        for output in &derivation.outputs {
            let id = names.name(derivation, output);
            examine_output(derivation, output, id, blocked.as_deref(), &mut examination);
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

/// What outputs are called in reports: by their paths, or by derivation and
/// name where the path is not known or several derivations make it.
#[derive(Debug)]
pub struct Names<'a> {
    store_dir: &'a StoreDir,
    seen: BTreeSet<&'a StorePath>,
    shared: BTreeSet<&'a StorePath>,
}

impl<'a> Names<'a> {
    /// For the outputs of `rebuild`.
    #[must_use]
    pub fn of(rebuild: &'a Rebuild, store_dir: &'a StoreDir) -> Self {
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
    #[must_use]
    pub fn name(&self, derivation: &DerivationFacts, output: &OutputFacts) -> String {
        match &output.path {
            Some(path) if !self.shared.contains(path) => self.store_dir.full(path),
            _ => format!("{}!{}", self.store_dir.full(&derivation.drv_path), output.name),
        }
    }
}

/// The paths that we made and that are not what is claimed of them, or that
/// were made from such and that nobody trusted says are right.
fn strayed(rebuild: &Rebuild) -> BTreeSet<&StorePath> {
    let mut strayed = BTreeSet::new();
    let mut open = Vec::new();
    for derivation in &rebuild.derivations {
        for output in &derivation.outputs {
            let (Some(path), Some(ours)) = (&output.path, &output.ours) else { continue };
            match judge("", path, ours, derivation.basis, &output.claims).status {
                OutputStatus::Differs => {
                    strayed.insert(path);
                }
                OutputStatus::NoReference | OutputStatus::Forged => open.push((derivation, path)),
                OutputStatus::Reproduced | OutputStatus::FixedByHash => {}
            }
        }
    }
    // Along the graph, from what strayed to what was made of it.
    let mut made_of: BTreeMap<&StorePath, Vec<&StorePath>> = BTreeMap::new();
    for (derivation, path) in open {
        for input in &derivation.built_on {
            made_of.entry(input).or_default().push(path);
        }
    }
    let mut spread: Vec<&StorePath> = strayed.iter().copied().collect();
    while let Some(input) = spread.pop() {
        for path in made_of.remove(input).unwrap_or_default() {
            if strayed.insert(path) {
                spread.push(path);
            }
        }
    }
    strayed
}

fn examine_output(
    derivation: &DerivationFacts,
    output: &OutputFacts,
    id: String,
    blocked: Option<&str>,
    examination: &mut Examination,
) {
    let (status, findings, open) = outcome(derivation, output, &id, blocked);
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

/// A count as reports carry it.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::claim::{Claim, Contents, Source, Standing};
    use super::*;
    use crate::check::Level;
    use crate::nix::hash::NarHash;

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
            built_on: BTreeSet::new(),
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
