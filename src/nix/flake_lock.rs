//! What a `flake.lock` says, read strictly and with places.
//!
//! Follows `src/libflake/lockfile.cc`: versions 5 to 7 are graphs of nodes;
//! an input is the name of a node or, to follow another input, a path of input
//! names from the root. Version 5 keeps a part of `locked` in `info`.
//!
//! [`FlakeLock::read`] goes on behind defects that leave the rest readable and
//! returns them all; [`FlakeLock::parse`] stops at the first. Texts are borrowed
//! from the file.

pub mod by_name;
pub mod graph;

use std::borrow::Cow;

use super::json::{self, Document, Duplicates, JsonError, Member, Node, Span, Value};
use by_name::{ByName, last_by_name};

/// The versions that Nix reads.
pub const VERSIONS: std::ops::RangeInclusive<u64> = 5..=7;

/// A lock file's facts. Nothing in it is judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlakeLock<'t> {
    /// The version of its format.
    pub version: u64,
    /// The name of the node that stands for the flake itself.
    pub root: Cow<'t, str>,
    /// All nodes.
    pub nodes: ByName<'t, LockNode<'t>>,
    /// Keys that stand twice; the last one counts, as in Nix.
    pub duplicates: Duplicates,
    /// Keys of the whole file that Nix does not know.
    pub unknown: Vec<(Cow<'t, str>, Span)>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockNode<'t> {
    /// Where its key stands.
    pub key: Span,
    /// Whether it is a flake.
    pub flake: bool,
    /// What it is locked to, as written, `info` included.
    pub locked: Attributes<'t>,
    /// What was asked for, as written.
    pub original: Attributes<'t>,
    /// Where `locked` stands, if it is there.
    pub locked_at: Option<Span>,
    /// Where `original` stands, if it is there.
    pub original_at: Option<Span>,
    /// Its inputs.
    pub inputs: ByName<'t, Edge<'t>>,
    /// The input whose directory a relative path counts from (Nix 2.26).
    pub parent: Option<Vec<Cow<'t, str>>>,
    /// Keys that Nix does not know.
    pub unknown: Vec<(Cow<'t, str>, Span)>,
}

/// The attributes of a reference.
pub type Attributes<'t> = ByName<'t, Attr<'t>>;

/// An attribute with its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attr<'t> {
    /// Where the key stands.
    pub key: Span,
    /// Where the value stands.
    pub span: Span,
    /// The value.
    pub value: Attribute<'t>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute<'t> {
    /// Text.
    Text(Cow<'t, str>),
    /// A number, as written.
    Number(&'t str),
    /// A boolean.
    Bool(bool),
}

/// An input with its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge<'t> {
    /// Where its name stands.
    pub key: Span,
    /// Where it says where it leads.
    pub span: Span,
    /// Where it leads.
    pub target: LockInput<'t>,
}

/// Where an input leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockInput<'t> {
    /// To a node.
    Node(Cow<'t, str>),
    /// To where a path of input names from the root leads.
    Follows(Vec<Cow<'t, str>>),
}

/// A lock file with what is wrong in places that leave the rest readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<'t> {
    /// What it says.
    pub lock: FlakeLock<'t>,
    /// Values of wrong types and what is missing, in the order of the file.
    pub defects: Vec<FlakeLockError>,
}

/// Why a text is no lock file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlakeLockError {
    /// No JSON.
    #[error("the lock file is not JSON: {0}")]
    Json(#[from] JsonError),
    /// A value of another type than its place demands.
    #[error("at byte {}: {what} is {found} (expected {expected})", span.start)]
    Type {
        /// Where the value stands.
        span: Span,
        /// What it is the value of.
        what: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Something that must be there is not.
    #[error("at byte {}: {what} is missing", span.start)]
    Missing {
        /// Where the object stands that should hold it.
        span: Span,
        /// What is missing.
        what: String,
    },
    /// A version that is not a graph of nodes, or not known.
    #[error(
        "at byte {}: version {found} of the lock format is not read (expected 5 to 7); {hint}",
        span.start
    )]
    Version {
        /// Where the version stands.
        span: Span,
        /// The version, as written.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// A name of a node that does not exist.
    #[error("at byte {}: {what} leads to the node '{name}', which does not exist", span.start)]
    Dangling {
        /// Where the name stands.
        span: Span,
        /// What leads there.
        what: String,
        /// The name.
        name: String,
    },
}

impl FlakeLockError {
    /// Where the defect begins.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.span().start
    }

    /// Where the defect is.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::Json(JsonError { offset, .. }) => Span::new(*offset, *offset + 1),
            Self::Type { span, .. }
            | Self::Missing { span, .. }
            | Self::Version { span, .. }
            | Self::Dangling { span, .. } => *span,
        }
    }
}

impl Attr<'_> {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Attribute::Text(text) => Some(text),
            Attribute::Number(_) | Attribute::Bool(_) => None,
        }
    }
}

impl LockNode<'_> {
    /// The text of an attribute of `locked`.
    #[must_use]
    pub fn locked_text(&self, name: &str) -> Option<&str> {
        self.locked.get(name)?.text()
    }

    /// The text of an attribute of `original`.
    #[must_use]
    pub fn original_text(&self, name: &str) -> Option<&str> {
        self.original.get(name)?.text()
    }
}

impl<'t> FlakeLock<'t> {
    /// Reads a lock file of version 5, 6 or 7.
    ///
    /// # Errors
    /// The first place that breaks the format.
    pub fn parse(bytes: &'t [u8]) -> Result<Self, FlakeLockError> {
        let Reading { lock, defects } = Self::read(bytes)?;
        if let Some(defect) = defects.into_iter().next() {
            return Err(defect);
        }
        for (name, node) in lock.nodes.iter() {
            for (input, edge) in node.inputs.iter() {
                if let LockInput::Node(target) = &edge.target
                    && !lock.nodes.contains(target)
                {
                    return Err(FlakeLockError::Dangling {
                        span: edge.span,
                        what: format!("the input '{input}' of '{name}'"),
                        name: target.to_string(),
                    });
                }
            }
        }
        Ok(lock)
    }

    /// Reads a lock file of version 5, 6 or 7, past every defect that leaves
    /// the rest readable. Names of nodes that do not exist are kept; see
    /// [`graph`].
    ///
    /// # Errors
    /// A defect that leaves nothing to read: no JSON, another version, no
    /// nodes, no root.
    pub fn read(bytes: &'t [u8]) -> Result<Reading<'t>, FlakeLockError> {
        let Document { root: top, duplicates } = json::parse(bytes)?;
        let at = top.span();
        let mut reader = Reader::default();
        let (mut found_version, mut found_nodes, mut found_root) = (None, None, None);
        let mut unknown = Vec::new();
        let top = members(top).map_err(|node| wrong(&node, "the lock file", "an object"))?;
        for Member { key, offset, key_end, value } in top {
            match key.as_ref() {
                "version" => found_version = Some(value),
                "nodes" => found_nodes = Some(value),
                "root" => found_root = Some(value),
                _ => unknown.push((key, Span::new(offset, key_end))),
            }
        }
        let version = version(found_version.as_ref(), at)?;
        let missing = |key: &str| FlakeLockError::Missing { span: at, what: format!("'{key}'") };
        let nodes = found_nodes.ok_or_else(|| missing("nodes"))?;
        let found = members(nodes).map_err(|node| wrong(&node, "'nodes'", "an object"))?;
        let root = found_root.ok_or_else(|| missing("root"))?;
        let root_span = root.span();
        let root = text(root).map_err(|node| wrong(&node, "'root'", "a string"))?;
        let nodes: ByName<'t, LockNode<'t>> = found
            .into_iter()
            .map(|Member { key, offset, key_end, value }| {
                let node = reader.node(&key, Span::new(offset, key_end), value, key == root);
                (key, node)
            })
            .collect();
        if !nodes.contains(&root) {
            let (what, name) = ("'root'".to_owned(), root.into_owned());
            return Err(FlakeLockError::Dangling { span: root_span, what, name });
        }
        let mut defects = reader.defects;
        defects.sort_by_key(FlakeLockError::offset);
        Ok(Reading { lock: Self { version, root, nodes, duplicates, unknown }, defects })
    }
}

fn version(found: Option<&Node<'_>>, top: Span) -> Result<u64, FlakeLockError> {
    let Some(node) = found else {
        return Err(FlakeLockError::Missing { span: top, what: "'version'".to_owned() });
    };
    let Value::Number(found) = &node.value else {
        return Err(wrong(node, "'version'", "a number"));
    };
    match found.parse::<u64>() {
        Ok(version) if VERSIONS.contains(&version) => Ok(version),
        parsed => Err(FlakeLockError::Version {
            span: node.span(),
            found: (*found).to_owned(),
            hint: match parsed {
                Ok(1..=3) => {
                    "it is from the experiments of 2019 that had 'requires' instead of nodes: lock the flake again with a current Nix"
                }
                Ok(4) => {
                    "it is from before Nix 2.4 and holds a tree of inputs instead of nodes: lock the flake again with a current Nix"
                }
                Ok(8..) => "it is newer than this program: look for a newer one",
                _ => "this is no version of the format",
            },
        }),
    }
}

/// The members of an object in the order of their keys, the last of equal
/// ones; or the value itself if it is none.
fn members(node: Node<'_>) -> Result<Vec<Member<'_>>, Node<'_>> {
    match node.value {
        Value::Object(members) => Ok(last_by_name(members, |one, other| one.key.cmp(&other.key))),
        value => Err(Node { value, ..node }),
    }
}

fn text(node: Node<'_>) -> Result<Cow<'_, str>, Node<'_>> {
    match node.value {
        Value::String(text) => Ok(text),
        value => Err(Node { value, ..node }),
    }
}

fn wrong(node: &Node<'_>, what: impl Into<String>, expected: &'static str) -> FlakeLockError {
    FlakeLockError::Type { span: node.span(), what: what.into(), found: node.kind(), expected }
}

/// What Nix takes the value of an attribute of references as; `None` for one
/// that has no meaning everywhere.
fn expected(attribute: &str) -> Option<&'static str> {
    Some(match attribute {
        "type" | "url" | "owner" | "repo" | "ref" | "rev" | "narHash" | "host" | "dir" | "id"
        | "path" | "name" | "dirtyRev" | "dirtyShortRev" | "treeHash" | "keytype" | "publicKey"
        | "publicKeys" => "a string",
        "lastModified" | "revCount" => "a number",
        "submodules" | "shallow" | "lfs" | "exportIgnore" | "allRefs" | "unpack"
        | "verifyCommit" => "a boolean",
        _ => return None,
    })
}

/// Collects defects while it reads on.
#[derive(Default)]
struct Reader {
    defects: Vec<FlakeLockError>,
}

impl Reader {
    fn wrong(&mut self, node: &Node<'_>, what: String, expected: &'static str) {
        self.defects.push(wrong(node, what, expected));
    }

    fn node<'t>(&mut self, name: &str, key: Span, value: Node<'t>, is_root: bool) -> LockNode<'t> {
        let at = value.span();
        let mut node = LockNode { key, flake: true, ..LockNode::default() };
        let members = match members(value) {
            Ok(members) => members,
            Err(value) => {
                self.wrong(&value, format!("the node '{name}'"), "an object");
                return node;
            }
        };
        let mut info = Attributes::default();
        for Member { key, offset, key_end, value } in members {
            match key.as_ref() {
                "flake" => match value.value {
                    Value::Bool(flake) => node.flake = flake,
                    _ => self.wrong(&value, format!("'flake' of '{name}'"), "a boolean"),
                },
                "locked" => {
                    node.locked_at = Some(value.span());
                    node.locked = self.attributes(value, "locked", name);
                }
                "original" => {
                    node.original_at = Some(value.span());
                    node.original = self.attributes(value, "original", name);
                }
                "info" => info = self.attributes(value, "info", name),
                "parent" => node.parent = self.path(value, || format!("'parent' of '{name}'")),
                "inputs" => node.inputs = self.inputs(value, name),
                _ => node.unknown.push((key, Span::new(offset, key_end))),
            }
        }
        node.locked = node.locked.with(info);
        if !is_root {
            for (part, at_part) in [("locked", node.locked_at), ("original", node.original_at)] {
                if at_part.is_none() {
                    let what = format!("'{part}' of '{name}'");
                    self.defects.push(FlakeLockError::Missing { span: at, what });
                }
            }
        }
        node
    }

    fn inputs<'t>(&mut self, value: Node<'t>, node: &str) -> ByName<'t, Edge<'t>> {
        let members = match members(value) {
            Ok(members) => members,
            Err(value) => {
                self.wrong(&value, format!("'inputs' of '{node}'"), "an object");
                return ByName::default();
            }
        };
        let input = |Member { key: name, offset, key_end, value }: Member<'t>| {
            let (key, span) = (Span::new(offset, key_end), value.span());
            let target = match value.value {
                Value::String(target) => LockInput::Node(target),
                Value::Array(_) => {
                    let what = || format!("the input '{name}' of '{node}'");
                    LockInput::Follows(self.path(value, what)?)
                }
                _ => {
                    let what = format!("the input '{name}' of '{node}'");
                    self.wrong(&value, what, "a string or an array of strings");
                    return None;
                }
            };
            Some((name, Edge { key, span, target }))
        };
        members.into_iter().filter_map(input).collect()
    }

    /// A path of input names.
    fn path<'t>(
        &mut self,
        value: Node<'t>,
        what: impl Fn() -> String,
    ) -> Option<Vec<Cow<'t, str>>> {
        let Value::Array(items) = value.value else {
            self.wrong(&value, what(), "an array of strings");
            return None;
        };
        let mut path = Vec::with_capacity(items.len());
        for item in items {
            match text(item) {
                Ok(name) => path.push(name),
                Err(item) => {
                    self.wrong(&item, what(), "a string");
                    return None;
                }
            }
        }
        Some(path)
    }

    fn attributes<'t>(&mut self, value: Node<'t>, part: &str, node: &str) -> Attributes<'t> {
        let members = match members(value) {
            Ok(members) => members,
            Err(value) => {
                self.wrong(&value, format!("'{part}' of '{node}'"), "an object");
                return Attributes::default();
            }
        };
        let attribute = |Member { key: name, offset, key_end, value }: Member<'t>| {
            let span = value.span();
            let expected = expected(&name);
            let right = expected.is_none_or(|expected| expected == value.kind());
            let found = match value.value {
                Value::String(text) if right => Attribute::Text(text),
                Value::Number(number) if right => Attribute::Number(number),
                Value::Bool(value) if right => Attribute::Bool(value),
                _ => {
                    let expected = expected.unwrap_or("a string, a number or a boolean");
                    self.wrong(&value, format!("'{name}' in '{part}' of '{node}'"), expected);
                    return None;
                }
            };
            Some((name, Attr { key: Span::new(offset, key_end), span, value: found }))
        };
        members.into_iter().filter_map(attribute).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"nodes":{"a":{"flake":false,"locked":{"type":"path","lastModified":5},
        "original":{"id":"a"}},"root":{"inputs":{"a":"a","b":["a","x"]}}},"root":"root","version":7}"#;

    #[test]
    fn facts_are_read() {
        let lock = FlakeLock::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((lock.version, lock.root.as_ref(), lock.nodes.len()), (7, "root", 2));
        let (a, root) = (lock.nodes.get("a").unwrap(), lock.nodes.get("root").unwrap());
        assert!(!a.flake);
        assert_eq!(a.locked.get("lastModified").unwrap().value, Attribute::Number("5"));
        assert_eq!(root.inputs.get("a").unwrap().target, LockInput::Node("a".into()));
        let path = vec!["a".into(), "x".into()];
        assert_eq!(root.inputs.get("b").unwrap().target, LockInput::Follows(path));
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
}
