//! A divergence planted in the middle of a graph that real Nix has built: the
//! right node is blamed, and nothing above it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::nix::{self, Nix, text};
use super::{busybox, schema};

/// What is built: 3 targets with one output each, on 61 packages with two each,
/// on the sources.
const TARGETS: usize = 3;
const DERIVATIONS: usize = TARGETS + 61;
const SOURCES: usize = 8;

/// The node that writes the time.
const PLANTED: &str = "part-4-2";

fn name(path: &Value) -> String {
    let path = path.as_str().unwrap().trim_end_matches(".drv");
    path.trim_start_matches("/nix/store/")[33..].to_owned()
}

/// What builds on what, as Nix tells it.
fn graph(nix: &Nix, targets: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let words = ["show-derivation", "-r"].into_iter().chain(targets.iter().copied());
    let shown: Value = serde_json::from_str(&nix.run("nix", words)).unwrap();
    let name = |path: &str| name(&Value::from(path));
    let read = |facts: &Value| -> BTreeSet<String> {
        facts["inputDrvs"].as_object().unwrap().keys().map(|path| name(path)).collect()
    };
    shown.as_object().unwrap().iter().map(|(path, facts)| (name(path), read(facts))).collect()
}

/// Everything that builds on `start`.
fn above(graph: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut above = BTreeSet::new();
    loop {
        let more: Vec<&String> = graph
            .iter()
            .filter(|(node, reads)| {
                let direct = reads.contains(start) || !reads.is_disjoint(&above);
                direct && !above.contains(*node)
            })
            .map(|(node, _)| node)
            .collect();
        if more.is_empty() {
            return above;
        }
        above.extend(more.into_iter().cloned());
    }
}

#[test]
fn the_right_node_is_blamed_and_nothing_above_it() {
    if nix::missing().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let nix = Nix::new(dir.path());
    let bb = busybox::add(&nix, dir.path());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/closure/default.nix");
    let targets = nix.evaluate(&file, &[("bb", bb.as_str())]);
    let targets: Vec<&str> =
        targets.as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    for target in &targets {
        nix.build(target).unwrap();
    }
    let graph = graph(&nix, &targets);
    assert_eq!(graph.len(), DERIVATIONS + SOURCES);
    let url = nix.publish(&dir.path().join("cache"), &[]);
    let picture = dir.path().join("graph.svg");
    let verify = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command.arg("rebuild").args(targets.iter().map(|path| nix.host_path(path)));
        command.args(["--closure", "--world", "nix-2.8", "--cores", "2", "--offline"]);
        command.args(["--cache", &url, "--trusted-key", nix.public_key().trim()]);
        command.args(["--state-dir", &text(&dir.path().join("state"))]).args(options);
        command.output().unwrap()
    };
    let output = verify(&["--format", "json", "--reproducible", "--graph", &text(&picture)]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    schema::check(&report, "the report");
    assert_eq!(output.status.code(), Some(1), "{:#}", report["coverage"]);

    // Whom the verdicts blame.
    let facts = &report["facts"];
    let status = |wanted: &str| {
        let subjects = report["subjects"].as_array().unwrap().iter();
        subjects.filter(|subject| subject["status"] == wanted).collect::<Vec<_>>()
    };
    let differing: Vec<String> = status("differs").iter().map(|one| name(&one["id"])).collect();
    assert_eq!(differing, [PLANTED], "{:#}", report["findings"]);
    let outputs = TARGETS + 2 * (DERIVATIONS - TARGETS);
    assert_eq!(status("reproduced").len(), outputs - 1);
    assert_eq!(status("fixed-by-hash").len(), SOURCES);
    assert_eq!(facts["rate"]["judged"], outputs);

    // How much stands on it.
    let above = above(&graph, PLANTED);
    let divergent = facts["divergent"].as_array().unwrap();
    assert_eq!(divergent.len(), 1);
    assert_eq!(
        (name(&divergent[0]["drv_path"]).as_str(), &divergent[0]["first"]),
        (PLANTED, &true.into())
    );
    assert_eq!(divergent[0]["dependents"], above.len());
    assert_eq!(divergent[0]["targets"], above.iter().filter(|one| one.starts_with("top")).count());

    // What our own chain gives: nothing else where nothing diverged below, and
    // above either a difference that is handed on or one that is not.
    let mut chains: BTreeMap<String, usize> = BTreeMap::new();
    for derivation in facts["derivations"].as_array().unwrap() {
        if derivation["fixed_output"] == true {
            continue;
        }
        let node = name(&derivation["drv_path"]);
        let chain = derivation["chain"]["result"].as_str().unwrap();
        *chains.entry(chain.to_owned()).or_default() += 1;
        assert!(chain == "same" || above.contains(&node), "{node}: {chain}");
        let reads: BTreeSet<String> =
            derivation["reads"].as_array().unwrap().iter().map(name).collect();
        assert_eq!(reads, graph[&node], "{node}");
    }
    assert_eq!(chains.values().sum::<usize>(), DERIVATIONS);
    assert!(chains["differs"] > 0 && chains["absorbed"] > 0, "{chains:?}");
    assert!(!chains.contains_key("not-built"), "{chains:?}");
    eprintln!("{DERIVATIONS} derivations, {} above the planted one: {chains:?}", above.len());

    // The picture shows each node once, and the planted one as the first.
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert_eq!(svg.matches("<g><title>").count(), DERIVATIONS);
    assert_eq!(svg.matches("✗✗").count(), 2, "in its box and in the legend");
    assert!(svg.contains(&format!(">✗✗ {PLANTED}<")));

    let human = verify(&["--color", "never"]);
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.contains("Divergent derivations"), "{human}");
    if let Some(place) = std::env::var_os("KEEP_OUTPUT") {
        let place = Path::new(&place);
        std::fs::copy(&picture, place.join("graph.svg")).unwrap();
        std::fs::write(place.join("report.txt"), human).unwrap();
    }
}
