//! Sources and programs made to tire, to mislead or to break the reader.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use nix_verify::gather::vendored::{ScanError, scan_nar, scan_tree};
use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::sbom::vendored::{Inventory, Place, Scanner};

use super::recall::fixture;

/// Longer than any of these takes on a busy machine, far less than if it were
/// not bounded.
const SOON: Duration = Duration::from_secs(600);

fn scan(path: &str, bytes: &[u8]) -> Inventory {
    let mut scanner = Scanner::new();
    let size = u64::try_from(bytes.len()).unwrap();
    scanner.file(&Place { outer: "", path, nested: 0 }, size, &mut &*bytes).unwrap();
    scanner.finish()
}

#[test]
fn deep_and_wide_files_are_refused_in_time() {
    let start = Instant::now();
    let deep = |open: &str, count: usize| open.repeat(count).into_bytes();
    for (path, bytes) in [
        ("package-lock.json", deep("{\"dependencies\":", 1_000_000)),
        ("package-lock.json", deep("[", 1_000_000)),
        ("pnpm-lock.yaml", deep("{a: ", 100_000)),
        ("pnpm-lock.yaml", deep("- ", 500_000)),
        ("pnpm-lock.yaml", deep("? ", 500_000)),
        ("yarn.lock", [b"__metadata:\n".to_vec(), deep("[", 1_000_000)].concat()),
        ("Cargo.lock", [b"a = ".to_vec(), deep("[", 1_000_000)].concat()),
        ("Cargo.lock", deep("[[package]]\n", 100_000)),
        ("uv.lock", [b"a".to_vec(), deep(".a", 1_000_000), b" = 1".to_vec()].concat()),
        ("pom.xml", deep("<a>", 1_000_000)),
        ("go.mod", deep("replace (", 100_000)),
    ] {
        let inventory = scan(path, &bytes);
        assert!(inventory.found.is_empty());
        assert!(!inventory.is_complete(), "{path} of {} bytes", bytes.len());
        assert!(start.elapsed() < SOON, "{path} took {:?}", start.elapsed());
    }
}

#[test]
fn more_packages_than_any_project_has_are_counted_and_refused() {
    let line = |n: usize| format!("example.org/m{n} v1.0.0 h1:x=\n");
    let text: String = (0..210_000).map(line).collect();
    let inventory = scan("go.sum", text.as_bytes());
    assert_eq!(inventory.found.len(), 200_000);
    assert_eq!(inventory.unread.len(), 1);
    assert!(inventory.unread[0].reason.contains("200000 packages"), "{:?}", inventory.unread);
}

#[test]
fn a_file_longer_than_any_lock_file_is_said() {
    let inventory = scan("Cargo.lock", &vec![b'#'; (32 << 20) + 1]);
    assert!(inventory.unread[0].reason.contains("33554433 bytes"));
}

#[test]
fn a_bomb_in_a_source_costs_no_memory_and_hides_nothing_behind_it() {
    let start = Instant::now();
    let mut bomb = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..512 {
        bomb.write_all(&zeros).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.tar.gz"), bomb.finish().unwrap()).unwrap();
    std::fs::write(directory.path().join("go.sum"), "example.org/m v1.0.0 h1:x=\n").unwrap();
    let inventory = scan_tree(directory.path()).unwrap().inventory;
    assert_eq!(inventory.found.len(), 1);
    assert!(start.elapsed() < SOON);
}

#[test]
fn every_cut_of_a_real_source_is_an_error_or_says_what_it_lacks() {
    let bytes = std::fs::read(fixture("go.tar.xz")).unwrap();
    let whole = scan_tree(&fixture("go.tar.xz")).unwrap().inventory;
    for cut in (0..bytes.len()).step_by(97) {
        let mut writer = NarWriter::new(Vec::new());
        let size = u64::try_from(cut).unwrap();
        writer.write(Event::File { executable: false, size }).unwrap();
        if cut > 0 {
            writer.write(Event::Contents(&bytes[..cut])).unwrap();
        }
        let nar = writer.finish().unwrap();
        let inventory = scan_nar("go.tar.xz", nar.as_slice()).unwrap().inventory;
        // An empty file or less than the magic is no archive at all.
        assert!(inventory.found.len() <= whole.found.len());
        assert!(cut < 6 || !inventory.is_complete(), "cut at {cut}");
        assert!(matches!(scan_nar("x", &nar[..nar.len() - 1]), Err(ScanError::Nar(_))));
    }
}

#[test]
fn names_with_control_characters_come_through_as_data() {
    let lock = "{\"lockfileVersion\":3,\"packages\":{\"node_modules/a\\u001b[31m\\u202e\":{\"version\":\"1\\n2\"}}}";
    let inventory = scan("package-lock.json", lock.as_bytes());
    let purl = inventory.found[0].purl.as_deref().unwrap();
    assert!(purl.is_ascii() && purl.chars().all(|c| !c.is_control()), "{purl}");
}
