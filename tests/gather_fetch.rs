//! Fixed outputs fetched by our own code.

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

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use gather_support::{PUBLIC, Server, options, respond};
use nix_verify::gather::fetch::{FetchError, Fetched, fetch_fixed};
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::http::{HttpClient, HttpOptions};
use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::{Derivation, Output};
use nix_verify::nix::hash::{Hash, HashAlgorithm};

const TEXT: &[u8] = b"hello\n";

/// The NAR of [`TEXT`] as a file.
fn nar(executable: bool) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f");
    std::fs::write(&file, TEXT).unwrap();
    let mode = if executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    let mut nar = Vec::new();
    hash_tree(&file, &mut [&mut nar]).unwrap();
    nar
}

fn drv(method: Method, hash: Hash, env: &[(&str, &str)]) -> Derivation {
    let path = "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt".parse().unwrap();
    Derivation {
        outputs: [("out".to_owned(), Output::Fixed { path, method, hash })].into(),
        input_drvs: BTreeMap::new(),
        input_srcs: [].into(),
        platform: b"builtin".to_vec(),
        builder: b"builtin:fetchurl".to_vec(),
        args: Vec::new(),
        env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    }
}

fn sha256(bytes: &[u8]) -> Hash {
    Hash::of(HashAlgorithm::Sha256, bytes)
}

/// A client whose user named `server`.
fn client(server: &Server) -> HttpClient {
    let named_origins = [server.url("/").origin().ascii_serialization()].into();
    HttpClient::new(HttpOptions { named_origins, ..options() })
}

fn server() -> Server {
    Server::start(|seen, stream| match seen.target.as_str() {
        "/text" => respond(stream, 200, &[], TEXT),
        "/nar" => respond(stream, 200, &[], &nar(true)),
        "/nar.xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            std::io::Write::write_all(&mut encoder, &nar(false)).unwrap();
            respond(stream, 200, &[], &encoder.finish().unwrap())
        }
        "/forbidden" => respond(stream, 403, &[], b""),
        _ => respond(stream, 404, &[], b"hello\n"),
    })
}

fn run(client: &HttpClient, drv: &Derivation, directory: &Path) -> Result<Fetched, FetchError> {
    let result = fetch_fixed(client, &Netrc::default(), drv, None, &directory.join("out"));
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().collect();
    assert_eq!(left.len(), usize::from(result.is_ok()), "{left:?}");
    result
}

#[test]
fn files_become_store_objects() {
    let server = server();
    let client = client(&server);
    let text = server.url("/text").to_string();
    for (method, hash, env, mode, content) in [
        (Method::Flat, sha256(TEXT), vec![("url", text.as_str())], 0o444, nar(false)),
        (
            Method::Flat,
            Hash::of(HashAlgorithm::Sha512, TEXT),
            vec![("url", text.as_str())],
            0o444,
            nar(false),
        ),
        (
            Method::Recursive,
            sha256(&nar(true)),
            vec![("url", text.as_str()), ("executable", "1")],
            0o555,
            nar(true),
        ),
        (
            Method::Recursive,
            Hash::of(HashAlgorithm::Sha1, &nar(false)),
            vec![("url", text.as_str())],
            0o444,
            nar(false),
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let fetched = run(&client, &drv(method, hash, &env), directory.path()).unwrap();
        assert_eq!(fetched.url, text);
        assert_eq!(fetched.nar_hash.hash(), sha256(&content));
        assert_eq!(fetched.nar_size, u64::try_from(content.len()).unwrap());
        let found = std::fs::metadata(directory.path().join("out")).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (mode, 1));
        assert_eq!(std::fs::read(directory.path().join("out")).unwrap(), TEXT);
    }
}

#[test]
fn nars_are_unpacked_after_their_hash_is_right() {
    let server = server();
    let client = client(&server);
    for (path, executable) in [("/nar", true), ("/nar.xz", false)] {
        let url = server.url(path).to_string();
        let env = [("url", url.as_str()), ("unpack", "1")];
        let right = drv(Method::Recursive, sha256(&nar(executable)), &env);
        let directory = tempfile::tempdir().unwrap();
        let fetched = run(&client, &right, directory.path()).unwrap();
        assert_eq!(fetched.nar_hash.hash(), sha256(&nar(executable)));
        let found = std::fs::metadata(directory.path().join("out")).unwrap();
        assert_eq!(found.mode() & 0o111 != 0, executable);
        let wrong = drv(Method::Recursive, sha256(b""), &env);
        let directory = tempfile::tempdir().unwrap();
        let error = run(&client, &wrong, directory.path()).unwrap_err();
        assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    }
}

#[test]
fn the_next_url_is_tried_and_the_reason_is_kept() {
    let server = server();
    let client = client(&server);
    let (absent, text, nar) = (server.url("/none"), server.url("/text"), server.url("/nar"));
    let urls = format!("{absent} mirror://gnu/x {nar} {text}");
    let directory = tempfile::tempdir().unwrap();
    let found = drv(Method::Flat, sha256(TEXT), &[("urls", &urls)]);
    assert_eq!(run(&client, &found, directory.path()).unwrap().url, text.as_str());

    let directory = tempfile::tempdir().unwrap();
    let wrong = drv(Method::Flat, sha256(b"x"), &[("urls", &urls)]);
    let error = run(&client, &wrong, directory.path()).unwrap_err();
    assert!(
        matches!(&error, FetchError::Mismatch { found, expected, .. }
        if **found == sha256(TEXT) && **expected == sha256(b"x")),
        "{error}"
    );

    let urls = format!("{absent} {} mirror://gnu/x", server.url("/forbidden"));
    let gone = drv(Method::Flat, sha256(TEXT), &[("urls", &urls)]);
    let error = run(&client, &gone, directory.path()).unwrap_err();
    assert!(matches!(&error, FetchError::Unreachable(reasons) if reasons.len() == 3), "{error}");
    let error = run(&client, &drv(Method::Flat, sha256(TEXT), &[]), directory.path()).unwrap_err();
    assert!(matches!(error, FetchError::Impossible(_)), "{error}");
}

#[test]
fn a_derivation_cannot_make_us_ask_inside() {
    let server = server();
    let stranger = HttpClient::new(options());
    let redirect = {
        let inside = server.url("/text").to_string();
        Server::start_at(PUBLIC, None, move |_, stream| {
            respond(stream, 302, &[("Location", &inside)], b"")
        })
    };
    for url in [server.url("/text"), redirect.url("/")] {
        let directory = tempfile::tempdir().unwrap();
        let wanted = drv(Method::Flat, sha256(TEXT), &[("url", url.as_str())]);
        let error = run(&stranger, &wanted, directory.path()).unwrap_err();
        assert!(error.to_string().contains("may not lead to"), "{error}");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn passwords_go_to_their_host_by_tls_or_where_the_user_said() {
    let server = Server::start_at(PUBLIC, None, |_, stream| respond(stream, 200, &[], TEXT));
    let netrc = Netrc::parse(b"machine 127.0.0.2 login me password secret").unwrap();
    let url = server.url("/").to_string();
    let wanted = drv(Method::Flat, sha256(TEXT), &[("url", &url)]);
    let directory = tempfile::tempdir().unwrap();
    let stranger = HttpClient::new(options());
    fetch_fixed(&stranger, &netrc, &wanted, None, &directory.path().join("a")).unwrap();
    fetch_fixed(&client(&server), &netrc, &wanted, None, &directory.path().join("b")).unwrap();
    assert_eq!(server.seen()[0].header("authorization"), None);
    assert!(server.seen()[1].header("authorization").is_some());
}
