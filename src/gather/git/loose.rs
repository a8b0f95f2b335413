//! Loose objects that end too early.
//!
//! The library inflates a loose object until it has as many bytes as the header
//! says, and does not end if the file does before (seen with libgit2 1.9.7).
//! So all loose objects are inflated once before it sees the repository.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// Most directories of objects that name one another (`info/alternates`); git
/// follows five.
const MAX_ALTERNATES: usize = 32;

/// Longest `info/alternates`, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// The first loose object below `objects` or its alternates that does not end
/// as it should.
pub fn damaged(objects: &Path) -> Option<PathBuf> {
    let mut todo = vec![objects.to_owned()];
    let mut seen: Vec<PathBuf> = Vec::new();
    while let Some(directory) = todo.pop() {
        if seen.contains(&directory) || seen.len() >= MAX_ALTERNATES {
            continue;
        }
        if let Some(found) = in_directory(&directory) {
            return Some(found);
        }
        let mut list = String::new();
        let file = File::open(directory.join("info/alternates"));
        if file.is_ok_and(|file| file.take(MAX_LIST).read_to_string(&mut list).is_ok()) {
            let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            todo.extend(lines.map(|line| directory.join(line)));
        }
        seen.push(directory);
    }
    None
}

fn in_directory(objects: &Path) -> Option<PathBuf> {
    (0..=u8::MAX).into_par_iter().find_map_first(|prefix| {
        let directory = std::fs::read_dir(objects.join(format!("{prefix:02x}"))).ok()?;
        let mut files: Vec<PathBuf> = directory
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            // What git is writing has another name.
            .filter(|path| {
                let name = path.file_name().map(|name| name.as_encoded_bytes());
                name.is_some_and(|name| name.iter().all(u8::is_ascii_hexdigit))
            })
            .collect();
        files.sort();
        files.into_iter().find(|file| !is_whole(file).unwrap_or(false))
    })
}

/// Whether a file is one whole stream of zlib. A pipe would never end.
fn is_whole(path: &Path) -> io::Result<bool> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut inflated = flate2::bufread::ZlibDecoder::new(io::BufReader::new(File::open(path)?));
    // A stream that ends early is an error.
    Ok(io::copy(&mut inflated, &mut io::sink()).is_ok())
}
