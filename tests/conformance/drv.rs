//! The vectors of `tests/fixtures/drv`: every row of its `EXPECTED.tsv`, the
//! JSON beside them, and what must be refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix_verify::nix::derivation::aterm::{MAX_ITEMS, Term};
use nix_verify::nix::derivation::modulo::{HashModuloCache, MergeRule, ModuloError};
use nix_verify::nix::derivation::options::{AllOutputChecks, Options, ReferenceSpec};
use nix_verify::nix::derivation::paths::PathChecker;
use nix_verify::nix::derivation::{
    Defect, Derivation, OutputPathCheck, check_paths, json, name_of,
};
use nix_verify::nix::store_path::{StoreDir, StorePath};

use crate::fixtures;

/// Texts whose lists are not in Nix's order: in these two real derivations all
/// hashes were replaced by one, so that their paths no longer ascend. Taken
/// apart they print back, but Nix itself would print them sorted.
const UNSORTED: [&str; 2] = ["nix/firefox.drv", "nix/hello.drv"];

fn go_nix() -> impl Iterator<Item = String> {
    std::fs::read_dir(fixtures::path("drv/go-nix"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

fn read(file: &str) -> Vec<u8> {
    fixtures::read(&format!("drv/{file}"))
}

fn store() -> StoreDir {
    StoreDir::default()
}

fn parse(file: &str) -> Derivation {
    Derivation::parse(&read(file), &store()).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The derivations whose paths their file names or the table give.
fn graph() -> BTreeMap<StorePath, Derivation> {
    let mut graph = BTreeMap::new();
    for name in go_nix() {
        if name.ends_with(".drv") {
            graph.insert(name.parse().unwrap(), parse(&format!("go-nix/{name}")));
        }
    }
    for (file, path) in hash_modulo_paths() {
        graph.insert(path, parse(file));
    }
    graph
}

fn hash_modulo_paths() -> Vec<(&'static str, StorePath)> {
    [
        ("hash-modulo/source-first.drv", "q4mzjdlh5px6977h7v5fdsk1p33yg583-source.drv"),
        ("hash-modulo/source-second.drv", "jwmbpldsdgfjhkxk317jn55jilyfl63f-source.drv"),
        ("hash-modulo/intermediate-first.drv", "f8g8x4m83da3b2f79iv84q2r3qlc58lr-intermediate.drv"),
        (
            "hash-modulo/intermediate-second.drv",
            "kp6i4n4bb3hlniwqjakhlf046qpdc0gl-intermediate.drv",
        ),
    ]
    .map(|(file, path)| (file, path.parse().unwrap()))
    .to_vec()
}

/// The path a file has, or would have by the name in its environment.
fn path_of(file: &str, drv: &Derivation) -> StorePath {
    file.rsplit('/').next().unwrap().parse().unwrap_or_else(|_| {
        // Where `__json` hides the name it is also the file's own.
        let name = drv.variable("name").map_or_else(
            || file.rsplit('/').next().unwrap().trim_end_matches(".drv").to_owned(),
            |name| String::from_utf8(name.to_vec()).unwrap(),
        );
        drv.drv_path(&name, &store()).unwrap()
    })
}

#[test]
fn every_row_of_the_table() {
    let graph = graph();
    let mut rows = 0;
    for row in fixtures::table("drv/EXPECTED.tsv") {
        let [file, expected] = [&*row[0], &*row[1]];
        if file == "hash-modulo/ (names)" {
            continue; // `golden_hashes_modulo`
        }
        rows += 1;
        let bytes = read(file);
        assert!(expected.starts_with("roundtrip"), "{file}");
        assert_eq!(Term::parse(&bytes).unwrap().to_bytes(), bytes, "{file}");
        if UNSORTED.contains(&file) {
            let error = Derivation::parse(&bytes, &store()).unwrap_err();
            assert!(matches!(error.defect, Defect::Unsorted { .. }), "{file}: {error}");
            continue;
        }
        if file.ends_with("-modulo.drv") {
            continue; // no .drv file, but the text that is hashed
        }
        let drv = parse(file);
        assert_eq!(drv.to_aterm(&store()), bytes, "{file}");
        let path = path_of(file, &drv);
        if expected.contains("drvpath-ok") {
            assert_eq!(drv.drv_path(name_of(&path).unwrap(), &store()).as_ref(), Ok(&path));
        }
        let report = check_paths(&drv, &path, &store(), &graph);
        if expected.contains("outs-ok") {
            let report = report.unwrap_or_else(|error| panic!("{file}: {error}"));
            for (name, check) in report.outputs {
                assert!(
                    matches!(check, OutputPathCheck::Matches { .. }),
                    "{file} {name} {check:?}"
                );
            }
        } else if let Some((_, missing)) = expected.split_once("inputs missing: ") {
            assert_eq!(report, Err(ModuloError::Missing(missing.parse().unwrap())), "{file}");
        } else if expected.contains("floating outputs") {
            for check in report.unwrap().outputs.values() {
                assert_eq!(check, &OutputPathCheck::NoPathYet, "{file}");
            }
        } else {
            assert_eq!(expected, "roundtrip", "{file}: a row of an unknown kind");
        }
    }
    assert_eq!(rows, 30);
}

#[test]
fn golden_hashes_modulo() {
    let stated = [
        "i00sflxqsj37lfmf95m8mn0grv615hpj-source",
        "jlzxv2xpqj0adi22cy93573vyf9xr6fw-intermediate",
        "xgskw9kbh807ah56r4f4kxdh0fa1i0ip-intermediate-dev",
    ];
    let graph = graph();
    for (file, path) in hash_modulo_paths() {
        let drv = &graph[&path];
        let name = name_of(&path).unwrap();
        assert_eq!(drv.drv_path(name, &store()).as_ref(), Ok(&path), "{file}");
        let mut drv = drv.clone();
        if drv.outputs.len() > 1 {
            // Nix's test made these paths before it added the variables named
            // after the outputs, so they follow from the text without those.
            let report = check_paths(&drv, &path, &store(), &graph).unwrap();
            assert!(report.outputs.values().all(OutputPathCheck::is_wrong), "{report:?}");
            drv.env.clear();
            let report = check_paths(&drv, &path, &store(), &graph).unwrap();
            for check in report.outputs.values() {
                let OutputPathCheck::VariableDiffers { found: None, path } = check else {
                    panic!("{file}: {report:?}")
                };
                assert!(stated.contains(&path.to_string().as_str()), "{path}");
            }
        } else {
            let report = check_paths(&drv, &path, &store(), &graph).unwrap();
            assert!(report.is_right(), "{file}: {report:?}");
            assert!(
                stated.contains(
                    &drv.outputs.get("out").unwrap().path().unwrap().to_string().as_str()
                )
            );
        }
    }
    let store = store();
    let mut cache = HashModuloCache::new(MergeRule::Merge, &store, &graph);
    for name in ["intermediate-first", "intermediate-second", "parent-split", "parent-joined"] {
        let text = cache.masked_text(&parse(&format!("hash-modulo/{name}.drv"))).unwrap();
        let golden = read(&format!("hash-modulo/{name}-modulo.drv"));
        assert_eq!(String::from_utf8(text), String::from_utf8(golden), "{name}");
    }
}

/// A derivation whose two inputs have one hash has two hashes of its own.
#[test]
fn merge_rules_differ_where_inputs_collide() {
    let mut graph = graph();
    let store = store();
    let split = parse("hash-modulo/parent-split.drv");
    let joined = parse("hash-modulo/parent-joined.drv");
    let path = split.drv_path("parent", &store).unwrap();
    let hash =
        |rule, drv: &Derivation| HashModuloCache::new(rule, &store, &graph).masked(drv).unwrap();
    assert_eq!(hash(MergeRule::Merge, &split).known(), hash(MergeRule::Merge, &joined).known());
    assert_ne!(hash(MergeRule::Merge, &split).known(), hash(MergeRule::Overwrite, &split).known());
    assert_eq!(
        hash(MergeRule::Merge, &joined).known(),
        hash(MergeRule::Overwrite, &joined).known()
    );

    for rule in [MergeRule::Merge, MergeRule::Overwrite] {
        let mut drv = split.clone();
        // Fill in the path as Nix does, by that rule.
        drv.env.insert(b"out".to_vec(), Vec::new());
        let modulo = hash(rule, &drv).known().unwrap();
        let out = nix_verify::nix::derivation::paths::input_addressed_path(
            &modulo, "parent", "out", &store,
        )
        .unwrap();
        drv.env.insert(b"out".to_vec(), store.full(&out).into());
        drv.outputs.insert(
            "out".to_owned(),
            nix_verify::nix::derivation::Output::InputAddressed { path: out },
        );
        let report = check_paths(&drv, &path, &store, &graph).unwrap();
        assert!(report.is_right());
        assert_eq!(report.only_rule, Some(rule));
        assert_eq!(report.modulo, Some(modulo));
    }
    // A needlessly deferred derivation is said to be one.
    let report = PathChecker::new(&store, &graph).check(&split, &path).unwrap();
    assert!(matches!(report.outputs["out"], OutputPathCheck::NeedlesslyDeferred { .. }));
    // What is not there is asked for by name.
    graph.clear();
    assert!(matches!(check_paths(&split, &path, &store, &graph), Err(ModuloError::Missing(_))));
}

#[test]
fn facts_equal_nix_show_derivation() {
    let mut compared = 0;
    for name in go_nix() {
        let Some(drv_name) = name.strip_suffix(".json") else { continue };
        let text = read(&format!("go-nix/{name}"));
        let wanted: serde_json::Value =
            serde_json::from_str(&String::from_utf8_lossy(&text)).unwrap();
        let facts = json::facts(&parse(&format!("go-nix/{drv_name}")), &store());
        assert_eq!(facts, wanted[format!("/nix/store/{drv_name}")], "{name}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}

#[test]
fn options_of_the_advanced_attributes() {
    for kind in ["ia", "ca"] {
        let options =
            Options::of(&parse(&format!("nix-{kind}/advanced-attributes-defaults.drv")), &store())
                .unwrap();
        assert!(options.allow_substitutes && !options.prefer_local_build && !options.no_chroot);
        assert_eq!(options.required_system_features.contains("ca-derivations"), kind == "ca");
        let file = format!("nix-{kind}/advanced-attributes-structured-attrs-defaults.drv");
        let options = Options::of(&parse(&file), &store()).unwrap();
        assert_eq!(options.output_checks, AllOutputChecks::PerOutput(BTreeMap::new()));
        assert!(options.structured_attrs.is_some());
    }
    let options = Options::of(&parse("nix-ia/advanced-attributes.drv"), &store()).unwrap();
    let path = |text: &str| -> StorePath { text.parse().unwrap() };
    assert!(options.no_chroot && options.prefer_local_build && options.allow_local_networking);
    assert!(!options.allow_substitutes);
    assert_eq!(options.sandbox_profile, "sandcastle");
    assert_eq!(options.impure_host_deps.iter().collect::<Vec<_>>(), ["/usr/bin/ditto"]);
    assert_eq!(options.impure_env_vars.iter().collect::<Vec<_>>(), ["UNICORN"]);
    assert_eq!(
        options.required_system_features.iter().collect::<Vec<_>>(),
        ["rainbow", "uid-range"]
    );
    let foo = path("p0hax2lzvjpfc2gwkk62xdglz0fcqfzn-foo");
    let bar = path("vj2i49jm2868j2fmqvxm70vlzmzvgv14-bar.drv");
    assert_eq!(
        options.export_references_graph,
        BTreeMap::from([
            ("refs1".to_owned(), [foo.clone()].into()),
            ("refs2".to_owned(), [bar].into())
        ])
    );
    let checks = options.output_checks.of("any").unwrap();
    assert!(checks.ignore_self_refs);
    assert_eq!(checks.allowed_references, Some([ReferenceSpec::Path(foo)].into()));
    assert_eq!(
        checks.allowed_requisites,
        Some(
            [
                ReferenceSpec::Path(path("z0rjzy29v9k5qa4nqpykrbzirj7sd43v-foo-dev")),
                ReferenceSpec::Output("bin".to_owned())
            ]
            .into()
        )
    );
    assert_eq!(
        checks.disallowed_references,
        [
            ReferenceSpec::Path(path("r5cff30838majxk5mp3ip2diffi8vpaj-bar")),
            ReferenceSpec::Output("dev".to_owned())
        ]
        .into()
    );
}

fn refused(text: &[u8]) -> nix_verify::nix::derivation::DerivationError {
    let start = Instant::now();
    let error = Derivation::parse(text, &store()).expect_err("a damaged text was accepted");
    assert!(start.elapsed() < Duration::from_secs(1), "{error}");
    assert!(error.offset <= text.len(), "{error}");
    assert!(error.to_string().len() < 1000, "{error}");
    error
}

#[test]
fn cut_at_every_byte() {
    for file in [
        "go-nix/292w8yzv5nn7nhdpxcs8b7vby2p27s09-nested-json.drv",
        "nix-ia/advanced-attributes.drv",
        "hash-modulo/source-first.drv",
    ] {
        let bytes = read(file);
        for cut in 0..bytes.len() {
            let error = refused(&bytes[..cut]);
            assert_eq!(error.offset, cut, "{error}");
            assert!(matches!(error.defect, Defect::Ended(_)), "{error}");
        }
    }
}

/// Every text one byte away is refused or is itself what Nix would write.
#[test]
fn every_byte_changed() {
    for file in ["nix-ia/advanced-attributes.drv", "hash-modulo/source-first.drv"] {
        let bytes = read(file);
        for at in 0..bytes.len() {
            for byte in [b'"', b'\\', b',', b']', b')', b'(', b'[', b'a', b'\n', 0, 0xff] {
                let mut text = bytes.clone();
                text[at] = byte;
                if let Ok(drv) = Derivation::parse(&text, &store()) {
                    assert_eq!(drv.to_aterm(&store()), text);
                }
            }
        }
    }
}

#[test]
fn huge_and_deep_texts_end_quickly() {
    for text in [
        "[".repeat(1_000_000),
        format!("Derive({}", "[".repeat(1_000_000)),
        format!("Derive([{}", "(".repeat(1_000_000)),
        format!("Derive([],[],[],\"\",\"\",{}", "[".repeat(1_000_000)),
        format!("Derive([(\"out\",\"\",\"\",\"\")],[],[],\"\",\"{}", "\\\\".repeat(1_000_000)),
        format!("Derive([(\"{}", "x".repeat(10_000_000)),
    ] {
        refused(text.as_bytes());
    }
    let many = |count: usize| {
        format!(
            "Derive([(\"out\",\"\",\"\",\"\")],[],[],\"\",\"\",[{}],[])",
            vec!["\"\""; count].join(",")
        )
    };
    assert!(Derivation::parse(many(1_000_000).as_bytes(), &store()).is_ok());
    let error = refused(many(MAX_ITEMS + 1).as_bytes());
    assert_eq!(error.defect, Defect::TooManyItems("arguments"));
}
