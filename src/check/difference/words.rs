//! The cause of a difference in text: its words are told apart and each pair
//! that differs is judged by its form.

use std::ops::Range;

use super::clues::{Cause, Context};
use super::explanation::{Certainty, Class};
use super::numbers::{decimal, times_in_digits};
use super::{dates, order};
use crate::nix::store_path::HASH_PART_LEN;

/// Bytes of a line that are looked at on each side of a difference.
const REACH: usize = 200;

/// Longest difference whose words are judged one by one.
const MAX_LENGTH: usize = 8 << 10;

/// What the text of a file is cut into words at.
const BLANKS: &[u8] = b" \t\r\n\"'<>()[]{},;`|";

/// What words are made of parts by.
const JOINTS: &[u8] = b"=:@&?";

/// What directories of builds are called by different ways of building.
const BUILD_DIRECTORIES: [&[u8]; 3] = [b"/build", b"nix-build-", b"/homeless-shelter"];

/// The causes of one difference in text, or none if it is no text. What has
/// no known cause is among them as [`Class::Unknown`].
pub(super) fn causes(
    context: &Context,
    a: &[u8],
    b: &[u8],
    at: (&Range<usize>, &Range<usize>),
) -> Option<Vec<Cause>> {
    let (ra, rb) = at;
    if ra.len().max(rb.len()) > MAX_LENGTH {
        return None;
    }
    let (x, y) = (piece(a, ra), piece(b, rb));
    if !is_text(x) || !is_text(y) {
        return None;
    }
    let (line_a, in_a) = line(a, ra);
    let (line_b, in_b) = line(b, rb);
    // One odd letter between two bytes of another kind is no text.
    if line_a.len().min(line_b.len()) < 4 && x.len().max(y.len()) < 4 {
        return None;
    }
    let mut found = Vec::new();
    pair(context, (line_a, &in_a), (line_b, &in_b), &mut found);
    Some(found)
}

fn piece<'t>(text: &'t [u8], range: &Range<usize>) -> &'t [u8] {
    text.get(range.clone()).unwrap_or_default()
}

const fn is_text_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_text_byte(*byte))
}

/// The text around a range that stands in the same line, and where in it the
/// range is.
fn line<'t>(text: &'t [u8], range: &Range<usize>) -> (&'t [u8], Range<usize>) {
    let ends = |byte: &u8| !is_text_byte(*byte) || *byte == b'\n';
    let head = text.get(..range.start).unwrap_or_default();
    let before = head.iter().rev().take(REACH).take_while(|byte| !ends(byte)).count();
    let tail = text.get(range.end..).unwrap_or_default();
    let after = tail.iter().take(REACH).take_while(|byte| !ends(byte)).count();
    let start = range.start.saturating_sub(before);
    let end = range.end.saturating_add(after);
    let inside = before..before.saturating_add(range.len());
    (text.get(start..end).unwrap_or_default(), inside)
}

/// Grows a range until blanks stand around it.
fn to_words(text: &[u8], range: &Range<usize>) -> Range<usize> {
    let blank = |byte: &u8| BLANKS.contains(byte);
    let head = text.get(..range.start).unwrap_or_default();
    let before = head.iter().rev().take_while(|byte| !blank(byte)).count();
    let tail = text.get(range.end..).unwrap_or_default();
    let after = tail.iter().take_while(|byte| !blank(byte)).count();
    range.start.saturating_sub(before)..range.end.saturating_add(after)
}

/// Judges the differing parts of two lines.
fn pair(
    context: &Context,
    (a, ra): (&[u8], &Range<usize>),
    (b, rb): (&[u8], &Range<usize>),
    found: &mut Vec<Cause>,
) {
    if let Some(cause) = host_value(context, (a, ra), (b, rb)) {
        found.push(cause);
        return;
    }
    let (words_a, words_b) = (to_words(a, ra), to_words(b, rb));
    if let Some(cause) = stamps((a, ra), (b, rb)) {
        found.push(cause);
        return;
    }
    let (x, y) = (piece(a, &words_a), piece(b, &words_b));
    if order::reordered(x, y).is_some() {
        found.push(Cause::new(Class::Ordering, Certainty::Likely, "order of words", x, y));
        return;
    }
    // Words that stand for each other, or all of it where there are more here.
    let (parts_a, parts_b) = (cut(x, BLANKS), cut(y, BLANKS));
    if parts_a.len() != parts_b.len() || parts_a.is_empty() {
        word(context, x, y, found);
        return;
    }
    for (x, y) in parts_a.iter().zip(&parts_b).filter(|(x, y)| x != y) {
        word(context, x, y, found);
    }
}

fn cut<'t>(text: &'t [u8], at: &[u8]) -> Vec<&'t [u8]> {
    text.split(|byte| at.contains(byte)).filter(|part| !part.is_empty()).collect()
}

/// Judges two words without blanks in them.
fn word(context: &Context, a: &[u8], b: &[u8], found: &mut Vec<Cause>) {
    if let Some(cause) = whole_word(context, a, b) {
        found.push(cause);
        return;
    }
    let (x, y) = (cut(a, JOINTS), cut(b, JOINTS));
    if x.len() == y.len() && x.len() > 1 {
        for (x, y) in x.iter().zip(&y).filter(|(x, y)| x != y) {
            part(context, x, y, found);
        }
    } else {
        part(context, a, b, found);
    }
}

fn whole_word(context: &Context, a: &[u8], b: &[u8]) -> Option<Cause> {
    store_paths(a, b)
        .or_else(|| identifiers(a, b))
        .or_else(|| build_directories(a, b))
        .or_else(|| whole_stamps(a, b))
        .or_else(|| host_value(context, (a, &(0..a.len())), (b, &(0..b.len()))))
}

/// Judges two parts of words.
fn part(context: &Context, a: &[u8], b: &[u8], found: &mut Vec<Cause>) {
    if let Some(cause) = whole_word(context, a, b).or_else(|| base64(a, b)) {
        found.push(cause);
        return;
    }
    let runs = |text| cut_runs(text);
    let (x, y) = (runs(a), runs(b));
    if x.len() != y.len() || x.len() > 64 {
        found.push(unknown(a, b));
        return;
    }
    for (x, y) in x.iter().zip(&y).filter(|(x, y)| x != y) {
        found.push(run(context, x, y).unwrap_or_else(|| unknown(a, b)));
    }
}

fn unknown(a: &[u8], b: &[u8]) -> Cause {
    Cause::new(Class::Unknown, Certainty::Possible, "other text", a, b)
}

/// Runs of letters and digits, without what stands between them.
fn cut_runs(text: &[u8]) -> Vec<&[u8]> {
    let parts = text.split(|byte| !byte.is_ascii_alphanumeric());
    parts.filter(|part| !part.is_empty()).collect()
}

/// A date or time on both sides, with nothing else that differs.
fn stamps((a, ra): (&[u8], &Range<usize>), (b, rb): (&[u8], &Range<usize>)) -> Option<Cause> {
    let covering = |text: &[u8], range: &Range<usize>| {
        let stamps = dates::find(text);
        let touching =
            |stamp: &&dates::Stamp| stamp.at.start <= range.end && range.start <= stamp.at.end;
        let first = stamps.iter().find(touching)?.clone();
        let last = stamps.iter().rfind(touching)?.clone();
        let at = first.at.start..last.at.end;
        (at.start <= range.start && range.end <= at.end).then_some((at, first.form))
    };
    let ((x, form), (y, _)) = (covering(a, ra)?, covering(b, rb)?);
    let what = format!("{form} in text");
    Some(Cause::new(Class::Timestamp, Certainty::Likely, what, piece(a, &x), piece(b, &y)))
}

/// As [`stamps`], where all that differs between two words is one stamp.
fn whole_stamps(a: &[u8], b: &[u8]) -> Option<Cause> {
    let (ra, rb) = middle(a, b);
    stamps((a, &ra), (b, &rb))
}

/// What is left without the common beginning and end.
fn middle(a: &[u8], b: &[u8]) -> (Range<usize>, Range<usize>) {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let shorter = a.len().min(b.len());
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let tail = tail.min(shorter.saturating_sub(head));
    (head..a.len().saturating_sub(tail), head..b.len().saturating_sub(tail))
}

/// Two store paths that differ in nothing but the hash part.
fn store_paths(a: &[u8], b: &[u8]) -> Option<Cause> {
    let (ra, rb) = middle(a, b);
    let hash = |text: &[u8], range: &Range<usize>| {
        // The hash part may begin before the first byte that differs.
        let earliest = range.end.checked_sub(HASH_PART_LEN)?;
        (earliest..=range.start).find(|start| {
            let part = text.get(*start..start.saturating_add(HASH_PART_LEN));
            let end = text.get(start.saturating_add(HASH_PART_LEN));
            let before = start.checked_sub(1).and_then(|before| text.get(before));
            part.is_some_and(|part| part.iter().all(|byte| is_nix32(*byte)))
                && end.is_none_or(|byte| !byte.is_ascii_alphanumeric())
                && before.is_none_or(|byte| !byte.is_ascii_alphanumeric())
        })
    };
    let (x, y) = (hash(a, &ra)?, hash(b, &rb)?);
    let shown = |text: &[u8], start: usize| {
        let named = start.saturating_add(HASH_PART_LEN).saturating_add(REACH / 4);
        text.get(start..named.min(text.len())).unwrap_or_default().to_vec()
    };
    let prefixed = a.get(..x).unwrap_or_default().ends_with(b"/");
    let certainty = if prefixed { Certainty::Certain } else { Certainty::Likely };
    Some(Cause::new(
        Class::StorePathHash,
        certainty,
        "hash part of a store path",
        &shown(a, x),
        &shown(b, y),
    ))
}

const fn is_nix32(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z')
}

/// Two UUIDs.
fn identifiers(a: &[u8], b: &[u8]) -> Option<Cause> {
    let uuid = |text: &[u8]| {
        text.windows(36)
            .find(|part| {
                part.iter().enumerate().all(|(at, byte)| match at {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                })
            })
            .map(<[u8]>::to_vec)
    };
    let (x, y) = (uuid(a)?, uuid(b)?);
    (x != y).then(|| Cause::new(Class::Randomness, Certainty::Likely, "UUID", &x, &y))
}

/// A path below the directory of a build on one side, and another on the other.
fn build_directories(a: &[u8], b: &[u8]) -> Option<Cause> {
    let (ra, rb) = middle(a, b);
    let path = |text: &[u8], range: &Range<usize>| {
        let until = |byte: &u8| BLANKS.contains(byte) || b"=:".contains(byte);
        let head = text.get(..range.start).unwrap_or_default();
        let start = range.start.saturating_sub(head.iter().rev().take_while(|b| !until(b)).count());
        let tail = text.get(range.end..).unwrap_or_default();
        let end = range.end.saturating_add(tail.iter().take_while(|b| !until(b)).count());
        text.get(start..end).unwrap_or_default().to_vec()
    };
    let (x, y) = (path(a, &ra), path(b, &rb));
    let is_build = |text: &[u8]| BUILD_DIRECTORIES.iter().any(|name| has_component(text, name));
    let both_paths = x.contains(&b'/') && y.contains(&b'/');
    (both_paths && (is_build(&x) || is_build(&y))).then(|| {
        let what = "directory of the build";
        Cause::new(Class::BuildPath, Certainty::Likely, what, &x, &y)
    })
}

/// Whether a path has a component that is, or for names that end in a dash
/// begins with, `name`.
fn has_component(text: &[u8], name: &[u8]) -> bool {
    text.windows(name.len()).enumerate().any(|(at, part)| {
        let next = text.get(at.saturating_add(name.len()));
        part == name && (name.ends_with(b"-") || next.is_none_or(|byte| !is_name(*byte)))
    })
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+')
}

/// Something of our machine on the second side, where the first has another.
fn host_value(
    context: &Context,
    (a, ra): (&[u8], &Range<usize>),
    (b, rb): (&[u8], &Range<usize>),
) -> Option<Cause> {
    let mut facts: Vec<_> = context.host.iter().filter(|fact| !fact.value.is_empty()).collect();
    // "1000" is part of "#1 SMP 1000", and that says more.
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.value.len()));
    for fact in facts {
        let value = fact.value.as_bytes();
        let starts = (0..=rb.end).filter(|start| {
            let end = start.saturating_add(value.len());
            // It must be where the two differ, and a word of its own.
            let touches = *start <= rb.end && rb.start <= end && (rb.is_empty() || *start < rb.end);
            let edge = |at: Option<usize>| {
                let next = at.and_then(|at| b.get(at));
                // The 2 of "-j2" is a number of its own, the 2 of "12" is not.
                next.is_none_or(|byte| match value.first() {
                    Some(b'0'..=b'9') => !byte.is_ascii_digit(),
                    _ => !byte.is_ascii_alphanumeric(),
                })
            };
            touches
                && b.get(*start..end) == Some(value)
                && edge(start.checked_sub(1))
                && edge(Some(end))
        });
        for start in starts {
            let end = start.saturating_add(value.len());
            if start > rb.start || end < rb.end {
                continue;
            }
            // What surrounds it is the same on the other side.
            let before = rb.start.saturating_sub(start);
            let after = end.saturating_sub(rb.end);
            let Some(from) = ra.start.checked_sub(before) else { continue };
            let theirs = piece(a, &(from..ra.end.saturating_add(after)));
            let number = decimal(value);
            let fits = match number {
                Some(_) => decimal(theirs).is_some_and(|other| other < MAX_HOST_NUMBER),
                None => !theirs.is_empty(),
            };
            if !fits {
                continue;
            }
            let small = number.is_some_and(|number| number < 10_000);
            let named = !small || says(b, start, fact.what);
            let certainty = if named { Certainty::Likely } else { Certainty::Possible };
            let what = format!("{} of the machine", fact.what);
            return Some(Cause::new(Class::BuildHost, certainty, what, theirs, value));
        }
    }
    None
}

/// No machine has as many cores, and no user such an id.
const MAX_HOST_NUMBER: u64 = 1 << 20;

/// Whether the text before a small number says that it is such a thing.
fn says(text: &[u8], start: usize, what: &str) -> bool {
    let words: &[&[u8]] = if what.contains("core") {
        &[b"core", b"cpu", b"job", b"thread", b"proc", b"paralle", b"-j", b"worker", b"smp"]
    } else {
        &[b"uid", b"gid", b"user", b"group", b"owner", b"id="]
    };
    let around = text.get(start.saturating_sub(40)..).unwrap_or_default();
    let around = around.get(..around.len().min(64)).unwrap_or_default().to_ascii_lowercase();
    words.iter().any(|word| around.windows(word.len()).any(|part| part == *word))
}

/// Two long words in the letters of base64.
fn base64(a: &[u8], b: &[u8]) -> Option<Cause> {
    let looks = |text: &[u8]| {
        let letters = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
        text.len() >= 20
            && text.iter().all(letters)
            && kinds(text) == 3
            && text.iter().filter(|byte| b"/-_".contains(byte)).count() <= text.len() / 8
    };
    let alike = a.len() == b.len() && looks(a) && looks(b) && mostly_different(a, b);
    alike.then(|| Cause::new(Class::Randomness, Certainty::Likely, "letters of base64", a, b))
}

/// How many of lower case, upper case and digits occur.
fn kinds(text: &[u8]) -> usize {
    let tests: [fn(&u8) -> bool; 3] =
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    tests.into_iter().filter(|test| text.iter().any(test)).count()
}

fn mostly_different(a: &[u8], b: &[u8]) -> bool {
    let equal = a.iter().zip(b).filter(|(x, y)| x == y).count();
    equal.saturating_mul(3) <= a.len()
}

/// Two runs of letters and digits.
fn run(context: &Context, a: &[u8], b: &[u8]) -> Option<Cause> {
    if let Some(cause) = times_in_digits(context, a, b) {
        return Some(cause);
    }
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    if digits(a) && digits(b) {
        let long = a.len().min(b.len()) >= 4;
        return long.then(|| {
            let what = "number that changes: a counter, process or random number";
            Cause::new(Class::Randomness, Certainty::Possible, what, a, b)
        });
    }
    let hexadecimal = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    if hexadecimal(a) && hexadecimal(b) && a.len() == b.len() && a.len() >= 8 {
        let sure = a.len() >= 16 && mostly_different(a, b);
        let certainty = if sure { Certainty::Likely } else { Certainty::Possible };
        let what = "hexadecimal digits: a random number, or a digest of what differs";
        return Some(Cause::new(Class::Randomness, certainty, what, a, b));
    }
    // Random letters often follow fixed ones: "tmpAb3dE6".
    let (x, y) = middle(a, b);
    let (x, y) = (piece(a, &x), piece(b, &y));
    let random = x.len() == y.len()
        && a.len() >= 6
        && x.len() >= 5
        && kinds(x).max(kinds(y)) >= 2
        && mostly_different(x, y);
    random.then(|| {
        let certainty = if x.len() >= 10 { Certainty::Likely } else { Certainty::Possible };
        Cause::new(Class::Randomness, certainty, "letters without any pattern", a, b)
    })
}

#[cfg(test)]
mod tests {
    use super::super::clues::HostFact;
    use super::super::hunks::align;
    use super::*;

    const NOW: u64 = 1_795_377_600;

    fn context() -> Context {
        let fact = |what, value: &str| HostFact { what, value: value.to_owned() };
        Context {
            built_at: Some(NOW),
            now: NOW,
            host: vec![
                fact("host name", "localhost"),
                fact("number of cores", "2"),
                fact("user id", "1000"),
                fact("kernel version", "6.1.0-17-amd64"),
            ],
        }
    }

    /// The classes of all differences of two texts.
    fn classes(a: &str, b: &str) -> Vec<Class> {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let hunks = align(a, b);
        let found = hunks
            .list
            .iter()
            .flat_map(|hunk| causes(&context(), a, b, (&hunk.a, &hunk.b)).expect("it is text"));
        found.map(|cause| cause.class).collect()
    }

    fn class(a: &str, b: &str) -> Class {
        let classes = classes(a, b);
        assert!(!classes.is_empty());
        assert!(classes.iter().all(|class| *class == classes[0]), "{a} | {b}: {classes:?}");
        classes[0]
    }

    #[test]
    fn words_are_judged_by_their_form() {
        use Class::*;
        for (wanted, a, b) in [
            (
                Timestamp,
                "built Thu Nov 12 19:03:11 UTC 2026\n",
                "built Sun Nov 22 20:00:01 UTC 2026\n",
            ),
            (Timestamp, "const char *d = \"Nov 12 2026\";", "const char *d = \"Nov 22 2026\";"),
            (Timestamp, "epoch=1600000000\n", "epoch=1795377700\n"),
            (Timestamp, "log-2026-11-12.txt", "log-2026-11-22.txt"),
            (BuildPath, "in /tmp/nix-build-x-1.drv-0/x.c:12", "in /build/x.c:12"),
            (BuildPath, "cd /build/source && make", "cd /tmp/nix-build-x.drv-3/source && make"),
            (
                StorePathHash,
                "PATH=/nix/store/0c0b2ldvvkvx4mnm5aqdv6xkj5w8mn2q-x-1/bin",
                "PATH=/nix/store/zzcj34ldvvkvx4mnm5aqdv6xkj5w8mn2-x-1/bin",
            ),
            (BuildHost, "on builder-7.example.org\n", "on localhost\n"),
            (BuildHost, "cores: 48\n", "cores: 2\n"),
            (BuildHost, "make -j16", "make -j2"),
            (BuildHost, "uid=30001 here", "uid=1000 here"),
            (BuildHost, "Linux 5.15.0-91-generic x86_64", "Linux 6.1.0-17-amd64 x86_64"),
            (
                Randomness,
                "id 7f0e3c1a-4b52-4b1c-9a6e-000000000001",
                "id 11223344-4b52-4b1c-9a6e-fedcba987654",
            ),
            (
                Randomness,
                "token 3fb1c9d07e66a1b2c3d4e5f60718293a",
                "token 9c2de87700aa5b6c7d8e9f1011223344",
            ),
            (Randomness, "/x/tmp.aB3dE6gH1j", "/x/tmp.Zk9Lm2Np4q"),
            (Randomness, "cache.XXXX3fcMH9", "cache.XXXXEXBzI4"),
            (Ordering, "files: b a c end", "files: a b c end"),
            (Unknown, "hello world", "hello there"),
            (Unknown, "version 1.2", "version 1.3"),
        ] {
            assert_eq!(class(a, b), wanted, "{a} | {b}");
        }
    }

    #[test]
    fn several_causes_in_a_line_are_told_apart() {
        let found = classes(
            "by root@builder7 at 2026-11-12 in /tmp/nix-build-x.drv-0/a",
            "by root@localhost at 2026-11-22 in /build/a",
        );
        assert_eq!(found, [Class::BuildHost, Class::Timestamp, Class::BuildPath]);
    }

    #[test]
    fn bytes_that_are_no_text_are_left_to_others() {
        let (a, b) = (b"\x01\x02\x03\x04", b"\x01\x09\x03\x04");
        assert_eq!(causes(&context(), a, b, (&(1..2), &(1..2))), None);
    }

    #[test]
    fn any_two_texts_are_judged_in_bounds() {
        let mut random = fastrand::Rng::with_seed(5);
        let alphabet = b"0123456789abcdef-/=:@. \n\"localhost2026";
        for _ in 0..3000 {
            let mut text = || {
                (0..random.usize(..70))
                    .map(|_| *random.choice(alphabet).unwrap())
                    .collect::<Vec<_>>()
            };
            let (a, b) = (text(), text());
            for hunk in align(&a, &b).list {
                causes(&context(), &a, &b, (&hunk.a, &hunk.b));
            }
        }
    }
}
