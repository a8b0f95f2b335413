use std::io::Write as _;

use flate2::Compression as Level;
use flate2::write::{DeflateEncoder, GzEncoder};

use super::*;
use crate::nix::nar::NarWriter;

const LOCK: &[u8] = br#"{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0"}}}"#;

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive of one packed and one plain member.
fn zip(packed: (&str, &[u8]), plain: (&str, &[u8])) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(packed.1).unwrap();
    let deflated = encoder.finish().unwrap();
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let members = [
        (packed.0, 8_u16, deflated.as_slice(), packed.1.len()),
        (plain.0, 0, plain.1, plain.1.len()),
    ];
    for (name, method, stored, size) in members {
        let offset = u32::try_from(bytes.len()).unwrap();
        let mut common = Vec::new();
        common.extend([20, 0, 0, 0]);
        common.extend(method.to_le_bytes());
        common.extend([0; 8]);
        common.extend(u32::try_from(stored.len()).unwrap().to_le_bytes());
        common.extend(u32::try_from(size).unwrap().to_le_bytes());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(stored);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, length) = (bytes.len(), directory.len());
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0\x02\0\x02\0");
    bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
    bytes.extend(u32::try_from(start).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

fn nar_of_file(bytes: &[u8]) -> Vec<u8> {
    let mut writer = NarWriter::new(Vec::new());
    let size = u64::try_from(bytes.len()).unwrap();
    writer.write(Event::File { executable: false, size }).unwrap();
    if !bytes.is_empty() {
        writer.write(Event::Contents(bytes)).unwrap();
    }
    writer.finish().unwrap()
}

fn places(inventory: &Inventory) -> Vec<&str> {
    let evidence = inventory.found.iter().flat_map(|found| &found.evidence);
    evidence.map(|evidence| evidence.place.as_str()).collect()
}

#[test]
fn a_fetched_tarball_is_looked_into_and_its_archives_too() {
    let inner = gzip(&tar(&[("package/package.json", br#"{"name":"b","version":"2.0.0"}"#)]));
    let jar = zip(
        ("META-INF/maven/g/a/pom.properties", b"groupId=g\nartifactId=a\nversion=1\n"),
        ("x-1.dist-info/METADATA", b"Name: x\nVersion: 1\n"),
    );
    let long = format!("{}/package-lock.json", "d".repeat(150));
    let outer = tar(&[
        ("s-1/yarn.lock", b"c@^1:\n  version \"1.0.0\"\n"),
        (&long, LOCK),
        ("s-1/b.tgz", &inner),
        ("s-1/a.jar", &jar),
    ]);
    for packed in [outer.clone(), gzip(&outer)] {
        let scan = scan_nar("s-1.tar.gz", nar_of_file(&packed).as_slice()).unwrap();
        let inventory = &scan.inventory;
        assert!(inventory.is_complete(), "{:?}", inventory.unread);
        let long = format!("s-1.tar.gz!/{long}");
        let expected = [
            "s-1.tar.gz!/s-1/a.jar!/META-INF/maven/g/a/pom.properties",
            &long,
            "s-1.tar.gz!/s-1/b.tgz!/package/package.json",
            "s-1.tar.gz!/s-1/yarn.lock",
            "s-1.tar.gz!/s-1/a.jar!/x-1.dist-info/METADATA",
        ];
        assert_eq!(places(inventory), expected);
        let (hash, size) = crate::nix::nar::check(nar_of_file(&packed).as_slice()).unwrap();
        assert_eq!((scan.nar_hash, scan.nar_size), (hash, size));
    }
}

#[test]
fn a_tree_is_looked_through_and_hashed_as_its_nar() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("object");
    std::fs::create_dir_all(root.join("node_modules/a")).unwrap();
    std::fs::write(root.join("package-lock.json"), LOCK).unwrap();
    std::fs::write(root.join("node_modules/a/package.json"), br#"{"name":"a","version":"1.0.0"}"#)
        .unwrap();
    std::os::unix::fs::symlink("package-lock.json", root.join("yarn.lock")).unwrap();
    let scan = scan_tree(&root).unwrap();
    assert_eq!(places(&scan.inventory), ["node_modules/a/package.json", "package-lock.json"]);
    let (hash, size) = tree::hash_tree(&root, &mut []).unwrap();
    assert_eq!((scan.nar_hash, scan.nar_size), (hash, size));
    assert!(matches!(scan_tree(&root.join("missing")), Err(ScanError::Tree(_))));
}

#[test]
fn damaged_archives_are_said_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let whole = gzip(&tar(&[("package/package.json", br#"{"name":"b","version":"2.0.0"}"#)]));
    std::fs::write(directory.path().join("cut.tgz"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(directory.path().join("empty.tgz"), b"\x1f\x8b").unwrap();
    std::fs::write(directory.path().join("note.gz"), b"\x1f\x8bnonsense").unwrap();
    std::fs::write(directory.path().join("z.zip"), b"PK\x03\x04nonsense").unwrap();
    std::fs::write(directory.path().join("package-lock.json"), LOCK).unwrap();
    let inventory = scan_tree(directory.path()).unwrap().inventory;
    assert_eq!(places(&inventory), ["package-lock.json"]);
    let unread: Vec<_> = inventory.unread.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(unread, ["cut.tgz", "empty.tgz", "z.zip"]);
}

#[test]
fn archives_nest_only_so_far_and_headers_are_bounded() {
    let mut bytes = LOCK.to_vec();
    let mut name = "package-lock.json".to_owned();
    for depth in 0..6 {
        bytes = tar(&[(&name, &bytes)]);
        name = format!("{depth}.tar");
    }
    let inventory = scan_nar("x.tar", nar_of_file(&bytes).as_slice()).unwrap().inventory;
    assert_eq!(inventory.unread.len(), 1);
    assert!(inventory.unread.iter().all(|one| one.reason.contains("other archives")));

    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_path("x").unwrap();
    header.set_cksum();
    let scan = scan_nar("x.tar", nar_of_file(header.as_bytes()).as_slice()).unwrap();
    assert!(scan.inventory.unread.iter().any(|one| one.reason.contains("million bytes")));
}

#[test]
fn a_cut_nar_is_an_error() {
    let nar = nar_of_file(&gzip(&tar(&[("package-lock.json", LOCK)])));
    for cut in [nar.len() - 1, nar.len() / 2, 40, 0] {
        assert!(matches!(scan_nar("x", &nar[..cut]), Err(ScanError::Nar(_))), "{cut}");
    }
}

#[test]
fn what_archives_unpack_to_is_bounded_together() {
    let one = gzip(&tar(&[("package/package.json", br#"{"name":"b","version":"2.0.0"}"#)]));
    let nar = nar_of_file(&tar(&[("a.tgz", &one), ("b.tgz", &one), ("package-lock.json", LOCK)]));
    let unpacked = 2048;
    for (room, complete) in [(2 * unpacked, true), (2 * unpacked - 1, false), (0, false)] {
        let scan = scan_with(Visitor::with_room(room), "x.tar", nar.as_slice()).unwrap();
        assert_eq!(scan.inventory.is_complete(), complete, "{room}");
        assert!(places(&scan.inventory).contains(&"x.tar!/package-lock.json"));
    }
}
