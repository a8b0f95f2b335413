//! Stores and caches that real Nix 2.8.0 has made, healthy and damaged: for
//! every path we say what `nix store verify` says, and never more.

use std::collections::BTreeSet;
use std::fs;

use super::gather_support::nginx::Nginx;
use super::nix::{Nix, missing, text};
use super::*;

/// The builder of everything here, and `/bin/sh` of the sandbox.
const BUSYBOX: &str = "/usr/bin/busybox";

/// Packages with several outputs, references, a self-reference, a fixed output,
/// a source and a text.
const EXPRESSION: &str = r#"
let
  build = name: outputs: script: derivation {
    inherit name outputs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
  source = builtins.toFile "source" "text\n";
  fixed = derivation {
    name = "fixed";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo hello > $out" ];
    outputHashAlgo = "sha256"; outputHashMode = "flat";
    outputHash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  };
  one = build "one" [ "out" "dev" ] ''
    /bin/sh -c : ; mkdir() { busybox mkdir "$@"; }
    echo "self $out ${source} ${fixed}" > $out
    echo "dev of $out" > $dev
  '';
in build "two" [ "out" ] "echo ${one} ${one.dev} > $out"
"#;

/// A store with everything in it signed.
struct Store {
    place: tempfile::TempDir,
    nix: Nix,
    key: String,
}

impl Store {
    fn make() -> Option<Self> {
        if missing().is_some() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let mut nix = Nix::new(place.path());
        nix.set("sandbox-paths", &format!("/bin/sh={BUSYBOX}"));
        let expression = place.path().join("default.nix");
        fs::write(&expression, EXPRESSION).unwrap();
        nix.run("nix-build", ["--no-out-link", &text(&expression)]);
        let secret = text(&place.path().join("key.secret"));
        nix.run("nix", ["store", "sign", "--all", "-k", &secret]);
        let key = nix.public_key();
        Some(Self { place, nix, key })
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn paths(&self) -> Vec<String> {
        self.nix.everything().into_keys().collect()
    }

    /// The path with a name that ends so.
    fn find(&self, ending: &str) -> String {
        self.paths().into_iter().find(|path| path.ends_with(ending)).unwrap()
    }

    /// Copies everything into a new cache.
    fn publish(&self, name: &str, compression: &str) -> PathBuf {
        let cache = self.place.path().join(name);
        let secret = text(&self.place.path().join("key.secret"));
        let target =
            format!("file://{}?compression={compression}&secret-key={secret}", cache.display());
        self.nix.run("nix", ["copy", "--all", "--to", &target]);
        cache
    }

    /// The paths of which `nix store verify` says nothing bad.
    fn accepted(&self, store: Option<&str>) -> BTreeSet<String> {
        let accepts = |path: &String| {
            // What Nix remembers of caches is not to be asked.
            let memory = tempfile::tempdir().unwrap();
            let mut words = vec!["store", "verify", path, "--sigs-needed", "1"];
            words.extend(["--trusted-public-keys", self.key.trim()]);
            if path.ends_with(".drv") {
                // The file itself and not what it makes.
                words.push("--derivation");
            }
            if let Some(store) = store {
                words.extend(["--store", store]);
            }
            let mut command = self.nix.command("nix", words);
            let output = command.env("XDG_CACHE_HOME", memory.path()).output().unwrap();
            output.status.success()
        };
        self.paths().into_iter().filter(accepts).collect()
    }
}

fn passing(ran: &Ran) -> BTreeSet<String> {
    let good = |status: &String| matches!(status.as_str(), "verified" | "content-addressed");
    ran.statuses().into_iter().filter(|(_, status)| good(status)).map(|(path, _)| path).collect()
}

#[test]
fn every_compression_over_every_way() {
    let Some(store) = Store::make() else { return };
    let all: BTreeSet<String> = store.paths().into_iter().collect();
    assert!(all.len() >= 8, "{all:?}");
    let listing: String = all.iter().map(|path| format!("{path}\n")).collect();
    for compression in ["none", "xz", "bzip2", "gzip", "zstd", "lz4", "lzip", "br"] {
        let cache_at = store.publish(compression, compression);
        let from = url(&cache_at);
        let base = ["--contents", "--trusted-key", store.key.trim(), "--cache"];
        let ran = cache(&[&base[..], &[&from, "--all"]].concat());
        assert_eq!((ran.code, passing(&ran)), (0, all.clone()), "{compression}: {:#}", ran.report);
        assert_eq!(store.accepted(Some(&from)), all, "{compression}");
        let Some(nginx) = Nginx::serve(&cache_at) else { continue };
        let ran = cache_with(
            &[&base[..], &[nginx.url().as_str(), "--from", "-", "--closure"]].concat(),
            Some(&listing),
        );
        assert_eq!((ran.code, passing(&ran)), (0, all.clone()), "{compression}: {:#}", ran.report);
        assert_eq!(ran.report["facts"]["sources"][0]["contents"]["right"], all.len());
    }
}

/// The narinfo of a path.
fn narinfo_file(cache: &Path, path: &str) -> PathBuf {
    cache.join(format!("{}.narinfo", &path["/nix/store/".len()..][..32]))
}

fn nar_file(cache: &Path, path: &str) -> PathBuf {
    let text = fs::read_to_string(narinfo_file(cache, path)).unwrap();
    cache.join(text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap())
}

fn flip(file: &Path, from_end: usize) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Changes the first character behind `field: `.
fn change(file: &Path, field: &str) {
    let text = fs::read_to_string(file).unwrap();
    let at = text.find(field).unwrap() + field.len();
    let old = &text[at..=at];
    let new = if old == "1" { "0" } else { "1" };
    fs::write(file, format!("{}{new}{}", &text[..at], &text[at + 1..])).unwrap();
}

#[test]
fn a_damaged_cache_is_judged_as_by_nix() {
    let Some(store) = Store::make() else { return };
    let (victim, other) = (store.find("-one"), store.find("-two"));
    let all: BTreeSet<String> = store.paths().into_iter().collect();
    let without: BTreeSet<String> = all.iter().filter(|path| **path != victim).cloned().collect();
    type Damage = fn(&Path, &str, &str);
    let damages: [(&str, &str, Damage); 10] = [
        ("bit in the NAR", "corrupt", |cache, victim, _| flip(&nar_file(cache, victim), 40)),
        ("missing NAR", "missing-nar", |cache, victim, _| {
            fs::remove_file(nar_file(cache, victim)).unwrap();
        }),
        ("NAR of another path", "corrupt", |cache, victim, other| {
            fs::copy(nar_file(cache, other), nar_file(cache, victim)).unwrap();
        }),
        ("cut NAR", "corrupt", |cache, victim, _| {
            let file = nar_file(cache, victim);
            let bytes = fs::read(&file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("NarHash", "forged", |cache, victim, _| {
            change(&narinfo_file(cache, victim), "NarHash: sha256:");
        }),
        ("NarSize", "forged", |cache, victim, _| {
            change(&narinfo_file(cache, victim), "NarSize: ");
        }),
        ("References", "forged", |cache, victim, _| {
            let file = narinfo_file(cache, victim);
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().map(|line| match line.strip_prefix("References: ") {
                Some(paths) => format!("References: {}\n", paths.split_once(' ').unwrap().1),
                None => format!("{line}\n"),
            });
            fs::write(&file, lines.collect::<String>()).unwrap();
        }),
        ("signature", "forged", |cache, victim, _| {
            change(&narinfo_file(cache, victim), "Sig: parity-1:");
        }),
        ("narinfo of another path", "foreign-narinfo", |cache, victim, other| {
            fs::copy(narinfo_file(cache, other), narinfo_file(cache, victim)).unwrap();
        }),
        ("no signature", "no-reference", |cache, victim, _| {
            let file = narinfo_file(cache, victim);
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with("Sig: "));
            fs::write(&file, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        }),
    ];
    let listing: String = all.iter().map(|path| format!("{path}\n")).collect();
    for (at, (what, status, damage)) in damages.into_iter().enumerate() {
        let compression = if at % 2 == 0 { "xz" } else { "none" };
        let cache_at = store.publish(&format!("damaged-{at}"), compression);
        damage(&cache_at, &victim, &other);
        let from = url(&cache_at);
        let base = ["--contents", "--trusted-key", store.key.trim(), "--from", "-"];
        let ran = cache_with(&[&base[..], &["--cache", &from]].concat(), Some(&listing));
        assert_eq!(passing(&ran), without, "{what}: {:#}", ran.report);
        assert_eq!(ran.statuses()[&victim], status, "{what}: {:#}", ran.report);
        assert_eq!(ran.code, if status == "no-reference" { 3 } else { 1 }, "{what}");
        // Nix 2.8.0 verifies the path that the narinfo is about, which is sound,
        // and not the one that was asked for.
        let of_nix = if status == "foreign-narinfo" { &all } else { &without };
        assert_eq!(store.accepted(Some(&from)), *of_nix, "{what}: what Nix says");
        let Some(nginx) = Nginx::serve(&cache_at) else { continue };
        let served = cache_with(&[&base[..], &["--cache", &nginx.url()]].concat(), Some(&listing));
        assert_eq!(served.statuses(), ran.statuses(), "{what}: over HTTP");
    }
}

#[test]
fn a_second_cache_with_other_hashes_is_told_apart() {
    let Some(store) = Store::make() else { return };
    let victim = store.find("-one");
    let (first, second) = (store.publish("first", "xz"), store.publish("second", "xz"));
    let file = narinfo_file(&second, &victim);
    let other = "sha256:1a2siz59nxjxvddxm7xaspmb5rw6hmba72m270hcnhvr99lrryb2";
    let text = fs::read_to_string(&file).unwrap();
    let changed = text.lines().map(|line| match line.split_once(": ") {
        Some(("NarHash", _)) => format!("NarHash: {other}\n"),
        _ => format!("{line}\n"),
    });
    fs::write(&file, changed.collect::<String>()).unwrap();
    let ask = || {
        let (first, second) = (url(&first), url(&second));
        let key = store.key.trim();
        cache(&["--all", "--cache", &first, "--cache", &second, "--trusted-key", key])
    };
    let ran = ask();
    assert_eq!((ran.code, ran.statuses()[&victim].as_str()), (1, "forged"), "{:#}", ran.report);
    // Signed by the same key: now two builds contradict each other.
    let secret = store.place.path().join("key.secret");
    let (name, bytes) = {
        let text = fs::read_to_string(secret).unwrap();
        let (name, bytes) = text.trim().split_once(':').unwrap();
        (name.to_owned(), bytes.to_owned())
    };
    let key: nix_verify::nix::signature::SecretKey = format!("{name}:{bytes}").parse().unwrap();
    let store_dir = nix_verify::nix::store_path::StoreDir::default();
    let text = fs::read(&file).unwrap();
    let mut info = nix_verify::nix::narinfo::NarInfo::parse(&text, &store_dir).unwrap();
    info.signatures.clear();
    info.sign(&store_dir, &key);
    fs::write(&file, info.to_text(&store_dir)).unwrap();
    let ran = ask();
    assert_eq!((ran.code, ran.statuses()[&victim].as_str()), (1, "conflict"), "{:#}", ran.report);
    let others = ran.statuses().into_values().filter(|status| status == "verified").count();
    assert_eq!(others, ran.statuses().len() - 1);
}

/// Runs SQL over the store's database.
fn sql(store: &Store, text: &str, values: &[&str]) {
    let file = store.root().join("nix/var/nix/db/db.sqlite");
    let connection = rusqlite::Connection::open(file).unwrap();
    let changed = connection.execute(text, rusqlite::params_from_iter(values)).unwrap();
    assert!(changed > 0, "{text}");
}

/// Asks the local store about all it holds.
fn local(store: &Store, more: &[&str]) -> Ran {
    let root = format!("--local-store={}", store.root().display());
    let base = ["--all", &root, "--offline", "--contents", "--trusted-key", store.key.trim()];
    cache(&[&base[..], more].concat())
}

fn writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn the_local_store_is_judged_as_by_nix() {
    let Some(store) = Store::make() else { return };
    let all: BTreeSet<String> = store.paths().into_iter().collect();
    let ran = local(&store, &[]);
    assert_eq!((ran.code, passing(&ran)), (0, all.clone()), "{:#}", ran.report);
    assert_eq!(store.accepted(None), all);
    fits_schema(&ran.report);
    let (changed, gone) = (store.find("-one"), store.find("-one-dev"));
    let (rehashed, unsigned) = (store.find("-two"), store.find("-two.drv"));
    let file = store.nix.host_path(&changed);
    writable(&file);
    flip(&file, 3);
    fs::remove_file(store.nix.host_path(&gone)).unwrap();
    let zero = format!("sha256:{}", "0".repeat(64));
    sql(&store, "update ValidPaths set hash = ?2 where path = ?1", &[&rehashed, &zero]);
    sql(&store, "update ValidPaths set sigs = null where path = ?1", &[&unsigned]);
    let ran = local(&store, &[]);
    let statuses = ran.statuses();
    assert_eq!(ran.code, 1);
    assert_eq!(statuses[&changed], "modified", "{:#}", ran.report);
    assert_eq!(statuses[&gone], "missing", "{:#}", ran.report);
    // The signature does not cover that hash, nor do the bytes have it.
    assert_eq!(statuses[&rehashed], "forged", "{:#}", ran.report);
    assert!(ran.rules().contains(&"modified-path"));
    // A derivation needs no signature: its bytes prove its path.
    assert_eq!(statuses[&unsigned], "content-addressed", "{:#}", ran.report);
    let bad = [&changed, &gone, &rehashed];
    let rest: BTreeSet<String> = all.iter().filter(|path| !bad.contains(path)).cloned().collect();
    assert_eq!(passing(&ran), rest);
    assert_eq!(store.accepted(None), rest);
    // Without reading bytes, that file's change cannot be seen, and is not
    // claimed to have been looked for.
    let root = format!("--local-store={}", store.root().display());
    let ran = cache(&[&changed, &root, "--offline", "--trusted-key", store.key.trim()]);
    ran.is(0, "verified", &[]);
    let not_run = ran.report["coverage"]["not_run"].to_string();
    assert!(not_run.contains("--contents was not given"), "{not_run}");
}

#[test]
fn unsigned_unregistered_and_senseless_entries_of_a_local_store() {
    let Some(store) = Store::make() else { return };
    let (unsigned, unknown, senseless) =
        (store.find("-one"), store.find("-two"), store.find("-one-dev"));
    let published = store.publish("cache", "xz");
    sql(&store, "update ValidPaths set sigs = null where path = ?1", &[&unsigned]);
    sql(&store, "update ValidPaths set hash = ?2 where path = ?1", &[&senseless, "sha256:zz"]);
    let file = store.root().join("nix/var/nix/db/db.sqlite");
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.pragma_update(None, "foreign_keys", "off").unwrap();
    connection.execute("delete from ValidPaths where path = ?1", [&unknown]).unwrap();
    drop(connection);
    let ran = local(&store, &[]);
    let statuses = ran.statuses();
    assert_eq!(statuses[&unsigned], "no-reference", "{:#}", ran.report);
    assert_eq!(statuses[&senseless], "malformed-registration");
    assert!(!statuses.contains_key(&unknown));
    assert!(ran.rules().contains(&"unregistered-path"), "{:#}", ran.report);
    // A cache vouches for what the store has no signature of, and notices when
    // the store holds something else.
    let (root, from) = (format!("--local-store={}", store.root().display()), url(&published));
    // What is there unregistered is read too, where a cache says what it has to be.
    let lost = [unknown.as_str(), &root, "--cache", &from, "--trusted-key", store.key.trim()];
    let warned: &[&str] = &["unregistered-path"];
    cache(&[&lost[..], &["--contents"]].concat()).is(0, "verified", warned);
    let file = store.nix.host_path(&unknown);
    writable(&file);
    flip(&file, 3);
    let differs: &[&str] = &["local-store-differs", "unregistered-path"];
    cache(&[&lost[..], &["--contents"]].concat()).is(1, "differs", differs);
    // An empty file that is named as Nix names its locks is one; anything else
    // of that name is an object.
    let lock = format!("{unknown}.lock");
    let file = store.nix.host_path(&lock);
    let is_object = |expected: bool| {
        let ran = cache(&[lock.as_str(), &root, "--offline"]);
        assert_eq!(ran.rules().contains(&"unregistered-path"), expected, "{:#}", ran.report);
        let all = local(&store, &[]);
        let named = all.report["findings"].to_string().contains(&lock);
        assert_eq!(named, expected, "{:#}", all.report);
    };
    fs::write(&file, "").unwrap();
    is_object(false);
    fs::write(&file, "#!/bin/sh\n").unwrap();
    is_object(true);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    is_object(true);
    fs::remove_file(&file).unwrap();
    let base = [unsigned.as_str(), &root, "--cache", &from, "--trusted-key", store.key.trim()];
    cache(&[&base[..], &["--contents"]].concat()).is(0, "verified", &[]);
    let zero = format!("sha256:{}", "0".repeat(64));
    sql(&store, "update ValidPaths set hash = ?2 where path = ?1", &[&unsigned, &zero]);
    cache(&base).is(1, "differs", &["local-store-differs"]);
}
