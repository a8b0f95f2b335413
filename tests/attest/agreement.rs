//! How many agree, who counts, and what speaks against.

use std::collections::BTreeSet;

use nix_verify::attest::dsse::{Envelope, IN_TOTO};
use nix_verify::attest::material::Material;
use nix_verify::attest::rebuild::Rebuild;
use nix_verify::attest::statement::Statement;
use nix_verify::check::Verdict;
use nix_verify::nix::hash::NarHash;
use nix_verify::nix::signature::SecretKey;
use serde_json::{Value, json};

use super::scene::{GREETING, Scene, key, rebuild_report, rules, subject};

/// Something done to a statement.
type Edit = Box<dyn Fn(&mut Statement)>;

fn rebuild() -> Rebuild {
    Rebuild::of(&Material::parse(rebuild_report().as_bytes()).unwrap()).unwrap()
}

fn signed(statement: &Statement, keys: &[SecretKey]) -> String {
    Envelope::sign(IN_TOTO, statement.to_payload().unwrap(), keys).unwrap().to_line()
}

/// The greeting alone.
fn greeting() -> Rebuild {
    let mut rebuild = rebuild();
    rebuild.derivations.retain(|one| {
        one.outputs
            .values()
            .any(|output| output.path.as_ref().is_some_and(|path| path.to_string() == GREETING))
    });
    assert_eq!(rebuild.derivations.len(), 1);
    rebuild.findings.clear();
    rebuild.verdict.result = Verdict::Pass;
    rebuild
}

/// The greeting as somebody got it who got something else.
fn other_greeting(equal: bool) -> Rebuild {
    let mut rebuild = greeting();
    for output in rebuild.derivations[0].outputs.values_mut() {
        let contents = output.contents.as_mut().unwrap();
        contents.nar_hash = NarHash::from_digest([7; 32]);
        for claim in &mut output.claims {
            claim.equal = Some(equal);
            if equal {
                claim.contents.as_mut().unwrap().nar_hash = contents.nar_hash;
            }
        }
        if !equal {
            output.verdict = Verdict::Fail;
            output.status = "differs".to_owned();
        }
    }
    rebuild
}

fn trusted(keys: &[SecretKey]) -> Vec<String> {
    keys.iter().map(|key| format!("--trusted-key={}", key.public_key())).collect()
}

fn run(scene: &Scene, keys: &[SecretKey], more: &[&str]) -> (i32, Value) {
    let trusted = trusted(keys);
    let mut arguments = vec!["attest", "verify", "a.jsonl", "--format", "json"];
    arguments.extend(trusted.iter().map(String::as_str));
    arguments.extend(more);
    let ran = scene.verify(&arguments);
    let report = ran.json();
    super::schema::check(&report, "the report");
    (ran.code, report)
}

#[test]
fn k_of_n_counts_keys() {
    let scene = Scene::new();
    let keys = [key("a-1", 1), key("b-1", 2), key("c-1", 3)];
    let statement = greeting().statement().unwrap();
    let two = signed(&statement, &keys[..1]) + &signed(&statement, &keys[1..2]);
    scene.write("a.jsonl", &two);
    for (count, code) in [("1", 0), ("2", 0), ("3", 3)] {
        let (got, report) = run(&scene, &keys, &["--min-agree", count]);
        assert_eq!(got, code, "{count}");
        assert_eq!(subject(&report, GREETING)["attested_by"], json!(["a-1", "b-1"]));
    }
    // Both on one envelope are the same; one key twice is one.
    scene.write("a.jsonl", signed(&statement, &keys[..2]));
    assert_eq!(run(&scene, &keys, &["--min-agree", "2"]).0, 0);
    scene.write("a.jsonl", signed(&statement, &keys[..1]).repeat(2));
    assert_eq!(run(&scene, &keys, &["--min-agree", "2"]).0, 3);
    // One key under two names is one.
    let names = [key("a-1", 1), key("z-9", 1), key("b-1", 2)];
    scene.write("a.jsonl", signed(&statement, &names[..2]));
    assert_eq!(run(&scene, &names, &["--min-agree", "2"]).0, 3);
    // More than there are keys cannot be meant.
    let ran = scene.verify(&["attest", "verify", "a.jsonl", "--min-agree", "2"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}

#[test]
fn operators_count_once_and_re_signers_never() {
    let scene = Scene::new();
    let keys = [key("a-1", 1), key("a-2", 2), key("proxy-1", 3), key("b-1", 4)];
    let public: Vec<String> = keys.iter().map(|key| key.public_key().to_string()).collect();
    scene.write(
        "operators.toml",
        format!(
            "version = 1\n[[operator]]\nname = \"a\"\nkeys = [\"{}\", \"{}\"]\n[[operator]]\nname = \"proxy\"\nrole = \"re-signer\"\nkeys = [\"{}\"]\n[[operator]]\nname = \"b\"\nkeys = [\"{}\"]\n",
            public[0], public[1], public[2], public[3]
        ),
    );
    let statement = greeting().statement().unwrap();
    let asked = ["--operators", "operators.toml", "--min-agree", "2"];
    scene.write("a.jsonl", signed(&statement, &keys[..3]));
    let (code, report) = run(&scene, &[], &asked);
    assert_eq!(code, 3);
    assert_eq!(subject(&report, GREETING)["attested_by"], json!(["a"]));
    scene.write("a.jsonl", signed(&statement, &keys));
    assert_eq!(run(&scene, &[], &asked).0, 0);
}

#[test]
fn statements_that_contradict_each_other_fail() {
    let keys = [key("a-1", 1), key("b-1", 2), key("c-1", 3)];
    let good = greeting().statement().unwrap();
    for equal in [true, false] {
        let scene = Scene::new();
        let bad = other_greeting(equal);
        let bad = Rebuild { findings: Vec::new(), ..bad };
        let bad = signed(&bad.statement().unwrap(), &keys[2..]);
        // Two for it do not outvote one against.
        let lines = signed(&good, &keys[..1]) + &signed(&good, &keys[1..2]) + &bad;
        scene.write("a.jsonl", lines);
        let (code, report) = run(&scene, &keys, &["--min-agree", "2"]);
        assert_eq!(code, 1, "{report:#}");
        assert!(rules(&report).contains(&"attestations-disagree"), "{report:#}");
        // Neither does it help to ask about the one that two agree on.
        let (code, _) = run(&scene, &keys, &["--subject", GREETING]);
        assert_eq!(code, 1);
        // Whom nobody trusts cannot spoil it.
        let (code, _) = run(&scene, &keys[..2], &["--subject", GREETING, "--min-agree", "2"]);
        assert_eq!(code, 0);
    }
}

#[test]
fn what_is_asked_and_absent_is_inconclusive() {
    let scene = Scene::new();
    let keys = [key("a-1", 1)];
    scene.write("a.jsonl", signed(&greeting().statement().unwrap(), &keys));
    let missing = "/nix/store/00000000000000000000000000000000-nothing";
    let (code, report) = run(&scene, &keys, &["--subject", missing]);
    assert_eq!(code, 3);
    assert_eq!(report["coverage"]["inconclusive"][0]["reason"], "no-reference");
    // Another kind of statement is none.
    let (code, _) = run(&scene, &keys, &["--subject", GREETING, "--predicate", "vsa"]);
    assert_eq!(code, 3);
    // No key, no answer.
    let (code, report) = run(&scene, &[], &[]);
    assert_eq!(code, 3);
    assert_eq!(report["facts"]["statements"][0]["standing"], "untrusted");
    let (code, report) = run(&scene, &[key("a-1", 9)], &[]);
    assert_eq!((code, rules(&report)), (1, vec!["forged-attestation"]));
    // An empty file is no attestation.
    scene.write("a.jsonl", "");
    let (code, report) = run(&scene, &keys, &[]);
    assert_eq!((code, rules(&report)), (1, vec!["malformed-attestation"]));
}

#[test]
fn another_content_than_the_one_asked_about_fails() {
    let scene = Scene::new();
    let keys = [key("a-1", 1)];
    let statement = greeting().statement().unwrap();
    scene.write("a.jsonl", signed(&statement, &keys));
    let right = statement.subjects.iter().find(|one| one.name == GREETING).unwrap();
    let right = format!("{GREETING}={}", right.sha256.nar_hash());
    assert_eq!(run(&scene, &keys, &["--subject", &right]).0, 0);
    let wrong = format!("{GREETING}={}", NarHash::from_digest([9; 32]));
    let (code, report) = run(&scene, &keys, &["--subject", &wrong]);
    assert_eq!((code, rules(&report)), (1, vec!["attested-otherwise"]));
    for nonsense in ["x", "/nix/store/x", "sha256:x", &format!("{GREETING}=x")] {
        let ran = scene.verify(&["attest", "verify", "a.jsonl", "--subject", nonsense]);
        assert_eq!(ran.code, 2, "{nonsense}");
    }
}

/// A build that nobody confirms is no pass, however many sign it.
#[test]
fn builds_without_a_pass_count_for_nothing() {
    let scene = Scene::new();
    let keys = [key("a-1", 1), key("b-1", 2)];
    let mut open = greeting();
    open.verdict.result = Verdict::Inconclusive;
    for output in open.derivations[0].outputs.values_mut() {
        output.claims.clear();
        output.verdict = Verdict::Inconclusive;
        output.status = "no-reference".to_owned();
    }
    scene.write("a.jsonl", signed(&open.statement().unwrap(), &keys));
    let (code, report) = run(&scene, &keys, &[]);
    assert_eq!(code, 3);
    assert_eq!(subject(&report, GREETING)["attested_by"], json!([]));
}

/// What a trusted key signs is held against itself.
#[test]
fn signed_statements_that_contradict_themselves_are_malformed() {
    let keys = [key("a-1", 1)];
    let good = greeting().statement().unwrap();
    let edits: Vec<(&str, Edit)> = vec![
        (
            "no claim",
            Box::new(|statement| {
                let out = &mut statement.predicate["derivations"][0]["outputs"]["out"];
                out["claims"] = json!([]);
            }),
        ),
        (
            "another subject",
            Box::new(|statement| {
                let first = statement.subjects.pop_first().unwrap();
                statement.subjects.insert(nix_verify::attest::statement::Subject {
                    name: format!("{}x", first.name),
                    ..first
                });
            }),
        ),
        (
            "no subject",
            Box::new(|statement| {
                let one = statement.subjects.pop_first().unwrap();
                statement.subjects = BTreeSet::from([one]);
            }),
        ),
        (
            "half a content",
            Box::new(|statement| {
                let out = &mut statement.predicate["derivations"][0]["outputs"]["out"];
                out.as_object_mut().unwrap().remove("nar_hash");
            }),
        ),
        ("nothing", Box::new(|statement| statement.predicate = json!({}))),
    ];
    for (what, edit) in edits {
        let scene = Scene::new();
        let mut statement = good.clone();
        edit(&mut statement);
        scene.write("a.jsonl", signed(&statement, &keys));
        let (code, report) = run(&scene, &keys, &[]);
        assert_eq!((code, rules(&report)), (1, vec!["malformed-attestation"]), "{what}");
    }
}

#[test]
fn other_payloads_of_a_trusted_key_are_not_taken() {
    let scene = Scene::new();
    let keys = [key("a-1", 1)];
    let sign = |kind: &str, payload: &[u8]| {
        Envelope::sign(kind, payload.to_vec(), &keys).unwrap().to_line()
    };
    let payload = greeting().statement().unwrap().to_payload().unwrap();
    let text = String::from_utf8(payload.clone()).unwrap();
    let doubled = text.replacen("{\"_type\"", "{\"_type\":\"x\",\"_type\"", 1);
    let spaced = text.replacen("{\"_type\":", "{ \"_type\":", 1);
    for (line, code, standing) in [
        (sign(IN_TOTO, &payload), 0, "trusted"),
        (sign(IN_TOTO, doubled.as_bytes()), 1, "malformed"),
        (sign(IN_TOTO, spaced.as_bytes()), 1, "malformed"),
        (sign(IN_TOTO, b"{}"), 1, "malformed"),
        (sign(IN_TOTO, &[0xff]), 1, "malformed"),
        (sign("application/json", &payload), 3, "unsupported"),
        (
            sign(
                IN_TOTO,
                text.replace("urn:nix-verify:rebuild:v1", "urn:nix-verify:rebuild:v2").as_bytes(),
            ),
            3,
            "unsupported",
        ),
        ("\n".to_owned(), 1, "malformed"),
        ("{}".to_owned(), 1, "malformed"),
        (sign(IN_TOTO, &payload) + "\n", 1, "trusted"),
    ] {
        scene.write("a.jsonl", &line);
        let (got, report) = run(&scene, &keys, &[]);
        assert_eq!(got, code, "{line}");
        assert_eq!(report["facts"]["statements"][0]["standing"], standing, "{line}");
    }
}
