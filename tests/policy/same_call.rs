//! `--policy` of the commands that find something out: what the run found is
//! judged in the same call.

use super::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A policy of one rule.
fn rule(scope: &str, check: &str) -> String {
    format!(
        "format = 1\nname = \"ours\"\ndescription = \"d\"\n\n[[rule]]\nid = \"asked\"\n\
         scope = \"{scope}\"\nreason = \"r\"\n{check}\n"
    )
}

/// Runs a command with a policy of one rule; the exit code and the report.
#[track_caller]
fn with(policy: &str, arguments: &[&str]) -> (i32, Value) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("ours.toml"), policy).unwrap();
    let more = ["--policy", "ours.toml", "--format", "json", "--now", "2026-11-01"];
    let ran = verify(place.path(), &[arguments, &more[..]].concat());
    let report = ran.json();
    check(&report, "a report with policies");
    assert_eq!(report["verdict"]["exit_code"], ran.code);
    (ran.code, report)
}

fn found(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["rule"].as_str().unwrap()).collect()
}

#[test]
fn a_lock_is_audited_and_judged_at_once() {
    let lock = fixtures().join("lock/good.lock");
    let lock = lock.to_str().unwrap();
    let place = tempfile::tempdir().unwrap();
    let plain = verify(place.path(), &["lock", lock, "--now", "2026-11-01", "--format", "json"]);
    let locked = rule("lock", "locked = true");
    let (code, report) = with(&locked, &["lock", lock]);
    assert_eq!(code, plain.code, "a policy that is met changes nothing: {report:#}");
    assert_eq!(report["policy"]["rules"][0]["status"], "met");
    assert_eq!(report["subjects"], plain.json()["subjects"]);
    assert_eq!(report["facts"], plain.json()["facts"]);
    let (code, report) = with(&rule("lock", "allowed-owners = [\"nobody\"]"), &["lock", lock]);
    assert_eq!(code, 1);
    assert!(found(&report).contains(&"policy-denied"), "{report:#}");
    assert_eq!(report["verdict"]["result"], "fail");
    // What this command does not find out denies.
    let (code, report) = with(&rule("rebuild", "reproduced-percent = 1"), &["lock", lock]);
    assert_eq!(code, 1);
    assert!(found(&report).contains(&"missing-evidence"), "{report:#}");
    // A rule that only warns fails as --fail-on says.
    let warning = rule("lock", "level = \"warning\"\nallowed-owners = [\"nobody\"]");
    assert_eq!(with(&warning, &["lock", lock]).0, plain.code);
    assert_eq!(with(&warning, &["lock", lock, "--fail-on", "warning"]).0, 1);
    // A rule that speaks about none of what is there leaves the question open.
    let none = rule("lock", "when = 'input.name == \"no such\"'\nlocked = true");
    let (code, report) = with(&none, &["lock", lock]);
    assert_eq!(code, if plain.code == 1 { 1 } else { 3 }, "{report:#}");
    let open = report["coverage"]["inconclusive"].as_array().unwrap();
    assert!(open.iter().any(|one| one["check"] == "policy"), "{report:#}");
    // The same input, the same bytes.
    let again = || {
        std::fs::write(place.path().join("ours.toml"), &locked).unwrap();
        let more = ["--policy", "ours.toml", "--format", "json", "--reproducible"];
        verify(place.path(), &[&["lock", lock, "--now", "2026-11-01"][..], &more].concat()).out
    };
    assert_eq!(again(), again());
    // A policy that is none is found before the work begins.
    std::fs::write(place.path().join("ours.toml"), locked.replace("locked", "lokced")).unwrap();
    assert_eq!(verify(place.path(), &["lock", lock, "--policy", "ours.toml"]).code, 2);
}

/// What a report with a judgement in it says is judged like any other.
#[test]
fn a_report_that_was_judged_is_still_a_report() {
    let lock = fixtures().join("lock/good.lock");
    let place = tempfile::tempdir().unwrap();
    let denied = rule("lock", "allowed-owners = [\"nobody\"]");
    let (_, report) = with(&denied, &["lock", lock.to_str().unwrap()]);
    std::fs::write(place.path().join("lock.json"), report.to_string()).unwrap();
    std::fs::write(place.path().join("ours.toml"), rule("lock", "findings = \"warnings\""))
        .unwrap();
    let (code, report) = judge(place.path(), &["--policy", "ours.toml", "lock.json"]);
    assert_eq!((code, found(&report)), (1, vec!["policy-denied"]), "{report:#}");
}

#[test]
fn a_rebuild_and_a_cache_are_judged_at_once() {
    let place = fixtures().join("quickstart");
    let state = tempfile::tempdir().unwrap();
    let (cache, keys) = (format!("file://{}/cache", place.display()), place.join("keys.txt"));
    let drv = |name: &str| place.join(name).display().to_string();
    let greeting = drv("3dvg9i4ifbvvclgrwabjdld48jfb7yhi-greeting-1.0.drv");
    let dated = drv("ghai4b2r7j1dipgqq4l15cf1z36zs30z-dated-1.0.drv");
    let trust = ["--cache", &cache, "--trusted-keys-file", keys.to_str().unwrap()];
    let state = ["--state-dir", state.path().to_str().unwrap()];
    let rebuild = |policy: &str, targets: &[&str]| {
        with(policy, &[&["rebuild"][..], targets, &trust, &state].concat())
    };
    let all = rule("rebuild", "must-reproduce = [\"greeting-*\"]");
    let (code, report) = rebuild(&all, &[&greeting]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["policy"]["rules"][0]["verdict"], "pass");
    // Met or not, what differs differs.
    let (code, report) = rebuild(&all, &[&greeting, &dated]);
    assert_eq!((code, found(&report)), (1, vec!["output-differs"]), "{report:#}");
    let (code, report) = rebuild(&rule("rebuild", "stable-builds = 2"), &[&greeting]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(found(&report), vec!["policy-unknown"; 2], "{report:#}");
    let asked = [&["cache", greeting.as_str(), "--offline"][..], &trust].concat();
    assert_eq!(with(&rule("cache", "verdict = \"pass\""), &asked).0, 0);
    let (code, report) = with(&rule("cache", "keys = 2"), &asked);
    assert_eq!((code, found(&report)), (1, vec!["policy-denied"; 2]), "{report:#}");
}

#[test]
fn a_bill_is_checked_and_judged_at_once() {
    let bill = case("bill.json");
    let (code, report) =
        with(&rule("runtime", "require = 'component.name != \"\"'"), &["sbom", "check", &bill]);
    assert_eq!(code, 0, "{report:#}");
    let (code, report) =
        with(&rule("runtime", "require = 'component.name == \"\"'"), &["sbom", "check", &bill]);
    assert_eq!(code, 1, "{report:#}");
    let place = tempfile::tempdir().unwrap();
    let store = "/nix/store/00000000000000000000000000000000-none";
    let csv = ["sbom", "export", store, "--spec", "csv", "--policy", "baseline"];
    let ran = verify(place.path(), &csv);
    assert!(ran.code == 2 && ran.err.contains("write JSON"), "{}", ran.all());
}
