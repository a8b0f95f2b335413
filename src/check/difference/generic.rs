//! Files of no known format: text by lines and words, other bytes by what
//! they look like.

use super::clues::{Cause, Clues, excerpt};
use super::explanation::{Certainty, Class};
use super::hunks::{Hunk, Hunks, align};
use super::{fields, numbers, order, words};

/// Differences whose cause is sought; with the first so many the others are
/// of the same kinds.
const MAX_JUDGED: usize = 512;

/// Compares two byte strings of which nothing is known but that they differ.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>) {
    if !clues.budget.work(a.len().max(b.len())) {
        clues.note("the rest was not looked into: there is too much of it");
        clues.add(unknown("not looked into", a, b));
        return;
    }
    if let Some(what) = order::reordered(a, b) {
        let what = format!("order of {what}");
        let (x, y) = first_difference(a, b);
        clues.add(Cause::new(Class::Ordering, Certainty::Likely, what, x, y));
        return;
    }
    if let Some((rest_a, rest_b, moved)) = order::partly_reordered(a, b)
        && looks_textual(a)
        && looks_textual(b)
    {
        let (x, y) = first_difference(a, b);
        let count = u64::try_from(moved).unwrap_or(u64::MAX);
        let cause = Cause::new(Class::Ordering, Certainty::Likely, "order of lines", x, y);
        clues.add_many(cause, count);
        if rest_a != rest_b {
            judge(&rest_a, &rest_b, &align(&rest_a, &rest_b), clues);
        }
        return;
    }
    judge(a, b, &align(a, b), clues);
}

/// Seeks the cause of each difference.
pub(super) fn judge(a: &[u8], b: &[u8], hunks: &Hunks, clues: &mut Clues<'_>) {
    let known = fields::known(a, b);
    for hunk in hunks.list.iter().take(MAX_JUDGED) {
        if let Some(field) = known.iter().find(|field| field.covers(hunk)) {
            clues.add(field.cause(a, b));
            continue;
        }
        for cause in causes(a, b, hunk, clues) {
            clues.add(cause);
        }
    }
    if hunks.list.len() > MAX_JUDGED || hunks.more {
        clues.note("only the first differences of many were judged");
    }
}

fn causes(a: &[u8], b: &[u8], hunk: &Hunk, clues: &Clues<'_>) -> Vec<Cause> {
    let at = (&hunk.a, &hunk.b);
    let text = words::causes(clues.context, a, b, at);
    let unsure = |causes: &Vec<Cause>| causes.iter().any(|cause| cause.class == Class::Unknown);
    match &text {
        Some(causes) if !causes.is_empty() && !unsure(causes) => return causes.clone(),
        // A few letters may be bytes of a number, but letters of a text are
        // numbers of seconds as well: only a time that is near ours counts.
        _ if hunk.a.len() <= 8 => {
            let least = if text.is_some() { Certainty::Likely } else { Certainty::Possible };
            let time = numbers::binary_time(clues.context, a, b, at);
            if let Some(cause) = time.filter(|cause| cause.certainty >= least) {
                return vec![cause];
            }
        }
        _ => {}
    }
    if let Some(causes) = text.filter(|causes| !causes.is_empty()) {
        return causes;
    }
    let cause = numbers::random_bytes(a, b, at).unwrap_or_else(|| {
        let piece = |bytes: &[u8], range: &std::ops::Range<usize>| {
            excerpt_hex(bytes.get(range.clone()).unwrap_or_default())
        };
        let (x, y) = (piece(a, &hunk.a), piece(b, &hunk.b));
        unknown("other bytes", x.as_bytes(), y.as_bytes())
    });
    vec![cause]
}

/// What nothing is known about.
pub(super) fn unknown(what: &str, a: &[u8], b: &[u8]) -> Cause {
    Cause::new(Class::Unknown, Certainty::Possible, what, a, b)
}

/// Bytes for people: text as it is, others in hexadecimal digits.
fn excerpt_hex(bytes: &[u8]) -> String {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~');
    if bytes.iter().all(printable) {
        return excerpt(bytes);
    }
    let shown: String = bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > 24 { format!("{shown}...") } else { shown }
}

/// The lines in which the first difference stands.
fn first_difference<'t>(a: &'t [u8], b: &'t [u8]) -> (&'t [u8], &'t [u8]) {
    let at = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let line = |text: &'t [u8]| {
        let head = text.get(..at).unwrap_or_default();
        let before = head.iter().rev().take(60).take_while(|byte| **byte != b'\n').count();
        let start = at.saturating_sub(before).min(text.len());
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.iter().take(120).take_while(|byte| **byte != b'\n').count();
        rest.get(..end).unwrap_or_default()
    };
    (line(a), line(b))
}

/// Whether the beginning has no bytes that text does not have.
pub(super) fn looks_textual(bytes: &[u8]) -> bool {
    bytes.iter().take(4096).all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..))
}
