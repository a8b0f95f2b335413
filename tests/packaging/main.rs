//! The flake, the package and the NixOS module, evaluated by real Nix over as
//! much of nixpkgs as they name (`tests/fixtures/nixpkgs-stub`).

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests state what they expect and may stop at the first surprise"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The files that evaluation reads.
const FILES: [&str; 6] =
    ["flake.nix", "flake.lock", "Cargo.toml", "Cargo.lock", "nix/package.nix", "nix/module.nix"];

/// Whether Nix is here; in CI it has to be.
fn has_nix() -> bool {
    let found = Command::new("nix").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "Nix is missing (apt-get install nix-bin)");
    if !found {
        eprintln!("skipped: Nix is not installed");
    }
    found
}

/// A copy of what evaluation reads, and of the stub.
fn project() -> tempfile::TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().unwrap();
    let copy = |file: &Path, to: &Path| {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    };
    for file in FILES {
        copy(&from.join(file), &place.path().join("project").join(file));
    }
    for file in ["flake.nix", "lib.nix", "packages.nix"] {
        copy(
            &from.join("tests/fixtures/nixpkgs-stub").join(file),
            &place.path().join("nixpkgs").join(file),
        );
    }
    place
}

fn evaluate(place: &Path, arguments: &[&str]) -> Value {
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "eval", "--json"])
        .args(arguments)
        .env("HOME", place)
        .env("NIX_STATE_DIR", place.join("state"))
        .env("NIX_STORE_DIR", "/nix/store")
        .env("NIX_REMOTE", place.join("store"))
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A part of the flake, with the stub as nixpkgs.
fn flake(place: &Path, attribute: &str, apply: &str) -> Value {
    let project = format!("path:{}", place.join("project").display());
    let stub = format!("path:{}", place.join("nixpkgs").display());
    evaluate(
        place,
        &[
            &format!("{project}#{attribute}"),
            "--override-input",
            "nixpkgs",
            &stub,
            "--no-write-lock-file",
            "--apply",
            apply,
        ],
    )
}

#[test]
fn every_output_of_the_flake_evaluates_on_every_system() {
    if !has_nix() {
        return;
    }
    let place = project();
    let systems = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"];
    let names =
        "all: builtins.mapAttrs (system: one: builtins.mapAttrs (name: drv: drv.drvPath) one) all";
    for (attribute, parts) in [
        ("packages", &["default", "verify"][..]),
        ("devShells", &["default"]),
        ("checks", &["format", "lock", "verify"]),
    ] {
        let all = flake(place.path(), attribute, names);
        assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), systems, "{attribute}");
        for system in systems {
            for part in parts {
                let path = all[system][part].as_str().unwrap();
                assert!(path.ends_with(".drv"), "{attribute}.{system}.{part}");
            }
        }
    }
    let tested = "all: builtins.mapAttrs (system: one: one.verify.passthru.tested) all";
    let tested = flake(place.path(), "packages", tested);
    for system in systems {
        assert_eq!(tested[system], system == "x86_64-linux", "{system}");
    }
    let programs = "all: builtins.mapAttrs (system: one: one.default.program) all";
    let programs = flake(place.path(), "apps", programs);
    assert!(programs["x86_64-linux"].as_str().unwrap().ends_with("/bin/verify"));
    let overlay = "overlay: (overlay { callPackage = file: arguments: file; } { }).nix-verify";
    let overlay = flake(place.path(), "overlays.default", overlay);
    assert!(overlay.as_str().unwrap().ends_with("-package.nix"), "{overlay}");
}

/// What a system with these settings runs.
fn system(place: &Path, settings: &str) -> Value {
    let expression = format!(
        r#"
        let
          lib = import {stub}/lib.nix;
          package = derivation {{ name = "verify"; system = "x86_64-linux"; builder = "/nothing"; }}
            // {{ meta.mainProgram = "verify"; }};
          system = lib.evalModules {{
            specialArgs = {{
              inherit lib;
              utils.escapeSystemdExecArgs = builtins.concatStringsSep " ";
            }};
            modules = [
              {module}
              {{ nix.settings = {{ substituters = [ "https://cache.example.org" ]; trusted-public-keys = [ "example-1:AAAA" ]; }}; }}
              {{ services.verify-audit = {{ package = package; }} // {settings}; }}
            ];
          }};
        in
        system.result
        "#,
        stub = place.join("nixpkgs").display(),
        module = place.join("project/nix/module.nix").display(),
    );
    evaluate(place, &["--impure", "--expr", &expression])
}

#[test]
fn the_module_audits_the_running_system_on_a_timer() {
    if !has_nix() {
        return;
    }
    let place = project();
    let off = system(place.path(), "{ }");
    assert!(off.get("systemd").is_none(), "{off}");

    let on = system(
        place.path(),
        r#"{ enable = true; contents = true; sample = "5%"; dates = "weekly"; }"#,
    );
    let service = &on["systemd"]["services"]["verify-audit"]["serviceConfig"];
    let command = service["ExecStart"].as_str().unwrap();
    let (program, rest) = command.split_once(' ').unwrap();
    assert!(program.ends_with("-verify/bin/verify"), "{command}");
    assert_eq!(
        rest,
        "cache /run/current-system --closure --local-store --cache https://cache.example.org \
         --trusted-key example-1:AAAA --contents --sample 5% --fail-on error --format json \
         --output /var/lib/verify-audit/report.json --seed %b"
    );
    assert_eq!(service["DynamicUser"], true);
    assert_eq!(on["systemd"]["timers"]["verify-audit"]["timerConfig"]["OnCalendar"], "weekly");
    assert!(on["assertions"].as_array().unwrap().iter().all(|one| one["assertion"] == true));

    let wrong = system(place.path(), r#"{ enable = true; sample = "5%"; minAgree = 2; }"#);
    let held = wrong["assertions"].as_array().unwrap();
    assert!(held.len() == 2 && held.iter().all(|one| one["assertion"] == false), "{held:?}");
}

/// The arguments of the module are ones that the program has.
#[test]
fn the_arguments_of_the_module_are_understood() {
    let module =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("nix/module.nix"))
            .unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_verify")).args(["cache", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let options: Vec<&str> =
        module.split(['"', ' ']).filter(|word| word.starts_with("--") && word.len() > 2).collect();
    assert!(options.len() > 8, "{options:?}");
    for option in options {
        assert!(help.contains(option), "{option}");
    }
}
