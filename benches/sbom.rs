//! Bills of materials of large build closures: what `verify sbom export` and
//! the check of what it wrote cost, beside `nix show-derivation -r`, in one
//! run. Needs Nix and GNU time; the closures are generated.
//!
//! Processor time and peak memory are what counts: both stay the same on a
//! machine that is busy. 5,001 derivations are to take less than 0.5 s and
//! 60 MiB, and ten times as many no more than ten times that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::as_conversions,
    reason = "a benchmark may stop at the first surprise and looks at the clock"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use nix_verify::nix::json::MAX_LEN;

/// Packages of half a dozen inputs each; every other one has a source that is
/// fetched. `n` packages are one and a half times as many derivations.
const GENERATOR: &str = r#"
{ n }:
let
  text = toString;
  modulo = a: b: a - b * (a / b);
  make = arguments: derivation ({
    system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  } // arguments);
  package = i: make ({
    name = "pkg${text i}-1.${text (modulo i 30)}";
    pname = "pkg${text i}";
    version = "1.${text (modulo i 30)}";
    buildInputs = builtins.genList
      (j: builtins.elemAt packages (if j < 2 then i - 1 - j else modulo (i * 7919 + j * 104729 + i * i) i))
      (if i < 8 then i else 8);
  } // (if i > 1 && modulo i 2 == 0 then {
    src = derivation {
      name = "pkg${text i}.tar.gz"; system = "x86_64-linux"; builder = "builtin:fetchurl";
      url = "https://example.org/${text i}";
      outputHash = builtins.hashString "sha256" (text i);
      outputHashAlgo = "sha256"; outputHashMode = "flat";
    };
  } else { }));
  packages = builtins.genList package n;
in make { name = "top"; all = packages; }
"#;

/// Numbers of packages.
const SIZES: [usize; 2] = [3_334, 33_334];

/// Runs of each; the least counts.
const ROUNDS: usize = 3;

fn main() {
    for program in ["nix-instantiate", "time"] {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_err() {
            println!("sbom: {program} is not installed, nothing to compare with");
            return;
        }
    }
    let verify = env!("CARGO_BIN_EXE_verify");
    for size in SIZES {
        let place = tempfile::tempdir().unwrap();
        let work = place.path();
        let (target, store) = instantiate(work, size);
        let objects = work.join("root/nix/store");
        let file = objects.join(Path::new(&target).file_name().unwrap());
        let bill = work.join("bill.json");
        let export = least(|| {
            let mut command = Command::new(verify);
            command.args(["sbom", "export"]).arg(&file).arg("--drv-dir").arg(&objects);
            command.args(["--scope", "build", "--offline", "--output"]).arg(&bill);
            command
        });
        let bytes = std::fs::metadata(&bill).unwrap().len();
        // What is longer is not read.
        let check = usize::try_from(bytes).is_ok_and(|bytes| bytes <= MAX_LEN).then(|| {
            least(|| {
                let mut command = Command::new(verify);
                command.args(["sbom", "check"]).arg(&bill);
                command
            })
        });
        let nix = least(|| {
            let mut command = Command::new("nix");
            command.args(["--extra-experimental-features", "nix-command"]);
            command.args(["show-derivation", "-r", &target]).env("NIX_REMOTE", &store);
            command
        });
        let derivations = std::fs::read_dir(&objects).unwrap().filter(is_derivation).count();
        println!("{derivations} derivations, {bytes} bytes of bill:");
        for (name, cost) in [
            ("verify sbom export --scope build", Some(export)),
            ("verify sbom check", check),
            ("nix show-derivation -r", Some(nix)),
        ] {
            let Some((seconds, kibibytes)) = cost else { continue };
            println!("  {name:34} {seconds:6.2} s of processor, {} MiB", kibibytes / 1024);
        }
    }
}

fn is_derivation(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "drv")
}

/// The derivation, and the store it is in.
fn instantiate(work: &Path, size: usize) -> (String, String) {
    let store = format!("local?root={}", work.join("root").display());
    std::fs::write(work.join("generator.nix"), GENERATOR).unwrap();
    let output = Command::new("nix-instantiate")
        .arg(work.join("generator.nix"))
        .args(["--arg", "n", &size.to_string()])
        .env("NIX_REMOTE", &store)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "the generator evaluates");
    (String::from_utf8(output.stdout).unwrap().trim().to_owned(), store)
}

/// Processor seconds and peak memory in KiB, the least of some runs.
fn least(command: impl Fn() -> Command) -> (f64, u64) {
    let runs: Vec<(f64, u64)> = (0..ROUNDS).map(|_| measured(&command())).collect();
    let seconds = runs.iter().map(|run| run.0).fold(f64::INFINITY, f64::min);
    (seconds, runs.iter().map(|run| run.1).min().unwrap())
}

/// GNU time writes what the system counted for the child as the last line.
fn measured(command: &Command) -> (f64, u64) {
    let mut timed = Command::new("time");
    timed.args(["-f", "%U %S %M"]).arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = timed.stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let numbers: Vec<f64> =
        said.lines().last().unwrap().split(' ').map(|word| word.parse().unwrap()).collect();
    (numbers[0] + numbers[1], numbers[2] as u64)
}
