//! What is said of two store objects that differ: where, how, and why.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What makes two builds of one derivation differ. The order is the one in
/// which ties are broken: what is more telling comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A date or time: in text, as a number of seconds, in a header.
    Timestamp,
    /// The directory in which it was built.
    BuildPath,
    /// The hash part of a store path.
    StorePathHash,
    /// The machine that built: its name, users, cores, kernel, processor.
    BuildHost,
    /// The same symbols at other places: files were linked in another order.
    LinkOrder,
    /// The same pieces in another order.
    Ordering,
    /// The same content packed in another way.
    Compression,
    /// Who may read, write or execute.
    Permissions,
    /// Bytes that look random: identifiers, addresses, uninitialised memory.
    Randomness,
    /// What follows from other differences, such as checksums.
    Consequence,
    /// Nothing is known about why.
    Unknown,
}

/// All classes, in their order.
pub const CLASSES: [Class; 11] = [
    Class::Timestamp,
    Class::BuildPath,
    Class::StorePathHash,
    Class::BuildHost,
    Class::LinkOrder,
    Class::Ordering,
    Class::Compression,
    Class::Permissions,
    Class::Randomness,
    Class::Consequence,
    Class::Unknown,
];

impl Class {
    /// The stable id used in reports (`docs/differences.md`).
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::BuildPath => "build-path",
            Self::StorePathHash => "store-path-hash",
            Self::BuildHost => "build-host",
            Self::LinkOrder => "link-order",
            Self::Ordering => "ordering",
            Self::Compression => "compression",
            Self::Permissions => "permissions",
            Self::Randomness => "randomness",
            Self::Consequence => "consequence",
            Self::Unknown => "unknown",
        }
    }

    /// How a package that differs for this reason is mended, in one line.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Timestamp => {
                "take the date from SOURCE_DATE_EPOCH, or leave it out (gzip -n, ar D, tar --mtime, zip -X)"
            }
            Self::BuildPath => {
                "map the build directory away (-ffile-prefix-map) or do not record it; builds without a sandbox have another one"
            }
            Self::StorePathHash => {
                "find out which input or output the path is of; if it is the output's own, remove it"
            }
            Self::BuildHost => {
                "do not record host names, users, cores or kernels; pass --owner=0 --group=0 to tar, fix the number of jobs"
            }
            Self::LinkOrder => {
                "sort the list of object files before they are linked (make: $(sort $(wildcard ...)))"
            }
            Self::Ordering => {
                "sort what is read from directories, hash tables or parallel jobs before it is written"
            }
            Self::Compression => {
                "pin the compressor's version, level and thread count, or do not compress"
            }
            Self::Permissions => "set modes and umask explicitly",
            Self::Randomness => {
                "seed random generators, derive identifiers from the content, initialise memory"
            }
            Self::Consequence => "mend the difference it follows from",
            Self::Unknown => "look into the two files; --diffoscope shows more",
        }
    }
}

/// How sure a clue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// It could be, by its looks.
    Possible,
    /// It has a form that hardly anything else has.
    Likely,
    /// The format says so: it is that field of a header.
    Certain,
}

impl Certainty {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }

    /// What a clue weighs when classes compete.
    const fn weight(self) -> u64 {
        match self {
            Self::Possible => 1,
            Self::Likely => 3,
            Self::Certain => 4,
        }
    }
}

/// One piece of evidence for a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clue {
    /// The cause it speaks for.
    pub class: Class,
    /// How surely.
    pub certainty: Certainty,
    /// What it is: "modification time in the gzip header".
    pub what: String,
    /// Where inside the file it was first seen; empty for the file itself.
    pub place: String,
    /// What the first side has there, as printable text; may be cut.
    pub claimed: String,
    /// What the second side has there.
    pub ours: String,
    /// How often it was seen in this file.
    pub count: u64,
}

/// What an entry of a store object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Whether it is executable.
        executable: bool,
        /// Its length.
        size: u64,
    },
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
}

impl Item {
    /// What it is, in words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Symlink(_) => "link",
        }
    }
}

/// In what an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the first side has it.
    OnlyClaimed,
    /// Only the second side has it.
    OnlyOurs,
    /// It is another kind of thing.
    Kind,
    /// One is executable.
    Executable,
    /// A link leads elsewhere.
    Target,
    /// Other bytes.
    Contents,
}

impl Change {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlyClaimed => "only-claimed",
            Self::OnlyOurs => "only-ours",
            Self::Kind => "kind",
            Self::Executable => "executable",
            Self::Target => "target",
            Self::Contents => "contents",
        }
    }
}

/// How the bytes of two files differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteDifference {
    /// Offset of the first byte that differs, or of the end of the shorter.
    pub first_offset: u64,
    /// Bytes that differ or have no counterpart, at least.
    pub differing_bytes: u64,
    /// Runs of differing bytes.
    pub regions: u64,
    /// Whether the two counts stop at a bound instead of the end.
    pub more: bool,
    /// Offset of the first byte of the two excerpts.
    pub excerpt_offset: u64,
    /// Bytes of the first side around the first difference.
    pub claimed: Vec<u8>,
    /// Bytes of the second side around the first difference.
    pub ours: Vec<u8>,
}

/// One entry that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDifference {
    /// Its path inside the store object; empty for the object itself.
    pub path: Vec<u8>,
    /// In what it differs, in order.
    pub changes: Vec<Change>,
    /// What the first side has there.
    pub claimed: Option<Item>,
    /// What the second side has there.
    pub ours: Option<Item>,
    /// How the contents differ, if they do.
    pub bytes: Option<ByteDifference>,
    /// What speaks for which cause, the strongest first.
    pub clues: Vec<Clue>,
}

impl EntryDifference {
    /// The cause that most speaks for.
    #[must_use]
    pub fn class(&self) -> Class {
        dominating(&score(&self.clues))
    }

    /// Whether everything about it has a cause that is more than possible. What
    /// follows from other differences does not follow from nothing.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        let known =
            |clue: &Clue| clue.class != Class::Unknown && clue.certainty > Certainty::Possible;
        let cause = |clue: &Clue| clue.class != Class::Consequence;
        self.clues.iter().all(known) && self.clues.iter().any(cause)
    }
}

/// How often a cause was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassCount {
    /// The cause.
    pub class: Class,
    /// Entries in which something speaks for it.
    pub entries: u64,
    /// The strongest clue.
    pub certainty: Certainty,
}

/// Two store objects side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The entries that differ, by path; at most [`super::MAX_NAMED`].
    pub entries: Vec<EntryDifference>,
    /// How many entries differ; a directory that only one side has is one.
    pub differing: u64,
    /// How many entries were compared, all in all.
    pub compared: u64,
    /// What could not be looked into, and why.
    pub notes: Vec<String>,
    /// What speaks for which cause over all entries, the strongest first.
    pub classes: Vec<ClassCount>,
    /// The cause that most speaks for; none if nothing differs.
    pub class: Option<Class>,
    /// Whether there is a known cause for everything that differs.
    pub explained: bool,
}

/// Collects entries and counts what goes beyond the bound.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) explanation: Explanation,
    seen: BTreeMap<Class, (u64, Certainty, u64)>,
    unexplained: bool,
}

impl Tally {
    /// Adds an entry; beyond `max` it is counted and not named.
    pub(super) fn add(&mut self, entry: EntryDifference, max: usize) {
        self.explanation.differing = self.explanation.differing.saturating_add(1);
        self.unexplained |= !entry.is_explained();
        for (class, (certainty, weight)) in score(&entry.clues) {
            let known = self.seen.entry(class).or_insert((0, certainty, 0));
            known.0 = known.0.saturating_add(1);
            known.1 = known.1.max(certainty);
            known.2 = known.2.saturating_add(weight);
        }
        if entry.clues.is_empty() {
            let known = self.seen.entry(Class::Unknown).or_insert((0, Certainty::Possible, 0));
            known.0 = known.0.saturating_add(1);
        }
        if self.explanation.entries.len() < max {
            self.explanation.entries.push(entry);
        }
    }

    pub(super) fn note(&mut self, note: String) {
        if !self.explanation.notes.contains(&note) {
            self.explanation.notes.push(note);
        }
    }

    pub(super) fn finish(self) -> Explanation {
        let mut explanation = self.explanation;
        let scores: BTreeMap<Class, (Certainty, u64)> =
            self.seen.iter().map(|(class, seen)| (*class, (seen.1, seen.2))).collect();
        explanation.class = (explanation.differing > 0).then(|| dominating(&scores));
        let mut classes: Vec<_> = self.seen.into_iter().collect();
        classes.sort_by_key(|(class, (_, _, weight))| (rank(*class), Reverse(*weight), *class));
        explanation.classes = classes
            .into_iter()
            .map(|(class, (entries, certainty, _))| ClassCount { class, entries, certainty })
            .collect();
        explanation.explained = explanation.differing > 0 && !self.unexplained;
        explanation.notes.sort();
        explanation.entries.sort_by(|a, b| (&a.path, &a.changes).cmp(&(&b.path, &b.changes)));
        explanation
    }
}

/// The strongest clue and the weight of each class among some clues.
fn score(clues: &[Clue]) -> BTreeMap<Class, (Certainty, u64)> {
    let mut scores: BTreeMap<Class, (Certainty, u64)> = BTreeMap::new();
    for clue in clues {
        // How often one thing is seen says little; how surely says much.
        let often = u64::from(clue.count.ilog2_or_zero()).min(6);
        let weight = clue.certainty.weight().saturating_mul(8).saturating_add(often);
        let score = scores.entry(clue.class).or_insert((clue.certainty, 0));
        *score = (score.0.max(clue.certainty), score.1.max(weight));
    }
    scores
}

/// The class with the most weight; what follows from others and what is
/// unknown only when there is nothing else.
fn dominating(scores: &BTreeMap<Class, (Certainty, u64)>) -> Class {
    scores
        .iter()
        .min_by_key(|(class, (_, weight))| (rank(**class), Reverse(*weight), **class))
        .map_or(Class::Unknown, |(class, _)| *class)
}

/// Real causes before the lack of one, and that before mere consequences.
const fn rank(class: Class) -> u8 {
    match class {
        Class::Unknown => 1,
        Class::Consequence => 2,
        _ => 0,
    }
}

/// The base-2 logarithm, which for zero is zero.
trait Log2 {
    fn ilog2_or_zero(self) -> u32;
}

impl Log2 for u64 {
    fn ilog2_or_zero(self) -> u32 {
        self.checked_ilog2().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clue(class: Class, certainty: Certainty, count: u64) -> Clue {
        let text = String::new;
        Clue { class, certainty, what: text(), place: text(), claimed: text(), ours: text(), count }
    }

    fn entry(clues: Vec<Clue>) -> EntryDifference {
        EntryDifference {
            path: b"x".to_vec(),
            changes: vec![Change::Contents],
            claimed: None,
            ours: None,
            bytes: None,
            clues,
        }
    }

    #[test]
    fn a_cause_outweighs_what_is_unknown_but_does_not_explain_it() {
        use Certainty::{Certain, Likely, Possible};
        let mut tally = Tally::default();
        tally.add(entry(vec![clue(Class::Timestamp, Likely, 1)]), 1);
        tally.add(entry(vec![clue(Class::Unknown, Possible, 900)]), 1);
        let explanation = tally.finish();
        assert_eq!(explanation.class, Some(Class::Timestamp));
        assert!(!explanation.explained);
        assert_eq!((explanation.differing, explanation.entries.len()), (2, 1));

        let mixed = |certainty| {
            entry(vec![clue(Class::Consequence, Certain, 9), clue(Class::Ordering, certainty, 1)])
        };
        assert_eq!(mixed(Possible).class(), Class::Ordering);
        assert!(!mixed(Possible).is_explained());
        assert!(mixed(Likely).is_explained());
        assert!(!entry(vec![clue(Class::Consequence, Certain, 1)]).is_explained());
        assert_eq!(entry(vec![]).class(), Class::Unknown);
        assert!(!entry(vec![]).is_explained());
    }

    #[test]
    fn nothing_different_has_no_cause() {
        let explanation = Tally::default().finish();
        assert_eq!((explanation.class, explanation.explained), (None, false));
    }

    #[test]
    fn ids_are_words_and_all_different() {
        let ids: std::collections::BTreeSet<_> = CLASSES.iter().map(|class| class.id()).collect();
        assert_eq!(ids.len(), CLASSES.len());
        assert!(CLASSES.iter().all(|class| !class.hint().is_empty()));
    }
}
