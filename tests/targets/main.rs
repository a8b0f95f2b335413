//! What can be named to be rebuilt, through the real binary: files, store
//! paths, listings, and what Nix evaluates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "../made/mod.rs"]
mod made;
#[path = "../resume/scene.rs"]
mod scene;

mod baseline;
mod conflicts;
mod nix;

use std::io::Write as _;
use std::process::Stdio;

use scene::{Made, Outcome, Scene};

/// Two derivations, one on the other, and what a cache claims of both.
fn chain(fields: impl Fn(&Made) -> String) -> (Scene, Made, Made) {
    let mut scene = Scene::new();
    let first = scene.derivation("first", "echo first > $out", &[], &[]);
    let script = format!("read a < {}; echo $a > $out", first.full());
    let last = scene.derivation("last", &script, &[&first], &[]);
    for made in [&first, &last] {
        scene.publish(&made.out, b"first\n", &[("Deriver", &fields(made))]);
    }
    (scene, first, last)
}

fn own(made: &Made) -> String {
    made.drv_path.to_string()
}

/// Rebuilds whatever these words name.
fn rebuild(scene: &Scene, words: &[&str]) -> Outcome {
    Outcome::of(scene.command(words).output().unwrap())
}

fn rebuild_listed(scene: &Scene, listing: &[u8], words: &[&str]) -> Outcome {
    let mut child = scene
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(listing).unwrap();
    Outcome::of(child.wait_with_output().unwrap())
}

#[test]
fn an_output_is_rebuilt_by_what_it_was_made_by() {
    let (scene, _, last) = chain(own);
    rebuild(&scene, &[&last.full(), "--drv-dir", "drvs"]).assert(0, &["reproduced"]);
    // A file in it, and a link to it as Nix makes them.
    rebuild(&scene, &[&format!("{}/bin/x", last.full()), "--drv-dir", "drvs"])
        .assert(0, &["reproduced"]);
    std::os::unix::fs::symlink(last.full(), scene.path("result")).unwrap();
    rebuild(&scene, &["./result", "--drv-dir", "drvs"]).assert(0, &["reproduced"]);
    let outcome = rebuild(&scene, &[&last.full()]);
    outcome.assert(3, &[]);
    assert_eq!(outcome.reasons(), ["derivation-missing"], "{:#}", outcome.report);
}

#[test]
fn a_derivation_is_named_by_file_or_path() {
    let (scene, _, last) = chain(own);
    let file = format!("drvs/{}", last.drv_path);
    rebuild(&scene, &[&file]).assert(0, &["reproduced"]);
    let path = format!("/nix/store/{}", last.drv_path);
    for path in [path.clone(), format!("{path}!out"), format!("{path}^*")] {
        rebuild(&scene, &[&path, "--drv-dir", "drvs"]).assert(0, &["reproduced"]);
    }
    let outcome = rebuild(&scene, &[&path]);
    outcome.assert(3, &[]);
    assert_eq!(outcome.reasons(), ["derivation-missing"], "{:#}", outcome.report);
}

#[test]
fn a_hint_that_lies_leads_nowhere() {
    let (scene, first, last) = chain(|_| "0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar.drv".to_owned());
    // Nothing of that name; the directory knows better.
    rebuild(&scene, &[&last.full(), "--drv-dir", "drvs"]).assert(0, &["reproduced"]);

    // One that is there and makes something else.
    let fields: &[_] = &[("Deriver", &*own(&first))];
    scene.publish(&last.out, b"first\n", fields);
    rebuild(&scene, &[&last.full(), "--drv-dir", "drvs"]).assert(0, &["reproduced"]);
    std::fs::create_dir(scene.path("one")).unwrap();
    std::fs::copy(scene.drv_file(&first), scene.path("one").join(own(&first))).unwrap();
    let outcome = rebuild(&scene, &[&last.full(), "--drv-dir", "one"]);
    outcome.assert(3, &[]);
    let detail = &outcome.report["coverage"]["inconclusive"][0]["detail"];
    assert!(detail.as_str().unwrap().contains("makes other outputs"), "{:#}", outcome.report);
}

#[test]
fn derivations_come_out_of_caches_too() {
    let (scene, first, last) = chain(own);
    for made in [&first, &last] {
        let content = std::fs::read(scene.drv_file(made)).unwrap();
        scene.publish_in("cache", &made.drv_path, &content, &[], None);
    }
    // Without the inputs in the cache, their derivations are needed as well.
    std::fs::remove_file(scene.path("cache").join(format!("{}.narinfo", first.out.hash_part())))
        .unwrap();
    rebuild(&scene, &[&last.full()]).assert(0, &["reproduced"]);

    // What has another content is not that derivation, whoever serves it.
    let other = std::fs::read(scene.drv_file(&first)).unwrap();
    scene.publish(&last.drv_path, &other, &[]);
    let outcome = rebuild(&scene, &[&last.full()]);
    outcome.assert(3, &[]);
    assert_eq!(outcome.reasons(), ["derivation-missing"], "{:#}", outcome.report);
}

#[test]
fn a_listing_names_many() {
    let (scene, first, last) = chain(own);
    let lines = format!("\n{}\r\n  {}  \n", first.full(), last.full());
    let statuses = ["reproduced", "reproduced"];
    rebuild_listed(&scene, lines.as_bytes(), &["-", "--drv-dir", "drvs"]).assert(0, &statuses);
    let nul = format!("{}\0drvs/{}\0", first.full(), last.drv_path);
    rebuild_listed(&scene, nul.as_bytes(), &["-", "--drv-dir", "drvs"]).assert(0, &statuses);
    // Named twice is built once.
    rebuild_listed(&scene, lines.as_bytes(), &["-", &last.full(), "--drv-dir", "drvs"])
        .assert(0, &statuses);
    let nothing = rebuild_listed(&scene, b"\n", &["-"]);
    nothing.assert(3, &[]);
    let wrong = rebuild_listed(&scene, b"no-such-thing\n", &["-"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.said);
}

#[test]
fn what_is_not_there_is_named_at_once() {
    let (scene, _, last) = chain(own);
    let file = format!("drvs/{}", last.drv_path);
    for (words, needle) in [
        (vec![file.as_str(), "--drv-dir", "nowhere"], "nowhere"),
        (vec![file.as_str(), "--cache", "file:///no/such/cache"], "/no/such/cache"),
        (vec!["nowhere.drv"], "there is no 'nowhere.drv'"),
        (vec!["drvs"], "directory without a flake.nix"),
        (vec!["-A", "x"], "--file"),
    ] {
        let outcome = rebuild(&scene, &words);
        assert_eq!(outcome.code, Some(2), "{words:?}: {}", outcome.said);
        assert!(outcome.said.contains(needle), "{words:?}: {}", outcome.said);
    }
}

#[test]
fn git_bisect_is_told_what_it_understands() {
    let (scene, _, last) = chain(own);
    let file = format!("drvs/{}", last.drv_path);
    assert_eq!(rebuild(&scene, &[&file, "--bisect"]).code, Some(0));
    assert_eq!(rebuild(&scene, &[&last.full(), "--bisect"]).code, Some(125));
    assert_eq!(rebuild(&scene, &["nowhere.drv", "--bisect"]).code, Some(255));
    assert_eq!(rebuild(&scene, &[&file, "--bisect", "--no-such-option"]).code, Some(255));
    scene.publish(&last.out, b"second\n", &[]);
    assert_eq!(rebuild(&scene, &[&file, "--bisect"]).code, Some(1));
}
