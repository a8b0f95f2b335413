//! What lies in the record of a killed run is believed only as far as it can
//! be checked.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::scene::{Made, Scene, list};

/// A run of two builds, killed when the first is written down and the second
/// has begun. Gives the place of the record.
fn interrupted(scene: &mut Scene, options: &[&str]) -> (Made, PathBuf) {
    let first = scene.derivation("first", "echo said; echo first > $out", &[], &[]);
    let slow = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let script = format!("{slow}; read a < {}; echo $a > $out", first.full());
    let last = scene.derivation("last", &script, &[&first], &[]);
    scene.publish(&last.out, b"first\n", &[]);
    let file = scene.drv_file(&last);
    let mut child =
        scene.command(options).arg(file).stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let record = loop {
        let found = scene.room("runs").iter().flat_map(|run| list(run)).next();
        if let Some(found) = found {
            break found;
        }
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    (last, record)
}

/// The first file below a directory.
fn a_file(directory: &Path) -> PathBuf {
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        if path.symlink_metadata().unwrap().is_file() {
            return path;
        }
        open.extend(list(&path));
    }
    panic!("no file below {}", directory.display());
}

#[test]
fn a_record_that_was_tampered_with_counts_for_nothing() {
    type Damage = fn(&Scene, &Path);
    let damages: [(&str, Damage); 8] = [
        ("another reference", |_, record| {
            let text = std::fs::read_to_string(record.join("record.json")).unwrap();
            let other = "\"references\":[\"0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar\"]";
            let text = text.replacen("\"references\":[]", other, 1);
            assert!(text.contains(other));
            std::fs::write(record.join("record.json"), text).unwrap();
        }),
        ("another output", |_, record| {
            std::fs::write(a_file(&record.join("trees")), "forged\n").unwrap();
        }),
        ("no output", |_, record| std::fs::remove_dir_all(record.join("trees")).unwrap()),
        ("no record", |_, record| std::fs::remove_file(record.join("record.json")).unwrap()),
        ("half a record", |_, record| {
            let text = std::fs::read(record.join("record.json")).unwrap();
            std::fs::write(record.join("record.json"), &text[..text.len() / 2]).unwrap();
        }),
        ("another hash", |_, record| {
            let text = std::fs::read_to_string(record.join("record.json")).unwrap();
            let at = text.find("sha256:").unwrap() + 7;
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            let text = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            std::fs::write(record.join("record.json"), text).unwrap();
        }),
        ("another log", |scene, _| {
            for log in scene.room("logs") {
                std::fs::write(log, "nothing was said\n").unwrap();
            }
        }),
        ("no log", |scene, _| {
            for log in scene.room("logs") {
                std::fs::remove_file(log).unwrap();
            }
        }),
    ];
    for (what, damage) in damages {
        let mut scene = Scene::new();
        let (last, record) = interrupted(&mut scene, &[]);
        damage(&scene, &record);
        let outcome = scene.rebuild(&[&last], &[]);
        assert!(outcome.resumed().is_empty(), "{what}: {:#}", outcome.report);
        outcome.assert(0, &["reproduced"]);
    }
}

#[test]
fn what_nobody_touched_is_taken_up_unless_that_is_not_wanted() {
    let mut scene = Scene::new();
    let (last, _) = interrupted(&mut scene, &[]);
    let fresh = scene.rebuild(&[&last], &["--fresh"]);
    assert!(fresh.resumed().is_empty(), "{:#}", fresh.report);
    fresh.assert(0, &["reproduced"]);

    let mut scene = Scene::new();
    let (last, record) = interrupted(&mut scene, &[]);
    // Somebody else is at the same run: this one is on its own.
    let run = std::fs::File::open(record.parent().unwrap()).unwrap();
    run.lock().unwrap();
    let beside = scene.rebuild(&[&last], &[]);
    assert!(beside.resumed().is_empty(), "{:#}", beside.report);
    beside.assert(0, &["reproduced"]);
    assert!(record.exists());
    drop(run);

    let outcome = scene.rebuild(&[&last], &[]);
    assert_eq!(outcome.resumed().len(), 1, "{:#}", outcome.report);
    outcome.assert(0, &["reproduced"]);
}

#[test]
fn the_record_stays_when_the_report_cannot_be_written() {
    let mut scene = Scene::new();
    let made = scene.derivation("made", "echo made > $out", &[], &[]);
    // What differs is kept however full the disk is: it has to be looked at.
    scene.publish(&made.out, b"other\n", &[]);
    let nowhere = scene.rebuild(&[&made], &["--output", "missing/report.json"]);
    assert_eq!(nowhere.code, Some(2));
    let outcome = scene.rebuild(&[&made], &[]);
    assert_eq!(outcome.resumed(), [made.drv_path.to_string()], "{:#}", outcome.report);
    outcome.assert(1, &["differs"]);
    assert!(scene.room("runs").is_empty());
}

/// What an installed Nix has built is hashed again and taken up like what we
/// have, and belongs to a run of its own.
#[test]
fn what_nix_has_built_is_taken_up_too() {
    let installed = std::process::Command::new("nix-store").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no nix-store");
        return;
    }
    let nix = ["--executor", "nix"];
    let mut scene = Scene::new();
    let (last, record) = interrupted(&mut scene, &nix);
    let ours = scene.rebuild(&[&last], &[]);
    assert!(ours.resumed().is_empty(), "{:#}", ours.report);
    ours.assert(0, &["reproduced"]);
    let outcome = scene.rebuild(&[&last], &nix);
    assert_eq!(outcome.resumed().len(), 1, "{:#}", outcome.report);
    outcome.assert(0, &["reproduced"]);
    assert!(!record.exists() && scene.room("builds").is_empty());

    let mut scene = Scene::new();
    let (last, record) = interrupted(&mut scene, &nix);
    std::fs::write(a_file(&record.join("trees/outputs")), "forged\n").unwrap();
    let outcome = scene.rebuild(&[&last], &nix);
    assert!(outcome.resumed().is_empty(), "{:#}", outcome.report);
    outcome.assert(0, &["reproduced"]);
}
