//! cpio archives in the "new" ASCII format, as initial RAM disks are.

use std::borrow::Cow;

use super::super::clues::Clues;
use super::super::explanation::Class;
use super::super::numbers::calendar;
use super::accounted::{Accounted, compare_rest};
use super::members::{self, Attribute, MAX_MEMBERS, Member};
use super::read::{digits, slice, until_nul};

const HEADER: usize = 110;

/// The member that ends an archive; another may follow.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Compares two archives; false if one of them is none.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some((x, known_a)), Some((y, known_b))) = (read(a), read(b)) else { return false };
    members::compare("cpio archive", &x, &y, clues, depth);
    compare_rest((a, known_a), (b, known_b), clues);
    true
}

fn read(bytes: &[u8]) -> Option<(Vec<Member<'_>>, Accounted)> {
    let mut known = Accounted::default();
    let mut at = 0_usize;
    let mut found = Vec::new();
    loop {
        let header = slice(bytes, at, HEADER)?;
        (header.starts_with(b"070701") || header.starts_with(b"070702")).then_some(())?;
        let field = |index: usize| {
            let start = 6_usize.checked_add(index.checked_mul(8)?)?;
            digits(slice(header, start, 8)?, 16)
        };
        let size = usize::try_from(field(6)?).ok()?;
        let name_size = usize::try_from(field(11)?).ok()?;
        let name_at = at.checked_add(HEADER)?;
        let data_at = name_at.checked_add(name_size)?.checked_next_multiple_of(4)?;
        let name = until_nul(slice(bytes, name_at, name_size)?);
        let stored = slice(bytes, data_at, size)?;
        let (header_at, data_end) = (at, data_at.checked_add(size)?);
        at = data_end.checked_next_multiple_of(4)?;
        known.add(header_at, HEADER);
        known.add(name_at, name.len());
        known.add_fill(bytes, name_at.checked_add(name.len())?, data_at, 0);
        known.add(data_at, size);
        known.add_fill(bytes, data_end, at, 0);
        if name == TRAILER {
            break;
        }
        let attributes = vec![
            Attribute::new("modification time", Class::Timestamp, calendar(field(5)?)),
            Attribute::new("user id", Class::BuildHost, field(2)?),
            Attribute::new("group id", Class::BuildHost, field(3)?),
            Attribute::new("mode", Class::Permissions, format!("{:o}", field(1)?)),
            Attribute::new("inode number", Class::BuildHost, field(0)?),
            Attribute::new("device number", Class::BuildHost, field(7)? << 32 | field(8)?),
            Attribute::new("links", Class::Unknown, field(4)?),
            Attribute::new("kind of device", Class::Unknown, field(9)? << 32 | field(10)?),
            Attribute::new("checksum", Class::Consequence, field(12)?),
        ];
        let name = Cow::Borrowed(name);
        found.push(Member { name, attributes, stored, packing: None, derived: false });
        (found.len() < MAX_MEMBERS).then_some(())?;
    }
    // Often another archive, compressed, behind zeros.
    let rest = bytes.get(at.min(bytes.len())..)?;
    known.add(at, rest.len());
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    found.push(Member {
        name: Cow::Borrowed(b"(what follows the archive)"),
        attributes: Vec::new(),
        stored: rest.get(zeros..)?,
        packing: None,
        derived: false,
    });
    Some((found, known))
}
