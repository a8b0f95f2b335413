//! A listing of what to examine: one entry per line, or per NUL where a NUL is
//! in it, as `find -print0` and `xargs -0` write.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// Longest listing: a million store paths with names as long as they get.
const MAX_LEN: u64 = 256 << 20;

/// The listing on standard input.
///
/// # Errors
/// Input that cannot be read, or is longer than 256 MiB.
pub fn standard_input() -> io::Result<Vec<OsString>> {
    read(&mut io::stdin().lock())
}

/// The listing in a file.
///
/// # Errors
/// A file that cannot be read, or is longer than 256 MiB.
pub fn file(path: &Path) -> io::Result<Vec<OsString>> {
    read(&mut File::open(path)?)
}

/// Reads a listing. Empty entries are left out, and so is white space around
/// lines; entries that end in NUL are taken as they are.
///
/// # Errors
/// What cannot be read, or is longer than 256 MiB.
pub fn read(source: &mut dyn Read) -> io::Result<Vec<OsString>> {
    let mut bytes = Vec::new();
    source.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_LEN {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the listing is longer than {MAX_LEN} bytes"),
        ));
    }
    let whole = bytes.contains(&0);
    let entries = bytes.split(|byte| if whole { *byte == 0 } else { *byte == b'\n' });
    let entries = entries.map(|entry| if whole { entry } else { entry.trim_ascii() });
    let entries = entries.filter(|entry| !entry.is_empty());
    Ok(entries.map(|entry| OsString::from_vec(entry.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_or_what_ends_in_nul() {
        for (text, expected) in [
            ("", vec![]),
            ("\n\n", vec![]),
            ("a\nb c \r\n\n d", vec!["a", "b c", "d"]),
            ("a\0b\n \0\0", vec!["a", "b\n "]),
        ] {
            assert_eq!(read(&mut text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert!(read(&mut io::repeat(b'x')).is_err());
    }
}
