//! Each rule at a lock made for it, failing and passing.

use super::*;

/// A good hash, and another.
const HASH: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const OTHER: &str = "sha256-9P1FziAwl5+3edkfFcr5HeGtQUtrSdk/MksX39GieoA=";

/// A good revision, and another.
const REV: &str = "1111111111111111111111111111111111111111";
const REV2: &str = "2222222222222222222222222222222222222222";

/// A lock whose only input `a` has these parts.
fn one(locked: &str, original: &str) -> String {
    format!(
        r#"{{"nodes":{{"a":{{"locked":{{{locked}}},"original":{{{original}}}}},
"root":{{"inputs":{{"a":"a"}}}}}},"root":"root","version":7}}"#
    )
}

/// What a forge gives: attributes of `locked`.
fn forge(owner: &str, rev: &str, hash: &str, date: i64) -> String {
    format!(
        r#""type":"github","owner":"{owner}","repo":"r","rev":"{rev}","narHash":"{hash}","lastModified":{date}"#
    )
}

const ASKED: &str = r#""type":"github","owner":"o","repo":"r""#;

fn good() -> String {
    one(&forge("o", REV, HASH, 1_750_000_000), ASKED)
}

#[test]
fn a_good_lock_is_clean() {
    let (code, report) = audit_text(&good(), &[]);
    assert_eq!((code, rules(&report).len()), (0, 0), "{report}");
    assert_eq!(report["subjects"][0]["status"], "sound");
}

#[test]
fn each_rule_fires_at_its_defect_and_not_without() {
    let forge = |more: &str| {
        format!(
            r#""type":"github","owner":"o","repo":"r","narHash":"{HASH}","lastModified":1750000000,{more}"#
        )
    };
    let rev = format!(r#""rev":"{REV}""#);
    let tarball = |url: &str| format!(r#""type":"tarball","narHash":"{HASH}","url":"{url}""#);
    let asked_tarball = |url: &str| format!(r#""type":"tarball","url":"{url}""#);
    let dated = |date: &str| {
        format!(
            r#""type":"github","owner":"o","repo":"r","narHash":"{HASH}",{rev},"lastModified":{date}"#
        )
    };
    let cases: Vec<(&str, &str, String, String)> = vec![
        (
            "source-mismatch",
            "error",
            forge(&rev),
            r#""type":"github","owner":"p","repo":"r""#.into(),
        ),
        ("pin-mismatch", "error", forge(&rev), format!(r#"{ASKED},"rev":"{REV2}""#)),
        ("pin-mismatch", "error", forge(&rev), format!(r#"{ASKED},"narHash":"{OTHER}""#)),
        ("unlocked-input", "error", forge(r#""ref":"main""#), ASKED.into()),
        (
            "unlocked-input",
            "error",
            asked_tarball("https://h/x.tar.gz"),
            asked_tarball("https://h/x.tar.gz"),
        ),
        (
            "unlocked-input",
            "error",
            r#""type":"indirect","id":"x""#.into(),
            r#""type":"indirect","id":"x""#.into(),
        ),
        ("unknown-input-type", "error", r#""type":"cvs""#.into(), r#""type":"cvs""#.into()),
        (
            "missing-nar-hash",
            "warning",
            format!(r#""type":"github","owner":"o","repo":"r",{rev}"#),
            ASKED.into(),
        ),
        ("malformed-pin", "error", forge(r#""rev":"main""#), ASKED.into()),
        (
            "malformed-pin",
            "error",
            format!(r#""type":"github","owner":"o","repo":"r",{rev},"narHash":"sha256-x""#),
            ASKED.into(),
        ),
        (
            "malformed-pin",
            "error",
            format!(r#""type":"github","owner":"o",{rev},"narHash":"{HASH}""#),
            ASKED.into(),
        ),
        (
            "insecure-scheme",
            "error",
            tarball("http://h/x.tar.gz"),
            asked_tarball("http://h/x.tar.gz"),
        ),
        (
            "insecure-scheme",
            "warning",
            tarball("https://h/x.tar.gz"),
            asked_tarball("http://h/x.tar.gz"),
        ),
        (
            "mutable-tarball",
            "warning",
            tarball("https://h/x.tar.gz"),
            asked_tarball("https://h/x.tar.gz"),
        ),
        (
            "tarball-rev-mismatch",
            "error",
            format!(r#"{},"rev":"{REV}""#, tarball(&format!("https://h/{REV2}.tar.gz"))),
            asked_tarball("https://h/x.tar.gz"),
        ),
        (
            "credentials-in-url",
            "error",
            tarball("https://u:hunter2@h/x"),
            asked_tarball("https://h/x"),
        ),
        (
            "credentials-in-url",
            "error",
            tarball("https://h/x?token=hunter2"),
            asked_tarball("https://h/x"),
        ),
        (
            "credentials-in-url",
            "warning",
            tarball("https://hunter2@h/x"),
            asked_tarball("https://h/x"),
        ),
        ("indirect-input", "warning", forge(&rev), r#""type":"indirect","id":"r""#.into()),
        (
            "local-input",
            "warning",
            format!(r#""type":"path","path":"/home/me/r","narHash":"{HASH}""#),
            r#""type":"path","path":"/home/me/r""#.into(),
        ),
        (
            "escaping-path",
            "warning",
            r#""type":"path","path":"../x""#.into(),
            r#""type":"path","path":"../x""#.into(),
        ),
        (
            "dirty-rev",
            "warning",
            forge(&format!(r#"{rev},"dirtyRev":"{REV}-dirty""#)),
            ASKED.into(),
        ),
        ("impossible-date", "warning", dated("1850000000"), ASKED.into()),
        ("impossible-date", "warning", dated("-5"), ASKED.into()),
        ("impossible-date", "warning", dated("1e400"), ASKED.into()),
        ("impossible-date", "warning", dated("99999999999999999999"), ASKED.into()),
        ("unknown-attribute", "warning", forge(&format!(r#"{rev},"surprise":"x""#)), ASKED.into()),
        (
            "hash-notation",
            "warning",
            format!(
                r#""type":"github","owner":"o","repo":"r",{rev},"narHash":"0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73""#
            ),
            ASKED.into(),
        ),
        (
            "forked-input",
            "note",
            format!(r#""type":"github","owner":"me","repo":"nixpkgs",{rev},"narHash":"{HASH}""#),
            r#""type":"github","owner":"me","repo":"nixpkgs""#.into(),
        ),
        (
            "end-of-life-branch",
            "warning",
            format!(r#""type":"github","owner":"NixOS","repo":"nixpkgs",{rev},"narHash":"{HASH}""#),
            r#""type":"github","owner":"NixOS","repo":"nixpkgs","ref":"nixos-23.05""#.into(),
        ),
        (
            "stale-input",
            "warning",
            format!(
                r#""type":"github","owner":"NixOS","repo":"nixpkgs",{rev},"narHash":"{HASH}","lastModified":1700000000"#
            ),
            r#""type":"github","owner":"NixOS","repo":"nixpkgs""#.into(),
        ),
        (
            "submodules",
            "note",
            format!(
                r#""type":"git","url":"https://h/r","submodules":true,{rev},"narHash":"{HASH}""#
            ),
            r#""type":"git","url":"https://h/r","submodules":true"#.into(),
        ),
    ];
    for (rule, level, locked, original) in &cases {
        let (code, report) = audit_text(&one(locked, original), &[]);
        let here: Vec<String> = found(&report, level);
        assert!(
            here.iter().any(|one| one.starts_with(&format!("{rule} a:"))),
            "{rule}: {report:#}"
        );
        assert_eq!(code, i32::from(!found(&report, "error").is_empty()), "{rule}");
        assert!(!report.to_string().contains("hunter2"), "{rule}: a secret is repeated");
    }
}

#[test]
fn secrets_reach_no_output() {
    let text = one(
        &format!(
            r#""type":"tarball","narHash":"{HASH}","url":"https:\/\/u:hunter2@h/x?token=hunter3&x=hunter4""#
        ),
        r#""type":"tarball","url":"https://ghp_hunter5hunter5hunter5hunter5hunter5@h/y""#,
    );
    let place = tempfile::tempdir().unwrap();
    for (name, text) in
        [("flake.lock", text.clone()), ("cut.lock", text[..text.len() - 20].to_owned())]
    {
        std::fs::write(place.path().join(name), text).unwrap();
        for format in ["human", "json", "sarif", "junit", "github", "gitlab", "markdown"] {
            let ran = verify(place.path(), &["lock", name, "--format", format, "--now", NOW]);
            assert_eq!(ran.code, 1);
            let out = ran.out;
            assert!(!out.contains("hunter"), "{name} {format}: {out}");
            let ran =
                verify(place.path(), &["inspect", name, "--kind", "lock", "--format", format]);
            let out = ran.out;
            assert!(!out.contains("hunter"), "inspect {name} {format}: {out}");
        }
    }
}

#[test]
fn what_several_inputs_say_together() {
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"nodes":{{"a":{{"locked":{{{a}}},"original":{{{ASKED}}}}},
"b":{{"locked":{{{b}}},"original":{{{ASKED}}}}},
"root":{{"inputs":{{"a":"a","b":"b"}}}}}},"root":"root","version":7}}"#
        )
    };
    let base = forge("o", REV, HASH, 1);
    for (b, rule, level) in [
        (forge("O", REV, OTHER, 1), "rev-with-two-hashes", "error"),
        (forge("o", REV, HASH, 2), "rev-with-two-dates", "warning"),
        (forge("o", REV2, HASH, 2), "one-hash-for-two-revs", "note"),
        (forge("o", REV2, HASH, 1), "one-hash-for-two-revs", "warning"),
        (forge("o", REV2, OTHER, 2), "duplicate-input", "note"),
    ] {
        let (_, report) = audit_text(&two(&base, &b), &[]);
        assert!(
            found(&report, level).iter().any(|one| one.starts_with(rule)),
            "{rule}: {report:#}"
        );
    }
    // Another notation of the same hash is no other hash.
    let nix32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    let (_, report) = audit_text(&two(&base, &forge("o", REV, nix32, 1)), &[]);
    assert!(!rules(&report).contains(&"rev-with-two-hashes"), "{report:#}");
}

#[test]
fn the_graph_is_named_by_paths() {
    let node = format!(r#""locked":{{{}}},"original":{{{ASKED}}}"#, forge("o", REV, HASH, 1));
    let lock = |nodes: &str| format!(r#"{{"nodes":{{{nodes}}},"root":"root","version":7}}"#);
    for (nodes, wanted) in [
        (r#""root":{"inputs":{"a":"gone"}}"#.to_owned(), "missing-node a:1"),
        (r#""root":{"inputs":{"a":["b","c"]}}"#.to_owned(), "dangling-follows a:1"),
        (r#""root":{"inputs":{"a":["b"],"b":["a"]}}"#.to_owned(), "follows-cycle a:1"),
        (
            format!(r#""root":{{"inputs":{{"a":"x"}}}},"x":{{{node},"inputs":{{"b":"x"}}}}"#),
            "input-cycle a/b:1",
        ),
        (
            format!(r#""root":{{"inputs":{{"a":"x"}}}},"x":{{{node},"inputs":{{"b":"root"}}}}"#),
            "input-cycle a/b:1",
        ),
        (format!(r#""root":{{"inputs":{{"a":1}}}},"x":{{{node}}}"#), "malformed-lock flake.lock:1"),
        (
            r#""root":{"inputs":{"a":"x"}},"x":{"flake":"no"}"#.to_owned(),
            "malformed-lock flake.lock:1",
        ),
    ] {
        let (code, report) = audit_text(&lock(&nodes), &[]);
        assert_eq!(code, 1);
        assert!(found(&report, "error").contains(&wanted.to_owned()), "{wanted}: {report:#}");
    }
    // An orphan with a telling name.
    let decoy = lock(&format!(
        r#""root":{{"inputs":{{"nixpkgs":"x"}}}},"x":{{{node}}},"nixpkgs":{{{node}}}"#
    ));
    let (_, report) = audit_text(&decoy, &[]);
    assert!(
        found(&report, "warning").contains(&"orphan-node (node nixpkgs):1".to_owned()),
        "{report:#}"
    );
}

#[test]
fn each_change_rule_fires() {
    let place = tempfile::tempdir().unwrap();
    let base = good();
    let forge_with = |rev: &str, hash: &str, date: i64| one(&forge("o", rev, hash, date), ASKED);
    let https = one(
        &format!(r#""type":"tarball","narHash":"{HASH}","url":"https://h/{REV}""#),
        r#""type":"tarball","url":"https://h/x""#,
    );
    let http = https.replace("https://", "http://");
    let deeper = good()
        .replace(
            r#""root":{"inputs""#,
            &format!(
                r#""b":{{"locked":{{{}}},"original":{{{ASKED}}}}},"root":{{"inputs""#,
                forge("o", REV, HASH, 1_750_000_000)
            ),
        )
        .replace(
            r#""original":{"type":"github","owner":"o","repo":"r"}},"#,
            r#""original":{"type":"github","owner":"o","repo":"r"},"inputs":{"n":"b"}},"#,
        );
    let following = deeper.replace(r#"{"n":"b"}"#, r#"{"n":["a"]}"#);
    for (from, to, rule, level) in [
        (&base, forge_with(REV2, HASH, 1_750_000_000), "narhash-not-updated", "error"),
        (&base, forge_with(REV, OTHER, 1_750_000_000), "narhash-changed-same-rev", "error"),
        (&base, forge_with(REV, HASH, 1_750_000_001), "date-changed-same-rev", "warning"),
        (&base, forge_with(REV2, OTHER, 1_740_000_000), "downgrade", "warning"),
        (&base, one(&forge("evil", REV2, OTHER, 1_750_000_001), ASKED), "source-swapped", "error"),
        (
            &base,
            one(&format!(r#""type":"github","owner":"o","repo":"r","rev":"{REV}""#), ASKED),
            "hash-dropped",
            "error",
        ),
        (&https, http, "newly-insecure", "error"),
        (&base, deeper.clone(), "new-transitive-input", "note"),
        (&following, deeper.clone(), "follows-removed", "warning"),
        (
            &base,
            one(&forge("o", REV, HASH, 1_750_000_000), &format!(r#"{ASKED},"ref":"x""#)),
            "original-changed",
            "note",
        ),
    ] {
        std::fs::write(place.path().join("base.lock"), from).unwrap();
        std::fs::write(place.path().join("flake.lock"), &to).unwrap();
        let (_, report) = audit(place.path(), &["--base", "base.lock"]);
        assert!(
            found(&report, level).iter().any(|one| one.starts_with(rule)),
            "{rule}: {report:#}"
        );
        // Nothing of the kind against itself.
        std::fs::write(place.path().join("base.lock"), &to).unwrap();
        let (_, report) = audit(place.path(), &["--base", "base.lock"]);
        assert!(!rules(&report).contains(&rule), "{rule}");
        assert_eq!(report["facts"]["changes"], serde_json::json!([]), "{rule}");
    }
    // Commits that hold the same files have dates of their own.
    std::fs::write(place.path().join("base.lock"), &base).unwrap();
    std::fs::write(place.path().join("flake.lock"), forge_with(REV2, HASH, 1_750_000_001)).unwrap();
    let (code, report) = audit(place.path(), &["--base", "base.lock"]);
    assert_eq!((code, rules(&report).len()), (0, 0), "{report:#}");
}
