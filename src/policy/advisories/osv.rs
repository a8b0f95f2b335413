//! Advisories in the OSV format, as far as they say what is affected.
//!
//! <https://ossf.github.io/osv-schema/>. What decides is read strictly: an
//! advisory whose `affected` is misspelt would otherwise affect nothing.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::range::Order;
use super::{AdvisoryError, Package, normal_python};

const FORMAT: &str = "OSV advisory";

/// Stands for an ecosystem where a repository tells the package.
pub(super) const GIT: &str = "GIT";

/// Ecosystems whose own order is that of semantic versions.
const SEMANTIC: [&str; 5] = ["crates.io", "npm", "Go", "Hex", "Pub"];

/// An advisory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// Its name.
    pub id: String,
    /// All names of what it speaks about, its own included.
    pub names: BTreeSet<String>,
    affected: Vec<Affected>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Affected {
    packages: BTreeSet<Package>,
    versions: Vec<String>,
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Range {
    Ordered {
        order: Order,
        events: Vec<Event>,
    },
    /// Commits, which nothing here can order.
    Git,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Introduced(String),
    Fixed(String),
    LastAffected(String),
}

impl Event {
    fn version(&self) -> &str {
        match self {
            Self::Introduced(version) | Self::Fixed(version) | Self::LastAffected(version) => {
                version
            }
        }
    }
}

#[derive(Deserialize)]
struct WireAdvisory {
    id: String,
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    affected: Vec<WireAffected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireAffected {
    package: Option<WirePackage>,
    #[serde(default)]
    ranges: Vec<WireRange>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(rename = "severity")]
    _severity: Option<Value>,
    #[serde(rename = "ecosystem_specific")]
    _ecosystem_specific: Option<Value>,
    #[serde(rename = "database_specific")]
    _database_specific: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePackage {
    ecosystem: String,
    name: String,
    #[serde(rename = "purl")]
    _purl: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRange {
    #[serde(rename = "type")]
    kind: String,
    repo: Option<String>,
    events: Vec<WireEvent>,
    #[serde(rename = "database_specific")]
    _database_specific: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// Reads an advisory; `None` for one that was withdrawn.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Advisory>, AdvisoryError> {
    let wire: WireAdvisory =
        serde_json::from_slice(bytes).map_err(|error| AdvisoryError::new(FORMAT, error))?;
    if wire.withdrawn.is_some() {
        return Ok(None);
    }
    if wire.affected.is_empty() {
        return Err(AdvisoryError::new(FORMAT, "it affects nothing"));
    }
    let affected = wire.affected.into_iter().map(affected).collect::<Result<_, _>>()?;
    let mut names: BTreeSet<String> = wire.aliases.into_iter().collect();
    names.insert(wire.id.clone());
    Ok(Some(Advisory { id: wire.id, names, affected }))
}

fn affected(wire: WireAffected) -> Result<Affected, AdvisoryError> {
    let mut packages = BTreeSet::new();
    let mut own = Order::Own;
    if let Some(package) = wire.package {
        // An ecosystem may carry a release behind a colon.
        let ecosystem = package.ecosystem.split(':').next().unwrap_or_default().to_owned();
        if SEMANTIC.contains(&ecosystem.as_str()) {
            own = Order::Semantic;
        }
        let name = match ecosystem.as_str() {
            "PyPI" => normal_python(&package.name),
            "NuGet" | "Packagist" => package.name.to_ascii_lowercase(),
            _ => package.name,
        };
        packages.insert((ecosystem, name));
    }
    let mut ranges = Vec::new();
    for range in wire.ranges {
        let order = match range.kind.as_str() {
            "SEMVER" => Order::Semantic,
            "ECOSYSTEM" => own,
            "GIT" => {
                let repo = range.repo.ok_or_else(|| {
                    AdvisoryError::new(FORMAT, "a range of commits names no 'repo'")
                })?;
                packages.insert((GIT.to_owned(), repository(&repo)));
                ranges.push(Range::Git);
                continue;
            }
            other => {
                return Err(AdvisoryError::new(FORMAT, format!("no range has the type '{other}'")));
            }
        };
        let events: Vec<Event> = range
            .events
            .into_iter()
            .map(event)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect();
        if !events.iter().any(|event| matches!(event, Event::Introduced(_))) {
            return Err(AdvisoryError::new(FORMAT, "a range has no event 'introduced'"));
        }
        ranges.push(Range::Ordered { order, events });
    }
    if packages.is_empty() {
        return Err(AdvisoryError::new(FORMAT, "an entry of 'affected' names no package"));
    }
    Ok(Affected { packages, versions: wire.versions, ranges })
}

fn event(wire: WireEvent) -> Result<Option<Event>, AdvisoryError> {
    match (wire.introduced, wire.fixed, wire.last_affected, wire.limit) {
        (Some(version), None, None, None) => Ok(Some(Event::Introduced(version))),
        (None, Some(version), None, None) => Ok(Some(Event::Fixed(version))),
        (None, None, Some(version), None) => Ok(Some(Event::LastAffected(version))),
        // A limit only makes the range smaller; without it more is affected.
        (None, None, None, Some(_)) => Ok(None),
        _ => Err(AdvisoryError::new(FORMAT, "an event has not exactly one key")),
    }
}

/// A repository's URL as one of several spellings.
pub(super) fn repository(url: &str) -> String {
    let plain = url.trim_end_matches('/').trim_end_matches(".git");
    let plain = plain.split_once("://").map_or(plain, |(_, rest)| rest);
    plain.to_ascii_lowercase()
}

impl Advisory {
    /// The packages it speaks about.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.affected.iter().flat_map(|one| &one.packages)
    }

    /// Whether it affects a version of a package.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn affects(&self, package: &Package, version: &str) -> Result<bool, String> {
        let mut doubt = None;
        for one in self.affected.iter().filter(|one| one.packages.contains(package)) {
            match one.holds(version) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(why) => doubt = Some(why),
            }
        }
        doubt.map_or(Ok(false), Err)
    }
}

impl Affected {
    fn holds(&self, version: &str) -> Result<bool, String> {
        let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
        if self.versions.iter().any(|one| bare(one) == bare(version)) {
            return Ok(true);
        }
        // Without either, every version is affected.
        if self.versions.is_empty() && self.ranges.is_empty() {
            return Ok(true);
        }
        let mut doubt = None;
        for range in &self.ranges {
            let held = match range {
                Range::Git => None,
                Range::Ordered { order, events } => within(*order, events, version),
            };
            match held {
                Some(true) => return Ok(true),
                Some(false) => {}
                // Where all affected versions are named, the names decide.
                None if !self.versions.is_empty() => {}
                None => {
                    doubt = Some(format!("the version '{version}' cannot be put into its order"));
                }
            }
        }
        doubt.map_or(Ok(false), Err)
    }
}

/// Whether a version lies between the events; `None` if that is not certain.
fn within(order: Order, events: &[Event], version: &str) -> Option<bool> {
    let mut open = false;
    let mut sorted: Vec<&Event> = Vec::new();
    for event in events {
        let mut place = sorted.len();
        for (at, other) in sorted.iter().enumerate() {
            if compare(order, event.version(), other.version())?.is_lt() {
                place = at;
                break;
            }
        }
        sorted.insert(place, event);
    }
    for event in sorted {
        let against = compare(order, version, event.version())?;
        match event {
            Event::Introduced(_) if against.is_ge() => open = true,
            Event::Fixed(_) if against.is_ge() => open = false,
            Event::LastAffected(_) if against.is_gt() => open = false,
            _ => {}
        }
    }
    Some(open)
}

/// `0` comes before every version.
fn compare(order: Order, a: &str, b: &str) -> Option<std::cmp::Ordering> {
    match (a, b) {
        ("0", "0") => Some(std::cmp::Ordering::Equal),
        ("0", _) => Some(std::cmp::Ordering::Less),
        (version, "0") => order.compare(version, version).map(|_| std::cmp::Ordering::Greater),
        _ => order.compare(a, b),
    }
}
