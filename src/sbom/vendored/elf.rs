//! Just enough of ELF to follow an address into a file.

/// Segments of one file; more would be made to tire us.
const MAX_SEGMENTS: usize = 256;

/// The kind of segment that is mapped into memory.
const LOAD: u64 = 1;

/// The mapped parts of an ELF file.
pub(super) struct Segments<'e> {
    /// First address and bytes in the file.
    parts: Vec<(u64, &'e [u8])>,
}

impl<'e> Segments<'e> {
    /// Reads the program headers.
    pub(super) fn read(file: &'e [u8]) -> Option<Self> {
        file.starts_with(b"\x7fELF").then_some(())?;
        let wide = match file.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let big_endian = *file.get(5)? == 2;
        let get = |at: usize, size: usize| number(file, at, size, big_endian);
        let place = |at: usize, size: usize| usize::try_from(get(at, size)?).ok();
        let (table, size, count) = if wide {
            (place(0x20, 8)?, place(0x36, 2)?, place(0x38, 2)?)
        } else {
            (place(0x1c, 4)?, place(0x2a, 2)?, place(0x2c, 2)?)
        };
        let mut parts = Vec::new();
        for index in 0..count.min(MAX_SEGMENTS) {
            let at = table.checked_add(index.checked_mul(size)?)?;
            if get(at, 4)? != LOAD {
                continue;
            }
            let (offset, address, length) = if wide {
                (
                    place(at.checked_add(8)?, 8)?,
                    get(at.checked_add(16)?, 8)?,
                    place(at.checked_add(32)?, 8)?,
                )
            } else {
                (
                    place(at.checked_add(4)?, 4)?,
                    get(at.checked_add(8)?, 4)?,
                    place(at.checked_add(16)?, 4)?,
                )
            };
            if let Some(bytes) = file.get(offset..offset.checked_add(length)?) {
                parts.push((address, bytes));
            }
        }
        Some(Self { parts })
    }

    /// So many bytes at an address.
    pub(super) fn at(&self, address: u64, length: usize) -> Option<&'e [u8]> {
        self.parts.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..offset.checked_add(length)?)
        })
    }

    /// A pointer within some bytes.
    pub(super) fn pointer(
        &self,
        bytes: &[u8],
        at: usize,
        size: usize,
        big_endian: bool,
    ) -> Option<u64> {
        matches!(size, 4 | 8).then(|| number(bytes, at, size, big_endian))?
    }
}

/// A number of at most eight bytes.
fn number(bytes: &[u8], at: usize, size: usize, big_endian: bool) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    Some(if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
}
