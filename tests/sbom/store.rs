//! A store that real Nix 2.8.0 has filled, and what Nix says about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::nix::{Nix, missing, text};

/// The builder of everything here, and `/bin/sh` of the sandbox.
pub const BUSYBOX: &str = "/usr/bin/busybox";

/// Packages as nixpkgs has them, in small: several outputs, references to
/// oneself and to others, something fetched, a patch, a text, two packages of
/// one name and version, an input that leaves no reference.
const EXPRESSION: &str = r#"
let
  build = arguments: derivation ({
    system = "x86_64-linux";
    builder = "/bin/sh";
  } // arguments // { args = [ "-c" arguments.script ]; });
  fetched = name: text: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    url = "https://example.org/releases/${name}";
    args = [ "-c" "echo ${text} > $out" ];
    outputHashAlgo = "sha256"; outputHashMode = "flat";
    outputHash = builtins.hashString "sha256" "${text}\n";
  };
  patch = fetched "CVE-2024-1234.patch" "patch";
  other = builtins.toFile "other.patch" "other\n";
  library = build {
    name = "library-1.2.3"; pname = "library"; version = "1.2.3";
    outputs = [ "out" "dev" ];
    src = fetched "library-1.2.3.tar.gz" "source";
    patches = [ patch other ];
    script = ''
      echo "self $out" > $out
      echo "headers of $out" > $dev
    '';
  };
  static = build {
    name = "static-0.1"; pname = "static"; version = "0.1";
    script = "echo code > $out";
  };
  twin = flag: build {
    name = "twin-2.0"; pname = "twin"; version = "2.0";
    script = "echo ${flag} > $out";
  };
  program = build {
    name = "program-3"; pname = "program"; version = "3";
    buildInputs = [ library.dev static ];
    script = "echo ${library} ${twin "a"} ${twin "b"} > $out; : ${static}";
  };
  oddly = build {
    name = "oddly-4";
    pname = builtins.fromJSON "\"od\\u001b[31md\\u0007ly\\u202e\"";
    version = "4\n5";
    script = "echo ${program} > $out";
  };
in { inherit library program oddly static; }
"#;

pub struct Store {
    pub place: tempfile::TempDir,
    pub nix: Nix,
}

impl Store {
    /// A store with everything built, unless real Nix can't be asked here.
    pub fn make() -> Option<Self> {
        if missing().is_some() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let mut nix = Nix::new(place.path());
        nix.set("sandbox-paths", &format!("/bin/sh={BUSYBOX}"));
        std::fs::write(place.path().join("default.nix"), EXPRESSION).unwrap();
        let store = Self { place, nix };
        store.nix.run("nix-build", ["--no-out-link", &store.file()]);
        Some(store)
    }

    fn file(&self) -> String {
        text(&self.place.path().join("default.nix"))
    }

    /// The derivation of an attribute.
    pub fn derivation(&self, attribute: &str) -> String {
        let found = self.nix.run("nix-instantiate", ["-A", attribute, &self.file()]);
        found.split('!').next().unwrap().to_owned()
    }

    /// The first output of an attribute.
    pub fn output(&self, attribute: &str) -> String {
        let drv_path = self.derivation(attribute);
        let outputs = self.nix.run("nix-store", ["-q", "--outputs", &drv_path]);
        outputs.lines().find(|path| !path.ends_with("-dev")).unwrap().to_owned()
    }

    /// The option that names this store.
    pub fn option(&self) -> String {
        format!("--local-store={}", text(&self.root()))
    }

    pub fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// `nix-store -qR`.
    pub fn closure(&self, path: &str) -> BTreeSet<String> {
        closure(&self.nix, path)
    }

    /// `nix-store -q --references` of each, less the reference to oneself.
    pub fn references(&self, paths: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        references(&self.nix, paths)
    }
}

pub fn closure(nix: &Nix, path: &str) -> BTreeSet<String> {
    nix.run("nix-store", ["-qR", path]).lines().map(str::to_owned).collect()
}

pub fn references(nix: &Nix, paths: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    let one = |path: &String| {
        let found = nix.run("nix-store", ["-q", "--references", path]);
        let others = found.lines().filter(|other| *other != path).map(str::to_owned);
        (path.clone(), others.collect())
    };
    paths.iter().map(one).collect()
}
