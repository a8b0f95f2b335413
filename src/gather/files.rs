//! Small files that the user named: keys, credentials.

use std::io::{self, Read as _};
use std::path::Path;

/// Largest such file; thousands of keys fit.
const MAX_TEXT: u64 = 4 << 20;

/// Reads a small text file.
///
/// # Errors
/// A file that cannot be read, is longer than 4 MiB, or is no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_TEXT + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_TEXT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 4 MiB"));
    }
    Ok(text)
}
