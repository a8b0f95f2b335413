//! Closure listings as `exportReferencesGraph` writes them, whole and broken.

use std::process::Command;

use super::nix::text;
use super::store::Store;
use super::{Outcome, export, run, unknown};

const A: &str = "/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-a-1.0";
const B: &str = "/nix/store/1hm2f1psjpcwg8fijsmr4wwxrx59s092-b-2.0";
const C: &str = "/nix/store/2hm2f1psjpcwg8fijsmr4wwxrx59s092-c";

const TOP: &str = "/nix/store/3hm2f1psjpcwg8fijsmr4wwxrx59s092-top-3";

/// The plain form: path, deriver, number of references, references.
fn plain(entries: &[(&str, &[&str])]) -> String {
    let entry = |(path, references): &(&str, &[&str])| {
        let listed: String = references.iter().map(|one| format!("{one}\n")).collect();
        format!("{path}\n\n{}\n{listed}", references.len())
    };
    entries.iter().map(entry).collect()
}

fn listed(content: &str) -> Outcome {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("closure");
    std::fs::write(&file, content).unwrap();
    run(export([&text(&file), "--offline"]))
}

#[test]
fn a_cyclic_listing_is_a_graph_like_any() {
    let cycle = [(A, &[A, B][..]), (B, &[C]), (C, &[A])];
    // Nothing in it says what it is about.
    let outcome = listed(&plain(&cycle));
    assert_eq!(outcome.code, 2, "{}", outcome.err);
    assert!(outcome.out.is_empty());

    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("closure");
    std::fs::write(&file, plain(&cycle)).unwrap();
    let told = run(export([A, &text(&file), "--offline"]));
    let rooted = listed(&plain(&[&[(TOP, &[A][..])][..], &cycle].concat()));
    for (outcome, count) in [(told, 3), (rooted, 4)] {
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let bill = outcome.bill();
        assert_eq!(bill.paths().len(), count);
        let edges = bill.edges();
        assert_eq!((edges[A].len(), edges[C].len()), (1, 1), "{edges:?}");
        assert!(edges[A].contains(B) && edges[B].contains(C) && edges[C].contains(A));
    }
}

/// What can be listed can be drawn.
#[test]
fn a_listing_is_drawn() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("closure");
    let draw = |entries: &[(&str, &[&str])]| {
        std::fs::write(&file, plain(entries)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command.args(["sbom", "graph", &text(&file), "--dot", "--offline"]);
        run(command)
    };
    let whole = draw(&[(TOP, &[A, B]), (A, &[C]), (B, &[C]), (C, &[])]);
    let drawn = String::from_utf8(whole.out).unwrap();
    assert_eq!(whole.code, 0, "{}", whole.err);
    assert_eq!(drawn.matches(" -> ").count(), 4, "{drawn}");
    // A document is drawn as it is.
    let listed = run(export([&text(&file), "--offline"]));
    std::fs::write(&file, listed.out).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.args(["sbom", "graph", &text(&file), "--dot"]);
    let again = run(command);
    assert_eq!((again.code, again.out), (0, drawn.into_bytes()), "{}", again.err);
    // What is not known is said, with the exit code of the bill.
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.args(["sbom", "graph", A, "--dot", "--offline"]);
    let unknown = run(command);
    assert_eq!(unknown.code, 3, "{}", unknown.err);
    assert!(unknown.err.contains("a-1.0"), "{}", unknown.err);
}

#[test]
fn a_path_that_is_not_listed_is_unknown() {
    let outcome = listed(&plain(&[(A, &[B])]));
    // Either nobody gets a bill, or it says what it lacks; never silence.
    if outcome.code == 2 || outcome.code == 1 {
        assert!(outcome.err.contains("b-2.0"), "{}", outcome.err);
        return;
    }
    assert_eq!(outcome.code, 3, "{}", outcome.err);
    let bill = outcome.bill();
    assert!(bill.paths().contains(B));
    assert!(unknown(&bill).iter().any(|why| why.contains("b-2.0")), "{:?}", unknown(&bill));
    assert!(bill.composed("unknown", "dependencies").contains(B));
    assert!(!bill.composed("complete", "dependencies").contains(B));
    assert!(outcome.err.contains("b-2.0"), "{}", outcome.err);
}

#[test]
fn broken_listings_are_errors_that_say_where() {
    let good = plain(&[(A, &[B]), (B, &[])]);
    let twice = plain(&[(A, &[B]), (B, &[]), (B, &[A])]);
    for (content, said) in [
        (good.trim_end_matches("0\n"), "end"),
        (&good.replace("\n1\n", "\n2\n"), ""),
        (&good.replace("\n1\n", "\n99999999999999999999999\n"), "99999999999999999999999"),
        (&good.replace("\n1\n", "\n-1\n"), "-1"),
        (&good.replace(B, "/nix/store/../../etc/passwd"), "passwd"),
        (&good.replace(B, "relative"), "relative"),
        (&twice, "b-2.0"),
        (&good.replace("a-1.0", "a\u{1b}[31m"), ""),
        ("[{\"path\":\"/nix/store/x\"}]", ""),
        ("[{]", ""),
        ("{\"closure\":3}", ""),
    ] {
        let outcome = listed(content);
        assert!(matches!(outcome.code, 1 | 2), "{content:?}: {} {}", outcome.code, outcome.err);
        assert!(outcome.out.is_empty(), "{content:?}");
        assert!(outcome.err.contains(said), "{content:?}: {}", outcome.err);
        assert!(!outcome.err.contains('\u{1b}'), "{:?}", outcome.err);
    }
}

#[test]
fn a_listing_of_nothing_is_no_pass() {
    let outcome = listed("");
    assert!(matches!(outcome.code, 2 | 3), "{}: {}", outcome.code, outcome.err);
}

/// Builders that keep what Nix puts before them.
const EXPRESSION: &str = r#"
let p = (import PACKAGES).oddly; in {
  plain = derivation {
    name = "plain"; system = "x86_64-linux"; builder = "/bin/sh";
    exportReferencesGraph = [ "graph" p ];
    args = [ "-c" "while read -r l; do echo \"$l\"; done < graph > $out" ];
  };
  structured = derivation {
    name = "structured"; system = "x86_64-linux"; builder = "/bin/sh";
    __structuredAttrs = true;
    exportReferencesGraph.closure = [ p ];
    args = [ "-c" ''
      read -r l < .attrs.json || :
      o=''${l##*'"outputs":{"out":"'}
      echo "$l" > "''${o%%'"'*}"
    '' ];
  };
}
"#;

/// Real Nix writes both forms, and both say what its database says.
#[test]
fn listings_of_real_nix_are_read() {
    let Some(store) = Store::make() else { return };
    let path = store.output("oddly");
    let closure = store.closure(&path);
    let references = store.references(&closure);
    let file = store.place.path().join("listings.nix");
    let packages = text(&store.place.path().join("default.nix"));
    std::fs::write(&file, EXPRESSION.replace("PACKAGES", &packages)).unwrap();
    for attribute in ["plain", "structured"] {
        let made = store.nix.run("nix-build", ["--no-out-link", "-A", attribute, &text(&file)]);
        let listing = text(&store.nix.host_path(&made));
        let outcome = run(export([&listing, "--offline"]));
        assert_eq!(outcome.code, 0, "{attribute}: {}", outcome.err);
        let bill = outcome.bill();
        assert_eq!(bill.paths(), closure, "{attribute}");
        assert_eq!(bill.edges(), references, "{attribute}");
        if attribute == "structured" {
            for (reference, component) in bill.components() {
                assert_eq!(component["hashes"][0]["alg"], "SHA-256", "{reference}");
            }
        }
    }
}
