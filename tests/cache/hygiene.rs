//! One thing wrong at a time: each has its own name, and none passes.

use super::handmade::{Handmade, full, narinfo, path, public};
use super::*;
use nix_verify::nix::store_path::StoreDir;

/// Asks one cache about one path.
fn ask(cache_at: &Handmade, name: &str, more: &[&str]) -> Ran {
    let (path, url, key) = (full(name), cache_at.url(), public("k-1"));
    cache(&[&[path.as_str(), "--cache", &url, "--trusted-key", &key], more].concat())
}

fn good() -> Handmade {
    let made = Handmade::new();
    made.add("a", b"content of a\n", &[], &["k-1"]);
    made
}

#[test]
fn an_honest_cache_passes() {
    let made = good();
    ask(&made, "a", &[]).is(0, "verified", &[]);
    ask(&made, "a", &["--contents"]).is(0, "verified", &[]);
    ask(&made, "b", &[]).is(3, "absent", &[]);
}

#[test]
fn bad_narinfos_are_told_apart() {
    for (from, to, status) in [
        ("NarSize: ", "NarSize: 1\nNarSize: ", "doubled-field"),
        ("References: \n", "References: \nReferences: \n", "doubled-field"),
        ("StorePath: /nix/store/", "StorePath: /gnu/store/", "foreign-store-directory"),
        ("URL: nar/", "URL: https://evil.example/nar/", "url-outside-cache"),
        ("URL: nar/", "URL: ../nar/", "url-outside-cache"),
        ("NarHash: sha256:", "NarHash: sha256:0", "malformed-narinfo"),
        ("NarSize: ", "NarSize: 1", "forged"),
        ("Sig: k-1:", "Sig: k-1:A", "malformed-narinfo"),
    ] {
        let made = good();
        made.change("a", from, to);
        let ran = ask(&made, "a", &[]);
        assert_eq!((ran.code, ran.status()), (1, status.to_owned()), "{to}: {:#}", ran.report);
    }
    let made = good();
    made.put("b", made.text("a"));
    ask(&made, "b", &[]).is(1, "foreign-narinfo", &["foreign-narinfo"]);
}

#[test]
fn contradicting_fields_are_named_and_decide_nothing() {
    for (from, to) in [
        ("FileSize: ", "FileSize: 9"),
        ("Compression: none", "Compression: xz"),
        (".nar\nCompression", ".nar.xz\nCompression"),
    ] {
        let made = good();
        made.change("a", from, to);
        let ran = ask(&made, "a", &[]);
        if to == "Compression: xz" {
            ran.is(0, "verified", &[]);
        } else {
            ran.is(0, "verified", &["conflicting-fields"]);
        }
    }
}

#[test]
fn bytes_are_compared_with_claims() {
    let made = good();
    let nar = made.nar_file("a");
    let bytes = std::fs::read(&nar).unwrap();
    std::fs::remove_file(&nar).unwrap();
    ask(&made, "a", &[]).is(0, "verified", &[]);
    ask(&made, "a", &["--contents"]).is(1, "missing-nar", &["missing-nar"]);
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    std::fs::write(&nar, flipped).unwrap();
    ask(&made, "a", &["--contents"]).is(1, "corrupt", &["nar-mismatch"]);
    std::fs::write(&nar, [&bytes[..], b"tail"].concat()).unwrap();
    ask(&made, "a", &["--contents"]).is(1, "corrupt", &["nar-mismatch"]);
    std::fs::write(&nar, &bytes[..bytes.len() - 8]).unwrap();
    ask(&made, "a", &["--contents"]).is(1, "corrupt", &["nar-mismatch"]);
    std::fs::write(&nar, &bytes).unwrap();
    let size = format!("FileSize: {}", bytes.len());
    made.change("a", &size, "FileSize: 17").change("a", "FileHash: sha256:", "FileHash: sha256:");
    let ran = ask(&made, "a", &["--contents"]);
    ran.is(0, "verified", &["conflicting-fields", "file-mismatch"]);
}

#[test]
fn a_signed_nar_of_another_package_is_caught() {
    // What the main public cache served in June 2026.
    let made = good();
    made.add("b", b"another package\n", &[], &["k-1"]);
    std::fs::copy(made.nar_file("b"), made.nar_file("a")).unwrap();
    ask(&made, "a", &[]).is(0, "verified", &[]);
    ask(&made, "a", &["--contents"]).is(1, "corrupt", &["nar-mismatch"]);
    ask(&made, "b", &["--contents"]).is(0, "verified", &[]);
}

#[test]
fn references_are_looked_for_in_the_bytes() {
    let made = good();
    let mention = format!("uses {}\n", full("a"));
    made.add("right", mention.as_bytes(), &["a"], &["k-1"]);
    made.add("too-many", b"uses nothing\n", &["a"], &["k-1"]);
    made.add("itself", full("itself").as_bytes(), &[], &["k-1"]);
    ask(&made, "right", &["--contents"]).is(0, "verified", &[]);
    ask(&made, "too-many", &["--contents"]).is(0, "verified", &["references-mismatch"]);
    let ran = ask(&made, "itself", &["--contents", "--fail-on", "warning"]);
    assert_eq!((ran.code, ran.rules()), (1, vec!["references-mismatch"]));
    // What a reference refers to is looked for as well.
    made.add(
        "far",
        format!("uses {} and {}", full("right"), full("a")).as_bytes(),
        &["right"],
        &["k-1"],
    );
    let ran = ask(&made, "far", &["--contents", "--closure"]);
    assert_eq!(ran.rules(), ["references-mismatch"], "{:#}", ran.report);
}

#[test]
fn a_closure_is_followed_and_its_holes_are_named() {
    let made = good();
    made.add("b", b"b", &["a"], &["k-1"]).add("c", b"c", &["b", "gone"], &["k-1"]);
    let ran = ask(&made, "c", &["--closure"]);
    assert_eq!((ran.code, ran.rules()), (3, vec!["closure-hole"]), "{:#}", ran.report);
    let statuses: Vec<String> = ran.statuses().into_values().collect();
    assert_eq!(statuses.iter().filter(|status| *status == "verified").count(), 3);
    assert_eq!(ran.statuses()[&full("gone")], "absent");
    assert_eq!(ran.report["facts"]["sources"][0]["holes"], 1);
    let open = ran.report["findings"][0]["evidence"][0]["value"].as_str().unwrap();
    assert_eq!(open, full("c"));
    ask(&made, "c", &[]).is(0, "verified", &[]);
}

#[test]
fn content_addresses_are_recomputed() {
    use nix_verify::nix::content_address::{ContentAddress, Method, References};
    use nix_verify::nix::hash::{Hash, HashAlgorithm};
    let store_dir = StoreDir::default();
    let address = |method, bytes: &[u8]| {
        ContentAddress::new(method, Hash::of(HashAlgorithm::Sha256, bytes)).unwrap()
    };
    let nar = handmade::nar(b"text\n");
    for (method, bytes, plain) in
        [(Method::Recursive, nar.as_slice(), true), (Method::Flat, b"text\n".as_slice(), false)]
    {
        let ca = address(method, bytes);
        let at = ca.store_path(&store_dir, "source", &References::default()).unwrap();
        let mut info = narinfo("source", b"text\n", &[]);
        info.store_path = at.clone();
        info.ca = Some(ca);
        let made = Handmade::new();
        std::fs::write(made.directory().join(info.url.as_written()), &nar).unwrap();
        let file = made.directory().join(format!("{}.narinfo", at.hash_part()));
        std::fs::write(&file, info.to_text(&store_dir)).unwrap();
        let (target, key, from) = (store_dir.full(&at), public("k-1"), made.url());
        let base = [target.as_str(), "--cache", &from, "--trusted-key", &key];
        // Nobody has signed it. Its path proves the NAR of a tree; that of a
        // file is proven by its bytes.
        let ran = cache(&base);
        if plain {
            ran.is(0, "content-addressed", &[]);
        } else {
            ran.is(3, "no-reference", &[]);
        }
        cache(&[&base[..], &["--contents"]].concat()).is(0, "content-addressed", &[]);
        // Other bytes under the same address.
        let mut lie = narinfo("source", b"lies\n", &[]);
        lie.store_path = at;
        lie.ca = Some(ca);
        std::fs::write(made.directory().join(lie.url.as_written()), handmade::nar(b"lies\n"))
            .unwrap();
        std::fs::write(&file, lie.to_text(&store_dir)).unwrap();
        let ran = cache(&[&base[..], &["--contents"]].concat());
        assert_eq!(ran.code, 1, "{:#}", ran.report);
        assert_eq!(ran.status(), "wrong-content-address");
    }
}

#[test]
fn two_caches_are_held_against_each_other() {
    let key = public("k-1");
    let ask = |other: &Handmade| {
        let (one, path) = (good(), full("a"));
        let (first, second) = (one.url(), other.url());
        cache(&[&path, "--cache", &first, "--cache", &second, "--trusted-key", &key])
    };
    ask(&good()).is(0, "verified", &[]);
    ask(&Handmade::new()).is(0, "verified", &[]);
    let other = Handmade::new();
    other.add("a", b"something else\n", &[], &["k-1"]);
    let ran = ask(&other);
    ran.is(1, "conflict", &["claims-conflict"]);
    assert_eq!(ran.report["facts"]["paths"][0]["versions"].as_array().unwrap().len(), 2);
    let other = Handmade::new();
    other.add("a", b"something else\n", &[], &["unknown-1"]);
    ask(&other).is(0, "verified", &["untrusted-claim-differs"]);
    let other = Handmade::new();
    other.add("a", b"content of a\n", &["b"], &["k-1"]);
    ask(&other).is(1, "conflict", &["claims-conflict"]);
}

#[test]
fn a_cache_of_another_store_is_named() {
    let made = good();
    std::fs::write(made.directory().join("nix-cache-info"), "StoreDir: /gnu/store\n").unwrap();
    let ran = ask(&made, "a", &[]);
    assert_eq!((ran.code, ran.rules()), (1, vec!["foreign-store-directory"]), "{:#}", ran.report);
    assert_eq!(ran.status(), "unreachable");
}

#[test]
fn files_under_wrong_names_are_found_by_listing() {
    let made = good();
    std::fs::write(made.directory().join("short.narinfo"), made.text("a")).unwrap();
    made.put("b", made.text("a"));
    made.put("c", "nothing of the kind\n");
    std::fs::create_dir(made.directory().join("realisations")).unwrap();
    std::fs::write(made.directory().join("realisations/x.doi"), "{}").unwrap();
    let (from, key) = (made.url(), public("k-1"));
    let ran = cache(&["--all", "--cache", &from, "--trusted-key", &key]);
    assert_eq!(ran.code, 1);
    let wanted = ["foreign-narinfo", "malformed-narinfo", "malformed-realisation"];
    assert_eq!(ran.rules(), wanted, "{:#}", ran.report);
    assert_eq!(ran.status(), "verified");
}

#[test]
fn misuse_is_an_error() {
    let made = good();
    let from = made.url();
    let path = full("a");
    for (arguments, wanted) in [
        (vec!["--cache", &from], "nothing to ask about"),
        (vec!["--all", "--cache", "http://localhost:1"], "--all needs a source that can be listed"),
        (vec![&path, "--sample", "5"], "--contents"),
        (vec![&path, "--contents", "--seed", "5"], "--sample"),
        (vec![&path, "--contents", "--sample", "0"], "is not the size of a sample"),
        (vec![&path, "--min-agree", "2"], "--operators"),
        (vec!["hello", "--cache", &from], "is nothing to ask a cache about"),
        (vec!["--from", "/nowhere", "--cache", &from], "read the listing"),
        (vec!["--from", "narinfo/keys.txt", "--cache", &from], "is no store path"),
        (vec![&path, "--cache", "file:///nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let (code, error) = refused(&arguments);
        assert!(code == 2 && error.contains(wanted), "{arguments:?}: {code} {error}");
    }
}

#[test]
fn listings_derivations_and_standard_input() {
    let made = good();
    made.add("b", b"b", &[], &["k-1"]);
    let (from, key) = (made.url(), public("k-1"));
    let base = ["--cache", from.as_str(), "--trusted-key", &key];
    for listing in [
        format!("{}\n\n{}\n", full("a"), full("b")),
        format!("{}\0{}/bin/x\0", full("a"), full("b")),
        format!("{}\n{}\n", path("a"), path("b")),
    ] {
        let ran = cache_with(&[&base[..], &["--from", "-"]].concat(), Some(&listing));
        assert_eq!((ran.code, ran.statuses().len()), (0, 2), "{listing:?}: {:#}", ran.report);
    }
    let drvs = fixtures().join("quickstart");
    let greeting = "quickstart/3dvg9i4ifbvvclgrwabjdld48jfb7yhi-greeting-1.0.drv";
    let (quick, keys) = (url(&drvs.join("cache")), "quickstart/keys.txt");
    let base = ["--cache", quick.as_str(), "--trusted-keys-file", keys];
    let ran = cache(&[&base[..], &[greeting, "--contents", "--closure"]].concat());
    assert_eq!(ran.code, 0, "{:#}", ran.report);
    assert_eq!(ran.report["facts"]["derivations"][0]["outputs"].as_array().unwrap().len(), 2);
    fits_schema(&ran.report);
    let tampered = "quickstart/y7fq3y8r2c1ycldqbw4gdkv748ngscxk-tampered-1.0.drv";
    let ran = cache(&[&base[..], &[tampered]].concat());
    ran.is(1, "forged", &["conflicting-fields", "forged-signature"]);
}
