//! zip archives: jars, wheels, documents.

use std::borrow::Cow;

use super::super::clues::Clues;
use super::super::explanation::Class;
use super::super::numbers::calendar;
use super::accounted::{Accounted, compare_rest};
use super::members::{self, Attribute, MAX_MEMBERS, Member};
use super::read::{little, number, slice};
use super::unpack::Packing;

const END: &[u8] = b"PK\x05\x06";
const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

/// Where the end record begins at the earliest: it is 22 bytes, and a comment
/// of up to 64 KiB.
const MAX_END: usize = 22 + 0xffff;

/// Compares two archives; false if one of them is none.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some((x, known_a)), Some((y, known_b))) = (read(a), read(b)) else { return false };
    members::compare("zip archive", &x, &y, clues, depth);
    compare_rest((a, known_a), (b, known_b), clues);
    true
}

/// Fields of a central header that are compared or follow from what is: maker;
/// flags and method; times, checksum, sizes and lengths; attributes and place.
const CENTRAL_FIELDS: [(usize, usize); 4] = [(4, 2), (8, 4), (12, 22), (38, 8)];

/// The same of a local header.
const LOCAL_FIELDS: [(usize, usize); 2] = [(6, 4), (10, 20)];

/// Sizes and places in the end record.
const END_FIELDS: (usize, usize) = (8, 12);

fn read(bytes: &[u8]) -> Option<(Vec<Member<'_>>, Accounted)> {
    let mut known = Accounted::default();
    let tail = bytes.len().saturating_sub(MAX_END);
    let end = bytes.get(tail..)?.windows(END.len()).rposition(|part| part == END)?;
    let end = tail.checked_add(end)?;
    let count = little(bytes, end.checked_add(10)?, 2)?;
    let mut at = little(bytes, end.checked_add(16)?, 4)?;
    known.add(end.checked_add(END_FIELDS.0)?, END_FIELDS.1);
    let mut found = Vec::new();
    // With 64-bit sizes these are all ones, and what follows is no record.
    for _ in 0..count.min(MAX_MEMBERS) {
        let header = bytes.get(at..)?;
        header.starts_with(CENTRAL).then_some(())?;
        let name = little(header, 28, 2)?;
        let extra = little(header, 30, 2)?;
        let comment = little(header, 32, 2)?;
        let extra_at = 46_usize.checked_add(name)?;
        let comment_at = extra_at.checked_add(extra)?;
        for (field, length) in CENTRAL_FIELDS {
            known.add(at.checked_add(field)?, length);
        }
        known.add(at.checked_add(46)?, name.checked_add(extra)?.checked_add(comment)?);
        at = at.checked_add(comment_at)?.checked_add(comment)?;

        let mut attributes = vec![Attribute::new(
            "modification date",
            Class::Timestamp,
            dos_date(number(header, 12, 4, false)?),
        )];
        extras(slice(header, extra_at, extra)?, &mut attributes);
        let made_by = format!("{:x}", number(header, 4, 2, false)?);
        attributes.push(Attribute::new("program that made it", Class::Compression, made_by));
        let flags = format!("{:x}", number(header, 8, 2, false)?);
        attributes.push(Attribute::new("flags", Class::Compression, flags));
        let mode = format!("{:x}", number(header, 38, 4, false)?);
        attributes.push(Attribute::new("file attributes", Class::Permissions, mode));
        let comment = String::from_utf8_lossy(slice(header, comment_at, comment)?);
        attributes.push(Attribute::new("comment", Class::Unknown, comment));

        let local_at = little(header, 42, 4)?;
        let local = bytes.get(local_at..)?;
        local.starts_with(LOCAL).then_some(())?;
        let data =
            30_usize.checked_add(little(local, 26, 2)?)?.checked_add(little(local, 28, 2)?)?;
        known.add(
            local_at.checked_add(30)?.checked_add(little(local, 26, 2)?)?,
            little(local, 28, 2)?,
        );
        let local_extra =
            slice(local, 30_usize.checked_add(little(local, 26, 2)?)?, little(local, 28, 2)?)?;
        local_extras(local_extra, &mut attributes);
        let stored = slice(local, data, little(header, 20, 4)?)?;
        for (field, length) in LOCAL_FIELDS {
            known.add(local_at.checked_add(field)?, length);
        }
        let local_name = slice(local, 30, little(local, 26, 2)?)?;
        if slice(header, 46, name) == Some(local_name) {
            known.add(local_at.checked_add(30)?, local_name.len());
        }
        known.add(local_at.checked_add(data)?, stored.len());
        descriptor(local, data.checked_add(stored.len())?, local_at, &mut known);
        let packing = match number(header, 10, 2, false)? {
            0 => None,
            8 => Some(Packing::Deflate),
            _ => return None,
        };
        let name = Cow::Borrowed(slice(header, 46, name)?);
        found.push(Member { name, attributes, stored, packing, derived: false });
    }
    (count <= MAX_MEMBERS).then_some((found, known))
}

/// Accounts for the checksum and sizes that may follow the content.
fn descriptor(local: &[u8], at: usize, local_at: usize, known: &mut Accounted) -> Option<()> {
    (number(local, 6, 2, false)? & 8 != 0).then_some(())?;
    let signed = slice(local, at, 4)? == b"PK\x07\x08";
    known.add(local_at.checked_add(at)?, if signed { 16 } else { 12 });
    Some(())
}

/// Extra fields that name times and owners.
fn extras(mut extra: &[u8], attributes: &mut Vec<Attribute>) {
    while let (Some(id), Some(length)) = (number(extra, 0, 2, false), little(extra, 2, 2)) {
        let Some(data) = slice(extra, 4, length) else { return };
        extra = extra.get(4_usize.saturating_add(length)..).unwrap_or_default();
        match id {
            // Info-ZIP's extended timestamp: flags, then the time of change.
            0x5455 => {
                if let Some(time) = number(data, 1, 4, false) {
                    let what = "precise modification time";
                    attributes.push(Attribute::new(what, Class::Timestamp, calendar(time)));
                }
            }
            // Info-ZIP's owners: version, then two numbers with their lengths.
            0x7875 => {
                let value: String = data.iter().skip(1).map(|byte| format!("{byte:02x}")).collect();
                attributes.push(Attribute::new("owner", Class::BuildHost, value));
            }
            _ => {
                let value: String =
                    data.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
                attributes.push(Attribute::new("extra field", Class::Unknown, value));
            }
        }
    }
}

/// As [`extras`], for the copies before the content, which say more.
fn local_extras(mut extra: &[u8], attributes: &mut Vec<Attribute>) {
    while let (Some(id), Some(length)) = (number(extra, 0, 2, false), little(extra, 2, 2)) {
        let Some(data) = slice(extra, 4, length) else { return };
        extra = extra.get(4_usize.saturating_add(length)..).unwrap_or_default();
        match (id, number(data, 5, 4, false)) {
            (0x5455, Some(time)) => {
                attributes.push(Attribute::new("access time", Class::Timestamp, calendar(time)));
            }
            // The times and owners that the central copy has as well.
            (0x5455 | 0x7875, _) => {}
            _ => {
                let value: String =
                    data.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
                attributes.push(Attribute::new("local extra field", Class::Unknown, value));
            }
        }
    }
}

/// A time and a date as DOS packs them, low word first.
fn dos_date(packed: u64) -> String {
    let (time, date) = (packed & 0xffff, packed >> 16);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        1980 + (date >> 9),
        date >> 5 & 15,
        date & 31,
        time >> 11,
        time >> 5 & 63,
        (time & 31) * 2
    )
}
