//! Genuine narinfos: every one verifies, every signed field is covered, and
//! what Nix wrote is printed back byte for byte.

use std::collections::BTreeSet;

use nix_verify::nix::cache_info::CacheInfo;
use nix_verify::nix::content_address::ContentAddress;
use nix_verify::nix::hash::{FileHash, Hash, HashAlgorithm, NarHash, fold};
use nix_verify::nix::narinfo::{Compression, NarInfo, NarUrl, SignatureReport};
use nix_verify::nix::signature::TrustedKeys;
use nix_verify::nix::store_path::{StoreDir, StorePath};

use crate::fixtures;

/// The key of the main public cache, as it names itself.
const MAIN_KEY: &str = "cache.nixos.org-1";

/// The one genuine file with references out of order.
pub const UNSORTED: &str = "gcc-3.4.6-unsorted-refs.narinfo";

pub fn trusted() -> TrustedKeys {
    TrustedKeys::parse(&fixtures::text("narinfo/keys.txt")).unwrap()
}

pub fn parse(bytes: &[u8]) -> NarInfo {
    NarInfo::parse(bytes, &StoreDir::default()).unwrap_or_else(|error| {
        panic!("{error}\n{}", String::from_utf8_lossy(bytes));
    })
}

pub fn verify(info: &NarInfo) -> SignatureReport {
    info.verify(&StoreDir::default(), &trusted())
}

/// The genuine narinfos of the main public cache.
pub fn genuine() -> Vec<String> {
    let text = fixtures::text("narinfo/cache-nixos-org.narinfos");
    let files: Vec<String> =
        text.split("\n\n").map(|file| format!("{}\n", file.trim_end_matches('\n'))).collect();
    assert_eq!(files.len(), 657);
    files
}

/// The single files with what is right for each:
/// (name, hash part, signatures by name).
pub fn expected() -> Vec<(String, String, BTreeSet<String>)> {
    let rows = fixtures::table("narinfo/EXPECTED.tsv");
    assert_eq!(rows.len(), 16);
    rows.into_iter()
        .map(|row| {
            let signatures = row[2].split(' ').map(str::to_owned).collect();
            (format!("narinfo/{}", row[0]), row[1].clone(), signatures)
        })
        .collect()
}

/// The signatures of a file in the words of `EXPECTED.tsv`, which calls
/// good what is good over either order of the references.
fn verdicts(report: &SignatureReport) -> BTreeSet<String> {
    let good = report.good().iter().chain(report.as_written_only());
    good.map(|name| format!("{name}=good"))
        .chain(report.bad().iter().map(|signature| format!("{}=bad", signature.key_name())))
        .chain(report.unknown().iter().map(|name| format!("{name}=unknown-key")))
        .collect()
}

#[test]
fn every_file_gets_exactly_its_verdict() {
    for (name, hash_part, signatures) in expected() {
        let info = parse(&fixtures::read(&name));
        assert_eq!(info.store_path.hash_part(), hash_part, "{name}");
        let report = verify(&info);
        assert_eq!(verdicts(&report), signatures, "{name}");
        let trusted = !name.ends_with(UNSORTED) && !name.contains("other-narhash");
        assert_eq!(report.verified().is_some(), trusted, "{name}");
    }
}

#[test]
fn unsorted_references_are_named_and_neither_pass_nor_forged() {
    for (name, ..) in expected() {
        let info = parse(&fixtures::read(&name));
        let report = verify(&info);
        let unsorted = name.ends_with(UNSORTED);
        assert_eq!(report.unsorted_references(), unsorted, "{name}");
        assert_eq!(!report.as_written_only().is_empty(), unsorted, "{name}");
    }
    let mut info = parse(&fixtures::read(&format!("narinfo/{UNSORTED}")));
    let report = verify(&info);
    assert_eq!(report.as_written_only(), [MAIN_KEY.parse().unwrap()]);
    assert!(report.good().is_empty() && report.bad().is_empty());
    assert_eq!(report.verified(), None);
    // Sorting the file, or any other order, turns the signature bad.
    let written = info.references.clone();
    info.references.sort();
    assert_eq!((verify(&info).bad().len(), verify(&info).unsorted_references()), (1, false));
    info.references = written;
    info.references.swap(0, 1);
    info.references.swap(2, 3);
    assert_eq!((verify(&info).bad().len(), verify(&info).as_written_only().len()), (1, 0));
}

#[test]
fn all_genuine_narinfos_verify() {
    let trusted = trusted();
    for text in genuine() {
        let info = parse(text.as_bytes());
        let report = info.verify(&StoreDir::default(), &trusted);
        assert_eq!(report.good(), [MAIN_KEY.parse().unwrap()], "{text}");
        assert!(report.bad().is_empty() && report.unknown().is_empty(), "{text}");
        let verified = report.verified().unwrap();
        assert_eq!(verified.store_path(), &info.store_path);
        assert_eq!((*verified.nar_hash(), verified.nar_size()), (info.nar_hash, info.nar_size));
        assert_eq!(verified.path_info().references, info.reference_set());
        assert!(info.check_url().is_ok(), "{text}");
        assert!(info.unknown_fields.is_empty(), "{text}");
    }
}

#[test]
fn what_nix_wrote_is_printed_back() {
    let dir = StoreDir::default();
    for text in genuine() {
        assert_eq!(parse(text.as_bytes()).to_text(&dir), text);
    }
    for (name, ..) in expected() {
        let info = parse(&fixtures::read(&name));
        assert_eq!(parse(info.to_text(&dir).as_bytes()), info, "{name}");
    }
}

#[test]
fn content_addresses_of_genuine_narinfos_recompute() {
    let dir = StoreDir::default();
    let infos: Vec<NarInfo> = genuine().iter().map(|text| parse(text.as_bytes())).collect();
    let with_ca: Vec<&NarInfo> = infos.iter().filter(|info| info.ca.is_some()).collect();
    assert_eq!(with_ca.len(), 7);
    for info in with_ca {
        assert!(info.is_content_addressed(&dir), "{}", info.store_path);
    }
}

/// The changes a signature has to notice.
fn signed_changes(info: &NarInfo) -> Vec<(&'static str, NarInfo)> {
    let other_path = |path: &StorePath| -> StorePath {
        StorePath::new(fold(&[path.hash_part().as_bytes(), b"x"].concat()), path.name()).unwrap()
    };
    let mut changes = Vec::new();
    let mut change = |what, edit: &dyn Fn(&mut NarInfo)| {
        let mut other = info.clone();
        edit(&mut other);
        changes.push((what, other));
    };
    change("StorePath, hash part", &|info| info.store_path = other_path(&info.store_path));
    change("StorePath, name", &|info| {
        let name = format!("{}x", info.store_path.name());
        info.store_path = StorePath::new(*info.store_path.hash_bytes(), &name).unwrap();
    });
    change("NarHash", &|info| {
        let mut digest = *info.nar_hash.digest();
        digest[31] ^= 1;
        info.nar_hash = NarHash::from_digest(digest);
    });
    change("NarSize + 1", &|info| info.nar_size += 1);
    change("NarSize - 1", &|info| info.nar_size -= 1);
    change("References, one more", &|info| {
        info.references.push(other_path(&info.store_path));
        info.references.sort();
    });
    if !info.references.is_empty() {
        change("References, none", &|info| info.references.clear());
        change("References, one less", &|info| drop(info.references.pop()));
        change("References, another", &|info| {
            info.references[0] = other_path(&info.references[0]);
            info.references.sort();
        });
    }
    changes
}

/// The changes a signature cannot notice.
fn unsigned_changes(info: &NarInfo) -> Vec<(&'static str, NarInfo)> {
    let mut changes = Vec::new();
    let mut change = |what, edit: &dyn Fn(&mut NarInfo)| {
        let mut other = info.clone();
        edit(&mut other);
        assert_ne!(&other, info, "{what}");
        changes.push((what, other));
    };
    change("URL", &|info| info.url = NarUrl::new("nar/other.nar".to_owned()));
    change("Compression", &|info| info.compression = Compression::Lzip);
    change("FileHash", &|info| info.file_hash = Some(FileHash(Hash::of(HashAlgorithm::Md5, b""))));
    change("FileSize", &|info| info.file_size = Some(info.file_size.unwrap_or_default() + 1));
    change("Deriver", &|info| {
        let drv = StorePath::new([7; 20], "other.drv").unwrap();
        info.deriver = Some(drv);
    });
    change("System", &|info| info.system = Some("pdp11-unix".to_owned()));
    change("CA", &|info| {
        let ca: ContentAddress =
            "fixed:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs".parse().unwrap();
        info.ca = Some(ca);
    });
    change("a field of an unknown name", &|info| {
        info.unknown_fields.push(("Provenance".to_owned(), "{}".to_owned()));
    });
    changes
}

#[test]
fn signatures_cover_the_signed_fields_and_no_other() {
    let dir = StoreDir::default();
    let trusted = trusted();
    for text in genuine() {
        let info = parse(text.as_bytes());
        for (what, other) in signed_changes(&info) {
            // Through the text, so that reading and printing are judged too.
            let other = parse(other.to_text(&dir).as_bytes());
            let report = other.verify(&dir, &trusted);
            assert_eq!(report.bad().len(), 1, "{what}\n{text}");
            assert!(report.good().is_empty() && report.as_written_only().is_empty(), "{what}");
            assert_eq!(report.verified(), None, "{what}\n{text}");
        }
        for (what, other) in unsigned_changes(&info) {
            let other = parse(other.to_text(&dir).as_bytes());
            let verified = other.verify(&dir, &trusted).verified();
            assert_eq!(verified.unwrap().path_info(), &info.path_info(), "{what}\n{text}");
        }
    }
}

#[test]
fn another_store_directory_breaks_the_signature() {
    let other = StoreDir::new("/gnu/store").unwrap();
    let info = parse(genuine()[0].as_bytes());
    assert_eq!(info.verify(&other, &trusted()).bad().len(), 1);
}

#[test]
fn a_missing_line_means_what_nix_takes_it_for() {
    let read = |name: &str| fixtures::text(&format!("narinfo/{name}"));
    let none = parse(read("cachix-source-no-references.narinfo").as_bytes());
    assert!(none.references.is_empty());
    let unknown = parse(read("net-tools-unknown-deriver.narinfo").as_bytes());
    assert_eq!(unknown.deriver, None);
    let bare = parse(read("net-tools-no-file-fields.narinfo").as_bytes());
    assert_eq!((bare.file_hash, bare.file_size), (None, None));
    let text = read("net-tools.narinfo");
    for other in [text.replace("Compression: xz\n", ""), text.replace(": xz\n", ": \n")] {
        assert_eq!(parse(other.as_bytes()).compression, Compression::Bzip2);
    }
    let hex = parse(read("net-tools-hex-filehash.narinfo").as_bytes());
    assert_eq!(hex, parse(text.as_bytes()));
    let hex = parse(read("attic-hello-hex-narhash.narinfo").as_bytes());
    assert_eq!(hex, parse(read("attic-hello.narinfo").as_bytes()));
}

#[test]
fn the_whole_real_cache_checks() {
    let info = CacheInfo::parse(&fixtures::read("narinfo/real-cache/nix-cache-info")).unwrap();
    assert!(info.check_store_dir(&StoreDir::default()).is_ok());
    let mut files = 0;
    for entry in std::fs::read_dir(fixtures::path("narinfo/real-cache")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(hash_part) = name.strip_suffix(".narinfo") else { continue };
        let info = parse(&fixtures::read(&format!("narinfo/real-cache/{name}")));
        assert_eq!(info.store_path.hash_part(), hash_part);
        assert!(verify(&info).verified().is_some(), "{name}");
        let url = info.check_url().unwrap();
        let nar = fixtures::read(&format!("narinfo/real-cache/{url}"));
        assert_eq!(info.file_size, Some(nar.len() as u64));
        let hash = Hash::of(HashAlgorithm::Sha256, &nar);
        assert_eq!(info.file_hash, Some(FileHash(hash)));
        files += 1;
    }
    assert_eq!(files, 12);
}
