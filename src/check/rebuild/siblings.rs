//! Outputs of one derivation that cannot come from one build.
//!
//! A build makes all outputs of a derivation at once, and a signature covers
//! one of them. A cache that was filled from two builds serves outputs that
//! never stood beside each other. Two things give that away: outputs that are
//! claimed to refer to each other in a circle, which Nix refuses to register;
//! and outputs of which our builds give some as claimed and others not, where
//! one leans on the other or somebody else claims what we built.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::{Claim, Contents, Source, Standing};
use super::facts::{DerivationFacts, OutputFacts, Production};
use super::rules;
use crate::check::{Finding, Level};
use crate::nix::store_path::{StoreDir, StorePath};

/// What one source claims of the outputs of a derivation, by output.
type Claimed<'a> = BTreeMap<&'a str, &'a Contents>;

/// The finding for claims about `derivation` that no single build can meet.
#[must_use]
pub fn mixed(derivation: &DerivationFacts, store_dir: &StoreDir) -> Option<Finding> {
    if derivation.outputs.len() < 2 {
        return None;
    }
    let mut claimed: BTreeMap<&Source, Claimed<'_>> = BTreeMap::new();
    for output in &derivation.outputs {
        for claim in output.claims.iter().filter(|claim| is_trusted(claim)) {
            if let Some(contents) = &claim.contents {
                claimed.entry(&claim.source).or_default().insert(&output.name, contents);
            }
        }
    }
    let builds = builds(derivation);
    let mut level = None;
    let mut evidence = Vec::new();
    for (source, outputs) in &claimed {
        if let Some(circle) = circle(derivation, outputs) {
            level = Some(Level::Error);
            evidence.push((format!("circle of references claimed by {source}"), circle));
        }
        if let Some(why) = never_together(source, outputs, &builds, derivation) {
            level = level.max(Some(rules::MIXED_SIBLINGS.level));
            evidence.push((format!("claimed by {source}"), why));
        }
    }
    let subject = store_dir.full(&derivation.drv_path);
    let message = "the outputs that are claimed need not come from one build, or cannot";
    let mut finding = Finding::new(&rules::MIXED_SIBLINGS, subject, message);
    finding.level = level?;
    for (label, value) in evidence {
        finding = finding.with(label, value);
    }
    Some(finding)
}

const fn is_trusted(claim: &Claim) -> bool {
    matches!(claim.standing, Standing::Trusted { .. })
}

/// What each build of ours gave.
fn builds(derivation: &DerivationFacts) -> Vec<Claimed<'_>> {
    let own = derivation
        .outputs
        .iter()
        .filter_map(|output| Some((output.name.as_str(), output.ours.as_ref()?)))
        .collect();
    let again = derivation.chain.iter().filter(|again| again.production == Production::Built);
    let again = again.map(|again| {
        again.outputs.iter().map(|(name, (_, contents))| (name.as_str(), contents)).collect()
    });
    let own = (derivation.production == Production::Built).then_some(own);
    own.into_iter().chain(again).collect()
}

/// Outputs that refer to each other in a circle, by name.
fn circle(derivation: &DerivationFacts, claimed: &Claimed<'_>) -> Option<String> {
    let paths: BTreeMap<&StorePath, &str> = derivation
        .outputs
        .iter()
        .filter_map(|output| Some((output.path.as_ref()?, output.name.as_str())))
        .collect();
    let next = |name: &str| -> BTreeSet<&str> {
        let references = claimed.get(name).into_iter().flat_map(|contents| &contents.references);
        let siblings = references.filter_map(|path| paths.get(path).copied());
        siblings.filter(|sibling| *sibling != name).collect()
    };
    // What nothing refers to is on no circle; what is left when all such are
    // gone is, or leads to one.
    let mut left: BTreeSet<&str> = claimed.keys().copied().collect();
    loop {
        let ends: Vec<&str> =
            left.iter().copied().filter(|name| next(name).is_disjoint(&left)).collect();
        if ends.is_empty() {
            break;
        }
        for end in ends {
            left.remove(end);
        }
    }
    let mut at = left.first().copied()?;
    let mut walked: Vec<&str> = Vec::new();
    loop {
        if let Some(start) = walked.iter().position(|name| *name == at) {
            let mut names = walked.split_off(start);
            names.push(at);
            return Some(names.join(" -> "));
        }
        walked.push(at);
        at = next(at).into_iter().find(|name| left.contains(name))?;
    }
}

/// Why what a source claims is not what one build of ours gives, though parts
/// of it are.
fn never_together(
    source: &Source,
    claimed: &Claimed<'_>,
    builds: &[Claimed<'_>],
    derivation: &DerivationFacts,
) -> Option<String> {
    let split = |build: &Claimed<'_>| -> (BTreeSet<&str>, BTreeSet<&str>) {
        claimed.iter().map(|(name, contents)| (*name, *contents)).fold(
            Default::default(),
            |(mut equal, mut other), (name, contents)| {
                let same = build.get(name).is_some_and(|ours| *ours == contents);
                if same {
                    equal.insert(name)
                } else {
                    other.insert(name)
                };
                (equal, other)
            },
        )
    };
    let splits: Vec<_> = builds.iter().map(split).collect();
    if splits.iter().any(|(_, other)| other.is_empty()) {
        return None;
    }
    let of = |name: &str| derivation.outputs.iter().find(|output| output.name == name);
    for (build, (equal, other)) in builds.iter().zip(&splits) {
        if equal.is_empty() {
            continue;
        }
        for name in other {
            let path = of(name).and_then(|output| output.path.as_ref());
            let leans = equal.iter().find(|equal| {
                let references = claimed.get(*equal).map(|contents| &contents.references);
                path.zip(references).is_some_and(|(path, references)| references.contains(path))
            });
            if let Some(equal) = leans {
                return Some(format!(
                    "'{equal}' is as we built it and refers to '{name}', which is not as that \
                     build made it"
                ));
            }
            let first = equal.first().copied().unwrap_or_default();
            let elsewhere = splits.iter().any(|(equal, _)| equal.contains(name));
            if elsewhere {
                return Some(format!(
                    "'{first}' is as one build of ours made it, '{name}' as another did"
                ));
            }
            let ours = build.get(name);
            let others = of(name).and_then(|output| claimed_by_other(output, source, *ours?));
            if let Some(other) = others {
                return Some(format!(
                    "'{first}' is as we built it, '{name}' is not, and what we built is what \
                     {other} claims"
                ));
            }
        }
    }
    None
}

/// Another source that claims what we built.
fn claimed_by_other<'a>(
    output: &'a OutputFacts,
    source: &Source,
    ours: &Contents,
) -> Option<&'a Source> {
    let agrees = |claim: &&Claim| {
        is_trusted(claim) && claim.source != *source && claim.contents.as_ref() == Some(ours)
    };
    output.claims.iter().find(agrees).map(|claim| &claim.source)
}

#[cfg(test)]
mod tests {
    use super::super::facts::ChainBuild;
    use super::super::fixture::{self, output, path, trusted};
    use super::*;

    fn contents(seed: u8, references: &[&str]) -> Contents {
        let references = references.iter().map(|name| path(name)).collect();
        Contents { references, ..fixture::contents(seed) }
    }

    fn claim(name: &str, source: &str, contents: Contents) -> Claim {
        let source = Source::Cache(source.into());
        Claim { source, contents: Some(contents), ..trusted(name, 0) }
    }

    /// An output, what we built of it, and what caches claim.
    type Made<'a> = (&'a str, u8, &'a [(&'a str, u8)]);

    /// Outputs with what we built and what is claimed; `out` refers to `lib`
    /// where `leaning` says so.
    fn derivation(
        leaning: bool,
        outputs: &[Made<'_>],
        again: Option<&[(&str, u8)]>,
    ) -> DerivationFacts {
        let made = |name: &str, seed| {
            contents(seed, if leaning && name == "out" { &["lib"] } else { &[] })
        };
        let outputs = outputs.iter().map(|(name, ours, claims)| {
            let claims = claims.iter().map(|(at, seed)| claim(name, at, made(name, *seed)));
            output(name, made(name, *ours), claims.collect())
        });
        DerivationFacts {
            chain: again.map(|again| ChainBuild {
                diverged: BTreeSet::new(),
                production: Production::Built,
                outputs: again
                    .iter()
                    .map(|(name, seed)| ((*name).to_owned(), (path(name), made(name, *seed))))
                    .collect(),
                contrasts: BTreeMap::new(),
            }),
            ..DerivationFacts::target(path("x.drv"), outputs.collect())
        }
    }

    fn why(derivation: &DerivationFacts) -> Option<String> {
        let finding = mixed(derivation, &StoreDir::default())?;
        let values: Vec<&str> = finding.evidence.iter().map(|one| one.value.as_str()).collect();
        Some(format!("{}: {}", finding.level, values.join("; ")))
    }

    #[test]
    fn what_one_build_gives_is_no_mixture() {
        for outputs in [
            &[("out", 1, &[("a", 1)][..]), ("lib", 2, &[("a", 2)])][..],
            &[("out", 1, &[("a", 9)]), ("lib", 2, &[("a", 9)])],
            &[("out", 1, &[]), ("lib", 2, &[("a", 9)])],
            &[("out", 1, &[("a", 9)])],
        ] {
            assert_eq!(why(&derivation(true, outputs, None)), None, "{outputs:?}");
        }
        // One output that does not reproduce, and nothing that leans on it.
        let plain = &[("out", 1, &[("a", 1)][..]), ("lib", 2, &[("a", 9)])];
        assert_eq!(why(&derivation(false, plain, None)), None);
    }

    #[test]
    fn an_output_does_not_stand_beside_the_one_it_leans_on() {
        let outputs = &[("out", 1, &[("a", 1)][..]), ("lib", 2, &[("a", 9)])];
        let said = why(&derivation(true, outputs, None)).unwrap();
        assert!(said.starts_with("warning: 'out' is as we built it and refers to 'lib'"), "{said}");
    }

    #[test]
    fn caches_that_share_a_build_between_them_are_mixed() {
        let outputs = &[("out", 1, &[("a", 1), ("b", 8)][..]), ("lib", 2, &[("a", 9), ("b", 2)])];
        let said = why(&derivation(false, outputs, None)).unwrap();
        assert!(said.contains("what we built is what b claims"), "{said}");
        assert!(said.contains("what we built is what a claims"), "{said}");
    }

    #[test]
    fn two_builds_of_ours_can_be_what_was_mixed() {
        let outputs = &[("out", 1, &[("a", 1)][..]), ("lib", 2, &[("a", 9)])];
        let again: &[(&str, u8)] = &[("out", 5), ("lib", 9)];
        let said = why(&derivation(false, outputs, Some(again))).unwrap();
        assert!(said.contains("as one build of ours made it, 'lib' as another did"), "{said}");
        let again: &[(&str, u8)] = &[("out", 1), ("lib", 9)];
        assert_eq!(why(&derivation(true, outputs, Some(again))), None);
    }

    #[test]
    fn a_circle_is_no_build_at_all() {
        let mut made =
            derivation(false, &[("out", 1, &[]), ("lib", 2, &[]), ("doc", 3, &[])], None);
        let refer = |made: &mut DerivationFacts, at: usize, to: &str, source: &str| {
            let name = made.outputs[at].name.clone();
            let own: &[&str] = &[to, &name];
            made.outputs[at].claims.push(claim(&name, source, contents(9, own)));
        };
        refer(&mut made, 0, "lib", "a");
        refer(&mut made, 1, "doc", "a");
        refer(&mut made, 2, "elsewhere", "a");
        refer(&mut made, 2, "out", "b");
        assert_eq!(why(&made), None);
        made.outputs[2].claims.clear();
        refer(&mut made, 2, "lib", "a");
        assert_eq!(why(&made).unwrap(), "error: doc -> lib -> doc");
    }
}
