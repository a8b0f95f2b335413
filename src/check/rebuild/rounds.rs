//! Several builds of one derivation beside each other: is an output the same
//! every time? "Differs from the cache" and "never the same twice" are two
//! things.

use std::collections::BTreeMap;

use super::claim::{Contents, Standing};
use super::contrast::Contrast;
use super::facts::{DerivationFacts, OutputFacts};
use super::rules;
use crate::check::{Finding, Inconclusive, Reason};

/// The check that outputs of repeated builds undergo.
pub const STABLE: &str = "stable";

/// One repetition of a build; the first build is round 0 and not among these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundFacts {
    /// Its number.
    pub round: u32,
    /// What was otherwise than in the first build, and what was not.
    pub varied: Vec<String>,
    /// Its outputs by name, or why there are none.
    pub outputs: Result<BTreeMap<String, Contents>, (Reason, String)>,
}

/// An output of the first build beside that of the first round that gave
/// something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// The round.
    pub round: u32,
    /// How the two differ.
    pub contrast: Contrast,
}

/// Which rounds of one output gave the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stability {
    /// What was built, and by which rounds, in the order of the first of them.
    pub results: Vec<(Contents, Vec<u32>)>,
    /// The rounds that gave nothing, and why.
    pub missing: Vec<(u32, Reason, String)>,
}

impl Stability {
    /// Of an output of a derivation that was built more than once.
    #[must_use]
    pub fn of(derivation: &DerivationFacts, output: &OutputFacts) -> Option<Self> {
        let first = output.ours.as_ref().filter(|_| !derivation.rounds.is_empty())?;
        let mut stability = Self { results: vec![(first.clone(), vec![0])], missing: Vec::new() };
        for RoundFacts { round, outputs, .. } in &derivation.rounds {
            match outputs {
                Err((reason, why)) => stability.missing.push((*round, *reason, why.clone())),
                Ok(outputs) => match outputs.get(&output.name) {
                    Some(contents) => stability.add(*round, contents),
                    None => {
                        let why = "the build ended without this output".to_owned();
                        stability.missing.push((*round, Reason::BuildFailed, why));
                    }
                },
            }
        }
        Some(stability)
    }

    fn add(&mut self, round: u32, contents: &Contents) {
        match self.results.iter_mut().find(|(known, _)| known == contents) {
            Some((_, rounds)) => rounds.push(round),
            None => self.results.push((contents.clone(), vec![round])),
        }
    }

    /// How many builds gave this output.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.results.iter().map(|(_, rounds)| rounds.len()).sum()
    }

    /// Whether all that gave something gave the same.
    #[must_use]
    pub const fn is_stable(&self) -> bool {
        self.results.len() == 1
    }

    /// In a few words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (rounds, results) = (self.rounds(), self.results.len());
        if self.is_stable() {
            return format!("the same in {rounds} of {rounds} builds");
        }
        if results == rounds {
            return format!("never the same twice: {rounds} builds gave {results} results");
        }
        let groups: Vec<String> = self.results.iter().map(|(_, rounds)| list(rounds)).collect();
        format!("{rounds} builds gave {results} results: {}", groups.join(" | "))
    }
}

/// `round 1`, `rounds 0, 2`.
fn list(rounds: &[u32]) -> String {
    let numbers: Vec<String> = rounds.iter().map(ToString::to_string).collect();
    let word = if rounds.len() == 1 { "round" } else { "rounds" };
    format!("{word} {}", numbers.join(", "))
}

impl Stability {
    /// Why the check has no answer for the output called `id`, if it has none:
    /// builds that agree do not make up for one that is missing.
    #[must_use]
    pub fn open(&self, id: &str) -> Option<Inconclusive> {
        let (round, reason, why) = self.missing.first().filter(|_| self.is_stable())?;
        Some(Inconclusive {
            subject: id.to_owned(),
            check: STABLE.to_owned(),
            reason: *reason,
            detail: format!("round {round}: {why}"),
        })
    }

    /// What is wrong with `output`, which is called `id`.
    #[must_use]
    pub fn finding(&self, id: &str, output: &OutputFacts) -> Option<Finding> {
        if self.is_stable() {
            return None;
        }
        let mut finding = Finding::new(&rules::UNSTABLE_OUTPUT, id, self.sentence());
        for (contents, rounds) in &self.results {
            finding = finding.with(format!("NarHash of {}", list(rounds)), contents.nar_hash);
        }
        for claim in &output.claims {
            let (Standing::Trusted { .. }, Some(claimed)) = (&claim.standing, &claim.contents)
            else {
                continue;
            };
            let equal = self.results.iter().find(|(contents, _)| contents == claimed);
            let said = equal.map_or_else(
                || "what none of our builds gave".to_owned(),
                |(_, rounds)| format!("what {} gave", list(rounds)),
            );
            // An address is too long for a label.
            finding = finding.with("claim", format!("{} claims {said}", claim.source));
        }
        Some(match &output.unlike {
            Some(unlike) => unlike.contrast.tell(finding),
            None => finding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::examine::examine as examine_all;
    use super::super::facts::Rebuild;
    use super::super::fixture::{built, contents, trusted};
    use super::*;
    use crate::check::{Examination, Level, Verdict};
    use crate::nix::store_path::StoreDir;

    /// A target whose builds gave `rounds` (0 is a failed one), claimed as `claim`.
    fn judged(rounds: &[u8], claim: Option<u8>) -> (Examination, Verdict) {
        let claims = claim.map(|seed| trusted("x", seed)).into_iter().collect();
        let repeated = rounds.iter().enumerate().skip(1).map(|(round, seed)| RoundFacts {
            round: round.try_into().unwrap(),
            varied: Vec::new(),
            outputs: if *seed == 0 {
                Err((Reason::LimitReached, "too slow".into()))
            } else {
                Ok(BTreeMap::from([("out".to_owned(), contents(*seed))]))
            },
        });
        let derivation =
            DerivationFacts { rounds: repeated.collect(), ..built("x", rounds[0], claims) };
        let rebuild = Rebuild { derivations: vec![derivation], ..Rebuild::default() };
        let examination = examine_all(&rebuild, &StoreDir::default(), true);
        let verdict = examination.verdict(Level::Error);
        (examination, verdict)
    }

    #[test]
    fn rounds_and_claims_give_one_answer() {
        use Verdict::{Fail, Inconclusive, Pass};
        for (rounds, claim, verdict, status) in [
            (&[1][..], Some(1), Pass, "reproduced"),
            (&[1, 1, 1], Some(1), Pass, "reproduced"),
            (&[1, 1, 1], Some(2), Fail, "differs"),
            (&[1, 1, 1], None, Inconclusive, "no-reference"),
            (&[1, 2, 3], Some(1), Fail, "unstable"),
            (&[1, 2, 3], Some(9), Fail, "differs"),
            (&[1, 2, 1], None, Fail, "no-reference"),
            (&[1, 0, 1], Some(1), Inconclusive, "limit-reached"),
            (&[1, 0, 2], Some(1), Fail, "unstable"),
            (&[1, 0], Some(2), Fail, "differs"),
        ] {
            let (examination, found) = judged(rounds, claim);
            assert_eq!(found, verdict, "{rounds:?} {claim:?}");
            assert_eq!(examination.subjects[0].status, status, "{rounds:?} {claim:?}");
        }
    }

    #[test]
    fn it_is_said_which_rounds_agree() {
        let said = |rounds: &[u8], claim| {
            let (examination, _) = judged(rounds, claim);
            let rule = &rules::UNSTABLE_OUTPUT;
            let finding = examination.findings.into_iter().find(|finding| finding.rule == rule);
            let finding = finding.unwrap();
            (finding.message, finding.evidence.last().unwrap().value.clone())
        };
        let (message, claim) = said(&[1, 2, 3], Some(3));
        assert_eq!(message, "never the same twice: 3 builds gave 3 results");
        assert_eq!(claim, "file:///c claims what round 2 gave");
        let (message, claim) = said(&[1, 2, 1, 2], Some(9));
        assert_eq!(message, "4 builds gave 2 results: rounds 0, 2 | rounds 1, 3");
        assert_eq!(claim, "file:///c claims what none of our builds gave");
    }
}
