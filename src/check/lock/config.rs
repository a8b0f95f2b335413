//! `.verify.toml`: what a project allows, asks for and puts up with.
//!
//! ```toml
//! [lock]
//! allowed-hosts = ["github.com", "*.nixos.org"]
//! allowed-owners = ["NixOS", "github.com/nix-community"]
//! max-age-days = 90
//!
//! [lock.inputs.nixpkgs]
//! allowed-refs = ["nixos-unstable"]
//! max-age-days = 30
//! required-signers = ["release@example.org"]
//!
//! [[lock.suppress]]
//! rule = "forked-input"
//! input = "nixpkgs"
//! reason = "our fork carries one patch"
//! expires = "2027-01-31"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::check::Span;
use crate::nix::time::Timestamp;

/// Longest configuration that is read. Genuine ones have some kilobytes.
pub const MAX_LEN: usize = 1 << 20;

/// What a project allows, asks for and puts up with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For `verify lock`.
    #[serde(default)]
    pub lock: LockConfig,
}

/// The part for `verify lock`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockConfig {
    /// Hosts that inputs may come from; `*` stands for anything. None: all.
    pub allowed_hosts: Option<Vec<String>>,
    /// Owners that inputs may have, `owner` or `host/owner`. None: all.
    pub allowed_owners: Option<Vec<String>>,
    /// Branches and tags that inputs may follow. None: all.
    pub allowed_refs: Option<Vec<String>>,
    /// How many days old inputs may be.
    pub max_age_days: Option<u32>,
    /// Who must have signed: any one of them.
    #[serde(default)]
    pub required_signers: Vec<String>,
    /// The same for single inputs, by path; `*` stands for anything.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputConfig>,
    /// Findings to put up with.
    #[serde(default)]
    pub suppress: Vec<Spanned<Suppression>>,
}

/// What counts for an input instead of what counts for all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InputConfig {
    /// Hosts it may come from.
    pub allowed_hosts: Option<Vec<String>>,
    /// Owners it may have.
    pub allowed_owners: Option<Vec<String>>,
    /// Branches and tags it may follow.
    pub allowed_refs: Option<Vec<String>>,
    /// How many days old it may be.
    pub max_age_days: Option<u32>,
    /// Who must have signed: any one of them.
    pub required_signers: Option<Vec<String>>,
}

/// A finding to put up with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// The rule.
    pub rule: String,
    /// The path of the input; `*` stands for anything.
    pub input: String,
    /// Why.
    pub reason: String,
    /// Until when, the day included.
    pub expires: Option<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Too long.
    #[error("it has more than {MAX_LEN} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("at byte {0}: it is not UTF-8")]
    NotUtf8(usize),
    /// No TOML, or a key or value that has no meaning here.
    #[error("at byte {offset}: {message}")]
    Toml {
        /// Where.
        offset: usize,
        /// What is wrong.
        message: String,
    },
    /// A suppression without a reason.
    #[error("at byte {0}: a suppression needs a reason that is not empty")]
    NoReason(usize),
    /// A day that is none.
    #[error("at byte {offset}: '{text}' is no day (expected one such as 2027-01-31)")]
    BadDay {
        /// Where the suppression stands.
        offset: usize,
        /// The text.
        text: String,
    },
    /// A rule that nobody has.
    #[error("at byte {offset}: there is no rule '{rule}'; 'verify explain' lists all")]
    UnknownRule {
        /// Where the suppression stands.
        offset: usize,
        /// The rule.
        rule: String,
    },
}

impl Config {
    /// Reads a configuration. `is_rule` tells which rules there are.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(bytes: &[u8], is_rule: impl Fn(&str) -> bool) -> Result<Self, ConfigError> {
        if bytes.len() > MAX_LEN {
            return Err(ConfigError::TooLong);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ConfigError::NotUtf8(error.valid_up_to()))?;
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Toml {
            offset: error.span().map_or(0, |span| span.start),
            message: error.message().to_owned(),
        })?;
        for suppression in &config.lock.suppress {
            let offset = suppression.span().start;
            let entry = suppression.as_ref();
            if entry.reason.trim().is_empty() {
                return Err(ConfigError::NoReason(offset));
            }
            if !is_rule(&entry.rule) {
                return Err(ConfigError::UnknownRule { offset, rule: entry.rule.clone() });
            }
            if let Some(text) = entry.expires.as_ref().filter(|text| day(text).is_none()) {
                return Err(ConfigError::BadDay { offset, text: text.clone() });
            }
        }
        Ok(config)
    }

    /// The settings for one input, the most telling pattern first.
    fn for_input(&self, path: &str) -> impl Iterator<Item = &InputConfig> {
        let exact = self.lock.inputs.get(path);
        let mut patterns: Vec<(&String, &InputConfig)> = self
            .lock
            .inputs
            .iter()
            .filter(|(pattern, _)| pattern.contains('*') && matches(pattern, path))
            .collect();
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        exact.into_iter().chain(patterns.into_iter().map(|(_, config)| config))
    }

    /// The hosts an input may come from.
    #[must_use]
    pub fn allowed_hosts(&self, path: &str) -> Option<&[String]> {
        self.for_input(path)
            .find_map(|one| one.allowed_hosts.as_deref())
            .or(self.lock.allowed_hosts.as_deref())
    }

    /// The owners an input may have.
    #[must_use]
    pub fn allowed_owners(&self, path: &str) -> Option<&[String]> {
        self.for_input(path)
            .find_map(|one| one.allowed_owners.as_deref())
            .or(self.lock.allowed_owners.as_deref())
    }

    /// The branches and tags an input may follow.
    #[must_use]
    pub fn allowed_refs(&self, path: &str) -> Option<&[String]> {
        self.for_input(path)
            .find_map(|one| one.allowed_refs.as_deref())
            .or(self.lock.allowed_refs.as_deref())
    }

    /// How many days old an input may be.
    #[must_use]
    pub fn max_age_days(&self, path: &str) -> Option<i64> {
        self.for_input(path)
            .find_map(|one| one.max_age_days)
            .or(self.lock.max_age_days)
            .map(i64::from)
    }

    /// Who must have signed an input.
    #[must_use]
    pub fn required_signers(&self, path: &str) -> &[String] {
        self.for_input(path)
            .find_map(|one| one.required_signers.as_deref())
            .unwrap_or(&self.lock.required_signers)
    }

    /// Whether it says anything at all about what is allowed.
    #[must_use]
    pub fn has_policy(&self) -> bool {
        let lock = &self.lock;
        lock.allowed_hosts.is_some()
            || lock.allowed_owners.is_some()
            || lock.allowed_refs.is_some()
            || lock.max_age_days.is_some()
            || !lock.required_signers.is_empty()
            || !lock.inputs.is_empty()
    }
}

impl Suppression {
    /// Whether it is about a finding.
    #[must_use]
    pub fn covers(&self, rule: &str, subject: &str) -> bool {
        self.rule == rule && matches(&self.input, subject)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: i64) -> bool {
        /// Seconds of a day: the last day counts whole.
        const DAY: i64 = 86_400;
        self.expires
            .as_deref()
            .and_then(day)
            .is_some_and(|day| now >= day.seconds().saturating_add(DAY))
    }
}

/// Where a part of the configuration stands.
#[must_use]
pub fn span_of<T>(part: &Spanned<T>) -> Span {
    let span = part.span();
    Span::new(span.start, span.end)
}

fn day(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| text.len() == "2027-01-31".len())
}

/// Whether a text fits a pattern in which `*` stands for anything, in time
/// proportional to the product of their lengths at worst.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text.as_bytes(), |rule| rule == "forked-input")
    }

    #[test]
    fn settings_of_an_input_come_before_those_of_all() {
        let config = parse(
            "[lock]\nmax-age-days = 90\nallowed-hosts = [\"github.com\"]\n\
             [lock.inputs.nixpkgs]\nmax-age-days = 30\n\
             [lock.inputs.\"*/nixpkgs\"]\nmax-age-days = 60\nrequired-signers = [\"a\"]\n",
        )
        .unwrap();
        assert_eq!(config.max_age_days("nixpkgs"), Some(30));
        assert_eq!(config.max_age_days("a/nixpkgs"), Some(60));
        assert_eq!(config.max_age_days("other"), Some(90));
        assert_eq!(config.allowed_hosts("nixpkgs").unwrap(), ["github.com"]);
        assert_eq!(config.required_signers("a/b/nixpkgs"), ["a"]);
        assert!(config.required_signers("nixpkgs").is_empty());
        assert!(config.has_policy() && !Config::default().has_policy());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let suppress = "[[lock.suppress]]\nrule = \"forked-input\"\ninput = \"x\"\n";
        for (text, wanted) in [
            ("[lock]\nalowed-hosts = []\n", "at byte 7: unknown field `alowed-hosts`"),
            ("[lok]\n", "unknown field `lok`"),
            ("[lock", "at byte"),
            ("[lock]\nmax-age-days = -1\n", "invalid value"),
            (&format!("{suppress}reason = \" \"\n"), "needs a reason"),
            (suppress, "missing field `reason`"),
            (&format!("{suppress}reason = \"r\"\nexpires = \"soon\"\n"), "'soon' is no day"),
            (
                "[[lock.suppress]]\nrule = \"none\"\ninput = \"x\"\nreason = \"r\"\n",
                "there is no rule 'none'",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn suppressions_end() {
        let config = parse(
            "[[lock.suppress]]\nrule = \"forked-input\"\ninput = \"a/*\"\nreason = \"r\"\nexpires = \"1970-01-02\"\n",
        )
        .unwrap();
        let one = config.lock.suppress[0].as_ref();
        assert!(one.covers("forked-input", "a/b") && !one.covers("forked-input", "b"));
        assert!(!one.covers("other", "a/b"));
        assert!(!one.is_over(2 * 86_400 - 1) && one.is_over(2 * 86_400));
    }

    #[test]
    fn patterns() {
        for (pattern, text, wanted) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*b*", "abc", true),
            ("a*b*c", "axbxc", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
