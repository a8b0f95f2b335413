//! Limits, hardening and the canary as a report shows them.

use super::workshop::{NOBODY, ROOT, Workshop};

#[test]
fn the_report_says_what_held_each_limit() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("plain", "echo x > $out");
    workshop.claim_text(made.out(), "x\n");
    for user in [ROOT, NOBODY] {
        let outcome = workshop.rebuild(user, &made, &["--max-processes", "77"]);
        outcome.assert(0, "reproduced");
        let limits = &outcome.report["run"]["limits"];
        assert_eq!(limits["processes"]["limit"], 77);
        for what in ["processes", "memory", "disk"] {
            let by = limits[what]["by"].as_str().unwrap();
            assert!(matches!(by, "cgroup" | "rlimit" | "watched"), "{what}: {by}");
            assert!(limits[what]["limit"].as_u64().unwrap() > 0);
        }
        let canary = outcome.report["facts"]["canary"].to_string();
        assert_eq!(canary, r#"{"holds":true,"random":"differs","same":"reproduced"}"#);
    }
}

/// The canary needs no shell, and the builder none either.
#[test]
fn the_canary_needs_nothing_of_the_machine() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("plain", "echo x > $out");
    workshop.claim_text(made.out(), "x\n");
    for world in ["nix-2.8", "nix-2.18", "nix-2.24", "nix-2.31", "nix-2.35"] {
        let outcome = workshop.rebuild(ROOT, &made, &["--shell", "none", "--world", world]);
        outcome.assert(0, "reproduced");
        assert_eq!(outcome.report["facts"]["canary"]["holds"], true);
    }
}

#[test]
fn hardening_is_said_to_be_a_difference() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("plain", "echo x > $out");
    workshop.claim_text(made.out(), "x\n");
    for user in [ROOT, NOBODY] {
        let outcome = workshop.rebuild(user, &made, &["--hardened"]);
        outcome.assert(0, "reproduced");
        let differences = outcome.report["facts"]["sandbox"]["differences"].to_string();
        assert!(differences.contains("hardened: tracing"), "{differences}");
    }
    let outcome = workshop.rebuild(ROOT, &made, &["--hardened", "--executor", "nix"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("--hardened"), "{}", outcome.stderr);
}

#[test]
fn there_is_always_a_limit_on_processes() {
    let Some(workshop) = Workshop::new() else { return };
    let made = workshop.script("plain", "echo x > $out");
    let outcome = workshop.rebuild(ROOT, &made, &["--max-processes", "0"]);
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}
