//! Killed at random moments, and before each thing that is done to a file.

use std::time::{Duration, Instant};

use super::scene::{Made, Outcome, Scene};
use super::{graph, tracer, undisturbed};

/// Random moments that every test run tries; a hundred take a minute.
const SOME: usize = 10;

const MANY: usize = 100;

/// Every how many file operations an ordinary test run kills.
const STRIDE: u64 = 23;

fn command(scene: &Scene, targets: &[Made]) -> std::process::Command {
    let mut command = scene.command(&["--reproducible", "--closure"]);
    command.args(targets.iter().map(|made| scene.drv_file(made)));
    command
}

/// Runs the command to its end and compares; then nothing half-done is left.
fn assert_goes_on(scene: &Scene, targets: &[Made], expected: &[u8], when: &str) {
    let outcome = Outcome::of(command(scene, targets).output().unwrap());
    assert!(
        outcome.bytes == expected,
        "{when}: {}\n{}\nwhere\n{}\nwas expected",
        outcome.said,
        String::from_utf8_lossy(&outcome.bytes),
        String::from_utf8_lossy(expected)
    );
    assert_eq!(outcome.code, Some(1));
    for room in ["runs", "builds", "downloads"] {
        assert!(scene.room(room).is_empty(), "{when}: {:?}", scene.room(room));
    }
}

fn killed_at_random(moments: usize) {
    let (scene, targets) = graph();
    let began = Instant::now();
    let expected = undisturbed(&scene, &targets);
    let length = began.elapsed();
    let mut killed = 0;
    for moment in 0..moments {
        // Several kills in a row before it may go on to the end.
        for _ in 0..=moment % 3 {
            let mut child = command(&scene, &targets)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(length.mul_f64(fastrand::f64()));
            child.kill().unwrap();
            killed += usize::from(!child.wait().unwrap().success());
        }
        assert_goes_on(&scene, &targets, &expected, &format!("moment {moment}"));
        if moment % 2 == 0 {
            std::fs::remove_dir_all(scene.path("state")).unwrap();
        }
    }
    println!("{killed} kills at random within {} ms", length.as_millis());
}

#[test]
fn killed_at_some_random_moments_it_goes_on() {
    killed_at_random(SOME);
}

#[test]
#[ignore = "takes minutes; the same with fewer moments is an ordinary test"]
fn killed_at_many_random_moments_it_goes_on() {
    killed_at_random(MANY);
}

/// Kills before every `stride`-th operation on files, from a state directory
/// that is new and from one that has been used.
fn killed_at_operations(stride: u64) {
    for used in [false, true] {
        let (scene, targets) = graph();
        let expected = undisturbed(&scene, &targets);
        let (mut number, mut kills) = (1, 0);
        loop {
            let _ = std::fs::remove_dir_all(scene.path("state"));
            if used {
                assert_goes_on(&scene, &targets, &expected, "used before");
            }
            match tracer::killed_before(command(&scene, &targets), number) {
                tracer::Ended::Killed => kills += 1,
                tracer::Ended::Done { operations } => {
                    println!("{kills} kills among {operations} operations, used before: {used}");
                    assert!(operations > 60, "{operations}");
                    break;
                }
            }
            assert_goes_on(&scene, &targets, &expected, &format!("operation {number}"));
            number += stride;
        }
    }
}

#[test]
fn killed_between_some_file_operations_it_goes_on() {
    killed_at_operations(STRIDE);
}

#[test]
#[ignore = "takes minutes; the same with fewer operations is an ordinary test"]
fn killed_between_any_two_file_operations_it_goes_on() {
    killed_at_operations(1);
}

/// Killed long enough after the last build began, only that one is left to do.
#[test]
fn what_was_finished_is_not_done_again() {
    let mut scene = Scene::new();
    let first = scene.derivation("first", "echo first > $out", &[], &[]);
    let second = scene.derivation("second", "read a < $first; exit 3", &[&first], &[]);
    let slow = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo slow > $out";
    let slow = scene.derivation("slow", slow, &[&first], &[]);
    let targets = [&first, &second, &slow];
    let files = targets.map(|made| scene.drv_file(made));
    let mut child =
        scene.command(&[]).args(&files).stdout(std::process::Stdio::null()).spawn().unwrap();
    let recorded =
        || scene.room("runs").iter().map(|run| super::scene::list(run).len()).sum::<usize>();
    let deadline = Instant::now() + Duration::from_secs(120);
    while recorded() < 2 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    // Another question is another run, and finds nothing.
    let other = scene.rebuild(&targets, &["--timeout", "9999"]);
    assert!(other.resumed().is_empty(), "{:#}", other.report);
    let outcome = scene.rebuild(&targets, &[]);
    let mut expected = [&first, &second].map(|made| made.drv_path.to_string());
    expected.sort();
    assert_eq!(outcome.resumed(), expected, "{:#}", outcome.report);
    let mut reasons = outcome.reasons();
    reasons.sort_unstable();
    assert_eq!(reasons, ["build-failed", "no-reference", "no-reference"]);
    // It has come to its end: whoever asks again gets an answer of its own.
    assert!(scene.room("runs").is_empty());
    assert!(scene.rebuild(&targets, &[]).resumed().is_empty());
}
