//! The bytes between the contents: how each part of a NAR is written.

use super::MAGIC;

/// Zeros to pad with.
const ZEROS: [u8; 8] = [0; 8];

/// The zeros that follow a string of `length` bytes.
#[must_use]
pub fn padding_of(length: u64) -> &'static [u8] {
    let over = usize::try_from(length % 8).unwrap_or(0);
    if over == 0 { &[] } else { ZEROS.get(over..).unwrap_or(&[]) }
}

/// The length of `bytes` as it is written.
fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Appends one string: length, bytes, padding.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = length_of(bytes);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(padding_of(length));
}

/// Appends several strings.
fn strings(out: &mut Vec<u8>, words: &[&str]) {
    for word in words {
        string(out, word.as_bytes());
    }
}

/// Appends what every NAR begins with.
pub fn begin_archive(out: &mut Vec<u8>) {
    string(out, MAGIC.as_bytes());
}

/// Appends a regular file up to its contents, of which `size` bytes follow.
pub fn begin_contents(out: &mut Vec<u8>, executable: bool, size: u64) {
    strings(out, &["(", "type", "regular"]);
    if executable {
        strings(out, &["executable", ""]);
    }
    strings(out, &["contents"]);
    out.extend_from_slice(&size.to_le_bytes());
}

/// Appends what follows the `size` bytes of a file's contents.
pub fn end_contents(out: &mut Vec<u8>, size: u64) {
    out.extend_from_slice(padding_of(size));
    strings(out, &[")"]);
}

/// Appends a whole symlink.
pub fn symlink(out: &mut Vec<u8>, target: &[u8]) {
    strings(out, &["(", "type", "symlink", "target"]);
    string(out, target);
    strings(out, &[")"]);
}

/// Appends the beginning of a directory.
pub fn begin_directory(out: &mut Vec<u8>) {
    strings(out, &["(", "type", "directory"]);
}

/// Appends the end of a directory.
pub fn end_directory(out: &mut Vec<u8>) {
    strings(out, &[")"]);
}

/// Appends an entry up to its node.
pub fn begin_entry(out: &mut Vec<u8>, name: &[u8]) {
    strings(out, &["entry", "(", "name"]);
    string(out, name);
    strings(out, &["node"]);
}

/// Appends what follows an entry's node.
pub fn end_entry(out: &mut Vec<u8>) {
    strings(out, &[")"]);
}
