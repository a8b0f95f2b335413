//! Whatever a file holds that is taken for a lock file, a program or an
//! archive, it is read or said not to be, twice alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::gather::vendored::scan_nar;
use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::sbom::vendored::{Inventory, Place, Scanner};

/// A path for each reader.
const PATHS: [&str; 25] = [
    "Cargo.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "go.mod",
    "go.sum",
    "vendor/modules.txt",
    "poetry.lock",
    "uv.lock",
    "pylock.toml",
    "Pipfile.lock",
    "requirements.txt",
    "a.dist-info/METADATA",
    "pom.xml",
    "META-INF/maven/g/a/pom.properties",
    "lockfile.json",
    "gradle.lockfile",
    "gradle/verification-metadata.xml",
    "deps.json",
    "composer.lock",
    "Gemfile.lock",
    "packages.lock.json",
    "pubspec.lock",
    "node_modules/a/package.json",
    "program",
];

fn scan(path: &str, mut bytes: &[u8]) -> Inventory {
    let mut scanner = Scanner::new();
    let size = u64::try_from(bytes.len()).expect("fits");
    let place = Place { outer: "", path, nested: 0 };
    scanner.file(&place, size, &mut bytes).expect("memory does not fail");
    scanner.finish()
}

fn archive(bytes: &[u8]) -> Inventory {
    let mut writer = NarWriter::new(Vec::new());
    let size = u64::try_from(bytes.len()).expect("fits");
    writer.write(Event::File { executable: false, size }).expect("memory does not fail");
    if !bytes.is_empty() {
        writer.write(Event::Contents(bytes)).expect("memory does not fail");
    }
    let nar = writer.finish().expect("memory does not fail");
    scan_nar("source", nar.as_slice()).expect("a whole NAR").inventory
}

fn check(inventory: &Inventory) {
    for found in &inventory.found {
        assert!(!found.evidence.is_empty());
        assert!(found.confidence().percent() > 0);
        if let Some(purl) = &found.purl {
            assert!(purl.starts_with("pkg:") && !purl.contains(char::is_control));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match PATHS.get(usize::from(*choice)) {
        Some(path) => {
            let inventory = scan(path, bytes);
            check(&inventory);
            assert_eq!(inventory, scan(path, bytes));
        }
        None => check(&archive(bytes)),
    }
});
