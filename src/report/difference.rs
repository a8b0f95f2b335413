//! Why an output differs, as public JSON and as people read it.

use serde::Serialize;

use super::text::escape_bytes;
use super::view::Section;
use crate::check::difference::{ByteDifference, Class, EntryDifference, Explanation, Item};
use crate::check::rebuild::facts::OutputFacts;
use crate::check::rebuild::{Contrast, Sides};

/// Entries of one output whose bytes are shown to people.
const SHOWN_ENTRIES: usize = 3;

/// Bytes in a line that shows them, and before the first difference.
const LINE: usize = 16;
const LEAD: usize = 8;

/// Lines of each side.
const LINES: usize = 2;

/// One comparison in its public form (`docs/schema/report-v1.json`).
#[derive(Serialize)]
pub struct Difference<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    impossible: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    explanation: Option<Explained<'a>>,
}

#[derive(Serialize)]
struct Explained<'a> {
    class: Option<&'static str>,
    hint: Option<&'static str>,
    explained: bool,
    differing: u64,
    compared: u64,
    classes: Vec<Count>,
    entries: Vec<Entry<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Count {
    class: &'static str,
    entries: u64,
    certainty: &'static str,
}

#[derive(Serialize)]
struct Entry<'a> {
    path: String,
    changes: Vec<&'static str>,
    claimed: Option<Thing>,
    ours: Option<Thing>,
    class: &'static str,
    explained: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
    clues: Vec<Clue<'a>>,
}

#[derive(Serialize)]
struct Thing {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

#[derive(Serialize)]
struct Bytes {
    first_offset: u64,
    differing_bytes: u64,
    regions: u64,
    more: bool,
    excerpt_offset: u64,
    claimed: Excerpt,
    ours: Excerpt,
}

#[derive(Serialize)]
struct Excerpt {
    hex: String,
    text: String,
}

#[derive(Serialize)]
struct Clue<'a> {
    class: &'static str,
    certainty: &'static str,
    what: &'a str,
    place: &'a str,
    claimed: &'a str,
    ours: &'a str,
    count: u64,
}

/// The public form of a comparison.
#[must_use]
pub fn part(contrast: &Contrast) -> Difference<'_> {
    match &contrast.explained {
        Ok(explanation) => {
            Difference { impossible: None, explanation: Some(explained(explanation)) }
        }
        Err(why) => Difference { impossible: Some(why), explanation: None },
    }
}

/// The public form of an explanation, for other reports than a rebuild's.
///
/// # Errors
/// None in practice: every key is text.
pub fn json(explanation: &Explanation) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::to_value(explained(explanation))
}

fn explained(explanation: &Explanation) -> Explained<'_> {
    Explained {
        class: explanation.class.map(Class::id),
        hint: explanation.class.map(Class::hint),
        explained: explanation.explained,
        differing: explanation.differing,
        compared: explanation.compared,
        classes: explanation
            .classes
            .iter()
            .map(|count| Count {
                class: count.class.id(),
                entries: count.entries,
                certainty: count.certainty.name(),
            })
            .collect(),
        entries: explanation.entries.iter().map(entry).collect(),
        notes: &explanation.notes,
    }
}

fn entry(entry: &EntryDifference) -> Entry<'_> {
    Entry {
        path: escape_bytes(&entry.path),
        changes: entry.changes.iter().map(|change| change.name()).collect(),
        claimed: entry.claimed.as_ref().map(thing),
        ours: entry.ours.as_ref().map(thing),
        class: entry.class().id(),
        explained: entry.is_explained(),
        bytes: entry.bytes.as_ref().map(bytes),
        clues: entry
            .clues
            .iter()
            .map(|clue| Clue {
                class: clue.class.id(),
                certainty: clue.certainty.name(),
                what: &clue.what,
                place: &clue.place,
                claimed: &clue.claimed,
                ours: &clue.ours,
                count: clue.count,
            })
            .collect(),
    }
}

fn thing(item: &Item) -> Thing {
    let (size, executable, target) = match item {
        Item::Directory => (None, None, None),
        Item::File { executable, size } => (Some(*size), Some(*executable), None),
        Item::Symlink(target) => (None, None, Some(escape_bytes(target))),
    };
    Thing { r#type: item.kind(), size, executable, target }
}

fn bytes(bytes: &ByteDifference) -> Bytes {
    let excerpt = |bytes: &[u8]| Excerpt {
        hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        text: visible(bytes),
    };
    Bytes {
        first_offset: bytes.first_offset,
        differing_bytes: bytes.differing_bytes,
        regions: bytes.regions,
        more: bytes.more,
        excerpt_offset: bytes.excerpt_offset,
        claimed: excerpt(&bytes.claimed),
        ours: excerpt(&bytes.ours),
    }
}

/// Bytes as a hex editor shows them: one character each.
fn visible(bytes: &[u8]) -> String {
    let character = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    };
    bytes.iter().map(character).collect()
}

/// The bytes around the first difference in the first files of an output, if
/// it differs in files from what is claimed or, where nobody claims otherwise,
/// from round to round.
#[must_use]
pub fn section(name: &str, output: &OutputFacts) -> Option<Section> {
    let claimed = output.claims.iter().flat_map(|claim| &claim.contrast);
    let rounds = output.unlike.iter().map(|unlike| &unlike.contrast);
    let mut contrasts = claimed
        .chain(rounds)
        .filter_map(|contrast| Some((&contrast.sides, contrast.explained.as_ref().ok()?)));
    let (Sides { first, second }, explanation) = contrasts.next()?;
    let lines = excerpts(explanation);
    let title = format!("Where {name} differs first, {first} (-) and {second} (+)");
    (!lines.is_empty()).then_some(Section::Lines { title, lines })
}

/// Lines that show the bytes around the first difference of the first files.
#[must_use]
pub fn excerpts(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    let with_bytes = explanation
        .entries
        .iter()
        .filter_map(|entry| entry.bytes.as_ref().map(|bytes| (entry, bytes)));
    for (entry, bytes) in with_bytes.take(SHOWN_ENTRIES) {
        let path = match entry.path.as_slice() {
            [] => "the output itself".to_owned(),
            path => escape_bytes(path),
        };
        let at_least = if bytes.more { "at least " } else { "" };
        let regions = if bytes.regions == 1 { "region" } else { "regions" };
        lines.push(format!(
            "{path}: {at_least}{} bytes in {} {regions}, the first at byte {}",
            bytes.differing_bytes, bytes.regions, bytes.first_offset
        ));
        lines.extend(rows('-', &bytes.claimed, bytes));
        lines.extend(rows('+', &bytes.ours, bytes));
    }
    lines
}

fn rows(sign: char, side: &[u8], bytes: &ByteDifference) -> Vec<String> {
    let lead = bytes.first_offset.saturating_sub(bytes.excerpt_offset);
    let skip = usize::try_from(lead).unwrap_or(0).saturating_sub(LEAD);
    let shown = side.get(skip..).unwrap_or_default();
    if shown.is_empty() {
        return vec![format!("{sign} (it ends here)")];
    }
    let row = |row: &[u8]| {
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{sign} {:<47}  {}", hex.join(" "), visible(row))
    };
    shown.chunks(LINE).take(LINES).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_from_just_before_the_difference() {
        let side = |last: &[u8]| [b"0123456789abcdef".as_slice(), last].concat();
        let bytes = ByteDifference {
            first_offset: 116,
            differing_bytes: 1,
            regions: 1,
            more: false,
            excerpt_offset: 100,
            claimed: side(b"\x1bX"),
            ours: side(b""),
        };
        let claimed = rows('-', &bytes.claimed, &bytes);
        assert_eq!(claimed, ["- 38 39 61 62 63 64 65 66 1b 58                    89abcdef.X"]);
        let ours = ByteDifference { ours: Vec::new(), ..bytes };
        assert_eq!(rows('+', &ours.ours, &ours), ["+ (it ends here)"]);
    }
}
