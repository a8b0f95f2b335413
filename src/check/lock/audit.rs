//! A lock under audit, as the rules see it.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::config::Config;
use super::identity::Identity;
use super::well_known::Tables;
use crate::check::{Finding, Location, Rule, Source, Span};
use crate::nix::flake_lock::graph::{Graph, show_name};
use crate::nix::flake_lock::{FlakeLock, LockNode};
use crate::nix::flake_ref::FlakeRef;
use crate::nix::hash::{Hash, HashAlgorithm, HashError, NarHash};

/// Inputs from which on they are shared out among processors; for fewer it
/// takes longer to start threads than to look at them.
pub const MANY: usize = 4_096;

/// A lock with everything that rules look at.
#[derive(Debug)]
pub struct Audit<'a> {
    /// What it says.
    pub lock: &'a FlakeLock<'a>,
    /// Its graph, resolved.
    pub graph: &'a Graph<'a>,
    /// Its text.
    pub source: &'a Source<'a>,
    /// Its inputs: first those that the root reaches, nearest first, then the
    /// rest by their keys.
    pub inputs: Vec<Input<'a>>,
    /// The time of the run, in seconds since 1970.
    pub now: i64,
    /// What the user allows and asks for.
    pub config: &'a Config,
    /// What is known of public repositories and releases.
    pub tables: &'a Tables,
}

/// A locked input.
#[derive(Debug)]
pub struct Input<'a> {
    /// Its node's place in the graph.
    pub at: usize,
    /// Its path from the root, as it is shown.
    pub path: String,
    /// Inputs between it and the root; `None` if the root never reaches it.
    pub depth: Option<usize>,
    /// What the lock says of it.
    pub node: &'a LockNode<'a>,
    /// What it is locked to.
    pub locked: FlakeRef<'a>,
    /// What was asked for.
    pub original: FlakeRef<'a>,
    /// Its `narHash`, decoded.
    pub nar_hash: Option<Result<NarHash, HashError>>,
    /// The repository that it is locked to.
    pub identity: Option<Identity>,
}

impl<'a> Audit<'a> {
    /// Prepares a lock.
    #[must_use]
    pub fn new(
        lock: &'a FlakeLock<'a>,
        graph: &'a Graph<'a>,
        source: &'a Source<'a>,
        now: i64,
        config: &'a Config,
        tables: &'a Tables,
    ) -> Self {
        let unreached = (0..graph.nodes.len())
            .filter(|at| graph.nodes.get(*at).is_some_and(|node| node.depth.is_none()));
        let places: Vec<usize> =
            graph.order.iter().copied().chain(unreached).filter(|at| *at != graph.root).collect();
        let input = |at: &usize| {
            let found = graph.nodes.get(*at)?;
            let locked = FlakeRef(&found.node.locked);
            Some(Input {
                at: *at,
                path: graph.shown(*at),
                depth: found.depth,
                node: found.node,
                locked,
                original: FlakeRef(&found.node.original),
                nar_hash: locked.text("narHash").map(decode),
                identity: Identity::of(locked),
            })
        };
        let inputs = if places.len() < MANY {
            places.iter().filter_map(input).collect()
        } else {
            places.par_iter().filter_map(input).collect()
        };
        Self { lock, graph, source, inputs, now, config, tables }
    }

    /// The inputs that the root reaches: those that Nix reads.
    pub fn reached(&self) -> impl Iterator<Item = &Input<'a>> {
        self.inputs.iter().filter(|input| input.depth.is_some())
    }

    /// The inputs that the root reaches and that have the same key, where
    /// there are more than one; the groups and their inputs in the order of
    /// [`Audit::inputs`].
    pub fn groups<'s, K: std::hash::Hash + Eq>(
        &'s self,
        key: impl Fn(&'s Input<'a>) -> Option<K>,
    ) -> impl Iterator<Item = Vec<&'s Input<'a>>> {
        let mut firsts: HashMap<K, (usize, &Input<'a>)> = HashMap::new();
        let mut groups: BTreeMap<usize, Vec<&Input<'a>>> = BTreeMap::new();
        for (at, input) in self.reached().enumerate() {
            let Some(key) = key(input) else { continue };
            let (first, other) = *firsts.entry(key).or_insert((at, input));
            if first != at {
                groups.entry(first).or_insert_with(|| vec![other]).push(input);
            }
        }
        groups.into_values()
    }

    /// A node's path by its key, or the key itself.
    #[must_use]
    pub fn node_subject(&self, key: &str) -> String {
        match self.graph.nodes.binary_search_by(|node| node.key.cmp(key)) {
            Ok(at) => self.graph.shown(at),
            Err(_) => show_name(key),
        }
    }

    /// The place of an attribute of `locked`, or of `locked` itself.
    #[must_use]
    pub fn at_locked(&self, input: &Input<'_>, attribute: &str) -> Location {
        self.source.labelled(input.locked_span(attribute), "locked")
    }

    /// The place of an attribute of `locked`, and beside it the same of
    /// `original`.
    #[must_use]
    pub fn at_both(&self, input: &Input<'_>, attribute: &str) -> Location {
        let place = self.at_locked(input, attribute);
        self.source.beside(place, input.original_span(attribute), "original")
    }

    /// The place of an attribute of `original`, or of `original` itself.
    #[must_use]
    pub fn at_original(&self, input: &Input<'_>, attribute: &str) -> Location {
        self.source.labelled(input.original_span(attribute), "original")
    }
}

impl Input<'_> {
    /// A finding about it.
    #[must_use]
    pub fn finding(&self, rule: &'static Rule, message: impl Into<String>) -> Finding {
        Finding::new(rule, self.path.clone(), message)
    }

    /// The command that locks it anew.
    #[must_use]
    pub fn update(&self) -> String {
        format!("nix flake update {}", quoted(&self.path))
    }

    /// Where an attribute of `locked` stands; of one that is not there, where
    /// its type or all of it stands.
    #[must_use]
    pub fn locked_span(&self, attribute: &str) -> Span {
        span(self.locked, attribute, self.node.locked_at, self.node.key)
    }

    /// The same of `original`.
    #[must_use]
    pub fn original_span(&self, attribute: &str) -> Span {
        span(self.original, attribute, self.node.original_at, self.node.key)
    }

    /// The decoded `narHash`, if there is a good one.
    #[must_use]
    pub fn good_nar_hash(&self) -> Option<&NarHash> {
        self.nar_hash.as_ref()?.as_ref().ok()
    }

    /// Its `lastModified`.
    #[must_use]
    pub fn last_modified(&self) -> Option<i64> {
        self.locked.number("lastModified")
    }
}

fn span(of: FlakeRef<'_>, attribute: &str, whole: Option<Span>, key: Span) -> Span {
    of.span(attribute)
        .or_else(|| of.span("url"))
        .or_else(|| of.span("type"))
        .or_else(|| whole.map(|whole| Span::new(whole.start, whole.start + 1)))
        .unwrap_or(key)
}

/// A `narHash` in any of the notations that Nix had over time: SRI with or
/// without padding, base-32, base-16.
///
/// # Errors
/// Says what is wrong with the text.
pub fn decode(text: &str) -> Result<NarHash, HashError> {
    let sri = text.strip_prefix("sha256-").filter(|rest| rest.len() == 43);
    let padded = sri.map(|rest| format!("sha256-{rest}="));
    let hash = Hash::parse(padded.as_deref().unwrap_or(text), Some(HashAlgorithm::Sha256))?;
    NarHash::from_sha256(&hash).ok_or(HashError::NoAlgorithm)
}

/// A word of a shell, quoted if it needs to be.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+:@=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_all_notations_are_one() {
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let hash = decode(sri).unwrap();
        let nix32 = hash.hash().nix32();
        let base16 = hash.hash().base16();
        for text in [sri.trim_end_matches('='), &nix32, &format!("sha256:{base16}")] {
            assert_eq!(decode(text).unwrap(), hash, "{text}");
        }
        assert!(decode("sha256-").is_err());
        assert!(decode("sha512-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").is_err());
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("a/b-c"), "a/b-c");
        assert_eq!(quoted("a b; rm 'x'"), "'a b; rm '\\''x'\\'''");
        assert_eq!(quoted(""), "''");
    }
}
