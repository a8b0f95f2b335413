//! `--rounds`: stable, or never the same twice, and what of it a cache claims.

use std::path::Path;

use serde_json::Value;

use super::workshop::{NOBODY, ROOT, Workshop};

#[test]
fn what_is_the_same_every_time_is_stable() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("stable", "echo always > $out");
    workshop.claim_text(made.out(), "always\n");
    for user in [ROOT, NOBODY] {
        let outcome = workshop.rebuild(user, &made, &["--rounds", "3"]);
        outcome.assert(0, "reproduced");
        let derivation = &outcome.report["facts"]["derivations"][0];
        let stability = &derivation["outputs"]["out"]["stability"];
        assert_eq!(stability.to_string(), r#"{"builds":3,"results":1,"stable":true}"#);
        let rounds = derivation["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2);
        let varied = rounds[0]["varied"].to_string();
        for what in ["cores", "user range", "/build in memory", "random order"] {
            assert!(varied.contains(what), "{varied}");
        }
        assert_eq!(outcome.report["coverage"]["asked"], 2);
    }
    workshop.claim_text(made.out(), "other\n");
    let outcome = workshop.rebuild(ROOT, &made, &["--rounds", "2"]);
    outcome.assert(1, "differs");
    assert_eq!(outcome.rules(), ["output-differs"]);
}

/// Each of these depends on something that rounds vary.
#[test]
fn what_depends_on_its_surroundings_is_not() {
    let Some(workshop) = Workshop::new() else { return };
    let many = workshop.path().join("many");
    std::fs::create_dir(&many).unwrap();
    for number in 0..40 {
        std::fs::write(many.join(format!("file-{number}")), "x").unwrap();
    }
    let many = workshop.publish_source(&many, "many");
    let list = "busybox find . -type f > $out";
    for (name, class, script) in [
        ("time", "timestamp", "date > $out".to_owned()),
        ("cores", "build-host", "echo made by 17 of $NIX_BUILD_CORES cores > $out".to_owned()),
        ("random", "randomness", "cat /proc/sys/kernel/random/uuid > $out".to_owned()),
        (
            "build-order",
            "ordering",
            format!("for n in $(busybox seq 40); do : > f-$n; done; {list}"),
        ),
        ("input-order", "ordering", format!("cd /nix/store/{many}; {list}")),
    ] {
        let shell = format!("/nix/store/{}/bin/sh", workshop.tools);
        let made = workshop.make(name, &shell, &["-c", &script], |derivation| {
            derivation.input_srcs.insert(many.clone());
        });
        workshop.claim_text(made.out(), "claimed\n");
        let outcome = workshop.rebuild(ROOT, &made, &["--rounds", "2"]);
        outcome.assert(1, "differs");
        assert!(outcome.rules().contains(&"unstable-output"), "{name}: {:?}", outcome.rules());
        let findings = outcome.report["findings"].to_string();
        assert!(findings.contains("never the same twice"), "{name}: {findings}");
        assert!(findings.contains("in round 0"), "{name}: {findings}");
        let stability = &outcome.report["facts"]["derivations"][0]["outputs"]["out"]["stability"];
        assert_eq!(stability["unlike"]["round"], 1, "{name}: {stability}");
        let found = &stability["unlike"]["difference"]["class"];
        assert_eq!(found, class, "{name}: {stability}");
        // Both are kept, beside what is claimed and ours.
        let kept = outcome.report["run"]["differences"].as_array().unwrap();
        let rounds = kept.iter().find(|one| one["source"] == "rounds 0 and 1").unwrap();
        for side in ["first_nar", "second_nar"] {
            assert!(Path::new(rounds[side].as_str().unwrap()).is_file(), "{name}: {rounds}");
        }
    }
}

/// A claim that one round confirms is no pass: it was luck.
#[test]
fn a_claim_that_one_round_confirms_is_no_pass() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("luck", "echo $NIX_BUILD_CORES > $out");
    workshop.claim_text(made.out(), "3\n");
    workshop.rebuild(ROOT, &made, &["--cores", "3"]).assert(0, "reproduced");
    let outcome = workshop.rebuild(ROOT, &made, &["--cores", "3", "--rounds", "4"]);
    outcome.assert(1, "unstable");
    let finding = &outcome.report["findings"][0];
    assert_eq!(finding["message"], "4 builds gave 3 results: rounds 0, 3 | round 1 | round 2");
    assert!(finding["evidence"].to_string().contains("what rounds 0, 3 gave"), "{finding}");
}

/// A round that gives nothing leaves the question open.
#[test]
fn a_round_that_fails_is_inconclusive() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("moody", "[ $NIX_BUILD_CORES = 3 ] && echo x > $out");
    workshop.claim_text(made.out(), "x\n");
    let outcome = workshop.rebuild(ROOT, &made, &["--cores", "3", "--rounds", "2"]);
    outcome.assert(3, "build-failed");
    assert_eq!(outcome.report["findings"].as_array().map(Vec::len), Some(0));
    assert!(outcome.details().contains("round 1"), "{}", outcome.details());
    let open = outcome.report["coverage"]["inconclusive"][0]["check"].as_str();
    assert_eq!(open, Some("stable"));
    assert_ne!(outcome.report["verdict"], Value::from("pass"));
}
