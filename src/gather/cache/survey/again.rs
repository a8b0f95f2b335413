//! Asking again: a cache that answers one question in two ways cannot be
//! audited.

use std::sync::{Mutex, PoisonError};

use super::Surveyor;
use crate::check::cache::rules::CHANGING_ANSWER;
use crate::check::cache::{
    Answer, PathId, SourceClaim, SubjectFacts, Survey, read_narinfo, versions,
};
use crate::check::rebuild::Standing;
use crate::check::sample::rank;
use crate::check::{Finding, Inconclusive};
use crate::gather::cache::narinfos::Question;
use crate::gather::cache::{NarInfoAnswer, Unanswered};
use crate::nix::path_info::PathInfo;
use crate::report::progress::Phase;

/// Paths about which nothing is odd that are asked about again: enough to
/// meet one server of several behind a name that lags behind.
const ORDINARY: usize = 100;

/// What [`rank`] orders those by.
const SEED: &str = "asked again";

impl Surveyor<'_> {
    /// Asks for the narinfos of all paths with a forged, bad or deviating
    /// answer once more, and for some of the others.
    pub fn ask_again(&self, survey: &mut Survey, phase: &Phase) {
        let mut ordinary: Vec<([u8; 32], usize)> = Vec::new();
        let mut chosen: Vec<usize> = Vec::new();
        for (at, subject) in survey.subjects.iter().enumerate() {
            if is_odd(subject) {
                chosen.push(at);
            } else if let Some(path) = survey.table.path(subject.id) {
                ordinary.push((rank(&path.to_string(), SEED), at));
            }
        }
        ordinary.sort_unstable();
        chosen.extend(ordinary.into_iter().take(ORDINARY).map(|(_, at)| at));
        chosen.sort_unstable();
        let answered = |answer: &Answer| matches!(answer, Answer::Claim(_) | Answer::Bad(_));
        let questions: Vec<Question> = chosen
            .iter()
            .filter_map(|at| survey.subjects.get(*at))
            .flat_map(|subject| {
                let path = survey.table.path(subject.id).cloned();
                let caches = subject.answers.iter().take(self.caches.len()).enumerate();
                caches
                    .filter(|(_, answer)| answered(answer))
                    .filter_map(move |(cache, _)| Some(Question { cache, path: path.clone()? }))
            })
            .collect();
        phase.grow(u64::try_from(questions.len()).unwrap_or(0));
        let found: Mutex<Vec<Again>> = Mutex::default();
        let known = &*survey;
        self.client.narinfos(&self.urls(), questions.into_iter(), |question, answer, _| {
            phase.advance(1);
            let result = self.compare(known, &question, answer);
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(result);
        });
        for again in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match again {
                Again::Open(open) => survey.unanswered.push(*open),
                Again::Changed(id, finding) => {
                    let subject = survey.subjects.iter_mut().find(|subject| subject.id == id);
                    if let Some(subject) = subject {
                        subject.findings.push(*finding);
                    }
                }
            }
        }
    }

    fn compare(
        &self,
        survey: &Survey,
        question: &Question,
        answer: NarInfoAnswer,
    ) -> Option<Again> {
        let asked = self.caches.get(question.cache)?;
        let id = survey.table.find(&question.path)?;
        let place = survey
            .subjects
            .binary_search_by(|subject| survey.table.path(subject.id).cmp(&Some(&question.path)));
        let first = survey.subjects.get(place.ok()?)?.answers.get(question.cache)?;
        let name = asked.url.to_string();
        let subject = self.judge.store_dir.full(&question.path);
        let again = match answer {
            NarInfoAnswer::Unreachable(Unanswered { reason, detail }) => {
                let check = format!("the same answer of {name} once more");
                let open = Inconclusive { subject, check, reason, detail };
                return asked.named.then(|| Again::Open(Box::new(open)));
            }
            NarInfoAnswer::Absent => "absent".to_owned(),
            NarInfoAnswer::Present(bytes) => {
                match read_narinfo(&bytes, &question.path, &name, self.judge) {
                    Ok(reading) => shown(reading.facts(), reading.standing()),
                    Err(_) => UNUSABLE.to_owned(),
                }
            }
        };
        let before = match first {
            Answer::Claim(claim) => shown(&facts(survey, &question.path, claim), &claim.standing),
            _ => UNUSABLE.to_owned(),
        };
        if before == again {
            return None;
        }
        let message = format!("{name} answered otherwise when it was asked again");
        let finding = Finding::new(&CHANGING_ANSWER, subject, message)
            .with("first answer", before)
            .with("second answer", again);
        Some(Again::Changed(id, Box::new(finding)))
    }
}

/// What is said of an answer that cannot be used.
const UNUSABLE: &str = "an answer that cannot be used";

/// What asking again gave, if it was not the same.
enum Again {
    Changed(PathId, Box<Finding>),
    Open(Box<Inconclusive>),
}

/// Whether an answer about a path deserves a second look.
fn is_odd(subject: &SubjectFacts) -> bool {
    let bad = subject.answers.iter().any(|answer| matches!(answer, Answer::Bad(_)));
    let forged = |claim: &SourceClaim| matches!(&*claim.standing, Standing::Forged { .. });
    bad || subject.claims().any(|(_, claim)| forged(claim)) || versions(subject).len() > 1
}

fn facts(
    survey: &Survey,
    path: &crate::nix::store_path::StorePath,
    claim: &SourceClaim,
) -> PathInfo {
    PathInfo {
        path: path.clone(),
        nar_hash: claim.nar_hash,
        nar_size: claim.nar_size,
        references: claim
            .references
            .iter()
            .filter_map(|id| survey.table.path(*id).cloned())
            .collect(),
    }
}

/// The signed facts on one line, and what their signatures are worth.
fn shown(facts: &PathInfo, standing: &Standing) -> String {
    let references: Vec<String> = facts.references.iter().map(ToString::to_string).collect();
    format!(
        "NarHash {}, NarSize {}, References [{}], {}",
        facts.nar_hash,
        facts.nar_size,
        references.join(" "),
        standing.name()
    )
}
