//! Random samples of a closure, and pictures of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::scene::{Made, Scene};

/// Twenty derivations, each on the one before; what is claimed of those in
/// `bad` is something else than they make.
fn chain(scene: &mut Scene, bad: &[usize]) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    for number in 0..20 {
        let inputs: Vec<&Made> = made.last().into_iter().collect();
        let next = scene.derivation(&format!("step-{number:02}"), &[">out", "x"], &inputs);
        scene.publish(&next, if bad.contains(&number) { "y\n" } else { "x\n" });
        made.push(next);
    }
    made
}

fn drawn(report: &Value) -> BTreeSet<&str> {
    let drawn = report["facts"]["sample"]["drawn"].as_array().unwrap();
    drawn.iter().map(|path| &path.as_str().unwrap()[44..]).collect()
}

#[test]
fn a_sample_is_the_same_again_and_says_what_it_is_worth() {
    let mut scene = Scene::new();
    let made = chain(&mut scene, &[]);
    let target = &made[19];
    let one = scene.rebuild(&[target], &["--sample", "5", "--seed", "a"]);
    super::schema::check(&one.report, "the report");
    assert_eq!(one.code, 0, "{:#}", one.report);
    assert_eq!(one.report["subjects"].as_array().unwrap().len(), 5);
    assert_eq!(drawn(&one.report).len(), 5);
    let sample = &one.report["facts"]["sample"];
    assert_eq!((&sample["population"], &sample["bad"]), (&20.into(), &0.into()));
    // By hand: C(20-M, 5) / C(20, 5) is below 0.05 from M = 9 on.
    assert_eq!(sample["bad_in_population_below"], 9);
    assert_eq!(
        sample["sentence"].as_str().unwrap(),
        "fewer than 45 % of the 20 derivations differ or could not be judged, at 95 % confidence"
    );
    let left_out = one.report["coverage"]["not_run"].to_string();
    assert!(left_out.contains("of 15 derivations of the closure"), "{left_out}");

    let again = scene.rebuild(&[target], &["--sample", "5", "--seed", "a"]);
    assert_eq!(again.bytes, one.bytes);
    let percent = scene.rebuild(&[target], &["--sample", "25%", "--seed", "a", "--closure"]);
    assert_eq!(drawn(&percent.report), drawn(&one.report));
    let other = scene.rebuild(&[target], &["--sample", "5", "--seed", "b"]);
    assert_ne!(drawn(&other.report), drawn(&one.report));
    let all = scene.rebuild(&[target], &["--sample", "100%", "--seed", "b"]);
    assert_eq!(all.report["facts"]["sample"]["bad_in_population_below"], 1);
}

#[test]
fn a_sample_finds_what_is_in_it() {
    let mut scene = Scene::new();
    let made = chain(&mut scene, &[3, 7, 11]);
    let bad: BTreeSet<String> =
        [3, 7, 11].map(|number: usize| made[number].drv_path.name().to_owned()).into();
    for seed in ["1", "2", "3", "4"] {
        let outcome = scene.rebuild(&[&made[19]], &["--sample", "8", "--seed", seed]);
        let found = drawn(&outcome.report).iter().filter(|one| bad.contains(**one)).count();
        assert_eq!(outcome.report["facts"]["sample"]["bad"], found);
        assert_eq!(outcome.code, if found == 0 { 0 } else { 1 });
    }
}

#[test]
fn a_derivation_that_nobody_has_is_no_pass() {
    let mut scene = Scene::new();
    let there = scene.derivation("there", &[">out", "x"], &[]);
    let gone = scene.derivation("gone", &[">out", "x"], &[]);
    let top = scene.derivation("top", &[">out", "x"], &[&there, &gone]);
    for made in [&there, &gone, &top] {
        scene.publish(made, "x\n");
    }
    std::fs::remove_file(scene.place.path().join(gone.drv_path.to_string())).unwrap();
    let mut met = 0;
    for seed in 0..20 {
        let outcome = scene.rebuild(&[&top], &["--sample", "2", "--seed", &seed.to_string()]);
        let drawn = drawn(&outcome.report);
        assert_eq!((outcome.code, drawn.len()), (3, 2), "{:#}", outcome.report);
        if drawn == BTreeSet::from(["there.drv", "gone.drv"]) {
            met += 1;
            let id = format!("/nix/store/{}", gone.drv_path);
            let subjects = outcome.report["subjects"].as_array().unwrap();
            let subject = subjects.iter().find(|subject| subject["id"] == id.as_str()).unwrap();
            assert_eq!(subject["status"], "derivation-missing");
            assert_eq!(outcome.status(&there), "reproduced");
        }
        if met > 0 && seed > 2 {
            return;
        }
    }
    panic!("no seed drew the two");
}

#[test]
fn a_sample_without_a_size_is_misuse() {
    let mut scene = Scene::new();
    let made = scene.derivation("x", &[">out", "x"], &[]);
    for options in [&["--sample", "5.5"][..], &["--seed", "x"], &["--sample", "0", "--seed", "x"]] {
        let output = scene.command(&[&made]).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
    }
}

#[test]
fn pictures_are_written_by_their_suffix_and_whole() {
    let mut scene = Scene::new();
    let made = chain(&mut scene, &[3]);
    let file = |name: &str| scene.place.path().join(name);
    for (name, start, node) in
        [("graph.svg", "<svg ", "<g><title>"), ("graph.dot", "// ", " [label=")]
    {
        let path = file(name);
        let path = path.to_str().unwrap();
        let outcome = scene.rebuild(&[&made[19]], &["--closure", "--graph", path]);
        assert_eq!(outcome.code, 1);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with(start), "{text}");
        assert_eq!(text.matches(node).count(), 20);
        let again = scene.rebuild(&[&made[19]], &["--closure", "--graph", path]);
        assert_eq!((again.bytes, std::fs::read_to_string(path).unwrap()), (outcome.bytes, text));
    }
    let output = scene.command(&[&made[0]]).args(["--graph", "graph.png"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains(".svg or .dot"), "{said}");
    // The report is made all the same, and the failure shows.
    let path = file("no/such/directory/graph.svg");
    let outcome = scene.rebuild(&[&made[0]], &["--graph", path.to_str().unwrap()]);
    assert_eq!((outcome.code, outcome.status(&made[0])), (2, "reproduced"));
}
