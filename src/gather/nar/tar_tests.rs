//! Archives made here, held against the hash of the same tree on disk.

use super::*;
use crate::gather::nar::tree::hash_tree;

fn header(kind: EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header
}

struct Made(tar::Builder<Vec<u8>>);

impl Made {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, path: &str, mode: u32, data: &[u8]) -> Self {
        let mut header = header(kind, mode, data.len());
        // Paths that the builder would refuse are written as they are.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, path: &str, data: &str) -> Self {
        self.entry(EntryType::Regular, path, 0o644, data.as_bytes())
    }

    fn link(mut self, kind: EntryType, path: &str, target: &str) -> Self {
        let mut header = header(kind, 0o777, 0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    fn hash(self) -> Result<NarHash, String> {
        let bytes = self.0.into_inner().unwrap();
        hash(bytes.as_slice(), &mut tempfile::tempfile().unwrap()).map_err(|e| e.to_string())
    }
}

#[test]
fn the_hash_is_that_of_the_unpacked_tree() {
    let long = "n".repeat(150);
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir_all(root.join("b/empty")).unwrap();
    std::fs::write(root.join("a"), "one").unwrap();
    std::fs::write(root.join("b.c"), "two").unwrap();
    std::fs::write(root.join("b/x"), "three").unwrap();
    std::fs::write(root.join("b/same"), "three").unwrap();
    std::fs::write(root.join(&long), "").unwrap();
    std::os::unix::fs::symlink("../../outside", root.join("b/l")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("b.c"), mode).unwrap();
    let (wanted, _) = hash_tree(&root, &mut []).unwrap();

    let mut made = Made::new()
        .entry(
            EntryType::XGlobalHeader,
            "pax_global_header",
            0o644,
            b"52 comment=0123456789012345678901234567890123456789\n",
        )
        .entry(EntryType::Directory, "src-1/", 0o755, b"")
        .file("src-1/b/x", "three")
        .link(EntryType::Symlink, "src-1/b/l", "../../outside")
        .entry(EntryType::Directory, "src-1/b/empty/", 0o755, b"")
        .entry(EntryType::Regular, "src-1/b.c", 0o755, b"two")
        .link(EntryType::Link, "src-1/b/same", "src-1/b/x")
        .file("./src-1/a", "one");
    let mut long_header = header(EntryType::Regular, 0o644, 0);
    made.0.append_data(&mut long_header, format!("src-1/{long}"), io::empty()).unwrap();
    assert_eq!(made.hash().unwrap(), wanted);
}

#[test]
fn without_one_directory_at_the_top_nothing_is_passed_over() {
    let two = Made::new().file("a", "x").file("b", "y").hash().unwrap();
    let inside = Made::new().file("s/a", "x").file("s/b", "y").hash().unwrap();
    assert_eq!(two, inside);
    assert!(Made::new().file("a", "x").hash().unwrap_err().contains("no directory"));
    assert!(Made::new().hash().unwrap_err().contains("nothing"));
}

#[test]
fn what_could_come_out_otherwise_is_refused() {
    let refused = |made: Made, words: &str| {
        let error = made.hash().unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    refused(Made::new().file("../x", ""), "leads out");
    refused(Made::new().file("/etc/passwd", ""), "leads out");
    refused(Made::new().file("s/a/../../../x", ""), "leads out");
    refused(Made::new().file("s/a", "").file("s/a", ""), "there twice");
    refused(
        Made::new().file("s/a", "").entry(EntryType::Directory, "s/a/", 0o755, b""),
        "there twice",
    );
    refused(Made::new().link(EntryType::Symlink, "s/l", "/tmp").file("s/l/x", "y"), "no directory");
    refused(Made::new().entry(EntryType::Fifo, "s/f", 0o644, b""), "neither");
    refused(Made::new().entry(EntryType::GNUSparse, "s/f", 0o644, b""), "neither");
    refused(Made::new().link(EntryType::Link, "s/h", "s/none"), "hard link");
    refused(
        Made::new().entry(EntryType::XHeader, "x", 0o644, b"11 size=20\n").file("s/a", "x"),
        "its size",
    );
    refused(Made::new().entry(EntryType::XHeader, "x", 0o644, b"99 a=b\n"), "damaged");
    refused(
        Made::new().entry(EntryType::XGlobalHeader, "x", 0o644, b"12 path=a/b\n").file("s/a", "x"),
        "global header",
    );
}

#[test]
fn a_cut_archive_has_no_hash_of_its_own() {
    let bytes = Made::new().file("s/a", &"x".repeat(2000)).0.into_inner().unwrap();
    for cut in [600, 1000, 2000, 2400] {
        let mut spool = tempfile::tempfile().unwrap();
        assert!(hash(&bytes[..cut], &mut spool).is_err(), "{cut}");
    }
}
