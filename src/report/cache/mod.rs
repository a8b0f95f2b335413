//! What `verify cache` found out, as public JSON and as people read it.

mod facts;
mod view;

use std::sync::Arc;

use super::{LongList, Report};
use crate::check::Verdict;
use crate::check::cache::{Examined, Survey};

/// The name of the list of paths in the facts.
const PATHS: &str = "paths";

/// Puts a survey and its outcomes into a report.
#[must_use]
pub fn report(survey: Survey, examined: Examined) -> Report {
    let view = view::view(&survey, &examined);
    let mut examination = examined.examination;
    examination.facts = facts::facts(&survey, &examined.tallies, &examined.remarks);
    let outcomes: Vec<(Verdict, String)> = survey
        .subjects
        .iter()
        .map(|subject| {
            let id = survey.table.path(subject.id).map(|path| survey.store_dir.full(path));
            let known = id.and_then(|id| {
                let subjects = &examination.subjects;
                let at = subjects.binary_search_by(|subject| subject.id.cmp(&id)).ok()?;
                subjects.get(at)
            });
            known.map_or((Verdict::Inconclusive, String::new()), |subject| {
                (subject.verdict, subject.status.clone())
            })
        })
        .collect();
    let survey = Arc::new(survey);
    let mut report = Report::from(examination).with_view(view);
    report.long = Some(LongList::new(PATHS, move |at| {
        let (verdict, status) = outcomes.get(at)?;
        facts::path(&survey, survey.subjects.get(at)?, *verdict, status)
    }));
    report
}
