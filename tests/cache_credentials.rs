//! Credentials of caches, through the real program: they reach the cache they
//! are for, no other host, and no output.

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

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gather_support::{Server, respond};
use nix_verify::nix::hash::{HashAlgorithm, Hasher};
use nix_verify::nix::nar::{Event, NarWriter};

/// The store path that is asked for.
const PATH: &str = "/nix/store/0c1h60q30c1h60q30c1h60q30c1h60q3-x";

/// The secret that must not be seen anywhere.
const SECRET: &str = "hunter2-AbCdEf";

fn nar() -> Vec<u8> {
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::File { executable: false, size: 2 }).unwrap();
    writer.write(Event::Contents(b"hi")).unwrap();
    writer.finish().unwrap()
}

/// A cache that answers nobody without `authorization`, and whose NARs are at
/// another host.
fn servers(authorization: String) -> (Server, Server) {
    let storage = Server::start(|_, stream| respond(stream, 200, &[], &nar()));
    let place = storage.url("/stored").to_string();
    let cache = Server::start(move |seen, stream| {
        if seen.header("authorization") != Some(&authorization.to_ascii_lowercase()) {
            return respond(stream, 401, &[], b"who?");
        }
        match seen.target.as_str() {
            "/nix-cache-info" => respond(stream, 200, &[], b"StoreDir: /nix/store\n"),
            "/nar/x" => respond(stream, 302, &[("Location", &place)], b""),
            _ => {
                let mut hasher = Hasher::new(HashAlgorithm::Sha256);
                hasher.update(&nar());
                let text = format!(
                    "StorePath: {PATH}\nURL: nar/x\nCompression: none\nNarHash: {}\n\
                     NarSize: {}\nReferences: \n",
                    hasher.finish(),
                    nar().len()
                );
                respond(stream, 200, &[], text.as_bytes())
            }
        }
    });
    (cache, storage)
}

fn verify(cache: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verify"))
        .env_clear()
        .args(["cache", PATH, "--contents", "--cache", cache])
        .args(more)
        .output()
        .unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let file = directory.join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Runs the program with these options and looks for the secret everywhere.
fn reaches_its_cache(authorization: &str, url: impl Fn(&Server) -> String, options: &[&str]) {
    for format in [&["--format", "json"][..], &[]] {
        let (cache, storage) = servers(authorization.to_owned());
        let output = verify(&url(&cache), &[options, format].concat());
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        // Nobody signed it, so nothing is proven, but everything was reached.
        assert!(cache.seen().iter().any(|seen| seen.target == "/nar/x"), "{out}{err}");
        assert_eq!(storage.seen().len(), 1, "{out}{err}");
        assert_eq!(storage.seen()[0].header("authorization"), None);
        for text in [&out, &err] {
            assert!(!text.contains(SECRET) && !text.contains(&BASE64.encode(SECRET)), "{text}");
        }
        assert!(!out.is_empty());
    }
}

#[test]
fn credentials_reach_their_cache_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let plain = |server: &Server| format!("http://{}", server.address);
    let basic = format!("Basic {}", BASE64.encode(format!("me:{SECRET}")));

    let netrc = format!("machine 127.0.0.1 login me password {SECRET}\n");
    let netrc = write(directory.path(), "netrc", &netrc);
    reaches_its_cache(&basic, plain, &["--netrc-file", &netrc]);

    let tokens = write(directory.path(), "tokens", &format!("# ours\n127.0.0.1 {SECRET}\n"));
    reaches_its_cache(&format!("Bearer {SECRET}"), plain, &["--tokens-file", &tokens]);

    let inside = |server: &Server| format!("http://me:{SECRET}@{}", server.address);
    reaches_its_cache(&basic, inside, &[]);
}

#[test]
fn wrong_credentials_are_said_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (cache, storage) = servers("Bearer other".to_owned());
    let tokens = write(directory.path(), "tokens", &format!("127.0.0.1 {SECRET}\n"));
    let url = format!("http://{}", cache.address);
    let output = verify(&url, &["--tokens-file", &tokens]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("credentials are missing or not accepted"), "{text}");
    assert!(!text.contains(SECRET));
    assert_eq!(storage.seen().len(), 0);

    let broken = write(directory.path(), "broken", &format!("127.0.0.1 {SECRET} more\n"));
    let output = verify(&url, &["--tokens-file", &broken]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("line 1 of the file of tokens is not 'HOST TOKEN'"), "{text}");
    assert!(!text.contains(SECRET));
}
