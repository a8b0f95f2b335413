//! `--online` through the real binary: a real git server (`git http-backend`
//! behind TLS), archives made by `git archive`, and servers that lie.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::forged::git;
use super::gather_support::{Authority, Seen, Server, Stream, respond};
use super::*;

/// A hash of another tree.
const FOREIGN: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// A server with TLS, its repositories and files, and a place for runs.
struct World {
    server: Server,
    place: tempfile::TempDir,
}

type Twist = dyn Fn(&Seen, &[u8], &mut dyn Stream) -> Option<std::io::Result<()>> + Send + Sync;

fn body_of(seen: &Seen, stream: &mut dyn Stream) -> Vec<u8> {
    let length = seen.header("content-length").map_or(0, |text| text.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    body
}

/// One answer of `git http-backend`, as status, headers and body.
fn backend(root: &Path, seen: &Seen, body: &[u8]) -> (u16, String, Vec<u8>) {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let method = if seen.head.starts_with("post") { "POST" } else { "GET" };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("GIT_PROTOCOL", seen.header("git-protocol").unwrap_or_default())
        .env("CONTENT_TYPE", seen.header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let out = child.wait_with_output().unwrap().stdout;
    let end = out.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&out[..end]).into_owned();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let status = field("Status: ").map_or(200, |text| text[..3].parse().unwrap());
    (status, field("Content-Type: ").unwrap_or_default().to_owned(), out[end + 4..].to_vec())
}

impl World {
    fn new() -> Self {
        Self::twisted(|_, _, _| None)
    }

    /// A server that answers as `twist` says, and honestly where that is
    /// `None`.
    fn twisted(
        twist: impl Fn(&Seen, &[u8], &mut dyn Stream) -> Option<std::io::Result<()>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("served");
        std::fs::create_dir_all(root.join("o")).unwrap();
        let authority = Authority::new();
        std::fs::write(place.path().join("ca.pem"), &authority.pem).unwrap();
        let twist: Arc<Twist> = Arc::new(twist);
        let tls = authority.server(&["127.0.0.1"], false);
        let server = Server::start_at(Ipv4Addr::LOCALHOST, Some(tls), move |seen, stream| {
            let body = body_of(seen, stream);
            if let Some(done) = twist(seen, &body, stream) {
                return done;
            }
            let path = seen.target.split('?').next().unwrap();
            if let Ok(file) = std::fs::read(root.join(path.trim_start_matches('/'))) {
                return respond(stream, 200, &[], &file);
            }
            if !seen.target.contains("git-upload-pack") {
                return respond(stream, 404, &[], b"");
            }
            let (status, kind, body) = backend(&root, seen, &body);
            respond(stream, status, &[("Content-Type", &kind)], &body)
        });
        Self { server, place }
    }

    /// A bare repository `o/r.git` on it with two commits on `main`, and its
    /// second commit.
    fn repository(&self) -> (PathBuf, String, i64) {
        let work = self.place.path().join("work");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q", "-b", "main"]);
        for text in ["one\n", "two\n"] {
            std::fs::write(work.join("file"), text).unwrap();
            std::fs::write(work.join("run"), text).unwrap();
            std::fs::set_permissions(work.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
            git(&work, &["add", "-A"]);
            git(&work, &["commit", "-q", "-m", text.trim()]);
        }
        let bare = self.place.path().join("served/o/r.git");
        git(&work, &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
        git(&bare, &["config", "uploadpack.allowFilter", "true"]);
        let rev = git(&bare, &["rev-parse", "main"]);
        let date = git(&bare, &["log", "-1", "--format=%ct"]).parse().unwrap();
        (bare, rev, date)
    }

    fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// A lock with one input.
    fn write(&self, locked: &str, original: &str) {
        let text = format!(
            r#"{{"nodes":{{"a":{{"locked":{{{locked}}},
"original":{{{original}}}}},
"root":{{"inputs":{{"a":"a"}}}}}},"root":"root","version":7}}"#
        );
        std::fs::write(self.place.path().join("flake.lock"), text).unwrap();
    }

    fn write_git(&self, rev: &str, hash: &str, date: i64, reference: &str) {
        let url = format!("https://{}/o/r.git", self.host());
        self.write(
            &format!(
                r#""type":"git","url":"{url}","ref":"{reference}","rev":"{rev}","narHash":"{hash}","lastModified":{date}"#
            ),
            &format!(r#""type":"git","url":"{url}","ref":"{reference}""#),
        );
    }

    fn write_url(&self, kind: &str, path: &str, hash: &str) {
        let url = format!("https://{}/{path}", self.host());
        self.write(
            &format!(r#""type":"{kind}","url":"{url}","narHash":"{hash}""#),
            &format!(r#""type":"{kind}","url":"{url}""#),
        );
    }

    fn run(&self, now: i64, more: &[&str]) -> (i32, Value) {
        let (now, host) = (format!("@{now}"), self.host());
        let mut arguments = vec!["lock", "--format", "json", "--now", &now, "--online"];
        arguments.extend(["--ca-file", "ca.pem", "--state-dir", "state", "--private-host", &host]);
        arguments.extend(more);
        let ran = verify(self.place.path(), &arguments);
        assert_eq!(ran.err, "");
        (ran.code, ran.json())
    }
}

fn evidence(report: &Value) -> &Value {
    &report["facts"]["inputs"][0]["evidence"]
}

/// The reasons of what stayed open, with the check.
fn open(report: &Value) -> Vec<String> {
    let open = report["coverage"]["inconclusive"].as_array().unwrap();
    let of = |one: &Value| {
        format!("{} {}", one["check"].as_str().unwrap(), one["reason"].as_str().unwrap())
    };
    open.iter().map(of).collect()
}

fn details(report: &Value) -> String {
    let open = report["coverage"]["inconclusive"].as_array().unwrap();
    open.iter().map(|one| one["detail"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The hash that a report says the commit really has.
fn genuine(report: &Value) -> String {
    let of = |finding: &&Value| finding["rule"].as_str().unwrap().starts_with("nar-hash-not-of");
    let finding = report["findings"].as_array().unwrap().iter().find(of).unwrap();
    let evidence = finding["evidence"].as_array().unwrap();
    let found = evidence.iter().find(|one| one["label"] == "found").unwrap();
    found["value"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_proves_the_genuine_lock_and_refutes_the_forged_one() {
    let world = World::new();
    let (bare, rev, date) = world.repository();
    world.write_git(&rev, FOREIGN, date, "main");
    let (code, report) = world.run(date, &[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(found(&report, "error"), ["nar-hash-not-of-rev a:1"], "{report:#}");
    let hash = genuine(&report);

    world.write_git(&rev, &hash, date, "main");
    let (code, report) = world.run(date, &[]);
    assert_eq!(code, 0, "{report:#}");
    for what in ["exists", "reachable", "on_ref", "last_modified", "nar_hash"] {
        assert_eq!(evidence(&report)[what], "proven", "{what}: {report:#}");
    }
    // Only branches and tags are asked for.
    for seen in world.server.seen() {
        assert!(!seen.target.contains("pull"), "{seen:?}");
    }
    // The mirror has the files of no other commit.
    let mirror = std::fs::read_dir(world.place.path().join("state/git")).unwrap();
    let mirror = mirror.map(|entry| entry.unwrap().path()).next().unwrap();
    let lacks = Command::new("git")
        .arg("-C")
        .arg(&mirror)
        .args(["-c", "safe.directory=*", "cat-file", "-e", "main~1:file"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!lacks.success());

    // A second commit: only what is new is fetched, and the branch moves.
    let work = world.place.path().join("work");
    std::fs::write(work.join("file"), "three\n").unwrap();
    git(&work, &["commit", "-qam", "three"]);
    git(&work, &["push", "-q", bare.to_str().unwrap(), "main"]);
    let (code, report) = world.run(date, &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(evidence(&report)["on_ref"], "proven");
}

#[test]
fn what_is_on_no_branch_is_an_impostor_even_if_the_server_gives_it() {
    let world = World::new();
    let (bare, rev, date) = world.repository();
    let tree = git(&bare, &["rev-parse", "main^{tree}"]);
    let fork = git(&bare, &["commit-tree", "-p", &rev, "-m", "evil", &tree]);
    git(&bare, &["update-ref", "refs/pull/1/head", &fork]);
    world.write_git(&rev, FOREIGN, date, "main");
    let hash = genuine(&world.run(date, &[]).1);
    let time: i64 = git(&bare, &["log", "-1", "--format=%ct", &fork]).parse().unwrap();

    world.write_git(&fork, &hash, time, "main");
    for _ in 0..2 {
        // The second time the mirror has the commit already.
        let (code, report) = world.run(date.max(time), &[]);
        assert_eq!(code, 1, "{report:#}");
        assert_eq!(found(&report, "error"), ["impostor-commit a:1"], "{report:#}");
        assert_eq!(evidence(&report)["nar_hash"], "proven");
        assert_eq!(evidence(&report)["on_ref"], "refuted");
    }

    // What the server does not have at all.
    world.write_git(&"1".repeat(40), &hash, date, "main");
    let (code, report) = world.run(date, &[]);
    assert_eq!(
        (code, found(&report, "error")),
        (1, vec!["rev-not-found a:1".to_owned()]),
        "{report:#}"
    );

    // A branch that was taken away since the mirror was made.
    let work = world.place.path().join("work");
    git(&work, &["checkout", "-q", "-b", "side"]);
    std::fs::write(work.join("file"), "side\n").unwrap();
    git(&work, &["commit", "-qam", "side"]);
    git(&work, &["push", "-q", bare.to_str().unwrap(), "side"]);
    let side = git(&work, &["rev-parse", "HEAD"]);
    let time: i64 = git(&work, &["log", "-1", "--format=%ct"]).parse().unwrap();
    world.write_git(&side, FOREIGN, time, "side");
    let (_, report) = world.run(time, &[]);
    assert_eq!(evidence(&report)["on_ref"], "proven", "{report:#}");
    git(&bare, &["update-ref", "-d", "refs/heads/side"]);
    let (_, report) = world.run(time, &[]);
    assert_eq!(evidence(&report)["reachable"], "refuted", "{report:#}");
    assert_eq!(evidence(&report)["on_ref"], "refuted", "{report:#}");
}

#[test]
fn descent_and_older_commits_are_followed_without_their_files() {
    let world = World::new();
    let (bare, rev, date) = world.repository();
    let old = git(&bare, &["rev-parse", "main~1"]);
    world.write_git(&rev, FOREIGN, date, "main");
    let hash = genuine(&world.run(date, &[]).1);
    world.write_git(&old, FOREIGN, date, "main");
    let old_hash = genuine(&world.run(date, &[]).1);
    assert_ne!(hash, old_hash);
    std::fs::rename(world.place.path().join("flake.lock"), world.place.path().join("base.lock"))
        .unwrap();
    world.write_git(&rev, &hash, date, "main");
    let (_, report) = world.run(date, &["--base", "base.lock"]);
    assert_eq!(evidence(&report)["descends"], "proven", "{report:#}");
    assert_eq!(report["facts"]["changes"][0]["commits_between"], 1, "{report:#}");
}

#[test]
fn archives_and_files_are_fetched_and_hashed() {
    let world = World::new();
    let (bare, rev, date) = world.repository();
    world.write_git(&rev, FOREIGN, date, "main");
    let hash = genuine(&world.run(date, &[]).1);
    let served = world.place.path().join("served");
    for (format, compress) in [
        ("tar", ""),
        ("tar.gz", "gzip"),
        ("tar.xz", "xz"),
        ("tar.bz2", "bzip2"),
        ("tar.zst", "zstd"),
    ] {
        let name = format!("src.{format}");
        let into = served.join("src.tar");
        git(&bare, &["archive", "--prefix=src-1/", "-o", into.to_str().unwrap(), "main"]);
        if !compress.is_empty() {
            let ran = Command::new(compress).arg("-c").arg(&into).output();
            let Ok(ran) = ran else { continue };
            std::fs::write(served.join(&name), ran.stdout).unwrap();
        }
        world.write_url("tarball", &name, &hash);
        let (code, report) = world.run(date, &[]);
        assert_eq!(evidence(&report)["served"], "proven", "{format}: {report:#}");
        assert!(found(&report, "error").is_empty(), "{report:#}");
        assert_ne!(code, 1, "{report:#}");
    }
    world.write_url("tarball", "src.tar.gz", FOREIGN);
    let (code, report) = world.run(date, &[]);
    assert_eq!((code, found(&report, "error")), (1, vec!["nar-hash-not-of-url a:1".to_owned()]));
    assert_eq!(genuine(&report), hash);

    // A file as such has another hash than what it would unpack to.
    world.write_url("file", "src.tar.gz", &hash);
    let (code, report) = world.run(date, &[]);
    assert_eq!(code, 1, "{report:#}");
    world.write_url("file", "src.tar.gz", &genuine(&report));
    assert_eq!(evidence(&world.run(date, &[]).1)["served"], "proven");

    // Nothing there, no archive, a zip: open, never passed.
    std::fs::write(served.join("page.html"), "<!doctype html>".repeat(100)).unwrap();
    std::fs::write(served.join("a.zip"), b"PK\x03\x04 and so on").unwrap();
    let whole = std::fs::read(served.join("src.tar.gz")).unwrap();
    std::fs::write(served.join("cut.tar.gz"), &whole[..whole.len() / 2]).unwrap();
    for (name, reason) in [
        ("gone.tar.gz", "unreachable"),
        ("page.html", "unsupported"),
        ("a.zip", "unsupported"),
        ("cut.tar.gz", "unreachable"),
    ] {
        world.write_url("tarball", name, &hash);
        let (code, report) = world.run(date, &[]);
        assert_eq!(open(&report), [format!("nar-hash-not-of-url {reason}")], "{name} {report:#}");
        assert_eq!(code, 3, "{report:#}");
    }
}

#[test]
fn only_named_private_hosts_and_only_https_are_asked() {
    let world = World::new();
    let (_, rev, date) = world.repository();
    world.write_git(&rev, FOREIGN, date, "main");
    let now = format!("@{date}");
    let run = |arguments: &[&str]| {
        let common = ["lock", "--format", "json", "--now", &now];
        verify(world.place.path(), &[&common[..], arguments].concat())
    };
    // The address is not a public one, and nobody said that it may be asked.
    let ran = run(&["--online", "--ca-file", "ca.pem", "--state-dir", "state"]);
    let report = ran.json();
    assert_eq!(ran.code, 3, "{report:#}");
    assert_eq!(open(&report), ["rev-not-found unreachable"]);
    assert!(details(&report).contains("loopback"), "{report:#}");
    assert!(world.server.seen().is_empty());
    // A certificate that nobody trusts.
    let host = world.host();
    let ran = run(&["--online", "--state-dir", "state", "--private-host", &host]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(world.server.seen().is_empty());
    assert_eq!(run(&["--online", "--offline"]).code, 2);
    assert_eq!(run(&["--online", "--state-dir", "state", "--private-host", "a/b"]).code, 2);
    for url in ["ssh://git@example.org/o/r", "http://example.org/o/r", "file:///etc"] {
        world.write(
            &format!(
                r#""type":"git","url":"{url}","rev":"{rev}","narHash":"{FOREIGN}","lastModified":1"#
            ),
            &format!(r#""type":"git","url":"{url}""#),
        );
        let (_, report) = world.run(date, &[]);
        assert_eq!(open(&report), ["rev-not-found unsupported"], "{url} {report:#}");
    }
    // Of no type that could be asked, and without a revision.
    world.write(
        &format!(r#""type":"hg","url":"https://example.org/","rev":"{rev}","narHash":"{FOREIGN}","lastModified":1"#),
        r#""type":"hg","url":"https://example.org/""#,
    );
    assert_eq!(open(&world.run(date, &[]).1), ["rev-not-found unsupported"]);
}

/// A redirect of everything to another origin.
fn to(target: String) -> World {
    World::twisted(move |seen, _, stream| {
        let location = format!("{target}{}", seen.target);
        Some(respond(stream, 302, &[("Location", &location)], b""))
    })
}

#[test]
fn redirects_lead_neither_inwards_nor_to_plain_http() {
    let plain = Server::start(|_, stream| respond(stream, 200, &[], b"secret"));
    let world = to(format!("http://{}", plain.address));
    world.write_git(&"1".repeat(40), FOREIGN, 1, "main");
    let (code, report) = world.run(1_700_000_000, &[]);
    assert_eq!(code, 3, "{report:#}");
    assert!(details(&report).contains("http"), "{report:#}");
    assert!(plain.seen().is_empty());
    let inward = to("https://169.254.169.254".to_owned());
    inward.write_url("tarball", "x.tar.gz", FOREIGN);
    let (code, report) = inward.run(1_700_000_000, &[]);
    assert_eq!(code, 3, "{report:#}");
    assert!(details(&report).contains("link-local"), "{report:#}");
}

/// A name, what the server says of itself, its list, its pack, and words that
/// the answer has.
type Lie = (&'static str, Vec<u8>, Vec<u8>, Vec<u8>, &'static str);

#[test]
fn what_a_lying_server_says_is_open_and_ends() {
    let advertisement = b"000eversion 2\n000cls-refs\n000afetch\n0000".as_slice();
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let one = line(&format!("{} refs/heads/main\n", "2".repeat(40)));
    let pack = |bytes: &[u8]| {
        let band = [b"\x01".as_slice(), bytes].concat();
        let mut out = line("packfile\n").into_bytes();
        out.extend(format!("{:04x}", band.len() + 4).into_bytes());
        out.extend(band);
        out.extend(b"0000");
        out
    };
    let bomb = [b"PACK\0\0\0\x02\xff\xff\xff\xff".as_slice(), &[0; 20]].concat();
    let empty = [b"PACK\0\0\0\x02\0\0\0\0".as_slice(), &[0; 20]].concat();
    let junk = [b"PACK\0\0\0\x02\0\0\0\x01".as_slice(), &[0x95, 0x0a], &[7; 40]].concat();
    let cases: Vec<Lie> = vec![
        ("no protocol", b"<html>".to_vec(), vec![], vec![], "makes no sense"),
        (
            "old protocol",
            b"001e# service=git-upload-pack\n0000004895".to_vec(),
            vec![],
            vec![],
            "makes no sense",
        ),
        ("nothing", vec![], vec![], vec![], "does not speak version 2"),
        (
            "other ids",
            [&b"000eversion 2\n0019object-format=sha256\n"[..], &b"0000"[..]].concat(),
            vec![],
            vec![],
            "sha256",
        ),
        ("a list without end", advertisement.to_vec(), one.clone().into_bytes(), vec![], "no end"),
        ("a list cut", advertisement.to_vec(), one.as_bytes()[..30].to_vec(), vec![], "cut off"),
        (
            "a name twice",
            advertisement.to_vec(),
            format!("{one}{one}0000").into_bytes(),
            vec![],
            "twice",
        ),
        (
            "no pack",
            advertisement.to_vec(),
            format!("{one}0000").into_bytes(),
            b"0000".to_vec(),
            "no pack",
        ),
        (
            "an error",
            advertisement.to_vec(),
            format!("{one}0000").into_bytes(),
            line("ERR \x1b[31mgo away\n").into_bytes(),
            "go away",
        ),
        (
            "too many objects",
            advertisement.to_vec(),
            format!("{one}0000").into_bytes(),
            pack(&bomb),
            "objects",
        ),
        (
            "an empty pack",
            advertisement.to_vec(),
            format!("{one}0000").into_bytes(),
            pack(&empty),
            "gave other objects",
        ),
        ("junk", advertisement.to_vec(), format!("{one}0000").into_bytes(), pack(&junk), "zlib"),
        (
            "a pack cut",
            advertisement.to_vec(),
            format!("{one}0000").into_bytes(),
            pack(&empty)[..20].to_vec(),
            "makes no sense",
        ),
    ];
    for (name, first, list, fetched, words) in cases {
        let world = World::twisted(move |seen, body, stream| {
            let answer = if seen.target.contains("info/refs") {
                &first
            } else if body.windows(7).any(|part| part == b"ls-refs") {
                &list
            } else {
                &fetched
            };
            Some(respond(stream, 200, &[], answer))
        });
        world.write_git(&"1".repeat(40), FOREIGN, 1, "main");
        let (code, report) = world.run(1_700_000_000, &[]);
        assert_eq!(code, 3, "{name}: {report:#}");
        assert!(details(&report).contains(words), "{name}: {report:#}");
        assert!(!report.to_string().contains('\x1b'), "{name}");
    }
}

#[test]
fn a_server_cannot_pass_other_bytes_for_the_commit() {
    // Asked for the commit, it gives the pack of another repository.
    let other = World::new();
    let (bare, foreign, _) = other.repository();
    std::fs::write(other.place.path().join("work/file"), "evil\n").unwrap();
    let root = other.place.path().join("served");
    let wanted = Arc::new(Mutex::new(String::new()));
    let (asked, count) = (Arc::clone(&wanted), AtomicUsize::new(0));
    let world = World::twisted(move |seen, body, stream| {
        if !seen.target.contains("git-upload-pack") {
            return None;
        }
        count.fetch_add(1, Ordering::SeqCst);
        let rev = asked.lock().unwrap().clone();
        // Its lists name the wanted commit, its packs are of the other one.
        let body = String::from_utf8_lossy(body).replace(&rev, &foreign).into_bytes();
        let (status, kind, answer) = backend(&root, seen, &body);
        let answer = String::from_utf8(answer.clone())
            .map_or(answer, |text| text.replace(&foreign, &rev).into_bytes());
        Some(respond(stream, status, &[("Content-Type", &kind)], &answer))
    });
    let rev = "1".repeat(40);
    rev.clone_into(&mut wanted.lock().unwrap());
    world.write_git(&rev, FOREIGN, 1, "main");
    let (code, report) = world.run(1_700_000_000, &[]);
    assert_eq!(code, 3, "{report:#}");
    assert!(details(&report).contains("gave other objects"), "{report:#}");
    assert!(bare.exists());
}

#[test]
fn a_mirror_that_was_damaged_is_made_anew_or_open() {
    let world = World::new();
    let (_, rev, date) = world.repository();
    world.write_git(&rev, FOREIGN, date, "main");
    let hash = genuine(&world.run(date, &[]).1);
    world.write_git(&rev, &hash, date, "main");
    assert_eq!(world.run(date, &[]).0, 0);
    let mirror = std::fs::read_dir(world.place.path().join("state/git")).unwrap();
    let mirror = mirror.map(|entry| entry.unwrap().path()).next().unwrap();
    for entry in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            for byte in &mut bytes[20..] {
                *byte ^= 0x55;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let (code, report) = world.run(date, &[]);
    // What cannot be read is asked for once more.
    assert!(found(&report, "error").is_empty(), "{report:#}");
    let proven = evidence(&report)["nar_hash"] == "proven";
    assert_eq!(code, if proven { 0 } else { 3 }, "{report:#}");
    std::fs::remove_file(mirror.join("HEAD")).unwrap();
    assert_eq!(world.run(date, &[]).0, 0);
}
