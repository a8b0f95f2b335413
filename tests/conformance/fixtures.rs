//! Reading `tests/fixtures`.

use std::path::PathBuf;

/// The path of a file below `tests/fixtures`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The bytes of a file below `tests/fixtures`.
pub fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a file below `tests/fixtures`.
pub fn text(name: &str) -> String {
    String::from_utf8(read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rows of a table below `tests/fixtures`, without its head.
pub fn table(name: &str) -> Vec<Vec<String>> {
    text(name).lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}
