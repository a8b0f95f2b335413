//! cpio archives in the "new" ASCII format, as initial RAM disks are.

use std::borrow::Cow;

use super::super::clues::Clues;
use super::super::explanation::Class;
use super::super::numbers::calendar;
use super::members::{self, Attribute, MAX_MEMBERS, Member};
use super::read::{digits, slice, until_nul};

const HEADER: usize = 110;

/// The member that ends an archive; another may follow.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Compares two archives; false if one of them is none.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some(x), Some(y)) = (read(a), read(b)) else { return false };
    members::compare("cpio archive", &x, &y, clues, depth);
    true
}

fn read(bytes: &[u8]) -> Option<Vec<Member<'_>>> {
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
        at = data_at.checked_add(size)?.checked_next_multiple_of(4)?;
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
        ];
        let name = Cow::Borrowed(name);
        found.push(Member { name, attributes, stored, packing: None, derived: false });
        (found.len() < MAX_MEMBERS).then_some(())?;
    }
    // Often another archive, compressed, behind zeros.
    let rest = bytes.get(at.min(bytes.len())..)?;
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    found.push(Member {
        name: Cow::Borrowed(b"(what follows the archive)"),
        attributes: Vec::new(),
        stored: rest.get(zeros..)?,
        packing: None,
        derived: false,
    });
    Some(found)
}
