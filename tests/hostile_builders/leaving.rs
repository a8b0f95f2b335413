//! Builders that take without end, or stay.

use std::process::Command;
use std::time::{Duration, Instant};

use nix_verify::build::{BuildOutcome, Executor as _, FailureReason};
use nix_verify::gather::nar::tree::hash_tree;

use super::arena::{Arena, OBJECT};

/// As many processes as a limit allows, all of which ignore every signal. The
/// builder ends at once, so that it may not have been noticed.
pub fn processes(arena: &Arena) {
    const ALLOWED: u64 = 100;
    let mut job = arena.job(&["forks", "300"]);
    job.limits.max_processes = ALLOWED;
    match arena.place.build(&job) {
        BuildOutcome::Built(built) => {
            let log = std::fs::read_to_string(&built.log.path).unwrap();
            let count = log.trim().strip_prefix("forked ").unwrap().parse::<u64>().unwrap();
            assert!((1..=ALLOWED).contains(&count), "{log}");
        }
        BuildOutcome::Failed(failed) => {
            assert_eq!(failed.reason, FailureReason::TooManyProcesses(ALLOWED));
        }
    }
}

pub fn limits(arena: &Arena) {
    let limit = Duration::from_millis(500);
    let mut job = arena.script("yes");
    job.limits.max_log_bytes = Some(100_000);
    assert_eq!(arena.failed(&job).reason, FailureReason::LogTooLarge(100_000));
    let mut job = arena.script("trap '' TERM INT HUP; while :; do sleep 9; done");
    job.limits.max_silent = Some(limit);
    assert_eq!(arena.failed(&job).reason, FailureReason::Silent(limit));
    let mut job = arena.script("kill -STOP $$; while :; do echo; sleep 0.1; done");
    job.limits.timeout = Some(limit);
    assert_eq!(arena.failed(&job).reason, FailureReason::Timeout(limit));
    // What was written before the end counts, also when nobody is left.
    let mut job = arena.script("printf %4000s x; echo > $out");
    job.limits.max_log_bytes = Some(3999);
    assert_eq!(arena.failed(&job).reason, FailureReason::LogTooLarge(3999));
}

/// It has the output open and writes to it until it dies.
pub fn leftover_daemon(arena: &Arena) {
    let (built, _) = arena.built(&arena.job(&["daemon"]));
    arena.all_gone_but_outputs();
    let out = &built.outputs["out"];
    for _ in 0..3 {
        let (hash, size) = hash_tree(&out.host_path, &mut []).unwrap();
        assert_eq!((hash, size), (out.nar_hash, out.nar_size));
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn closed_terminal(arena: &Arena) {
    let job = arena.script("exec >&- 2>&-; sleep 1000; echo > $out");
    assert_eq!(arena.failed(&job).reason, FailureReason::Signal(9));
}

pub fn terminal(arena: &Arena) {
    let mut job = arena.job(&["terminal"]);
    job.limits.max_log_bytes = Some(100_000);
    match arena.place.build(&job) {
        BuildOutcome::Built(built) => drop(built),
        BuildOutcome::Failed(failed) => panic!("{failed:#?}"),
    }
}

/// The caller's session keyring is not the builder's.
pub fn keys(arena: &Arena) {
    let program = arena.place.input_path(OBJECT).join("bin/attacks");
    let has = |key| Command::new(&program).args(["has-key", key]).status().unwrap().success();
    if !has("verify-hostile-secret") {
        eprintln!("skipped: no session keyring");
        return;
    }
    arena.built(&arena.job(&["keys"]));
    assert!(!has("verify-hostile-left"));
}

/// What one build leaves, the next one does not see.
pub fn many_files(arena: &Arena) {
    let executor = arena.place.executor();
    let look = || {
        let job = arena.script(
            "find /tmp /build /nix/store -maxdepth 1; stat -c '%n %s %a' /tmp /nix/store; echo > $out",
        );
        match executor.build(&job).unwrap() {
            BuildOutcome::Built(built) => std::fs::read_to_string(&built.log.path).unwrap(),
            BuildOutcome::Failed(failed) => panic!("{failed:#?}"),
        }
    };
    let before = look();
    {
        let outcome = executor.build(&arena.job(&["many", "5000"])).unwrap();
        assert!(matches!(outcome, BuildOutcome::Built(_)), "{outcome:?}");
    }
    assert_eq!(look(), before);
}

/// A file without end: reading it is part of the build, and so is its limit.
pub fn endless_output(arena: &Arena) {
    let started = Instant::now();
    for (more, limit) in [("", 2000), ("; ln $out /nix/store/other", 300)] {
        let limit = Duration::from_millis(limit);
        let mut job = arena.script(&format!("busybox truncate -s 8796093022208 $out 2>&1{more}"));
        job.limits.timeout = Some(limit);
        assert_eq!(arena.failed(&job).reason, FailureReason::Timeout(limit), "{more}");
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}
