//! Formats, files, exit codes and determinism.

use std::io::Read as _;

use super::*;

const GOOD: &str = "nar/case.nar";
const BAD: &str = "nar/dot.nar";
const OPEN: &str = "narinfo/gcc-3.4.6-unsorted-refs.narinfo";
const LONG: &str = "narinfo/texlive-combined-3691-refs.narinfo";

#[test]
fn exit_codes() {
    for (file, options, code) in [
        (GOOD, &[][..], 0),
        (BAD, &[], 1),
        (OPEN, &[], 3),
        (OPEN, &["--fail-on", "warning"], 1),
        (OPEN, &["--fail-on", "note"], 1),
        (BAD, &["--exit-zero"], 0),
        (OPEN, &["--exit-zero"], 0),
        ("missing", &["--exit-zero"], 2),
        (GOOD, &["--output", "missing/report"], 2),
    ] {
        let ran = verify(&[&["inspect", file], options].concat());
        assert_eq!(ran.code, code, "{file} {options:?}: {}", ran.all());
        // The JSON tells the code that --exit-zero hides.
        if code != 2 {
            let json = verify(&[&["inspect", file, "--format", "json"], options].concat()).json();
            let told = json["verdict"]["exit_code"].as_i64().unwrap();
            if options != ["--exit-zero"] {
                assert_eq!(told, i64::from(code), "{file} {options:?}");
            } else {
                assert_ne!(told, 0, "{file}");
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for file in [
        GOOD,
        BAD,
        OPEN,
        "lock/good.lock",
        "drv/go-nix/h32dahq0bx5rp1krcdx3a53asj21jvhk-has-multi-out.drv",
    ] {
        for format in ["human", "json"] {
            let args = ["inspect", file, "--format", format, "--reproducible"];
            let first = verify(&args);
            let mut again = command(&args);
            again.env("TZ", "Asia/Tokyo").env("HOME", "/nonexistent").env("SOURCE_DATE_EPOCH", "1");
            assert_eq!(first.out, Ran::of(again).out, "{file} {format}");
        }
        let json = |now: &str| {
            let mut report = verify(&["inspect", file, "--format", "json", "--now", now]).json();
            let run = report["run"].take();
            assert_eq!(run["started"], "2026-01-31T12:00:00Z");
            report.to_string()
        };
        assert_eq!(json("2026-01-31T12:00:00Z"), json("@1769860800"), "{file}");
    }
}

#[test]
fn a_report_is_written_whole() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("report.json");
    std::fs::write(&target, "old").unwrap();
    let path = target.to_str().unwrap();
    let args = ["inspect", BAD, "--format", "json", "--reproducible"];
    let ran = verify(&[&args[..], &["--output", path]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.all());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), verify(&args).out);
    assert_eq!(place.path().read_dir().unwrap().count(), 1);
    // What is no regular file is written to, not replaced.
    assert_eq!(verify(&["inspect", GOOD, "--output", "/dev/null"]).code, 0);
    assert!(!Path::new("/dev/null").is_file());
}

/// A report that breaks off while it is written leaves what was there before,
/// or nothing, and says which file it was.
#[test]
fn half_a_report_is_none() {
    // Blocks of 512 or 1,024 bytes; the report is longer than these and than
    // what is gathered before it is written.
    const SCRIPT: &str = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("report");
    let path = target.to_str().unwrap();
    let args = ["inspect", LONG, "--format", "json", "--reproducible"];
    let whole = verify(&args).out;
    assert!(whole.len() > 400 << 10, "{}", whole.len());
    let args = [&args[..], &["--output", path]].concat();
    for before in [None, Some("old")] {
        if let Some(before) = before {
            std::fs::write(&target, before).unwrap();
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, env!("CARGO_BIN_EXE_verify")]).args(&args);
        command.env_clear().current_dir(fixtures()).stdin(Stdio::null());
        let ran = Ran::of(command);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.all());
        assert!(ran.err.contains(path) && ran.err.contains("File too large"), "{}", ran.all());
        let left: Vec<_> = place.path().read_dir().unwrap().collect();
        assert_eq!(left.len(), usize::from(before.is_some()), "{left:?}");
        assert_eq!(std::fs::read_to_string(&target).ok().as_deref(), before);
    }
    assert_eq!(verify(&args).code, 0);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), whole);
}

#[test]
fn a_full_disk_is_our_failure() {
    for format in ["human", "json"] {
        let args = ["inspect", GOOD, "--format", format];
        let ran = Ran::of({
            let mut command = command(&args);
            command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
            command
        });
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains("No space left"), "{}", ran.all());
        assert_eq!(verify(&[&args[..], &["--output", "/dev/full"]].concat()).code, 2);
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    for (file, format, code) in [(BAD, "human", 1), (BAD, "json", 1), (LONG, "json", 0)] {
        let mut child = command(&["inspect", file, "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(code), ""), "{format}");
    }
}

#[test]
fn colour_is_asked_for_or_for_terminals() {
    let plain = verify(&["inspect", BAD]).out;
    assert!(!plain.contains('\u{1b}'));
    assert!(verify(&["inspect", BAD, "--color", "always"]).out.contains("\u{1b}[1;31m"));
    assert_eq!(verify(&["inspect", BAD, "--color", "never"]).out, plain);
    let json = verify(&["inspect", BAD, "--color", "always", "--format", "json"]).out;
    assert!(!json.contains('\u{1b}'));
}

#[test]
fn the_page_fits_its_columns() {
    for columns in ["40", "80", "120", "200"] {
        for file in [OPEN, "lock/good.lock", GOOD, BAD] {
            let mut command = command(&["inspect", file]);
            command.env("COLUMNS", columns);
            let ran = Ran::of(command);
            for line in ran.out.lines() {
                assert!(line.chars().count() <= columns.parse().unwrap(), "{columns}: {line}");
            }
        }
    }
}

#[test]
fn the_last_line_is_the_verdict() {
    for (file, words) in [
        (GOOD, "PASS: 1 NAR sound; 1 of 1 checks answered, 1 not run\n"),
        (BAD, "FAIL: 1 NAR bad; 1 failing finding; 1 of 1 checks answered\n"),
    ] {
        let ran = verify(&["inspect", file]);
        assert!(ran.out.ends_with(words), "{}", ran.out);
        let quiet = verify(&["inspect", file, "--quiet"]);
        assert!(quiet.out.ends_with(words) && quiet.out.len() < ran.out.len(), "{}", quiet.out);
    }
    assert_eq!(verify(&["inspect", GOOD, "-q"]).out.lines().count(), 1);
}

/// What only says what would be done says nothing about a revision.
#[test]
fn a_plan_does_not_answer_a_bisection() {
    let ran = verify(&["rebuild", "--plan", "--bisect", "quickstart/x.drv"]);
    assert_eq!(ran.code, 255, "{}", ran.all());
    assert!(ran.err.contains("cannot be used with '--bisect'"), "{}", ran.all());
}
