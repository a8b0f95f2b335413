//! The graph that a lock's nodes make, resolved from the root as Nix does.
//!
//! Inputs are addressed by their path of input names from the root
//! (`nixos/nixpkgs`), never by a node's key: keys are free, and one that looks
//! like an input may stand for another. An input that follows leads to where
//! its path leads from the root, through other inputs that follow
//! (`doFind` in `src/libflake/lockfile.cc`, `getInputByPath` in
//! `call-flake.nix`).

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::{Edge, FlakeLock, LockInput, LockNode};

/// Deepest input that has a path. Genuine locks stay below fifteen, and Nix
/// reads them recursively.
pub const MAX_DEPTH: usize = 200;

/// Most characters of a name that are shown.
const MAX_NAME: usize = 100;

/// Most names of a path that are shown; the middle of a longer one is left
/// out.
const MAX_SHOWN: usize = 20;

/// A resolved graph.
#[derive(Debug)]
pub struct Graph<'l> {
    /// All nodes, in the order of their keys.
    pub nodes: Vec<GraphNode<'l>>,
    /// The node of the flake itself.
    pub root: usize,
    /// Nodes in the order they are reached: by depth, then by path.
    pub order: Vec<usize>,
    /// What does not resolve, in the order of nodes and inputs.
    pub defects: Vec<GraphDefect<'l>>,
}

/// A node of the graph.
#[derive(Debug)]
pub struct GraphNode<'l> {
    /// Its key.
    pub key: &'l str,
    /// What the lock says of it.
    pub node: &'l LockNode<'l>,
    /// The node and input by which it is reached first.
    pub parent: Option<(usize, &'l str)>,
    /// Inputs between it and the root; `None` for one that is never reached.
    pub depth: Option<usize>,
    /// Its inputs, in the order of their names.
    pub inputs: Vec<GraphInput<'l>>,
}

/// An input of a node.
#[derive(Debug)]
pub struct GraphInput<'l> {
    /// Its name.
    pub name: &'l str,
    /// What the lock says of it.
    pub edge: &'l Edge<'l>,
    /// Where it leads.
    pub target: Target,
}

/// Where an input leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To a node of its own.
    Node(usize),
    /// By following, to a node.
    Follows(usize),
    /// Nowhere; there is a [`GraphDefect`].
    Nowhere,
}

/// Something that does not resolve.
#[derive(Debug)]
pub struct GraphDefect<'l> {
    /// The node whose input it is.
    pub node: usize,
    /// The input.
    pub input: &'l str,
    /// Where and what it is.
    pub edge: &'l Edge<'l>,
    /// What is wrong.
    pub kind: DefectKind<'l>,
}

/// What does not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefectKind<'l> {
    /// It names a node that is not there.
    MissingNode(&'l str),
    /// It follows a path that leads nowhere, from this name on.
    DanglingFollows {
        /// The path.
        path: &'l [Cow<'l, str>],
        /// The name at which it ends.
        at: &'l str,
    },
    /// It follows in a circle, back to itself.
    FollowsCycle {
        /// The paths that are followed, one after the other.
        through: Vec<&'l [Cow<'l, str>]>,
    },
    /// It follows something that follows in a circle.
    IntoCycle {
        /// The path.
        path: &'l [Cow<'l, str>],
    },
    /// It leads to the root, or to a node that leads back to it.
    NodeCycle(usize),
    /// It lies deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl<'l> Graph<'l> {
    /// Resolves a lock.
    #[must_use]
    pub fn new(lock: &'l FlakeLock<'l>) -> Self {
        let index: HashMap<&str, usize> =
            lock.nodes.iter().enumerate().map(|(at, (key, _))| (key, at)).collect();
        let nodes: Vec<GraphNode<'l>> = lock
            .nodes
            .iter()
            .map(|(key, node)| GraphNode {
                key,
                node,
                parent: None,
                depth: None,
                inputs: node
                    .inputs
                    .iter()
                    .map(|(name, edge)| GraphInput {
                        name,
                        edge,
                        target: match &edge.target {
                            LockInput::Node(target) => index
                                .get(target.as_ref())
                                .map_or(Target::Nowhere, |at| Target::Node(*at)),
                            LockInput::Follows(_) => Target::Nowhere,
                        },
                    })
                    .collect(),
            })
            .collect();
        let root = index.get(lock.root.as_ref()).copied().unwrap_or(0);
        let mut graph = Self { nodes, root, order: Vec::new(), defects: Vec::new() };
        for node in 0..graph.nodes.len() {
            graph.missing(node);
        }
        graph.reach();
        graph.node_cycles();
        Follower::resolve_all(&mut graph);
        graph.defects.sort_by_key(|defect| (defect.edge.span, defect.node));
        graph
    }

    /// The path of a node from the root; empty for the root itself and for
    /// nodes that are never reached.
    #[must_use]
    pub fn path(&self, node: usize) -> Vec<&'l str> {
        let mut path = Vec::new();
        let mut at = node;
        while let Some((parent, name)) = self.nodes.get(at).and_then(|node| node.parent) {
            path.push(name);
            at = parent;
            if path.len() > MAX_DEPTH {
                break;
            }
        }
        path.reverse();
        path
    }

    /// The path of a node as it is shown; of a node that is never reached its
    /// key, marked as such.
    #[must_use]
    pub fn shown(&self, node: usize) -> String {
        let Some(found) = self.nodes.get(node) else { return String::new() };
        match found.depth {
            Some(0) => "the flake itself".to_owned(),
            Some(_) => show_path(&self.path(node)),
            None => format!("(node {})", show_name(found.key)),
        }
    }

    /// An input as it is shown.
    #[must_use]
    pub fn shown_input(&self, node: usize, input: &str) -> String {
        match self.nodes.get(node).map(|found| found.depth) {
            Some(Some(_)) => {
                let mut path = self.path(node);
                path.push(input);
                show_path(&path)
            }
            _ => format!("{}/{}", self.shown(node), show_name(input)),
        }
    }

    fn missing(&mut self, at: usize) {
        let Some(node) = self.nodes.get(at) else { return };
        for input in &node.inputs {
            if let (LockInput::Node(name), Target::Nowhere) = (&input.edge.target, input.target) {
                self.defects.push(GraphDefect {
                    node: at,
                    input: input.name,
                    edge: input.edge,
                    kind: DefectKind::MissingNode(name),
                });
            }
        }
    }

    /// Finds what the root reaches, nearest first.
    fn reach(&mut self) {
        let mut queue = VecDeque::from([self.root]);
        if let Some(root) = self.nodes.get_mut(self.root) {
            root.depth = Some(0);
        }
        while let Some(at) = queue.pop_front() {
            self.order.push(at);
            let Some(node) = self.nodes.get(at) else { continue };
            let depth = node.depth.unwrap_or(0) + 1;
            let next: Vec<(usize, &str, &Edge<'_>)> = node
                .inputs
                .iter()
                .filter_map(|input| match input.target {
                    Target::Node(target) => Some((target, input.name, input.edge)),
                    Target::Follows(_) | Target::Nowhere => None,
                })
                .collect();
            for (target, name, edge) in next {
                let Some(found) = self.nodes.get_mut(target) else { continue };
                if found.depth.is_some() {
                    continue;
                }
                if depth > MAX_DEPTH {
                    self.defects.push(GraphDefect {
                        node: at,
                        input: name,
                        edge,
                        kind: DefectKind::TooDeep,
                    });
                    continue;
                }
                found.depth = Some(depth);
                found.parent = Some((at, name));
                queue.push_back(target);
            }
        }
    }

    /// Finds inputs that lead back to a node they come from, depth first
    /// without recursion.
    fn node_cycles(&mut self) {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.nodes.len()];
        let mut found = Vec::new();
        for start in 0..self.nodes.len() {
            if marks.get(start) != Some(&Mark::New) {
                continue;
            }
            let mut stack = vec![(start, 0_usize)];
            if let Some(mark) = marks.get_mut(start) {
                *mark = Mark::Open;
            }
            while let Some((at, next)) = stack.last_mut() {
                let input = self.nodes.get(*at).and_then(|node| node.inputs.get(*next));
                let Some(input) = input else {
                    if let Some(mark) = marks.get_mut(*at) {
                        *mark = Mark::Done;
                    }
                    stack.pop();
                    continue;
                };
                *next += 1;
                let Target::Node(target) = input.target else { continue };
                match marks.get(target) {
                    Some(Mark::New) => {
                        if let Some(mark) = marks.get_mut(target) {
                            *mark = Mark::Open;
                        }
                        stack.push((target, 0));
                    }
                    Some(Mark::Open) => found.push(GraphDefect {
                        node: *at,
                        input: input.name,
                        edge: input.edge,
                        kind: DefectKind::NodeCycle(target),
                    }),
                    _ => {}
                }
            }
        }
        self.defects.extend(found);
    }
}

/// A name as it is shown, the end of a long one left out.
#[must_use]
pub fn show_name(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// A path of input names as it is shown, the middle of a long one left out.
#[must_use]
pub fn show_path<S: AsRef<str>>(path: &[S]) -> String {
    let names: Vec<String> = path.iter().map(|name| show_name(name.as_ref())).collect();
    if names.len() <= MAX_SHOWN {
        return names.join("/");
    }
    let half = MAX_SHOWN / 2;
    let head = names.get(..half).unwrap_or_default().join("/");
    let tail = names.get(names.len() - half..).unwrap_or_default().join("/");
    format!("{head}/…/{tail}")
}

/// An input that follows, by its node and its place among the node's inputs.
type Place = (usize, usize);

/// What following came to.
#[derive(Clone, Copy)]
enum State<'l> {
    New,
    Open,
    Node(usize),
    Dangling(&'l str),
    Cycle,
}

/// A path under way.
struct Walk<'l> {
    place: Place,
    path: &'l [Cow<'l, str>],
    /// How many of its names are resolved.
    done: usize,
    /// The node they lead to.
    at: usize,
}

/// Resolves every input that follows, each once, without recursion.
struct Follower<'g, 'l> {
    graph: &'g mut Graph<'l>,
    /// Of the inputs of all nodes, one after the other.
    states: Vec<State<'l>>,
    /// Where those of each node begin.
    firsts: Vec<usize>,
}

impl<'l> Follower<'_, 'l> {
    fn resolve_all(graph: &mut Graph<'l>) {
        let mut firsts = Vec::with_capacity(graph.nodes.len());
        let mut count = 0;
        for node in &graph.nodes {
            firsts.push(count);
            count += node.inputs.len();
        }
        let mut follower = Follower { graph, states: vec![State::New; count], firsts };
        for node in 0..follower.graph.nodes.len() {
            let count = follower.graph.nodes.get(node).map_or(0, |found| found.inputs.len());
            for input in 0..count {
                follower.resolve((node, input));
            }
        }
    }

    fn input(&self, (node, input): Place) -> Option<(&'l str, &'l Edge<'l>, Target)> {
        let found = self.graph.nodes.get(node)?.inputs.get(input)?;
        Some((found.name, found.edge, found.target))
    }

    fn follows(&self, place: Place) -> Option<&'l [Cow<'l, str>]> {
        match &self.input(place)?.1.target {
            LockInput::Follows(path) => Some(path),
            LockInput::Node(_) => None,
        }
    }

    fn state(&self, (node, input): Place) -> State<'l> {
        let first = self.firsts.get(node).copied().unwrap_or_default();
        self.states.get(first + input).copied().unwrap_or(State::New)
    }

    fn set(&mut self, place: Place, state: State<'l>) {
        let (node, input) = place;
        let first = self.firsts.get(node).copied().unwrap_or_default();
        if let Some(slot) = self.states.get_mut(first + input) {
            *slot = state;
        }
    }

    fn find(&self, node: usize, name: &str) -> Option<usize> {
        self.graph.nodes.get(node)?.inputs.binary_search_by(|input| input.name.cmp(name)).ok()
    }

    fn resolve(&mut self, place: Place) {
        let Some(path) = self.follows(place) else { return };
        if !matches!(self.state(place), State::New) {
            return;
        }
        let root = self.graph.root;
        self.set(place, State::Open);
        let mut stack = vec![Walk { place, path, done: 0, at: root }];
        while let Some(walk) = stack.last_mut() {
            let Some(name) = walk.path.get(walk.done) else {
                let (place, at) = (walk.place, walk.at);
                stack.pop();
                self.finish(place, State::Node(at));
                continue;
            };
            let (at, place) = (walk.at, walk.place);
            let Some(input) = self.find(at, name) else {
                stack.pop();
                self.finish(place, State::Dangling(name));
                continue;
            };
            let next = (at, input);
            let target = self.input(next).map_or(Target::Nowhere, |(_, _, target)| target);
            if let Target::Node(target) = target {
                walk.at = target;
                walk.done += 1;
                continue;
            }
            let Some(path) = self.follows(next) else {
                // An input that names a node that is not there.
                stack.pop();
                self.finish(place, State::Dangling(name));
                continue;
            };
            match self.state(next) {
                State::Node(target) => {
                    walk.at = target;
                    walk.done += 1;
                }
                State::New => {
                    self.set(next, State::Open);
                    stack.push(Walk { place: next, path, done: 0, at: root });
                }
                State::Open => self.close_cycle(&mut stack, next),
                State::Dangling(_) => {
                    stack.pop();
                    self.finish(place, State::Dangling(name));
                }
                State::Cycle => {
                    stack.pop();
                    self.finish(place, State::Cycle);
                    self.defect(place, DefectKind::IntoCycle { path: walk_path(self, place) });
                }
            }
        }
    }

    /// Everything from `first` on stands in a circle: named once, at the input
    /// that stands first in the file.
    fn close_cycle(&mut self, stack: &mut Vec<Walk<'l>>, first: Place) {
        let from = stack.iter().position(|walk| walk.place == first).unwrap_or(0);
        let circle = stack.split_off(from);
        let mut through: Vec<(Place, &'l [Cow<'l, str>])> =
            circle.iter().map(|walk| (walk.place, walk.path)).collect();
        let start = |place: Place| self.input(place).map(|(_, edge, _)| edge.span.start);
        let earliest =
            (0..through.len()).min_by_key(|at| through.get(*at).map(|(place, _)| start(*place)));
        through.rotate_left(earliest.unwrap_or(0));
        for walk in &circle {
            self.set(walk.place, State::Cycle);
        }
        if let Some((place, _)) = through.first().copied() {
            let through = through.into_iter().map(|(_, path)| path).collect();
            self.defect(place, DefectKind::FollowsCycle { through });
        }
    }

    fn finish(&mut self, place: Place, state: State<'l>) {
        self.set(place, state);
        match state {
            State::Node(target) => {
                let (node, input) = place;
                let slot = self.graph.nodes.get_mut(node).and_then(|n| n.inputs.get_mut(input));
                if let Some(slot) = slot {
                    slot.target = Target::Follows(target);
                }
            }
            State::Dangling(at) => {
                let path = walk_path(self, place);
                self.defect(place, DefectKind::DanglingFollows { path, at });
            }
            State::New | State::Open | State::Cycle => {}
        }
    }

    fn defect(&mut self, place: Place, kind: DefectKind<'l>) {
        if let Some((input, edge, _)) = self.input(place) {
            self.graph.defects.push(GraphDefect { node: place.0, input, edge, kind });
        }
    }
}

fn walk_path<'l>(follower: &Follower<'_, 'l>, place: Place) -> &'l [Cow<'l, str>] {
    follower.follows(place).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(nodes: &str) -> String {
        format!(r#"{{"version":7,"root":"root","nodes":{nodes}}}"#)
    }

    fn lock(text: &str) -> FlakeLock<'_> {
        FlakeLock::read(text.as_bytes()).unwrap().lock
    }

    fn defects(nodes: &str) -> Vec<String> {
        let text = text(nodes);
        let lock = lock(&text);
        let graph = Graph::new(&lock);
        graph
            .defects
            .iter()
            .map(|defect| {
                let what = match &defect.kind {
                    DefectKind::MissingNode(name) => format!("no {name}"),
                    DefectKind::DanglingFollows { path, at } => {
                        format!("{} ends at {at}", path.join("/"))
                    }
                    DefectKind::FollowsCycle { through } => {
                        through.iter().map(|path| path.join("/")).collect::<Vec<_>>().join(" > ")
                    }
                    DefectKind::IntoCycle { path } => format!("into {}", path.join("/")),
                    DefectKind::NodeCycle(node) => format!("back to {}", graph.shown(*node)),
                    DefectKind::TooDeep => "deep".to_owned(),
                };
                format!("{}: {what}", graph.shown_input(defect.node, defect.input))
            })
            .collect()
    }

    #[test]
    fn follows_lead_where_nix_is_led() {
        let text = text(
            r#"{"root":{"inputs":{"a":"n1","nixpkgs":"n2","b":["a","nixpkgs"]}},
                "n1":{"inputs":{"nixpkgs":["nixpkgs"],"own":"a"}},"n2":{},"a":{}}"#,
        );
        let lock = lock(&text);
        let graph = Graph::new(&lock);
        assert!(graph.defects.is_empty());
        let root = &graph.nodes[graph.root];
        let at = |key: &str| graph.nodes.iter().position(|node| node.key == key).unwrap();
        assert_eq!(root.inputs[0].target, Target::Node(at("n1")));
        assert_eq!(root.inputs[1].target, Target::Follows(at("n2")));
        // The node with the key 'a' is not the input 'a'.
        assert_eq!(graph.shown(at("a")), "a/own");
        assert_eq!(graph.shown(at("n1")), "a");
    }

    #[test]
    fn what_does_not_resolve_is_named() {
        assert_eq!(defects(r#"{"root":{"inputs":{"a":"x"}}}"#), ["a: no x"]);
        assert_eq!(
            defects(r#"{"root":{"inputs":{"a":"x","b":["a"],"c":["b","d"]}}}"#),
            ["a: no x", "b: a ends at a", "c: b/d ends at b"]
        );
        assert_eq!(
            defects(r#"{"root":{"inputs":{"a":["b"],"b":["c"],"c":["a"],"d":["b","x"]}}}"#),
            ["a: b > c > a", "d: into b/x"]
        );
        assert_eq!(defects(r#"{"root":{"inputs":{"a":["a"]}}}"#), ["a: a"]);
        assert_eq!(
            defects(
                r#"{"root":{"inputs":{"a":"x"}},"x":{"inputs":{"b":"y"}},"y":{"inputs":{"c":"x","d":"root"}}}"#
            ),
            ["a/b/c: back to a", "a/b/d: back to the flake itself"]
        );
        assert_eq!(
            defects(r#"{"root":{},"o":{"inputs":{"p":"none","q":["r"]}}}"#),
            ["(node o)/p: no none", "(node o)/q: r ends at r"]
        );
        // An empty path follows the flake itself.
        assert!(defects(r#"{"root":{"inputs":{"a":[]}}}"#).is_empty());
    }

    #[test]
    fn chains_are_resolved_in_linear_time() {
        let count = 50_000;
        let mut inputs: Vec<String> =
            (0..count).map(|at| format!(r#""i{at:06}":["i{:06}"]"#, at + 1)).collect();
        inputs.push(format!(r#""i{count:06}":"x""#));
        let text = text(&format!(r#"{{"root":{{"inputs":{{{}}}}},"x":{{}}}}"#, inputs.join(",")));
        let lock = lock(&text);
        let graph = Graph::new(&lock);
        assert!(graph.defects.is_empty());
        assert_eq!(graph.nodes[graph.root].inputs[0].target, Target::Follows(1));
    }

    #[test]
    fn deep_graphs_are_cut() {
        let nodes: Vec<String> =
            (0..1000).map(|at| format!(r#""n{at}":{{"inputs":{{"i":"n{}"}}}}"#, at + 1)).collect();
        let text =
            format!(r#"{{"root":{{"inputs":{{"i":"n0"}}}},{},"n1000":{{}}}}"#, nodes.join(","));
        let found = defects(&text);
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(": deep"), "{found:?}");
        assert!(found[0].len() < 100);
    }
}
