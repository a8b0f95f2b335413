//! A bill of materials as a picture: a graph where one can be looked at, else a
//! treemap.

use super::super::drawing::{Drawing, Node, Shade};
use super::treemap::{Map, Tile};
use crate::sbom::outline::{Outline, Part};

/// Most components that are drawn as a graph unless it is asked for; with more
/// nobody can follow an edge.
pub const MAX_LOOKED_AT: usize = 150;

/// Where the size of a component stands, in bytes.
const SIZE: &str = "nix:narinfo:nar_size";

/// The shade of what came of a rebuild.
fn shade(part: &Part) -> Shade {
    match part.verdict() {
        Some("reproduced") => Shade::Good,
        Some("fixed-by-hash") => Shade::Fixed,
        Some("differs" | "unstable") => Shade::Differs,
        Some("forged") => Shade::Forged,
        Some(_) => Shade::Open,
        None => Shade::Plain,
    }
}

fn label(part: &Part) -> String {
    let mut label = part.title();
    if let Some(output) = part.output().filter(|output| *output != "out") {
        label.push(':');
        label.push_str(output);
    }
    label
}

/// Everything that is shown when it is pointed at.
fn story(part: &Part) -> Vec<String> {
    let mut lines = vec![label(part)];
    lines.extend(part.reference.clone());
    lines.extend(part.purls.iter().map(|one| one.text.clone()));
    let licences: Vec<&str> = part.licences.iter().map(|one| one.text.as_str()).collect();
    if !licences.is_empty() {
        lines.push(format!("licence: {}", licences.join(", ")));
    }
    lines.push(match part.verdict() {
        Some(verdict) => format!("rebuild: {verdict}"),
        None => "nothing is proven about it".to_owned(),
    });
    lines
}

fn title(outline: &Outline) -> String {
    let about = outline.primary.and_then(|at| outline.parts.get(at));
    let about = about.map_or_else(|| "bill of materials".to_owned(), Part::title);
    format!("{about}: {} components", outline.parts.len())
}

/// The graph of dependencies, from what is needed to what needs it.
#[must_use]
pub fn drawing(outline: &Outline) -> Drawing {
    let mut places = std::collections::BTreeMap::new();
    for (at, part) in outline.parts.iter().enumerate() {
        if let Some(name) = part.reference.as_deref() {
            places.entry(name).or_insert(at);
        }
    }
    let nodes = outline
        .parts
        .iter()
        .map(|part| Node {
            label: label(part),
            title: story(part),
            shade: shade(part),
            broken: false,
        })
        .collect();
    let mut edges = Vec::new();
    for one in &outline.dependencies {
        let Some(needs) = places.get(one.of.as_str()) else { continue };
        for needed in one.on.iter().filter_map(|name| places.get(name.as_str())) {
            edges.push((*needed, *needs));
        }
    }
    for (at, part) in outline.parts.iter().enumerate() {
        edges.extend(part.contains.iter().map(|inside| (*inside, at)));
    }
    Drawing { title: title(outline), broken_means: String::new(), nodes, edges }
}

/// The components by their sizes.
#[must_use]
pub fn treemap(outline: &Outline) -> Map {
    let size = |part: &Part| part.property(SIZE).next().and_then(|at| at.text.parse::<u64>().ok());
    let tiles = outline
        .parts
        .iter()
        .map(|part| Tile {
            label: label(part),
            title: story(part),
            shade: shade(part),
            size: size(part),
        })
        .collect();
    Map { title: title(outline), tiles }
}
