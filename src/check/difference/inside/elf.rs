//! ELF programs, libraries and object files, section by section.

use std::collections::BTreeMap;

use super::super::clues::{Cause, Clues};
use super::super::explanation::{Certainty, Class};
use super::super::generic::unknown;
use super::accounted::{Accounted, compare_rest};
use super::compare_at;
use super::read::{little, number, slice, until_nul};
use super::symbols;
use super::unpack::{Packing, unpack};

/// Sections of one file; more would be made to tire us.
const MAX_SECTIONS: usize = 1 << 16;

/// The content is compressed and begins with a header that says how.
const COMPRESSED: u64 = 0x800;

/// The section has no bytes in the file.
const NO_BITS: u64 = 8;

/// How numbers are written in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) wide: bool,
    pub(super) big_endian: bool,
}

/// One section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'e> {
    pub(super) name: &'e [u8],
    pub(super) kind: u64,
    pub(super) flags: u64,
    pub(super) link: usize,
    pub(super) data: &'e [u8],
}

/// The sections of a file.
pub(super) struct Elf<'e> {
    pub(super) layout: Layout,
    /// Where the sections' bytes are.
    places: Vec<(usize, usize)>,
    pub(super) sections: Vec<Section<'e>>,
}

impl<'e> Elf<'e> {
    pub(super) fn read(bytes: &'e [u8]) -> Option<Self> {
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let layout = Layout { wide, big_endian: *bytes.get(5)? == 2 };
        let get = |at: usize, length: usize| {
            usize::try_from(number(bytes, at, length, layout.big_endian)?).ok()
        };
        let table = if wide { get(0x28, 8)? } else { get(0x20, 4)? };
        let (size, count, names) = if wide {
            (get(0x3a, 2)?, get(0x3c, 2)?, get(0x3e, 2)?)
        } else {
            (get(0x2e, 2)?, get(0x30, 2)?, get(0x32, 2)?)
        };
        (table > 0 && count > 0 && count <= MAX_SECTIONS).then_some(())?;
        let mut sections = Vec::new();
        let mut places = Vec::new();
        let mut name_offsets = Vec::new();
        for index in 0..count {
            let at = table.checked_add(index.checked_mul(size)?)?;
            let (name, place, section) = Self::section(bytes, at, layout)?;
            name_offsets.push(name);
            places.push((place, section.data.len()));
            sections.push(section);
        }
        let strings = sections.get(names)?.data;
        for (section, at) in sections.iter_mut().zip(name_offsets) {
            section.name = until_nul(strings.get(at..)?);
        }
        Some(Self { layout, places, sections })
    }

    /// A section, with the offsets of its name and of its bytes.
    fn section(bytes: &'e [u8], at: usize, layout: Layout) -> Option<(usize, usize, Section<'e>)> {
        let get = |offset: usize, length: usize| {
            number(bytes, at.checked_add(offset)?, length, layout.big_endian)
        };
        let (flags, offset, size, link) = if layout.wide {
            (get(8, 8)?, get(24, 8)?, get(32, 8)?, get(40, 4)?)
        } else {
            (get(8, 4)?, get(16, 4)?, get(20, 4)?, get(24, 4)?)
        };
        let kind = get(4, 4)?;
        let offset = usize::try_from(offset).ok()?;
        let data = if kind == NO_BITS || kind == 0 {
            &[]
        } else {
            slice(bytes, offset, usize::try_from(size).ok()?)?
        };
        let link = usize::try_from(link).ok()?;
        let section = Section { name: b"", kind, flags, link, data };
        Some((usize::try_from(get(0, 4)?).ok()?, offset, section))
    }

    /// What is compared section by section.
    fn accounted(&self) -> Accounted {
        let mut known = Accounted::default();
        self.places.iter().for_each(|(at, length)| known.add(*at, *length));
        known
    }

    /// Sections by name and by which one of that name they are.
    fn by_name(&self) -> BTreeMap<(&'e [u8], usize), &Section<'e>> {
        let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
        let key = |section: &Section<'e>| {
            let count = seen.entry(section.name).or_default();
            let key = (section.name, *count);
            *count = count.saturating_add(1);
            key
        };
        let keys: Vec<_> = self.sections.iter().map(key).collect();
        keys.into_iter().zip(&self.sections).collect()
    }
}

/// How a section is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A digest of the rest.
    Digest,
    /// Tables of places and names in the rest.
    Table,
    /// What the program is made of.
    Content,
}

fn role(name: &[u8]) -> Role {
    const DIGESTS: [&[u8]; 2] = [b".note.gnu.build-id", b".gnu_debuglink"];
    const TABLES: [&[u8]; 22] = [
        b"",
        b".symtab",
        b".strtab",
        b".shstrtab",
        b".dynsym",
        b".dynstr",
        b".dynamic",
        b".hash",
        b".gnu.hash",
        b".gnu.version",
        b".gnu.version_r",
        b".got",
        b".got.plt",
        b".plt",
        b".plt.got",
        b".plt.sec",
        b".eh_frame",
        b".eh_frame_hdr",
        b".init_array",
        b".fini_array",
        b".debug_aranges",
        b".debug_addr",
    ];
    if DIGESTS.contains(&name) {
        Role::Digest
    } else if TABLES.contains(&name) || name.starts_with(b".rel") {
        Role::Table
    } else {
        Role::Content
    }
}

/// Compares two files; false if one of them cannot be read.
pub(super) fn compare(a: &[u8], b: &[u8], clues: &mut Clues<'_>, depth: u32) -> bool {
    let (Some(x), Some(y)) = (Elf::read(a), Elf::read(b)) else { return false };
    if x.layout != y.layout {
        return false;
    }
    let before = clues.len();
    if let Some(cause) = symbols::link_order(&x, &y) {
        clues.add(cause);
    }
    let (sections, others) = (x.by_name(), y.by_name());
    let only = |these: &BTreeMap<(&[u8], usize), &Section<'_>>,
                those: &BTreeMap<(&[u8], usize), &Section<'_>>| {
        let missing = these.keys().filter(|key| !those.contains_key(*key));
        missing.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
    };
    let (only_a, only_b) = (only(&sections, &others), only(&others, &sections));
    if !only_a.is_empty() || !only_b.is_empty() {
        let (p, q) = (only_a.join(" "), only_b.join(" "));
        clues.add(unknown("sections that only one has", p.as_bytes(), q.as_bytes()));
    }
    for wanted in [Role::Content, Role::Table, Role::Digest] {
        let caused = clues.found_since(before);
        for ((name, nth), p) in &sections {
            let Some(q) = others.get(&(*name, *nth)).filter(|q| q.data != p.data) else { continue };
            if role(name) != wanted {
                continue;
            }
            let shown = String::from_utf8_lossy(name).into_owned();
            clues.within(format!("section {shown}"), |clues| match wanted {
                Role::Digest => {
                    let what = "digest of the file's content";
                    clues.add(Cause::new(Class::Consequence, Certainty::Certain, what, b"", b""));
                }
                Role::Table if caused => {
                    let what = "tables of symbols and places";
                    clues.add(Cause::new(Class::Consequence, Certainty::Likely, what, b"", b""));
                }
                Role::Table | Role::Content => section(p, q, x.layout, clues, depth),
            });
        }
    }
    // Headers, and what stands outside of all sections.
    compare_rest((a, x.accounted()), (b, y.accounted()), clues);
    if clues.found_since(before) {
        // With one string longer or one file moved, places change everywhere.
        clues.demote_unknown(before, "could follow from the other differences");
    }
    true
}

fn section(a: &Section<'_>, b: &Section<'_>, layout: Layout, clues: &mut Clues<'_>, depth: u32) {
    let budget = clues.budget;
    if a.flags & b.flags & COMPRESSED == 0 {
        compare_at(a.data, b.data, clues, depth);
        return;
    }
    match (unpacked(a, layout, budget), unpacked(b, layout, budget)) {
        (Some(x), Some(y)) if x.bytes == y.bytes => {
            let what = "compressed section packs the same content in another way";
            clues.add(Cause::new(Class::Compression, Certainty::Certain, what, b"", b""));
        }
        (Some(x), Some(y)) => compare_at(&x.bytes, &y.bytes, clues, depth),
        _ => clues.add(unknown("compressed section that was not looked into", b"", b"")),
    }
}

fn unpacked<'b>(
    section: &Section<'_>,
    layout: Layout,
    budget: &'b super::super::budget::Budget,
) -> Option<super::unpack::Unpacked<'b>> {
    let header = if layout.wide { 24 } else { 12 };
    let packing = match number(section.data, 0, 4, layout.big_endian)? {
        1 => Packing::Zlib,
        2 => Packing::Zstd,
        _ => return None,
    };
    unpack(packing, section.data.get(header..)?, budget).ok()
}

/// A little-endian or big-endian number of a file.
pub(super) fn value(layout: Layout, bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    if layout.big_endian {
        number(bytes, at, length, true)
    } else {
        little(bytes, at, length).and_then(|value| u64::try_from(value).ok())
    }
}
