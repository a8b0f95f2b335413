//! What a `flake.lock` says, read strictly.
//!
//! Follows `src/libflake/lockfile.cc`: versions 5 to 7 are graphs of nodes;
//! an input is the name of a node or, to follow another input, a path of input
//! names from the root.

use std::collections::BTreeMap;

use super::json::{self, Document, Duplicates, JsonError, Node, Value};

/// The versions that Nix reads.
pub const VERSIONS: std::ops::RangeInclusive<u64> = 5..=7;

/// A lock file's facts. Nothing in it is judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlakeLock {
    /// The version of its format.
    pub version: u64,
    /// The name of the node that stands for the flake itself.
    pub root: String,
    /// All nodes by name.
    pub nodes: BTreeMap<String, LockNode>,
    /// Keys that stand twice; the last one counts, as in Nix.
    pub duplicates: Duplicates,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockNode {
    /// Where its key stands.
    pub offset: usize,
    /// Whether it is a flake.
    pub flake: bool,
    /// What it is locked to, as written.
    pub locked: BTreeMap<String, Attribute>,
    /// What was asked for, as written.
    pub original: BTreeMap<String, Attribute>,
    /// Its inputs.
    pub inputs: BTreeMap<String, LockInput>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A number, as written.
    Number(String),
    /// A boolean.
    Bool(bool),
}

/// Where an input leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockInput {
    /// To a node.
    Node(String),
    /// To where a path of input names from the root leads.
    Follows(Vec<String>),
}

/// Why a text is no lock file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlakeLockError {
    /// No JSON.
    #[error("the lock file is not JSON: {0}")]
    Json(#[from] JsonError),
    /// A value of another type than its place demands.
    #[error("at byte {offset}: {what} is {found} (expected {expected})")]
    Type {
        /// Where the value begins.
        offset: usize,
        /// What it is the value of.
        what: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Something that must be there is not.
    #[error("at byte {offset}: {what} is missing")]
    Missing {
        /// Where the object begins that should hold it.
        offset: usize,
        /// What is missing.
        what: String,
    },
    /// A version that is not a graph of nodes, or not known.
    #[error(
        "at byte {offset}: version {found} of the lock format is not read (expected 5 to 7); {hint}"
    )]
    Version {
        /// Where the version stands.
        offset: usize,
        /// The version, as written.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// A name of a node that does not exist.
    #[error("at byte {offset}: {what} leads to the node '{name}', which does not exist")]
    Dangling {
        /// Where the name stands.
        offset: usize,
        /// What leads there.
        what: String,
        /// The name.
        name: String,
    },
}

impl FlakeLockError {
    /// Where the defect is.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match self {
            Self::Json(JsonError { offset, .. })
            | Self::Type { offset, .. }
            | Self::Missing { offset, .. }
            | Self::Version { offset, .. }
            | Self::Dangling { offset, .. } => *offset,
        }
    }
}

impl FlakeLock {
    /// Reads a lock file of version 5, 6 or 7.
    ///
    /// # Errors
    /// The first place that breaks the format.
    pub fn parse(bytes: &[u8]) -> Result<Self, FlakeLockError> {
        let Document { root: top, duplicates } = json::parse(bytes)?;
        object(&top, "the lock file")?;
        let version = version(&top)?;
        let nodes_at = required(&top, "nodes")?;
        let mut nodes = BTreeMap::new();
        for member in object(nodes_at, "'nodes'")? {
            nodes.insert(member.key.clone(), node(&member.key, member.offset, &member.value)?);
        }
        let root_at = required(&top, "root")?;
        let root = text(root_at, "'root'")?;
        if !nodes.contains_key(root) {
            let what = "'root'".to_owned();
            return Err(FlakeLockError::Dangling {
                offset: root_at.offset,
                what,
                name: root.to_owned(),
            });
        }
        for member in object(nodes_at, "'nodes'")? {
            check_inputs(&member.key, &member.value, &nodes)?;
        }
        Ok(Self { version, root: root.to_owned(), nodes, duplicates })
    }
}

fn version(top: &Node) -> Result<u64, FlakeLockError> {
    let node = required(top, "version")?;
    let Value::Number(found) = &node.value else {
        return Err(wrong(node, "'version'".to_owned(), "a number"));
    };
    match found.parse::<u64>() {
        Ok(version) if VERSIONS.contains(&version) => Ok(version),
        parsed => Err(FlakeLockError::Version {
            offset: node.offset,
            found: found.clone(),
            hint: match parsed {
                Ok(1..=4) => "it is from before Nix 2.4: lock the flake again with a current Nix",
                Ok(8..) => "it is newer than this program: look for a newer one",
                _ => "this is no version of the format",
            },
        }),
    }
}

fn node(name: &str, offset: usize, value: &Node) -> Result<LockNode, FlakeLockError> {
    object(value, &format!("the node '{name}'"))?;
    let flake = match value.member("flake") {
        None => true,
        Some(Node { value: Value::Bool(flake), .. }) => *flake,
        Some(other) => return Err(wrong(other, format!("'flake' of '{name}'"), "a boolean")),
    };
    let mut inputs = BTreeMap::new();
    if let Some(at) = value.member("inputs") {
        for member in object(at, &format!("'inputs' of '{name}'"))? {
            inputs.insert(member.key.clone(), input(name, &member.key, &member.value)?);
        }
    }
    Ok(LockNode {
        offset,
        flake,
        locked: attributes(value, "locked", name)?,
        original: attributes(value, "original", name)?,
        inputs,
    })
}

fn input(node: &str, name: &str, value: &Node) -> Result<LockInput, FlakeLockError> {
    let what = || format!("the input '{name}' of '{node}'");
    match &value.value {
        Value::String(target) => Ok(LockInput::Node(target.clone())),
        Value::Array(items) => items
            .iter()
            .map(|item| text(item, &what()).map(str::to_owned))
            .collect::<Result<_, _>>()
            .map(LockInput::Follows),
        _ => Err(wrong(value, what(), "a string or an array of strings")),
    }
}

fn attributes(
    node: &Node,
    key: &str,
    name: &str,
) -> Result<BTreeMap<String, Attribute>, FlakeLockError> {
    let Some(at) = node.member(key) else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for member in object(at, &format!("'{key}' of '{name}'"))? {
        let value = match &member.value.value {
            Value::String(text) => Attribute::Text(text.clone()),
            Value::Number(number) => Attribute::Number(number.clone()),
            Value::Bool(value) => Attribute::Bool(*value),
            _ => {
                let what = format!("'{}' in '{key}' of '{name}'", member.key);
                return Err(wrong(&member.value, what, "a string, a number or a boolean"));
            }
        };
        found.insert(member.key.clone(), value);
    }
    Ok(found)
}

/// Inputs that name nodes name nodes that are there.
fn check_inputs(
    name: &str,
    value: &Node,
    nodes: &BTreeMap<String, LockNode>,
) -> Result<(), FlakeLockError> {
    let inputs = value.member("inputs").and_then(Node::members).unwrap_or_default();
    for member in inputs {
        if let Some(target) = member.value.string().filter(|target| !nodes.contains_key(*target)) {
            return Err(FlakeLockError::Dangling {
                offset: member.value.offset,
                what: format!("the input '{}' of '{name}'", member.key),
                name: target.to_owned(),
            });
        }
    }
    Ok(())
}

fn wrong(node: &Node, what: String, expected: &'static str) -> FlakeLockError {
    FlakeLockError::Type { offset: node.offset, what, found: node.kind(), expected }
}

fn object<'n>(node: &'n Node, what: &str) -> Result<&'n [json::Member], FlakeLockError> {
    node.members().ok_or_else(|| wrong(node, what.to_owned(), "an object"))
}

fn text<'n>(node: &'n Node, what: &str) -> Result<&'n str, FlakeLockError> {
    node.string().ok_or_else(|| wrong(node, what.to_owned(), "a string"))
}

fn required<'n>(node: &'n Node, key: &str) -> Result<&'n Node, FlakeLockError> {
    node.member(key)
        .ok_or_else(|| FlakeLockError::Missing { offset: node.offset, what: format!("'{key}'") })
}

/// A URL as it may be shown: without user and password, and with the values
/// of unknown query parameters left out, for they may be tokens.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    /// Parameters of flake references that hold no secrets.
    const KNOWN: [&str; 10] = [
        "ref",
        "rev",
        "dir",
        "narHash",
        "submodules",
        "shallow",
        "lfs",
        "host",
        "lastModified",
        "revCount",
    ];
    let (base, query) = url.split_once('?').map_or((url, None), |(b, q)| (b, Some(q)));
    let mut shown = match base.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}{path}"),
                None => base.to_owned(),
            }
        }
        None => base.to_owned(),
    };
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if !KNOWN.contains(&name) => {
                shown.push_str(name);
                shown.push_str("=***");
            }
            _ => shown.push_str(pair),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"nodes":{"a":{"flake":false,"locked":{"type":"path","lastModified":5},
        "original":{"id":"a"}},"root":{"inputs":{"a":"a","b":["a","x"]}}},"root":"root","version":7}"#;

    #[test]
    fn facts_are_read() {
        let lock = FlakeLock::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((lock.version, lock.root.as_str(), lock.nodes.len()), (7, "root", 2));
        assert!(!lock.nodes["a"].flake);
        assert_eq!(lock.nodes["a"].locked["lastModified"], Attribute::Number("5".to_owned()));
        assert_eq!(lock.nodes["root"].inputs["a"], LockInput::Node("a".to_owned()));
        assert_eq!(
            lock.nodes["root"].inputs["b"],
            LockInput::Follows(vec!["a".to_owned(), "x".to_owned()])
        );
    }

    #[test]
    fn every_prefix_is_refused_at_its_end_or_before() {
        for end in 0..GOOD.len() {
            let error = FlakeLock::parse(&GOOD.as_bytes()[..end]).unwrap_err();
            assert!(error.offset() <= end, "{end}: {error}");
        }
    }

    #[test]
    fn defects_are_placed() {
        for (text, wanted) in [
            ("[]", "at byte 0: the lock file is an array (expected an object)"),
            ("{}", "at byte 0: 'version' is missing"),
            (r#"{"version":"7"}"#, "at byte 11: 'version' is a string"),
            (
                r#"{"version":4}"#,
                "at byte 11: version 4 of the lock format is not read (expected 5 to 7); it is from before",
            ),
            (r#"{"version":8}"#, "newer than this program"),
            (r#"{"version":7.0}"#, "this is no version"),
            (r#"{"version":7,"nodes":[]}"#, "at byte 21: 'nodes' is an array"),
            (r#"{"version":7,"nodes":{},"root":"r"}"#, "at byte 31: 'root' leads to the node 'r'"),
            (r#"{"version":7,"nodes":{"r":1},"root":"r"}"#, "the node 'r' is a number"),
            (
                r#"{"version":7,"nodes":{"r":{"inputs":{"x":"y"}}},"root":"r"}"#,
                "at byte 41: the input 'x' of 'r' leads to the node 'y'",
            ),
            (
                r#"{"version":7,"nodes":{"r":{"locked":{"rev":null}}},"root":"r"}"#,
                "'rev' in 'locked' of 'r' is null",
            ),
        ] {
            let error = FlakeLock::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for (url, shown) in [
            ("https://user:pw@host/a?token=abc&ref=x", "https://***@host/a?token=***&ref=x"),
            ("https://host/a@b", "https://host/a@b"),
            ("git+ssh://git@host/a", "git+ssh://***@host/a"),
            ("./local", "./local"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
