//! tar archives, in all dialects that the `tar` crate reads.

use std::borrow::Cow;

use super::super::clues::Clues;
use super::super::explanation::Class;
use super::super::numbers::calendar;
use super::accounted::{Accounted, compare_rest};
use super::members::{self, Attribute, MAX_MEMBERS, Member};
use super::read::{digits, slice};

/// Compares two archives; false if one of them is none.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some((x, known_a)), Some((y, known_b))) = (read(a), read(b)) else { return false };
    members::compare("tar archive", &x, &y, clues, depth);
    compare_rest((a, known_a), (b, known_b), clues);
    true
}

/// Bytes of a block.
const BLOCK: usize = 512;

/// The fields of a header that are compared, or follow from what is: name to
/// checksum, kind and link target, owners' names.
const FIELDS: [(usize, usize); 3] = [(0, 156), (156, 101), (265, 64)];

/// The name's beginning, in headers of the standard format only.
const PREFIX: (usize, usize) = (345, 155);

/// Accounts for the blocks of long names and extended headers that stand
/// before a member: what they say is compared, their own headers are not.
fn account_extensions(
    bytes: &[u8],
    mut at: usize,
    end: usize,
    known: &mut Accounted,
) -> Option<()> {
    while at < end {
        let size = digits(slice(bytes, at.checked_add(124)?, 12)?, 8)?;
        let size = usize::try_from(size).ok()?;
        known.add(at.checked_add(124)?, 12);
        known.add(at.checked_add(148)?, 8);
        let data = at.checked_add(BLOCK)?;
        known.add(data, size);
        at = data.checked_add(size)?.checked_next_multiple_of(BLOCK)?;
        known.add_fill(bytes, data.checked_add(size)?, at, 0);
    }
    Some(())
}

fn read(bytes: &[u8]) -> Option<(Vec<Member<'_>>, Accounted)> {
    let mut known = Accounted::default();
    let mut end = 0;
    let mut archive = ::tar::Archive::new(bytes);
    let mut found = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let mut attributes = Vec::new();
        for extension in entry.pax_extensions().ok()?.into_iter().flatten().flatten() {
            let value = String::from_utf8_lossy(extension.value_bytes());
            let (what, class) = match extension.key_bytes() {
                b"mtime" => ("precise modification time", Class::Timestamp),
                b"atime" => ("access time", Class::Timestamp),
                b"ctime" => ("change time", Class::Timestamp),
                b"uname" => ("long user name", Class::BuildHost),
                b"gname" => ("long group name", Class::BuildHost),
                b"path" | b"linkpath" | b"size" => continue,
                _ => ("extended header", Class::Unknown),
            };
            attributes.push(Attribute::new(what, class, value));
        }
        let header = entry.header();
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let numbers = [
            ("user id", Class::BuildHost, header.uid()),
            ("group id", Class::BuildHost, header.gid()),
        ];
        for (what, class, value) in numbers {
            attributes.push(Attribute::new(what, class, value.unwrap_or(0)));
        }
        let time = header.mtime().unwrap_or(0);
        attributes.push(Attribute::new("modification time", Class::Timestamp, calendar(time)));
        let mode = format!("{:o}", header.mode().unwrap_or(0));
        attributes.push(Attribute::new("mode", Class::Permissions, mode));
        let user = text(header.username_bytes());
        attributes.push(Attribute::new("user name", Class::BuildHost, user));
        let group = text(header.groupname_bytes());
        attributes.push(Attribute::new("group name", Class::BuildHost, group));
        let kind = format!("{:?}", header.entry_type());
        attributes.push(Attribute::new("kind of member", Class::Unknown, kind));
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = String::from_utf8_lossy(&target).into_owned();
        attributes.push(Attribute::new("link target", Class::Unknown, target));

        let at = usize::try_from(entry.raw_file_position()).ok()?;
        let length = usize::try_from(entry.header().entry_size().ok()?).ok()?;
        let stored = slice(bytes, at, length)?;
        let header_at = usize::try_from(entry.raw_header_position()).ok()?;
        account_extensions(bytes, end, header_at, &mut known)?;
        for (field, length) in FIELDS {
            known.add(header_at.checked_add(field)?, length);
        }
        if entry.header().as_ustar().is_some() {
            known.add(header_at.checked_add(PREFIX.0)?, PREFIX.1);
        }
        known.add(at, length);
        end = at.checked_add(length)?.checked_next_multiple_of(BLOCK)?;
        known.add_fill(bytes, at.checked_add(length)?, end, 0);
        let name = Cow::Owned(entry.path_bytes().into_owned());
        found.push(Member { name, attributes, stored, packing: None, derived: false });
        (found.len() <= MAX_MEMBERS).then_some(())?;
    }
    // Zeros to the end of the last record, however long that is.
    known.add_fill(bytes, end, bytes.len(), 0);
    Some((found, known))
}
