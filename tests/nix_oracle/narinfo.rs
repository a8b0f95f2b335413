//! narinfos, signatures and realisations beside real Nix: what it writes reads
//! back and verifies here, what is signed here it trusts, and over tampered
//! files the two agree but where strictness is meant.
//!
//! Needs Nix on the path; without it the tests say so and pass, except in CI.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix_verify::gather::nar::compression;
use nix_verify::nix::cache_info::CacheInfo;
use nix_verify::nix::content_address::{ContentAddress, Method};
use nix_verify::nix::hash::{FileHash, Hash, HashAlgorithm, NarHash};
use nix_verify::nix::narinfo::{Compression, NarInfo};
use nix_verify::nix::realisation::Realisation;
use nix_verify::nix::signature::{PublicKey, SecretKey, Signature, TrustedKeys};
use nix_verify::nix::store_path::StoreDir;

/// Objects of every kind: texts with references, outputs that refer to
/// themselves and to each other, fixed and floating content-addressed ones.
const OBJECTS: &str = r#"
let
  sh = extra: script: derivation ({
    system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  } // extra);
  floating = { __contentAddressed = true; outputHashAlgo = "sha256"; outputHashMode = "recursive"; };
  a = builtins.toFile "a.txt" "a";
  b = builtins.toFile "b.txt" "see ${a}";
  both = sh { name = "both-1.0"; outputs = [ "out" "dev" ]; inherit b; }
    "echo $out $b > $out; echo $dev $out > $dev";
  plain = sh { name = "plain"; } "echo plain > $out";
  fixed = sh {
    name = "fixed"; outputHash = builtins.hashString "sha256" "hi\n";
    outputHashAlgo = "sha256"; outputHashMode = "flat";
  } "echo hi > $out";
  ca = sh ({ name = "ca"; inherit plain; } // floating) "echo $out $plain > $out";
  ca-user = sh ({ name = "ca-user"; inherit ca; } // floating) "echo $ca > $out";
in { inherit fixed ca-user; out = both; dev = both.dev; }
"#;

/// A Nix of its own: store, database, keys and configuration in one directory.
struct Nix {
    dir: tempfile::TempDir,
}

impl Nix {
    /// Nix with the objects built, if there is a Nix.
    fn new() -> Option<Self> {
        let found = Command::new("nix").arg("--version").stdout(Stdio::null()).status();
        if found.is_err() {
            assert!(std::env::var_os("CI").is_none(), "Nix has to be installed in CI");
            eprintln!("skipped: there is no Nix on the path");
            return None;
        }
        let nix = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(nix.path("home")).unwrap();
        let keys = [nix.text("sk"), nix.text("pk")];
        nix.run("nix-store", &["--generate-binary-cache-key", "test-1", &keys[0], &keys[1]]);
        std::fs::write(nix.path("objects.nix"), OBJECTS).unwrap();
        nix.run("nix-build", &["--no-out-link", &nix.text("objects.nix")]);
        Some(nix)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    fn store_dir(&self) -> StoreDir {
        StoreDir::new(&self.text("store")).unwrap()
    }

    fn output(&self, program: &str, args: &[&str]) -> Output {
        let store = self.path("store");
        self.command(program, args).env("NIX_STORE_DIR", store).output().unwrap()
    }

    /// A command with the store directory that Nix has by itself.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        for (name, place) in [
            ("HOME", "home"),
            ("XDG_CACHE_HOME", "home/cache"),
            ("NIX_STATE_DIR", "var"),
            ("NIX_LOG_DIR", "log"),
            ("NIX_CONF_DIR", "etc"),
        ] {
            command.env(name, self.path(place));
        }
        let config = format!(
            "build-users-group =\nsandbox = false\nsubstituters =\nsecret-key-files = {}\nexperimental-features = nix-command ca-derivations",
            self.text("sk")
        );
        command.env("NIX_CONFIG", config);
        command
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.output(program, args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn secret(&self) -> SecretKey {
        std::fs::read_to_string(self.path("sk")).unwrap().trim().parse().unwrap()
    }

    fn public(&self) -> PublicKey {
        std::fs::read_to_string(self.path("pk")).unwrap().trim().parse().unwrap()
    }

    fn trusted(&self) -> TrustedKeys {
        let mut trusted = TrustedKeys::new();
        trusted.insert(self.public()).unwrap();
        trusted
    }

    /// Copies everything into a signed cache.
    fn cache(&self, name: &str, compression: &str) -> String {
        let url = format!("file://{}", self.text(name));
        let to = format!("{url}?secret-key={}&compression={compression}", self.text("sk"));
        self.run("nix", &["copy", "--to", &to, "--all"]);
        url
    }

    /// The narinfos of a cache by name.
    fn narinfos(&self, cache: &str) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(self.path(cache)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "narinfo") {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
        assert!(files.len() > 12, "{} files", files.len());
        files
    }

    /// Whether Nix trusts the path of that full name in a cache.
    fn trusts(&self, cache: &str, path: &str) -> bool {
        let url = format!("file://{}", self.text(cache));
        let keys = self.public().to_string();
        let verify = ["store", "verify", "--no-contents", "--sigs-needed", "1"];
        let place = ["--store", &url, "--option", "trusted-public-keys", &keys, path];
        self.output("nix", &[&verify[..], &place[..]].concat()).status.success()
    }
}

/// The narinfo of the path that ends so, with the name of its file.
fn about<'a>(files: &'a BTreeMap<String, String>, end: &str) -> (&'a str, &'a str) {
    let (name, text) = files
        .iter()
        .find(|(_, text)| text.lines().next().is_some_and(|line| line.ends_with(end)))
        .unwrap();
    (name, text)
}

#[test]
fn what_nix_writes_reads_back_and_verifies() {
    let Some(nix) = Nix::new() else { return };
    let dir = nix.store_dir();
    let url = nix.cache("cache", "xz");
    let info = CacheInfo::parse(&std::fs::read(nix.path("cache/nix-cache-info")).unwrap()).unwrap();
    assert_eq!(info.store_dir.as_ref(), Some(&dir));
    assert!(info.check_store_dir(&StoreDir::default()).is_err());
    let json = nix.run("nix", &["path-info", "--json", "--store", &url, "--all"]);
    let facts: serde_json::Value = serde_json::from_str(&json).unwrap();
    let facts: BTreeMap<&str, &serde_json::Value> = facts
        .as_array()
        .unwrap()
        .iter()
        .map(|fact| (fact["path"].as_str().unwrap(), fact))
        .collect();
    let files = nix.narinfos("cache");
    assert_eq!(files.len(), facts.len());
    let mut content_addressed = 0;
    for (name, text) in files {
        let info = NarInfo::parse(text.as_bytes(), &dir).unwrap();
        assert_eq!(info.to_text(&dir), text);
        assert_eq!(name, format!("{}.narinfo", info.store_path.hash_part()));
        let fact = facts[dir.full(&info.store_path).as_str()];
        assert_eq!(NarHash::parse(fact["narHash"].as_str().unwrap()), Ok(info.nar_hash));
        assert_eq!(fact["narSize"].as_u64(), Some(info.nar_size));
        let references: Vec<String> = info.references.iter().map(|path| dir.full(path)).collect();
        assert_eq!(serde_json::to_value(references).unwrap(), fact["references"]);
        assert_eq!(fact["url"].as_str(), info.check_url().ok());
        assert_eq!(fact["downloadSize"].as_u64(), info.file_size);
        let file_hash = Hash::parse(fact["downloadHash"].as_str().unwrap(), None).unwrap();
        assert_eq!(info.file_hash, Some(FileHash(file_hash)));
        let text_of = |key: &str| fact.get(key).and_then(|value| value.as_str());
        assert_eq!(text_of("ca"), info.ca.map(|ca| ca.to_string()).as_deref());
        assert_eq!(text_of("deriver"), info.deriver.as_ref().map(|drv| dir.full(drv)).as_deref());
        // Whatever has a content address is addressed by it.
        assert_eq!(info.is_content_addressed(&dir), info.ca.is_some());
        content_addressed += usize::from(info.ca.is_some());
        let report = info.verify(&dir, &nix.trusted());
        assert_eq!(report.verified().unwrap().path_info(), &info.path_info());
        // Ed25519 is deterministic: our signature is Nix's, byte for byte.
        assert_eq!(info.signatures, [info.path_info().sign(&dir, &nix.secret())]);
    }
    assert!(content_addressed > 6, "{content_addressed}");
}

#[test]
fn every_compression_nix_writes_is_read() {
    let Some(nix) = Nix::new() else { return };
    for wanted in Compression::ALL {
        let cache = format!("cache-{wanted}");
        nix.cache(&cache, wanted.name());
        for text in nix.narinfos(&cache).values() {
            let info = NarInfo::parse(text.as_bytes(), &nix.store_dir()).unwrap();
            assert_eq!(info.compression, wanted);
            let file = std::fs::File::open(nix.path(&cache).join(info.check_url().unwrap()));
            let mut nar = Vec::new();
            compression::reader(wanted, file.unwrap()).unwrap().read_to_end(&mut nar).unwrap();
            assert_eq!(info.nar_size, u64::try_from(nar.len()).unwrap());
            let hash = Hash::of(HashAlgorithm::Sha256, &nar);
            assert_eq!(NarHash::from_sha256(&hash), Some(info.nar_hash), "{wanted}");
        }
    }
}

#[test]
fn realisations_of_nix_read_back_and_verify() {
    let Some(nix) = Nix::new() else { return };
    let to = format!("file://{}?secret-key={}", nix.text("cache"), nix.text("sk"));
    nix.run("nix", &["copy", "--to", &to, "-f", &nix.text("objects.nix"), "ca-user"]);
    let mut with_dependents = 0;
    let mut files = 0;
    for entry in std::fs::read_dir(nix.path("cache/realisations")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let realisation = Realisation::parse(text.as_bytes()).unwrap();
        assert_eq!(realisation.to_json(), text);
        assert_eq!(nix.path("cache").join(realisation.id.cache_path()), path);
        assert!(realisation.verify(&nix.trusted()).is_trusted(), "{text}");
        let signature = nix.secret().sign(realisation.fingerprint().as_bytes());
        assert_eq!(realisation.signatures, [signature]);
        with_dependents += usize::from(!realisation.dependent_realisations.is_empty());
        files += 1;
    }
    assert_eq!((files, with_dependents), (3, 2));
}

#[test]
fn nix_trusts_what_is_signed_here() {
    let Some(nix) = Nix::new() else { return };
    let dir = nix.store_dir();
    nix.run("nix", &["copy", "--to", &format!("file://{}", nix.text("cache")), "--all"]);
    for (name, text) in nix.narinfos("cache") {
        let mut info = NarInfo::parse(text.as_bytes(), &dir).unwrap();
        // Nix takes the name of a derivation for its outputs.
        if info.store_path.is_derivation() {
            continue;
        }
        let path = dir.full(&info.store_path);
        // Outputs built with a secret key at hand are signed already.
        info.signatures.clear();
        std::fs::write(nix.path("cache").join(&name), info.to_text(&dir)).unwrap();
        assert_eq!(nix.trusts("cache", &path), info.is_content_addressed(&dir), "{path}");
        info.sign(&dir, &nix.secret());
        std::fs::write(nix.path("cache").join(&name), info.to_text(&dir)).unwrap();
        assert!(nix.trusts("cache", &path), "{path}");
    }
}

#[test]
fn nix_takes_unsigned_paths_if_their_content_address_recomputes() {
    let Some(nix) = Nix::new() else { return };
    let dir = nix.store_dir();
    let url = nix.cache("cache", "none");
    let files = nix.narinfos("cache");
    let mut trials = 0;
    for name in ["-fixed", "-a.txt", "-plain"] {
        let (file, text) = about(&files, name);
        let mut info = NarInfo::parse(text.as_bytes(), &dir).unwrap();
        info.signatures.clear();
        let own = info.ca;
        let hash = info.nar_hash.hash();
        let wrong = Hash::of(HashAlgorithm::Sha256, b"another content");
        let addresses = [Method::Text, Method::Flat, Method::Recursive]
            .into_iter()
            .flat_map(|method| [hash, wrong].map(|hash| ContentAddress::new(method, hash).ok()));
        for ca in addresses.chain([own, None]) {
            info.ca = ca;
            std::fs::write(nix.path("cache").join(file), info.to_text(&dir)).unwrap();
            let to = format!("local?root={}&store={dir}", nix.text(&format!("root-{trials}")));
            let path = dir.full(&info.store_path);
            let copied = nix.output("nix", &["copy", "--from", &url, "--to", &to, &path]);
            let ours = info.is_content_addressed(&dir);
            assert_eq!(ours, copied.status.success(), "{path}: {ca:?}\n{copied:?}");
            assert_eq!(ours, ca.is_some() && ca == own, "{path}: {ca:?}");
            trials += 1;
        }
    }
    assert_eq!(trials, 24);
}

#[test]
fn nix_agrees_over_genuine_files() {
    let Some(nix) = Nix::new() else { return };
    let dir = StoreDir::default();
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/narinfo");
    let read = |name: &str| std::fs::read_to_string(fixtures.join(name)).unwrap();
    let keys = read("keys.txt");
    let trusted = TrustedKeys::parse(&keys).unwrap();
    let cache = nix.path("genuine");
    std::fs::create_dir(&cache).unwrap();
    std::fs::write(cache.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let nix_trusts = |which: &str| {
        let url = format!("file://{}", nix.text("genuine"));
        let mut args = vec!["store", "verify", "--no-contents", "--sigs-needed", "1"];
        args.extend(["--store", &url, "--option", "trusted-public-keys", &keys]);
        args.push(which);
        nix.command("nix", &args).output().unwrap().status.success()
    };
    let write = |text: &str| {
        let info = NarInfo::parse(text.as_bytes(), &dir).unwrap();
        let file = cache.join(format!("{}.narinfo", info.store_path.hash_part()));
        std::fs::write(file, text).unwrap();
        info
    };
    let many = read("cache-nixos-org.narinfos");
    let infos: Vec<NarInfo> =
        many.split("\n\n").map(|text| write(&format!("{}\n", text.trim_end()))).collect();
    assert_eq!(infos.len(), 657);
    assert!(infos.iter().all(|info| info.verify(&dir, &trusted).verified().is_some()));
    assert!(nix_trusts("--all"));
    let mut untrusted = Vec::new();
    for row in read("EXPECTED.tsv").lines().skip(1) {
        let name = row.split('\t').next().unwrap();
        let info = write(&read(name));
        let ours = info.verify(&dir, &trusted).verified().is_some();
        assert_eq!(nix_trusts(&dir.full(&info.store_path)), ours, "{name}");
        if !ours {
            untrusted.push(name.to_owned());
        }
    }
    assert_eq!(untrusted, ["net-tools-other-narhash.narinfo", "gcc-3.4.6-unsorted-refs.narinfo"]);
}

/// Why a file that Nix 2.8 trusts is not trusted here. Anything else is a bug.
fn stricter(ours: &Result<NarInfo, String>) -> Option<&'static str> {
    const REASONS: &[(&str, &str)] = &[
        ("not a plain decimal number", "Nix reads signs, leading zeros and blanks"),
        ("gives", "Nix lets the last of doubled fields win"),
        ("control byte", "Nix keeps control characters in what it does not read"),
        ("not UTF-8", "Nix keeps any bytes in what it does not read"),
        ("beyond ASCII", "Nix keeps any bytes in what it does not read"),
        ("is not '<field>: <value>'", "Nix skips any byte behind the colon"),
        ("unknown compression", "Nix notices when it unpacks"),
        ("bad Sig", "Nix does not read signatures by unknown keys"),
        ("has no '-'", "Nix 2.8 does not check the dash behind the hash part"),
        ("is empty", "Nix skips doubled blanks between references"),
        ("component", "newer Nix refuses such names"),
    ];
    let error = ours.as_ref().err()?;
    REASONS.iter().find(|(part, _)| error.contains(part)).map(|(_, reason)| *reason)
}

#[test]
fn nix_agrees_over_tampered_files() {
    let Some(nix) = Nix::new() else { return };
    let dir = nix.store_dir();
    let trusted = nix.trusted();
    nix.cache("cache", "none");
    let files = nix.narinfos("cache");
    // One input-addressed file with references, itself among them.
    let (name, text) = about(&files, "-both-1.0");
    let genuine = NarInfo::parse(text.as_bytes(), &dir).unwrap();
    assert!(genuine.ca.is_none() && genuine.references.len() == 2);
    let path = dir.full(&genuine.store_path);
    let file = nix.path("cache").join(name);

    let wrong = SecretKey::from_seed("test-1".parse().unwrap(), &[9; 32]);
    let unknown = SecretKey::from_seed("nobody-1".parse().unwrap(), &[9; 32]);
    let line = |signature: Signature| format!("Sig: {signature}\n");
    let bad = line(genuine.path_info().sign(&dir, &wrong));
    let foreign = line(genuine.path_info().sign(&dir, &unknown));
    let replace = |from: &str, to: &str| {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        other.into_bytes()
    };
    let mut variants: Vec<Vec<u8>> = vec![
        text.as_bytes().to_vec(),
        replace("NarSize: ", "NarSize: +"),
        replace("NarSize: ", "NarSize: 1"),
        replace("References: ", "References:  "),
        replace("Sig: test-1:", "Sig: test-2:"),
        replace("URL: nar/", "URL: other/"),
        replace("Compression: none", "Compression: xz"),
        replace("sha256:", "sha256-"),
        format!("{text}{foreign}").into_bytes(),
        format!("{foreign}{text}").into_bytes(),
        format!("{text}Sig: nobody-1:x\n").into_bytes(),
        format!("{text}New: field\n").into_bytes(),
        format!("{text}System: x86_64-linux\n").into_bytes(),
        format!("{text}NarSize: 1\n").into_bytes(),
        format!("{text}{}\n", text.lines().find(|line| line.starts_with("Sig")).unwrap())
            .into_bytes(),
    ];
    // In other notations the signed hash is the same.
    let nix32 = genuine.nar_hash.to_string();
    variants.push(replace(
        &format!("NarHash: {nix32}"),
        &format!("NarHash: sha256:{}", genuine.nar_hash.hash().base16()),
    ));
    variants.push(replace(
        &format!("NarHash: {nix32}"),
        &format!("NarHash: {}", genuine.nar_hash.hash().sri()),
    ));
    // References out of order: Nix sorts them.
    let mut unsorted = genuine.clone();
    unsorted.references.reverse();
    variants.push(unsorted.to_text(&dir).into_bytes());
    // And any byte changed to any other.
    let mut random = fastrand::Rng::with_seed(2_008_000);
    for _ in 0..400 {
        let mut bytes = text.as_bytes().to_vec();
        let at = random.usize(..bytes.len());
        bytes[at] = if random.bool() { random.u8(..) } else { random.u8(b' '..=b'~') };
        variants.push(bytes);
    }

    let mut agreed = BTreeMap::new();
    let mut strict: BTreeMap<&str, usize> = BTreeMap::new();
    for bytes in variants {
        std::fs::write(&file, &bytes).unwrap();
        let theirs = nix.trusts("cache", &path);
        let ours =
            NarInfo::parse(&bytes, &dir).map_err(|error| error.to_string()).and_then(|info| {
                info.check_path(&genuine.store_path).map_err(|error| error.to_string())?;
                Ok(info)
            });
        let verified =
            ours.as_ref().is_ok_and(|info| info.verify(&dir, &trusted).verified().is_some());
        let shown = String::from_utf8_lossy(&bytes);
        if verified == theirs {
            *agreed.entry(theirs).or_insert(0) += 1;
        } else {
            assert!(theirs, "trusted here and not by Nix:\n{shown}");
            let reason = stricter(&ours);
            *strict.entry(reason.unwrap_or_else(|| panic!("{ours:?}\n{shown}"))).or_default() += 1;
        }
    }
    eprintln!("agreed: {agreed:?}, stricter: {strict:#?}");
    assert!(agreed[&true] > 50 && agreed[&false] > 50, "{agreed:?}");

    // A bad signature under a trusted name is never outvoted here; Nix counts
    // the good one.
    let forged = format!("{text}{bad}");
    std::fs::write(&file, &forged).unwrap();
    assert!(nix.trusts("cache", &path));
    let report = NarInfo::parse(forged.as_bytes(), &dir).unwrap().verify(&dir, &trusted);
    assert_eq!((report.good().len(), report.bad().len()), (1, 1));
    assert_eq!(report.verified(), None);
}
