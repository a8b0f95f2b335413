//! The same input gives the same bytes, whoever asks, where and how.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use super::nix::text;
use super::store::Store;
use super::{export, run};

#[test]
fn nothing_of_the_run_is_in_the_bill() {
    let Some(store) = Store::make() else { return };
    // Anybody may read what is exported here.
    let place = store.place.path();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let objects = text(&store.root().join("nix/store"));
    let mut targets: Vec<String> = ["library", "program", "oddly", "static"]
        .iter()
        .map(|attribute| text(&store.nix.host_path(&store.derivation(attribute))))
        .collect();
    for scope in ["runtime", "linked", "build"] {
        let words = |targets: &[String]| {
            let options = ["--drv-dir", &objects, "--scope", scope, "--offline"];
            let options = options.iter().map(|word| (*word).to_owned());
            // Runtime closures need to know what outputs refer to.
            let local = (scope != "build").then(|| store.option());
            targets.iter().cloned().chain(options).chain(local).collect::<Vec<String>>()
        };
        let first = run(export(words(&targets)));
        assert_eq!(first.code, 0, "{scope}: {}", first.err);
        let mut others = vec![export(words(&targets)), export(words(&targets))];
        others[0]
            .current_dir("/")
            .env("TZ", "Pacific/Kiritimati")
            .env("LANG", "tr_TR.UTF-8")
            .env("HOME", "/nowhere")
            .env("USER", "somebody");
        others[1].env("TZ", "America/St_Johns").env("RAYON_NUM_THREADS", "1");
        let mut threads = export(words(&targets));
        threads.env("RAYON_NUM_THREADS", "7");
        others.push(threads);
        if scope == "build" {
            let mut nobody = export(words(&targets));
            nobody.uid(65534).gid(65534).current_dir("/");
            others.push(nobody);
        }
        targets.reverse();
        others.push(export(words(&targets)));
        targets.rotate_left(1);
        others.push(export(words(&targets)));
        targets.push(targets[0].clone());
        others.push(export(words(&targets)));
        targets.pop();
        for (number, command) in others.into_iter().enumerate() {
            let other = run(command);
            assert_eq!(other.code, 0, "{scope} {number}: {}", other.err);
            assert!(first.out == other.out, "{scope} {number}: other bytes");
        }
        // And no clock: nobody said a time, so there is none.
        assert_eq!(first.bill().value["metadata"].get("timestamp"), None, "{scope}");
    }
}

#[test]
fn the_time_is_what_somebody_says() {
    let Some(store) = Store::make() else { return };
    let drv_path = store.derivation("static");
    let words = [drv_path.as_str(), &store.option(), "--scope", "build", "--offline"];
    let at = |seconds: &str| {
        let mut command = export(words);
        command.env("SOURCE_DATE_EPOCH", seconds);
        run(command)
    };
    let bill = at("1700000000").bill();
    assert_eq!(bill.value["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    // A bill of another time is another bill.
    let other = at("1700000001").bill();
    assert_ne!(bill.value["serialNumber"], other.value["serialNumber"]);
    for bad in ["yesterday", "-1", "1e9", "99999999999999999999"] {
        let outcome = at(bad);
        assert_eq!(outcome.code, 2, "{bad}: {}", outcome.err);
        assert!(outcome.err.contains("SOURCE_DATE_EPOCH"), "{bad}: {}", outcome.err);
    }
}
