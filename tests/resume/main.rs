//! A run that is killed goes on where it was, and says the same in the end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "../made/mod.rs"]
mod made;
mod moments;
mod record;
mod scene;
mod tracer;

use nix_verify::nix::store_path::StorePath;

use self::scene::{Made, Scene};

/// Keeps a builder busy for some milliseconds.
const WORK: &str = "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); done";

/// A graph with an input from the cache, a chain, an output that is claimed
/// otherwise, one that nobody claims, a builder that fails and one that waits
/// for it. The targets come last.
fn graph() -> (Scene, Vec<Made>) {
    let mut scene = Scene::new();
    let data: StorePath = "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt".parse().unwrap();
    scene.publish(&data, b"data\n", &[]);
    let read = |path: &str| format!("while read line; do echo \"$line\"; done < {path}");
    let from_data = read(&scene.store_dir.full(&data));
    let one = scene.derivation("one", &format!("{WORK}; {from_data} > $out"), &[], &[&data]);
    let two = scene.derivation("two", &format!("{WORK}; echo two > $out"), &[], &[]);
    let script = format!("{WORK}; ({}; {}) > $out", read(&one.full()), read(&two.full()));
    let both = scene.derivation("both", &script, &[&one, &two], &[]);
    let script = format!("{WORK}; {} > $out", read(&both.full()));
    let odd = scene.derivation("odd", &script, &[&both], &[]);
    let alone = scene.derivation("alone", "echo alone; echo alone > $out", &[], &[]);
    let failing = scene.derivation("failing", "echo no; exit 7", &[&two], &[]);
    let waiting = scene.derivation("waiting", "echo x > $out", &[&failing], &[]);
    scene.publish(&both.out, b"data\ntwo\n", &[]);
    scene.publish(&odd.out, b"data\nthree\n", &[]);
    (scene, vec![both, odd, alone, waiting])
}

/// What is said when nothing interferes.
fn undisturbed(scene: &Scene, targets: &[Made]) -> Vec<u8> {
    let targets: Vec<&Made> = targets.iter().collect();
    let outcome = scene.rebuild(&targets, &["--reproducible", "--closure"]);
    let statuses = outcome.statuses();
    for expected in ["blocked-by", "differs", "no-reference", "reproduced"] {
        assert!(statuses.contains(&expected), "{:#}\n{}", outcome.report, outcome.said);
    }
    assert_eq!(outcome.code, Some(1));
    assert!(scene.room("runs").is_empty() && scene.room("builds").is_empty());
    std::fs::remove_dir_all(scene.path("state")).unwrap();
    outcome.bytes
}
