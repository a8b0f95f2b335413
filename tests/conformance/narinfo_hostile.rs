//! Hostile narinfos: every flipped bit, and one file or more of each family
//! that has been met or thought of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix_verify::nix::narinfo::{
    MAX_NARINFO_LEN, MAX_REFERENCES, MAX_SIGNATURES, NarInfo, NarInfoError,
};
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::StoreDir;

use crate::fixtures;
use crate::narinfo::{expected, parse, trusted, verify};

/// A hostile file may take this long: many times what it takes in a test
/// build, since a busy machine is no reason to fail.
const BOUND: Duration = Duration::from_secs(60);

/// What became of a file in which something was changed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Refused,
    Unsigned,
    BadSignature,
    UnknownKey,
    NoSignature,
}

/// Judges a tampered file. It must never verify with other facts than those
/// that were signed.
fn fate(genuine: &NarInfo, bytes: &[u8]) -> Fate {
    let Ok(info) = NarInfo::parse(bytes, &StoreDir::default()) else { return Fate::Refused };
    let report = verify(&info);
    match report.verified() {
        Some(verified) => {
            assert_eq!(verified.path_info(), &genuine.path_info());
            Fate::Unsigned
        }
        None if !report.bad().is_empty() => Fate::BadSignature,
        None if !report.unknown().is_empty() => Fate::UnknownKey,
        None => Fate::NoSignature,
    }
}

/// The field a byte belongs to.
fn field_at(text: &str, offset: usize) -> (String, bool) {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let (name, _) = text[start..].split_once(": ").unwrap();
    (name.to_owned(), offset >= start + name.len() + 2)
}

#[test]
fn every_flipped_bit_is_noticed_or_unsigned() {
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    for (name, _, signatures) in expected() {
        let alone = signatures.len() == 1 && signatures.iter().all(|s| s.ends_with("=good"));
        if !alone || name.contains("texlive") || name.ends_with(crate::narinfo::UNSORTED) {
            continue;
        }
        let text = fixtures::text(&name);
        let genuine = parse(text.as_bytes());
        for (offset, byte) in text.bytes().enumerate() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[offset] = byte ^ (1 << bit);
                let fate = fate(&genuine, &bytes);
                if byte != b'\n' && bytes[offset] != b'\n' {
                    let (field, in_value) = field_at(&text, offset);
                    let signed =
                        ["StorePath", "NarHash", "NarSize", "References", "Sig"].contains(&&*field);
                    // Base16 digits mean the same in upper case, and nothing
                    // else in a signed value may change unnoticed.
                    let same_digit =
                        byte.eq_ignore_ascii_case(&bytes[offset]) && field == "NarHash";
                    if in_value && signed && !same_digit {
                        assert_ne!(fate, Fate::Unsigned, "{name}: {field}, offset {offset}");
                    }
                    if in_value
                        && ["StorePath", "NarHash", "NarSize", "References"].contains(&&*field)
                    {
                        assert_ne!(fate, Fate::UnknownKey, "{name}: {field}, offset {offset}");
                        assert_ne!(fate, Fate::NoSignature, "{name}: {field}, offset {offset}");
                    }
                }
                *fates.entry(fate).or_default() += 1;
            }
        }
    }
    assert_eq!(fates.len(), 5, "{fates:?}");
    println!("{fates:?}");
}

#[test]
fn every_cut_and_every_doubled_line_is_noticed() {
    let text = fixtures::text("narinfo/ncps-nar1.narinfo");
    let genuine = parse(text.as_bytes());
    for end in 0..text.len() {
        let fate = fate(&genuine, &text.as_bytes()[..end]);
        // What is required stands before the references.
        let rest = &text[end..];
        let line_end = end > 0 && text[..end].ends_with('\n');
        let required = !["References: ", "Deriver: ", "Sig: "].iter().any(|f| rest.starts_with(f));
        let wanted = if line_end && !required { Fate::NoSignature } else { Fate::Refused };
        assert_eq!(fate, wanted, "cut at {end}");
    }
    for line in text.lines() {
        let doubled = text.replace(line, &format!("{line}\n{line}"));
        let fate = fate(&genuine, doubled.as_bytes());
        let wanted = if line.starts_with("Sig: ") { Fate::Unsigned } else { Fate::Refused };
        assert_eq!(fate, wanted, "{line}");
        let without = text.replace(&format!("{line}\n"), "");
        let fate = self::fate(&genuine, without.as_bytes());
        let wanted = match line.split_once(": ").unwrap().0 {
            "StorePath" | "URL" | "NarHash" | "NarSize" => Fate::Refused,
            "References" => Fate::BadSignature,
            "Sig" => Fate::NoSignature,
            _ => Fate::Unsigned,
        };
        assert_eq!(fate, wanted, "without {line}");
    }
}

/// Files that are refused: (replaced, by what, what the error says).
const REFUSED: &[(&str, &str, &str)] = &[
    ("Compression: xz\n", "Compression: xz\r\n", "line 3 of the narinfo ends in CR LF"),
    ("Compression: xz\n", "Compression: x\0z\n", "control byte 0x00"),
    ("Compression: xz\n", "Compression: \x1b[2Jxz\n", "control byte 0x1b"),
    ("Compression: xz\n", "Compression: xz\n\n", "line 4 of the narinfo is not"),
    ("Compression: xz\n", "Compression: XZ\n", "unknown compression 'XZ'"),
    ("Compression: xz\n", "Compression: xz \n", "unknown compression 'xz '"),
    ("Compression: xz\n", "Compression:xz\n", "line 3 of the narinfo is not"),
    ("Compression: xz\n", "Compression\n", "line 3 of the narinfo is not"),
    ("Compression: xz\n", ": xz\n", "line 3 of the narinfo is not"),
    ("Compression: xz\n", "Compres sion: xz\n", "line 3 of the narinfo is not"),
    ("/nix/store/n5", "/gnu/store/n5", "is not in the store directory '/nix/store'"),
    ("/nix/store/n5", "n5", "is not in the store directory"),
    ("/nix/store/n5", "/nix/store/../store/n5", "not the path of a store object itself"),
    ("-hello-2.12.1\nURL", "-hello-2.12.1/bin\nURL", "not the path of a store object itself"),
    ("NarHash: sha256:", "NarHash: ", "names no algorithm"),
    ("NarHash: sha256:", "NarHash: sha512:", "52 characters are no sha512 hash"),
    (
        "NarHash: sha256:07kc6swib31psygpmwi8952lvywlpqn474059yxl7grwsvr6k0fj",
        "NarHash: md5:00000000000000000000000000",
        "the hash is md5 where sha256 is expected",
    ),
    ("NarSize: 226552", "NarSize: 0", "NarSize is 0"),
    ("NarSize: 226552", "NarSize: ", "no NarSize"),
    ("NarSize: 226552", "NarSize: +226552", "not a plain decimal number"),
    ("NarSize: 226552", "NarSize: 0226552", "not a plain decimal number"),
    ("NarSize: 226552", "NarSize: -1", "not a plain decimal number"),
    ("NarSize: 226552", "NarSize: 226552 ", "not a plain decimal number"),
    ("NarSize: 226552", "NarSize: 18446744073709551616", "not a plain decimal number"),
    ("FileSize: 50160", "FileSize: 0x10", "not a plain decimal number"),
    ("References: n5", "References:  n5", "reference 1 is empty"),
    ("References: n5", "References: /nix/store/n5", "bad References"),
    ("References: n5", "References: /etc/passwd n5", "bad References"),
    ("References: n5", "References: ../../etc/passwd n5", "bad References"),
    ("glibc-2.38-77\n", "glibc-2.38-77 \n", "reference 3 is empty"),
    ("glibc-2.38-77\n", "glibc-2.38-77 qdcbgcj27x2kpxj2sf9yfvva7qsgg64g-glibc-2.38-77\n", "twice"),
    ("Deriver: 1z", "Deriver: /nix/store/1z", "bad Deriver"),
    ("Deriver: 1z", "Deriver: ../1z", "bad Deriver"),
    ("Deriver: 1z", "Deriver: \u{e9}1z", "beyond ASCII"),
    ("Sig: cache", "Sig: garbage\nSig: cache", "line 10 of the narinfo: bad Sig"),
    ("Sig: cache", "Sig: \nSig: cache", "line 10 of the narinfo: bad Sig"),
    ("Sig: cache", "Sig: a:b\nSig: cache", "not canonical base64 of 64 bytes"),
    ("XoBQ==\n", "XoBR==\n", "not canonical base64"),
    ("XoBQ==\n", "XoBQ\n", "not canonical base64"),
    ("XoBQ==\n", "XoBQ== \n", "not canonical base64"),
    ("XoBQ==\n", "XoBQ==", "does not end in a line feed"),
    ("XoBQ==\n", "XoBQ==\nCA: fixed:git:sha1:x\n", "experimental"),
    ("XoBQ==\n", "XoBQ==\nCA: sha256:x\n", "bad CA"),
    ("XoBQ==\n", "XoBQ==\nCA: \nCA: \n", "gives CA again"),
];

#[test]
fn hostile_files_are_refused_by_name() {
    let text = fixtures::text("narinfo/ncps-nar1.narinfo");
    for (from, to, wanted) in REFUSED {
        let hostile = text.replacen(from, to, 1);
        assert_ne!(hostile, text, "{from}");
        let error =
            NarInfo::parse(hostile.as_bytes(), &StoreDir::default()).expect_err(to).to_string();
        assert!(error.contains(wanted), "{to:?}: {error}");
        assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
    }
    for bytes in [&b"\xff\n"[..], b"A: \xc3\n", b"StorePath: \xe2\x28\xa1\n"] {
        let error = NarInfo::parse(bytes, &StoreDir::default()).unwrap_err();
        assert!(matches!(error, NarInfoError::NotText { .. }), "{error}");
    }
    for text in ["", "\n", "<html>\n"] {
        assert!(NarInfo::parse(text.as_bytes(), &StoreDir::default()).is_err(), "{text:?}");
    }
}

#[test]
fn a_foreign_narinfo_is_no_answer() {
    let info = parse(&fixtures::read("narinfo/ncps-nar1.narinfo"));
    let other = parse(&fixtures::read("narinfo/ncps-nar3.narinfo"));
    assert!(info.check_path(&info.store_path).is_ok());
    let error = info.check_path(&other.store_path).unwrap_err().to_string();
    assert!(error.contains("n5glp21rsz314qssw9fbvfswgy3kc68f-hello-2.12.1 where"), "{error}");
}

#[test]
fn addresses_outside_the_cache_are_refused() {
    let text = fixtures::text("narinfo/ncps-nar1.narinfo");
    for url in [
        "../nar/x.nar",
        "nar/../../x.nar",
        "https://evil.example/x.nar",
        "file:///etc/passwd",
        "//evil.example/x.nar",
        "/x.nar",
        "nar/%2e%2e/x.nar",
        "nar\\..\\x.nar",
    ] {
        let hostile = text.replace("URL: nar/1lid", &format!("URL: {url}#"));
        let info = parse(hostile.as_bytes());
        assert!(info.check_url().is_err(), "{url}");
    }
}

#[test]
fn a_bad_signature_is_reported_beside_good_ones() {
    let dir = StoreDir::default();
    let forged = SecretKey::from_seed("cache.nixos.org-1".parse().unwrap(), &[1; 32]);
    let mut info = parse(&fixtures::read("narinfo/ncps-nar1.narinfo"));
    info.sign(&dir, &forged);
    let report = verify(&info);
    assert_eq!((report.good().len(), report.bad().len()), (1, 1));
    assert_eq!(report.verified(), None);
    let unknown = SecretKey::from_seed("nobody-1".parse().unwrap(), &[1; 32]);
    let mut info = parse(&fixtures::read("narinfo/ncps-nar1.narinfo"));
    info.sign(&dir, &unknown);
    let report = verify(&info);
    assert_eq!(report.unknown(), ["nobody-1".parse().unwrap()]);
    assert!(report.verified().is_some());
    info.signatures.remove(0);
    assert!(verify(&info).verified().is_none(), "an unknown key alone proves nothing");
    info.signatures.clear();
    assert!(verify(&info).verified().is_none(), "no signature proves nothing");
}

fn with_references(count: usize) -> String {
    let mut text = fixtures::text("narinfo/ncps-nar1.narinfo");
    let names: Vec<String> = (0..count).map(|n| format!("{n:032}-a")).collect();
    let start = text.find("References: ").unwrap();
    let end = start + text[start..].find('\n').unwrap();
    text.replace_range(start..end, &format!("References: {}", names.join(" ")));
    text
}

#[test]
fn hostile_sizes_are_bounded_and_fast() {
    let dir = StoreDir::default();
    let text = fixtures::text("narinfo/ncps-nar1.narinfo");
    let signature = text.lines().find(|line| line.starts_with("Sig: ")).unwrap();
    let bad = signature.replace(":M", ":N");
    let endless = "x".repeat(MAX_NARINFO_LEN / 2);
    for (what, hostile, wanted) in [
        ("a million references", with_references(1_000_000), "expected at most 16777216"),
        ("too many references", with_references(MAX_REFERENCES + 1), "100001 references"),
        (
            "too many signatures",
            format!("{text}{}", format!("{bad}\n").repeat(100_000)),
            "more than 256 signatures",
        ),
        ("too many fields", format!("{text}{}", "X: y\n".repeat(1_000_000)), "unknown names"),
        ("a long path", text.replace("StorePath: ", &format!("StorePath: {endless}")), "LONG"),
        ("a long URL", text.replace("URL: ", &format!("URL: {endless}")), "LONG"),
        (
            "a long reference",
            text.replace("References: ", &format!("References: {endless}")),
            "LONG",
        ),
        ("a long signature", text.replace("Sig: ", &format!("Sig: {endless}")), "LONG"),
        ("a long name", format!("{text}{endless}: y\n"), "is not '<field>: <value>'"),
        ("a million lines", "\n".repeat(1_000_000), "line 1 of"),
    ] {
        let start = Instant::now();
        let error = NarInfo::parse(hostile.as_bytes(), &dir).expect_err(what).to_string();
        let wanted = if wanted == "LONG" { "characters (expected at most 8192)" } else { wanted };
        assert!(error.contains(wanted), "{what}: {error:.300}");
        assert!(error.len() < 1000, "{what}: an error of {} characters", error.len());
        let elapsed = start.elapsed();
        println!("{what}: {elapsed:?}");
        assert!(elapsed < BOUND, "{what}: {elapsed:?}");
    }
    let start = Instant::now();
    let info = parse(with_references(MAX_REFERENCES).as_bytes());
    assert_eq!(info.references.len(), MAX_REFERENCES);
    assert_eq!(verify(&info).bad().len(), 1);
    let info = parse(format!("{text}{}", format!("{bad}\n").repeat(MAX_SIGNATURES - 1)).as_bytes());
    assert_eq!(verify(&info).bad().len(), 1);
    let elapsed = start.elapsed();
    println!("the most references and signatures: {elapsed:?}");
    assert!(elapsed < BOUND, "{elapsed:?}");
}

#[test]
fn random_files_read_back() {
    let dir = StoreDir::default();
    let mut random = fastrand::Rng::with_seed(20_260_922);
    let texts: Vec<String> = expected()
        .iter()
        .filter(|(name, ..)| !name.contains("texlive"))
        .map(|(name, ..)| fixtures::text(name))
        .collect();
    let trusted = trusted();
    let mut read = 0;
    for _ in 0..10_000 {
        // Lines of several files, in any order, some lost and some damaged.
        let mut lines: Vec<String> = Vec::new();
        for _ in 0..random.usize(1..3) {
            let text = &texts[random.usize(..texts.len())];
            lines.extend(text.lines().filter(|_| random.u8(..) > 20).map(str::to_owned));
        }
        let mut names = std::collections::BTreeSet::new();
        lines.retain(|line| {
            line.starts_with("Sig: ") || names.insert(line.split(':').next().map(str::to_owned))
        });
        random.shuffle(&mut lines);
        let mut bytes = (lines.join("\n") + "\n").into_bytes();
        if random.bool() {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        if let Ok(info) = NarInfo::parse(&bytes, &dir) {
            let again = NarInfo::parse(info.to_text(&dir).as_bytes(), &dir);
            assert_eq!(again.as_ref(), Ok(&info));
            let report = info.verify(&dir, &trusted);
            assert_eq!(report.verified(), again.unwrap().verify(&dir, &trusted).verified());
            read += 1;
        }
    }
    assert!(read > 1000, "only {read} files were read");
}
