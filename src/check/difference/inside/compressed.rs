//! Compressed files: the header, the content, and the packing itself.

use super::super::clues::{Cause, Clues};
use super::super::explanation::{Certainty, Class};
use super::super::generic::unknown;
use super::super::numbers::calendar;
use super::compare_at;
use super::read::{number, slice, until_nul};
use super::unpack::{Packing, unpack};

/// Compares two files of one compression.
pub(super) fn compare(
    packing: Packing,
    a: &[u8],
    b: &[u8],
    clues: &mut Clues<'_>,
    depth: u32,
) -> bool {
    let name = packing.name();
    let headers = match packing {
        Packing::Gzip => gzip_headers(a, b, clues),
        _ => None,
    };
    let budget = clues.budget;
    let (x, y) = match (unpack(packing, a, budget), unpack(packing, b, budget)) {
        (Ok(x), Ok(y)) => (x, y),
        (Err(refusal), _) | (_, Err(refusal)) => {
            clues.note(refusal.words());
            clues.add(unknown("packed content that was not looked into", b"", b""));
            return true;
        }
    };
    if x.bytes != y.bytes {
        clues.within(format!("{name} content"), |clues| {
            compare_at(&x.bytes, &y.bytes, clues, depth);
        });
        return true;
    }
    let bodies_differ = headers.is_none_or(|(head_a, head_b)| a.get(head_a..) != b.get(head_b..));
    if bodies_differ {
        let what = format!("{name} data packs the same content in another way");
        let size = |bytes: &[u8]| format!("{} bytes", bytes.len());
        let (x, y) = (size(a), size(b));
        clues.add(Cause::new(
            Class::Compression,
            Certainty::Certain,
            what,
            x.as_bytes(),
            y.as_bytes(),
        ));
    }
    true
}

/// The parts of a gzip header (RFC 1952).
struct GzipHeader<'g> {
    time: u64,
    flags: u8,
    level: u8,
    system: u8,
    extra: &'g [u8],
    name: &'g [u8],
    comment: &'g [u8],
    length: usize,
}

fn gzip_header(bytes: &[u8]) -> Option<GzipHeader<'_>> {
    let flags = *bytes.get(3)?;
    let mut at = 10;
    let mut extra = &[][..];
    if flags & 4 != 0 {
        let length = super::read::little(bytes, at, 2)?;
        extra = slice(bytes, at.checked_add(2)?, length)?;
        at = at.checked_add(2)?.checked_add(length)?;
    }
    let mut text = |present: bool| {
        if !present {
            return Some(&[][..]);
        }
        let text = until_nul(bytes.get(at..)?);
        at = at.checked_add(text.len())?.checked_add(1)?;
        Some(text)
    };
    let name = text(flags & 8 != 0)?;
    let comment = text(flags & 16 != 0)?;
    if flags & 2 != 0 {
        at = at.checked_add(2)?;
    }
    Some(GzipHeader {
        time: number(bytes, 4, 4, false)?,
        flags,
        level: *bytes.get(8)?,
        system: *bytes.get(9)?,
        extra,
        name,
        comment,
        length: at,
    })
}

/// Compares the headers of two gzip files; their lengths.
fn gzip_headers(a: &[u8], b: &[u8], clues: &mut Clues<'_>) -> Option<(usize, usize)> {
    let (x, y) = (gzip_header(a)?, gzip_header(b)?);
    let mut add = |class, what: &str, claimed: &[u8], ours: &[u8]| {
        if claimed != ours {
            let what = format!("{what} in the gzip header");
            clues.add(Cause::new(class, Certainty::Certain, what, claimed, ours));
        }
    };
    let time = |time: u64| if time == 0 { "none".to_owned() } else { calendar(time) };
    add(Class::Timestamp, "modification time", time(x.time).as_bytes(), time(y.time).as_bytes());
    let byte = |value: u8| value.to_string();
    add(
        Class::Compression,
        "compression level",
        byte(x.level).as_bytes(),
        byte(y.level).as_bytes(),
    );
    add(
        Class::Compression,
        "operating system",
        byte(x.system).as_bytes(),
        byte(y.system).as_bytes(),
    );
    add(Class::Compression, "flags", byte(x.flags).as_bytes(), byte(y.flags).as_bytes());
    add(Class::Compression, "extra field", x.extra, y.extra);
    add(Class::Compression, "comment", x.comment, y.comment);
    if x.name != y.name && !x.name.is_empty() && !y.name.is_empty() {
        clues.within("name in the gzip header".to_owned(), |clues| {
            super::super::generic::compare(x.name, y.name, clues);
        });
    } else if x.name != y.name {
        let what = "name in the gzip header";
        clues.add(Cause::new(Class::Compression, Certainty::Certain, what, x.name, y.name));
    }
    Some((x.length, y.length))
}
