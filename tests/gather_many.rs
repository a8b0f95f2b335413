//! Many questions at once, and NARs examined for everything that is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod gather_support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use gather_support::{Server, options, respond};
use nix_verify::gather::cache::narinfos::Question;
use nix_verify::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer};
use nix_verify::gather::http::HttpClient;
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::nar::check::{NarCheck, NarFlaw, NarUnchecked};
use nix_verify::nix::hash::{FileHash, HashAlgorithm, Hasher};
use nix_verify::nix::nar::{self, NarWriter};
use nix_verify::nix::narinfo::NarInfo;
use nix_verify::nix::references::ReferenceScanner;
use nix_verify::nix::store_path::{StoreDir, StorePath};

fn cache_client() -> CacheClient {
    CacheClient::new(HttpClient::new(options()), Netrc::default(), StoreDir::default())
}

fn path(number: usize) -> StorePath {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    StorePath::new(bytes, "x").unwrap()
}

#[test]
fn answers_come_for_all_questions_and_for_those_they_beget() {
    let server = Server::start(|seen, stream| {
        if seen.target.ends_with("/nix-cache-info") {
            return respond(stream, 200, &[], b"StoreDir: /nix/store\n");
        }
        if seen.index % 2 == 0 {
            return respond(stream, 404, &[], b"");
        }
        respond(stream, 200, &[], seen.target.as_bytes())
    });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(format!("{}.narinfo", path(7).hash_part())), "7").unwrap();
    let caches = [
        CacheUrl::parse(server.url("").as_str()).unwrap(),
        CacheUrl::parse(directory.path().to_str().unwrap()).unwrap(),
    ];
    let first = (0..500).map(|number| Question { cache: 0, path: path(number) });
    let answers = Mutex::new(Vec::new());
    let client = cache_client();
    client.narinfos(&caches, first, |question, answer, more| {
        if question.cache == 0 {
            more.push(Question { cache: 1, path: question.path.clone() });
            // A sink may ask the client itself.
            assert!(client.cache_info(&caches[0]).is_ok());
        }
        answers.lock().unwrap().push((question, answer));
    });
    let answers = answers.into_inner().unwrap();
    assert_eq!(answers.len(), 1000);
    let asked: BTreeSet<_> = answers.iter().map(|(question, _)| question.clone()).collect();
    assert_eq!(asked.len(), 1000);
    let present = |wanted: usize| {
        let of = answers.iter().filter(|(question, _)| question.cache == wanted);
        of.filter(|(_, answer)| matches!(answer, NarInfoAnswer::Present(_))).count()
    };
    assert!((249..=251).contains(&present(0)), "{}", present(0));
    assert_eq!(present(1), 1);
    for (question, answer) in &answers {
        if let (0, NarInfoAnswer::Present(bytes)) = (question.cache, answer) {
            assert_eq!(bytes, format!("/{}.narinfo", question.path.hash_part()).as_bytes());
        }
    }
}

#[test]
fn a_cache_that_is_down_has_its_reason_with_every_answer() {
    let caches = [CacheUrl::parse("http://127.0.0.1:1/").unwrap()];
    let count = Mutex::new(0);
    let questions = (0..2000).map(|number| Question { cache: number % 2, path: path(number) });
    cache_client().narinfos(&caches, questions, |question, answer, _| {
        let NarInfoAnswer::Unreachable(why) = answer else { panic!("{answer:?}") };
        let wanted = if question.cache == 0 { "no connection" } else { "no such cache" };
        assert!(why.detail.contains(wanted), "{why}");
        *count.lock().unwrap() += 1;
    });
    assert_eq!(count.into_inner().unwrap(), 2000);
}

/// A NAR of one file.
fn nar_of(contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = NarWriter::new(&mut out);
    writer.write(nar::Event::File { executable: false, size: contents.len() as u64 }).unwrap();
    writer.write(nar::Event::Contents(contents)).unwrap();
    writer.finish().unwrap();
    out
}

fn sha256(bytes: &[u8]) -> FileHash {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    FileHash(hasher.finish())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a truthful narinfo says about `file`, which unpacks to `nar`.
fn narinfo_of(nar: &[u8], file: &[u8], compression: &str) -> NarInfo {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(nar);
    let text = format!(
        "StorePath: /nix/store/{}\nURL: nar/x\nCompression: {compression}\nFileHash: {}\n\
         FileSize: {}\nNarHash: {}\nNarSize: {}\nReferences: \n",
        path(1),
        sha256(file),
        file.len(),
        hasher.finish(),
        nar.len(),
    );
    NarInfo::parse(text.as_bytes(), &StoreDir::default()).unwrap()
}

fn check(directory: &Path, narinfo: &NarInfo) -> Result<NarCheck, NarUnchecked> {
    let cache = CacheUrl::parse(directory.to_str().unwrap()).unwrap();
    let candidates = [path(1), path(2), path(3)];
    cache_client().check_nar(&cache, narinfo, ReferenceScanner::new(&candidates))
}

#[test]
fn everything_that_is_wrong_with_a_nar_is_said() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("nar")).unwrap();
    let place = directory.path().join("nar/x");
    let nar = nar_of(format!("see {} and {}", path(2), path(9)).as_bytes());
    let packed = gzip(&nar);
    let honest = narinfo_of(&nar, &packed, "gzip");

    std::fs::write(&place, &packed).unwrap();
    let good = check(directory.path(), &honest).unwrap();
    assert!(good.flaws.is_empty(), "{:?}", good.flaws);
    assert_eq!(good.references, BTreeSet::from([path(2)]));
    assert_eq!(good.nar, Some((honest.nar_hash, honest.nar_size)));
    assert_eq!(good.file, Some((sha256(&packed), packed.len() as u64)));

    // Unsigned fields that are wrong hide nothing else.
    let mut lying = honest.clone();
    lying.file_size = Some(3);
    lying.file_hash = Some(sha256(b"other"));
    let found = check(directory.path(), &lying).unwrap();
    assert!(
        matches!(found.flaws[..], [NarFlaw::FileSize { claimed: 3, .. }, NarFlaw::FileHash { .. }]),
        "{:?}",
        found.flaws
    );
    assert_eq!(found.nar, good.nar);

    // Another NAR of the same length, packed well.
    let other = nar_of(format!("see {} and {}", path(3), path(9)).as_bytes());
    std::fs::write(&place, gzip(&other)).unwrap();
    let found = check(directory.path(), &honest).unwrap();
    assert!(
        matches!(found.flaws[..], [NarFlaw::NarHash { .. }, .., NarFlaw::FileHash { .. }]),
        "{:?}",
        found.flaws
    );
    assert_eq!(found.references, BTreeSet::from([path(3)]));

    // No NAR, but as many bytes with a hash of their own.
    let mut broken = nar.clone();
    broken[8] = b'N';
    std::fs::write(&place, gzip(&broken)).unwrap();
    let found = check(directory.path(), &narinfo_of(&broken, &gzip(&broken), "gzip")).unwrap();
    assert!(matches!(found.flaws[..], [NarFlaw::Malformed(_)]), "{:?}", found.flaws);
    assert_eq!(found.nar.map(|(_, size)| size), Some(nar.len() as u64));
    assert_eq!(found.references, BTreeSet::from([path(2)]));

    // Longer and shorter than claimed.
    std::fs::write(&place, &packed).unwrap();
    for (size, longer) in [(nar.len() as u64 - 8, true), (nar.len() as u64 + 8, false)] {
        let mut lying = honest.clone();
        lying.nar_size = size;
        let found = check(directory.path(), &lying).unwrap();
        match &found.flaws[..] {
            [NarFlaw::NarTooLong { claimed }] if longer => assert_eq!(*claimed, size),
            [NarFlaw::NarSize { claimed, .. }] if !longer => assert_eq!(*claimed, size),
            flaws => panic!("{size}: {flaws:?}"),
        }
        assert_eq!(found.file, good.file);
    }

    // Cut, spoilt, and with something behind it.
    std::fs::write(&place, &packed[..packed.len() - 3]).unwrap();
    let found = check(directory.path(), &honest).unwrap();
    assert!(
        matches!(
            found.flaws[..],
            [NarFlaw::Decompress(_), NarFlaw::FileSize { .. }, NarFlaw::FileHash { .. }]
        ),
        "{:?}",
        found.flaws
    );
    assert_eq!(found.nar, None);
    std::fs::write(&place, [packed.as_slice(), &[7; 200_000]].concat()).unwrap();
    let found = check(directory.path(), &honest).unwrap();
    assert!(matches!(found.flaws.last(), Some(NarFlaw::FileTooLong { .. })), "{:?}", found.flaws);
    assert_eq!(found.file, None);

    // Not there, and nowhere.
    std::fs::remove_file(&place).unwrap();
    let found = check(directory.path(), &honest).unwrap();
    assert!(matches!(found.flaws[..], [NarFlaw::Missing { .. }]), "{:?}", found.flaws);
    let text = honest.to_text(&StoreDir::default()).replace("nar/x", "../x");
    let outside = NarInfo::parse(text.as_bytes(), &StoreDir::default()).unwrap();
    let found = check(directory.path(), &outside).unwrap();
    assert!(matches!(found.flaws[..], [NarFlaw::Url(_)]), "{:?}", found.flaws);
}
