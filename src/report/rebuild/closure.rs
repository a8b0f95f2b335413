//! A closure as people read it: the rate, who diverges first, what our own
//! chain of builds gives.

use super::view::short;
use crate::check::rebuild::blame::{Divergent, Rate, divergent};
use crate::check::rebuild::chain::{Chain, chain};
use crate::check::rebuild::facts::{DerivationFacts, Rebuild, Role};
use crate::check::rebuild::sampled::SampleResult;
use crate::check::rebuild::{Basis, OutputVerdict};
use crate::report::view::{Cell, Column, Section, Table, Tone};

/// Divergent derivations that are listed; the report as JSON has all.
const SHOWN_DIVERGENT: usize = 30;

/// Derivations that are named for one thing about our own chain.
const SHOWN_CHAINED: usize = 8;

/// Labelled values about a closure or a sample.
pub(super) fn entries(
    rebuild: &Rebuild,
    verdicts: &[OutputVerdict<'_>],
) -> Vec<(&'static str, String)> {
    let mut entries = Vec::new();
    let members =
        rebuild.derivations.iter().filter(|facts| facts.role != Role::Input).collect::<Vec<_>>();
    let is_closure = members.iter().any(|facts| facts.role == Role::Member);
    if is_closure && rebuild.sample.is_none() {
        let fixed = members.iter().filter(|facts| facts.basis == Basis::Fixed).count();
        let built = members.len() - fixed;
        entries.push(("closure", format!("{built} derivations on {fixed} fixed outputs")));
    }
    let rate = Rate::of(verdicts);
    if let Some(percent) = rate.percent().filter(|_| is_closure || rate.judged > 1) {
        let Rate { reproduced, judged, unjudged, .. } = rate;
        let mut text = format!("{percent}: {reproduced} of {judged} judged outputs");
        if unjudged > 0 {
            text.push_str(&format!(" ({unjudged} could not be judged)"));
        }
        entries.push(("reproduced", text));
    }
    if let Some(sample) = &rebuild.sample {
        let result = SampleResult::of(sample, verdicts);
        let (drawn, population) = (sample.drawn.len(), sample.population);
        entries.push((
            "sample",
            format!("{drawn} of {population} derivations, drawn with the seed '{}'", sample.seed),
        ));
        let bad = if result.unanswered > 0 { "differ or could not be judged" } else { "differ" };
        entries.push(("bound", result.bound.sentence("derivations", bad)));
    }
    entries
}

/// Who diverges first, and what our own chain gives.
pub(super) fn sections(rebuild: &Rebuild, verdicts: &[OutputVerdict<'_>]) -> Vec<Section> {
    let divergent = divergent(rebuild, verdicts);
    let mut sections = Vec::new();
    let several = rebuild.derivations.iter().any(|facts| !facts.reads.is_empty());
    if several && !divergent.is_empty() {
        sections.push(blamed(&divergent));
    }
    sections.extend(own_chain(rebuild));
    sections
}

fn blamed(divergent: &[Divergent]) -> Section {
    let rows = divergent.iter().take(SHOWN_DIVERGENT).map(|one| {
        let below = one.below.first().map(short).unwrap_or_default();
        let place = match one.below.as_slice() {
            [] => Cell::judged(Tone::Bad, "first"),
            [_] => Cell::toned(Tone::Plain, format!("above {below}")),
            [_, others @ ..] => {
                Cell::toned(Tone::Plain, format!("above {below} and {} more", others.len()))
            }
        };
        vec![
            place,
            short(&one.drv_path).into(),
            one.outputs.join(", ").into(),
            one.dependents.to_string().into(),
            one.targets.to_string().into(),
        ]
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let left_out = divergent.len().saturating_sub(rows.len());
    let title = if left_out > 0 {
        format!("Divergent derivations, the first ones first (and {left_out} more)")
    } else {
        "Divergent derivations, the first ones first".to_owned()
    };
    Section::Table(Table {
        title,
        columns: vec![
            Column::text("place"),
            Column::text("derivation"),
            Column::text("outputs"),
            Column::number("stand on it"),
            Column::number("targets"),
        ],
        rows,
    })
}

/// What came of building on our own chain, where there is one.
fn own_chain(rebuild: &Rebuild) -> Option<Section> {
    let with = |wanted: Chain| -> Vec<&DerivationFacts> {
        let there = |facts: &&DerivationFacts| chain(rebuild, facts) == Some(wanted);
        rebuild.derivations.iter().filter(there).collect()
    };
    let mut entries = Vec::new();
    for (state, words) in [
        (Chain::Differs, "give something else than is claimed"),
        (Chain::Absorbed, "give what is claimed all the same"),
        (Chain::NotBuilt, "could not be built"),
    ] {
        let found = with(state);
        if found.is_empty() {
            continue;
        }
        let mut names: Vec<String> =
            found.iter().take(SHOWN_CHAINED).map(|facts| short(&facts.drv_path)).collect();
        if found.len() > names.len() {
            names.push("…".to_owned());
        }
        let text = format!("{} {words}: {}", found.len(), names.join(", "));
        entries.push((state.name().to_owned(), Cell::from(text)));
    }
    let title = "Our own chain: what reads something that diverged, built on what we made of that"
        .to_owned();
    (!entries.is_empty()).then_some(Section::Facts { title, entries })
}
