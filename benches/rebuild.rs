//! 200 trivial sandboxed derivations: `nix-build` beside `verify rebuild`, in
//! one run. Needs root and Nix; prints the wall time of both and their ratio.
//!
//! `verify` does more than `nix-build` here: it also verifies the signed
//! narinfo of every output and compares.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    reason = "a benchmark may stop at the first surprise and looks at the clock"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COUNT: usize = 200;
const ROUNDS: usize = 3;

/// The derivations; the builder is that of the quick start.
const EXPRESSION: &str = r#"
{ builder, count }:
builtins.genList (i: derivation {
  name = "trivial-${toString i}";
  system = "x86_64-linux";
  builder = builtins.storePath builder;
  args = [ ">out" "hello ${toString i}" ];
}) count
"#;

fn main() {
    if Command::new("nix-build").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("rebuild: nix-build is not installed, nothing to compare with");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let work = place.path();
    let setup = Setup::new(work);
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        times.push((setup.nix_build(work, round), setup.verify(work, round)));
    }
    for (nix, verify) in &times {
        println!(
            "{COUNT} trivial derivations: nix-build -j 2 {:.2} s, verify --jobs 2 {:.2} s ({:.1} times as fast)",
            nix.as_secs_f64(),
            verify.as_secs_f64(),
            nix.as_secs_f64() / verify.as_secs_f64(),
        );
    }
}

struct Setup {
    drvs: Vec<String>,
    builder: String,
    key: String,
}

impl Setup {
    /// Instantiates, builds once with Nix and publishes to a signed cache.
    fn new(work: &Path) -> Self {
        std::fs::write(work.join("trivial.nix"), EXPRESSION).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/quickstart/builder/builder.S");
        let (object, program) = (work.join("builder.o"), work.join("quickstart-builder"));
        run(Command::new("cc").arg("-c").arg(source).arg("-o").arg(&object));
        run(Command::new("objcopy")
            .args(["-O", "binary", "-j", ".text"])
            .arg(&object)
            .arg(&program));
        run(Command::new("chmod").arg("755").arg(&program));
        let store = format!("local?root={}", work.join("root").display());
        let builder =
            said(Command::new("nix-store").arg("--add").arg(&program).env("NIX_REMOTE", &store));
        let drvs = said(
            instantiate(&mut Command::new("nix-instantiate"), work, &builder)
                .env("NIX_REMOTE", &store),
        );
        let drvs: Vec<String> = drvs.lines().map(str::to_owned).collect();
        assert_eq!(drvs.len(), COUNT);
        for drv in &drvs {
            let name = Path::new(drv).file_name().unwrap();
            std::fs::create_dir_all(work.join("drvs")).unwrap();
            std::fs::copy(
                work.join("root").join(drv.trim_start_matches('/')),
                work.join("drvs").join(name),
            )
            .unwrap();
        }
        run(Command::new("nix-store")
            .args(["--generate-binary-cache-key", "bench-1"])
            .arg(work.join("secret"))
            .arg(work.join("public")));
        let key = std::fs::read_to_string(work.join("public")).unwrap().trim().to_owned();
        let setup = Self { drvs, builder, key };
        run(setup.build(work, &store).stdout(Stdio::null()));
        let cache = format!(
            "file://{}?compression=none&secret-key={}",
            work.join("cache").display(),
            work.join("secret").display()
        );
        let outputs = said(
            Command::new("nix-store")
                .args(["-q", "--outputs"])
                .args(&setup.drvs)
                .env("NIX_REMOTE", &store),
        );
        run(Command::new("nix")
            .args(["--extra-experimental-features", "nix-command", "copy", "--to", &cache])
            .args(outputs.lines())
            .arg(&setup.builder)
            .env("NIX_REMOTE", &store)
            .stderr(Stdio::null()));
        setup
    }

    fn build(&self, work: &Path, store: &str) -> Command {
        let mut command = Command::new("nix-build");
        instantiate(&mut command, work, &self.builder);
        command.args([
            "--option",
            "sandbox",
            "true",
            "--option",
            "build-users-group",
            "",
            "-j",
            "2",
            "--no-out-link",
        ]);
        command.env("NIX_REMOTE", store).stderr(Stdio::null());
        command
    }

    /// A fresh store each time: Nix builds what it does not have.
    fn nix_build(&self, work: &Path, round: usize) -> Duration {
        let store = format!("local?root={}", work.join(format!("root-{round}")).display());
        run(Command::new("nix-store")
            .arg("--add")
            .arg(work.join("quickstart-builder"))
            .env("NIX_REMOTE", &store)
            .stdout(Stdio::null()));
        run(instantiate(&mut Command::new("nix-instantiate"), work, &self.builder)
            .env("NIX_REMOTE", &store)
            .stdout(Stdio::null())
            .stderr(Stdio::null()));
        let start = Instant::now();
        run(self.build(work, &store).stdout(Stdio::null()));
        start.elapsed()
    }

    /// A fresh state directory each time.
    fn verify(&self, work: &Path, round: usize) -> Duration {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
        command.arg("rebuild");
        for drv in &self.drvs {
            command.arg(work.join("drvs").join(Path::new(drv).file_name().unwrap()));
        }
        command.arg("--cache").arg(format!("file://{}", work.join("cache").display()));
        command.args([
            "--trusted-key",
            &self.key,
            "--jobs",
            "2",
            "--offline",
            "--quiet",
            "--state-dir",
        ]);
        command.arg(work.join(format!("state-{round}"))).stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().unwrap();
        let time = start.elapsed();
        assert_eq!(status.code(), Some(0), "every output must be reproduced");
        time
    }
}

fn instantiate<'c>(command: &'c mut Command, work: &Path, builder: &str) -> &'c mut Command {
    command
        .arg(work.join("trivial.nix"))
        .args(["--argstr", "builder", builder, "--arg", "count", &COUNT.to_string()])
        .env("NIX_PATH", "")
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}");
}

fn said(command: &mut Command) -> String {
    let output = command.stderr(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
