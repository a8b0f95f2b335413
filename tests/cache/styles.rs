//! Answers in the style of each common cache: what its source writes, for what
//! it has, for what it lacks, and for whom it refuses.
//!
//! nix-serve (`nix-serve.psgi`), harmonia (`harmonia-cache/src/narinfo.rs` and
//! `nar.rs`), attic (`server/src/api/binary_cache.rs`), Cachix (its API in
//! `cachix-api`, NARs at a storage host), and S3.

use super::gather_support::{Server, respond};
use super::handmade::{full, key, nar, narinfo, path, public};
use super::*;
use nix_verify::nix::compression::Compression;
use nix_verify::nix::hash::{FileHash, Hash, HashAlgorithm};
use nix_verify::nix::narinfo::{NarInfo, NarUrl};
use nix_verify::nix::store_path::StoreDir;

const CONTENT: &[u8] = b"content of a\n";

/// How a server answers.
struct Style {
    /// Where in the server the cache is.
    prefix: &'static str,
    info: &'static str,
    /// The narinfo of `a`.
    narinfo: String,
    /// The target of its NAR, and the NAR as it is served.
    nar: (String, Vec<u8>),
    /// What is said of anything else.
    absent: Said,
}

/// A status, headers and a body.
#[derive(Clone, Copy)]
struct Said(u16, &'static [(&'static str, &'static str)], &'static str);

impl Style {
    fn serve(&self) -> Server {
        let Self { prefix, info, narinfo, nar, absent } = self;
        let Said(status, headers, body) = *absent;
        let info_at = format!("{prefix}/nix-cache-info");
        let narinfo_at = format!("{prefix}/{}.narinfo", path("a").hash_part());
        let (info, narinfo, nar) = (info.as_bytes(), narinfo.clone(), nar.clone());
        Server::start(move |request, stream| match request.target.as_str() {
            at if at == info_at => respond(stream, 200, &[], info),
            at if at == narinfo_at => {
                let kind = [("Content-Type", "text/x-nix-narinfo")];
                respond(stream, 200, &kind, narinfo.as_bytes())
            }
            at if at == nar.0 => respond(stream, 200, &[], &nar.1),
            _ => respond(stream, status, headers, body.as_bytes()),
        })
    }

    fn ask(&self, server: &Server) -> Ran {
        let from = server.url(self.prefix).to_string();
        let (a, b, key) = (full("a"), full("b"), public("k-1"));
        cache(&[&a, &b, "--cache", &from, "--trusted-key", &key, "--contents"])
    }
}

/// The narinfo of `a`, changed and signed, without empty fields, as these
/// servers leave them out.
fn text(change: impl FnOnce(&mut NarInfo)) -> String {
    let mut info = narinfo("a", CONTENT, &[]);
    change(&mut info);
    info.sign(&StoreDir::default(), &key("k-1"));
    let text = info.to_text(&StoreDir::default());
    text.lines().filter(|line| *line != "References: ").map(|line| format!("{line}\n")).collect()
}

fn nar_hash() -> String {
    Hash::of(HashAlgorithm::Sha256, &nar(CONTENT)).nix32()
}

fn nix_serve() -> Style {
    let url = format!("nar/{}-{}.nar", path("a").hash_part(), nar_hash());
    Style {
        prefix: "",
        info: "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n",
        narinfo: text(|info| {
            info.url = NarUrl::new(url.clone());
            (info.file_hash, info.file_size) = (None, None);
        }),
        nar: (format!("/{url}"), nar(CONTENT)),
        absent: Said(404, &[("Content-Type", "text/plain")], "No such path.\n"),
    }
}

fn harmonia() -> Style {
    let url = format!("nar/{}.nar?hash={}", nar_hash(), path("a").hash_part());
    Style {
        prefix: "",
        info: "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n",
        // File fields are those of the NAR.
        narinfo: text(|info| info.url = NarUrl::new(url.clone())),
        nar: (format!("/{url}"), nar(CONTENT)),
        absent: Said(404, &[("Cache-Control", "no-store")], "missed hash"),
    }
}

/// The NAR of `a` as it is packed, and a narinfo that says so.
fn packed(url: &str, file_fields: bool) -> (String, Vec<u8>) {
    let file = zstd::bulk::compress(&nar(CONTENT), 3).unwrap();
    let text = text(|info| {
        info.url = NarUrl::new(url.to_owned());
        info.compression = Compression::Zstd;
        info.file_hash = file_fields.then(|| FileHash(Hash::of(HashAlgorithm::Sha256, &file)));
        info.file_size = file_fields.then_some(file.len() as u64);
    });
    (text, file)
}

fn attic() -> Style {
    let url = format!("nar/{}.nar", path("a").hash_part());
    let (narinfo, file) = packed(&url, false);
    Style {
        prefix: "/main",
        info: "WantMassQuery: 1\nStoreDir: /nix/store\nPriority: 41\n",
        narinfo,
        nar: (format!("/main/{url}"), file),
        absent: Said(
            404,
            &[("Content-Type", "application/json")],
            r#"{"code":404,"error":"NoSuchObject","message":"The requested object does not exist."}"#,
        ),
    }
}

fn cachix() -> Style {
    let (narinfo, file) = packed("nar/0v9s.nar.zst", true);
    Style {
        prefix: "",
        info: "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n",
        narinfo,
        nar: ("/nar/0v9s.nar.zst".to_owned(), file),
        absent: Said(404, &[], ""),
    }
}

fn s3() -> Style {
    let (narinfo, file) = packed("nar/1a2s.nar.zst", true);
    Style {
        prefix: "/bucket",
        info: "StoreDir: /nix/store\n",
        narinfo,
        nar: ("/bucket/nar/1a2s.nar.zst".to_owned(), file),
        absent: Said(
            403,
            &[("x-amz-request-id", "4442587FB7D0A2F9"), ("Server", "AmazonS3")],
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
        ),
    }
}

#[track_caller]
fn has_a_but_not_b(ran: &Ran) {
    let statuses = ran.statuses();
    assert_eq!(statuses[&full("a")], "verified", "{:#}", ran.report);
    assert_eq!(statuses[&full("b")], "absent", "{:#}", ran.report);
    assert_eq!((ran.code, ran.rules().len()), (3, 0), "{:#}", ran.report);
    assert_eq!(ran.report["facts"]["sources"][0]["contents"]["right"], 1);
    fits_schema(&ran.report);
}

#[test]
fn each_is_understood() {
    for style in [nix_serve(), harmonia(), attic(), cachix(), s3()] {
        has_a_but_not_b(&style.ask(&style.serve()));
    }
}

#[test]
fn deleting_for_good_is_absence() {
    let style = Style { absent: Said(410, &[], ""), ..nix_serve() };
    has_a_but_not_b(&style.ask(&style.serve()));
}

#[test]
fn forbidden_is_absence_in_the_manner_of_s3_alone_and_said_so() {
    let named = |ran: &Ran| ran.report["facts"]["remarks"].to_string().contains("answered 403");
    let style = s3();
    assert!(named(&style.ask(&style.serve())));
    let style = Style { absent: Said(403, &[("X-GUploader-UploadID", "AHx")], "<Error/>"), ..s3() };
    let ran = style.ask(&style.serve());
    has_a_but_not_b(&ran);
    assert!(named(&ran));
    // A wall in front of a cache says nothing about what is behind it.
    let style = Style { absent: Said(403, &[("Server", "nginx")], "Forbidden"), ..nix_serve() };
    let ran = style.ask(&style.serve());
    assert_eq!(ran.statuses()[&full("b")], "unreachable", "{:#}", ran.report);
    assert_eq!((ran.code, named(&ran)), (3, false), "{:#}", ran.report);
    assert!(ran.report["coverage"].to_string().contains("403: forbidden"), "{:#}", ran.report);
}

#[test]
fn nars_that_are_gone_are_told_from_those_that_are_kept_back() {
    for (absent, code, rules) in [
        (
            Said(404, &[], "Incorrect NAR hash. Maybe the path has been recreated.\n"),
            1,
            &["missing-nar"][..],
        ),
        (s3().absent, 1, &["missing-nar"]),
        (Said(403, &[], ""), 3, &[]),
        (Said(401, &[], ""), 3, &[]),
    ] {
        let style = Style { nar: ("/elsewhere".to_owned(), Vec::new()), absent, ..cachix() };
        let ran = style.ask(&style.serve());
        assert_eq!((ran.code, ran.rules()), (code, rules.to_vec()), "{:#}", ran.report);
    }
}

#[test]
fn those_who_may_not_read_learn_nothing() {
    // attic and Cachix without a token.
    let refusal = r#"{"code":401,"error":"Unauthorized","message":"Unauthorized."}"#;
    let server = Server::start(move |_, stream| {
        respond(stream, 401, &[("Content-Type", "application/json")], refusal.as_bytes())
    });
    let ran = attic().ask(&server);
    assert_eq!((ran.code, ran.reasons()), (3, vec!["unreachable"]), "{:#}", ran.report);
}

#[test]
fn nars_may_lie_at_a_storage_host() {
    // attic redirects with 307, Cachix with 302, both to a signed address.
    for (style, status) in [(attic(), 307), (cachix(), 302)] {
        let file = style.nar.1.clone();
        let storage = Server::start(move |_, stream| respond(stream, 200, &[], &file));
        let to = storage.url("/bucket/x?X-Amz-Signature=secret").to_string();
        let (at, narinfo) = (style.nar.0.clone(), style.narinfo.clone());
        let narinfo_at = format!("{}/{}.narinfo", style.prefix, path("a").hash_part());
        let (info, Said(absent, headers, body)) = (style.info, style.absent);
        let server = Server::start(move |request, stream| match request.target.as_str() {
            target if target.ends_with("/nix-cache-info") => {
                respond(stream, 200, &[], info.as_bytes())
            }
            target if target == narinfo_at => respond(stream, 200, &[], narinfo.as_bytes()),
            target if target == at => respond(stream, status, &[("Location", &to)], b""),
            _ => respond(stream, absent, headers, body.as_bytes()),
        });
        has_a_but_not_b(&style.ask(&server));
        assert_eq!(storage.seen().len(), 1);
    }
}

#[test]
fn what_nix_serve_writes_of_unsigned_paths_is_read() {
    // No signature leaves an empty line at the end, which Nix calls corrupt.
    let style = nix_serve();
    let unsigned: String = style
        .narinfo
        .lines()
        .filter(|line| !line.starts_with("Sig: "))
        .map(|line| format!("{line}\n"))
        .collect();
    let style = Style { narinfo: format!("{unsigned}\n"), ..style };
    let ran = style.ask(&style.serve());
    assert_eq!(ran.statuses()[&full("a")], "malformed-narinfo", "{:#}", ran.report);
    let style = Style { narinfo: unsigned, ..style };
    let ran = style.ask(&style.serve());
    assert_eq!(ran.statuses()[&full("a")], "no-reference", "{:#}", ran.report);
}
