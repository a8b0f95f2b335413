//! Every node on its inputs as claimed; our own chain apart from that.

use super::scene::{Made, Scene};

/// A chain `a <- b <- c <- d`, where `b` copies `a`, `c` copies `b`, and `d`
/// writes a line of its own.
fn chain(scene: &mut Scene) -> [Made; 4] {
    let a = scene.derivation("a", &[">out", "a"], &[]);
    let b = scene.derivation("b", &[">out", &a.copied(), "b"], &[&a]);
    let c = scene.derivation("c", &[">out", &b.copied(), "c"], &[&b]);
    let d = scene.derivation("d", &[">out", "d"], &[&c]);
    [a, b, c, d]
}

#[test]
fn a_closure_that_reproduces_passes_whole() {
    let mut scene = Scene::new();
    let [a, b, c, d] = chain(&mut scene);
    for (made, content) in [(&a, "a\n"), (&b, "a\nb\n"), (&c, "a\nb\nc\n"), (&d, "d\n")] {
        scene.publish(made, content);
    }
    let alone = scene.rebuild(&[&d], &[]);
    assert_eq!(alone.report["subjects"].as_array().unwrap().len(), 1);
    let outcome = scene.rebuild(&[&d], &["--closure"]);
    assert_eq!(outcome.code, 0, "{:#}", outcome.report);
    for made in [&a, &b, &c, &d] {
        assert_eq!((outcome.status(made), outcome.chain(made)), ("reproduced", "same"));
    }
    assert_eq!(outcome.facts(&d)["role"], "target");
    assert_eq!(outcome.facts(&a)["role"], "closure");
    let rate = &outcome.report["facts"]["rate"];
    assert_eq!((&rate["reproduced"], &rate["judged"]), (&4.into(), &4.into()));
}

/// The cache holds a chain that began with another `a`: `a` alone is to blame.
#[test]
fn a_divergence_is_blamed_on_the_node_it_begins_at() {
    let mut scene = Scene::new();
    let [a, b, c, d] = chain(&mut scene);
    for (made, content) in [(&a, "A\n"), (&b, "A\nb\n"), (&c, "A\nb\nc\n"), (&d, "d\n")] {
        scene.publish(made, content);
    }
    let outcome = scene.rebuild(&[&d], &["--closure"]);
    assert_eq!(outcome.code, 1, "{:#}", outcome.report);
    for (made, status, chain) in [
        (&a, "differs", "same"),
        (&b, "reproduced", "differs"),
        (&c, "reproduced", "differs"),
        (&d, "reproduced", "absorbed"),
    ] {
        assert_eq!((outcome.status(made), outcome.chain(made)), (status, chain));
    }
    assert_eq!(outcome.divergent(), ["a.drv 0 3/1"]);
    assert_eq!(outcome.rules(), ["output-differs"]);
    let again = &outcome.facts(&b)["chain"];
    assert_eq!(again["diverged_inputs"][0], format!("/nix/store/{}", a.out()));
    assert_eq!(again["outputs"]["out"]["result"], "differs");
    // Why it does is looked into: ours begins with another letter.
    let difference = &again["outputs"]["out"]["difference"];
    assert_eq!(difference["entries"][0]["bytes"]["claimed"]["text"], "A.b.", "{difference}");
    assert_eq!(difference["entries"][0]["bytes"]["ours"]["text"], "a.b.", "{difference}");
    assert!(outcome.facts(&d)["chain"]["outputs"]["out"].get("difference").is_none());
    assert_eq!(scene.rebuild(&[&d], &["--closure"]).bytes, outcome.bytes);
}

/// What is above an absorbed difference stands on nothing that diverged.
#[test]
fn an_absorbed_difference_is_not_handed_on() {
    let mut scene = Scene::new();
    let [a, b, c, d] = chain(&mut scene);
    let e = scene.derivation("e", &[">out", &d.copied()], &[&d]);
    for (made, content) in
        [(&a, "A\n"), (&b, "A\nb\n"), (&c, "A\nb\nc\n"), (&d, "d\n"), (&e, "d\n")]
    {
        scene.publish(made, content);
    }
    let outcome = scene.rebuild(&[&e], &["--closure"]);
    assert_eq!((outcome.chain(&d), outcome.chain(&e)), ("absorbed", "same"));
}

#[test]
fn several_divergences_are_ranked_and_none_hides_another() {
    let mut scene = Scene::new();
    let [a, b, c, d] = chain(&mut scene);
    let lonely = scene.derivation("lonely", &[">out", "x"], &[&a]);
    let top = scene.derivation("top", &[">out", "t"], &[&lonely]);
    for (made, content) in
        [(&a, "a\n"), (&b, "B\n"), (&c, "B\nC\n"), (&d, "d\n"), (&lonely, "y\n"), (&top, "t\n")]
    {
        scene.publish(made, content);
    }
    let outcome = scene.rebuild(&[&d, &top], &["--closure"]);
    assert_eq!(outcome.divergent(), ["b.drv 0 2/1", "lonely.drv 0 1/1", "c.drv 1 1/1"]);
    // On our own `b` it is otherwise still.
    assert_eq!((outcome.status(&c), outcome.chain(&c)), ("differs", "differs"));
    assert_eq!(outcome.chain(&top), "absorbed");
}

/// The claim about `a` is there, its content is not: there is no claimed input
/// to judge `b` by.
#[test]
fn without_the_claimed_input_a_node_is_blocked_by_the_one_that_diverged() {
    let mut scene = Scene::new();
    let [a, b, _, _] = chain(&mut scene);
    scene.publish(&a, "A\n");
    scene.publish(&b, "A\nb\n");
    scene.lose(&a);
    let outcome = scene.rebuild(&[&b], &["--closure"]);
    assert_eq!((outcome.status(&a), outcome.status(&b)), ("differs", "blocked-by"));
    let open = &outcome.report["coverage"]["inconclusive"][0]["detail"];
    assert!(open.as_str().unwrap().contains(&a.drv_path.to_string()), "{open}");
    assert_eq!(outcome.report["facts"]["rate"]["judged"], 1);
}

#[test]
fn a_node_that_fails_breaks_our_own_chain_and_nothing_else() {
    let mut scene = Scene::new();
    let a = scene.derivation("a", &[">out", "<missing"], &[]);
    let b = scene.derivation("b", &[">out", &a.copied()], &[&a]);
    let c = scene.derivation("c", &[">out", &b.copied()], &[&b]);
    for made in [&a, &b, &c] {
        scene.publish(made, "a\n");
    }
    let outcome = scene.rebuild(&[&c], &["--closure"]);
    assert_eq!(outcome.code, 3, "{:#}", outcome.report);
    for (made, status, chain) in [
        (&a, "build-failed", "-"),
        (&b, "reproduced", "not-built"),
        (&c, "reproduced", "not-built"),
    ] {
        assert_eq!((outcome.status(made), outcome.chain(made)), (status, chain));
    }
    let failure = &outcome.facts(&c)["chain"]["failure"];
    assert_eq!(failure["reason"], "blocked-by");
    assert!(failure["detail"].as_str().unwrap().contains(&a.drv_path.to_string()), "{failure}");
}

/// What nobody claims is read as we built it, on what is claimed below.
#[test]
fn what_nobody_claims_has_no_verdict_and_still_a_chain() {
    let mut scene = Scene::new();
    let [a, b, c, _] = chain(&mut scene);
    scene.publish(&a, "A\n");
    scene.publish(&c, "A\nb\nc\n");
    let outcome = scene.rebuild(&[&c], &["--closure"]);
    for (made, status, chain) in
        [(&a, "differs", "same"), (&b, "no-reference", "differs"), (&c, "reproduced", "differs")]
    {
        assert_eq!((outcome.status(made), outcome.chain(made)), (status, chain));
    }
}

/// Fixed outputs are where a closure begins: whatever fetched them is no part.
#[test]
fn a_closure_begins_with_fixed_outputs() {
    let mut scene = Scene::new();
    let fetcher = scene.derivation("fetcher", &[">out", "f"], &[]);
    let source = scene.fixed("source", b"s\n", &[&fetcher]);
    let lost = scene.fixed("lost", b"l\n", &[]);
    let made = scene.derivation("made", &[">out", &source.copied()], &[&source]);
    let other = scene.derivation("other", &[">out", &lost.copied()], &[&lost]);
    scene.publish(&source, "s\n");
    scene.publish(&made, "s\n");
    let outcome = scene.rebuild(&[&made], &["--closure"]);
    assert_eq!(outcome.code, 0, "{:#}", outcome.report);
    assert_eq!((outcome.status(&source), outcome.status(&made)), ("fixed-by-hash", "reproduced"));
    let facts = &outcome.report["facts"];
    assert_eq!((&facts["fetchers"], &facts["rate"]["fixed"]), (&1.into(), &1.into()));
    assert_eq!((&facts["rate"]["judged"], &facts["rate"]["reproduced"]), (&1.into(), &1.into()));
    let left_out = outcome.report["coverage"]["not_run"].to_string();
    assert!(left_out.contains("1 derivations that only help to fetch"), "{left_out}");

    let outcome = scene.rebuild(&[&other], &["--closure"]);
    assert_eq!(outcome.code, 3, "{:#}", outcome.report);
    assert_eq!((outcome.status(&lost), outcome.status(&other)), ("offline", "offline"));
}

#[test]
fn outputs_that_never_stood_beside_each_other_are_named() {
    let mut scene = Scene::new();
    let mixed = scene.with_outputs("mixed", &["out", "lib"], &[">lib", "l", ">out", "o"], &[]);
    let [out, lib] = ["out", "lib"].map(|output| &mixed.outputs[output]);
    scene.publish_in("cache", out, "o\n", &[]);
    scene.publish_in("cache", lib, "other\n", &[]);
    assert_eq!(scene.rebuild(&[&mixed], &[]).rules(), ["output-differs"]);
    scene.add_cache("other");
    scene.publish_in("other", lib, "l\n", &[]);
    assert_eq!(scene.rebuild(&[&mixed], &[]).rules(), ["output-differs", "mixed-siblings"]);

    scene.publish_in("cache", lib, "l\n", &[out]);
    scene.publish_in("cache", out, "o\n", &[lib]);
    let outcome = scene.rebuild(&[&mixed], &[]);
    let circle = outcome.report["findings"].to_string();
    assert!(circle.contains("lib -> out -> lib"), "{circle}");
}
