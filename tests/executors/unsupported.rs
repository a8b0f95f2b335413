//! What is not supported gets an answer: inconclusive, and why.

use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::Output;
use nix_verify::nix::hash::HashAlgorithm;

use super::workshop::{ROOT, Workshop};

#[test]
fn experiments_and_foreign_machines_are_inconclusive() {
    let Some(workshop) = Workshop::new() else { return };
    let shell = format!("/nix/store/{}/bin/sh", workshop.tools);
    let with = |name: &str, variable: &str, value: &str| {
        workshop.make(name, &shell, &["-c", "echo > $out"], |derivation| {
            derivation.env.insert(variable.into(), value.into());
        })
    };
    let features = "requiredSystemFeatures";
    for (made, wanted) in [
        (with("recursive", features, "recursive-nix"), "recursive-nix"),
        (with("range", features, "uid-range"), "uid-range"),
        (with("feature", features, "gccarch-znver9"), "gccarch-znver9"),
        (with("unsandboxed", "__noChroot", "1"), "__noChroot"),
        (with("host", "__impureHostDeps", "/etc/x"), "__impureHostDeps"),
        (
            workshop.make("foreign", &shell, &["-c", "echo > $out"], |derivation| {
                derivation.platform = b"riscv64-linux".to_vec();
            }),
            "riscv64-linux",
        ),
        (
            workshop.make("impure", &shell, &["-c", "echo > $out"], |derivation| {
                let output =
                    Output::Impure { method: Method::Recursive, algorithm: HashAlgorithm::Sha256 };
                derivation.outputs.insert("out".to_owned(), output);
            }),
            "impure",
        ),
    ] {
        if let Some(out) = &made.out {
            workshop.claim_text(out, "\n");
        }
        // A plan says what a run would find, in the same words.
        let [built, planned] = [&[][..], &["--plan"]].map(|options| {
            let outcome = workshop.rebuild(ROOT, &made, options);
            outcome.assert(3, "unsupported");
            let open = &outcome.report["coverage"]["inconclusive"][0]["detail"];
            open.as_str().unwrap().to_owned()
        });
        assert!(built.contains(wanted), "{wanted}: {built}");
        assert_eq!(built, planned);
    }
}

/// Dynamic derivations have a text form of their own, and outputs that are
/// derivations: neither is malformed, and neither is supported.
#[test]
fn dynamic_derivations_are_inconclusive() {
    let Some(workshop) = Workshop::new() else { return };
    let hash = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let versioned = format!(
        "DrvWithVersion(\"xp-dyn-drv\",[(\"out\",\"/nix/store/{hash}-x\",\"\",\"\")],[],[],\
         \"x86_64-linux\",\"/bin/sh\",[],[(\"out\",\"/nix/store/{hash}-x\")])"
    );
    let text_output =
        "Derive([(\"out\",\"\",\"text:sha256\",\"\")],[],[],\"x86_64-linux\",\"/bin/sh\",[],[])";
    for (name, text) in [("versioned", versioned.as_str()), ("text", text_output)] {
        let file = workshop.write(&format!("{hash}-{name}.drv"), text.as_bytes());
        for options in [&[][..], &["--plan"]] {
            let outcome = workshop.rebuild_file(ROOT, &file, options);
            assert_eq!(outcome.code, 3, "{name}: {:#}\n{}", outcome.report, outcome.stderr);
            let reason = &outcome.report["coverage"]["inconclusive"][0]["reason"];
            assert_eq!(reason, "unsupported", "{name}: {:#}", outcome.report);
        }
    }
}

/// What a build would only fail with is said before anything is fetched.
#[test]
fn a_plan_knows_what_a_builder_would_lack() {
    let Some(workshop) = Workshop::new() else { return };
    let shell = workshop.make("shell", "/bin/sh", &["-c", "echo > $out"], |_| ());
    workshop.rebuild(ROOT, &shell, &["--plan"]).assert(0, "ready");
    let outcome = workshop.rebuild(ROOT, &shell, &["--plan", "--shell", "none"]);
    outcome.assert(3, "environment");
    assert!(outcome.details().contains("--shell"), "{}", outcome.details());

    let builtin = workshop.make("builtin", "builtin:nonsense", &[], |_| ());
    for options in [&[][..], &["--plan"]] {
        workshop.rebuild(ROOT, &builtin, options).assert(3, "build-failed");
    }
    let odd = workshop.make("odd", "/bin/sh", &[], |derivation| {
        derivation.env.insert("exportReferencesGraph".into(), "one".into());
    });
    for options in [&[][..], &["--plan"]] {
        let outcome = workshop.rebuild(ROOT, &odd, options);
        outcome.assert(3, "build-failed");
        assert!(outcome.details().contains("odd number"), "{}", outcome.details());
    }
}
