//! How builds end (builder.md sections 8.1 and 9).

use std::time::{Duration, Instant};

use nix_verify::build::{BuildOutcome, FailureReason};
use nix_verify::state::remove::remove_tree;

use super::harness::Place;

/// Processes of this machine whose command line holds `mark`.
fn alive(mark: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process| {
            let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        })
        .collect()
}

fn gone_within_a_second(mark: &str) {
    let started = Instant::now();
    while !alive(mark).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", alive(mark));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn failures_say_what_happened() {
    let Some(place) = Place::new() else { return };
    for (script, reason) in [
        ("echo out; echo err >&2; exit 7", FailureReason::ExitCode(7)),
        ("kill -15 $$; exit 3", FailureReason::ExitCode(3)),
        (
            "exit 0",
            FailureReason::MissingOutput {
                output: "out".to_owned(),
                path: "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-test".to_owned(),
            },
        ),
    ] {
        let failed = place.failed(&place.job(script));
        assert_eq!(failed.reason, reason);
        assert_eq!(failed.kept, None);
    }
    let failed = place.failed(&place.job("echo one; printf 'two\\033[31m\\001'; exit 7"));
    assert_eq!(failed.tail, ["one", "two\\u{1}"]);
    assert_eq!(std::fs::read(failed.log.unwrap().path).unwrap(), b"one\ntwo\x1b[31m\x01");
}

#[test]
fn a_builder_that_is_no_program_fails() {
    let Some(place) = Place::new() else { return };
    let mut job = place.job("");
    for builder in ["/nix/store/missing", "/build", "relative", ""] {
        job.derivation.builder = builder.into();
        let failed = place.failed(&job);
        assert_eq!(failed.reason, FailureReason::ExitCode(1), "{builder}");
        assert!(failed.tail[0].contains(&format!("executing '{builder}'")), "{:?}", failed.tail);
    }
}

#[test]
fn closing_the_terminal_is_the_end() {
    let Some(place) = Place::new() else { return };
    let started = Instant::now();
    let failed = place.failed(&place.job("exec >&- 2>&-; sleep 1000; echo > $out"));
    assert_eq!(failed.reason, FailureReason::Signal(9));
    assert!(started.elapsed() < Duration::from_secs(100));
}

#[test]
fn processes_left_behind_die_with_the_builder() {
    let Some(place) = Place::new() else { return };
    let mark = "98765.125";
    let script = format!(
        "(sleep {mark} &); setsid nohup sleep {mark} & setsid sh -c 'exec 0<&- 1>&- 2>&-; sleep {mark}; :' & \
         sleep 0.1; echo > $out"
    );
    place.built(&place.job(&script));
    gone_within_a_second(mark);
}

#[test]
fn limits_stop_builders() {
    let Some(place) = Place::new() else { return };
    let limit = Duration::from_millis(300);
    let mut job = place.job("while :; do echo x; sleep 0.05; done");
    job.limits.timeout = Some(limit);
    job.limits.max_silent = Some(Duration::from_secs(60));
    assert_eq!(place.failed(&job).reason, FailureReason::Timeout(limit));

    let mut job = place.job("echo before; sleep 1000");
    job.limits.max_silent = Some(limit);
    let failed = place.failed(&job);
    assert_eq!(failed.reason, FailureReason::Silent(limit));
    assert_eq!(failed.tail, ["before"]);

    let mut job = place.job("yes");
    job.limits.max_log_bytes = Some(100_000);
    let failed = place.failed(&job);
    assert_eq!(failed.reason, FailureReason::LogTooLarge(100_000));
    assert_eq!(failed.log.unwrap().size, 100_000);

    let mut job = place.job("echo $(seq 10000); echo > $out");
    job.limits.max_log_bytes = Some(100_000);
    let (built, log) = place.built(&job);
    assert_eq!(built.log.size, 48_894);
    assert!(log.ends_with(" 9999 10000\n"));
}

#[test]
fn a_failed_build_is_kept_when_asked_for() {
    let Some(place) = Place::new() else { return };
    let mut job = place.job("echo kept > file; ln -s / link; exit 1");
    job.keep_failed = true;
    let kept = place.failed(&job).kept.unwrap();
    assert_eq!(std::fs::read(kept.join("file")).unwrap(), b"kept\n");
    remove_tree(kept.parent().unwrap()).unwrap();
    assert!(std::path::Path::new("/proc").exists());
}

#[test]
fn nothing_of_a_build_stays() {
    let Some(place) = Place::new() else { return };
    let builds = place.state.root().join("builds");
    let count = || std::fs::read_dir(&builds).unwrap().count();
    let (built, _) = place.built(&place.job(
        "mkdir -p a/b /nix/store/other/x; echo > a/b/c; chmod 000 a/b a /nix/store/other; \
         mkdir $out; echo 1 > $out/1; chmod 000 $out/1",
    ));
    assert_eq!(count(), 1);
    let out = &built.outputs["out"];
    assert_eq!(std::fs::read(out.host_path.join("1")).unwrap(), b"1\n");
    drop(built);
    assert_eq!(count(), 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(place.state.root().to_str().unwrap()), "{mounts}");
}

#[test]
fn what_is_not_supported_is_said_and_not_tried() {
    let Some(place) = Place::new() else { return };
    for (name, value, wanted) in [
        ("requiredSystemFeatures", "big-parallel recursive-nix", "recursive-nix"),
        ("requiredSystemFeatures", "uid-range", "65536"),
        ("requiredSystemFeatures", "gccarch-znver9", "gccarch-znver9"),
        ("__noChroot", "1", "__noChroot"),
        ("__impureHostDeps", "/etc/x", "__impureHostDeps"),
    ] {
        let mut job = place.job("echo > $out");
        job.derivation.env.insert(name.into(), value.into());
        match place.failed(&job).reason {
            FailureReason::Unsupported(why) => assert!(why.contains(wanted), "{why}"),
            other => panic!("{other}"),
        }
    }
    let mut job = place.job("echo > $out");
    job.derivation.platform = b"riscv64-linux".to_vec();
    assert!(matches!(place.failed(&job).reason, FailureReason::Unsupported(_)));
    job.derivation.platform = b"x86_64-linux".to_vec();
    job.derivation
        .env
        .insert(b"requiredSystemFeatures".to_vec(), b"big-parallel nixos-test".to_vec());
    assert!(matches!(place.build(&job), BuildOutcome::Built(_)));
}

/// The variable that turns the next test into a build that never ends.
const VICTIM: &str = "VERIFY_TEST_VICTIM";

#[test]
fn nothing_survives_a_killed_parent() {
    let Some(place) = Place::new() else { return };
    let mark = "87654.25";
    if std::env::var_os(VICTIM).is_some() {
        let script = format!("(setsid sleep {mark} &); trap '' TERM HUP; sleep {mark}");
        place.build(&place.job(&script));
        return;
    }
    let test = "ends::nothing_survives_a_killed_parent";
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(VICTIM, "1")
        // What it leaves behind goes with our own place.
        .env("TMPDIR", place.state.root())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // The builder has become one sleep and started the other.
    while alive(mark).len() < 2 {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    gone_within_a_second(mark);
}

#[test]
fn many_builds_share_what_can_be_shared_and_nothing_else() {
    let Some(place) = Place::new() else { return };
    let executor = place.executor();
    let first = "echo left > /tmp/left; mkdir /nix/store/left; echo left > /build/left; \
        touch /dev/shm/left; (sleep 76543.5 &); echo $leak; exec 3<>/tmp/left; echo > $out";
    let second = "ls -A /tmp /build /dev/shm /nix/store; ls /proc | grep -c '^[0-9]'; ls /proc/1/fd; \
        env | grep leak; cat /proc/1/environ | grep -c leak; echo > $out";
    for round in 0..3 {
        let mut job = place.job(first);
        job.derivation.env.insert(b"leak".to_vec(), b"leaked".to_vec());
        let failing = place.job("echo left > /tmp/left; exit 1");
        let job = if round == 1 { failing } else { job };
        nix_verify::build::Executor::build(&executor, &job).unwrap();
        let BuildOutcome::Built(built) =
            nix_verify::build::Executor::build(&executor, &place.job(second)).unwrap()
        else {
            panic!("round {round}")
        };
        let log = std::fs::read_to_string(&built.log.path).unwrap();
        let tools = super::harness::TOOLS;
        let expected =
            format!("/build:\n\n/dev/shm:\n\n/nix/store:\n{tools}\n\n/tmp:\n3\n0  1  2\n0\n");
        assert_eq!(log, expected);
    }
}
