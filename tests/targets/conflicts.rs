//! Two trusted caches that contradict each other, about an input.

use super::scene::{Made, Outcome, Scene};

/// An input, what is built on it, and a second cache.
fn scene() -> (Scene, Made, Made) {
    let mut scene = Scene::new();
    let input = scene.derivation("input", "echo input > $out", &[], &[]);
    let script = format!("read a < {}; echo $a > $out", input.full());
    let target = scene.derivation("target", &script, &[&input], &[]);
    scene.publish(&input.out, b"input\n", &[]);
    scene.publish(&target.out, b"input\n", &[]);
    std::fs::create_dir_all(scene.path("second")).unwrap();
    (scene, input, target)
}

fn rebuild(scene: &Scene, target: &Made) -> Outcome {
    let second = format!("file://{}", scene.path("second").display());
    let mut command = scene.command(&["--cache", &second]);
    command.arg(scene.drv_file(target));
    Outcome::of(command.output().unwrap())
}

fn claim(scene: &Scene, made: &Made, content: &[u8]) {
    scene.publish_in("second", &made.out, content, &[], Some(&super::scene::key()));
}

#[test]
fn caches_that_agree_are_used() {
    let (scene, input, target) = scene();
    claim(&scene, &input, b"input\n");
    let outcome = rebuild(&scene, &target);
    outcome.assert(0, &["reproduced"]);
    assert_eq!(outcome.report["facts"]["inputs"][0]["origin"]["kind"], "signed");
}

#[test]
fn our_own_build_decides_between_them() {
    for (first, second) in [("input\n", "other\n"), ("other\n", "input\n")] {
        let (scene, input, target) = scene();
        scene.publish(&input.out, first.as_bytes(), &[]);
        claim(&scene, &input, second.as_bytes());
        let outcome = rebuild(&scene, &target);
        let rules = outcome.rules();
        assert!(rules.contains(&"claims-conflict"), "{:#}", outcome.report);
        assert!(rules.contains(&"output-differs"), "{:#}", outcome.report);
        assert_eq!(outcome.code, Some(1));
        let statuses = outcome.statuses();
        assert!(statuses.contains(&"reproduced"), "{:#}", outcome.report);
        assert_eq!(outcome.report["facts"]["inputs"][0]["origin"]["kind"], "rebuilt");
    }
}

#[test]
fn where_neither_is_borne_out_nothing_above_is_judged() {
    let (scene, input, target) = scene();
    scene.publish(&input.out, b"one\n", &[]);
    claim(&scene, &input, b"other\n");
    let outcome = rebuild(&scene, &target);
    assert!(outcome.reasons().contains(&"blocked-by"), "{:#}", outcome.report);
    assert!(!outcome.statuses().contains(&"reproduced"), "{:#}", outcome.report);
    assert_eq!(outcome.code, Some(1));

    // Nothing at hand could decide: the input counts as lacking.
    std::fs::remove_file(scene.drv_file(&input)).unwrap();
    let outcome = rebuild(&scene, &target);
    assert!(!outcome.statuses().contains(&"reproduced"), "{:#}", outcome.report);
    assert_ne!(outcome.code, Some(0));
}

#[test]
fn only_trusted_keys_make_a_conflict() {
    let (scene, input, target) = scene();
    scene.publish_in("second", &input.out, b"other\n", &[], None);
    rebuild(&scene, &target).assert(0, &["reproduced"]);
}
