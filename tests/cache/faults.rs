//! Servers that do everything wrong, met by the real program in one run: each
//! fault has a reason of its own and takes neither long nor much memory.
//!
//! `tests/http_faults` has those that take the program's patience, shortened.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::bombs::{bomb, gzip_of, part, xz_of, zstd_of};
use super::gather_support::{Authority, Server, Stream, reset, respond};
use super::handmade::{full, key, nar, narinfo, path, public};
use super::servers::INFO;
use super::*;
use nix_verify::nix::compression::Compression;
use nix_verify::nix::narinfo::NarUrl;
use nix_verify::nix::store_path::StoreDir;

/// The most memory of the program.
const PEAK_KIB: u64 = 160 << 10;

/// The longest it may take on a busy machine; pauses between tries add up to
/// some seconds.
const IN_TIME: Duration = Duration::from_secs(180);

type Answer = Box<dyn Fn(&mut dyn Stream) -> io::Result<()> + Send + Sync>;

/// A fault: what is served, the exit code it alone would give, and what has to
/// be said about it.
struct Fault {
    answer: Answer,
    fails: bool,
    wanted: &'static str,
}

fn open(
    wanted: &'static str,
    answer: impl Fn(&mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
) -> Fault {
    Fault { answer: Box::new(answer), fails: false, wanted }
}

fn endless(stream: &mut dyn Stream, part: &[u8]) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
    loop {
        stream.write_all(part)?;
    }
}

/// A redirect to `to`.
fn redirect(to: &'static str) -> impl Fn(&mut dyn Stream) -> io::Result<()> + Send + Sync {
    move |stream| respond(stream, 302, &[("Location", to)], b"")
}

/// Faults of answers to the question for a narinfo.
fn answers() -> BTreeMap<&'static str, Fault> {
    let packed = bomb(gzip_of(part()));
    BTreeMap::from([
        ("status", open("the server answered 500", |stream| respond(stream, 500, &[], b""))),
        ("busy", {
            open("the server answered 429", |stream| {
                respond(stream, 429, &[("Retry-After", "1")], b"")
            })
        }),
        ("forbidden", open("403: forbidden", |stream| respond(stream, 403, &[], b""))),
        ("login", open("credentials are missing", |stream| respond(stream, 401, &[], b""))),
        ("odd", open("the server answered 418", |stream| respond(stream, 418, &[], b""))),
        ("reset", open("the connection broke", |_| reset())),
        ("short", {
            open("the connection broke", |stream| {
                stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 9000\r\n\r\nStorePath:")?;
                reset()
            })
        }),
        (
            "noise",
            open("the connection broke", |stream| {
                stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")?;
                reset()
            }),
        ),
        ("endless", open("longer than 16777216 bytes", |stream| endless(stream, &[b'x'; 1 << 16]))),
        (
            "announced",
            open("longer than 16777216 bytes", |stream| {
                stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n")?;
                reset()
            }),
        ),
        (
            "heads",
            open("the connection broke", |stream| {
                stream.write_all(b"HTTP/1.1 200 X\r\n")?;
                loop {
                    stream.write_all(b"X-More: and more and more and more\r\n")?;
                }
            }),
        ),
        (
            "encoded",
            open("content encoding 'compress'", |stream| {
                respond(stream, 200, &[("Content-Encoding", "compress")], b"x")
            }),
        ),
        (
            "undecodable",
            open("does not decode", |stream| {
                respond(stream, 200, &[("Content-Encoding", "gzip")], b"no gzip")
            }),
        ),
        (
            "packed-bomb",
            open("longer than 16777216 bytes", move |stream| {
                respond(stream, 200, &[("Content-Encoding", "gzip")], &packed)
            }),
        ),
        ("round", open("more than 10 redirects", redirect("/round"))),
        ("nowhere", open("without a usable target", |stream| respond(stream, 302, &[], b""))),
        ("elsewhere", open("ftp", redirect("ftp://127.0.0.1/x"))),
        (
            "html",
            Fault {
                answer: Box::new(|stream| respond(stream, 200, &[], b"<html>welcome</html>")),
                fails: true,
                wanted: "malformed narinfo",
            },
        ),
        (
            "empty",
            Fault {
                answer: Box::new(|stream| respond(stream, 200, &[], b"")),
                fails: true,
                wanted: "malformed narinfo",
            },
        ),
    ])
}

/// Faults of NARs: how they are said to be packed, their claimed size, and
/// what is served.
fn nars() -> BTreeMap<&'static str, (Compression, u64, Fault)> {
    let size = nar(b"content\n").len() as u64;
    let sent =
        |bytes: Vec<u8>| -> Answer { Box::new(move |stream| respond(stream, 200, &[], &bytes)) };
    let wrong = |wanted, answer| Fault { answer, fails: true, wanted };
    let unread = |wanted, answer| Fault { answer, fails: false, wanted };
    let mut dictionary = xz_of(&nar(b"content\n")[..]);
    // The size of a dictionary of 4 GiB, and the sum over the header.
    dictionary[16] = 40;
    let length = usize::from(dictionary[12]) * 4;
    let mut crc = flate2::Crc::new();
    crc.update(&dictionary[12..12 + length]);
    dictionary[12 + length..16 + length].copy_from_slice(&crc.sum().to_le_bytes());
    BTreeMap::from([
        ("gzip-bomb", (Compression::Gzip, size, wrong("longer than", sent(bomb(gzip_of(part())))))),
        ("xz-bomb", (Compression::Xz, size, wrong("longer than", sent(bomb(xz_of(part())))))),
        ("zstd-bomb", (Compression::Zstd, size, wrong("longer than", sent(bomb(zstd_of(part())))))),
        ("dictionary", (Compression::Xz, 8 << 30, unread("too-large", sent(dictionary)))),
        ("huge", (Compression::None, 1 << 60, unread("a limit of this tool", sent(Vec::new())))),
        (
            "gone",
            (
                Compression::None,
                size,
                wrong("missing-nar", Box::new(|stream| respond(stream, 404, &[], b""))),
            ),
        ),
        (
            "cut",
            (Compression::None, size, wrong("malformed", sent(nar(b"content\n")[..90].to_vec()))),
        ),
        (
            "broken",
            (
                Compression::None,
                size,
                unread("the connection broke", {
                    Box::new(|stream| {
                        stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 120\r\n\r\nxx")?;
                        reset()
                    })
                }),
            ),
        ),
    ])
}

/// Runs the program and watches its memory.
fn watched(arguments: &[&str]) -> (Ran, u64, Duration) {
    let begin = Instant::now();
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear().arg("cache").args(arguments).args(["--format", "json", "--output"]);
    command.arg(report.path()).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended.code().unwrap();
        }
        assert!(begin.elapsed() < IN_TIME, "{arguments:?} does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    let report = serde_json::from_slice(&std::fs::read(report.path()).unwrap()).unwrap();
    (Ran { code, report }, peak, begin.elapsed())
}

/// Everything that a report says about a subject.
fn said(report: &Value, subject: &str) -> String {
    let lists = [&report["findings"], &report["coverage"]["inconclusive"]];
    let all = lists.into_iter().flat_map(|list| list.as_array().unwrap());
    all.filter(|one| one["subject"] == subject).map(Value::to_string).collect()
}

#[test]
fn every_fault_of_a_server_has_its_reason_and_takes_little() {
    let mut wanted: BTreeMap<&str, (bool, &str)> = BTreeMap::new();
    let mut served: BTreeMap<String, Answer> = BTreeMap::new();
    for (name, fault) in answers() {
        wanted.insert(name, (fault.fails, fault.wanted));
        served.insert(format!("/{}.narinfo", path(name).hash_part()), fault.answer);
    }
    for (name, (compression, size, fault)) in nars() {
        let mut info = narinfo(name, b"content\n", &[]);
        info.url = NarUrl::new(format!("nar/{name}"));
        (info.compression, info.nar_size) = (compression, size);
        (info.file_hash, info.file_size) = (None, None);
        info.sign(&StoreDir::default(), &key("k-1"));
        let text = info.to_text(&StoreDir::default());
        let answer: Answer = Box::new(move |stream| respond(stream, 200, &[], text.as_bytes()));
        wanted.insert(name, (fault.fails, fault.wanted));
        served.insert(format!("/{}.narinfo", path(name).hash_part()), answer);
        served.insert(format!("/nar/{name}"), fault.answer);
    }
    served.insert("/round".to_owned(), Box::new(redirect("/round")));
    let server = Server::start(move |request, stream| match served.get(&request.target) {
        Some(answer) => answer(stream),
        None if request.target == "/nix-cache-info" => respond(stream, 200, &[], INFO),
        None => respond(stream, 404, &[], b""),
    });
    let paths: Vec<String> = wanted.keys().map(|name| full(name)).collect();
    let (from, key) = (server.url("").to_string(), public("k-1"));
    let mut arguments: Vec<&str> = paths.iter().map(String::as_str).collect();
    arguments.extend(["--cache", from.as_str(), "--trusted-key", &key, "--contents"]);
    let (ran, peak, took) = watched(&arguments);
    println!("{} faults in {took:?}, peak {peak} KiB", wanted.len());
    assert_eq!(ran.code, 1);
    for subject in ran.report["subjects"].as_array().unwrap() {
        let id = subject["id"].as_str().unwrap();
        let (name, (fails, wanted)) = wanted.iter().find(|(name, _)| full(name) == id).unwrap();
        let verdict = if *fails { "fail" } else { "inconclusive" };
        let said = said(&ran.report, id);
        assert_eq!(subject["verdict"], verdict, "{name}: {said}");
        assert!(said.contains(wanted), "{name}: {said}");
    }
    assert_eq!(ran.report["subjects"].as_array().unwrap().len(), wanted.len());
    assert!(peak < PEAK_KIB, "{peak} KiB");
}

#[test]
fn servers_that_are_not_who_they_should_be_are_asked_nothing() {
    let authority = Authority::new();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &authority.pem).unwrap();
    let ca = ca.path().to_str().unwrap();
    for (names, expired, named) in
        [(["127.0.0.1"], true, "127.0.0.1"), (["elsewhere.example"], false, "127.0.0.1")]
    {
        let config = authority.server(&names, expired);
        let server = Server::start_at(std::net::Ipv4Addr::LOCALHOST, Some(config), |_, stream| {
            respond(stream, 200, &[], INFO)
        });
        let from = format!("https://{named}:{}", server.address.port());
        let (a, key) = (full("a"), public("k-1"));
        let ran = cache(&[&a, "--cache", &from, "--trusted-key", &key, "--ca-file", ca]);
        assert_eq!((ran.code, ran.reasons()), (3, vec!["unreachable"]), "{:#}", ran.report);
        assert!(
            said(&ran.report, &a).contains("TLS connection is not trusted"),
            "{:#}",
            ran.report
        );
        assert!(server.seen().is_empty());
    }
}
