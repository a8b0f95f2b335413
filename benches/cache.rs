//! Caches beside real Nix, in one run: `cargo bench --bench cache`.
//!
//! Every cache is made here, signed here and served by nginx on loopback, or
//! through a forwarder that adds 100 ms. Each side is a process of its own,
//! started and timed alike, in turns, with an empty cache of its own; the
//! fastest of several rounds counts, and processor time is told beside it.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement may stop at the first surprise"
)]

#[path = "../tests/gather_support/mod.rs"]
mod gather_support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gather_support::Authority;
use gather_support::nginx::Nginx;
use nix_verify::nix::hash::{FileHash, HashAlgorithm, Hasher};
use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::nix::narinfo::NarInfo;
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};

/// Rounds; the fastest counts.
const ROUNDS: usize = 5;

/// The delay of the forwarder.
const DELAY: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // For a profiler: a cache that stays, and its key.
        ["--make", count, most, place] => {
            let sizes = 200..most.parse().unwrap();
            let made = make(&Shape { count: count.parse().unwrap(), sizes, compression: "xz" });
            std::fs::rename(made.directory.keep(), place).unwrap();
            println!("{}", made.key);
        }
        arguments if arguments.contains(&"--bench") => measure(arguments),
        // `cargo test --all-targets` runs benches too, unoptimised.
        _ => println!("skipped: run with `cargo bench --bench cache`"),
    }
}

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    peak: u64,
}

/// Runs a command and says what it took.
fn run(command: &mut Command) -> Cost {
    run_to(command, &[0])
}

/// The same for a command that may end with any of these exit codes.
fn run_to(command: &mut Command, codes: &[i32]) -> Cost {
    let before = children_cpu();
    let start = Instant::now();
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let peak = watch(&mut child);
    let status = child.wait().unwrap();
    let wall = start.elapsed();
    assert!(status.code().is_some_and(|code| codes.contains(&code)), "{status}");
    Cost { wall, cpu: children_cpu() - before, peak }
}

/// Processor time of all children so far.
fn children_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The peak memory of a child in KiB, looked at until it ends.
fn watch(child: &mut std::process::Child) -> u64 {
    let file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&file).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(found.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    peak
}

/// A cache made for the purpose.
struct Made {
    directory: tempfile::TempDir,
    list: PathBuf,
    key: String,
    paths: Vec<String>,
}

/// How the NARs of a cache are.
struct Shape {
    count: usize,
    sizes: std::ops::Range<usize>,
    compression: &'static str,
}

fn make(shape: &Shape) -> Made {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir(root.join("nar")).unwrap();
    std::fs::write(root.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let store_dir = StoreDir::default();
    let secret = SecretKey::from_seed("bench-1".parse().unwrap(), &[7; 32]);
    let mut random = fastrand::Rng::with_seed(5);
    let mut paths: Vec<StorePath> = Vec::new();
    // Program text and numbers: packs about as well as programs do.
    let words: Vec<String> = (0..5_000).map(|_| format!("{:x} ", random.u32(..))).collect();
    for index in 0..shape.count {
        let path = StorePath::new(std::array::from_fn(|_| random.u8(..)), &format!("p-{index}"));
        let path = path.unwrap();
        let size = random.usize(shape.sizes.clone());
        let references: Vec<StorePath> = (0..random.usize(0..8).min(paths.len()))
            .map(|_| random.choice(&paths).unwrap().clone())
            .collect();
        // References stand in the bytes, as they do in what is built.
        let names: BTreeSet<String> = references.iter().map(ToString::to_string).collect();
        let names: Vec<String> = names.into_iter().collect();
        let mut contents = Vec::with_capacity(size + 512);
        while contents.len() < size {
            contents.extend_from_slice(random.choice(&words).unwrap().as_bytes());
        }
        contents.truncate(size);
        contents.extend_from_slice(names.join("\n").as_bytes());
        let size = contents.len();
        let mut nar = NarWriter::new(Vec::new());
        nar.write(Event::File { executable: false, size: size as u64 }).unwrap();
        if size > 0 {
            nar.write(Event::Contents(&contents)).unwrap();
        }
        let nar = nar.finish().unwrap();
        let file = pack(shape.compression, &nar);
        let (file_hash, nar_hash) = (FileHash(sha256(&file)), sha256(&nar));
        let url = format!("nar/{index}.nar.{}", shape.compression);
        std::fs::write(root.join(&url), &file).unwrap();
        let text = format!(
            "StorePath: {}\nURL: {url}\nCompression: {}\nFileHash: {file_hash}\nFileSize: {}\n\
             NarHash: {nar_hash}\nNarSize: {}\nReferences: {}\n",
            store_dir.full(&path),
            shape.compression,
            file.len(),
            nar.len(),
            names.join(" ")
        );
        let mut narinfo = NarInfo::parse(text.as_bytes(), &store_dir).unwrap();
        narinfo.sign(&store_dir, &secret);
        let name = format!("{}.narinfo", path.hash_part());
        std::fs::write(root.join(name), narinfo.to_text(&store_dir)).unwrap();
        paths.push(path);
    }
    let paths: Vec<String> = paths.iter().map(|path| store_dir.full(path)).collect();
    let list = root.join("list");
    std::fs::write(&list, paths.join("\n")).unwrap();
    Made { list, key: secret.public_key().to_string(), paths, directory }
}

fn sha256(bytes: &[u8]) -> nix_verify::nix::hash::Hash {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn pack(compression: &str, nar: &[u8]) -> Vec<u8> {
    match compression {
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            encoder.write_all(nar).unwrap();
            encoder.finish().unwrap()
        }
        _ => nar.to_vec(),
    }
}

/// Our side: the real program, with nothing in its environment.
fn ours(url: &str, made: &Made, more: &[&str]) -> Command {
    let mut command = verify();
    command.args(["cache", "--quiet", "--cache", url, "--trusted-key", &made.key]);
    command.arg("--from").arg(&made.list).args(more);
    command
}

fn verify() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.env_clear();
    command
}

/// Nix's side, with no memory of earlier rounds.
fn nix(url: &str, made: &Made, more: &[&str]) -> (Command, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("nix");
    command
        .args(["--extra-experimental-features", "nix-command", "store", "verify"])
        .args(["--store", url, "--sigs-needed", "1"])
        .args(["--option", "trusted-public-keys", &made.key])
        .args(more)
        .args(&made.paths)
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path())
        .stderr(std::process::Stdio::null());
    (command, home)
}

/// The better of two, part by part.
fn better(one: Option<Cost>, other: Cost) -> Option<Cost> {
    Some(match one {
        Some(one) if one.wall < other.wall => Cost { peak: one.peak.max(other.peak), ..one },
        Some(one) => Cost { peak: one.peak.max(other.peak), ..other },
        None => other,
    })
}

fn show(name: &str, nix: Cost, ours: Cost, target: f64) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{name:34} nix {:8.1} ms ({:8.1} CPU)   verify {:8.1} ms ({:8.1} CPU)   \
         {:5.2} times as fast (at least {target:.2})   peak {:.1} MiB",
        ms(nix.wall),
        ms(nix.cpu),
        ms(ours.wall),
        ms(ours.cpu),
        nix.wall.as_secs_f64() / ours.wall.as_secs_f64(),
        ours.peak as f64 / 1024.0
    );
}

/// A case is measured if no case is named or this one is.
fn chosen(arguments: &[&str], name: &str) -> bool {
    let mut named = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|argument| *argument == name)
}

fn measure(arguments: &[&str]) {
    if chosen(arguments, "small") || chosen(arguments, "delay") {
        let made = make(&Shape { count: 3_000, sizes: 200..16_000, compression: "xz" });
        if chosen(arguments, "small") {
            small(&made);
        }
        if chosen(arguments, "delay") {
            delayed(&made);
        }
    }
    if chosen(arguments, "large") {
        let shape = Shape { count: 40, sizes: (1 << 20)..(8 << 20), compression: "xz" };
        let made = make(&shape);
        let nginx = Nginx::serve(made.directory.path()).expect("nginx");
        compare("xz NARs of 1 to 8 MiB", &nginx.url(), &made, &["--contents"], &[], 0.95);
    }
    if chosen(arguments, "store") {
        store();
    }
    if chosen(arguments, "many") {
        many();
    }
}

fn compare(name: &str, url: &str, made: &Made, our: &[&str], more: &[&str], target: f64) {
    let (mut best, mut nixs) = (None, None);
    for _ in 0..ROUNDS {
        let (mut command, _home) = nix(url, made, more);
        nixs = better(nixs, run(&mut command));
        best = better(best, run(&mut ours(url, made, our)));
    }
    show(name, nixs.unwrap(), best.unwrap(), target);
}

fn small(made: &Made) {
    let nginx = Nginx::serve(made.directory.path()).expect("nginx");
    let url = nginx.url();
    compare("3,000 signed narinfos", &url, made, &[], &["--no-contents"], 8.0);
    compare("3,000 NARs below 16 KiB", &url, made, &["--contents"], &[], 4.0);
}

fn delayed(made: &Made) {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(&["localhost", "127.0.0.1"], false);
    let pair = (certificate.pem(), key.serialize_pem());
    let nginx = Nginx::serve_with(made.directory.path(), Some((&pair.0, &pair.1))).expect("nginx");
    let ca = made.directory.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let ca = ca.to_str().unwrap();
    for (name, scheme, port) in [
        ("HTTP/1.1 with 100 ms more", "http", nginx.port),
        ("HTTP/2 with 100 ms more", "https", nginx.tls_port),
    ] {
        let at = forwarder(SocketAddr::from(([127, 0, 0, 1], port)));
        let url = format!("{scheme}://127.0.0.1:{}", at.port());
        let best = (0..ROUNDS)
            .fold(None, |best, _| better(best, run(&mut ours(&url, made, &["--ca-file", ca]))));
        let best = best.unwrap();
        println!(
            "{name:34} {:6.0} narinfos a second (at least 1000), {:.0} ms of CPU, peak {:.1} MiB",
            made.paths.len() as f64 / best.wall.as_secs_f64(),
            best.cpu.as_secs_f64() * 1e3,
            best.peak as f64 / 1024.0
        );
    }
}

/// Forwards connections to `to`, with everything that comes back held for
/// [`DELAY`].
fn forwarder(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(mut near), Ok(mut far)) = (near, TcpStream::connect(to)) else { continue };
            let _ = near.set_nodelay(true);
            let _ = far.set_nodelay(true);
            let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut near_in, &mut far_out);
                let _ = far_out.shutdown(std::net::Shutdown::Write);
            });
            let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(read @ 1..) = far.read(&mut buffer) {
                    if sender.send((Instant::now() + DELAY, buffer[..read].to_vec())).is_err() {
                        break;
                    }
                }
            });
            std::thread::spawn(move || {
                for (due, bytes) in receiver {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if near.write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = near.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    at
}

/// A local store of 2 GiB, warm.
fn store() {
    let tmp = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(9);
    let mut sources = Vec::new();
    let mut block = vec![0_u8; 1 << 20];
    for index in 0..64 {
        let directory = tmp.path().join("sources").join(format!("source-{index}"));
        std::fs::create_dir_all(&directory).unwrap();
        // Half in large files, half in files of 64 KiB.
        for file in 0..16 {
            random.fill(&mut block);
            std::fs::write(directory.join(format!("large-{file}")), &block).unwrap();
        }
        for (file, part) in (0..256).zip(block.chunks(64 << 10).cycle()) {
            std::fs::write(directory.join(format!("small-{file}")), part).unwrap();
        }
        sources.push(directory);
    }
    let root = tmp.path().join("root");
    let store = format!("local?root={}", root.display());
    let added = Command::new("nix-store")
        .args(["--store", &store, "--add"])
        .args(&sources)
        .env("HOME", tmp.path())
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let list = tmp.path().join("list");
    std::fs::write(&list, &added.stdout).unwrap();
    std::fs::remove_dir_all(tmp.path().join("sources")).unwrap();
    let (mut best, mut nixs) = (None, None);
    for _ in 0..ROUNDS {
        let mut command = Command::new("nix-store");
        command
            .args(["--store", &store, "--verify", "--check-contents"])
            .env("HOME", tmp.path())
            .stderr(std::process::Stdio::null());
        nixs = better(nixs, run(&mut command));
        let mut command = verify();
        command.args(["cache", "--quiet", "--offline", "--contents", "--from"]).arg(&list);
        command.arg(format!("--local-store={}", root.display()));
        // Nobody has signed these, which leaves questions open.
        best = better(best, run_to(&mut command, &[0, 3]));
    }
    show("a local store of 2 GiB", nixs.unwrap(), best.unwrap(), 1.6);
}

/// The memory that 100,000 paths take.
fn many() {
    let made = make(&Shape { count: 100_000, sizes: 1..2, compression: "none" });
    let nginx = Nginx::serve(made.directory.path()).expect("nginx");
    let cost = run(&mut ours(&nginx.url(), &made, &[]));
    println!(
        "{:34} {:6.0} narinfos a second, peak {:.1} MiB (below 300)",
        "100,000 paths",
        made.paths.len() as f64 / cost.wall.as_secs_f64(),
        cost.peak as f64 / 1024.0
    );
}
