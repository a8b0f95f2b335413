//! The conditions of a derivation, applied to what was built.

use super::{Build, DEP, write};
use nix_verify::build::FailureReason;

fn build(contents: &str) -> Build {
    let build = Build::plain(&["out", "dev"]);
    write(build.out("out").join("file"), contents);
    write(build.out("dev").join("file"), build.path_of("out"));
    build
}

fn broken(build: &Build) -> (String, String) {
    match *build.finish().unwrap_err() {
        FailureReason::OutputCheck { output, why } => (output, why),
        other => panic!("{other}"),
    }
}

#[test]
fn variables_hold_for_every_output() {
    let dep = format!("/nix/store/{DEP}");
    build(&dep).env("disallowedReferences", "out").finish().unwrap_err();
    assert_eq!(broken(&build(&dep).env("disallowedReferences", &dep)).0, "out");
    assert_eq!(broken(&build("").env("allowedReferences", "")).0, "dev");
    build("").env("allowedReferences", "out").finish().unwrap();
    // The requisites of `dev` reach the input through `out`.
    let (output, why) = broken(&build(&dep).env("allowedRequisites", &format!("out dev {dep}x")));
    assert_eq!(output, "dev");
    assert!(why.contains(DEP), "{why}");
    build(&dep).env("allowedRequisites", &format!("out {dep}")).finish().unwrap();
    // Without structured attributes there is no `maxSize`.
    build("").env("maxSize", "1").finish().unwrap();
}

#[test]
fn structured_attributes_hold_for_one_output() {
    let checks = |checks: &str| {
        let json = format!(r#"{{"outputChecks":{{"dev":{checks}}},"outputs":["out","dev"]}}"#);
        build(&"x".repeat(1000)).env("__json", &json)
    };
    checks(r#"{"maxSize":328,"maxClosureSize":10000}"#).finish().unwrap();
    assert!(broken(&checks(r#"{"maxSize":327}"#)).1.contains("maxSize"));
    assert!(broken(&checks(r#"{"maxClosureSize":1000}"#)).1.contains("maxClosureSize"));
    assert!(broken(&checks(r#"{"disallowedReferences":["out"]}"#)).1.contains("refer"));
    assert!(broken(&checks(r#"{"allowedReferences":[]}"#)).1.contains("refer"));
}

#[test]
fn discarded_references_depend_on_the_world() {
    let json = r#"{"unsafeDiscardReferences":{"out":true}}"#;
    for (world, kept) in [("nix-2.8", 1), ("nix-2.18", 0), ("nix-2.35", 0)] {
        let build = build(DEP).env("__json", json).world(world);
        let built = build.finish().unwrap();
        assert_eq!(built["out"].references.len(), kept, "{world}");
        assert_eq!(built["dev"].references.len(), 1, "{world}");
    }
}
