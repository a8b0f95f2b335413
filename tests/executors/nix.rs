//! `--executor nix`: the same judgement over what real Nix builds.

use std::path::Path;
use std::process::Command;

use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::Output;
use nix_verify::nix::hash::HashAlgorithm;

use super::workshop::{NOBODY, ROOT, Workshop};

fn workshop() -> Option<Workshop> {
    let installed = Command::new("nix-store").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no nix-store");
        return None;
    }
    Workshop::new()
}

const NIX: [&str; 2] = ["--executor", "nix"];

#[test]
fn what_nix_builds_is_judged_like_what_we_build() {
    let Some(workshop) = workshop() else { return };
    let good = workshop.script("good", "echo good > $out; echo said");
    let bad = workshop.script("bad", "echo bad > $out");
    let failing = workshop.script("failing", "echo oh no; exit 3");
    workshop.claim_text(good.out(), "good\n");
    workshop.claim_text(bad.out(), "other\n");
    for user in [ROOT, NOBODY] {
        let outcome = workshop.rebuild(user, &good, &NIX);
        outcome.assert(0, "reproduced");
        assert_eq!(outcome.report["run"]["executor"], "nix");
        assert_eq!(outcome.report["facts"]["canary"]["holds"], true);
        assert!(outcome.log().contains("said"), "{}", outcome.log());
        let differences = outcome.report["facts"]["sandbox"]["differences"].to_string();
        assert!(differences.contains("built by nix-store (Nix) 2"), "{differences}");

        let outcome = workshop.rebuild(user, &bad, &NIX);
        outcome.assert(1, "differs");
        assert_eq!(outcome.rules(), ["output-differs"]);

        let outcome = workshop.rebuild(user, &failing, &NIX);
        outcome.assert(3, "build-failed");
        assert!(outcome.details().contains("exit status 100"), "{}", outcome.details());
    }
}

/// Inputs that are derivations are there, proven, and not built again.
#[test]
fn inputs_come_from_where_ours_come_from() {
    let Some(workshop) = workshop() else { return };
    // It would build, and give something else than is claimed of it.
    let input = workshop.script("input", "echo built > $out");
    workshop.claim_text(input.out(), "claimed\n");
    let shell = format!("/nix/store/{}/bin/sh", workshop.tools);
    let read = format!("cat /nix/store/{} > $out", input.out());
    let made = workshop.make_on("target", &shell, &["-c", &read], &input);
    workshop.claim_text(made.out(), "claimed\n");
    for options in [&NIX[..], &[]] {
        workshop.rebuild(ROOT, &made, options).assert(0, "reproduced");
    }
}

#[test]
fn nothing_of_nix_or_its_builders_outlives_a_limit() {
    let Some(workshop) = workshop() else { return };
    let mark = "54321.125";
    let made = workshop.script("sleeper", &format!("(sleep {mark} &); sleep {mark}"));
    workshop.claim_text(made.out(), "x\n");
    let outcome = workshop.rebuild(ROOT, &made, &["--executor", "nix", "--timeout", "5"]);
    outcome.assert(3, "limit-reached");
    let alive = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    });
    assert_eq!(alive.count(), 0);
    let builds = workshop.state(ROOT).join("s/builds");
    assert_eq!(std::fs::read_dir(builds).unwrap().count(), 0);
    if workshop.has_attacks() {
        let bomb = workshop.attack("bomb", &["bomb"]);
        let options = ["--executor", "nix", "--max-processes", "80"];
        workshop.rebuild(ROOT, &bomb, &options).assert(3, "limit-reached");
    }
}

#[test]
fn without_nix_it_is_said_what_to_do() {
    let Some(workshop) = Workshop::new() else { return };
    if ["/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin", "/usr/local/bin"]
        .iter()
        .any(|place| Path::new(place).join("nix-store").exists())
    {
        return;
    }
    let made = workshop.script("plain", "echo x > $out");
    let outcome = workshop.rebuild_with_path("/nowhere", &made, &NIX);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("install Nix"), "{}", outcome.stderr);
}

/// Rounds work with Nix too, though it varies less.
#[test]
fn rounds_with_nix() {
    let Some(workshop) = workshop() else { return };
    let made = workshop.script("luck", "echo $NIX_BUILD_CORES > $out");
    workshop.claim_text(made.out(), "3\n");
    let options = ["--executor", "nix", "--cores", "3", "--rounds", "2"];
    workshop.rebuild(ROOT, &made, &options).assert(1, "unstable");
}

/// Outputs that follow from their content are not Nix's business here, and a
/// plan says so too.
#[test]
fn content_addressed_outputs_are_inconclusive() {
    let Some(workshop) = workshop() else { return };
    let shell = format!("/nix/store/{}/bin/sh", workshop.tools);
    let floating = workshop.make("floating", &shell, &["-c", "echo > $out"], |derivation| {
        let output =
            Output::FloatingCa { method: Method::Recursive, algorithm: HashAlgorithm::Sha256 };
        derivation.outputs.insert("out".to_owned(), output);
    });
    for options in [&NIX[..], &["--executor", "nix", "--plan"]] {
        let outcome = workshop.rebuild(ROOT, &floating, options);
        outcome.assert(3, "unsupported");
        assert!(outcome.details().contains("--executor nix"), "{}", outcome.details());
    }
}

/// A fixed output is got by its hash whoever builds, and what its derivation is
/// built on need not be there.
#[test]
fn fixed_outputs_are_inputs_like_any_other() {
    let Some(workshop) = workshop() else { return };
    let fetcher = workshop.script("fetcher", "echo never built > $out");
    let fixed = workshop.fixed("fixed", "fixed\n", &fetcher);
    workshop.claim_text(fixed.out(), "fixed\n");
    let shell = format!("/nix/store/{}/bin/sh", workshop.tools);
    let read = format!("cat /nix/store/{} > $out", fixed.out());
    let made = workshop.make_on("reads-fixed", &shell, &["-c", &read], &fixed);
    workshop.claim_text(made.out(), "fixed\n");
    std::fs::remove_file(workshop.path().join(fetcher.drv_path.to_string())).unwrap();
    for options in [&NIX[..], &[]] {
        workshop.rebuild(ROOT, &made, options).assert(0, "reproduced");
        let outcome = workshop.rebuild(ROOT, &fixed, &[options, &["--rounds", "2"]].concat());
        outcome.assert(0, "fixed-by-hash");
        let left = outcome.report["coverage"]["not_run"].to_string();
        assert!(left.contains("stable, of 1 fixed outputs"), "{left}");
    }
}
