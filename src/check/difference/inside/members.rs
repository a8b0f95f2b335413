//! What all archives have in common: members with a name, attributes and
//! content, in some order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::clues::{Cause, Clues};
use super::super::explanation::{Certainty, Class};
use super::super::generic;
use super::compare_at;
use super::unpack::{Packing, Unpacked, unpack};

/// Members of one archive that are compared; one with more is compared as
/// bytes.
pub(super) const MAX_MEMBERS: usize = 200_000;

/// An attribute that is not content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    /// What it is: "modification time".
    pub(super) what: &'static str,
    /// Why it differs if it does.
    pub(super) class: Class,
    /// As people read it.
    pub(super) value: String,
}

impl Attribute {
    pub(super) fn new(what: &'static str, class: Class, value: impl ToString) -> Self {
        Self { what, class, value: value.to_string() }
    }
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) attributes: Vec<Attribute>,
    /// Its content, as it is stored.
    pub(super) stored: &'a [u8],
    /// How the content is packed.
    pub(super) packing: Option<Packing>,
    /// Whether the content follows from the other members.
    pub(super) derived: bool,
}

/// Compares the members of two archives of the kind `archive`.
pub(super) fn compare(
    archive: &str,
    a: &[Member<'_>],
    b: &[Member<'_>],
    clues: &mut Clues<'_>,
    depth: u32,
) {
    let (keyed_a, keyed_b) = (keyed(a), keyed(b));
    let others = keyed(b);
    let in_both = |key: &Key<'_>, other: &BTreeMap<Key<'_>, &Member<'_>>| other.contains_key(key);
    let map_a: BTreeMap<Key<'_>, &Member<'_>> = keyed_a.iter().cloned().collect();
    let map_b: BTreeMap<Key<'_>, &Member<'_>> = others.into_iter().collect();

    let common_a = keyed_a.iter().map(|(key, _)| key).filter(|key| in_both(key, &map_b));
    let common_b = keyed_b.iter().map(|(key, _)| key).filter(|key| in_both(key, &map_a));
    if let Some((x, y)) = common_a.zip(common_b).find(|(x, y)| x != y) {
        let what = format!("order of the members of the {archive}");
        clues.add(Cause::new(Class::Ordering, Certainty::Certain, what, x.0, y.0));
    }
    let only_a: Vec<&[u8]> =
        keyed_a.iter().filter(|(key, _)| !in_both(key, &map_b)).map(|(key, _)| key.0).collect();
    let only_b: Vec<&[u8]> =
        keyed_b.iter().filter(|(key, _)| !in_both(key, &map_a)).map(|(key, _)| key.0).collect();
    unmatched(archive, &only_a, &only_b, clues);

    // What follows from the others comes last, to be seen as that.
    for derived in [false, true] {
        for (key, x) in &map_a {
            let Some(y) = map_b.get(key).filter(|_| x.derived == derived) else { continue };
            member(archive, x, y, clues, depth);
        }
    }
}

/// A name and which one of that name it is.
type Key<'m> = (&'m [u8], usize);

fn keyed<'m>(members: &'m [Member<'_>]) -> Vec<(Key<'m>, &'m Member<'m>)> {
    let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
    let key = |member: &'m Member<'_>| {
        let count = seen.entry(&member.name).or_default();
        let key = (&*member.name, *count);
        *count = count.saturating_add(1);
        (key, member)
    };
    members.iter().map(key).collect()
}

/// Members that only one archive has; their names may say why.
fn unmatched(archive: &str, a: &[&[u8]], b: &[&[u8]], clues: &mut Clues<'_>) {
    if a.len() == b.len() && !a.is_empty() {
        clues.within(format!("names in the {archive}"), |clues| {
            for (x, y) in a.iter().zip(b) {
                generic::compare(x, y, clues);
            }
        });
        return;
    }
    for (names, whose) in [(a, "only the claimed one has"), (b, "only ours has")] {
        if let Some(first) = names.first() {
            let what = format!("members of the {archive} that {whose}");
            let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
            clues.add_many(generic::unknown(&what, first, b""), count);
        }
    }
}

fn member(archive: &str, a: &Member<'_>, b: &Member<'_>, clues: &mut Clues<'_>, depth: u32) {
    let name = String::from_utf8_lossy(&a.name).into_owned();
    clues.within(name, |clues| {
        for x in &a.attributes {
            let Some(y) = b.attributes.iter().find(|y| y.what == x.what) else { continue };
            if x.value != y.value {
                let what = format!("{} in the {archive}", x.what);
                let (p, q) = (x.value.as_bytes(), y.value.as_bytes());
                clues.add(Cause::new(x.class, Certainty::Certain, what, p, q));
            }
        }
        if (a.packing, a.stored) == (b.packing, b.stored) {
            return;
        }
        if a.derived {
            let what = format!("index of the {archive}");
            clues.add(Cause::new(Class::Consequence, Certainty::Certain, what, b"", b""));
            return;
        }
        content(archive, a, b, clues, depth);
    });
}

fn content(archive: &str, a: &Member<'_>, b: &Member<'_>, clues: &mut Clues<'_>, depth: u32) {
    let budget = clues.budget;
    let opened = |member: &Member<'_>| -> Result<Option<Unpacked<'_>>, _> {
        member.packing.map(|packing| unpack(packing, member.stored, budget)).transpose()
    };
    let (x, y) = match (opened(a), opened(b)) {
        (Ok(x), Ok(y)) => (x, y),
        (Err(refusal), _) | (_, Err(refusal)) => {
            clues.note(refusal.words());
            clues.add(generic::unknown("packed content that was not looked into", b"", b""));
            return;
        }
    };
    let x = x.as_ref().map_or(a.stored, |unpacked| &unpacked.bytes);
    let y = y.as_ref().map_or(b.stored, |unpacked| &unpacked.bytes);
    if x == y {
        let what = format!("{archive} packs the same content in another way");
        clues.add(Cause::new(Class::Compression, Certainty::Certain, what, b"", b""));
    } else {
        compare_at(x, y, clues, depth);
    }
}
