//! Looking inside files: archives, compressed data, programs.
//!
//! Only two files of the same format are opened. A reader that meets anything
//! it does not know gives up, and the bytes are compared as they are.

mod accounted;
mod ar;
mod compressed;
mod cpio;
mod elf;
mod members;
mod read;
mod symbols;
mod tar;
mod unpack;
mod zip;

use super::budget::MAX_DEPTH;
use super::clues::Clues;
use super::explanation::Class;
use super::generic;
use unpack::Packing;

/// Formats that are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Packed(Packing),
    Tar,
    Zip,
    Ar,
    Cpio,
    Elf,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        if let Some(packing) = Packing::of(bytes) {
            return Some(Self::Packed(packing));
        }
        if bytes.starts_with(b"\x7fELF") {
            Some(Self::Elf)
        } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            Some(Self::Zip)
        } else if bytes.starts_with(b"!<arch>\n") {
            Some(Self::Ar)
        } else if bytes.starts_with(b"070701") || bytes.starts_with(b"070702") {
            Some(Self::Cpio)
        } else if bytes.get(257..262) == Some(b"ustar") {
            Some(Self::Tar)
        } else {
            None
        }
    }
}

/// Compares two byte strings that differ, and what is in them.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>) {
    compare_at(a, b, clues, MAX_DEPTH);
}

/// As [`compare`], with so many formats within formats left.
fn compare_at(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) {
    if a == b {
        return;
    }
    let format = Format::of(a).filter(|format| Format::of(b) == Some(*format));
    let Some((format, depth)) = format.zip(depth.checked_sub(1)) else {
        if depth == 0 {
            clues.note("not looked into: too many formats within each other");
        }
        generic::compare(a, b, clues);
        return;
    };
    if !clues.budget.work(a.len().max(b.len())) {
        clues.note("the rest was not looked into: there is too much of it");
        clues.add(generic::unknown("not looked into", a, b));
        return;
    }
    let before = clues.len();
    let known = match format {
        Format::Packed(packing) => compressed::compare(packing, a, b, clues, depth),
        Format::Tar => tar::compare(a, b, clues, depth),
        Format::Zip => zip::compare(a, b, clues, depth),
        Format::Ar => ar::compare(a, b, clues, depth),
        Format::Cpio => cpio::compare(a, b, clues, depth),
        Format::Elf => elf::compare(a, b, clues, depth),
    };
    if !known {
        generic::compare(a, b, clues);
    } else if clues.len() == before && !clues.has(Class::Unknown) {
        // Alike in all that the reader knows of.
        clues.within("outside of what is known of the format".to_owned(), |clues| {
            generic::compare(a, b, clues);
        });
    }
}

#[cfg(test)]
mod tests;
