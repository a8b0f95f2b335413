//! Outputs of one derivation that come from different builds.
//!
//! One build makes all outputs, and they may depend on each other's content. A
//! source that has the first output as one source has it and the second as
//! another, while those two agree about neither, holds a mixture
//! (<https://github.com/NixOS/nix/issues/7756>). With fewer than three
//! sources that cannot be told: an output may just not be reproducible. What
//! one or two can show is a circle of references, which no build makes.

use std::collections::BTreeMap;

use super::facts::{Family, SubjectFacts, Survey};
use super::paths::PathId;
use crate::check::rebuild::rules::MIXED_SIBLINGS;
use crate::check::{Finding, Level};
use crate::nix::hash::NarHash;

/// Most outputs of one family that are compared with each other; genuine
/// derivations have up to some twenty.
const MAX_OUTPUTS: usize = 64;

/// The findings for all families of a survey: those it knows, and paths that
/// are claimed to have one deriver.
#[must_use]
pub fn mixed(survey: &Survey) -> Vec<Finding> {
    let subjects: BTreeMap<PathId, &SubjectFacts> =
        survey.subjects.iter().map(|subject| (subject.id, subject)).collect();
    let mut findings = Vec::new();
    for family in families(survey) {
        let outputs: Vec<&SubjectFacts> =
            family.outputs.iter().filter_map(|id| subjects.get(id).copied()).collect();
        let circle = circle(&family, &outputs, survey);
        findings.extend(circle.or_else(|| split_circle(&family, &outputs, survey)));
        // A mixture takes three sources.
        if survey.sources.len() > 2 {
            findings.extend(mixture(&family, &outputs, survey));
        }
    }
    findings
}

/// Known families, and those that claims about derivers suggest.
fn families(survey: &Survey) -> Vec<Family> {
    let mut by_deriver: BTreeMap<PathId, Vec<PathId>> = BTreeMap::new();
    for subject in &survey.subjects {
        let mut derivers: Vec<PathId> =
            subject.claims().filter_map(|(_, claim)| claim.deriver).collect();
        derivers.sort_unstable();
        derivers.dedup();
        for deriver in derivers {
            by_deriver.entry(deriver).or_default().push(subject.id);
        }
    }
    let claimed = by_deriver.into_iter().filter_map(|(deriver, outputs)| {
        let drv_path = survey.table.path(deriver)?.clone();
        let known = survey.families.iter().any(|family| family.drv_path == drv_path);
        (outputs.len() > 1 && !known).then_some(Family { drv_path, outputs })
    });
    survey.families.iter().cloned().chain(claimed).collect()
}

/// Outputs that a source claims to refer to each other: Nix refuses to
/// register such, so that no build has made them.
fn circle(family: &Family, outputs: &[&SubjectFacts], survey: &Survey) -> Option<Finding> {
    let outputs = outputs.get(..MAX_OUTPUTS.min(outputs.len())).unwrap_or_default();
    for (source, name) in survey.sources.iter().enumerate() {
        for (at, one) in outputs.iter().enumerate() {
            let mut others = outputs.iter().skip(at.saturating_add(1));
            let other =
                others.find(|other| refers(source, one, other) && refers(source, other, one));
            let Some(other) = other else { continue };
            let path = |id| survey.table.path(id).map(|path| survey.store_dir.full(path));
            let message = format!("{name} claims outputs that refer to each other in a circle");
            let mut finding =
                Finding::new(&MIXED_SIBLINGS, survey.store_dir.full(&family.drv_path), message)
                    .weighed(Level::Error);
            for id in [one.id, other.id] {
                finding = finding.with("output", path(id).unwrap_or_default());
            }
            return Some(finding);
        }
    }
    None
}

/// Outputs that refer to each other as two sources claim them, where whoever
/// uses both gets one of each: one of the sources lacks one of the outputs.
fn split_circle(family: &Family, outputs: &[&SubjectFacts], survey: &Survey) -> Option<Finding> {
    let outputs = outputs.get(..MAX_OUTPUTS.min(outputs.len())).unwrap_or_default();
    let sources = || survey.sources.iter().enumerate();
    for one in outputs {
        for other in outputs.iter().filter(|other| other.id != one.id) {
            for (at, name) in sources().filter(|(at, _)| refers(*at, one, other)) {
                let second = sources().find(|(second, _)| {
                    let lacking = hash(other, at).is_none() || hash(one, *second).is_none();
                    lacking && refers(*second, other, one)
                });
                let Some((_, second)) = second else { continue };
                let path = |id| survey.table.path(id).map(|path| survey.store_dir.full(path));
                let (first, last) = (path(one.id)?, path(other.id)?);
                let message = format!(
                    "{first} as {name} has it and {last} as {second} has it refer to each other: \
                     these are two builds"
                );
                let drv_path = survey.store_dir.full(&family.drv_path);
                let finding = Finding::new(&MIXED_SIBLINGS, drv_path, message);
                return Some(finding.with("output", first).with("output", last));
            }
        }
    }
    None
}

/// Whether a source claims that one output refers to another.
fn refers(source: usize, from: &SubjectFacts, to: &SubjectFacts) -> bool {
    let claim = from.answers.get(source).and_then(|answer| answer.claim());
    claim.is_some_and(|claim| claim.references.contains(&to.id))
}

/// What a source claims an output's content to be.
fn hash(subject: &SubjectFacts, source: usize) -> Option<NarHash> {
    Some(subject.answers.get(source)?.claim()?.nar_hash)
}

fn mixture(family: &Family, outputs: &[&SubjectFacts], survey: &Survey) -> Option<Finding> {
    let sources = survey.sources.len();
    let outputs = outputs.get(..MAX_OUTPUTS.min(outputs.len())).unwrap_or_default();
    // Pairs in which there is nothing to tell apart are passed over at once.
    let differ = |subject: &&&SubjectFacts| {
        let mut hashes = (0..sources).filter_map(|source| hash(subject, source));
        let first = hashes.next();
        hashes.any(|other| Some(other) != first)
    };
    let outputs: Vec<&SubjectFacts> = outputs.iter().filter(differ).copied().collect();
    for (at, one) in outputs.iter().enumerate() {
        for other in outputs.iter().skip(at.saturating_add(1)) {
            let pair = |source| Some((hash(one, source)?, hash(other, source)?));
            for mixed in 0..sources {
                let Some((first, second)) = pair(mixed) else { continue };
                let like = |wanted: fn((bool, bool)) -> bool| {
                    (0..sources).find(|source| {
                        *source != mixed
                            && pair(*source).is_some_and(|(a, b)| wanted((a == first, b == second)))
                    })
                };
                let like_first = like(|(first, second)| first && !second);
                let like_second = like(|(first, second)| !first && second);
                if let (Some(a), Some(b)) = (like_first, like_second) {
                    return Some(finding(family, (one, other), (mixed, a, b), survey));
                }
            }
        }
    }
    None
}

fn finding(
    family: &Family,
    (one, other): (&SubjectFacts, &SubjectFacts),
    (mixed, like_first, like_second): (usize, usize, usize),
    survey: &Survey,
) -> Finding {
    let name =
        |source: usize| survey.sources.get(source).map(ToString::to_string).unwrap_or_default();
    let path = |id: PathId| {
        survey.table.path(id).map(|path| survey.store_dir.full(path)).unwrap_or_default()
    };
    let (first, second) = (path(one.id), path(other.id));
    let message = format!(
        "{} has {first} as {} has it, but {second} as {} has it: these are two builds",
        name(mixed),
        name(like_first),
        name(like_second)
    );
    let mut finding =
        Finding::new(&MIXED_SIBLINGS, survey.store_dir.full(&family.drv_path), message);
    for (subject, path) in [(one, first), (other, second)] {
        for source in [mixed, like_first, like_second] {
            if let Some(hash) = hash(subject, source) {
                finding = finding.with(format!("NarHash of {path} by {}", name(source)), hash);
            }
        }
    }
    finding
}
