//! What a rule can ask for, and how it is written.
//!
//! Exactly one of the keys below stands in a rule; none of them has a part
//! that may be left out, so that nothing can get lost from a check and leave
//! a weaker one.

use super::file::{Scope, predicate};
use super::licence::Allowed;
use super::predicate::Predicate;
use super::reader::{self, Mistake, Table};
use super::rego::Module;
use super::subject::{Field, Kind};
use super::version::Range;
use crate::check::Level;
use crate::check::registry::RULES;
use crate::sbom::profile::Profile;

/// Most days that something may be old: a hundred years.
const MAX_DAYS: i64 = 36_525;

/// What a rule asks for.
#[derive(Debug, PartialEq)]
pub enum Check {
    /// An expression holds.
    Require(Predicate),
    /// A module of Rego allows it.
    Rego(Module),
    /// A licence can be chosen of which all parts are listed.
    LicenceAllowed(Allowed),
    /// A licence can be chosen of which no part is listed.
    LicenceDenied(Allowed),
    /// A licence can be chosen that is free software or open source.
    LicenceFree,
    /// It is none of these.
    Banned(Vec<Ban>),
    /// Every source URL has one of these schemes.
    SourceSchemes(Vec<String>),
    /// Every source URL has one of these hosts; `*` stands for anything.
    SourceHosts(Vec<String>),
    /// Every source is fixed by one of these hash algorithms and no other.
    SourceHashes(Vec<String>),
    /// No advisory that is at hand is about it, or a statement says that it is
    /// not affected.
    NoVulnerabilities,
    /// The bill has every field that the publication demands.
    Profile(Profile),
    /// The time in the field is at most so many days ago.
    MaxAge(Field, i64),
    /// The text in the field fits one of these; `*` stands for anything.
    AnyOf(Field, Vec<String>),
    /// The input is locked.
    Locked,
    /// No two inputs are locked to different revisions of one source.
    Unique,
    /// One of the trusted keys that signed it fits one of these.
    Signers(Vec<String>),
    /// So many operators attest the same content.
    Operators(usize),
    /// So many trusted keys signed the same content.
    Keys(usize),
    /// So many percent of what could be judged is reproduced.
    ReproducedPercent(i64),
    /// Every output whose name fits is reproduced, and there is one for each.
    MustReproduce(Vec<String>),
    /// It was built so often and always gave the same.
    StableBuilds(i64),
    /// Nothing that held in the report before fails now, or is gone.
    NoRegression,
    /// At most so many components came, went and changed since the bill before.
    Drift {
        /// New ones.
        added: usize,
        /// Gone ones.
        removed: usize,
        /// Ones with another version.
        changed: usize,
    },
    /// The report has no finding above a level.
    Findings(Level),
    /// The report has no finding of these rules.
    ForbiddenFindings(Vec<String>),
    /// The report's own verdict is that it passes.
    Verdict,
}

/// What may not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The field that tells it.
    pub field: Field,
    /// What the field fits; `*` stands for anything.
    pub pattern: String,
    /// Only versions that meet all of these; none for all versions.
    pub versions: Vec<Range>,
}

const ALL: &[Scope] = &[Scope::Lock, Scope::Cache, Scope::Rebuild, Scope::Runtime, Scope::Build];
const REPORTS: &[Scope] = &[Scope::Lock, Scope::Cache, Scope::Rebuild];
const BILLS: &[Scope] = &[Scope::Runtime, Scope::Build];

/// The keys, each with the scopes it has a meaning in.
const KEYS: &[(&str, &[Scope])] = &[
    ("require", ALL),
    ("rego", ALL),
    ("allowed-licences", BILLS),
    ("denied-licences", BILLS),
    ("free-licences", BILLS),
    ("banned", BILLS),
    ("source-schemes", BILLS),
    ("source-hosts", BILLS),
    ("source-hashes", BILLS),
    ("vulnerabilities", BILLS),
    ("profile", BILLS),
    ("drift", BILLS),
    ("max-age-days", &[Scope::Lock, Scope::Runtime, Scope::Build]),
    ("allowed-hosts", &[Scope::Lock]),
    ("allowed-owners", &[Scope::Lock]),
    ("allowed-refs", &[Scope::Lock]),
    ("locked", &[Scope::Lock]),
    ("unique", &[Scope::Lock]),
    ("signers", ALL),
    ("operators", &[Scope::Cache]),
    ("keys", &[Scope::Cache]),
    ("reproduced-percent", &[Scope::Rebuild]),
    ("must-reproduce", &[Scope::Rebuild]),
    ("stable-builds", &[Scope::Rebuild]),
    ("regressions", &[Scope::Rebuild]),
    ("findings", REPORTS),
    ("forbidden-findings", REPORTS),
    ("verdict", REPORTS),
];

impl Check {
    /// Whether it is about all things together, and not about each.
    #[must_use]
    pub const fn is_about_all(&self) -> bool {
        matches!(
            self,
            Self::ReproducedPercent(_)
                | Self::MustReproduce(_)
                | Self::NoRegression
                | Self::Drift { .. }
                | Self::Unique
        )
    }
}

/// Reads the one check of a rule, with the kind of thing it speaks about.
///
/// # Errors
/// There is none, or more than one, or one that makes no sense.
pub fn read(table: &Table<'_>, scope: Scope) -> Result<(Kind, Check), Mistake> {
    let keys: Vec<&'static str> = KEYS.iter().map(|(key, _)| *key).collect();
    let present = table.present(&keys);
    let key = match present.as_slice() {
        [key] => *key,
        [] => {
            // A misspelt key is the likeliest reason.
            table.finish()?;
            let message =
                format!("the rule asks for nothing (expected one of {})", keys.join(", "));
            return Err(Mistake::new(table.offset(), message));
        }
        [first, second, ..] => {
            let message = format!("a rule asks for one thing: '{first}' or '{second}', not both");
            return Err(Mistake::new(table.offset(), message));
        }
    };
    let value = table.need(key)?;
    let offset = value.span().start;
    let scopes = KEYS.iter().find(|(one, _)| *one == key).map_or(ALL, |(_, scopes)| *scopes);
    if !scopes.contains(&scope) {
        let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        return Err(Mistake::new(
            offset,
            format!(
                "'{key}' has no meaning in the scope '{}' (expected {})",
                scope.name(),
                names.join(", ")
            ),
        ));
    }
    let things = scope.things();
    let whole = if BILLS.contains(&scope) { Kind::Sbom } else { Kind::Report };
    let texts = || reader::texts(value, key);
    let words = |what: &str| {
        let texts = texts()?;
        let plain =
            |text: &String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b));
        match texts.iter().find(|text| !plain(text)) {
            None => Ok(texts.iter().map(|text| text.to_ascii_lowercase()).collect()),
            Some(text) => Err(Mistake::new(offset, format!("'{text}' is no {what}"))),
        }
    };
    let count = |most: i64| {
        let number = reader::number(value, key, 1, most)?;
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    };
    Ok(match key {
        "require" => {
            let text = reader::text(value, key)?;
            let kind = if Predicate::mentions(&text.value, whole) { whole } else { things };
            (kind, Check::Require(predicate(&text, kind)?))
        }
        "rego" => {
            let text = reader::text(value, key)?;
            let module = Module::parse(&text.value, [whole, things])
                .map_err(|error| Mistake::new(text.offset, error.to_string()))?;
            (module.kind(), Check::Rego(module))
        }
        "allowed-licences" => (things, Check::LicenceAllowed(licences(&texts()?, offset)?)),
        "denied-licences" => (things, Check::LicenceDenied(licences(&texts()?, offset)?)),
        "free-licences" => {
            reader::truth(value, key)?;
            (things, Check::LicenceFree)
        }
        "banned" => {
            let bans = reader::items(value, key)?;
            let bans = bans.into_iter().map(|one| ban(&reader::table(one, key)?));
            (things, Check::Banned(bans.collect::<Result<_, _>>()?))
        }
        "source-schemes" => (things, Check::SourceSchemes(words("scheme")?)),
        "source-hosts" => {
            let hosts = texts()?.iter().map(|host| host.to_ascii_lowercase()).collect();
            (things, Check::SourceHosts(hosts))
        }
        "source-hashes" => (things, Check::SourceHashes(words("hash algorithm")?)),
        "vulnerabilities" => {
            reader::word(value, key, &[("none", ())])?;
            (things, Check::NoVulnerabilities)
        }
        "profile" => {
            let profiles = Profile::ALL.map(|profile| (profile.name(), profile));
            (whole, Check::Profile(reader::word(value, key, &profiles)?))
        }
        "max-age-days" => {
            let days = reader::number(value, key, 0, MAX_DAYS)?;
            match things {
                Kind::Input => (things, Check::MaxAge(Field::LastModified, days)),
                _ => (whole, Check::MaxAge(Field::Created, days)),
            }
        }
        "allowed-hosts" => (things, Check::AnyOf(Field::Host, texts()?)),
        "allowed-owners" => (things, Check::AnyOf(Field::Owner, texts()?)),
        "allowed-refs" => (things, Check::AnyOf(Field::Ref, texts()?)),
        "locked" => {
            reader::truth(value, key)?;
            (things, Check::Locked)
        }
        "unique" => {
            reader::truth(value, key)?;
            (things, Check::Unique)
        }
        "signers" => (things, Check::Signers(texts()?)),
        "operators" => (things, Check::Operators(count(1_000)?)),
        "keys" => (things, Check::Keys(count(1_000)?)),
        "reproduced-percent" => {
            (things, Check::ReproducedPercent(reader::number(value, key, 1, 100)?))
        }
        "must-reproduce" => (things, Check::MustReproduce(texts()?)),
        "stable-builds" => (things, Check::StableBuilds(reader::number(value, key, 2, 1_000)?)),
        "regressions" => {
            reader::word(value, key, &[("none", ())])?;
            (things, Check::NoRegression)
        }
        "drift" => {
            let table = reader::table(value, key)?;
            let count = |key| {
                let number = reader::number(table.need(key)?, key, 0, 1_000_000)?;
                Ok(usize::try_from(number).unwrap_or_default())
            };
            let check = Check::Drift {
                added: count("added")?,
                removed: count("removed")?,
                changed: count("changed")?,
            };
            table.finish()?;
            (things, check)
        }
        "findings" => {
            let words =
                [("none", Level::Note), ("notes", Level::Warning), ("warnings", Level::Error)];
            (whole, Check::Findings(reader::word(value, key, &words)?))
        }
        "forbidden-findings" => {
            let rules = texts()?;
            let known = || RULES.iter().map(|rule| rule.id);
            if let Some(rule) = rules.iter().find(|rule| !known().any(|one| one == *rule)) {
                let near = super::suggest::suggest(rule, known());
                return Err(Mistake::new(offset, format!("no command has a rule '{rule}'{near}")));
            }
            (whole, Check::ForbiddenFindings(rules))
        }
        _ => {
            reader::word(value, key, &[("pass", ())])?;
            (whole, Check::Verdict)
        }
    })
}

fn licences(names: &[String], offset: usize) -> Result<Allowed, Mistake> {
    Allowed::parse(names).map_err(|error| Mistake::new(offset, error.to_string()))
}

/// One entry of `banned`: a name, a package URL or a store path, and versions.
fn ban(table: &Table<'_>) -> Result<Ban, Mistake> {
    let fields = [("name", Field::Name), ("purl", Field::Purl), ("path", Field::Paths)];
    let (key, field) = match table.present(&fields.map(|(key, _)| key)).as_slice() {
        [key] => fields.into_iter().find(|(one, _)| one == key).unwrap_or(("name", Field::Name)),
        _ => {
            table.get("versions");
            table.finish()?;
            let message = "a banned thing has one of 'name', 'purl' and 'path'";
            return Err(Mistake::new(table.offset(), message));
        }
    };
    let pattern = table.text(key)?.value;
    let versions = match table.get("versions") {
        None => Vec::new(),
        Some(value) => reader::texts(value, "versions")?
            .iter()
            .map(|text| {
                Range::parse(text).ok_or_else(|| {
                    let message = format!(
                        "'{text}' is no demand on versions (expected one such as \"< 3.0.7\")"
                    );
                    Mistake::new(value.span().start, message)
                })
            })
            .collect::<Result<_, _>>()?,
    };
    table.finish()?;
    Ok(Ban { field, pattern, versions })
}
