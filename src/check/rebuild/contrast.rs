//! Our build beside what is claimed: why they differ, and what was kept.

use std::path::PathBuf;

use crate::check::Finding;
use crate::check::difference::{Change, Clue, EntryDifference, Explanation, Item};

/// Entries that a finding names; the facts have more of them.
const SHOWN_ENTRIES: usize = 10;

/// What the two are called that stand beside each other, as it follows on what
/// is there: "a file in round 0".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The first.
    pub first: String,
    /// The second.
    pub second: String,
}

impl Default for Sides {
    /// What is claimed, and what we built.
    fn default() -> Self {
        Self { first: "claimed".to_owned(), second: "in ours".to_owned() }
    }
}

impl Sides {
    /// The first build and a later one.
    #[must_use]
    pub fn rounds(later: u32) -> Self {
        Self { first: "in round 0".to_owned(), second: format!("in round {later}") }
    }

    /// Each in one word, for a directory.
    #[must_use]
    pub fn names(&self) -> [String; 2] {
        [&self.first, &self.second]
            .map(|side| side.strip_prefix("in ").unwrap_or(side).replace(' ', "-"))
    }
}

/// One claim's content beside ours, or two builds of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contrast {
    /// What is compared.
    pub sides: Sides,
    /// How they differ, or why they could not be compared.
    pub explained: Result<Explanation, String>,
    /// The first NAR, as a file of the state directory.
    pub first_nar: Option<PathBuf>,
    /// The second.
    pub second_nar: Option<PathBuf>,
    /// What diffoscope wrote, if it was asked for.
    pub diffoscope: Vec<PathBuf>,
}

impl Contrast {
    /// That the two could not be compared.
    #[must_use]
    pub fn impossible(why: impl Into<String>) -> Self {
        Self {
            sides: Sides::default(),
            explained: Err(why.into()),
            first_nar: None,
            second_nar: None,
            diffoscope: Vec::new(),
        }
    }

    /// Adds it to the finding that says that the two differ.
    #[must_use]
    pub fn tell(&self, mut finding: Finding) -> Finding {
        let explanation = match &self.explained {
            Ok(explanation) => explanation,
            Err(why) => {
                return finding.with("file", format!("the two could not be compared: {why}"));
            }
        };
        if let Some(cause) = cause(explanation) {
            finding = finding.with("cause", cause);
        }
        if let Some(class) = explanation.class {
            finding = finding.with("hint", class.hint());
        }
        for entry in explanation.entries.iter().take(SHOWN_ENTRIES) {
            finding = finding.with("file", sentence(entry, &self.sides));
        }
        let shown = u64::try_from(SHOWN_ENTRIES).unwrap_or(u64::MAX);
        let unnamed = explanation.differing.saturating_sub(shown);
        if unnamed > 0 {
            finding = finding.with("file", format!("and {unnamed} more"));
        }
        finding
    }
}

/// What seems to be the cause, in one line.
#[must_use]
pub fn cause(explanation: &Explanation) -> Option<String> {
    let class = explanation.class?;
    let count = explanation.classes.iter().find(|count| count.class == class)?;
    let mut text = format!(
        "{} ({}), in {} of {} that differ",
        class.id(),
        count.certainty.name(),
        count.entries,
        explanation.differing
    );
    let others: Vec<&str> = explanation
        .classes
        .iter()
        .filter(|other| other.class != class)
        .map(|other| other.class.id())
        .collect();
    if !others.is_empty() {
        text.push_str(&format!("; also {}", others.join(", ")));
    }
    if !explanation.explained {
        text.push_str("; not everything that differs is explained by it");
    }
    Some(text)
}

/// One entry in one line: what is different, and the strongest clue.
#[must_use]
pub fn sentence(entry: &EntryDifference, sides: &Sides) -> String {
    let place = match entry.path.as_slice() {
        [] => "the output itself".into(),
        path => String::from_utf8_lossy(path),
    };
    let mut text = format!("{place}: {}", changes(entry, sides));
    if let Some(bytes) = &entry.bytes {
        text.push_str(&format!(", from byte {}", bytes.first_offset));
    }
    if let Some(clue) = entry.clues.first() {
        text.push_str(&format!("; {}", clue_words(clue, sides)));
    }
    text
}

/// A clue in words: class, what it is, and both values.
#[must_use]
pub fn clue_words(clue: &Clue, sides: &Sides) -> String {
    let Clue { class, what, place, claimed, ours, .. } = clue;
    let mut text = format!("{}: {what}", class.id());
    if !place.is_empty() {
        text.push_str(&format!(" in {place}"));
    }
    if !(claimed.is_empty() && ours.is_empty()) {
        let Sides { first, second } = sides;
        text.push_str(&format!(", '{claimed}' {first}, '{ours}' {second}"));
    }
    text
}

/// In what an entry differs, in words.
#[must_use]
pub fn changes(entry: &EntryDifference, sides: &Sides) -> String {
    let Sides { first, second } = sides;
    let EntryDifference { claimed, ours, .. } = entry;
    let kind = |item: &Option<Item>| item.as_ref().map_or("nothing", Item::kind);
    let executable = |item: &Option<Item>| match item {
        Some(Item::File { executable: true, .. }) => "executable",
        _ => "not executable",
    };
    let size = |item: &Option<Item>| match item {
        Some(Item::File { size, .. }) => *size,
        _ => 0,
    };
    let target = |item: &Option<Item>| match item {
        Some(Item::Symlink(target)) => String::from_utf8_lossy(target).into_owned(),
        _ => String::new(),
    };
    let words = |change: &Change| match change {
        Change::OnlyClaimed => format!("a {} {first}, not {second}", kind(claimed)),
        Change::OnlyOurs => format!("a {} {second}, not {first}", kind(ours)),
        Change::Kind => format!("a {} {first}, a {} {second}", kind(claimed), kind(ours)),
        Change::Executable => {
            format!("{} {first}, {} {second}", executable(claimed), executable(ours))
        }
        Change::Target => {
            format!("a link to '{}' {first}, to '{}' {second}", target(claimed), target(ours))
        }
        Change::Contents => {
            format!("other contents ({} bytes {first}, {} {second})", size(claimed), size(ours))
        }
    };
    entry.changes.iter().map(words).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::difference::{Context, explain};
    use crate::check::rebuild::rules::OUTPUT_DIFFERS;
    use crate::nix::nar::{Event, NarWriter};

    fn nar(names: &[String], content: &[u8]) -> Vec<u8> {
        let size = u64::try_from(content.len()).unwrap();
        let mut writer = NarWriter::new(Vec::new());
        writer.write(Event::Directory).unwrap();
        for name in names {
            writer.write(Event::Entry(name.as_bytes())).unwrap();
            writer.write(Event::File { executable: false, size }).unwrap();
            writer.write(Event::Contents(content)).unwrap();
        }
        writer.write(Event::End).unwrap();
        writer.finish().unwrap()
    }

    fn told(names: &[String]) -> Vec<(String, String)> {
        let (a, b) = (nar(names, b"on 2026-11-12\n"), nar(names, b"on 2026-11-22\n"));
        let context = Context { built_at: None, now: 1_795_377_600, host: Vec::new() };
        let explained = explain(a.as_slice(), b.as_slice(), &context);
        let contrast =
            Contrast { explained: Ok(explained.unwrap()), ..Contrast::impossible("not yet") };
        let finding = contrast.tell(Finding::new(&OUTPUT_DIFFERS, "x", "y"));
        finding.evidence.into_iter().map(|item| (item.label, item.value)).collect()
    }

    #[test]
    fn a_finding_names_the_cause_and_the_files() {
        let told = told(&["d".to_owned()]);
        assert_eq!(told[0], ("cause".into(), "timestamp (likely), in 1 of 1 that differ".into()));
        assert_eq!(told[1].0, "hint");
        assert_eq!(
            told[2].1,
            "d: other contents (14 bytes claimed, 14 in ours), from byte 11; timestamp: date in \
             text, '2026-11-12' claimed, '2026-11-22' in ours"
        );
    }

    #[test]
    fn sides_have_names() {
        assert_eq!(Sides::default().names(), ["claimed", "ours"]);
        assert_eq!(Sides::rounds(2).names(), ["round-0", "round-2"]);
        let explained = explain(
            nar(&["d".to_owned()], b"on 2026-11-12\n").as_slice(),
            nar(&["d".to_owned(), "e".to_owned()], b"on 2026-11-22\n").as_slice(),
            &Context { built_at: None, now: 1_795_377_600, host: Vec::new() },
        );
        let explained = explained.unwrap();
        let said = explained.entries.iter().map(|entry| sentence(entry, &Sides::rounds(1)));
        let said = said.collect::<Vec<_>>().join("\n");
        assert!(said.contains("'2026-11-12' in round 0, '2026-11-22' in round 1"), "{said}");
        assert!(said.contains("e: a file in round 1, not in round 0"), "{said}");
        assert!(!said.contains("claimed"), "{said}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (100..400).map(|n| n.to_string()).collect();
        let told = told(&names);
        assert_eq!(told.len(), 2 + SHOWN_ENTRIES + 1);
        assert_eq!(told.last().unwrap().1, "and 290 more");
    }

    #[test]
    fn what_could_not_be_compared_says_why() {
        let finding =
            Contrast::impossible("it is gone").tell(Finding::new(&OUTPUT_DIFFERS, "x", "y"));
        assert_eq!(finding.evidence[0].value, "the two could not be compared: it is gone");
    }
}
