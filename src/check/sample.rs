//! A random sample of many things, and what it says about all of them.
//!
//! **The draw** can be repeated by anybody, on any machine, in any language:
//! the rank of an id is SHA-256 over `verify-sample-1`, a NUL, the seed, a NUL
//! and the id; the lowest ranks are the sample. One id more or less in the
//! population moves at most one id of the sample.
//!
//! **The bound** is the exact one for a draw without replacement
//! (hypergeometric, one-sided): the least number of bad ones that a population
//! could have if so few of them in the sample were to be a matter of less than
//! five in a hundred draws. For a large population without a bad one in the
//! sample that is the rule of three, 3 / n.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::nix::hash::{HashAlgorithm, Hasher};

/// Sets these draws apart from any other use of SHA-256, and from later ways
/// to draw.
const METHOD: &[u8] = b"verify-sample-1";

/// The confidence of bounds, in percent.
pub const CONFIDENCE: u32 = 95;

/// What remains of a hundred: the chance that a bound is wrong. Less by far
/// more than rounding errors amount to, so that a chance of exactly a twentieth
/// is never taken for less.
const MISSED: f64 = 0.05 - 1e-9;

/// Terms of the distribution that are smaller than this part of the largest
/// change nothing that is compared with [`MISSED`].
const NEGLIGIBLE: f64 = 1e-18;

/// Digits after the point of a percentage that is asked for: a millionth of a
/// percent of the largest package set is less than one path.
const PERCENT_DIGITS: usize = 6;

/// One percent, in the unit of [`Sample::Percent`].
const PERCENT: u64 = 1_000_000;

/// How much of something is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// So many.
    Count(u64),
    /// So many millionths of a percent of them, rounded up.
    Percent(u64),
}

/// Text that says no size of a sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not the size of a sample: write a number above 0, or a percentage above 0% and up \
     to 100% with at most {PERCENT_DIGITS} digits after the point, such as 5% or 0.1%"
)]
pub struct SampleError(String);

impl FromStr for Sample {
    type Err = SampleError;

    fn from_str(text: &str) -> Result<Self, SampleError> {
        let wrong = || SampleError(text.to_owned());
        let Some(percent) = text.strip_suffix('%') else {
            return match number(text) {
                Some(count) if count > 0 => Ok(Self::Count(count)),
                _ => Err(wrong()),
            };
        };
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        if part.len() > PERCENT_DIGITS {
            return Err(wrong());
        }
        let whole = number(whole).ok_or_else(wrong)?;
        let part = number(&format!("{part:0<PERCENT_DIGITS$}"))
            .filter(|_| !part.is_empty())
            .ok_or_else(wrong)?;
        match whole.checked_mul(PERCENT).and_then(|whole| whole.checked_add(part)) {
            Some(share) if share > 0 && share <= 100 * PERCENT => Ok(Self::Percent(share)),
            _ => Err(wrong()),
        }
    }
}

/// A decimal number without sign or space.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => {
                let part = format!("{:0PERCENT_DIGITS$}", share % PERCENT);
                let part = part.trim_end_matches('0');
                let point = if part.is_empty() { "" } else { "." };
                write!(f, "{}{point}{part}%", share / PERCENT)
            }
        }
    }
}

impl Sample {
    /// How many of `population` are looked at: all of them at most.
    #[must_use]
    pub fn size(self, population: u64) -> u64 {
        match self {
            Self::Count(count) => count.min(population),
            Self::Percent(share) => {
                let all = u128::from(100 * PERCENT);
                let size = (u128::from(population) * u128::from(share)).div_ceil(all);
                u64::try_from(size).unwrap_or(population).min(population)
            }
        }
    }

    /// Those of `population` that are looked at. The same ids and the same seed
    /// give the same sample, in whatever order they come.
    #[must_use]
    pub fn choose<T: AsRef<str> + Ord>(
        self,
        population: impl IntoIterator<Item = T>,
        seed: &str,
    ) -> BTreeSet<T> {
        let mut ranked: Vec<([u8; 32], T)> =
            population.into_iter().map(|id| (rank(id.as_ref(), seed), id)).collect();
        ranked.sort_unstable();
        ranked.dedup();
        let size = self.size(u64::try_from(ranked.len()).unwrap_or(u64::MAX));
        ranked.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        ranked.into_iter().map(|(_, id)| id).collect()
    }
}

/// Where an id stands in the draw with that seed, for those who draw from a
/// stream: keep the lowest.
#[must_use]
pub fn rank(id: &str, seed: &str) -> [u8; 32] {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    for part in [METHOD, b"\0", seed.as_bytes(), b"\0", id.as_bytes()] {
        hasher.update(part);
    }
    let mut rank = [0; 32];
    for (byte, digest) in rank.iter_mut().zip(hasher.finish().digest()) {
        *byte = *digest;
    }
    rank
}

/// What a sample says about the population it was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// How many there are.
    pub population: u64,
    /// How many of them were looked at.
    pub sampled: u64,
    /// How many of those are bad.
    pub bad: u64,
    /// Fewer than this many of the population are bad, with a confidence of
    /// [`CONFIDENCE`] percent; with certainty where all were looked at.
    pub below: u64,
}

impl Bound {
    /// What `bad` bad ones among `sampled` say of `population`. More sampled
    /// than there are, or more bad than sampled, count as all of them.
    #[must_use]
    pub fn of(sampled: u64, bad: u64, population: u64) -> Self {
        let sampled = sampled.min(population);
        let bad = bad.min(sampled);
        // With `low` bad ones such a sample is likely enough, with `high` not.
        let mut low = bad;
        let mut high = population - sampled + bad + 1;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if at_most(bad, sampled, middle, population) < MISSED {
                high = middle;
            } else {
                low = middle;
            }
        }
        Self { population, sampled, bad, below: high }
    }

    /// The bound as a part of the population in percent, rounded up, with as
    /// many digits as it takes to show two that matter.
    #[must_use]
    pub fn percent(&self) -> String {
        let below = u128::from(self.below.min(self.population));
        let population = u128::from(self.population.max(1));
        let mut digits = 0;
        let mut scale: u128 = 1;
        let scaled = loop {
            let scaled = below * 100 * scale;
            if scaled >= 10 * population || scaled == 0 || digits == PERCENT_DIGITS {
                break scaled.div_ceil(population);
            }
            digits += 1;
            scale *= 10;
        };
        let (whole, part) = (scaled / scale, scaled % scale);
        if digits == 0 { format!("{whole} %") } else { format!("{whole}.{part:0digits$} %") }
    }

    /// The bound as a sentence about `noun` (in the plural) being `bad`:
    /// "fewer than 3.0 % of the 1000 outputs differ, at 95 % confidence".
    #[must_use]
    pub fn sentence(&self, noun: &str, bad: &str) -> String {
        if self.sampled == 0 {
            format!(
                "none of the {} {noun} was judged, which says nothing about them",
                self.population
            )
        } else if self.sampled == self.population {
            format!("all {} {noun} were judged: {} {bad}", self.population, self.bad)
        } else if self.below > self.population {
            format!(
                "{} of {} {noun} were judged, too few to say anything about the rest",
                self.sampled, self.population
            )
        } else {
            format!(
                "fewer than {} of the {} {noun} {bad}, at {CONFIDENCE} % confidence",
                self.percent(),
                self.population
            )
        }
    }
}

/// The chance of at most `few` bad ones among `sampled` of a `population` of
/// which `bad` are bad. Summed from the most likely number outwards, by
/// multiplication and addition alone, which give the same everywhere.
fn at_most(few: u64, sampled: u64, bad: u64, population: u64) -> f64 {
    let good = population - bad;
    let least = sampled.saturating_sub(good);
    let most = sampled.min(bad);
    if few >= most {
        return 1.0;
    }
    if few < least {
        return 0.0;
    }
    // P(k + 1) / P(k) = (sampled - k) (bad - k) / ((k + 1) (good - sampled + k + 1))
    let step = |k: u64| {
        let up = real(sampled - k) * real(bad - k);
        up / (real(k + 1) * real(good + k + 1 - sampled))
    };
    let mode = (u128::from(sampled) + 1) * (u128::from(bad) + 1) / (u128::from(population) + 2);
    let mode = u64::try_from(mode).unwrap_or(most).clamp(least, most);
    let mut total = 1.0;
    let mut wanted = if mode <= few { 1.0 } else { 0.0 };
    let mut add = |k: u64, weight: f64| {
        total += weight;
        if k <= few {
            wanted += weight;
        }
    };
    let mut weight = 1.0;
    for k in mode..most {
        weight *= step(k);
        add(k + 1, weight);
        if weight < NEGLIGIBLE {
            break;
        }
    }
    weight = 1.0;
    for k in (least..mode).rev() {
        weight /= step(k);
        add(k, weight);
        if weight < NEGLIGIBLE {
            break;
        }
    }
    wanted / total
}

/// A count as a real number; exact up to 2^53.
fn real(count: u64) -> f64 {
    let half = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    half(count >> 32) * 4_294_967_296.0 + half(count & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Sample> {
        text.parse().ok()
    }

    #[test]
    fn sizes_are_counts_or_percentages() {
        for (text, wanted) in [
            ("1", Sample::Count(1)),
            ("3000", Sample::Count(3000)),
            ("5%", Sample::Percent(5_000_000)),
            ("0.1%", Sample::Percent(100_000)),
            ("12.345678%", Sample::Percent(12_345_678)),
            ("100%", Sample::Percent(100_000_000)),
        ] {
            assert_eq!(parse(text), Some(wanted), "{text}");
            assert_eq!(wanted.to_string(), text);
        }
        for text in [
            "",
            "0",
            "%",
            "0%",
            "-1",
            "+1",
            "1.5",
            "101%",
            "100.000001%",
            "1.%",
            ".5%",
            "1e3",
            "0.0000001%",
            "5 %",
            "99999999999999999999",
            "99999999999999999999%",
            "1_000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_are_rounded_up() {
        let size = |text: &str, population| parse(text).unwrap().size(population);
        assert_eq!(size("1%", 1), 1);
        assert_eq!(size("1%", 100), 1);
        assert_eq!(size("1%", 101), 2);
        assert_eq!(size("100%", u64::MAX), u64::MAX);
        assert_eq!(size("7", 5), 5);
        assert_eq!(size("50%", 0), 0);
    }

    /// Kept for ever: somebody may have published a seed and a sample.
    #[test]
    fn draws_are_the_same_everywhere() {
        let ids: Vec<String> = (0..20).map(|number| format!("id-{number}")).collect();
        let drawn = |seed: &str| {
            let chosen = Sample::Count(4).choose(ids.iter().map(String::as_str), seed);
            chosen.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(drawn("1"), "id-0 id-1 id-11 id-8");
        assert_eq!(drawn("2"), "id-10 id-14 id-15 id-19");
        let mut backwards: Vec<&str> = ids.iter().map(String::as_str).collect();
        backwards.reverse();
        backwards.push("id-3");
        let chosen = Sample::Count(4).choose(backwards, "1");
        assert_eq!(chosen.into_iter().collect::<Vec<_>>().join(" "), drawn("1"));
    }

    #[test]
    fn every_id_is_drawn_as_often_as_the_others() {
        let ids: Vec<String> = (0..10).map(|number| format!("id-{number}")).collect();
        let mut drawn = [0; 10];
        for seed in 0..2000 {
            for id in Sample::Count(3).choose(&ids, &seed.to_string()) {
                drawn[ids.iter().position(|other| other == id).unwrap()] += 1;
            }
        }
        // 600 each; the standard deviation is 20.
        assert!(drawn.iter().all(|times| (500..700).contains(times)), "{drawn:?}");
    }

    /// Binomial coefficients as exact fractions, the slow way.
    fn slow(few: u64, sampled: u64, bad: u64, population: u64) -> f64 {
        let choose = |n: u64, k: u64| -> f64 {
            if k > n { 0.0 } else { (0..k).map(|i| real(n - i) / real(i + 1)).product() }
        };
        let chance = |k: u64| {
            choose(bad, k) * choose(population - bad, sampled - k) / choose(population, sampled)
        };
        (0..=few.min(sampled)).map(chance).sum()
    }

    #[test]
    fn chances_are_those_of_the_definition() {
        for population in [1, 2, 5, 12, 40] {
            for sampled in 1..=population {
                for bad in 0..=population {
                    for few in 0..=sampled {
                        let (fast, slow) = (
                            at_most(few, sampled, bad, population),
                            slow(few, sampled, bad, population),
                        );
                        assert!(
                            (fast - slow).abs() < 1e-9,
                            "{few} {sampled} {bad} {population}: {fast} {slow}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn bounds_are_the_known_ones() {
        // Three in a thousand sampled, the rule of three.
        assert_eq!(Bound::of(1000, 0, 1_000_000_000).percent(), "0.30 %");
        // "Fewer than 0.1 % corrupt at 95 %" takes some 3,000.
        let bound = Bound::of(3000, 0, 100_000);
        assert!(bound.below <= 100, "{bound:?}");
        assert_eq!(bound.percent(), "0.099 %");
        // 59 without a failure: the textbook size for 5 % at 95 %.
        assert!(Bound::of(59, 0, 1_000_000).below <= 50_000);
        assert!(Bound::of(58, 0, 1_000_000).below > 50_000);
        for (sampled, bad, population, below) in [
            (10, 0, 10, 1),
            (10, 3, 10, 4),
            (0, 0, 10, 11),
            (0, 0, 0, 1),
            (1, 1, 2, 3),
            (99, 7, 5, 6),
        ] {
            assert_eq!(Bound::of(sampled, bad, population).below, below);
        }
    }

    #[test]
    fn bounds_hold_by_the_definition() {
        for population in 1..30 {
            for sampled in 1..=population {
                for bad in 0..=sampled {
                    let below = Bound::of(sampled, bad, population).below;
                    let likely = |all| slow(bad, sampled, all, population) >= MISSED;
                    assert!(below == population - sampled + bad + 1 || !likely(below));
                    assert!(likely(below - 1), "{sampled} {bad} {population} {below}");
                }
            }
        }
    }

    #[test]
    fn bounds_are_said_in_words() {
        let sentence = |sampled, bad, population| {
            Bound::of(sampled, bad, population).sentence("outputs", "differ")
        };
        assert_eq!(
            sentence(300, 0, 3000),
            "fewer than 0.97 % of the 3000 outputs differ, at 95 % confidence"
        );
        assert_eq!(sentence(5, 1, 5), "all 5 outputs were judged: 1 differ");
        assert_eq!(
            sentence(0, 0, 5),
            "none of the 5 outputs was judged, which says nothing about them"
        );
        assert_eq!(
            sentence(1, 1, 5),
            "1 of 5 outputs were judged, too few to say anything about the rest"
        );
    }

    #[test]
    fn large_numbers_end_in_time() {
        let bound = Bound::of(1_000_000, 5000, 1_000_000_000);
        assert!((5_000_000..5_200_000).contains(&bound.below), "{bound:?}");
    }
}
