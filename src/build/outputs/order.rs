//! The order in which the outputs of one build get their final paths: what
//! is referred to comes first, so that its final path is known when it is
//! written into others. Follows `topoSort` (`src/libutil/topo-sort.hh`).

use std::collections::{BTreeMap, BTreeSet};

/// Orders outputs by what they refer to. `edges` has an entry for each
/// output: the names of the outputs in it, itself does not count.
///
/// # Errors
/// The outputs of a circle of references, the first one again at the end.
pub fn order(edges: &BTreeMap<&str, BTreeSet<&str>>) -> Result<Vec<String>, Vec<String>> {
    let mut sorted: Vec<&str> = Vec::new();
    let mut done = BTreeSet::new();
    for &start in edges.keys() {
        let mut way = vec![(start, children(edges, start))];
        while let Some((name, left)) = way.last_mut() {
            let name = *name;
            match left.pop() {
                Some(child) if done.contains(child) => {}
                Some(child) => {
                    if let Some(first) = way.iter().position(|(name, _)| *name == child) {
                        let circle = way.iter().skip(first).map(|(name, _)| *name);
                        return Err(circle.chain([child]).map(str::to_owned).collect());
                    }
                    way.push((child, children(edges, child)));
                }
                None => {
                    if done.insert(name) {
                        sorted.push(name);
                    }
                    way.pop();
                }
            }
        }
    }
    Ok(sorted.into_iter().map(str::to_owned).collect())
}

/// What an output refers to, the last one first.
fn children<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, name: &'a str) -> Vec<&'a str> {
    let children = edges.get(name).into_iter().flatten().copied();
    children.filter(|&child| child != name && edges.contains_key(child)).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(edges: &[(&'static str, &[&'static str])]) -> Result<Vec<String>, Vec<String>> {
        let edges =
            edges.iter().map(|(name, refs)| (*name, refs.iter().copied().collect())).collect();
        order(&edges)
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let sorted = ordered(&[
            ("bin", &["lib"]),
            ("dev", &["out", "bin"]),
            ("lib", &["lib"]),
            ("out", &["bin"]),
        ]);
        assert_eq!(sorted.unwrap(), ["lib", "bin", "out", "dev"]);
        // Without references: by name.
        assert_eq!(
            ordered(&[("dev", &[]), ("bin", &[]), ("out", &[])]).unwrap(),
            ["bin", "dev", "out"]
        );
    }

    #[test]
    fn circles_are_named() {
        let circle = ordered(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        assert_eq!(circle.unwrap_err(), ["b", "c", "b"]);
    }
}
