//! Derivations and structured attributes beside real Nix: what
//! `nix-instantiate` writes and `nix-build` puts before a builder must be what
//! we read, recompute and render.
//!
//! Needs Nix 2.8 and a static busybox. Where they are missing the tests are
//! skipped with a notice; with `CI` set that is a failure.

#![allow(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix_verify::nix::derivation::graph_text::{GraphNode, exported, graph_json, graph_text};
use nix_verify::nix::derivation::modulo::MergeRule;
use nix_verify::nix::derivation::options::Options;
use nix_verify::nix::derivation::paths::PathChecker;
use nix_verify::nix::derivation::placeholder::{Rewrites, output_placeholder};
use nix_verify::nix::derivation::{Derivation, Kind, OutputPathCheck, json, name_of, resolve};
use nix_verify::nix::hash::NarHash;
use nix_verify::nix::store_path::{StoreDir, StorePath};
use nix_verify::nix::structured_attrs::StructuredAttrs;

const BUSYBOX: &str = "/bin/busybox";

/// A store of its own, below a temporary directory.
struct Oracle {
    dir: tempfile::TempDir,
}

fn static_busybox() -> bool {
    Command::new(BUSYBOX).arg("true").status().is_ok_and(|status| status.success())
}

/// `None` where there is no Nix to ask.
fn oracle() -> Option<Oracle> {
    let version = Command::new("nix").arg("--version").output();
    let found = version.is_ok_and(|output| output.stdout.starts_with(b"nix (Nix) 2.8"));
    if found && static_busybox() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bb/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
        for applet in ["sh", "cp", "mkdir", "cat"] {
            std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
        }
        return Some(Oracle { dir });
    }
    assert!(std::env::var_os("CI").is_none(), "CI has neither Nix 2.8 nor a static busybox");
    eprintln!("skipped: needs Nix 2.8 and {BUSYBOX}");
    None
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Store objects are read-only, which only their owner's rights undo.
        let _ = Command::new("chmod").arg("-R").arg("u+w").arg(self.dir.path()).status();
    }
}

impl Oracle {
    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn real(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("NIX_REMOTE", format!("local?root={}", self.root().display()))
            .env("NIX_PATH", "")
            .current_dir(self.dir.path())
            .args(["--option", "substitute", "false", "--option", "sandbox", "true"])
            .args(["--option", "build-users-group", ""])
            .args(["--option", "experimental-features"])
            .arg("nix-command ca-derivations impure-derivations");
        command
    }

    /// Standard output, one line an item.
    fn run(&self, program: &str, args: &[&str]) -> Vec<String> {
        let output = self.command(program).args(args).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Every derivation in the store.
    fn derivations(&self) -> BTreeMap<StorePath, Vec<u8>> {
        fs::read_dir(self.root().join("nix/store"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".drv"))
            .map(|entry| {
                let path = entry.file_name().to_str().unwrap().parse().unwrap();
                (path, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    /// What the store knows, and its derivations.
    fn graph(&self) -> (BTreeMap<StorePath, GraphNode>, BTreeMap<StorePath, Derivation>) {
        let text = self.run("nix", &["path-info", "--json", "--all"]).concat();
        let infos: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let parse = |text: &Vec<u8>| Derivation::parse(text, &store()).unwrap();
        let drvs = self.derivations();
        let drvs = drvs.iter().map(|(path, text)| (path.clone(), parse(text))).collect();
        let nodes = infos
            .iter()
            .map(|info| {
                let references = info["references"].as_array().unwrap();
                let node = GraphNode {
                    nar_hash: NarHash::parse(info["narHash"].as_str().unwrap()).unwrap(),
                    nar_size: info["narSize"].as_u64().unwrap(),
                    references: references.iter().map(|r| stored(r.as_str().unwrap())).collect(),
                    content_address: info["ca"].as_str().map(str::to_owned),
                };
                (stored(info["path"].as_str().unwrap()), node)
            })
            .collect();
        (nodes, drvs)
    }
}

fn store() -> StoreDir {
    StoreDir::default()
}

fn stored(full: &str) -> StorePath {
    store().parse(full).unwrap()
}

/// Derivations of every kind, each reachable from the list it makes.
const KINDS: &str = r#"
let
  mk = attrs: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo" ]; } // attrs);
  fixed = url: mode: algo: hash: mk {
    name = "fixed-${mode}-${algo}"; outputHashMode = mode; outputHashAlgo = algo; outputHash = hash; inherit url;
  };
  hashes = {
    md5 = "1bc29b36f623ba82aaf6724fd3b16718"; sha1 = "11f6ad8ec52a2984abaafd7c3b516503785c2072";
    sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    sha512 = builtins.hashString "sha512" "x";
  };
  fixeds = builtins.concatMap (mode: map (algo: fixed "a" mode algo hashes.${algo}) (builtins.attrNames hashes)) [ "flat" "recursive" ];
  middle = url: mk { name = "middle"; outputs = [ "out" "dev" ]; src = fixed url "flat" "sha256" hashes.sha256; };
  split = mk { name = "split"; a = (middle "a").out; b = (middle "b").dev; };
  joined = mk { name = "joined"; a = (middle "a").out; b = (middle "a").dev; };
  overlapping = mk { name = "overlapping"; a = (middle "a").out; b = (middle "b").out; };
  above = mk { name = "above"; inherit split joined; };
  many = mk { name = "many"; outputs = [ "out" "bin" "dev" "a" "z-9" ]; };
  odd = mk {
    name = "odd+-._?=1"; builder = "/b\"\\\n\r\t\${x}"; args = [ "" "\"" "\\" "\n\r\t" "\\n" "é😀" ];
    "" = "empty"; "a b" = " x "; "\n" = "newline"; text = builtins.toFile "t" "see ${./bb}";
    bool = true; no = false; null = null; int = 1; float = 1.5; list = [ "a" [ "b" 1 true ] ]; path = ./bb;
  };
  structured = mk {
    name = "structured"; __structuredAttrs = true; outputs = [ "out" "doc" ];
    a = [ 1 2.5 true null "x" [ ] { } ]; many = many.dev; nested.b.c = 1.0e-7;
  };
  deep = mk { name = "deep"; all = above.drvPath; closure = builtins.unsafeDiscardOutputDependency many.drvPath; };
  floating = mk { name = "floating"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputs = [ "out" "lib" ]; };
  flat = mk { name = "flat"; __contentAddressed = true; outputHashMode = "flat"; outputHashAlgo = "sha1"; };
  onFloating = mk { name = "on-floating"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; x = floating.lib; };
  deferred = mk { name = "deferred"; outputs = [ "out" "man" ]; x = floating.lib; y = many.a; };
  moreDeferred = mk { name = "more-deferred"; x = deferred.man; z = flat; };
  fixedOnFloating = mk { name = "fixed-on-floating"; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = hashes.sha256; x = floating; };
  impure = mk { name = "impure"; __impure = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  onImpure = mk { name = "on-impure"; __impure = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; x = impure; };
in fixeds ++ [ split joined overlapping above many odd structured deep floating flat onFloating deferred moreDeferred fixedOnFloating impure onImpure ]
"#;

#[test]
fn every_kind_of_derivation_recomputes() {
    let Some(nix) = oracle() else { return };
    let file = nix.write("kinds.nix", KINDS);
    nix.run("nix-instantiate", &[file.to_str().unwrap()]);
    let store = store();
    let texts = nix.derivations();
    let drvs: BTreeMap<StorePath, Derivation> = texts
        .iter()
        .map(|(path, text)| {
            let drv = Derivation::parse(text, &store).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(&drv.to_aterm(&store), text, "{path}");
            assert_eq!(drv.drv_path(name_of(path).unwrap(), &store).as_ref(), Ok(path));
            (path.clone(), drv)
        })
        .collect();
    assert!(drvs.len() >= 26, "{}", drvs.len());

    let mut kinds = BTreeSet::new();
    let mut checker = PathChecker::new(&store, &drvs);
    for (path, drv) in &drvs {
        let report = checker.check(drv, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        kinds.insert(drv.kind());
        for (name, check) in &report.outputs {
            let known = matches!(drv.kind(), Kind::InputAddressed | Kind::Fixed);
            match check {
                OutputPathCheck::Matches { .. } if known => {}
                OutputPathCheck::NoPathYet if !known => {}
                other => panic!("{path} {name}: {other:?}"),
            }
        }
        let merged = matches!(name_of(path).unwrap(), "split" | "above" | "deep");
        assert_eq!(report.only_rule, merged.then_some(MergeRule::Merge), "{path}");
    }
    let all = [Kind::InputAddressed, Kind::Fixed, Kind::FloatingCa, Kind::Deferred, Kind::Impure];
    assert_eq!(kinds, all.into());

    let full: Vec<String> = drvs.keys().map(|path| store.full(path)).collect();
    let mut args = vec!["show-derivation"];
    args.extend(full.iter().map(String::as_str));
    let text = nix.run("nix", &args).join("\n");
    let shown: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    for (path, drv) in &drvs {
        assert_eq!(json::facts(drv, &store), shown[&store.full(path)], "{path}");
    }
}

#[test]
fn content_addressed_inputs_resolve_as_nix_resolves_them() {
    let Some(nix) = oracle() else { return };
    let file = nix.write(
        "ca.nix",
        r#"
let
  bb = ./bb;
  mk = attrs: derivation ({ system = "x86_64-linux"; builder = "${bb}/bin/sh"; PATH = "${bb}/bin"; } // attrs);
  ca = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  base = mk (ca // { name = "base"; outputs = [ "out" "lib" ]; args = [ "-c" "echo 1 > $out; echo 2 > $lib" ]; });
  plain = mk { name = "plain"; args = [ "-c" "echo 3 > $out" ]; };
  next = mk (ca // { name = "next"; args = [ "-c" "cat ${base.lib} ${plain} > $out" ]; ${builtins.unsafeDiscardStringContext "env${base}"} = base.lib; });
  last = mk {
    name = "last"; outputs = [ "out" "dev" ];
    args = [ "-c" "cat ${next} ${base}${base.lib} > $out || cat ${next} > $out; echo ${base} > $dev" ];
  };
  alone = mk { name = "structured"; __structuredAttrs = true; inherit next;
    args = [ "-c" "${bb}/bin/cat ${next} > ${placeholder "out"}" ]; };
  fixed = mk { name = "fixed"; args = [ "-c" "cat ${base} > $out" ]; outputHashMode = "flat";
    outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "1\n"; };
in [ last last.dev alone fixed ]
"#,
    );
    let file = file.to_str().unwrap();
    nix.run("nix-instantiate", &[file]);
    let store = store();
    let parse = |text: &Vec<u8>| Derivation::parse(text, &store).unwrap();
    let drvs: BTreeMap<_, _> =
        nix.derivations().iter().map(|(path, text)| (path.clone(), parse(text))).collect();
    nix.run("nix-build", &["--no-out-link", file]);
    let built = nix.derivations();
    assert_eq!(built.len(), drvs.len() + 4, "next, last, structured and fixed were resolved");

    // Realisations are named by the masked hash modulo.
    let db = rusqlite::Connection::open(nix.root().join("nix/var/nix/db/db.sqlite")).unwrap();
    let mut query = db
        .prepare(
            "select p.path from Realisations r join ValidPaths p on r.outputPath = p.id \
             where r.drvPath = ?1 and r.outputName = ?2",
        )
        .unwrap();
    let mut checker = PathChecker::new(&store, &drvs);
    let mut paths = BTreeMap::new();
    for (path, drv) in &drvs {
        let modulo = checker.check(drv, path).unwrap().modulo.unwrap();
        for name in drv.outputs.keys() {
            let id = format!("sha256:{}", modulo.base16());
            let found: String = query
                .query_row([&id, name], |row| row.get(0))
                .unwrap_or_else(|error| panic!("{path} {name} {id}: {error}"));
            paths.insert((path.clone(), name.clone()), stored(&found));
        }
    }
    let mut resolved_count = 0;
    for (path, drv) in drvs.iter().filter(|(_, drv)| drv.needs_resolving()) {
        let name = name_of(path).unwrap();
        let resolved = resolve(drv, name, &store, &paths).unwrap();
        let text = resolved.to_aterm(&store);
        let resolved_path = resolved.drv_path(name, &store).unwrap();
        let found = built.get(&resolved_path).unwrap_or_else(|| panic!("{resolved_path}"));
        assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(found));
        for (output, check) in
            PathChecker::new(&store, &drvs).check(&resolved, &resolved_path).unwrap().outputs
        {
            if let OutputPathCheck::Matches { path: made } = check {
                assert_eq!(paths[&(path.clone(), output)], made);
            } else {
                assert_eq!((drv.kind(), check), (Kind::FloatingCa, OutputPathCheck::NoPathYet));
            }
        }
        resolved_count += 1;
    }
    assert_eq!(resolved_count, 4);
}

/// JSON with everything that printers disagree about.
fn awkward_json() -> String {
    let mut random = fastrand::Rng::with_seed(8);
    let mut floats = vec![];
    for _ in 0..6000 {
        let value = f64::from_bits(random.u64(..));
        if value.is_finite() {
            floats.push(format!("{value:e}"));
        }
        // Short decimals at every size, and halves of the float range.
        let length = random.u32(1..18);
        let digits = random.u64(..10_u64.pow(length));
        floats.push(format!("{digits}e{}", random.i32(-320..290)));
        floats.push(format!("{}.{digits}", random.i32(-99999..99999)));
        floats.push(format!("{}", random.u64(..) >> random.u32(0..64)));
        floats.push(format!("{}", random.i64(..) >> random.u32(0..64)));
    }
    // Every power of two and its neighbours.
    for biased in 1..2047_u64 {
        for bits in (biased << 52) - 1..=(biased << 52) + 1 {
            floats.push(format!("{:e}", f64::from_bits(bits)));
        }
    }
    for exponent in -324..309 {
        floats.push(format!("1e{exponent}"));
        floats.push(format!("-9.999999999999999e{}", exponent.min(307)));
    }
    let mut scalars = String::new();
    let mut lists = String::new();
    for (index, value) in floats.iter().enumerate() {
        if index % 3 == 0 {
            write!(scalars, "\"n{index}\":{value},").unwrap();
        } else if index % 7 == 0 {
            write!(lists, "\"l{index}\":[1,{value},\"x\"],\"o{index}\":{{\"k\":{value}}},")
                .unwrap();
        }
    }
    let all = floats.join(",");
    let controls: String = (0..0x20_u32).map(|code| format!("\\u{code:04X}")).collect();
    format!(
        r#" {{ "floats":[{all}],{scalars}{lists}
        "ints":[0,-0,-1,2147483647,2147483648,-2147483648,-2147483649,4294967295,4294967296,
          9223372036854775807,9223372036854775808,-9223372036854775808,-9223372036854775809,
          18446744073709551615,18446744073709551616,1E2,1e+2,1E-2,0.0,-0.0,0e5,-0e-5],
        "max":18446744073709551615,"min":-9223372036854775808,"big":123456789012345678901234567890,
        "half":1.5,"two":2.0,"almost":16777216.5,"tiny":1e-50,"minus":-0.0,"third":0.1,"huge":1e308,
        "three_billion":3e9,"minus_three_billion":-3e9,"edge":2147483647.0,"beyond":2147483648.0,
        "controls":"{controls}\u007f","escapes":"\"\\\/\b\f\n\r\t","unicode":"é😀\u00e9\ud83d\ude00\u2028 \ufeff\uffff",
        "quote":"it's 'quoted'","":"empty key","a b":1,"1a":1,"_":1,"é":1,"A-B":1,"dup":1,"dup":[2],
        "t":true,"f":false,"n":null,"e":"","ea":[],"eo":{{}},"mixed":[1,null,true,false,"x y","'",1.0],
        "nested":[[]],"nested2":[{{}}],"deep":{{"a":{{"b":[[[[]]]]}}}},"o":{{"it's":null,"":false,"b c":"d'e","\n":1}},
        "of":{{"x":1.5}},"oo":{{"x":{{}}}},"placeholder":"{placeholder}","ph":{{"{placeholder}":"{placeholder}/x"}},
        "outputs":"replaced","exportReferencesGraph":[1],
        "PATH":"not the environment","name":"attrs","system":"x86_64-linux" }}
"#,
        placeholder = output_placeholder("out"),
    )
}

fn outputs_of(drv: &Derivation) -> (BTreeMap<String, String>, Rewrites) {
    let mut rewrites = Rewrites::default();
    let mut outputs = BTreeMap::new();
    for (name, output) in &drv.outputs {
        let path = store().full(output.path().unwrap());
        rewrites.insert(output_placeholder(name), path.as_str());
        outputs.insert(name.clone(), path);
    }
    (outputs, rewrites)
}

/// Builds `file`, whose builder copies the attribute files to `out`, and
/// compares them with ours.
fn compare_attrs(nix: &Oracle, file: &Path, with_graphs: bool) {
    let drv_path = nix.run("nix-instantiate", &[file.to_str().unwrap()]).remove(0);
    let drv = Derivation::parse(&fs::read(nix.real(&drv_path)).unwrap(), &store()).unwrap();
    let out = nix.run("nix-build", &["--no-out-link", file.to_str().unwrap()]).remove(0);
    let (outputs, rewrites) = outputs_of(&drv);
    let options = Options::of(&drv, &store()).unwrap();
    let (nodes, drvs) = nix.graph();
    let mut graphs = BTreeMap::new();
    for (name, roots) in &options.export_references_graph {
        let paths = exported(roots, &nodes, &drvs).unwrap();
        graphs.insert(name.clone(), graph_json(&paths, &nodes, &store(), false).unwrap());
    }
    assert_eq!(!graphs.is_empty(), with_graphs);
    let prepared = options.structured_attrs.unwrap().prepare(&outputs, &graphs);
    for (name, ours) in [(".attrs.json", prepared.to_json()), (".attrs.sh", prepared.to_shell())] {
        let ours = rewrites.apply(ours.as_bytes());
        let theirs = fs::read(nix.real(&out).join(name)).unwrap();
        if ours != theirs {
            let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            let near = |bytes: &[u8]| {
                let end = bytes.len().min(at + 60);
                String::from_utf8_lossy(&bytes[at.saturating_sub(60)..end]).into_owned()
            };
            panic!("{name} at byte {at}:\nours   {}\ntheirs {}", near(&ours), near(&theirs));
        }
    }
}

const COPY: &str = r#"system = "x86_64-linux"; builder = "${bb}/bin/sh";
  args = [ "-c" "${bb}/bin/mkdir ${placeholder "out"}; ${bb}/bin/cp /build/.attrs.json /build/.attrs.sh ${placeholder "out"}" ];"#;

#[test]
fn attribute_files_are_the_bytes_nix_writes() {
    let Some(nix) = oracle() else { return };
    nix.write("attrs.json", awkward_json());
    let file = nix.write(
        "json.nix",
        format!(
            "let bb = ./bb; in derivation {{ name = \"attrs\"; {COPY} \
             __json = builtins.readFile ./attrs.json; }}"
        ),
    );
    compare_attrs(&nix, &file, false);

    let file = nix.write(
        "evaluated.nix",
        format!(
            r#"let bb = ./bb; in derivation {{ name = "evaluated"; {COPY} __structuredAttrs = true;
               outputs = [ "out" ]; a = [ 1 2.5 1.0e25 1.0e-7 0.1 100000.0 1234567.0 true false null "x'y" ];
               b = {{ c = [ ]; d = "é\n"; e.f = 1; }}; g = 9223372036854775807; h = -1; i = bb; "j k" = 1;
               l = {{ m = "n"; o = 2; p = null; }}; q = placeholder "out"; }}"#
        ),
    );
    compare_attrs(&nix, &file, false);
}

#[test]
fn references_graphs_are_the_bytes_nix_writes() {
    let Some(nix) = oracle() else { return };
    let graph = r#"
      bb = ./bb;
      mk = attrs: derivation ({ system = "x86_64-linux"; builder = "${bb}/bin/sh"; PATH = "${bb}/bin"; } // attrs);
      low = mk { name = "low"; outputs = [ "out" "dev" ]; args = [ "-c" "echo $out $dev > $out; echo x > $dev" ]; };
      high = mk { name = "high"; args = [ "-c" "echo $out ${low} ${bb} > $out" ]; };
      text = builtins.toFile "text" "see ${bb}";
    "#;
    let file = nix.write(
        "structured-graph.nix",
        format!(
            r#"let {graph} in derivation {{ name = "graphs"; {COPY} __structuredAttrs = true;
               exportReferencesGraph = {{ all = [ high text ]; "one" = [ low.dev ]; none = [ ]; drvs = [ high.drvPath ]; }}; }}"#
        ),
    );
    compare_attrs(&nix, &file, true);

    let file = nix.write(
        "plain-graph.nix",
        format!(
            r#"let {graph} in mk {{ name = "plain"; exportReferencesGraph = [ "g.one-1" high "_two" low.dev "text" text "drvs" high.drvPath ];
               args = [ "-c" "mkdir $out; cp g.one-1 _two text drvs $out" ]; }}"#
        ),
    );
    let file = file.to_str().unwrap();
    let drv_path = nix.run("nix-instantiate", &[file]).remove(0);
    let drv = Derivation::parse(&fs::read(nix.real(&drv_path)).unwrap(), &store()).unwrap();
    let out = nix.run("nix-build", &["--no-out-link", file]).remove(0);
    let options = Options::of(&drv, &store()).unwrap();
    assert_eq!(options.export_references_graph.len(), 4);
    let (nodes, drvs) = nix.graph();
    for (name, roots) in &options.export_references_graph {
        let paths = exported(roots, &nodes, &drvs).unwrap();
        let ours = graph_text(&paths, &nodes, &store()).unwrap();
        let theirs = fs::read_to_string(nix.real(&out).join(name)).unwrap();
        assert_eq!(ours, theirs, "{name}");
    }
}

/// What counts as JSON is what Nix takes for JSON.
#[test]
fn the_same_json_is_refused() {
    let Some(nix) = oracle() else { return };
    let texts = [
        "{}",
        " {} ",
        "\u{feff}{}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":1e400}",
        "{\"a\":-1e400}",
        "{\"a\":1e-400}",
        "{\"a\":NaN}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\u00E9\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\u{7f}\"}",
        "{\"a\":1} x",
        "{\"a\":1}{}",
        "// c\n{}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":truE}",
        "{\"a\":nul}",
        "",
        "[",
        "{\"a\":\"\\/\"}",
        "{\"a\":0e0}",
        "{\"a\":\"\\u12\"}",
        "\u{b}{}",
        "{\"a\":1\u{a0}}",
    ];
    let mut expr = "let bb = ./bb; mk = name: json: derivation { inherit name; __json = json; "
        .to_owned()
        + COPY
        + " }; in [";
    for (index, text) in texts.iter().enumerate() {
        nix.write(&format!("text-{index}"), text);
        write!(expr, "(mk \"text-{index}\" (builtins.readFile ./text-{index}))").unwrap();
    }
    nix.write("bytes", b"{\"a\":\"\xff\"}");
    nix.write("overlong", b"{\"a\":\"\xc0\x80\"}");
    nix.write("half", b"{\"a\":\"\xed\xa0\x80\"}");
    for name in ["bytes", "overlong", "half"] {
        write!(expr, "(mk \"{name}\" (builtins.readFile ./{name}))").unwrap();
    }
    let file = nix.write("texts.nix", expr + "]");
    let file = file.to_str().unwrap();
    let drvs = nix.run("nix-instantiate", &[file]);
    assert_eq!(drvs.len(), texts.len() + 3);
    for drv_path in drvs {
        let drv = Derivation::parse(&fs::read(nix.real(&drv_path)).unwrap(), &store()).unwrap();
        let text = drv.variable("__json").unwrap();
        let ours = StructuredAttrs::parse(text);
        let theirs = nix.command("nix-store").args(["--realise", &drv_path]).output().unwrap();
        let shown = String::from_utf8_lossy(text);
        let errors = String::from_utf8_lossy(&theirs.stderr);
        assert_eq!(ours.is_ok(), theirs.status.success(), "{shown}\n{ours:?}\n{errors}");
        assert_eq!(ours.is_ok(), !errors.contains("cannot process __json"), "{shown} {errors}");
    }
}

/// Every derivation of a whole package set. Set `NIX_VERIFY_PACKAGE_SET` to a
/// tree that evaluates offline, and `NIX_VERIFY_PACKAGE` to an attribute.
#[test]
fn a_whole_package_set_recomputes() {
    let Some(tree) = std::env::var_os("NIX_VERIFY_PACKAGE_SET") else {
        eprintln!("skipped: NIX_VERIFY_PACKAGE_SET names no package set");
        return;
    };
    let Some(nix) = oracle() else { return };
    let package = std::env::var("NIX_VERIFY_PACKAGE").unwrap_or_else(|_| "git".to_owned());
    let expr = format!(
        "(import {} {{ system = \"x86_64-linux\"; config = {{}}; }}).{package}",
        Path::new(&tree).display()
    );
    nix.run("nix-instantiate", &["-E", &expr]);
    let store = store();
    let texts = nix.derivations();
    let start = Instant::now();
    let drvs: BTreeMap<StorePath, Derivation> = texts
        .iter()
        .map(|(path, text)| (path.clone(), Derivation::parse(text, &store).unwrap()))
        .collect();
    let parsed = start.elapsed();
    let mut checker = PathChecker::new(&store, &drvs);
    let mut merged = 0;
    let mut outputs = 0;
    for (path, drv) in &drvs {
        assert_eq!(drv.drv_path(name_of(path).unwrap(), &store).as_ref(), Ok(path));
        let report = checker.check(drv, path).unwrap();
        outputs += report.outputs.len();
        merged += usize::from(report.only_rule.is_some());
        for (name, check) in report.outputs {
            assert!(matches!(check, OutputPathCheck::Matches { .. }), "{path} {name} {check:?}");
        }
        Options::of(drv, &store).unwrap();
    }
    eprintln!(
        "{} derivations, {outputs} outputs, {merged} by one merge rule only; parsed in {parsed:?}, \
         recomputed after {:?}",
        drvs.len(),
        start.elapsed()
    );
    assert!(drvs.len() > 100);
    for (path, text) in &texts {
        assert_eq!(&drvs[path].to_aterm(&store), text);
    }
}
