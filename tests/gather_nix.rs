//! The local store and caches as real Nix makes them, in every compression.
//! Needs Nix on the path; without it the tests say so and pass, except in CI.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod gather_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gather_support::nginx::Nginx;
use gather_support::options;
use nix_verify::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer};
use nix_verify::gather::derivations::files::DrvFiles;
use nix_verify::gather::http::HttpClient;
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::gather::store::local::LocalStore;
use nix_verify::nix::hash::NarHash;
use nix_verify::nix::narinfo::{Compression, NarInfo};
use nix_verify::nix::store_path::{StoreDir, StorePath};
use serde_json::Value;

/// Two packages with several outputs, references, a self-reference, a fixed
/// output and a source.
const EXPRESSION: &str = r##"
let
  build = name: outputs: script: derivation {
    inherit name outputs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
    PATH = "/usr/bin:/bin";
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
    mkdir $out $out/empty; echo "self $out ${source} ${fixed}" > $out/a
    i=0; while [ $i -lt 3000 ]; do echo "line $i of many"; i=$((i+1)); done > $out/long
    echo "#!x" > $out/run; chmod +x $out/run; ln -s a $out/link; echo $out > $dev
  '';
in build "two" [ "out" ] "echo ${one} ${one.dev} > $out"
"##;

/// A store made by Nix below a directory of its own.
struct Store {
    directory: tempfile::TempDir,
}

impl Store {
    /// `None`, with a notice, where there is no Nix.
    fn make() -> Option<Self> {
        if Command::new("nix").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "Nix has to be installed in CI");
            println!("skipped: Nix is not installed");
            return None;
        }
        let store = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(store.root().join("etc")).unwrap();
        let settings = "sandbox = false\nbuild-users-group =\nsubstitute = false\n\
                        experimental-features = nix-command\n";
        std::fs::write(store.root().join("etc/nix.conf"), settings).unwrap();
        let expression = store.root().join("default.nix");
        std::fs::write(&expression, EXPRESSION).unwrap();
        store.nix("nix-build", &["--no-out-link", expression.to_str().unwrap()]);
        let keys = store.root().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let (secret, public) = (keys.join("secret"), keys.join("public"));
        let (secret, public) = (secret.to_str().unwrap(), public.to_str().unwrap());
        store.nix("nix-store", &["--generate-binary-cache-key", "test-1", secret, public]);
        store.nix("nix", &["store", "sign", "--all", "--key-file", secret]);
        Some(store)
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn store_dir(&self) -> StoreDir {
        StoreDir::new(self.root().join("nix/store").to_str().unwrap()).unwrap()
    }

    fn nix(&self, program: &str, args: &[&str]) -> String {
        let root = self.root();
        let output = Command::new(program)
            .args(args)
            .env("NIX_STORE_DIR", root.join("nix/store"))
            .env("NIX_STATE_DIR", root.join("nix/var/nix"))
            .env("NIX_LOG_DIR", root.join("nix/var/log/nix"))
            .env("NIX_CONF_DIR", root.join("etc"))
            .env("HOME", root)
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What Nix says about all paths.
    fn facts(&self) -> BTreeMap<StorePath, Value> {
        let facts: Value =
            serde_json::from_str(&self.nix("nix", &["path-info", "--all", "--json"])).unwrap();
        let facts = facts.as_array().unwrap().iter().map(|fact| {
            (self.store_dir().parse(fact["path"].as_str().unwrap()).unwrap(), fact.clone())
        });
        facts.collect()
    }

    fn picture(&self) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
        std::fs::read_dir(self.root().join("nix/var/nix/db"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let found = entry.metadata().unwrap();
                (entry.path(), (found.len(), found.modified().unwrap()))
            })
            .collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Directories in a store are not writable, which only root may ignore.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.root()).status();
    }
}

fn texts<'a>(value: &'a Value, field: &str) -> BTreeSet<&'a str> {
    value[field]
        .as_array()
        .map(|items| items.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

#[test]
fn a_store_made_by_nix_is_read_as_nix_reads_it() {
    let Some(store) = Store::make() else { return };
    let (facts, store_dir) = (store.facts(), store.store_dir());
    assert!(facts.len() >= 8, "{} paths", facts.len());
    let before = store.picture();
    let local = LocalStore::open(Some(store.root()), &store_dir).unwrap();
    let (mut derivers, mut addressed, mut selves) = (0, 0, 0);
    for (path, fact) in &facts {
        let found = local.query(path).unwrap().unwrap();
        assert_eq!(found.info.path, *path);
        assert_eq!(found.info.nar_hash, NarHash::parse(fact["narHash"].as_str().unwrap()).unwrap());
        assert_eq!(Some(found.info.nar_size), fact["narSize"].as_u64());
        let references: BTreeSet<String> =
            found.info.references.iter().map(|path| store_dir.full(path)).collect();
        let references: BTreeSet<&str> = references.iter().map(String::as_str).collect();
        assert_eq!(references, texts(fact, "references"), "{path}");
        let deriver = found.deriver.map(|path| store_dir.full(&path));
        assert_eq!(deriver.as_deref(), fact["deriver"].as_str());
        assert_eq!(found.ca.map(|ca| ca.to_string()).as_deref(), fact["ca"].as_str());
        assert_eq!(found.ultimate, fact["ultimate"].as_bool().unwrap_or_default());
        let signatures: Vec<String> = found.signatures.iter().map(ToString::to_string).collect();
        let signatures: BTreeSet<&str> = signatures.iter().map(String::as_str).collect();
        assert_eq!(signatures, texts(fact, "signatures"));
        derivers += usize::from(deriver.is_some());
        addressed += usize::from(fact["ca"].is_string());
        selves += usize::from(found.info.references.contains(path));
        let tree = hash_tree(&local.host_path(path), &mut []).unwrap();
        assert_eq!(tree, (found.info.nar_hash, found.info.nar_size));
    }
    assert!(derivers >= 3 && addressed >= 4 && selves == 1, "{derivers} {addressed} {selves}");
    let absent: StorePath = "00000000000000000000000000000000-x".parse().unwrap();
    assert_eq!(local.query(&absent).unwrap(), None);

    // Its derivations are read from there, and make the paths they have.
    let mut files = DrvFiles::new(store_dir);
    files.add_local_store(Arc::new(local));
    let derivations: Vec<_> = facts.keys().filter(|path| path.is_derivation()).collect();
    assert_eq!(derivations.len(), 3);
    for path in derivations {
        files.load(path).unwrap();
    }
    drop(files);
    assert_eq!(store.picture(), before, "the store was touched");
}

#[test]
fn caches_written_by_nix_are_read_in_every_compression() {
    let Some(store) = Store::make() else { return };
    let (facts, store_dir) = (store.facts(), store.store_dir());
    let caches = store.root().join("caches");
    std::fs::create_dir(&caches).unwrap();
    for compression in Compression::ALL {
        let url = format!("file://{}/{compression}?compression={compression}", caches.display());
        store.nix("nix", &["copy", "--all", "--to", &url]);
    }
    let nginx = Nginx::serve(&caches);
    let client = CacheClient::new(HttpClient::new(options()), Netrc::default(), store_dir.clone());
    for compression in Compression::ALL {
        let file = format!("file://{}/{compression}", caches.display());
        let http = nginx.as_ref().map(|nginx| format!("{}/{compression}", nginx.url()));
        for url in [Some(file), http].into_iter().flatten() {
            let cache = CacheUrl::parse(&url).unwrap();
            for (path, fact) in &facts {
                let NarInfoAnswer::Present(bytes) = client.narinfo(&cache, path) else {
                    panic!("{url}: no {path}");
                };
                let narinfo = NarInfo::parse(&bytes, &store_dir).unwrap();
                assert_eq!(narinfo.compression, compression, "{url}");
                let mut nar = Vec::new();
                let download = client.download_nar(&cache, &narinfo, &mut nar).unwrap();
                assert!(download.file_fields_hold);
                assert_eq!(
                    download.nar_hash,
                    NarHash::parse(fact["narHash"].as_str().unwrap()).unwrap()
                );
                assert_eq!(Some(download.nar_size), fact["narSize"].as_u64());
            }
        }
    }
}
