//! Servers that answer as the common caches do, and some that should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::gather_support::{Server, respond};
use super::handmade::{Handmade, full, key, nar, narinfo, path, public};
use super::*;
use nix_verify::nix::narinfo::NarUrl;
use nix_verify::nix::store_path::StoreDir;

const INFO: &[u8] = b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n";

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

/// Asks a server about `a` and `b`, which it does not have.
fn ask(server: &Server) -> Ran {
    let (a, b, from, key) = (full("a"), full("b"), server.url(""), public("k-1"));
    cache(&[&a, &b, "--cache", from.as_str(), "--trusted-key", &key, "--contents"])
}

#[track_caller]
fn has_a_but_not_b(ran: &Ran) {
    let statuses = ran.statuses();
    assert_eq!(statuses[&full("a")], "verified", "{:#}", ran.report);
    assert_eq!(statuses[&full("b")], "absent", "{:#}", ran.report);
    assert_eq!((ran.code, ran.rules().len()), (3, 0), "{:#}", ran.report);
    assert_eq!(ran.report["facts"]["sources"][0]["contents"]["right"], 1);
}

/// A server with one way to name NARs and one to say that something is absent.
fn common(url: &'static str, file_fields: bool, absent: u16) -> Server {
    let target = format!("/{url}");
    let narinfo = format!("/{}.narinfo", path("a").hash_part());
    let text = text(url, file_fields);
    Server::start(move |request, stream| match request.target.as_str() {
        "/nix-cache-info" => respond(stream, 200, &[], INFO),
        asked if asked == narinfo => respond(stream, 200, &[], text.as_bytes()),
        asked if asked == target => respond(stream, 200, &[], &nar(b"content of a\n")),
        _ => respond(stream, absent, &[], b"no such thing"),
    })
}

#[test]
fn common_servers_are_understood() {
    for (url, file_fields, absent) in [
        // nix-serve: no file fields, the hash part and the NarHash in the name.
        (
            "5nzd3l3ry6ghhpi8kpks6pzjz9vy01f4-1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2.nar",
            false,
            404,
        ),
        // harmonia: a query.
        (
            "nar/1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2.nar?hash=5nzd3l3ry6ghhpi8kpks6pzjz9vy01f4",
            true,
            404,
        ),
        // attic: named by the hash part.
        ("nar/5nzd3l3ry6ghhpi8kpks6pzjz9vy01f4.nar", true, 404),
        // S3 without the right to list: 403 is absence.
        ("nar/1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2.nar", true, 403),
        // Servers that delete for good.
        ("nar/1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2.nar", true, 410),
    ] {
        has_a_but_not_b(&ask(&common(url, file_fields, absent)));
    }
}

#[test]
fn a_cache_may_keep_its_nars_at_a_storage_host() {
    // Cachix redirects NARs to where they are stored.
    let storage = Server::start(|_, stream| respond(stream, 200, &[], &nar(b"content of a\n")));
    let to = storage.url("/bucket/x?signature=secret").to_string();
    let narinfo = format!("/{}.narinfo", path("a").hash_part());
    let text = text("nar/x.nar", true);
    let server = Server::start(move |request, stream| match request.target.as_str() {
        "/nix-cache-info" => respond(stream, 200, &[], INFO),
        asked if asked == narinfo => respond(stream, 200, &[], text.as_bytes()),
        "/nar/x.nar" => respond(stream, 302, &[("Location", &to)], b""),
        _ => respond(stream, 404, &[], b""),
    });
    has_a_but_not_b(&ask(&server));
    assert_eq!(storage.seen().len(), 1);
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
