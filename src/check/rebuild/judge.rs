//! One output of ours against every claim about it.

use super::claim::{Claim, Contents, Difference, Standing};
use super::rules;
use crate::check::{Finding, Verdict};
use crate::nix::store_path::StorePath;

/// What came of one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputStatus {
    /// A trusted claim equals ours and none differs.
    Reproduced,
    /// The content is fixed by its hash, which ours has.
    FixedByHash,
    /// Nothing trusted claims anything about it.
    NoReference,
    /// A trusted claim differs from ours.
    Differs,
    /// A signature under a trusted name is bad.
    Forged,
}

impl OutputStatus {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::FixedByHash => "fixed-by-hash",
            Self::NoReference => "no-reference",
            Self::Differs => "differs",
            Self::Forged => "forged",
        }
    }

    /// The answer that the status amounts to.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Reproduced | Self::FixedByHash => Verdict::Pass,
            Self::NoReference => Verdict::Inconclusive,
            Self::Differs | Self::Forged => Verdict::Fail,
        }
    }
}

/// What says what the content of an output should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Its path follows from its derivation: claims about the path.
    #[default]
    Claims,
    /// Its derivation fixes its hash.
    Fixed,
    /// Its path follows from its content: only realisations say which path is
    /// the derivation's. That somebody signed what lies at the path we built
    /// says nothing of where it came from.
    Realisations,
}

impl Basis {
    /// Whether `claim`, if it equals ours, says that others built the same.
    #[must_use]
    pub const fn supports(self, claim: &Claim) -> bool {
        !matches!(self, Self::Realisations) || claim.contents.is_none()
    }
}

/// The judgement over one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What came of it.
    pub status: OutputStatus,
    /// One finding for each claim that differs, is forged or is oddly signed.
    pub findings: Vec<Finding>,
}

/// Judges `ours`, the content we built for the output `path`, by `claims`.
///
/// Fixed content was already proven by the hash its derivation fixes; such an
/// output passes without a claim, but a trusted claim that differs or a forged
/// one still fails it.
#[must_use]
pub fn judge(
    path: &str,
    built: &StorePath,
    ours: &Contents,
    basis: Basis,
    claims: &[Claim],
) -> Judgement {
    let mut findings = Vec::new();
    let (mut equal, mut differs, mut forged) = (false, false, false);
    for claim in claims {
        match &claim.standing {
            Standing::Trusted { .. } if claim.equals(built, ours) => equal |= basis.supports(claim),
            Standing::Trusted { .. } => {
                differs = true;
                findings.push(difference(path, built, ours, claim));
            }
            Standing::Forged { .. } => {
                forged = true;
                findings.push(rules::forged(path, claim));
            }
            Standing::UnsortedReferences { keys } => findings.push(
                Finding::new(
                    &rules::UNSORTED_REFERENCES,
                    path,
                    format!(
                        "the claim of {} is signed over unsorted references and decides nothing",
                        claim.source
                    ),
                )
                .with("key", keys.join(", ")),
            ),
            Standing::Untrusted { .. } => {}
        }
    }
    let status = if forged {
        OutputStatus::Forged
    } else if differs {
        OutputStatus::Differs
    } else if basis == Basis::Fixed {
        OutputStatus::FixedByHash
    } else if equal {
        OutputStatus::Reproduced
    } else {
        OutputStatus::NoReference
    };
    Judgement { status, findings }
}

/// The finding for a trusted claim that differs from ours.
fn difference(path: &str, built: &StorePath, ours: &Contents, claim: &Claim) -> Finding {
    let differences = claim.differences(ours);
    let mut named: Vec<&str> = differences.iter().map(|difference| difference.name()).collect();
    if claim.path != *built {
        named.insert(0, "StorePath");
    }
    let mut finding = Finding::new(
        &rules::OUTPUT_DIFFERS,
        path,
        format!(
            "{} of our build {} from the claim of {}",
            named.join(", "),
            if named.len() == 1 { "differs" } else { "differ" },
            claim.source
        ),
    )
    .with("signed by", claim.standing.keys().join(", "));
    if claim.path != *built {
        finding = finding.with("claimed StorePath", &claim.path).with("our StorePath", built);
    }
    let Some(claimed) = &claim.contents else { return finding };
    for difference in differences {
        finding = match difference {
            Difference::NarHash => {
                finding.with("claimed NarHash", claimed.nar_hash).with("our NarHash", ours.nar_hash)
            }
            Difference::NarSize => {
                finding.with("claimed NarSize", claimed.nar_size).with("our NarSize", ours.nar_size)
            }
            Difference::References => {
                let only = |a: &Contents, b: &Contents| {
                    a.references
                        .difference(&b.references)
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                finding
                    .with("references claimed only", only(claimed, ours))
                    .with("references of ours only", only(ours, claimed))
            }
        };
    }
    for contrast in &claim.contrast {
        finding = contrast.tell(finding);
    }
    finding
}

/// The findings for forged claims, which need no build to be true.
#[must_use]
pub fn forgeries(path: &str, claims: &[Claim]) -> Vec<Finding> {
    claims
        .iter()
        .filter(|claim| matches!(claim.standing, Standing::Forged { .. }))
        .map(|claim| rules::forged(path, claim))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, contents, path};
    use super::*;

    fn trusted(seed: u8) -> Claim {
        fixture::trusted("x", seed)
    }

    fn claim(seed: u8, standing: Standing) -> Claim {
        Claim { standing, ..trusted(seed) }
    }

    fn forged(seed: u8) -> Claim {
        claim(seed, Standing::Forged { keys: vec!["k-1".into()] })
    }

    fn untrusted(seed: u8) -> Claim {
        claim(seed, Standing::Untrusted { unknown_keys: vec![] })
    }

    fn unsorted(seed: u8) -> Claim {
        claim(seed, Standing::UnsortedReferences { keys: vec!["k-1".into()] })
    }

    fn status(basis: Basis, claims: &[Claim]) -> OutputStatus {
        judge("/nix/store/x", &path("x"), &contents(1), basis, claims).status
    }

    #[test]
    fn claims_combine_as_the_contract_says() {
        use OutputStatus::*;
        for (claims, wanted) in [
            (vec![], NoReference),
            (vec![trusted(1)], Reproduced),
            (vec![trusted(1), trusted(1)], Reproduced),
            (vec![trusted(2)], Differs),
            (vec![trusted(1), trusted(2)], Differs),
            (vec![untrusted(1)], NoReference),
            (vec![untrusted(2)], NoReference),
            (vec![untrusted(2), trusted(1)], Reproduced),
            (vec![forged(1)], Forged),
            (vec![forged(2), trusted(1)], Forged),
            (vec![forged(2), trusted(2)], Forged),
            (vec![unsorted(1)], NoReference),
            (vec![unsorted(2), trusted(1)], Reproduced),
        ] {
            assert_eq!(status(Basis::Claims, &claims), wanted, "{claims:?}");
        }
    }

    #[test]
    fn fixed_outputs_pass_alone_but_not_against_a_trusted_claim() {
        assert_eq!(status(Basis::Fixed, &[]), OutputStatus::FixedByHash);
        assert_eq!(status(Basis::Fixed, &[untrusted(2)]), OutputStatus::FixedByHash);
        assert_eq!(status(Basis::Fixed, &[trusted(2)]), OutputStatus::Differs);
        assert_eq!(status(Basis::Fixed, &[forged(1)]), OutputStatus::Forged);
    }

    #[test]
    fn only_realisations_say_what_a_content_addressed_output_is() {
        let realisation = |standing| Claim { contents: None, ..claim(0, standing) };
        let signed = || Standing::Trusted { keys: vec!["k-1".into()] };
        let elsewhere = Claim { path: path("other"), ..realisation(signed()) };
        let unsigned = realisation(Standing::Untrusted { unknown_keys: vec![] });
        for (claims, wanted) in [
            (vec![trusted(1)], OutputStatus::NoReference),
            (vec![trusted(1), unsigned], OutputStatus::NoReference),
            (vec![realisation(signed())], OutputStatus::Reproduced),
            (vec![trusted(1), realisation(signed())], OutputStatus::Reproduced),
            (vec![trusted(1), elsewhere], OutputStatus::Differs),
            (vec![trusted(2), realisation(signed())], OutputStatus::Differs),
        ] {
            assert_eq!(status(Basis::Realisations, &claims), wanted, "{claims:?}");
        }
    }

    #[test]
    fn a_claim_about_another_path_differs() {
        let mut other = trusted(1);
        other.path = path("other");
        assert_eq!(status(Basis::Claims, &[other]), OutputStatus::Differs);
    }

    #[test]
    fn references_alone_can_differ() {
        let mut claim = trusted(1);
        claim.contents.as_mut().unwrap().references.insert(path("y"));
        let judgement = judge("p", &path("x"), &contents(1), Basis::Claims, &[claim]);
        assert_eq!(judgement.status, OutputStatus::Differs);
        assert!(judgement.findings[0].message.starts_with("References of our build"));
    }
}
