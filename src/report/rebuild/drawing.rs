//! The graph of a rebuild, drawn: who builds on whom, and what came of each.

use std::collections::BTreeMap;

use crate::check::rebuild::blame::{Divergent, divergent};
use crate::check::rebuild::chain::{Chain, chain};
use crate::check::rebuild::facts::{DerivationFacts, Rebuild, Role};
use crate::check::rebuild::{Basis, OutputStatus, OutputVerdict, verdicts};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::report::drawing::{Drawing, Node, Shade};

/// What is drawn of a rebuild: every derivation, but a fixed output only if
/// something is wrong with it, for half of a graph is sources.
#[must_use]
pub fn drawing(rebuild: &Rebuild, store_dir: &StoreDir) -> Drawing {
    let verdicts = verdicts(rebuild, store_dir);
    let blamed: BTreeMap<StorePath, Divergent> =
        divergent(rebuild, &verdicts).into_iter().map(|one| (one.drv_path.clone(), one)).collect();
    let mut by_derivation: BTreeMap<&StorePath, Vec<&OutputVerdict<'_>>> = BTreeMap::new();
    for judged in &verdicts {
        by_derivation.entry(&judged.derivation.drv_path).or_default().push(judged);
    }
    let mut nodes = Vec::new();
    let mut places: BTreeMap<&StorePath, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for facts in &rebuild.derivations {
        let judged = by_derivation.get(&facts.drv_path).map(Vec::as_slice).unwrap_or_default();
        let blamed = blamed.get(&facts.drv_path);
        let shade = shade(facts, judged, blamed);
        if shade == Shade::Fixed {
            continue;
        }
        let chain = chain(rebuild, facts);
        places.insert(&facts.drv_path, nodes.len());
        shown.push(facts);
        nodes.push(Node {
            label: facts.drv_path.name().trim_end_matches(".drv").to_owned(),
            title: title(facts, judged, blamed, chain, store_dir),
            shade,
            broken: matches!(chain, Some(Chain::Differs | Chain::NotBuilt))
                && facts.chain.is_some(),
        });
    }
    let mut edges = Vec::new();
    for facts in &shown {
        let Some(to) = places.get(&facts.drv_path) else { continue };
        let from = facts.reads.iter().filter_map(|read| places.get(read));
        edges.extend(from.map(|from| (*from, *to)));
    }
    let targets = rebuild.derivations.iter().filter(|facts| facts.role == Role::Target);
    let mut names: Vec<&str> =
        targets.map(|facts| facts.drv_path.name().trim_end_matches(".drv")).collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let hidden = rebuild.derivations.len().saturating_sub(nodes.len());
    let hidden =
        if hidden > 0 { format!(", {hidden} fixed outputs not drawn") } else { String::new() };
    Drawing {
        title: format!("{}{more}: {} derivations{hidden}", names.join(", "), nodes.len()),
        broken_means: "our own chain of builds gives something else, or nothing".to_owned(),
        nodes,
        edges,
    }
}

/// Targets that the title names.
const NAMED: usize = 3;

/// The worst that came of the outputs of a derivation.
fn shade(
    facts: &DerivationFacts,
    judged: &[&OutputVerdict<'_>],
    blamed: Option<&Divergent>,
) -> Shade {
    if let Some(blamed) = blamed {
        return if blamed.is_first() { Shade::First } else { Shade::Differs };
    }
    let worst = judged.iter().map(|judged| match judged.status {
        Some(OutputStatus::Differs) => Shade::Differs,
        Some(OutputStatus::Forged) => Shade::Forged,
        Some(OutputStatus::Reproduced) => Shade::Good,
        Some(OutputStatus::FixedByHash) => Shade::Fixed,
        Some(OutputStatus::NoReference) | None if facts.role == Role::Input => Shade::Unasked,
        Some(OutputStatus::NoReference) | None => Shade::Open,
    });
    worst.min().unwrap_or(if facts.basis == Basis::Fixed { Shade::Fixed } else { Shade::Open })
}

/// All that there is to say of a derivation.
fn title(
    facts: &DerivationFacts,
    judged: &[&OutputVerdict<'_>],
    blamed: Option<&Divergent>,
    chain: Option<Chain>,
    store_dir: &StoreDir,
) -> Vec<String> {
    let mut lines = vec![format!("{} ({})", store_dir.full(&facts.drv_path), facts.role.name())];
    for judged in judged {
        lines.push(format!("{}: {}", judged.output.name, judged.word()));
        if let Some(open) = &judged.open {
            lines.push(format!("  {}", open.detail));
        }
    }
    if let Some(blamed) = blamed {
        let place =
            if blamed.is_first() { "nothing below it differs" } else { "others below differ" };
        lines.push(format!(
            "{place}; {} derivations build on it, {} of them targets",
            blamed.dependents, blamed.targets
        ));
    }
    if let (Some(chain), Some(again)) = (chain, &facts.chain) {
        let inputs: Vec<&str> = again.diverged.iter().map(StorePath::name).collect();
        lines.push(format!("our own chain: {} (by {})", chain.name(), inputs.join(", ")));
    }
    lines
}
