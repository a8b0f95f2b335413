//! The facts of a rebuild as people read them.

use std::collections::BTreeMap;

use super::{closure, equal, location};
use crate::check::rebuild::facts::{
    DerivationFacts, InputFacts, OutputFacts, Production, Rebuild, Role, WorldFact,
};
use crate::check::rebuild::{Basis, Claim, OutputVerdict, Standing, verdicts};
use crate::check::{Reason, Verdict};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::difference;
use crate::report::view::{Cell, Column, Section, Table, Tone, View};

/// Lines of a failed build's log that are shown to people.
const SHOWN_LOG_LINES: usize = 10;

/// Outputs whose differing bytes are shown to people.
const SHOWN_DIFFERENCES: usize = 5;

/// Outputs of a closure that passed and are still listed one by one.
const SHOWN_PASSED: usize = 20;

/// What people see: how it was built, every output worst first, the ends of
/// failed builds' logs.
#[must_use]
pub fn view(rebuild: &Rebuild, store_dir: &StoreDir) -> View {
    let verdicts = verdicts(rebuild, store_dir);
    let mut sections = vec![setting(rebuild, &verdicts)];
    sections.extend(closure::sections(rebuild, &verdicts));
    sections.push(outputs(&verdicts));
    for derivation in &rebuild.derivations {
        if let Production::Missing { tail, .. } = &derivation.production
            && !tail.is_empty()
        {
            let skip = tail.len().saturating_sub(SHOWN_LOG_LINES);
            sections.push(Section::Lines {
                title: format!("End of the log of {}", derivation.drv_path),
                lines: tail.iter().skip(skip).cloned().collect(),
            });
        }
    }
    let outputs = rebuild.derivations.iter().flat_map(|derivation| {
        derivation.outputs.iter().map(move |output| (output_name(derivation, output), output))
    });
    let differing = outputs.filter_map(|(name, output)| difference::section(&name, output));
    sections.extend(differing.take(SHOWN_DIFFERENCES));
    sections.extend(other_worlds(rebuild));
    View { sections, noun: Some(("output", "outputs")), lists_subjects: true }
}

/// What is otherwise in other worlds: each of it while some difference has no
/// cause of its own, else only how much.
fn other_worlds(rebuild: &Rebuild) -> Option<Section> {
    let here = &rebuild.world;
    let lines = rebuild.other_worlds.iter().map(|WorldFact { fact, here, otherwise_in }| {
        let others = otherwise_in.join(", ");
        if *here {
            format!("{fact} (not in {others})")
        } else {
            format!("not so: {fact} (but in {others})")
        }
    });
    let mut lines: Vec<String> = lines.collect();
    let outputs = rebuild.derivations.iter().flat_map(|derivation| &derivation.outputs);
    let contrasts = outputs.flat_map(|output| &output.claims).flat_map(|claim| &claim.contrast);
    let explained: Vec<bool> = contrasts
        .map(|contrast| contrast.explained.as_ref().is_ok_and(|one| one.explained))
        .collect();
    if !explained.is_empty() && explained.iter().all(|explained| *explained) && !lines.is_empty() {
        lines = vec![format!(
            "{} things that builders can tell; every difference has a cause of its own, so the \
             report has them as JSON only",
            lines.len()
        )];
    }
    let title = format!(
        "If another Nix made the claim, what {here} does could explain a difference (try --world)"
    );
    (!lines.is_empty()).then_some(Section::Lines { title, lines })
}

/// World, sandbox and inputs, in a few lines.
fn setting(rebuild: &Rebuild, verdicts: &[OutputVerdict<'_>]) -> Section {
    let sandbox = &rebuild.sandbox;
    let mut entries: Vec<(String, Cell)> = vec![("world".to_owned(), rebuild.world.clone().into())];
    let mut add = |label: &str, cell: Cell| entries.push((label.to_owned(), cell));
    if !sandbox.ownership.is_empty() {
        add("sandbox", sandbox.ownership.clone().into());
    }
    for difference in &sandbox.differences {
        add("unlike Nix", Cell::toned(Tone::Doubtful, difference.clone()));
    }
    if let Some(shell) = &sandbox.shell {
        add("/bin/sh", format!("{} (sha256 {})", shell.origin, shell.sha256).into());
    }
    add("inputs", inputs_sentence(&rebuild.inputs).into());
    for (label, text) in closure::entries(rebuild, verdicts) {
        add(label, text.into());
    }
    for remark in &rebuild.remarks {
        add("remark", Cell::toned(Tone::Doubtful, remark.clone()));
    }
    Section::Facts { title: String::new(), entries }
}

/// How many inputs there were and why they were trusted.
fn inputs_sentence(inputs: &[InputFacts]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for input in inputs {
        *kinds.entry(input.origin.name()).or_default() += 1;
    }
    let parts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Every output with its result and who claims what. Of a large closure only
/// the targets and what did not pass.
fn outputs(verdicts: &[OutputVerdict<'_>]) -> Section {
    let passed = |judged: &OutputVerdict<'_>| {
        judged.derivation.role == Role::Member && judged.verdict() == Verdict::Pass
    };
    let many = verdicts.iter().filter(|judged| passed(judged)).count() > SHOWN_PASSED;
    let mut rows = Vec::new();
    let mut left_out = 0_usize;
    for judged in verdicts.iter().filter(|judged| judged.is_asked()) {
        if many && passed(judged) {
            left_out += 1;
            continue;
        }
        let tone = match judged.verdict() {
            Verdict::Pass => Tone::Good,
            Verdict::Inconclusive => Tone::Doubtful,
            Verdict::Fail => Tone::Bad,
        };
        let status = match judged.derivation.role {
            Role::Target | Role::Member => judged.word().to_owned(),
            Role::Input => format!("{} (input)", judged.word()),
        };
        let name = output_name(judged.derivation, judged.output);
        let mut because = claims_cell(judged.derivation, judged.output);
        if let Some(stability) = &judged.stability {
            because.text = format!("{}; {}", because.text, stability.sentence());
        }
        rows.push((judged.verdict(), vec![Cell::judged(tone, status), name.into(), because]));
    }
    rows.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    let title = if left_out > 0 {
        format!("Outputs (and {left_out} of the closure that passed)")
    } else {
        "Outputs".to_owned()
    };
    Section::Table(Table {
        title,
        columns: vec![Column::text("result"), Column::text("output"), Column::text("because")],
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    })
}

/// Characters of a hash part that tell outputs of one name apart.
const SHOWN_HASH: usize = 8;

/// A store path in few columns; findings name it in full.
pub(super) fn short(path: &StorePath) -> String {
    let hash: String = path.hash_part().chars().take(SHOWN_HASH).collect();
    format!("{hash}..-{}", path.name())
}

/// An output in few columns.
fn output_name(derivation: &DerivationFacts, output: &OutputFacts) -> String {
    output
        .path
        .as_ref()
        .map_or_else(|| format!("{}!{}", short(&derivation.drv_path), output.name), short)
}

/// One line on why an output has its result.
fn claims_cell(derivation: &DerivationFacts, output: &OutputFacts) -> Cell {
    if let Production::Missing { reason, .. } = &derivation.production {
        return Cell::toned(Tone::Doubtful, missing_words(*reason));
    }
    if output.claims.is_empty() {
        let text = if derivation.basis == Basis::Fixed {
            "has the hash its derivation fixes"
        } else {
            "nobody claims anything about it"
        };
        return Cell::toned(Tone::Dim, text);
    }
    let claims: Vec<String> =
        output.claims.iter().map(|claim| claim_words(derivation.basis, output, claim)).collect();
    claims.join("; ").into()
}

/// Why there is no output, in few words; the particulars are said below.
const fn missing_words(reason: Reason) -> &'static str {
    match reason {
        Reason::BuildFailed => "our build failed",
        Reason::LimitReached => "our build was stopped at a limit",
        Reason::InputMissing => "an input could not be had",
        Reason::BlockedBy => "an input could not be built",
        Reason::DerivationMissing => "a derivation is missing",
        Reason::FetchImpossible => "plain fetching cannot make it",
        Reason::Offline => "it would have to be fetched",
        Reason::Environment => "this machine could not build it",
        Reason::Unsupported => "it needs what is not supported",
        _ => "it could not be built",
    }
}

fn claim_words(basis: Basis, output: &OutputFacts, claim: &Claim) -> String {
    let keys = claim.standing.keys().join(", ");
    match (&claim.standing, equal(output, claim)) {
        (Standing::Trusted { .. }, Some(true)) if !basis.supports(claim) => {
            format!("{keys} signed that path, but not as this output")
        }
        (Standing::Trusted { .. }, Some(true)) => format!("equals what {keys} signed"),
        (Standing::Trusted { .. }, Some(false)) => format!("{keys} signed other content"),
        (Standing::Trusted { .. }, None) => format!("{keys} signed a claim"),
        (Standing::Forged { .. }, _) => format!("bad signature by {keys}"),
        (Standing::UnsortedReferences { .. }, _) => format!("{keys} signed unsorted references"),
        (Standing::Untrusted { .. }, Some(true)) => {
            format!("equals an untrusted claim of {}", location(&claim.source))
        }
        (Standing::Untrusted { .. }, Some(false)) => {
            format!("differs from an untrusted claim of {}", location(&claim.source))
        }
        (Standing::Untrusted { .. }, None) => "an untrusted claim".to_owned(),
    }
}
