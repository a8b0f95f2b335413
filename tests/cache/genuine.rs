//! Narinfos that caches have really served: all verify, and the odd ones among
//! them are told by name.

use super::*;

/// The hash of something else.
const OTHER: &str = "sha256:1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2";

/// The 657 narinfos of the main public cache.
fn narinfos() -> Vec<String> {
    let text = std::fs::read_to_string(fixtures().join("narinfo/cache-nixos-org.narinfos"));
    let text = text.unwrap();
    let all = text.split("\n\n").map(|one| format!("{}\n", one.trim_end())).collect::<Vec<_>>();
    assert_eq!(all.len(), 657);
    all
}

fn field<'a>(narinfo: &'a str, name: &str) -> Option<&'a str> {
    narinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A cache of these narinfos, each under the name it had.
fn directory(narinfos: &[String], names: &[String]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (narinfo, name) in narinfos.iter().zip(names) {
        std::fs::write(place.path().join(format!("{name}.narinfo")), narinfo).unwrap();
    }
    place
}

fn hash_parts(narinfos: &[String]) -> Vec<String> {
    let base = |text: &str| text.strip_prefix("/nix/store/").unwrap()[..32].to_owned();
    narinfos.iter().map(|one| base(field(one, "StorePath").unwrap())).collect()
}

/// Asks about everything in a cache of these narinfos.
fn ask(narinfos: &[String], names: &[String]) -> Ran {
    let place = directory(narinfos, names);
    cache(&["--all", "--cache", &url(place.path()), "--trusted-keys-file", "narinfo/keys.txt"])
}

#[test]
fn all_genuine_narinfos_verify() {
    let all = narinfos();
    let ran = ask(&all, &hash_parts(&all));
    let statuses = ran.statuses();
    assert_eq!(statuses.len(), 657);
    let others: Vec<_> = statuses.iter().filter(|(_, status)| *status != "verified").collect();
    assert!(others.is_empty() && ran.code == 0, "{others:?}");
    assert_eq!(ran.report["coverage"]["asked"], ran.report["coverage"]["answered"]);
    fits_schema(&ran.report);
}

/// Changes a line of a narinfo, or adds it.
fn set(narinfo: &str, name: &str, value: &str) -> String {
    let line = format!("{name}: {value}");
    let start = format!("{name}: ");
    if narinfo.lines().any(|line| line.starts_with(&start)) {
        let lines = narinfo.lines().map(|old| if old.starts_with(&start) { &line } else { old });
        lines.map(|line| format!("{line}\n")).collect()
    } else {
        format!("{narinfo}{line}\n")
    }
}

#[test]
fn changing_a_signed_field_breaks_every_one() {
    let all = narinfos();
    let names = hash_parts(&all);
    type Change = fn(&str) -> String;
    let changes: [(&str, Change); 4] = [
        ("StorePath", |one| format!("{}x", field(one, "StorePath").unwrap())),
        ("NarHash", |_| OTHER.to_owned()),
        ("NarSize", |one| (field(one, "NarSize").unwrap().parse::<u64>().unwrap() + 1).to_string()),
        ("References", |one| {
            let references = field(one, "References").unwrap_or_default();
            match references.split_once(' ') {
                Some((_, rest)) => rest.to_owned(),
                None if references.is_empty() => {
                    field(one, "StorePath").unwrap().strip_prefix("/nix/store/").unwrap().to_owned()
                }
                None => String::new(),
            }
        }),
    ];
    for (name, change) in changes {
        let changed: Vec<String> = all.iter().map(|one| set(one, name, &change(one))).collect();
        let ran = ask(&changed, &names);
        let statuses = ran.statuses();
        let passed: Vec<_> = statuses.iter().filter(|(_, status)| *status != "forged").collect();
        assert!(passed.is_empty() && ran.code == 1 && statuses.len() == 657, "{name}: {passed:?}");
    }
}

#[test]
fn changing_an_unsigned_field_breaks_none() {
    let all = narinfos();
    let names = hash_parts(&all);
    for (name, value) in [
        ("FileHash", OTHER),
        ("FileSize", "1"),
        ("URL", "nar/1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2.nar"),
        ("Compression", "zstd"),
        ("Deriver", "00bgd045z0d4icpbc2yyz4gx48ak44la-x.drv"),
        ("Deriver", "unknown-deriver"),
        ("System", "x86_64-linux"),
        ("CA", "fixed:r:sha256:1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2"),
    ] {
        let changed: Vec<String> = all.iter().map(|one| set(one, name, value)).collect();
        let ran = ask(&changed, &names);
        let statuses = ran.statuses();
        let failed: Vec<_> = statuses.iter().filter(|(_, status)| *status != "verified").collect();
        assert!(failed.is_empty() && ran.code == 0 && statuses.len() == 657, "{name}: {failed:?}");
    }
}

#[test]
fn every_expected_row_gets_its_verdict() {
    let expected = std::fs::read_to_string(fixtures().join("narinfo/EXPECTED.tsv")).unwrap();
    let rows: Vec<Vec<&str>> =
        expected.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert!(rows.len() >= 16);
    for row in rows {
        let (file, name, signatures) = (row[0], row[1], row[2]);
        let text = std::fs::read_to_string(fixtures().join("narinfo").join(file)).unwrap();
        let place = directory(std::slice::from_ref(&text), &[name.to_owned()]);
        let path = field(&text, "StorePath").unwrap();
        let ran = cache(&[
            path,
            "--cache",
            &url(place.path()),
            "--trusted-keys-file",
            "narinfo/keys.txt",
        ]);
        if file.starts_with("gcc-3.4.6-unsorted") {
            // Neither forged nor good: named.
            ran.is(3, "no-reference", &["unsorted-references"]);
        } else if signatures.contains("=bad") {
            ran.is(1, "forged", &["forged-signature"]);
        } else {
            ran.is(0, "verified", &[]);
            // The claim lists the good keys.
            let keys = &ran.report["facts"]["paths"][0]["versions"][0]["claims"][0]["keys"];
            let good = signatures.split(' ').filter_map(|one| one.strip_suffix("=good"));
            let good: Vec<&str> = good.collect();
            assert_eq!(keys.as_array().unwrap().len(), good.len(), "{file}: {keys}");
        }
    }
}

#[test]
fn an_unknown_key_alone_decides_nothing_and_is_named() {
    let file = fixtures().join("narinfo/cachix-source-no-references.narinfo");
    let text = std::fs::read_to_string(file).unwrap();
    let place = directory(std::slice::from_ref(&text), &hash_parts(std::slice::from_ref(&text)));
    let key = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
    let path = field(&text, "StorePath").unwrap();
    let ran = cache(&[path, "--cache", &url(place.path()), "--trusted-key", key]);
    ran.is(3, "no-reference", &[]);
    let claim = &ran.report["facts"]["paths"][0]["versions"][0]["claims"][0];
    assert_eq!(claim["keys"][0], "nix-community.cachix.org-1");
    assert_eq!(claim["trust"], "untrusted");
}

#[test]
fn the_real_cache_holds_down_to_its_bytes() {
    let place = fixtures().join("narinfo/real-cache");
    let base = ["--all", "--closure", "--contents", "--trusted-keys-file", "narinfo/keys.txt"];
    let ran = cache(&[&base[..], &["--cache", &url(&place)]].concat());
    assert_eq!((ran.code, ran.statuses().len()), (0, 12), "{:#}", ran.report);
    assert_eq!(ran.report["facts"]["sources"][0]["contents"]["right"], 12);
    fits_schema(&ran.report);
    let sampled =
        cache(&[&base[..], &["--cache", &url(&place), "--sample", "5", "--seed", "x"]].concat());
    assert_eq!(sampled.code, 0);
    let contents = &sampled.report["facts"]["sources"][0]["contents"];
    assert_eq!((&contents["right"], &contents["bound"]["population"]), (&5.into(), &12.into()));
    let sentence = contents["bound"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("95 % confidence"), "{sentence}");
    let again =
        cache(&[&base[..], &["--cache", &url(&place), "--sample", "5", "--seed", "x"]].concat());
    assert_eq!(again.report["facts"], sampled.report["facts"]);
}
