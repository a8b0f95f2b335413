//! Policy files: what has to hold of reports and bills of materials
//! (`docs/policies.md`).
//!
//! TOML, read strictly. Every key that may be left out means the strictest
//! when it is, so that a key that gets lost never lets anything pass.

use sha2::{Digest as _, Sha256};
use toml::de::{DeTable, DeValue};

use super::check::{self, Check};
use super::predicate::Predicate;
use super::reader::{self, At, Mistake, Table};
use super::subject::Kind;
use crate::check::lock::config::matches;
use crate::check::{Level, Position, Source, Span};
use crate::nix::time::Timestamp;

/// Longest policy that is read. Genuine ones have some kilobytes.
pub const MAX_LEN: usize = 1 << 20;

/// Most rules, and most waivers, of one policy.
const MAX_RULES: usize = 1_000;

/// The version of the format.
const FORMAT: i64 = 1;

/// What kind of material a rule judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Reports of `verify lock`.
    Lock,
    /// Reports of `verify cache`.
    Cache,
    /// Reports of `verify rebuild`.
    Rebuild,
    /// Bills of what is needed at run time.
    Runtime,
    /// Bills of everything something was built from.
    Build,
}

impl Scope {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("lock", Self::Lock),
        ("cache", Self::Cache),
        ("rebuild", Self::Rebuild),
        ("runtime", Self::Runtime),
        ("build", Self::Build),
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Cache => "cache",
            Self::Rebuild => "rebuild",
            Self::Runtime => "runtime",
            Self::Build => "build",
        }
    }

    /// The things that a material of this scope lists.
    #[must_use]
    pub const fn things(self) -> Kind {
        match self {
            Self::Lock => Kind::Input,
            Self::Cache => Kind::Path,
            Self::Rebuild => Kind::Output,
            Self::Runtime | Self::Build => Kind::Component,
        }
    }

    /// What such a material is called.
    #[must_use]
    pub const fn material(self) -> &'static str {
        match self {
            Self::Lock => "a report of 'verify lock'",
            Self::Cache => "a report of 'verify cache'",
            Self::Rebuild => "a report of 'verify rebuild'",
            Self::Runtime => "a bill of materials of what is needed at run time",
            Self::Build => "a bill of materials of the whole build",
        }
    }
}

/// What becomes of a subject that a rule cannot be judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is denied, as if it did not meet the rule.
    Deny,
    /// The question stays open: the run is inconclusive.
    Inconclusive,
}

/// A rule.
#[derive(Debug, PartialEq)]
pub struct Rule {
    /// Its name, of which there is one in a policy.
    pub id: String,
    /// How much breaking it weighs.
    pub level: Level,
    /// Why there is such a rule.
    pub reason: String,
    /// What it judges.
    pub scope: Scope,
    /// What kind of thing it speaks about.
    pub kind: Kind,
    /// Only things of which this holds.
    pub when: Option<Predicate>,
    /// What has to hold.
    pub check: Check,
    /// What becomes of what it cannot be judged on.
    pub unknown: OnUnknown,
    /// Where it stands in the file.
    pub offset: usize,
}

/// Something that is put up with for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The rule.
    pub rule: String,
    /// What is put up with: the id or name of subjects; `*` stands for anything.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// The last day, the day included, as the file has it.
    pub expires: String,
    /// The second after that day.
    pub over: i64,
    /// Where it stands in the file.
    pub offset: usize,
}

impl Waiver {
    /// Whether it is about one of these names.
    #[must_use]
    pub fn covers(&self, rule: &str, names: &[&str]) -> bool {
        self.rule == rule && names.iter().any(|name| matches(&self.subject, name))
    }
}

/// A policy.
#[derive(Debug, PartialEq)]
pub struct Policy {
    /// The file, as it was named.
    pub file: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// Its rules, as they stand.
    pub rules: Vec<Rule>,
    /// What it puts up with.
    pub waivers: Vec<Waiver>,
    /// Its text.
    pub text: String,
}

/// Why a file is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too long.
    #[error("it has more than {MAX_LEN} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("at byte {0}: it is not UTF-8")]
    NotUtf8(usize),
    /// Something that has no meaning here.
    #[error("line {}, column {}: {message}", at.line, at.column)]
    Mistake {
        /// Where.
        at: Position,
        /// What is wrong.
        message: String,
    },
}

impl Policy {
    /// Reads a policy. `file` is what it is called in reports.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_LEN {
            return Err(PolicyError::TooLong);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| PolicyError::NotUtf8(error.valid_up_to()))?;
        read(file, text).map_err(|mistake| {
            let place = Span::new(mistake.offset, mistake.offset);
            let at = Source::new(file, bytes).at(place).start;
            PolicyError::Mistake { at, message: mistake.message }
        })
    }
}

fn read(file: &str, text: &str) -> Result<Policy, Mistake> {
    let document = DeTable::parse(text).map_err(|error| {
        Mistake::new(error.span().map_or(0, |span| span.start), error.message())
    })?;
    let root = Table::new(document.get_ref(), 0, "a policy");
    reader::number(root.need("format")?, "format", FORMAT, FORMAT)?;
    let name = root.text("name")?.value;
    let description = root.text("description")?.value;
    let rules = tables(&root, "rule")?;
    if rules.is_empty() {
        root.need("rule")?;
    }
    let rules = rules.iter().map(rule).collect::<Result<Vec<Rule>, Mistake>>()?;
    for (at, rule) in rules.iter().enumerate() {
        if rules.iter().take(at).any(|other| other.id == rule.id) {
            let message = format!("there are two rules '{}'", rule.id);
            return Err(Mistake::new(rule.offset, message));
        }
    }
    let waivers = tables(&root, "waiver")?;
    let waivers = waivers
        .iter()
        .map(|table| waiver(table, &rules))
        .collect::<Result<Vec<Waiver>, Mistake>>()?;
    root.finish()?;
    Ok(Policy {
        file: file.to_owned(),
        name,
        description,
        sha256: crate::nix::hash::base16(&Sha256::digest(text)),
        rules,
        waivers,
        text: text.to_owned(),
    })
}

/// The tables `[[key]]`.
fn tables<'t>(root: &Table<'t>, key: &'static str) -> Result<Vec<Table<'t>>, Mistake> {
    let Some(value) = root.get(key) else { return Ok(Vec::new()) };
    let offset = value.span().start;
    let Some(list) = value.get_ref().as_array() else {
        return Err(Mistake::new(offset, format!("'{key}' has to be written as [[{key}]]")));
    };
    if list.len() > MAX_RULES {
        let message = format!("there are {} of '{key}' (expected at most {MAX_RULES})", list.len());
        return Err(Mistake::new(offset, message));
    }
    list.iter()
        .map(|one| match one.get_ref() {
            DeValue::Table(table) => Ok(Table::new(table, one.span().start, format!("a {key}"))),
            other => Err(Mistake::new(
                one.span().start,
                format!("'{key}' holds {} (expected tables)", other.type_str()),
            )),
        })
        .collect()
}

fn rule(table: &Table<'_>) -> Result<Rule, Mistake> {
    let id = table.text("id")?;
    let kebab = |text: &str| {
        !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !kebab(&id.value) {
        let message = format!("the id '{}' is not of a-z, 0-9 and hyphens between them", id.value);
        return Err(Mistake::new(id.offset, message));
    }
    let reason = table.text("reason")?.value;
    let scope = reader::word(table.need("scope")?, "scope", &Scope::ALL)?;
    let levels = [Level::Note, Level::Warning, Level::Error].map(|level| (level.name(), level));
    let level = match table.get("level") {
        Some(value) => reader::word(value, "level", &levels)?,
        None => Level::Error,
    };
    let words = [("deny", OnUnknown::Deny), ("inconclusive", OnUnknown::Inconclusive)];
    let unknown = match table.get("unknown") {
        Some(value) => reader::word(value, "unknown", &words)?,
        None => OnUnknown::Deny,
    };
    let (kind, check) = check::read(table, scope)?;
    let when = table
        .optional_text("when")?
        .map(|text| {
            if check.is_about_all() {
                let message = "this rule is about all things together, so that 'when' cannot \
                               leave some out";
                return Err(Mistake::new(text.offset, message));
            }
            predicate(&text, kind)
        })
        .transpose()?;
    table.finish()?;
    Ok(Rule {
        id: id.value,
        level,
        reason,
        scope,
        kind,
        when,
        check,
        unknown,
        offset: table.offset(),
    })
}

/// An expression that stands in a policy.
///
/// # Errors
/// It has no meaning.
pub fn predicate(text: &At<String>, kind: Kind) -> Result<Predicate, Mistake> {
    Predicate::parse(&text.value, kind)
        .map_err(|error| Mistake::new(text.offset, error.to_string()))
}

fn waiver(table: &Table<'_>, rules: &[Rule]) -> Result<Waiver, Mistake> {
    let rule = table.text("rule")?;
    if !rules.iter().any(|one| one.id == rule.value) {
        let near = super::suggest::suggest(&rule.value, rules.iter().map(|one| one.id.as_str()));
        let message = format!("there is no rule '{}' in this policy{near}", rule.value);
        return Err(Mistake::new(rule.offset, message));
    }
    let subject = table.text("subject")?;
    if subject.value.chars().all(|one| one == '*') {
        let message =
            "a waiver for everything is no waiver; remove the rule, or name what is meant";
        return Err(Mistake::new(subject.offset, message));
    }
    let reason = table.text("reason")?.value;
    let expires = table.text("expires")?;
    let over = end_of_day(&expires.value).ok_or_else(|| {
        let message = format!("'{}' is no day (expected one such as 2027-01-31)", expires.value);
        Mistake::new(expires.offset, message)
    })?;
    table.finish()?;
    Ok(Waiver {
        rule: rule.value,
        subject: subject.value,
        reason,
        expires: expires.value,
        over,
        offset: table.offset(),
    })
}

/// The second after a day.
fn end_of_day(text: &str) -> Option<i64> {
    /// Seconds of a day.
    const DAY: i64 = 86_400;
    let day: Timestamp = text.parse().ok().filter(|_| text.len() == "2027-01-31".len())?;
    day.seconds().checked_add(DAY)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
