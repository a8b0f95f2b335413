//! A bill that is made within a Nix build: no network, no store database, no
//! home, nothing but the listing of a closure.

use super::nix::text;
use super::store::{BUSYBOX, Store};
use super::{Bill, export, run};

#[test]
fn a_nix_build_can_write_the_bill() {
    let Some(mut store) = Store::make() else { return };
    let path = store.output("program");
    let verify = env!("CARGO_BIN_EXE_verify");
    // What the program is linked against, if it is at all.
    let libraries = ["/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"];
    let shared = libraries.iter().filter(|place| std::path::Path::new(place).exists());
    let shared: String = shared.map(|place| format!(" {place}")).collect();
    store.nix.set("sandbox-paths", &format!("/bin/sh={BUSYBOX} /verify={verify}{shared}"));
    let expression = format!(
        r#"derivation {{
          name = "bill.cdx.json"; system = "x86_64-linux"; builder = "/bin/sh";
          exportReferencesGraph = [ "graph" (import {}).program ];
          SOURCE_DATE_EPOCH = 1700000000;
          args = [ "-c" "/verify sbom export ./graph --output $out" ];
        }}"#,
        text(&store.place.path().join("default.nix"))
    );
    let file = store.place.path().join("bill.nix");
    std::fs::write(&file, expression).unwrap();
    let made = store.nix.run("nix-build", ["--no-out-link", &text(&file)]);
    let bytes = std::fs::read(store.nix.host_path(&made)).unwrap();
    let bill = Bill::of(serde_json::from_slice(&bytes).unwrap(), &bytes);
    let closure = store.closure(&path);
    assert_eq!(bill.paths(), closure);
    assert_eq!(bill.edges(), store.references(&closure));
    // Nix itself makes the same again, bit by bit.
    store.nix.run("nix-build", ["--no-out-link", "--check", &text(&file)]);
    // And it says what the same program says outside.
    let outside = run(export([&path, &store.option(), "--offline"])).bill();
    assert_eq!(outside.paths(), bill.paths());
    assert_eq!(outside.edges(), bill.edges());
}
