//! Derivations beside real Nix: what `nix-instantiate` writes must be what we
//! read, recompute and render.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use nix_verify::nix::derivation::modulo::MergeRule;
use nix_verify::nix::derivation::options::Options;
use nix_verify::nix::derivation::paths::PathChecker;
use nix_verify::nix::derivation::{Derivation, Kind, OutputPathCheck, json, name_of, resolve};
use nix_verify::nix::store_path::StorePath;

use super::oracle::*;

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
