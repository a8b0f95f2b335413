//! Surveys made by hand, and what they come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::check::operators::Operators;
use crate::check::rebuild::Standing;
use crate::check::{Finding, Level, Reason, Verdict};
use crate::nix::hash::NarHash;
use crate::nix::store_path::StorePath;

fn path(seed: u8) -> StorePath {
    StorePath::new([seed; 20], "x").unwrap()
}

fn source(kind: SourceKind, named: bool) -> SourceFacts {
    SourceFacts { name: "s".into(), kind, named, forbidden: 0 }
}

fn signed(keys: &[&str]) -> Standing {
    Standing::Trusted { keys: keys.iter().map(ToString::to_string).collect() }
}

fn unsigned() -> Standing {
    Standing::Untrusted { unknown_keys: vec![] }
}

fn forged() -> Standing {
    Standing::Forged { keys: vec!["a-1".into()] }
}

fn unsorted() -> Standing {
    Standing::UnsortedReferences { keys: vec!["a-1".into()] }
}

fn claim(hash: u8, standing: Standing) -> Answer {
    Answer::Claim(Box::new(SourceClaim {
        standing: Arc::new(standing),
        nar_hash: NarHash::from_digest([hash; 32]),
        nar_size: 96,
        references: Box::default(),
        deriver: None,
        ca: None,
        remarks: Box::default(),
        content: Content::NotAsked,
        archive: None,
    }))
}

fn read(hash: u8, content: Content) -> Answer {
    let Answer::Claim(mut claim) = claim(hash, signed(&["a-1"])) else { unreachable!() };
    claim.content = content;
    Answer::Claim(claim)
}

fn addressed(proof: CaProof, content: Content) -> Answer {
    let Answer::Claim(mut claim) = claim(1, unsigned()) else { unreachable!() };
    let ca = "fixed:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs".parse().unwrap();
    claim.ca = Some(Box::new(CaFacts { ca, proof }));
    claim.content = content;
    Answer::Claim(claim)
}

fn silent() -> Answer {
    Answer::Silent(Arc::new(Silence { reason: Reason::Unreachable, detail: "down".into() }))
}

fn bad() -> Answer {
    let rule = &crate::check::rebuild::rules::MALFORMED_NARINFO;
    Answer::Bad(Box::new(Finding::new(rule, "x", "x")))
}

/// Caches that the user named, each with its answers about paths 1, 2, ...
fn survey(sources: usize, subjects: Vec<Vec<Answer>>) -> Survey {
    let mut survey =
        Survey { sources: vec![source(SourceKind::Cache, true); sources], ..Survey::default() };
    for (at, answers) in subjects.into_iter().enumerate() {
        let id = survey.table.intern(&path(u8::try_from(at).unwrap() + 1));
        survey.subjects.push(SubjectFacts {
            id,
            role: Role::Target,
            answers: answers.into(),
            findings: vec![],
        });
    }
    survey
}

/// Status, rules and reasons of a survey of one path.
fn outcome(survey: &Survey) -> (String, Vec<&'static str>, Vec<Reason>) {
    let Examined { examination, .. } = examine(survey);
    let subject = &examination.subjects[0];
    let rules: BTreeSet<&str> =
        examination.findings.iter().map(|finding| finding.rule.id).collect();
    let reasons = examination.coverage.inconclusive.iter().map(|open| open.reason).collect();
    let verdict = examination.verdict(Level::Error);
    assert_eq!(subject.verdict, verdict, "{}", subject.status);
    (subject.status.clone(), rules.into_iter().collect(), reasons)
}

fn one(answers: Vec<Answer>) -> (String, Vec<&'static str>, Vec<Reason>) {
    outcome(&survey(answers.len(), vec![answers]))
}

#[test]
fn answers_combine_as_documented() {
    use Reason::{NoReference, Unreachable};
    let a = || claim(1, signed(&["a-1"]));
    for (answers, status, rules, reasons) in [
        (vec![a()], "verified", vec![], vec![]),
        (vec![a(), a()], "verified", vec![], vec![]),
        (vec![a(), Answer::Absent], "verified", vec![], vec![]),
        (vec![a(), claim(1, unsigned())], "verified", vec![], vec![]),
        (vec![a(), claim(2, unsigned())], "verified", vec!["untrusted-claim-differs"], vec![]),
        (vec![a(), claim(2, signed(&["b-1"]))], "conflict", vec!["claims-conflict"], vec![]),
        (vec![a(), claim(1, forged())], "forged", vec!["forged-signature"], vec![]),
        (vec![a(), claim(2, forged())], "forged", vec!["forged-signature"], vec![]),
        (vec![claim(1, forged())], "forged", vec!["forged-signature"], vec![]),
        (vec![claim(1, unsigned())], "no-reference", vec![], vec![NoReference]),
        (
            vec![claim(1, unsigned()), claim(2, unsigned())],
            "no-reference",
            vec!["untrusted-claim-differs"],
            vec![NoReference],
        ),
        (vec![claim(1, unsorted())], "no-reference", vec![], vec![NoReference]),
        (vec![Answer::Absent], "absent", vec![], vec![NoReference]),
        (vec![silent()], "unreachable", vec![], vec![Unreachable, Unreachable]),
        (vec![a(), silent()], "unreachable", vec![], vec![Unreachable]),
        (vec![bad()], "malformed-narinfo", vec!["malformed-narinfo"], vec![NoReference]),
        (vec![a(), bad()], "malformed-narinfo", vec!["malformed-narinfo"], vec![]),
    ] {
        let shown = format!("{answers:?}");
        assert_eq!(one(answers), (status.to_owned(), rules, reasons), "{shown}");
    }
}

#[test]
fn a_content_address_vouches_for_what_it_proves() {
    let none: Vec<&str> = vec![];
    let holds = |proves_ca| Content::Holds { proves_ca };
    for (answer, status) in [
        (addressed(CaProof::NarHash, Content::NotAsked), "content-addressed"),
        (addressed(CaProof::Path, holds(true)), "content-addressed"),
        (addressed(CaProof::Path, Content::NotAsked), "no-reference"),
        (addressed(CaProof::Path, holds(false)), "no-reference"),
        (addressed(CaProof::Wrong, holds(true)), "no-reference"),
    ] {
        let (found, rules, _) = one(vec![answer]);
        assert_eq!((found.as_str(), rules), (status, none.clone()));
    }
}

#[test]
fn the_local_store_is_compared_too() {
    let mut survey = survey(2, vec![vec![claim(1, signed(&["a-1"])), claim(2, unsigned())]]);
    survey.sources[1].kind = SourceKind::LocalStore;
    assert_eq!(outcome(&survey).1, ["local-store-differs"]);
    survey.subjects[0].answers[1] = claim(2, signed(&["a-1"]));
    assert_eq!(outcome(&survey).1, ["claims-conflict"]);
    survey.subjects[0].answers[1] = claim(1, unsigned());
    assert_eq!(outcome(&survey).0, "verified");
}

#[test]
fn a_default_cache_may_be_silent() {
    let mut survey = survey(2, vec![vec![claim(1, signed(&["a-1"])), silent()]]);
    survey.sources[1].named = false;
    assert_eq!(outcome(&survey).0, "verified");
    assert_eq!(examine(&survey).remarks, ["s does not answer: down"]);
    survey.subjects[0].answers[0] = Answer::Absent;
    assert_eq!(outcome(&survey).0, "unreachable");
}

#[test]
fn bytes_count_as_much_as_signatures() {
    let wrong = |rule| Content::Found(vec![Finding::new(rule, "x", "x")].into());
    let unread =
        Content::Unanswered(Box::new(Silence { reason: Reason::TooLarge, detail: "".into() }));
    for (content, status) in [
        (Content::Holds { proves_ca: false }, "verified"),
        (wrong(&crate::check::rebuild::rules::NAR_MISMATCH), "corrupt"),
        (wrong(&rules::MISSING_NAR), "missing-nar"),
        (wrong(&rules::FILE_MISMATCH), "verified"),
        (unread, "too-large"),
    ] {
        assert_eq!(one(vec![read(1, content)]).0, status);
    }
}

#[test]
fn operators_are_counted_and_not_answers() {
    let text = "version = 1\n[[operator]]\nname='a'\nkeys=['a-1','a-2']\n\
        [[operator]]\nname='b'\nkeys=['b-1']\n[[operator]]\nname='m'\nrole='mirror'\nof='a'\nkeys=['m-1']\n\
        [[operator]]\nname='r'\nrole='re-signer'\nkeys=['r-1']\n";
    let agree = |wanted, answers: Vec<Answer>| {
        let mut survey = survey(answers.len(), vec![answers]);
        survey.operators = Operators::parse(text, |url| Ok(url.to_owned())).unwrap();
        survey.asked.min_agree = Some(wanted);
        outcome(&survey).0
    };
    let by = |keys: &[&str]| claim(1, signed(keys));
    assert_eq!(agree(1, vec![by(&["a-1"])]), "verified");
    assert_eq!(agree(2, vec![by(&["a-1", "b-1"])]), "verified");
    assert_eq!(agree(2, vec![by(&["a-1"]), by(&["b-1"])]), "verified");
    for few in [
        vec![by(&["a-1", "a-2"])],
        vec![by(&["a-1"]), by(&["a-2"])],
        vec![by(&["a-1"]), by(&["m-1"])],
        vec![by(&["a-1"]), by(&["r-1"])],
        vec![by(&["a-1"]), by(&["nobody"])],
        vec![by(&["a-1"]), claim(1, unsigned())],
        vec![by(&["a-1"]), Answer::Absent],
    ] {
        let shown = format!("{few:?}");
        assert_eq!(agree(2, few), "too-few-operators", "{shown}");
    }
    // Who did not answer might have attested it, and did not.
    assert_eq!(agree(2, vec![by(&["a-1"]), silent()]), "unreachable");
    assert_eq!(agree(2, vec![addressed(CaProof::NarHash, Content::NotAsked)]), "content-addressed");
}

#[test]
fn holes_are_counted_and_named() {
    let mut survey = survey(
        2,
        vec![
            vec![claim(1, signed(&["a-1"])), claim(1, signed(&["a-1"]))],
            vec![claim(1, signed(&["a-1"])), Answer::Absent],
            vec![Answer::Absent, Answer::Absent],
        ],
    );
    let references = survey.table.set(&[path(2), path(3)]);
    for answer in &mut survey.subjects[0].answers {
        if let Answer::Claim(claim) = answer {
            claim.references = references.clone();
        }
    }
    assert!(examine(&survey).examination.findings.is_empty());
    survey.asked.closure = true;
    let examined = examine(&survey);
    assert_eq!(examined.tallies.iter().map(|tally| tally.holes).collect::<Vec<_>>(), [1, 2]);
    let findings = &examined.examination.findings;
    assert_eq!(
        findings.iter().map(|finding| finding.rule.id).collect::<Vec<_>>(),
        ["closure-hole"]
    );
    assert_eq!(findings[0].subject, format!("/nix/store/{}", path(3)));
    assert_eq!(findings[0].evidence[0].value, format!("/nix/store/{}", path(1)));
}

#[test]
fn a_mixture_of_two_builds_is_named() {
    let by = |hash| claim(hash, signed(&["a-1"]));
    let mixed = |first: [u8; 3], second: [u8; 3]| {
        let mut survey = survey(3, vec![first.map(by).into(), second.map(by).into()]);
        let drv_path = path(9);
        let outputs = survey.subjects.iter().map(|subject| subject.id).collect();
        survey.families.push(Family { drv_path, outputs });
        let findings = examine(&survey).examination.findings;
        findings.iter().any(|finding| finding.rule.id == "mixed-siblings")
    };
    assert!(mixed([1, 2, 1], [1, 2, 2]));
    assert!(mixed([1, 1, 2], [2, 1, 2]));
    assert!(!mixed([1, 2, 2], [1, 2, 2]));
    assert!(!mixed([1, 2, 3], [1, 2, 3]));
    assert!(!mixed([1, 1, 1], [1, 2, 3]));
}

#[test]
fn outputs_that_refer_to_each_other_are_no_build() {
    let circle = |back: bool| {
        let a = || claim(1, signed(&["a-1"]));
        let mut survey = survey(1, vec![vec![a()], vec![a()]]);
        let ids: Vec<PathId> = survey.subjects.iter().map(|subject| subject.id).collect();
        for (at, other) in [(0, ids[1]), (1, ids[0])].into_iter().take(1 + usize::from(back)) {
            survey.subjects[at].answers[0].claim_mut().unwrap().references = [other].into();
        }
        survey.families.push(Family { drv_path: path(9), outputs: ids });
        examine(&survey).examination.verdict(Level::Error)
    };
    assert_eq!(circle(false), Verdict::Pass);
    assert_eq!(circle(true), Verdict::Fail);
}

#[test]
fn a_circle_over_two_sources_is_two_builds() {
    let mixed = |second_has_first: bool| {
        let a = || claim(1, signed(&["a-1"]));
        let lone = |has: bool| if has { a() } else { Answer::Absent };
        let answers = vec![vec![a(), lone(second_has_first)], vec![lone(second_has_first), a()]];
        let mut survey = survey(2, answers);
        let ids: Vec<PathId> = survey.subjects.iter().map(|subject| subject.id).collect();
        for (at, other) in [(0, ids[1]), (1, ids[0])] {
            survey.subjects[at].answers[at].claim_mut().unwrap().references = [other].into();
        }
        survey.families.push(Family { drv_path: path(9), outputs: ids });
        let findings = examine(&survey).examination.findings;
        findings.iter().any(|finding| finding.rule.id == "mixed-siblings")
    };
    assert!(mixed(false));
    // Each has a pair of its own, and that they differ is another finding.
    assert!(!mixed(true));
}

#[test]
fn what_was_to_be_read_and_was_not_is_no_pass() {
    let verdict = |content: Content| {
        let mut survey = survey(1, vec![vec![read(1, content)]]);
        survey.asked.contents = true;
        examine(&survey).examination.verdict(Level::Error)
    };
    assert_eq!(verdict(Content::Holds { proves_ca: false }), Verdict::Pass);
    assert_eq!(verdict(Content::NotSampled), Verdict::Pass);
    assert_eq!(verdict(Content::NotAsked), Verdict::Inconclusive);
}

#[test]
fn nothing_examined_is_no_pass() {
    let examined = examine(&survey(1, vec![]));
    assert_eq!(examined.examination.verdict(Level::Error), Verdict::Inconclusive);
}
