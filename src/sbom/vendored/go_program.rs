//! What Go's linker leaves in a program: its version and the modules that were
//! linked in.
//!
//! Follows `debug/buildinfo` of Go. The blob begins with 14 bytes of magic at a
//! multiple of 16, the size of a pointer and flags. From Go 1.18 on both texts
//! follow inline after 32 bytes, each behind its length as a varint; before
//! that the header holds two addresses of string headers, which are followed
//! through the segments of an ELF file. Every blob in a file is read: a program
//! may carry another one.

use super::elf::Segments;
use super::go::checksum;
use super::package::{Ecosystem, Package, Scope};
use super::statement::{ReadError, Statements};

/// What a blob begins with.
const MAGIC: &[u8; 14] = b"\xff Go buildinf:";

/// Where blobs begin.
const ALIGN: usize = 16;

/// Bytes before the first inline text.
const HEADER: usize = 32;

/// The texts follow inline.
const INLINE: u8 = 2;

/// Pointers are big-endian.
const BIG_ENDIAN: u8 = 1;

/// Bytes before and after the list of modules, which the runtime looks for.
const SENTINEL: usize = 16;

/// Blobs in one file. Only programs about programs have more than one.
const MAX_BLOBS: usize = 64;

/// Bytes of one text. A program of ten thousand modules has about a million.
const MAX_TEXT: usize = 16 << 20;

/// Reads all blobs of a program.
///
/// # Errors
/// [`ReadError::TooMany`]; a blob that is damaged is a flaw.
pub fn read(program: &[u8], out: &mut Statements) -> Result<bool, ReadError> {
    let mut found = false;
    let mut at = 0_usize;
    let mut blobs = 0_usize;
    while let Some(block) = program.get(at..at.saturating_add(ALIGN)) {
        if block.starts_with(MAGIC) {
            blobs = blobs.saturating_add(1);
            if blobs > MAX_BLOBS {
                out.flaws.push(ReadError::Program(format!(
                    "more than {MAX_BLOBS} pieces of Go build information (a limit of this tool)"
                )));
                break;
            }
            if let Some((version, modules)) = blob(program, at)
                && looks_like_a_version(version)
            {
                found = true;
                statements(version, modules, out)?;
            }
        }
        at = at.saturating_add(ALIGN);
    }
    Ok(found)
}

/// A program's own text that happens to hold the magic, as Go's own tools do,
/// is followed by no version.
fn looks_like_a_version(version: &str) -> bool {
    version.starts_with("go1") || version.starts_with("devel")
}

/// The two texts of the blob at an offset.
fn blob(program: &[u8], at: usize) -> Option<(&str, &str)> {
    let header = program.get(at..at.checked_add(HEADER)?)?;
    let (size, flags) = (*header.get(14)?, *header.get(15)?);
    let (version, modules) = if flags & INLINE == 0 {
        let segments = Segments::read(program)?;
        let size = usize::from(size);
        let big_endian = flags & BIG_ENDIAN != 0;
        let text = |place: usize| -> Option<&[u8]> {
            let string = segments.pointer(header, place, size, big_endian)?;
            let string = segments.at(string, size.checked_mul(2)?)?;
            let length = segments.pointer(string, size, size, big_endian)?;
            let length = usize::try_from(length).ok().filter(|length| *length <= MAX_TEXT)?;
            segments.at(segments.pointer(string, 0, size, big_endian)?, length)
        };
        // A program built without modules has no second text.
        (text(16)?, text(16_usize.checked_add(size)?).unwrap_or_default())
    } else {
        let rest = program.get(at.checked_add(HEADER)?..)?;
        let (version, rest) = counted(rest)?;
        let (modules, _) = counted(rest)?;
        (version, modules)
    };
    let modules = modules.get(SENTINEL..).and_then(|rest| {
        let end = rest.len().checked_sub(SENTINEL)?;
        rest.get(..end).filter(|text| text.ends_with(b"\n"))
    });
    let modules = std::str::from_utf8(modules.unwrap_or_default()).ok()?;
    Some((std::str::from_utf8(version).ok()?, modules))
}

/// Bytes behind their number, and what follows them.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            (length <= MAX_TEXT).then_some(())?;
            return bytes.get(index.checked_add(1)?..)?.split_at_checked(length);
        }
    }
    None
}

/// The modules that a text lists, and the standard library.
fn statements(version: &str, modules: &str, out: &mut Statements) -> Result<(), ReadError> {
    let number = version.split_whitespace().next().unwrap_or_default();
    if let Some(number) = number.strip_prefix("go") {
        let stdlib = Package::new(Ecosystem::Golang, "stdlib", Some(number));
        out.push(stdlib.needed(Scope::Required))?;
    }
    let mut pending: Option<Package> = None;
    for line in modules.lines() {
        let mut words = line.split('\t');
        let kind = words.next().unwrap_or_default();
        if !matches!(kind, "dep" | "=>") {
            continue;
        }
        let (path, version, sum) = (words.next(), words.next(), words.next());
        let Some(path) = path else { continue };
        let mut package = Package::new(Ecosystem::Golang, path, version).needed(Scope::Required);
        package.digests.extend(sum.and_then(checksum));
        if kind == "dep" {
            pending.take().map_or(Ok(()), |package| out.push(package))?;
        }
        // A directory in place of a module has no version.
        let local = kind == "=>" && (path.starts_with('.') || path.starts_with('/'));
        pending = (!local).then_some(package);
    }
    pending.map_or(Ok(()), |package| out.push(package))
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    fn inline(version: &str, modules: &str) -> Vec<u8> {
        let mut bytes = vec![0; 48];
        bytes.extend(MAGIC);
        bytes.extend([8, INLINE]);
        bytes.extend([0; 16]);
        let modules = format!("0123456789abcdef{modules}0123456789abcdef");
        for text in [version, &modules] {
            let length = text.len();
            bytes.push(0x80 | u8::try_from(length & 0x7f).unwrap());
            bytes.push(u8::try_from(length >> 7).unwrap());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    fn purls(program: &[u8]) -> Vec<String> {
        let mut out = Statements::new(Technique::Embedded);
        let found = read(program, &mut out).unwrap();
        assert_eq!(found, !out.packages.is_empty());
        out.packages.iter().map(|package| package.purl().unwrap()).collect()
    }

    const MODULES: &str = "path\texample.org/m\nmod\texample.org/m\t(devel)\t\ndep\texample.org/a\tv1.0.0\th1:x=\ndep\texample.org/b\tv1.0.0\n=>\texample.org/fork\tv2.0.0\th1:y=\ndep\texample.org/c\tv1.0.0\n=>\t./c\t(devel)\t\nbuild\tCGO_ENABLED=0\n";

    #[test]
    fn modules_with_what_replaces_them() {
        let expected = [
            "pkg:golang/stdlib@1.22.1",
            "pkg:golang/example.org/a@v1.0.0",
            "pkg:golang/example.org/fork@v2.0.0",
        ];
        let program = inline("go1.22.1 X:boringcrypto", MODULES);
        assert_eq!(purls(&program), expected);
        assert_eq!(purls(&program[..program.len() - 1]), [""; 0]);
        assert_eq!(purls(&program[1..]), [""; 0]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_survived() {
        let program = inline("go1.22.1", MODULES);
        for at in 0..program.len() {
            let mut out = Statements::new(Technique::Embedded);
            read(&program[..at], &mut out).unwrap();
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = program.clone();
                changed[at] = value;
                read(&changed, &mut out).unwrap();
            }
        }
    }
}
