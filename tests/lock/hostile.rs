//! Locks made to break their reader.

use super::*;

/// Whether a byte may stand in an output.
fn is_clean(out: &str) -> bool {
    out.bytes().all(|byte| byte == b'\n' || (byte >= 0x20 && byte != 0x7f))
}

/// Audits bytes in every format; the exit codes must agree.
fn survive(bytes: &[u8], what: &str) -> i32 {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("flake.lock"), bytes).unwrap();
    let mut codes = Vec::new();
    for format in ["human", "json", "sarif", "junit", "github", "gitlab", "markdown"] {
        let ran = verify(place.path(), &["lock", "--now", NOW, "--format", format]);
        assert!(is_clean(&ran.out), "{what} {format}");
        assert!(!ran.err.contains("internal error"), "{what} {format}: {}", ran.err);
        codes.push(ran.code);
    }
    assert!(
        codes.iter().all(|code| *code == codes[0] && [0, 1].contains(code)),
        "{what}: {codes:?}"
    );
    codes[0]
}

#[test]
fn truncation_at_every_byte_is_an_error_with_its_place() {
    let text = std::fs::read(locks().join("numtide+devshell.lock")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let whole = text.trim_ascii_end().len();
    for end in 0..whole {
        std::fs::write(place.path().join("flake.lock"), &text[..end]).unwrap();
        let (code, report) = audit(place.path(), &[]);
        assert_eq!(code, 1, "{end}");
        assert_eq!(rules(&report), ["malformed-lock"], "{end}");
        let at = report["findings"][0]["location"]["byte_offset"].as_u64().unwrap();
        assert!(at <= end as u64, "{end}: {at}");
    }
}

#[test]
fn hostile_texts_are_survived() {
    let long = "x".repeat(1_000_000);
    let lock = |nodes: &str| format!(r#"{{"nodes":{{{nodes}}},"root":"root","version":7}}"#);
    let node = |locked: &str| {
        lock(&format!(
            r#""root":{{"inputs":{{"a":"a"}}}},"a":{{"locked":{{{locked}}},"original":{{"type":"github","owner":"o","repo":"r"}}}}"#
        ))
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("deep arrays", "[".repeat(1_000_000).into_bytes()),
        ("deep objects", "{\"a\":".repeat(300_000).into_bytes()),
        ("invalid UTF-8", b"{\"nodes\":\"\xff\xfe\"}".to_vec()),
        ("a long string", node(&format!(r#""type":"github","owner":"{long}","repo":"r","rev":"{long}","narHash":"{long}""#)).into_bytes()),
        ("a long key", node(&format!(r#""{long}":"x","type":"{long}""#)).into_bytes()),
        ("a long name", lock(&format!(r#""root":{{"inputs":{{"{long}":"{long}"}}}}"#)).into_bytes()),
        ("a long path", lock(&format!(r#""root":{{"inputs":{{"a":[{}"x"]}}}}"#, "\"x\",".repeat(200_000))).into_bytes()),
        ("numbers", node(r#""type":"github","lastModified":1e999999,"revCount":-99999999999999999999999"#).into_bytes()),
        ("control characters", node(r#""type":"\u001b[31m\u0000\u202e","owner":"\u001b]0;x\u0007","url":"\u009b2J","rev":"\r\n::error::x","narHash":"\u007f""#).into_bytes()),
        ("control characters in names", lock(r#""root":{"inputs":{"\u001b[2J\n":"\u0007","\u202e":["\u001b"]}},"\u001b":{"locked":{"\u001b":"\u001b"},"\u001b":1}"#).into_bytes()),
        ("raw control characters", b"{\"nodes\":{\"a\x1b[31m\":1}}".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("null bytes", vec![0; 100_000]),
        ("many doubled keys", format!("{{{}\"version\":7}}", "\"a\":1,".repeat(200_000)).into_bytes()),
        ("a wide circle", {
            let inputs: Vec<String> = (0..20_000).map(|at| format!("\"i{at}\":[\"i{}\"]", (at + 1) % 20_000)).collect();
            lock(&format!(r#""root":{{"inputs":{{{}}}}}"#, inputs.join(","))).into_bytes()
        }),
        ("a deep chain", {
            let nodes: Vec<String> = (0..20_000).map(|at| format!(r#""n{at}":{{"inputs":{{"i":"n{}"}}}}"#, at + 1)).collect();
            lock(&format!(r#""root":{{"inputs":{{"i":"n0"}}}},{},"n20000":{{}}"#, nodes.join(","))).into_bytes()
        }),
    ];
    for (what, bytes) in &cases {
        assert_eq!(survive(bytes, what), 1, "{what}");
    }
}

#[test]
fn a_flood_of_findings_is_counted() {
    let nodes: Vec<String> = (0..3_000).map(|at| format!(r#""n{at}":{{}}"#)).collect();
    let text =
        format!(r#"{{"nodes":{{"root":{{}},{}}},"root":"root","version":7}}"#, nodes.join(","));
    let (code, report) = audit_text(&text, &[]);
    assert_eq!(code, 1);
    let count = |rule: &str| rules(&report).iter().filter(|one| **one == rule).count();
    assert_eq!((count("malformed-lock"), count("orphan-node")), (1_001, 1_001));
    let all = report["findings"].as_array().unwrap();
    let more: Vec<&str> = all
        .iter()
        .filter_map(|one| one["message"].as_str())
        .filter(|message| message.contains("more findings of this rule"))
        .collect();
    assert_eq!(more.len(), 2, "{more:?}");
    assert!(more.iter().any(|message| message.starts_with("5000 more")), "{more:?}");
    assert!(more.iter().any(|message| message.starts_with("2000 more")), "{more:?}");
    // Each of them is a subject that did not pass unseen.
    assert_eq!(report["subjects"].as_array().unwrap().len(), 3_000);
}

#[test]
fn a_hostile_base_is_survived() {
    let place = tempfile::tempdir().unwrap();
    let good = std::fs::read(locks().join("numtide+devshell.lock")).unwrap();
    std::fs::write(place.path().join("flake.lock"), &good).unwrap();
    for base in [&b"\xff"[..], b"{", b"[]", b"{\"version\":7,\"nodes\":{\"r\":1},\"root\":\"r\"}"] {
        std::fs::write(place.path().join("base.lock"), base).unwrap();
        let ran = verify(place.path(), &["lock", "--base", "base.lock", "--now", NOW]);
        assert!([0, 3].contains(&ran.code), "{}", ran.err);
        assert!(is_clean(&ran.out));
    }
}
