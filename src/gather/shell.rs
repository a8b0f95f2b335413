//! Finding a shell for `/bin/sh` in the sandbox.
//!
//! Nix builds from nixpkgs bring a static busybox; a builder that calls
//! `system(3)` sees it. Any static shell gives the same answers in practice,
//! and its hash is in the report.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::check::rebuild::facts::ShellFacts;
use crate::nix::hash::{HashAlgorithm, Hasher};

/// Where hosts keep a static shell, most specific first.
const ON_HOSTS: [&str; 5] =
    ["/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox", "/bin/sh", "/bin/bash"];

/// Where a store object keeps one.
const IN_OBJECTS: [&str; 2] = ["bin/busybox", "bin/sh"];

/// Program headers that are looked through; real programs have a dozen.
const MAX_PROGRAM_HEADERS: u16 = 64;

/// `PT_INTERP`: the program needs a dynamic linker, which a sandbox lacks.
const PT_INTERP: u32 = 3;

/// A shell on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The program.
    pub path: PathBuf,
    /// What a report says of it.
    pub facts: ShellFacts,
}

/// Takes the shell that the user named.
///
/// # Errors
/// A file that cannot be read.
pub fn named(path: &Path) -> std::io::Result<Shell> {
    let path = path.canonicalize()?;
    let sha256 = sha256(&path)?;
    Ok(Shell { path, facts: ShellFacts { origin: "named with --shell".to_owned(), sha256 } })
}

/// Finds a static shell: in the store, among `objects` (trees on this
/// machine, with the store path each is for), or on the host.
#[must_use]
pub fn find<'a>(
    store: Option<&Path>,
    objects: impl Iterator<Item = (String, &'a Path)>,
) -> Option<Shell> {
    let in_store = store.into_iter().flat_map(shells_in_store);
    let in_objects = objects.flat_map(|(name, tree)| {
        IN_OBJECTS.iter().map(move |inside| (tree.join(inside), format!("input {name}")))
    });
    let on_host = ON_HOSTS.iter().map(|path| (PathBuf::from(path), format!("host {path}")));
    // A link inside an object, be it `bin` itself, could lead to any file of
    // the host.
    let own = |(path, _): &(PathBuf, String)| {
        let real = |path: &Path| path.symlink_metadata().is_ok_and(|found| !found.is_symlink());
        path.is_file() && real(path) && path.parent().is_some_and(real)
    };
    in_store.chain(in_objects).filter(own).chain(on_host).find_map(|(path, origin)| {
        if !is_static_program(&path).unwrap_or(false) {
            return None;
        }
        let sha256 = sha256(&path).ok()?;
        Some(Shell { path, facts: ShellFacts { origin, sha256 } })
    })
}

/// The busyboxes of a store, in order of their paths.
fn shells_in_store(store: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = store.read_dir() else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("busybox"))
        .collect();
    names.sort();
    names
        .into_iter()
        .flat_map(|name| {
            IN_OBJECTS.map(|inside| (store.join(&name).join(inside), format!("store {name}")))
        })
        .collect()
}

/// Whether the file is an ELF program that needs no dynamic linker.
fn is_static_program(path: &Path) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut header = [0_u8; 64];
    file.read_exact(&mut header)?;
    let (Some(&[0x7f, b'E', b'L', b'F', 2, 1]), Some(offset), Some(size), Some(count)) = (
        header.first_chunk::<6>(),
        field::<8>(&header, 32).map(u64::from_le_bytes),
        field::<2>(&header, 54).map(u16::from_le_bytes),
        field::<2>(&header, 56).map(u16::from_le_bytes),
    ) else {
        return Ok(false);
    };
    for index in 0..count.min(MAX_PROGRAM_HEADERS) {
        let at = offset.saturating_add(u64::from(index) * u64::from(size));
        file.seek(SeekFrom::Start(at))?;
        let mut kind = [0; 4];
        file.read_exact(&mut kind)?;
        if u32::from_le_bytes(kind) == PT_INTERP {
            return Ok(false);
        }
    }
    Ok(true)
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish().base16()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test program itself is linked dynamically.
    #[test]
    fn dynamic_programs_and_texts_are_no_shells() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("bin")).unwrap();
        let shell = place.path().join("bin/sh");
        for content in [
            b"#!/bin/bash\n".to_vec(),
            vec![0; 100],
            std::fs::read(std::env::current_exe().unwrap()).unwrap(),
        ] {
            std::fs::write(&shell, content).unwrap();
            assert!(!is_static_program(&shell).unwrap_or(false));
        }
    }

    #[test]
    fn inputs_come_before_the_host() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("bin")).unwrap();
        let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1];
        program.resize(64, 0);
        std::fs::write(place.path().join("bin/sh"), program).unwrap();
        let found = find(None, std::iter::once(("x-shell".to_owned(), place.path()))).unwrap();
        assert_eq!(found.facts.origin, "input x-shell");
        assert_eq!(found.facts.sha256.len(), 64);

        let linked = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(place.path().join("bin"), linked.path().join("bin")).unwrap();
        let found = find(None, std::iter::once(("x-link".to_owned(), linked.path())));
        assert!(found.is_none_or(|found| found.facts.origin != "input x-link"));
    }
}
