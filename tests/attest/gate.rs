//! The gate: evidence and policy before anything is activated.

use std::process::Command;

use nix_verify::attest::dsse::{Envelope, IN_TOTO};
use nix_verify::attest::material::Material;
use nix_verify::attest::rebuild::Rebuild;
use nix_verify::nix::signature::SecretKey;
use serde_json::{Value, json};

use super::scene::{DATED, GREETING, Scene, fixtures, key, rebuild_report, rules};

/// An output with a closure of three.
pub const LETTER: &str = "/nix/store/9v6rrdapz55mf7rx14b1pa4a86c8mzd7-letter-1.0";

/// A chroot store with what Nix has put there, attestations of it, and a
/// profile.
pub fn scene() -> Scene {
    let scene = Scene::with_report();
    let store = format!("local?root={}", scene.path("root").display());
    let cache = format!("file://{}", fixtures().join("cache").display());
    let copied = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command", "--store", &store])
        .args(["copy", "--no-check-sigs", "--from", &cache, LETTER, DATED])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    std::os::unix::fs::symlink(LETTER, scene.path("profile-1-link")).unwrap();
    std::os::unix::fs::symlink("profile-1-link", scene.path("profile")).unwrap();
    std::fs::create_dir(scene.path("evidence")).unwrap();
    scene.write("evidence/ci.jsonl", attestation(&[key("ci-1", 1)]));
    scene
}

fn attestation(keys: &[SecretKey]) -> String {
    let rebuild = Rebuild::of(&Material::parse(rebuild_report().as_bytes()).unwrap()).unwrap();
    let payload = rebuild.statement().unwrap().to_payload().unwrap();
    Envelope::sign(IN_TOTO, payload, keys).unwrap().to_line()
}

#[track_caller]
fn gate(scene: &Scene, target: &str, more: &[&str]) -> (i32, Value) {
    let trusted = key("ci-1", 1).public_key().to_string();
    let mut arguments = vec!["gate", target, "--local-store=root", "--trusted-key", &trusted];
    arguments.extend(["--format", "json"]);
    arguments.extend(more);
    let ran = scene.verify(&arguments);
    if ran.code == 2 {
        return (2, Value::Null);
    }
    let report = ran.json();
    super::schema::check(&report, "the report");
    assert_eq!(report["facts"]["decision"]["activate"], ran.code == 0, "{report:#}");
    (ran.code, report)
}

#[test]
fn every_path_of_the_closure_needs_evidence() {
    let scene = scene();
    for target in [LETTER, "profile"] {
        let (code, report) = gate(&scene, target, &["--evidence", "evidence", "--contents"]);
        assert_eq!(code, 0, "{report:#}");
        let paths = report["facts"]["paths"].as_array().unwrap();
        assert_eq!(paths.len(), 3);
        assert!(paths.iter().all(|path| path["status"] == "reproduced"));
        assert_eq!(report["facts"]["target"]["path"], LETTER);
    }
    // Without evidence, with evidence by nobody who is trusted, by too few.
    let (code, report) = gate(&scene, LETTER, &[]);
    assert_eq!(code, 3);
    let reasons = &report["facts"]["decision"]["reasons"];
    assert_eq!(*reasons, json!([{ "kind": "inconclusive", "code": "no-reference", "count": 3 }]));
    scene.write("other.jsonl", attestation(&[key("who-1", 5)]));
    assert_eq!(gate(&scene, LETTER, &["--evidence", "other.jsonl"]).0, 3);
    let second = format!("--trusted-key={}", key("ci-2", 2).public_key());
    let two = [second.as_str(), "--min-agree", "2", "--evidence", "evidence"];
    assert_eq!(gate(&scene, LETTER, &two).0, 3);
    scene.write("evidence/second.jsonl", attestation(&[key("ci-2", 2)]));
    assert_eq!(gate(&scene, LETTER, &two).0, 0);
    assert_eq!(gate(&scene, LETTER, &["--min-agree", "2"]).0, 2, "one key is trusted");
    // What nobody has installed, and what is no store path.
    let missing = "/nix/store/00000000000000000000000000000000-nothing";
    let (code, report) = gate(&scene, missing, &["--evidence", "evidence"]);
    assert_eq!((code, rules(&report)), (1, vec!["missing-path"]));
    assert_eq!(gate(&scene, "root", &[]).0, 2);
}

#[test]
fn what_evidence_speaks_against_is_denied() {
    let scene = scene();
    let (code, report) = gate(&scene, DATED, &["--evidence", "evidence"]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(rules(&report), ["attested-failure"]);
    // Forged and damaged evidence denies what other evidence is for.
    for (line, rule) in [
        (attestation(&[key("ci-1", 9)]), "forged-attestation"),
        ("{}\n".to_owned(), "malformed-attestation"),
    ] {
        scene.write("evidence/zzz.jsonl", line);
        let (code, report) = gate(&scene, LETTER, &["--evidence", "evidence"]);
        assert_eq!((code, rules(&report)), (1, vec![rule]));
    }
}

#[test]
fn changed_bytes_are_found() {
    let scene = scene();
    let file = scene.path("root").join(GREETING.trim_start_matches('/'));
    let there = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, [there.as_slice(), b"!"].concat()).unwrap();
    let (code, report) = gate(&scene, LETTER, &["--evidence", "evidence", "--contents"]);
    assert_eq!((code, rules(&report)), (1, vec!["modified-path"]));
    let (code, report) = gate(&scene, LETTER, &["--evidence", "evidence"]);
    assert_eq!(code, 0);
    let left_out = report["coverage"]["not_run"].as_array().unwrap();
    assert!(left_out.iter().any(|one| one["because"] == "--contents"), "said, at least");
}

#[test]
fn unsigned_reports_count_only_if_told_to() {
    let scene = scene();
    let (code, _) = gate(&scene, LETTER, &["--evidence", "rebuild.json"]);
    assert_eq!(code, 3);
    let (code, report) = gate(&scene, LETTER, &["--evidence", "rebuild.json", "--trust-reports"]);
    assert_eq!(code, 0, "{report:#}");
    // They are one witness, beside the key.
    let both = ["--evidence", "rebuild.json", "--trust-reports", "--min-agree", "2"];
    assert_eq!(gate(&scene, LETTER, &both).0, 3);
    assert_eq!(gate(&scene, LETTER, &[&both[..], &["--evidence", "evidence"]].concat()).0, 0);
    // An edited one is refused.
    scene.write(
        "rebuild.json",
        rebuild_report()
            .replace("\"holds\": true", "\"holds\": false")
            .replace("\"holds\":true", "\"holds\":false"),
    );
    assert_eq!(gate(&scene, LETTER, &["--evidence", "rebuild.json", "--trust-reports"]).0, 2);
}

const REPRODUCED: &str = r#"
format = 1
name = "all"
description = "everything is reproduced"

[[rule]]
id = "reproduced"
scope = "rebuild"
reason = "one path that differs is a place to hide in"
reproduced-percent = 100

[[rule]]
id = "signed"
scope = "rebuild"
reason = "by somebody we know"
signers = ["ci-*"]

[[rule]]
id = "passes"
scope = "rebuild"
reason = "open questions are none to us"
verdict = "pass"
"#;

#[test]
fn policies_decide_about_the_closure() {
    let scene = scene();
    scene.write("all.toml", REPRODUCED);
    let with = |more: &[&str]| gate(&scene, LETTER, &[&["--policy", "all.toml"], more].concat());
    let (code, report) = with(&["--evidence", "evidence"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["facts"]["rules"].as_array().unwrap().len(), 3);
    // Missing evidence denies.
    let (code, report) = with(&[]);
    assert_eq!(code, 1);
    assert!(rules(&report).contains(&"policy-denied"), "{report:#}");
    // A rule about what was not given denies.
    scene.write(
        "lock.toml",
        REPRODUCED
            .replace("scope = \"rebuild\"", "scope = \"lock\"")
            .replace("reproduced-percent = 100", "locked = true"),
    );
    let (code, report) = gate(&scene, LETTER, &["--policy", "lock.toml", "--evidence", "evidence"]);
    assert_eq!(code, 1);
    assert!(rules(&report).contains(&"missing-evidence"), "{report:#}");
    // Those that are built in are there too (this one holds locks to account),
    // and one name means one policy.
    let (code, report) = with(&["--policy", "baseline", "--evidence", "evidence"]);
    let names = report["facts"]["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap());
    assert_eq!((code, names.collect::<Vec<_>>()), (1, vec!["all", "baseline"]), "{report:#}");
    scene.write("again.toml", REPRODUCED.replace("reproduced-percent = 100", "verdict = \"pass\""));
    assert_eq!(with(&["--policy", "again.toml", "--evidence", "evidence"]).0, 2);
    // What nothing asks of is not read in vain.
    let vain = ["--evidence", "evidence", "--baseline", "rebuild.json"];
    assert_eq!(gate(&scene, LETTER, &vain).0, 2);
    // A misspelt policy is none.
    scene.write("all.toml", REPRODUCED.replace("reproduced-percent", "reproduced-precent"));
    assert_eq!(with(&["--evidence", "evidence"]).0, 2);
}

/// What is not read could speak against the target.
#[test]
fn evidence_is_read_to_its_end_or_refused() {
    let scene = scene();
    scene.write("many.jsonl", "{}\n".repeat(100_001));
    assert_eq!(gate(&scene, LETTER, &["--evidence", "many.jsonl"]).0, 2);
}

/// Evidence of another system says nothing of this one.
#[test]
fn foreign_bills_of_materials_are_denied() {
    let scene = scene();
    scene.write("all.toml", REPRODUCED);
    let bill = |path: &str, hash: &str| {
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "component": {
                "type": "application", "name": "letter", "bom-ref": "root",
                "properties": [
                    { "name": "nix:store_path", "value": path },
                    { "name": "nix:narinfo:nar_hash", "value": hash },
                ],
            } },
            "components": [],
        })
        .to_string()
    };
    let (_, report) = gate(&scene, LETTER, &["--evidence", "evidence"]);
    let own = report["facts"]["target"]["nar_hash"].as_str().unwrap();
    let other = "sha256:0000000000000000000000000000000000000000000000000000";
    let more = ["--policy", "all.toml", "--evidence", "evidence"];
    for (hash, signed, code) in
        [(own, true, 0), (own, false, 0), (other, true, 1), (other, false, 1)]
    {
        scene.write("bill.json", bill(LETTER, hash));
        if signed {
            let make = ["attest", "make", "bill.json", "--key", "ci.secret", "--output"];
            let ran = scene.verify(&[&make[..], &["bill.jsonl", "--quiet"]].concat());
            assert_eq!(ran.code, 0, "{}", ran.err);
        }
        let file = if signed { "bill.jsonl" } else { "bill.json" };
        let mut arguments = [&more[..], &["--evidence", file]].concat();
        if !signed {
            arguments.push("--trust-reports");
        }
        let (got, report) = gate(&scene, LETTER, &arguments);
        assert_eq!(got, code, "{hash} {signed}: {report:#}");
        assert_eq!(rules(&report).contains(&"foreign-evidence"), code == 1);
    }
}

/// What a gate came to, signed as a SLSA verification summary.
#[test]
fn the_outcome_of_a_gate_can_be_attested() {
    let scene = scene();
    scene.write("all.toml", REPRODUCED);
    for (evidence, code, result) in [("evidence", 0, "PASSED"), ("ci.secret", 1, "FAILED")] {
        // A key is no evidence: it is taken for a damaged attestation.
        let more = ["--policy", "all.toml", "--evidence", evidence, "--output", "gate.json"];
        let trusted = key("ci-1", 1).public_key().to_string();
        let gate = ["gate", LETTER, "--local-store=root", "--trusted-key", &trusted];
        let ran = scene.verify(&[&gate[..], &["--format", "json"], &more].concat());
        assert_eq!(ran.code, code, "{}", ran.err);
        let make = ["attest", "make", "gate.json", "--key", "ci.secret", "--predicate", "vsa"];
        let ran = scene.verify(&[&make[..], &["--output", "vsa.jsonl", "--quiet"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let (got, report) = scene.check("vsa.jsonl", &[]);
        assert_eq!(got, code, "{report:#}");
        let statement = &report["facts"]["statements"][0];
        assert_eq!(statement["predicate_type"], "https://slsa.dev/verification_summary/v1");
        assert_eq!(report["facts"]["subjects"][0]["name"], LETTER);
        let line: Value = serde_json::from_str(&scene.read("vsa.jsonl")).unwrap();
        let payload = {
            use base64::Engine as _;
            let text = line["payload"].as_str().unwrap();
            base64::engine::general_purpose::STANDARD.decode(text).unwrap()
        };
        let predicate = &serde_json::from_slice::<Value>(&payload).unwrap()["predicate"];
        assert_eq!(predicate["verificationResult"], result);
        let policy = nix_verify::attest::statement::Digest::of(REPRODUCED.as_bytes()).to_string();
        assert_eq!(predicate["policy"]["digest"]["sha256"], policy);
        // A failed run over this very content denies it from then on.
        let (after, report) =
            self::gate(&scene, LETTER, &["--evidence", "evidence", "--evidence", "vsa.jsonl"]);
        assert_eq!(after, code, "{report:#}");
    }
    // A run without a policy has no such summary.
    let (_, report) = gate(&scene, LETTER, &["--evidence", "evidence"]);
    scene.write("gate.json", report.to_string());
    let ran = scene.verify(&["attest", "make", "gate.json", "--key", "ci.secret"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}
