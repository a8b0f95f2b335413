//! Broken and hostile inputs: a clear error or a component that is marked as
//! unknown, never a silent gap.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::nix::text;
use super::store::Store;
use super::{Outcome, export, run, unknown};

/// The derivations of a store in a directory of their own, to be damaged.
struct Copies {
    store: Store,
    objects: PathBuf,
}

impl Copies {
    fn make() -> Option<Self> {
        let store = Store::make()?;
        let objects = store.place.path().join("copies");
        std::fs::create_dir(&objects).unwrap();
        for entry in std::fs::read_dir(store.root().join("nix/store")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "drv") {
                std::fs::copy(&path, objects.join(path.file_name().unwrap())).unwrap();
            }
        }
        Some(Self { store, objects })
    }

    fn file(&self, drv_path: &str) -> PathBuf {
        self.objects.join(Path::new(drv_path).file_name().unwrap())
    }

    fn damage(&self, drv_path: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let file = self.file(drv_path);
        let bytes = change(std::fs::read(&file).unwrap());
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, bytes).unwrap();
    }

    fn build(&self, drv_path: &str) -> Outcome {
        let file = text(&self.file(drv_path));
        run(export([&file, "--drv-dir", &text(&self.objects), "--scope", "build", "--offline"]))
    }
}

/// Everything that is said about what was damaged.
fn admits(outcome: &Outcome, name: &str, whole: usize) {
    assert_ne!(outcome.code, 0, "a gap in silence: {}", outcome.err);
    assert!(outcome.err.contains(name), "{name} is not named: {}", outcome.err);
    if outcome.out.is_empty() {
        return;
    }
    let bill = outcome.bill();
    let admitted = unknown(&bill);
    assert!(admitted.iter().any(|why| why.contains(name)), "{name}: {admitted:#?}");
    assert!(!bill.composed("unknown", "dependencies").is_empty(), "{name}");
    let root = bill.value["metadata"]["component"]["bom-ref"].as_str().unwrap();
    assert!(!bill.composed("complete", "assemblies").contains(root), "{name}");
    assert!(bill.components().count() <= whole, "{name}");
}

type Damage = (&'static str, fn(Vec<u8>) -> Vec<u8>);

const DAMAGES: [Damage; 5] = [
    ("cut short", |mut bytes| {
        bytes.truncate(bytes.len() / 2);
        bytes
    }),
    ("emptied", |_| Vec::new()),
    ("something else", |_| b"Derive(nothing)".to_vec()),
    // Still a derivation, but not the one that its path names.
    ("forged", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace("echo", "rm").into_bytes()
    }),
    ("bytes of no character set", |mut bytes| {
        let at = bytes.len() / 2;
        bytes[at] = 0xff;
        bytes
    }),
];

#[test]
fn a_broken_derivation_below_is_admitted() {
    for (how, change) in DAMAGES {
        let Some(copies) = Copies::make() else { return };
        let drv_path = copies.store.derivation("oddly");
        let whole = copies.build(&drv_path);
        assert_eq!(whole.code, 0, "{}", whole.err);
        let whole = whole.bill().components().count();
        let victim = copies.store.derivation("library");
        copies.damage(&victim, change);
        let outcome = copies.build(&drv_path);
        eprintln!("{how}: exit {}", outcome.code);
        admits(&outcome, "library-1.2.3", whole);
    }
}

#[test]
fn a_missing_derivation_below_is_admitted() {
    let Some(copies) = Copies::make() else { return };
    let drv_path = copies.store.derivation("oddly");
    let whole = copies.build(&drv_path).bill().components().count();
    std::fs::remove_file(copies.file(&copies.store.derivation("library"))).unwrap();
    admits(&copies.build(&drv_path), "library-1.2.3", whole);
}

#[test]
fn a_missing_or_broken_target_is_an_error() {
    let Some(copies) = Copies::make() else { return };
    let drv_path = copies.store.derivation("oddly");
    copies.damage(&drv_path, |_| b"Derive(".to_vec());
    let outcome = copies.build(&drv_path);
    assert!(matches!(outcome.code, 1 | 2), "{}", outcome.code);
    assert!(outcome.err.contains("oddly"), "{}", outcome.err);
    std::fs::remove_file(copies.file(&drv_path)).unwrap();
    let outcome = copies.build(&drv_path);
    assert_ne!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.is_empty());
}

#[test]
fn paths_that_nobody_has_are_admitted() {
    let Some(store) = Store::make() else { return };
    let path = store.output("oddly");
    let closure = store.closure(&path);
    let cache = store.place.path().join("cache");
    store.nix.publish(&cache, &[]);
    let library = store.output("library");
    let hash_part = &Path::new(&library).file_name().unwrap().to_str().unwrap()[..32];
    let narinfo = cache.join(format!("{hash_part}.narinfo"));
    let genuine = std::fs::read_to_string(&narinfo).unwrap();
    let url = format!("file://{}", text(&cache));
    let key = store.nix.public_key();
    let ask = || run(export([&path, "--cache", &url, "--trusted-key", &key]));
    assert_eq!(ask().code, 0);

    std::fs::remove_file(&narinfo).unwrap();
    let outcome = ask();
    admits(&outcome, "library-1.2.3", closure.len());
    assert_eq!(outcome.code, 3, "{}", outcome.err);
    // It is still listed: its users refer to it.
    assert!(outcome.bill().paths().contains(&library));

    // A narinfo that leaves out a reference has no good signature.
    let references = genuine.lines().find(|line| line.starts_with("References:")).unwrap();
    std::fs::write(&narinfo, genuine.replace(references, "References: ")).unwrap();
    if references != "References: " {
        let outcome = ask();
        assert_ne!(outcome.code, 0, "a forged narinfo: {}", outcome.err);
        assert!(outcome.err.contains("library-1.2.3"), "{}", outcome.err);
    }

    // Nobody at all.
    let empty = store.place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(empty.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let url = format!("file://{}", text(&empty));
    let outcome = run(export([&path, "--cache", &url, "--trusted-key", &key]));
    assert_eq!(outcome.code, 3, "{}", outcome.err);
}

#[test]
fn descriptions_that_do_not_fit_are_not_taken() {
    let Some(store) = Store::make() else { return };
    let drv_path = store.derivation("program");
    let meta = store.place.path().join("meta.json");
    let words = [
        drv_path.as_str(),
        &store.option(),
        "--scope",
        "build",
        "--offline",
        "--meta",
        &text(&meta),
    ]
    .map(str::to_owned);
    let with = |content: &str| {
        std::fs::write(&meta, content).unwrap();
        run(export(&words))
    };
    let entry = |name: &str, licence: &str| {
        format!(
            r#"{{"name":"{name}","pname":"x","version":"1","system":"x86_64-linux",
            "meta":{{"license":{{"spdxId":"{licence}"}},"description":"d"}}}}"#
        )
    };
    let good = with(&format!(r#"{{"library":{}}}"#, entry("library-1.2.3", "MIT")));
    assert_eq!(good.code, 0, "{}", good.err);
    let bill = good.bill();
    let licence = &bill.component(&store.output("library"))["licenses"];
    assert!(licence.to_string().contains("\"MIT\""), "{licence}");
    // What is described and not there changes nothing; others stay unknown.
    let licence = &bill.component(&store.output("static"))["licenses"];
    assert!(licence.to_string().contains("NOASSERTION"), "{licence}");

    // Of another version: not its own.
    let outcome = with(&format!(r#"{{"library":{}}}"#, entry("library-1.2.4", "MIT")));
    let licence = &outcome.bill().component(&store.output("library"))["licenses"].clone();
    assert!(licence.to_string().contains("NOASSERTION"), "{licence}");

    // Two that contradict: unknown, and said so.
    let both = format!(
        r#"{{"a":{},"b":{}}}"#,
        entry("library-1.2.3", "MIT"),
        entry("library-1.2.3", "GPL-2.0-only")
    );
    let bill = with(&both).bill();
    let library = bill.component(&store.output("library"));
    assert!(library["licenses"].to_string().contains("NOASSERTION"), "{library}");
    let said = unknown(&bill);
    assert!(said.iter().any(|why| why.contains("library-1.2.3")), "{said:?}");

    for bad in ["", "[]", "{", "{\"a\":3}", "{\"a\":{\"name\":3}}", "null"] {
        let outcome = with(bad);
        assert_eq!(outcome.code, 2, "{bad:?}: {}", outcome.err);
        assert!(outcome.out.is_empty() && outcome.err.contains("meta"), "{bad:?}: {}", outcome.err);
    }
}

#[test]
fn evidence_about_something_else_is_not_attached() {
    let Some(store) = Store::make() else { return };
    let path = store.output("program");
    let cache = store.place.path().join("cache");
    store.nix.publish(&cache, &[]);
    let report = store.place.path().join("report.json");
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_verify"))
        .args(["cache", &path, "--closure", "--cache", &format!("file://{}", text(&cache))])
        .args(["--trusted-key", &store.nix.public_key(), "--format", "json", "--output"])
        .arg(&report)
        .env_clear()
        .status()
        .unwrap();
    assert_eq!(made.code(), Some(0));
    let words = [&path, &store.option(), "--offline", "--evidence", &text(&report)];
    let proven = |outcome: &Outcome| -> BTreeSet<String> {
        let bill = outcome.bill();
        let all = bill.components().filter(|(_, component)| {
            component["properties"].to_string().contains("verify:cache:status")
        });
        all.map(|(reference, _)| reference.clone()).collect()
    };
    let outcome = run(export(words));
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(proven(&outcome), store.closure(&path));

    // One digit of one hash: what was verified is not what is here.
    let genuine = std::fs::read_to_string(&report).unwrap();
    let value: serde_json::Value = serde_json::from_str(&genuine).unwrap();
    let facts = value["facts"]["paths"].as_array().unwrap();
    let about = facts.iter().find(|one| one["path"] == path.as_str()).unwrap();
    let hash = about["versions"][0]["nar_hash"].as_str().unwrap();
    let other = match hash.strip_suffix('0') {
        Some(rest) => format!("{rest}1"),
        None => format!("{}0", &hash[..hash.len() - 1]),
    };
    std::fs::write(&report, genuine.replace(hash, &other)).unwrap();
    let outcome = run(export(words));
    if outcome.code == 0 || outcome.code == 3 || !outcome.out.is_empty() {
        assert!(!proven(&outcome).contains(&path));
    }
    assert!(outcome.code != 0 || outcome.err.contains("program-3"), "in silence: {}", outcome.err);

    for bad in ["", "{}", "{\"format\":\"nix-verify-report\",\"version\":1}"] {
        std::fs::write(&report, bad).unwrap();
        let outcome = run(export(words));
        assert_eq!(outcome.code, 2, "{bad:?}: {}", outcome.err);
        assert!(outcome.err.contains("report.json"), "{bad:?}: {}", outcome.err);
    }
}
