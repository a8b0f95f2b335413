//! Builders that take without end: each is stopped at its limit, and says so.

use std::time::{Duration, Instant};

use nix_verify::build::limits::Mechanism;
use nix_verify::build::{BuildOutcome, FailureReason};

use super::arena::Arena;

/// A bound on how long the loaded machine may take to stop somebody.
const PATIENCE: Duration = Duration::from_secs(50);

fn stopped(arena: &Arena, job: &nix_verify::build::BuildJob) -> FailureReason {
    let started = Instant::now();
    let reason = arena.failed(job).reason;
    assert!(started.elapsed() < PATIENCE, "{reason}");
    reason
}

/// Processes that make processes, all the time.
pub fn fork_bomb(arena: &Arena) {
    let mut job = arena.job(&["bomb"]);
    job.limits.max_processes = 60;
    assert_eq!(stopped(arena, &job), FailureReason::TooManyProcesses(60));
}

/// Below its limit a builder may have as many as it likes.
pub fn many_processes(arena: &Arena) {
    let mut job = arena.job(&["forks", "100"]);
    job.limits.max_processes = 120;
    let (built, log) = arena.built(&job);
    assert!(log.contains("forked 100"), "{log}");
    assert_ne!(built.surroundings.held.processes, Mechanism::None);
}

/// Memory of its own.
pub fn memory(arena: &Arena) {
    let limit = 64 << 20;
    let mut job = arena.job(&["hog", "own"]);
    job.limits.max_memory = Some(limit);
    assert_eq!(stopped(arena, &job), FailureReason::TooMuchMemory(limit));
    // What several share counts once: little is not much because many see it.
    let mut job = arena.script(
        "x=$(busybox yes | busybox head -c 20000000); \
         for n in 1 2 3 4 5 6 7 8 9 10 11 12; do (sleep 2; :) & done; wait; echo > $out",
    );
    job.limits.max_memory = Some(200 << 20);
    match arena.place.build(&job) {
        BuildOutcome::Built(built) => drop(built),
        BuildOutcome::Failed(failed) => panic!("{failed:#?}"),
    }
}

/// The disk: one large file, many small ones, in each place it may write to.
pub fn disk(arena: &Arena) {
    let limit = 32 << 20;
    for arguments in [
        ["fill", "one", "/build"],
        ["fill", "many", "/build"],
        ["fill", "one", "/tmp"],
        ["fill", "many", "/nix/store"],
    ] {
        let mut job = arena.job(&arguments);
        job.limits.max_disk = Some(limit);
        assert_eq!(stopped(arena, &job), FailureReason::TooMuchDisk(limit), "{arguments:?}");
    }
    // A file without a name is found by nobody, but ends with the build.
    let mut job = arena.job(&["fill", "nameless", "/build"]);
    job.limits.timeout = Some(Duration::from_secs(1));
    let reason = stopped(arena, &job);
    assert_eq!(reason, FailureReason::Timeout(Duration::from_secs(1)));
}

/// What is shared memory, in the builder's own `/dev/shm`.
pub fn shared_memory(arena: &Arena) {
    let mut job = arena.script("busybox dd if=/dev/zero of=/dev/shm/x bs=1M count=16; sleep 1000");
    job.limits.timeout = Some(Duration::from_secs(2));
    assert_eq!(stopped(arena, &job), FailureReason::Timeout(Duration::from_secs(2)));
}
