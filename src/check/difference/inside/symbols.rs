//! The order in which a program was put together, told from its symbols.

use super::super::clues::Cause;
use super::super::explanation::{Certainty, Class};
use super::elf::{Elf, Layout, value};
use super::read::until_nul;

/// Kinds of sections that hold symbols: the full table, and the dynamic one.
const TABLES: [u64; 2] = [2, 11];

/// The kind of a symbol that names a source file.
const FILE: u64 = 4;

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol<'e> {
    name: &'e [u8],
    kind: u64,
    size: u64,
    /// Where it is; no part of what it is.
    section: u64,
    address: u64,
}

impl<'e> Symbol<'e> {
    const fn identity(&self) -> (&'e [u8], u64, u64) {
        (self.name, self.kind, self.size)
    }
}

/// If both files have the same symbols in another order: that they were
/// linked so.
pub(super) fn link_order(a: &Elf<'_>, b: &Elf<'_>) -> Option<Cause> {
    let table = TABLES.into_iter().find(|table| {
        let has = |elf: &Elf<'_>| elf.sections.iter().any(|section| section.kind == *table);
        has(a) && has(b)
    })?;
    let (x, y) = (symbols(a, table)?, symbols(b, table)?);
    let identities = |symbols: &[Symbol<'_>]| {
        let mut all: Vec<_> =
            symbols.iter().map(|symbol| (symbol.name.to_vec(), symbol.kind, symbol.size)).collect();
        all.sort();
        all
    };
    if x.len() < 2 || identities(&x) != identities(&y) {
        return None;
    }
    let files = |symbols: &[Symbol<'_>]| {
        let names = symbols.iter().filter(|symbol| symbol.kind == FILE);
        names.map(|symbol| String::from_utf8_lossy(symbol.name).into_owned()).collect::<Vec<_>>()
    };
    let (files_a, files_b) = (files(&x), files(&y));
    if files_a != files_b {
        let what = "order in which object files were linked";
        let (p, q) = (files_a.join(" "), files_b.join(" "));
        return Some(Cause::new(
            Class::LinkOrder,
            Certainty::Certain,
            what,
            p.as_bytes(),
            q.as_bytes(),
        ));
    }
    let (placed_a, placed_b) = (by_place(x), by_place(y));
    let moved = placed_a.iter().zip(&placed_b).find(|(x, y)| x.identity() != y.identity())?;
    let what = "order of symbols in memory";
    Some(Cause::new(Class::LinkOrder, Certainty::Likely, what, moved.0.name, moved.1.name))
}

/// The symbols that have a place, in the order of their places.
fn by_place(symbols: Vec<Symbol<'_>>) -> Vec<Symbol<'_>> {
    let mut placed: Vec<_> =
        symbols.into_iter().filter(|symbol| symbol.size > 0 && symbol.section != 0).collect();
    placed.sort_by(|a, b| {
        (a.section, a.address, a.identity()).cmp(&(b.section, b.address, b.identity()))
    });
    placed
}

fn symbols<'e>(elf: &Elf<'e>, table: u64) -> Option<Vec<Symbol<'e>>> {
    let section = elf.sections.iter().find(|section| section.kind == table)?;
    let strings = elf.sections.get(section.link)?.data;
    let size = if elf.layout.wide { 24 } else { 16 };
    let entries = section.data.chunks_exact(size);
    entries.map(|entry| symbol(entry, strings, elf.layout)).collect()
}

fn symbol<'e>(entry: &[u8], strings: &'e [u8], layout: Layout) -> Option<Symbol<'e>> {
    let get = |at, length| value(layout, entry, at, length);
    let name = usize::try_from(get(0, 4)?).ok()?;
    let (kind, section, address, size) = if layout.wide {
        (get(4, 1)?, get(6, 2)?, get(8, 8)?, get(16, 8)?)
    } else {
        (get(12, 1)?, get(14, 2)?, get(4, 4)?, get(8, 4)?)
    };
    let name = until_nul(strings.get(name..)?);
    Some(Symbol { name, kind: kind & 15, section, address, size })
}
