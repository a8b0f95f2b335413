//! The public form of a survey (`facts_cache` in `docs/schema/report-v1.json`).
//!
//! Sources are numbered from 0 in the order of the list, and paths are made
//! one by one as they are written.

use serde::Serialize;
use serde_json::Value;

use crate::check::cache::{
    Answer, Content, Family, RealisationFacts, SourceClaim, SubjectFacts, Survey, Tally, versions,
};
use crate::check::sample::Bound;
use crate::check::{Level, Verdict};

#[derive(Serialize)]
struct Facts<'a> {
    store_dir: &'a str,
    asked: AskedPart<'a>,
    sources: Vec<SourcePart<'a>>,
    operators: Vec<OperatorPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    derivations: Vec<FamilyPart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    realisations: Vec<RealisationPart<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
struct AskedPart<'a> {
    paths: usize,
    closure: bool,
    all: bool,
    contents: bool,
    sample: Option<SamplePart<'a>>,
    min_agree: Option<usize>,
}

#[derive(Serialize)]
struct SamplePart<'a> {
    size: String,
    seed: &'a str,
}

#[derive(Serialize)]
struct SourcePart<'a> {
    name: &'a str,
    kind: &'static str,
    named: bool,
    operator: Option<&'a str>,
    asked: u64,
    present: u64,
    absent: u64,
    no_answer: u64,
    bad: u64,
    trusted: u64,
    forged: u64,
    holes: u64,
    contents: ContentsPart,
}

#[derive(Serialize)]
struct ContentsPart {
    right: u64,
    wrong: u64,
    unread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<BoundPart>,
}

#[derive(Serialize)]
struct BoundPart {
    population: u64,
    sampled: u64,
    wrong: u64,
    below: u64,
    sentence: String,
}

#[derive(Serialize)]
struct OperatorPart<'a> {
    name: &'a str,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a str>,
    caches: &'a [String],
    keys: Vec<&'a str>,
}

#[derive(Serialize)]
struct FamilyPart {
    drv_path: String,
    outputs: Vec<String>,
}

#[derive(Serialize)]
struct RealisationPart<'a> {
    id: String,
    claims: Vec<RealisationClaimPart<'a>>,
}

#[derive(Serialize)]
struct RealisationClaimPart<'a> {
    source: usize,
    path: String,
    standing: &'static str,
    keys: &'a [String],
}

#[derive(Serialize)]
struct PathPart<'a> {
    path: String,
    role: &'static str,
    verdict: &'static str,
    status: &'a str,
    versions: Vec<VersionPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    absent: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no_answer: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bad: Vec<usize>,
}

#[derive(Serialize)]
struct VersionPart<'a> {
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attested_by: Vec<&'a str>,
    claims: Vec<ClaimPart<'a>>,
}

#[derive(Serialize)]
struct ClaimPart<'a> {
    source: usize,
    trust: &'static str,
    keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    deriver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'static str>,
}

/// The facts but for the paths.
pub(super) fn facts(survey: &Survey, tallies: &[Tally], remarks: &[String]) -> Value {
    let asked = &survey.asked;
    let facts = Facts {
        store_dir: survey.store_dir.as_str(),
        asked: AskedPart {
            paths: survey.subjects.len(),
            closure: asked.closure,
            all: asked.all,
            contents: asked.contents,
            sample: asked
                .sample
                .as_ref()
                .map(|(sample, seed)| SamplePart { size: sample.to_string(), seed }),
            min_agree: asked.min_agree,
        },
        sources: survey
            .sources
            .iter()
            .zip(tallies)
            .map(|(source, tally)| SourcePart {
                name: &source.name,
                kind: source.kind.name(),
                named: source.named,
                operator: survey.operators.of_cache(&source.name).map(|one| one.name.as_str()),
                asked: tally.asked,
                present: tally.present,
                absent: tally.absent,
                no_answer: tally.silent,
                bad: tally.bad,
                trusted: tally.trusted,
                forged: tally.forged,
                holes: tally.holes,
                contents: ContentsPart {
                    right: tally.right,
                    wrong: tally.wrong,
                    unread: tally.unread,
                    bound: tally.bound.as_ref().map(bound),
                },
            })
            .collect(),
        operators: survey
            .operators
            .all()
            .iter()
            .map(|operator| OperatorPart {
                name: &operator.name,
                role: operator.role.name(),
                of: operator.origin.as_deref(),
                caches: &operator.caches,
                keys: operator.keys.iter().map(|key| key.as_str()).collect(),
            })
            .collect(),
        derivations: survey.families.iter().map(|one| family(one, survey)).collect(),
        realisations: survey.realisations.iter().map(|one| realisation(one, survey)).collect(),
        remarks,
    };
    // Fails for maps whose keys are no text only; there are none.
    serde_json::to_value(facts).unwrap_or_default()
}

fn bound(bound: &Bound) -> BoundPart {
    BoundPart {
        population: bound.population,
        sampled: bound.sampled,
        wrong: bound.bad,
        below: bound.below,
        sentence: sentence(bound),
    }
}

/// What a sample says, in words.
pub(super) fn sentence(bound: &Bound) -> String {
    bound.sentence("objects", "are corrupt")
}

fn family(family: &Family, survey: &Survey) -> FamilyPart {
    let outputs = survey.table.sorted(&family.outputs);
    FamilyPart {
        drv_path: survey.store_dir.full(&family.drv_path),
        outputs: outputs.into_iter().map(|path| survey.store_dir.full(path)).collect(),
    }
}

fn realisation<'a>(facts: &'a RealisationFacts, survey: &Survey) -> RealisationPart<'a> {
    let claims = facts.claims.iter().map(|claim| RealisationClaimPart {
        source: claim.source,
        path: survey.store_dir.full(&claim.path),
        standing: claim.standing.name(),
        keys: claim.standing.keys(),
    });
    RealisationPart { id: facts.id.to_string(), claims: claims.collect() }
}

/// One path of the list.
pub(super) fn path(
    survey: &Survey,
    subject: &SubjectFacts,
    verdict: Verdict,
    status: &str,
) -> Option<Value> {
    let full = |id| survey.table.path(id).map(|path| survey.store_dir.full(path));
    let claim = |source: usize| subject.answers.get(source).and_then(Answer::claim);
    let which = |wanted: fn(&Answer) -> bool| -> Vec<usize> {
        let answers = subject.answers.iter().enumerate();
        answers.filter(|(_, answer)| wanted(answer)).map(|(source, _)| source).collect()
    };
    let versions = versions(subject);
    let part = PathPart {
        path: full(subject.id)?,
        role: subject.role.name(),
        verdict: verdict.name(),
        status,
        versions: versions
            .iter()
            .map(|version| VersionPart {
                nar_hash: version.nar_hash.to_string(),
                nar_size: version.nar_size,
                references: survey
                    .table
                    .sorted(version.references)
                    .into_iter()
                    .map(|path| survey.store_dir.full(path))
                    .collect(),
                attested_by: version.witnesses(subject, &survey.operators).into_iter().collect(),
                claims: version
                    .claims
                    .iter()
                    .filter_map(|(source, trust)| Some((*source, trust.name(), claim(*source)?)))
                    .map(|(source, trust, claim)| ClaimPart {
                        source,
                        trust,
                        keys: claim.standing.keys(),
                        deriver: claim.deriver.and_then(full),
                        ca: claim.ca.as_ref().map(|facts| facts.ca.to_string()),
                        content: content(claim),
                    })
                    .collect(),
            })
            .collect(),
        absent: which(|answer| matches!(answer, Answer::Absent)),
        no_answer: which(|answer| matches!(answer, Answer::Silent(_))),
        bad: which(|answer| matches!(answer, Answer::Bad(_))),
    };
    serde_json::to_value(part).ok()
}

/// What came of reading the bytes, in a word.
pub(super) fn content(claim: &SourceClaim) -> Option<&'static str> {
    match &claim.content {
        Content::NotAsked => None,
        Content::NotSampled => Some("not-sampled"),
        Content::Unanswered(_) => Some("no-answer"),
        Content::Holds { .. } => Some("right"),
        Content::Found(findings) => {
            let wrong = findings.iter().any(|finding| finding.level == Level::Error);
            Some(if wrong { "wrong" } else { "right" })
        }
    }
}
