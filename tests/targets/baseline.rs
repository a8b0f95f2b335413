//! `--baseline`: only what got worse counts.

use super::scene::{Made, Outcome, Scene};

/// Three derivations: the first is claimed as it is, the second otherwise, the
/// third fails.
fn scene() -> (Scene, Vec<Made>) {
    let mut scene = Scene::new();
    let made: Vec<Made> = [("good", "echo x > $out"), ("bad", "echo x > $out"), ("no", "exit 1")]
        .into_iter()
        .map(|(name, script)| scene.derivation(name, script, &[], &[]))
        .collect();
    scene.publish(&made[0].out, b"x\n", &[]);
    scene.publish(&made[1].out, b"y\n", &[]);
    (scene, made)
}

fn rebuild(scene: &Scene, made: &[Made], options: &[&str]) -> Outcome {
    let made: Vec<&Made> = made.iter().collect();
    scene.rebuild(&made, options)
}

#[test]
fn what_was_known_no_longer_fails_and_what_got_worse_does() {
    let (scene, made) = scene();
    let before = rebuild(&scene, &made, &[]);
    assert_eq!(before.code, Some(1));
    std::fs::write(scene.path("before.json"), &before.bytes).unwrap();

    let options = ["--baseline", "before.json"];
    let same = rebuild(&scene, &made, &options);
    assert_eq!(same.code, Some(0), "{:#}", same.report);
    let compared = &same.report["facts"]["baseline"];
    assert_eq!(compared["known"].as_array().unwrap().len(), 2, "{compared:#}");
    assert!(compared["regressed"].as_array().unwrap().is_empty(), "{compared:#}");

    // What held differs now, and what differed holds.
    scene.publish(&made[0].out, b"z\n", &[]);
    scene.publish(&made[1].out, b"x\n", &[]);
    let worse = rebuild(&scene, &made, &options);
    assert_eq!(worse.code, Some(1), "{:#}", worse.report);
    assert!(worse.rules().contains(&"regression"), "{:#}", worse.report);
    let compared = &worse.report["facts"]["baseline"];
    assert_eq!(compared["regressed"][0]["subject"], made[0].full().as_str());
    assert_eq!(compared["mended"][0]["subject"], made[1].full().as_str());

    // No answer where there was one is an open question.
    std::fs::remove_file(scene.path("cache").join(format!("{}.narinfo", made[0].out.hash_part())))
        .unwrap();
    let lost = rebuild(&scene, &made, &options);
    assert_eq!(lost.code, Some(3), "{:#}", lost.report);
    assert_eq!(lost.report["facts"]["baseline"]["lost"][0]["was"], "reproduced");

    // What the baseline does not know counts as ever.
    let mut text: serde_json::Value = before.report.clone();
    text["subjects"] = serde_json::json!([]);
    std::fs::write(scene.path("empty.json"), text.to_string()).unwrap();
    scene.publish(&made[1].out, b"y\n", &[]);
    let unknown = rebuild(&scene, &made, &["--baseline", "empty.json"]);
    assert_eq!(unknown.code, Some(1), "{:#}", unknown.report);
    assert_eq!(unknown.report["facts"]["baseline"]["unknown"].as_array().unwrap().len(), 3);
}

#[test]
fn a_forged_claim_is_never_got_used_to() {
    let (scene, made) = scene();
    let forger =
        nix_verify::nix::signature::SecretKey::from_seed("made-1".parse().unwrap(), &[9; 32]);
    scene.publish_in("cache", &made[0].out, b"x\n", &[], Some(&forger));
    let before = rebuild(&scene, &made[..1], &[]);
    before.assert(1, &["forged"]);
    std::fs::write(scene.path("before.json"), &before.bytes).unwrap();
    rebuild(&scene, &made[..1], &["--baseline", "before.json"]).assert(1, &["forged"]);
}

#[test]
fn a_lie_about_what_had_no_answer_before_is_not_known() {
    let (scene, made) = scene();
    let claim = |made: &Made| scene.path("cache").join(format!("{}.narinfo", made.out.hash_part()));
    std::fs::remove_file(claim(&made[1])).unwrap();
    let before = rebuild(&scene, &made[..2], &[]);
    assert_eq!(before.code, Some(3), "{:#}", before.report);
    std::fs::write(scene.path("before.json"), &before.bytes).unwrap();
    let options = ["--baseline", "before.json"];
    assert_eq!(rebuild(&scene, &made[..2], &options).code, Some(0));

    // The cache answers with the claim about another path.
    std::fs::copy(claim(&made[0]), claim(&made[1])).unwrap();
    let lied = rebuild(&scene, &made[..2], &options);
    assert_eq!(lied.code, Some(1), "{:#}", lied.report);
    assert!(lied.rules().contains(&"foreign-narinfo"), "{:#}", lied.report);
}

#[test]
fn what_is_no_baseline_is_refused_before_anything_is_built() {
    let (scene, made) = scene();
    let deep = "[".repeat(100_000);
    let forged = "{\"format\":\"nix-verify-report\",\"version\":1,\"command\":\"rebuild\",\"subjects\":[{\"id\":\"\\u001b[2J\",\"verdict\":\"pass\",\"status\":\"\\u001b[2J\"}]}";
    for (name, text) in [
        ("none", ""),
        ("deep", deep.as_str()),
        (
            "other",
            "{\"format\":\"nix-verify-report\",\"version\":1,\"command\":\"inspect\",\"subjects\":[]}",
        ),
        ("bytes", "\u{fffd}\u{0}"),
    ] {
        std::fs::write(scene.path(name), text).unwrap();
        let outcome = rebuild(&scene, &made, &["--baseline", name]);
        assert_eq!(outcome.code, Some(2), "{name}: {}", outcome.said);
        assert!(outcome.said.contains("baseline"), "{name}: {}", outcome.said);
        assert!(!scene.path("state").exists(), "{name}");
    }
    assert_eq!(rebuild(&scene, &made, &["--baseline", "missing"]).code, Some(2));
    // Nothing in it reaches a report raw.
    std::fs::write(scene.path("raw"), forged).unwrap();
    let outcome = rebuild(&scene, &made, &["--baseline", "raw"]);
    assert_eq!(outcome.report["facts"]["baseline"]["gone"][0]["status"], "\u{1b}[2J");
    assert!(!outcome.bytes.contains(&0x1b));
}
