//! The narHash of a commit from git's object database, beside checking it out
//! and having Nix hash the files: `cargo bench --bench git_nar`.
//!
//! Each side is a process of its own, or two, in turns over the same packed
//! repository of 100,000 files; the fastest of several rounds counts.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement may stop at the first surprise"
)]

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix_verify::gather::git::snapshot::Snapshot;
use nix_verify::gather::git::{Repository, nar};
use nix_verify::nix::git::commit::Commit;
use nix_verify::nix::hash::NarHash;

/// Files of the repository.
const FILES: usize = 100_000;

/// Rounds; the fastest counts.
const ROUNDS: usize = 3;

/// The argument with which this program hashes one commit.
const HASH: &str = "--hash-one-commit";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [HASH, path] => hash_one_commit(Path::new(path)),
        arguments if arguments.contains(&"--bench") => measure(),
        // `cargo test --all-targets` runs benches too, unoptimised.
        _ => println!("skipped: run with `cargo bench --bench git_nar`"),
    }
}

/// Prints the hash of `main` and this process's peak memory in KiB.
fn hash_one_commit(path: &Path) {
    let repository = Repository::open(path).unwrap();
    let rev = repository.commit_of("main").unwrap();
    let data = repository.object(rev, 1 << 20).unwrap().unwrap().data;
    let snapshot = Snapshot::read(&repository, Commit::parse(&data).unwrap().tree).unwrap();
    let (hash, _) = nar::hash(&repository, &snapshot, &|_| false).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{} {}", hash.hash().sri(), peak.trim().trim_end_matches(" kB"));
}

fn git(at: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(at);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A packed repository whose files are like sources: a few words over and over,
/// most of them small.
fn make(at: &Path) {
    run(git(at).args(["init", "-q", "--bare", "-b", "main", "."]));
    let mut child = git(at)
        .args(["fast-import", "--quiet", "--date-format=raw"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    let mut random = fastrand::Rng::with_seed(1);
    let words: Vec<String> = (0..2_000).map(|_| format!("{:x} ", random.u32(..))).collect();
    writeln!(input, "commit refs/heads/main\ncommitter A <a@b> 1600000000 +0000\ndata 1\nx")
        .unwrap();
    for index in 0..FILES {
        let count = if index % 50 == 0 { 5_000 } else { random.usize(5..500) };
        let text: String =
            (0..count).map(|_| words[random.usize(..words.len())].as_str()).collect();
        let path = format!("d{}/e{}/f{index}.nix", index % 97, index % 1_009);
        writeln!(input, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
    }
    input.into_inner().unwrap();
    assert!(child.wait().unwrap().success());
    run(git(at).args(["repack", "-q", "-a", "-d"]));
}

fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("repository.git");
    fs::create_dir(&at).unwrap();
    make(&at);
    let program = std::env::current_exe().unwrap();
    let (mut ours, mut theirs, mut theirs_hashing) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut peak = 0;
    for round in 0..ROUNDS {
        let start = Instant::now();
        let printed = run(Command::new(&program).arg(HASH).arg(&at));
        ours = ours.min(start.elapsed());
        let (hash, kib) = printed.split_once(' ').unwrap();
        peak = peak.max(kib.parse::<u64>().unwrap());

        let tree = dir.path().join(format!("checkout-{round}"));
        fs::create_dir(&tree).unwrap();
        let start = Instant::now();
        run(git(&at)
            .arg("--work-tree")
            .arg(&tree)
            .args(["checkout", "-q", "-f", "main", "--", "."]));
        let checked_out = start.elapsed();
        let mut nix = Command::new("nix");
        nix.args(["--extra-experimental-features", "nix-command", "hash", "path"]).arg(&tree);
        nix.env("HOME", dir.path());
        let nix_hash = run(&mut nix);
        theirs = theirs.min(start.elapsed());
        theirs_hashing = theirs_hashing.min(start.elapsed() - checked_out);
        assert_eq!(NarHash::parse(hash), NarHash::parse(&nix_hash));
        fs::remove_dir_all(&tree).unwrap();
    }
    println!("{FILES} files, one commit, the same hash on both sides");
    println!("from the object database  {:>8.2?}, at most {} MiB", ours, peak / 1024);
    println!(
        "checkout and nix hash path{:>8.2?}, {:.2?} of it nix hash path",
        theirs, theirs_hashing
    );
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{ratio:.2} times as fast (wanted: more than 1)");
    assert!(ratio > 1.0, "slower than a checkout");
}
