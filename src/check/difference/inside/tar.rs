//! tar archives, in all dialects that the `tar` crate reads.

use std::borrow::Cow;

use super::super::clues::Clues;
use super::super::explanation::Class;
use super::super::numbers::calendar;
use super::members::{self, Attribute, MAX_MEMBERS, Member};
use super::read::slice;

/// Compares two archives; false if one of them is none.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some(x), Some(y)) = (read(a), read(b)) else { return false };
    members::compare("tar archive", &x, &y, clues, depth);
    true
}

fn read(bytes: &[u8]) -> Option<Vec<Member<'_>>> {
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
                _ => continue,
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
        let name = Cow::Owned(entry.path_bytes().into_owned());
        found.push(Member { name, attributes, stored, packing: None, derived: false });
        (found.len() <= MAX_MEMBERS).then_some(())?;
    }
    Some(found)
}
