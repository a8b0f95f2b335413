//! `ar` archives: static libraries, Debian packages.

use std::borrow::Cow;

use super::super::clues::Clues;
use super::super::explanation::Class;
use super::super::numbers::calendar;
use super::accounted::{Accounted, compare_rest};
use super::members::{self, Attribute, MAX_MEMBERS, Member};
use super::read::{digits, slice};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Compares two archives; false if one of them is none.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some((x, known_a)), Some((y, known_b))) = (read(a), read(b)) else { return false };
    members::compare("ar archive", &x, &y, clues, depth);
    compare_rest((a, known_a), (b, known_b), clues);
    true
}

fn read(bytes: &[u8]) -> Option<(Vec<Member<'_>>, Accounted)> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut found = Vec::new();
    let mut known = Accounted::default();
    let mut names: &[u8] = &[];
    while !rest.is_empty() {
        let header = slice(rest, 0, HEADER)?;
        (slice(header, 58, 2)? == b"`\n").then_some(())?;
        let size = usize::try_from(digits(slice(header, 48, 10)?, 10)?).ok()?;
        let mut stored = slice(rest, HEADER, size)?;
        let end = HEADER.checked_add(size)?.checked_next_multiple_of(2)?;
        let at = bytes.len().saturating_sub(rest.len());
        known.add(at, HEADER.saturating_add(size));
        known.add_fill(
            bytes,
            at.checked_add(HEADER)?.checked_add(size)?,
            at.checked_add(end)?,
            b'\n',
        );
        rest = rest.get(end.min(rest.len())..).unwrap_or_default();

        let raw = slice(header, 0, 16)?.trim_ascii_end();
        let mut derived = false;
        let name = match raw {
            b"/" | b"/SYM64/" | b"__.SYMDEF" | b"__.SYMDEF SORTED" => {
                derived = true;
                Cow::Borrowed(&b"symbol index"[..])
            }
            b"//" => {
                names = stored;
                derived = true;
                Cow::Borrowed(&b"table of names"[..])
            }
            _ => Cow::Borrowed(member_name(raw, names, &mut stored)?),
        };
        let field = |at, length, radix| slice(header, at, length).and_then(|f| digits(f, radix));
        let mut attributes = Vec::new();
        if let Some(time) = field(16, 12, 10) {
            let what = "modification time";
            attributes.push(Attribute::new(what, Class::Timestamp, calendar(time)));
        }
        for (what, at, length, radix, class) in [
            ("user id", 28, 6, 10, Class::BuildHost),
            ("group id", 34, 6, 10, Class::BuildHost),
            ("mode", 40, 8, 8, Class::Permissions),
        ] {
            let value = field(at, length, radix);
            let value = value.map_or_else(String::new, |value| match radix {
                8 => format!("{value:o}"),
                _ => value.to_string(),
            });
            attributes.push(Attribute::new(what, class, value));
        }
        found.push(Member { name, attributes, stored, packing: None, derived });
        (found.len() <= MAX_MEMBERS).then_some(())?;
    }
    Some((found, known))
}

/// A name as GNU and as BSD write it.
fn member_name<'a>(raw: &'a [u8], names: &'a [u8], stored: &mut &'a [u8]) -> Option<&'a [u8]> {
    if let Some(length) = raw.strip_prefix(b"#1/") {
        let length = usize::try_from(digits(length, 10)?).ok()?;
        let name = stored.get(..length)?;
        *stored = stored.get(length..)?;
        return Some(super::read::until_nul(name));
    }
    if let Some(at) = raw.strip_prefix(b"/").and_then(|at| digits(at, 10)) {
        let name = names.get(usize::try_from(at).ok()?..)?;
        let name = name.split(|byte| *byte == b'\n').next()?;
        return Some(name.strip_suffix(b"/").unwrap_or(name));
    }
    Some(raw.strip_suffix(b"/").unwrap_or(raw))
}
