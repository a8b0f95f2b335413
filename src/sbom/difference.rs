//! What has changed from one bill of materials to another, in whatever formats
//! they are.
//!
//! Components belong together by what they are called: package URL without
//! version, else name; the output where one is named. Of several with one name
//! those that are most alike belong together. What belongs to nothing was
//! added or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use packageurl::PackageUrl;

use super::outline::{Hash, HashOf, Outline, Part};

/// What can change about a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// Its version.
    Version,
    /// Its content, by a hash.
    Hash,
    /// Its licences.
    Licence,
    /// What came of rebuilding it.
    Verdict,
    /// Who makes or supplies it.
    Maker,
    /// What it needs.
    Dependencies,
}

impl Aspect {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Hash => "hash",
            Self::Licence => "licence",
            Self::Verdict => "verdict",
            Self::Maker => "maker",
            Self::Dependencies => "dependencies",
        }
    }
}

/// One aspect of a component that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// Which.
    pub aspect: Aspect,
    /// What it was; empty for nothing.
    pub was: String,
    /// What it is; empty for nothing.
    pub now: String,
}

/// A component of both documents that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place among the old document's parts.
    pub old: usize,
    /// Its place among the new document's parts.
    pub new: usize,
    /// In what it changed, never empty.
    pub changed: Vec<Changed>,
}

/// What has changed. Parts are named by their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Parts of the new document alone.
    pub added: Vec<usize>,
    /// Parts of the old document alone.
    pub removed: Vec<usize>,
    /// Parts that are not as they were.
    pub changed: Vec<Change>,
    /// How many are as they were.
    pub same: usize,
    /// How many of these have no hash in common that could tell: only their
    /// names and versions are known to be the same.
    pub same_by_name_only: usize,
}

/// What a component is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    name: String,
    output: String,
}

/// By its package URL without version, qualifiers and subpath.
fn by_purl(part: &Part) -> Option<Name> {
    let purl = part.purls.first().and_then(|at| PackageUrl::from_str(&at.text).ok())?;
    let space = purl.namespace().map(|space| format!("{space}/")).unwrap_or_default();
    let output = part.output().unwrap_or_default().to_owned();
    Some(Name { name: format!("{}/{space}{}", purl.ty(), purl.name()), output })
}

/// By its name alone, which every format has.
fn by_name(part: &Part) -> Option<Name> {
    let name = part.name.as_ref()?.text.clone();
    Some(Name { name, output: part.output().unwrap_or_default().to_owned() })
}

/// Compares two documents.
#[must_use]
pub fn compare(old: &Outline, new: &Outline) -> Difference {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut left: BTreeSet<usize> = (0..old.parts.len()).collect();
    let mut right: BTreeSet<usize> = (0..new.parts.len()).collect();
    let subjects = (old.primary, new.primary);
    for name in [by_purl, by_name] {
        let groups = |outline: &Outline, places: &BTreeSet<usize>| {
            let mut groups: BTreeMap<Name, Vec<usize>> = BTreeMap::new();
            for at in places {
                if let Some(name) = outline.parts.get(*at).and_then(name) {
                    groups.entry(name).or_default().push(*at);
                }
            }
            groups
        };
        let theirs = groups(new, &right);
        for (name, ours) in groups(old, &left) {
            let Some(theirs) = theirs.get(&name) else { continue };
            for (a, b) in match_up(old, new, &ours, theirs) {
                left.remove(&a);
                right.remove(&b);
                pairs.push((a, b));
            }
        }
    }
    // What a document is about stays what it is about, by whatever name.
    if let (Some(a), Some(b)) = subjects
        && left.remove(&a)
    {
        if right.remove(&b) {
            pairs.push((a, b));
        } else {
            left.insert(a);
        }
    }
    pairs.sort_unstable();
    let mut found = Difference {
        added: right.into_iter().collect(),
        removed: left.into_iter().collect(),
        ..Difference::default()
    };
    let needs = (Needs::new(old), Needs::new(new));
    for (a, b) in pairs {
        let (Some(before), Some(after)) = (old.parts.get(a), new.parts.get(b)) else { continue };
        let changed = changes(before, after, &needs.0, &needs.1);
        if changed.is_empty() {
            found.same += 1;
            if common(before, after).is_empty() {
                found.same_by_name_only += 1;
            }
        } else {
            found.changed.push(Change { old: a, new: b, changed });
        }
    }
    found
}

/// Pairs of parts that have one name: those with one content first, then those
/// of one version, then the rest in order.
fn match_up(old: &Outline, new: &Outline, ours: &[usize], theirs: &[usize]) -> Vec<(usize, usize)> {
    /// A mark that two parts may share.
    type Mark = fn(&Part) -> Option<String>;
    let marks: [Mark; 4] = [
        |part| {
            part.hashes
                .iter()
                .find(|one| one.of != HashOf::Source)
                .map(|one| one.value.to_lowercase())
        },
        |part| part.property("nix:store_path").next().map(|at| at.text.clone()),
        |part| part.version.as_ref().map(|at| at.text.clone()),
        |_| Some(String::new()),
    ];
    let mut pairs = Vec::new();
    let (mut ours, mut theirs) = (ours.to_vec(), theirs.to_vec());
    for mark in marks {
        let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for at in theirs.iter().rev() {
            if let Some(mark) = new.parts.get(*at).and_then(mark) {
                waiting.entry(mark).or_default().push(*at);
            }
        }
        ours.retain(|at| {
            let other =
                old.parts.get(*at).and_then(mark).and_then(|mark| waiting.get_mut(&mark)?.pop());
            if let Some(other) = other {
                pairs.push((*at, other));
            }
            other.is_none()
        });
        let taken: BTreeSet<usize> = pairs.iter().map(|(_, other)| *other).collect();
        theirs.retain(|at| !taken.contains(at));
    }
    pairs
}

/// What each part needs, by what is needed is called.
struct Needs<'a> {
    outline: &'a Outline,
    by_reference: BTreeMap<&'a str, &'a Part>,
    needs: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Needs<'a> {
    fn new(outline: &'a Outline) -> Self {
        let mut by_reference = BTreeMap::new();
        for part in &outline.parts {
            if let Some(name) = part.reference.as_deref() {
                by_reference.entry(name).or_insert(part);
            }
        }
        let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for one in &outline.dependencies {
            needs.entry(&one.of).or_default().extend(one.on.iter().map(String::as_str));
        }
        Self { outline, by_reference, needs }
    }

    /// What the part needs, by names that do not change with a version; `None`
    /// if nobody says.
    fn of(&self, part: &Part) -> Option<BTreeSet<String>> {
        if self.outline.dependencies.is_empty() {
            return None;
        }
        let needs = self.needs.get(part.reference.as_deref()?)?;
        Some(
            needs
                .iter()
                .map(|name| match self.by_reference.get(name) {
                    Some(part) => {
                        let name = part.name.as_ref().map_or(*name, |at| at.text.as_str());
                        match part.output() {
                            Some(output) if output != "out" => format!("{name}:{output}"),
                            _ => name.to_owned(),
                        }
                    }
                    None => (*name).to_owned(),
                })
                .collect(),
        )
    }
}

fn plain(algorithm: &str) -> String {
    algorithm.replace('-', "").to_lowercase()
}

/// Hashes of one algorithm and of the same thing that both parts have.
fn common<'a>(before: &'a Part, after: &'a Part) -> Vec<(&'a Hash, &'a Hash)> {
    let own = |part: &'a Part| part.hashes.iter().filter(|one| one.of != HashOf::Source);
    own(before)
        .filter_map(|one| {
            let other =
                own(after).find(|other| plain(&other.algorithm) == plain(&one.algorithm))?;
            Some((one, other))
        })
        .collect()
}

fn changes(before: &Part, after: &Part, old: &Needs<'_>, new: &Needs<'_>) -> Vec<Changed> {
    let mut found = Vec::new();
    let mut note = |aspect: Aspect, was: String, now: String| {
        if was != now {
            found.push(Changed { aspect, was, now });
        }
    };
    let version = |part: &Part| part.version.as_ref().map(|at| at.text.clone()).unwrap_or_default();
    note(Aspect::Version, version(before), version(after));
    let shown = |hash: &Hash| format!("{} {}", hash.algorithm, hash.value.to_lowercase());
    let pairs = common(before, after);
    match pairs.iter().find(|(a, b)| !a.value.eq_ignore_ascii_case(&b.value)) {
        Some((a, b)) => note(Aspect::Hash, shown(a), shown(b)),
        None if pairs.is_empty() => {
            // Nothing in common: a hash that came or went is a change too.
            let first = |part: &Part| {
                let own = part.hashes.iter().find(|one| one.of != HashOf::Source);
                own.map(shown).unwrap_or_default()
            };
            note(Aspect::Hash, first(before), first(after));
        }
        None => {}
    }
    let licences = |part: &Part| {
        let all: BTreeSet<&str> = part
            .licences
            .iter()
            .map(|one| one.text.as_str())
            .filter(|text| *text != "NOASSERTION")
            .collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    note(Aspect::Licence, licences(before), licences(after));
    let verdict = |part: &Part| part.verdict().unwrap_or_default().to_owned();
    note(Aspect::Verdict, verdict(before), verdict(after));
    let makers = |part: &Part| {
        let all: BTreeSet<&str> = part
            .makers
            .iter()
            .chain(&part.suppliers)
            .filter_map(|one| one.name.as_deref())
            .filter(|name| *name != "NOASSERTION")
            .collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    note(Aspect::Maker, makers(before), makers(after));
    if let (Some(was), Some(now)) = (old.of(before), new.of(after)) {
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            a.difference(b).cloned().collect::<Vec<_>>().join(", ")
        };
        note(Aspect::Dependencies, only(&was, &now), only(&now, &was));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::document::Spec;
    use serde_json::{Value, json};

    fn part(reference: &str, name: &str, version: &str, hash: &str) -> Value {
        json!({"type": "library", "bom-ref": reference, "name": name, "version": version,
            "hashes": [{"alg": "SHA-256", "content": hash.repeat(32)}]})
    }

    fn outline(parts: Value, needs: Value) -> Outline {
        let value = json!({"components": parts, "dependencies": needs});
        Outline::of(Spec::CycloneDx1_7, &value)
    }

    #[test]
    fn everything_that_changes_is_named() {
        let old = outline(
            json!([
                part("1", "a", "1", "aa"),
                part("2", "b", "1", "bb"),
                part("3", "c", "1", "cc")
            ]),
            json!([{"ref": "1", "dependsOn": ["2"]}, {"ref": "2"}, {"ref": "3"}]),
        );
        let mut new_a = part("x", "a", "2", "ab");
        new_a["licenses"] = json!([{"license": {"id": "MIT"}}]);
        new_a["properties"] = json!([{"name": "verify:rebuild", "value": "differs"}]);
        let new = outline(
            json!([part("y", "b", "1", "bb"), new_a, part("z", "d", "1", "dd")]),
            json!([{"ref": "x", "dependsOn": ["z"]}, {"ref": "y"}]),
        );
        let found = compare(&old, &new);
        assert_eq!((found.added, found.removed, found.same), (vec![2], vec![2], 1));
        let [change] = found.changed.as_slice() else { panic!("{:?}", found.changed) };
        let aspects: Vec<&str> = change.changed.iter().map(|one| one.aspect.name()).collect();
        assert_eq!(aspects, ["version", "hash", "licence", "verdict", "dependencies"]);
        assert_eq!((change.changed[4].was.as_str(), change.changed[4].now.as_str()), ("b", "d"));
    }

    #[test]
    fn of_several_with_one_name_the_most_alike_belong_together() {
        let old = outline(
            json!([
                part("1", "a", "1", "aa"),
                part("2", "a", "2", "bb"),
                part("3", "a", "3", "cc")
            ]),
            json!([]),
        );
        let new = outline(
            json!([
                part("3", "a", "3", "cd"),
                part("2", "a", "2", "bb"),
                part("9", "a", "9", "99")
            ]),
            json!([]),
        );
        let found = compare(&old, &new);
        let pairs: Vec<(usize, usize)> =
            found.changed.iter().map(|one| (one.old, one.new)).collect();
        assert_eq!((pairs, found.same), (vec![(0, 2), (2, 0)], 1));
        assert!(found.added.is_empty() && found.removed.is_empty());
    }

    #[test]
    fn a_content_that_changed_under_one_version_is_no_sameness() {
        let same = |hash: &str| outline(json!([part("1", "a", "1", hash)]), json!([]));
        assert_eq!(compare(&same("aa"), &same("aa")).same, 1);
        assert_eq!(compare(&same("aa"), &same("ab")).changed.len(), 1);
        let bare = outline(json!([{"type": "library", "name": "a", "version": "1"}]), json!([]));
        assert_eq!(compare(&bare, &bare).same_by_name_only, 1);
        assert_eq!(compare(&bare, &same("aa")).changed.len(), 1);
    }
}
