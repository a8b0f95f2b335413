//! Caches in directories and behind servers, healthy and damaged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod gather_support;

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use gather_support::nginx::Nginx;
use gather_support::{Authority, Server, options, respond};
use nix_verify::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer};
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::http::{HttpClient, HttpOptions};
use nix_verify::gather::nar::compression::DecompressError;
use nix_verify::gather::nar::download::{NarDownload, NarFetchError};
use nix_verify::nix::hash::{FileHash, Hash, HashAlgorithm};
use nix_verify::nix::narinfo::{Compression, NarInfo, NarUrl};
use nix_verify::nix::store_path::{StoreDir, StorePath};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quickstart/cache");

fn caches(options: HttpOptions, netrc: &str) -> CacheClient {
    let netrc = Netrc::parse(netrc.as_bytes()).unwrap();
    CacheClient::new(HttpClient::new(options), netrc, StoreDir::default())
}

fn plain() -> CacheClient {
    caches(options(), "")
}

fn directory(path: &Path) -> CacheUrl {
    CacheUrl::parse(path.to_str().unwrap()).unwrap()
}

/// The paths the fixture has narinfos for.
fn paths() -> Vec<StorePath> {
    let narinfos = std::fs::read_dir(FIXTURE).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<StorePath> = narinfos
        .filter(|path| path.extension().is_some_and(|extension| extension == "narinfo"))
        .map(|path| parse(&std::fs::read(path).unwrap()).store_path)
        .collect();
    assert!(paths.len() >= 5);
    paths
}

fn parse(bytes: &[u8]) -> NarInfo {
    NarInfo::parse(bytes, &StoreDir::default()).unwrap()
}

fn present(answer: NarInfoAnswer) -> NarInfo {
    match answer {
        NarInfoAnswer::Present(bytes) => parse(&bytes),
        other => panic!("{other:?}"),
    }
}

fn unreachable(answer: NarInfoAnswer) -> String {
    match answer {
        NarInfoAnswer::Unreachable(why) => why.detail,
        other => panic!("{other:?}"),
    }
}

fn download(
    client: &CacheClient,
    cache: &CacheUrl,
    narinfo: &NarInfo,
) -> Result<(NarDownload, Vec<u8>), NarFetchError> {
    let mut bytes = Vec::new();
    let download = client.download_nar(cache, narinfo, &mut bytes)?;
    Ok((download, bytes))
}

/// What the fixture serves is the same over every way in.
fn check_fixture(client: &CacheClient, cache: &CacheUrl) {
    let (mut good, mut bad) = (0, 0);
    for path in paths() {
        let narinfo = present(client.narinfo(cache, &path));
        assert_eq!(narinfo.store_path, path);
        match download(client, cache, &narinfo) {
            Ok((download, bytes)) => {
                assert_eq!(download.nar_hash, narinfo.nar_hash);
                assert_eq!(u64::try_from(bytes.len()).unwrap(), narinfo.nar_size);
                assert_eq!(Hash::of(HashAlgorithm::Sha256, &bytes), narinfo.nar_hash.hash());
                assert!(download.file_fields_hold);
                good += 1;
            }
            Err(error) => {
                assert!(matches!(error, NarFetchError::Hash { .. }), "{error}");
                assert!(path.name().starts_with("tampered"), "{path}");
                bad += 1;
            }
        }
    }
    assert!(good >= 4 && bad <= 1, "{good} good, {bad} bad");
    let absent: StorePath = "00000000000000000000000000000000-x".parse().unwrap();
    assert_eq!(client.narinfo(cache, &absent), NarInfoAnswer::Absent);
    assert_eq!(client.cache_info(cache).unwrap().store_dir, Some(StoreDir::default()));
}

#[test]
fn a_cache_in_a_directory() {
    check_fixture(&plain(), &directory(Path::new(FIXTURE)));
}

#[test]
fn a_cache_behind_nginx() {
    let Some(nginx) = Nginx::serve(Path::new(FIXTURE)) else { return };
    check_fixture(&plain(), &CacheUrl::parse(&nginx.url()).unwrap());
}

#[test]
fn a_cache_behind_nginx_with_tls_and_http_2() {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(&["localhost"], false);
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let root = Path::new(FIXTURE);
    let Some(nginx) = Nginx::serve_with(root, Some((&certificate, &key))) else { return };
    let url = format!("https://localhost:{}", nginx.tls_port);
    let options = HttpOptions { ca_certificates: Some(authority.pem.into_bytes()), ..options() };
    check_fixture(&caches(options, ""), &CacheUrl::parse(&url).unwrap());
    let log = nginx.log();
    assert!(log.contains("HTTP/2.0\" 200") && !log.contains("HTTP/1.1"), "{log}");
    // Without the authority there is no answer at all.
    let answer = plain().narinfo(&CacheUrl::parse(&url).unwrap(), &paths()[0]);
    assert!(unreachable(answer).contains("not trusted"));
}

#[test]
fn what_is_no_cache_is_unreachable_not_empty() {
    let path = &paths()[0];
    let client = plain();
    let nowhere = unreachable(client.narinfo(&directory(Path::new("/nonexistent")), path));
    assert!(nowhere.contains("/nonexistent"), "{nowhere}");

    let server = Server::start(|seen, stream| {
        let info = "StoreDir: /gnu/store\n";
        match seen.target.as_str() {
            "/guix/nix-cache-info" => respond(stream, 200, &[], info.as_bytes()),
            "/s3/nix-cache-info" => respond(stream, 200, &[], b"StoreDir: /nix/store\n"),
            "/closed/nix-cache-info" => respond(stream, 403, &[], b""),
            "/login/nix-cache-info" => respond(stream, 401, &[], b""),
            "/broken/nix-cache-info" => respond(stream, 503, &[], b""),
            target if target.starts_with("/s3/") => {
                respond(stream, 403, &[("x-amz-request-id", "1")], b"")
            }
            _ => respond(stream, 404, &[], b""),
        }
    });
    let ask = |name: &str| {
        let cache = CacheUrl::parse(server.url(name).as_str()).unwrap();
        client.narinfo(&cache, path)
    };
    assert_eq!(ask("/s3"), NarInfoAnswer::Absent, "S3 says 403 for what is not there");
    for (name, wanted) in [
        ("/guix", "/gnu/store"),
        ("/closed", "403: forbidden"),
        ("/login", "credentials"),
        ("/website", "no binary cache"),
        ("/broken", "503"),
    ] {
        let reason = unreachable(ask(name));
        assert!(reason.contains(wanted), "{name}: {reason}");
    }
    // A cache that is down is found out once.
    let before = server.seen().len();
    unreachable(ask("/broken"));
    assert_eq!(server.seen().len(), before);

    let offline = caches(HttpOptions { offline: true, ..options() }, "");
    let reason = unreachable(offline.narinfo(&CacheUrl::parse("http://h").unwrap(), path));
    assert!(reason.contains("--offline"), "{reason}");
    // A directory needs no network.
    present(offline.narinfo(&directory(Path::new(FIXTURE)), path));
}

#[test]
fn credentials_reach_their_cache() {
    let server = Server::start(|seen, stream| match seen.header("authorization") {
        Some("basic onblewzha==" | "basic onbhc3m=") if seen.target.ends_with("-info") => {
            respond(stream, 200, &[], b"")
        }
        Some(_) => respond(stream, 404, &[], b""),
        None => respond(stream, 401, &[], b""),
    });
    let netrc = "machine 127.0.0.1 password pass";
    let client = caches(options(), netrc);
    let cache = CacheUrl::parse(server.url("/").as_str()).unwrap();
    assert_eq!(client.narinfo(&cache, &paths()[0]), NarInfoAnswer::Absent);
    let reason = unreachable(plain().narinfo(&cache, &paths()[0]));
    assert!(reason.contains("credentials") && !reason.contains("pass"), "{reason}");
    let url = server.url("/").as_str().replace("//", "//:wrong@");
    let reason = plain().cache_info(&CacheUrl::parse(&url).unwrap()).unwrap_err().to_string();
    assert!(!reason.contains("wrong"), "{reason}");
}

/// A cache of one small NAR, to be damaged.
struct Damaged {
    directory: tempfile::TempDir,
    nar: Vec<u8>,
    narinfo: NarInfo,
}

impl Damaged {
    fn new() -> Self {
        let path = paths().into_iter().find(|path| path.name() == "letter-1.0").unwrap();
        let client = plain();
        let cache = directory(Path::new(FIXTURE));
        let mut narinfo = present(client.narinfo(&cache, &path));
        let (_, nar) = download(&client, &cache, &narinfo).unwrap();
        narinfo.url = NarUrl::new("nar/x".to_owned());
        narinfo.compression = Compression::None;
        narinfo.file_hash = None;
        narinfo.file_size = None;
        let damaged = Self { directory: tempfile::tempdir().unwrap(), nar, narinfo };
        std::fs::create_dir(damaged.directory.path().join("nar")).unwrap();
        damaged
    }

    fn serve(&self, bytes: &[u8], narinfo: &NarInfo) -> Result<NarDownload, NarFetchError> {
        std::fs::write(self.directory.path().join("nar/x"), bytes).unwrap();
        let (client, cache) = (plain(), directory(self.directory.path()));
        download(&client, &cache, narinfo).map(|(download, _)| download)
    }
}

#[test]
fn every_changed_byte_of_a_nar_is_noticed() {
    let damaged = Damaged::new();
    assert!(damaged.serve(&damaged.nar, &damaged.narinfo).is_ok());
    for at in 0..damaged.nar.len() {
        let mut bytes = damaged.nar.clone();
        bytes[at] ^= 1;
        let error = damaged.serve(&bytes, &damaged.narinfo).unwrap_err();
        assert!(error.is_corrupt(), "{at}: {error}");
        let error = damaged.serve(&damaged.nar[..at], &damaged.narinfo).unwrap_err();
        assert!(error.is_corrupt(), "cut at {at}: {error}");
    }
    for tail in [&b"x"[..], &[0; 8], &damaged.nar] {
        let bytes = [&damaged.nar, tail].concat();
        let error = damaged.serve(&bytes, &damaged.narinfo).unwrap_err();
        assert!(
            matches!(error, NarFetchError::TooLong(_) | NarFetchError::FileTooLong(_)),
            "{error}"
        );
    }
}

#[test]
fn claims_that_are_not_true_are_named() {
    let damaged = Damaged::new();
    let claim = |change: &dyn Fn(&mut NarInfo)| {
        let mut narinfo = damaged.narinfo.clone();
        change(&mut narinfo);
        damaged.serve(&damaged.nar, &narinfo)
    };
    let hash = Hash::of(HashAlgorithm::Sha256, b"other");
    assert!(matches!(
        claim(&|narinfo| narinfo.nar_hash =
            nix_verify::nix::hash::NarHash::from_sha256(&hash).unwrap()),
        Err(NarFetchError::Hash { .. })
    ));
    assert!(matches!(claim(&|narinfo| narinfo.nar_size += 8), Err(NarFetchError::Size { .. })));
    let shorter = claim(&|narinfo| narinfo.nar_size -= 8).unwrap_err();
    assert!(matches!(shorter, NarFetchError::FileTooLong(_)), "{shorter}");
    let shorter = claim(&|narinfo| narinfo.file_size = Some(narinfo.nar_size - 1)).unwrap_err();
    assert!(matches!(shorter, NarFetchError::FileTooLong(_)), "{shorter}");
    // These decide nothing, but are noticed.
    assert!(
        !claim(&|narinfo| narinfo.file_size = Some(narinfo.nar_size + 1)).unwrap().file_fields_hold
    );
    assert!(!claim(&|narinfo| narinfo.file_hash = Some(FileHash(hash))).unwrap().file_fields_hold);
    assert!(claim(&|_| {}).unwrap().file_fields_hold);
    let missing = claim(&|narinfo| narinfo.url = NarUrl::new("nar/y".to_owned())).unwrap_err();
    assert!(matches!(missing, NarFetchError::Missing { .. }), "{missing}");
    for url in ["../x", "/etc/passwd", "file:///etc/passwd", "http://h/x", "nar/../../x"] {
        let error = claim(&|narinfo| narinfo.url = NarUrl::new(url.to_owned())).unwrap_err();
        assert!(matches!(error, NarFetchError::Url(_)), "{url}: {error}");
    }
    let not_xz = claim(&|narinfo| narinfo.compression = Compression::Xz).unwrap_err();
    assert!(matches!(not_xz, NarFetchError::Decompress(DecompressError::Corrupt { .. })));
}

#[test]
fn bombs_stop_at_the_claimed_size() {
    let damaged = Damaged::new();
    // A NAR of one file, far longer than claimed.
    let size: usize = 16 << 20;
    let mut bomb = Vec::new();
    for word in ["nix-archive-1", "(", "type", "regular", "contents"] {
        bomb.extend_from_slice(&u64::try_from(word.len()).unwrap().to_le_bytes());
        bomb.extend_from_slice(word.as_bytes());
        bomb.resize(bomb.len().next_multiple_of(8), 0);
    }
    bomb.extend_from_slice(&u64::try_from(size).unwrap().to_le_bytes());
    bomb.resize(bomb.len() + size, 0);
    let packed = |compression| {
        let bytes: Vec<u8> = match compression {
            Compression::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(&bomb).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(&bomb[..], 3).unwrap(),
            _ => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(&bomb).unwrap();
                encoder.finish().unwrap()
            }
        };
        let mut narinfo = damaged.narinfo.clone();
        narinfo.compression = compression;
        (bytes, narinfo)
    };
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let (bytes, narinfo) = packed(compression);
        let error = damaged.serve(&bytes, &narinfo).unwrap_err();
        assert!(matches!(error, NarFetchError::TooLong(_)), "{compression}: {error}");
        // The plain reader stops as well.
        let mut out = Vec::new();
        let cache = directory(damaged.directory.path());
        let mut reader = plain().nar(&cache, &narinfo).unwrap();
        assert!(reader.read_to_end(&mut out).is_err());
        assert!(u64::try_from(out.len()).unwrap() <= narinfo.nar_size);
    }
}

#[test]
fn links_out_of_a_cache_are_not_followed() {
    let path = &paths()[0];
    let top = tempfile::tempdir().unwrap();
    let cache = top.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let name = format!("{}.narinfo", path.hash_part());
    let real: PathBuf = Path::new(FIXTURE).join(&name);
    symlink(&real, cache.join(&name)).unwrap();
    let reason = unreachable(plain().narinfo(&directory(&cache), path));
    assert!(reason.contains("leads out"), "{reason}");
    std::fs::remove_file(cache.join(&name)).unwrap();
    std::fs::create_dir(cache.join("files")).unwrap();
    std::fs::copy(real, cache.join("files/a")).unwrap();
    symlink("files/a", cache.join(&name)).unwrap();
    present(plain().narinfo(&directory(&cache), path));
}

#[test]
fn a_sink_that_fails_is_not_the_cache_s_fault() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (client, cache) = (plain(), directory(Path::new(FIXTURE)));
    let narinfo = present(client.narinfo(&cache, &paths()[0]));
    let error = client.download_nar(&cache, &narinfo, &mut Full).unwrap_err();
    assert!(
        matches!(&error, NarFetchError::Sink(error) if error.kind() == std::io::ErrorKind::StorageFull)
    );
    assert!(!error.is_corrupt());
}

#[test]
fn servers_that_break_off_are_not_called_corrupt() {
    let damaged = Damaged::new();
    let nar = damaged.nar.clone();
    let server = Server::start(move |seen, stream| match seen.target.as_str() {
        "/nix-cache-info" => respond(stream, 200, &[], b""),
        "/nar/x" => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", nar.len())?;
            stream.write_all(&nar[..100])?;
            stream.flush()?;
            std::thread::sleep(std::time::Duration::from_millis(50));
            gather_support::reset()
        }
        "/nar/long" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"8\r\n12345678\r\n")?;
            }
        }
        _ => respond(stream, 200, &[("Content-Encoding", "gzip")], &nar),
    });
    let (client, cache) = (plain(), CacheUrl::parse(server.url("/").as_str()).unwrap());
    let get = |url: &str| {
        let mut narinfo = damaged.narinfo.clone();
        narinfo.url = NarUrl::new(url.to_owned());
        download(&client, &cache, &narinfo).unwrap_err()
    };
    let broken = get("nar/x");
    assert!(matches!(broken, NarFetchError::Http(_)) && !broken.is_corrupt(), "{broken}");
    let encoded = get("nar/encoded");
    assert!(matches!(encoded, NarFetchError::Cache(_)) && !encoded.is_corrupt(), "{encoded}");
    let long = get("nar/long");
    assert!(long.is_corrupt(), "{long}");
}
