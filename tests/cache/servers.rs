//! Servers that answer as no cache should, and what they are told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::gather_support::{Server, respond};
use super::handmade::{Handmade, full, key, nar, narinfo, path, public};
use super::*;
use nix_verify::nix::content_address::{ContentAddress, References};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::narinfo::NarUrl;
use nix_verify::nix::store_path::StoreDir;

pub const INFO: &[u8] = b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n";

/// The narinfo of `a` as a server writes it, signed.
fn text(url: &str, file_fields: bool) -> String {
    let mut info = narinfo("a", b"content of a\n", &[]);
    info.url = NarUrl::new(url.to_owned());
    if !file_fields {
        info.file_hash = None;
        info.file_size = None;
    }
    info.sign(&StoreDir::default(), &key("k-1"));
    info.to_text(&StoreDir::default())
}

#[test]
fn answers_that_change_are_named() {
    let narinfo_at = format!("/{}.narinfo", path("a").hash_part());
    let other = {
        let mut info = narinfo("a", b"something else\n", &[]);
        info.sign(&StoreDir::default(), &key("k-1"));
        info.to_text(&StoreDir::default())
    };
    let first = text("nar/x.nar", true);
    let unsigned: String = first
        .lines()
        .filter(|line| !line.starts_with("Sig: "))
        .fold(String::new(), |text, line| text + line + "\n");
    // A good signature of something else.
    let signature = other.lines().find(|line| line.starts_with("Sig: ")).unwrap();
    let forged = format!("{unsigned}{signature}\n");
    for second in [Some(&other), None, Some(&unsigned), Some(&forged)] {
        let (at, first, second) = (narinfo_at.clone(), first.clone(), second.cloned());
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |request, stream| match request.target.as_str() {
            "/nix-cache-info" => respond(stream, 200, &[], INFO),
            target if target == at => match asked.fetch_add(1, Ordering::SeqCst) {
                0 => respond(stream, 200, &[], first.as_bytes()),
                _ => match &second {
                    Some(second) => respond(stream, 200, &[], second.as_bytes()),
                    None => respond(stream, 404, &[], b""),
                },
            },
            _ => respond(stream, 404, &[], b""),
        });
        let (a, from, key) = (full("a"), server.url(""), public("k-1"));
        let ran = cache(&[&a, "--cache", from.as_str(), "--trusted-key", &key]);
        ran.is(1, "changing-answer", &["changing-answer"]);
    }
}

#[test]
fn a_server_that_is_down_or_none_at_all_is_no_answer() {
    let made = Handmade::new();
    made.add("a", b"content of a\n", &[], &["k-1"]);
    let login = Server::start(|_, stream| respond(stream, 200, &[], b"<html>log in</html>"));
    let login = login.url("").to_string();
    for down in [login.as_str(), "http://127.0.0.1:1"] {
        let (a, from, key) = (full("a"), made.url(), public("k-1"));
        let ran =
            cache(&[&a, "--cache", &from, "--cache", down, "--trusted-key", &key, "--offline"]);
        let ran = if down == login {
            cache(&[&a, "--cache", &from, "--cache", down, "--trusted-key", &key])
        } else {
            ran
        };
        assert_eq!(ran.code, 3, "{:#}", ran.report);
        let reason = if down == login { "unreachable" } else { "offline" };
        assert_eq!(ran.reasons(), [reason]);
        assert_eq!(ran.report["facts"]["sources"][1]["no_answer"], 1);
    }
}

#[test]
fn credentials_are_sent_and_not_shown() {
    let narinfo = format!("/{}.narinfo", path("a").hash_part());
    let text = text("nar/x.nar", true);
    let server = Server::start(move |request, stream| {
        // user:hunter2
        if request.header("authorization") != Some("basic dxnlcjpodw50zxiy") {
            return respond(stream, 401, &[], b"");
        }
        match request.target.as_str() {
            "/nix-cache-info" => respond(stream, 200, &[], INFO),
            asked if asked == narinfo => respond(stream, 200, &[], text.as_bytes()),
            "/nar/x.nar" => respond(stream, 200, &[], &nar(b"content of a\n")),
            _ => respond(stream, 404, &[], b""),
        }
    });
    let netrc = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(netrc.path(), "machine 127.0.0.1 login user password hunter2\n").unwrap();
    let (a, from, key) = (full("a"), server.url(""), public("k-1"));
    let base = [a.as_str(), "--cache", from.as_str(), "--trusted-key", &key, "--contents"];
    let ran = cache(&[&base[..], &["--netrc-file", netrc.path().to_str().unwrap()]].concat());
    ran.is(0, "verified", &[]);
    assert!(!ran.report.to_string().contains("hunter2"));
    let ran = cache(&base);
    assert_eq!((ran.code, ran.reasons()), (3, vec!["unreachable"]));
    let within = from.as_str().replace("http://", "http://user:hunter2@");
    let ran = cache(&[&a, "--cache", &within, "--trusted-key", &key, "--contents"]);
    assert_eq!(ran.code, 0, "{:#}", ran.report);
    assert!(!ran.report.to_string().contains("hunter2"), "{:#}", ran.report);
}

#[test]
fn a_content_address_is_proven_by_the_bytes_that_are_claimed() {
    // Unsigned; its path follows from good bytes, its NarHash is of others.
    let (good, evil) = (b"content of a\n", b"content of b\n");
    let ca: ContentAddress =
        format!("fixed:{}", Hash::of(HashAlgorithm::Sha256, good)).parse().unwrap();
    let references = References::of(&path("a"), &BTreeSet::new());
    let path = ca.store_path(&StoreDir::default(), "a", &references).unwrap();
    for (first, second, code) in
        [(evil, good, 1), (good, evil, 1), (evil, evil, 1), (good, good, 0)]
    {
        let mut info = narinfo("a", first, &[]);
        info.store_path = path.clone();
        info.url = NarUrl::new("nar/x.nar".to_owned());
        info.ca = Some(ca);
        let (text, at) = (info.to_text(&StoreDir::default()), path.hash_part());
        let reads = AtomicUsize::new(0);
        let server = Server::start(move |request, stream| match request.target.as_str() {
            "/nix-cache-info" => respond(stream, 200, &[], INFO),
            "/nar/x.nar" => match reads.fetch_add(1, Ordering::SeqCst) {
                0 => respond(stream, 200, &[], &nar(first)),
                _ => respond(stream, 200, &[], &nar(second)),
            },
            target if target.contains(&at) => respond(stream, 200, &[], text.as_bytes()),
            _ => respond(stream, 404, &[], b""),
        });
        let (full, from) = (StoreDir::default().full(&path), server.url(""));
        let ran = cache(&[&full, "--cache", from.as_str(), "--contents"]);
        assert_eq!(ran.code, code, "{:#}", ran.report);
        assert_eq!(ran.status() == "content-addressed", code == 0, "{:#}", ran.report);
    }
}
