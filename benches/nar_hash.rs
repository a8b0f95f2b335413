//! NAR hashes beside real Nix, in one run: `cargo bench --bench nar_hash`.
//!
//! Each side is a process of its own, started and timed alike, in turns; the
//! fastest of several rounds counts. Ours is this program, started again to
//! hash one tree with [`hash_tree`] and to say how much memory that took.
//! Then the reference scanner, beside the plain way of looking.

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

use std::collections::HashSet;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::nix32;
use nix_verify::nix::references::{HashPart, ReferenceScanner, hash_part_of};
use nix_verify::nix::store_path::{HASH_PART_LEN, StorePath};

/// Rounds; the fastest counts.
const ROUNDS: usize = 7;

/// The argument with which this program hashes one tree.
const HASH: &str = "--hash-one-tree";

/// A tree, and how fast we want to be in terms of Nix's speed.
struct Case {
    name: &'static str,
    path: PathBuf,
    target: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [HASH, path] => hash_one_tree(Path::new(path)),
        arguments if arguments.contains(&"--bench") => measure(),
        // `cargo test --all-targets` runs benches too, unoptimised.
        _ => println!("skipped: run with `cargo bench --bench nar_hash`"),
    }
}

/// Prints the hash and this process's peak memory in KiB.
fn hash_one_tree(path: &Path) {
    let (hash, _) = hash_tree(path, &mut []).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{} {}", hash.hash().sri(), peak.trim().trim_end_matches(" kB"));
}

fn measure() {
    let tmp = tempfile::tempdir().unwrap();
    let cases = cases(tmp.path());
    for case in &cases {
        let (mut ours, mut nixs, mut peak) = (Duration::MAX, Duration::MAX, 0);
        let mut agree = true;
        for _ in 0..ROUNDS {
            let mut command = Command::new("nix");
            command.args(["--extra-experimental-features", "nix-command", "hash", "path"]);
            let (time, text) = run(command.arg(&case.path));
            let nix_hash = text.trim().to_owned();
            nixs = nixs.min(time);
            let mut command = Command::new(std::env::current_exe().unwrap());
            let (time, text) = run(command.arg(HASH).arg(&case.path));
            let (hash, memory) = text.trim().split_once(' ').unwrap();
            peak = peak.max(memory.parse::<u64>().unwrap());
            ours = ours.min(time);
            agree &= hash == nix_hash;
        }
        assert!(agree, "the hashes of {} differ", case.name);
        let ratio = nixs.as_secs_f64() / ours.as_secs_f64();
        println!(
            "{:28} nix {:7.1} ms   verify {:7.1} ms   {ratio:5.2} times as fast (at least {:.2})   peak {:.1} MiB",
            case.name,
            nixs.as_secs_f64() * 1e3,
            ours.as_secs_f64() * 1e3,
            case.target,
            peak as f64 / 1024.0
        );
    }
    scanners();
}

/// Runs a command, and says how long it took and what it printed.
fn run(command: &mut Command) -> (Duration, String) {
    let start = Instant::now();
    let output = command.output().unwrap();
    let time = start.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (time, String::from_utf8(output.stdout).unwrap())
}

fn cases(dir: &Path) -> Vec<Case> {
    let mut random = fastrand::Rng::with_seed(1);
    let large = dir.join("large");
    let mut file = File::create(&large).unwrap();
    let mut block = vec![0_u8; 1 << 20];
    for _ in 0..1024 {
        random.fill(&mut block);
        file.write_all(&block).unwrap();
    }
    let small = dir.join("small");
    let flat = dir.join("flat");
    fs::create_dir_all(&flat).unwrap();
    for index in 0..20_000 {
        let sub = small.join(format!("d{:03}", index / 100));
        fs::create_dir_all(&sub).unwrap();
        let size = random.usize(0..4_000);
        random.fill(&mut block[..size]);
        fs::write(sub.join(format!("file-{index:05}")), &block[..size]).unwrap();
        fs::write(flat.join(format!("file-{index:05}")), format!("{index}\n")).unwrap();
    }
    vec![
        Case { name: "1 GiB file", path: large, target: 0.95 },
        Case { name: "20,000 files, 200 folders", path: small, target: 1.7 },
        Case { name: "20,000 files, one folder", path: flat, target: 1.7 },
    ]
}

/// The scanner beside the plain way of looking: every window from the back,
/// and every window of digits in a set.
fn scanners() {
    const SIZE: usize = 128 << 20;
    let mut random = fastrand::Rng::with_seed(3);
    let paths: Vec<StorePath> = (0..500)
        .map(|_| StorePath::new(std::array::from_fn(|_| random.u8(..)), "x").unwrap())
        .collect();
    let mut bytes = vec![0_u8; SIZE];
    random.fill(&mut bytes);
    scanner("random bytes", &bytes, &paths);
    let prose =
        b"fn main() { let path = \"/nix/store\"; println!(\"{path} and some more words\"); }\n";
    bytes.iter_mut().zip(prose.iter().cycle()).for_each(|(byte, letter)| *byte = *letter);
    scanner("program text", &bytes, &paths);
    bytes.iter_mut().for_each(|byte| *byte = *random.choice(b"0123456789abcdef").unwrap());
    scanner("hex digits", &bytes, &paths);
    bytes.iter_mut().for_each(|byte| *byte = *random.choice(nix32::ALPHABET).unwrap());
    scanner("Nix32 digits", &bytes, &paths);
}

fn scanner(name: &str, bytes: &[u8], paths: &[StorePath]) {
    let (mut ours, mut plain) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let start = Instant::now();
        let mut scanner = ReferenceScanner::new(paths);
        bytes.chunks(64 * 1024).for_each(|chunk| scanner.feed(chunk));
        black_box(scanner.found());
        ours = ours.min(start.elapsed());
        let start = Instant::now();
        black_box(look_plainly(bytes, paths));
        plain = plain.min(start.elapsed());
    }
    let rate = |time: Duration| bytes.len() as f64 / 1e9 / time.as_secs_f64();
    println!(
        "scan {name:23} plain {:5.2} GB/s   verify {:5.2} GB/s   {:5.2} times as fast",
        rate(plain),
        rate(ours),
        plain.as_secs_f64() / ours.as_secs_f64()
    );
}

fn look_plainly(bytes: &[u8], paths: &[StorePath]) -> usize {
    let mut digits = [false; 256];
    nix32::ALPHABET.iter().for_each(|&digit| digits[usize::from(digit)] = true);
    let mut wanted: HashSet<HashPart> = paths.iter().map(hash_part_of).collect();
    let (mut at, mut found) = (0, 0);
    while let Some(window) = bytes[at..].first_chunk::<HASH_PART_LEN>() {
        match window.iter().rposition(|&byte| !digits[usize::from(byte)]) {
            Some(bad) => at += bad + 1,
            None => {
                found += usize::from(wanted.remove(window));
                at += 1;
            }
        }
    }
    found
}
