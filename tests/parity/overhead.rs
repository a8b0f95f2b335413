//! What our sandbox costs on a compile of about a minute, beside the same
//! builder run in a plain chroot.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::nix::{self, text};
use super::ours::Rebuild;
use super::real::Workshop;

/// How much longer the sandboxed build may take, in percent.
const MOST_OVERHEAD: f64 = 2.0;

/// Runs of each kind; the fastest counts, for others disturb.
const RUNS: usize = 3;

#[test]
#[ignore = "needs downloaded sources, takes minutes"]
fn sandbox_costs_little() {
    assert!(nix::missing().is_none(), "needs real Nix");
    let dir = tempfile::tempdir().unwrap();
    let workshop = Workshop::new(dir.path());
    let nix = &workshop.nix;
    let drv_path = &workshop.drv_paths["sqlite"];
    let built = nix.build(drv_path).unwrap();
    let url = nix.publish(&dir.path().join("cache"), &[]);
    let state = dir.path().join("state");
    let rebuild = Rebuild { nix, cache: &url, state, options: Vec::new(), variables: Vec::new() };
    let mut plain = Duration::MAX;
    let mut sandboxed = Duration::MAX;
    for run in 0..RUNS {
        let (report, _) = rebuild.run(&[drv_path]);
        assert_eq!(report["verdict"]["exit_code"], 0);
        let name = drv_path.rsplit('/').next().unwrap();
        let time = &report["run"]["builds"][name]["milliseconds"];
        sandboxed = sandboxed.min(Duration::from_millis(time.as_u64().unwrap()));
        plain = plain.min(run_plainly(
            &workshop,
            &dir.path().join(format!("plain-{run}")),
            drv_path,
            &built["out"],
        ));
    }
    let overhead = (sandboxed.as_secs_f64() / plain.as_secs_f64() - 1.0) * 100.0;
    eprintln!("plain {plain:.2?}, sandboxed with hashing {sandboxed:.2?}: {overhead:+.2} %");
    assert!(overhead < MOST_OVERHEAD, "{overhead:.2} % is too much");
}

/// The builder alone: a chroot with the store, `/dev` and `/proc`.
fn run_plainly(workshop: &Workshop, root: &Path, drv_path: &str, out: &str) -> Duration {
    for part in ["nix/store", "dev", "proc", "build", "tmp"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    let shown = workshop.nix.run("nix", ["show-derivation", drv_path]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let drv = &shown[drv_path];
    // A second name for the output, as the real one exists already.
    let copy = format!("{out}-again");
    let script = format!(
        "mount --rbind {store} {root}/nix/store && mount --rbind /dev {root}/dev && mount --rbind /proc {root}/proc && \
         exec chroot {root} \"$@\"",
        store = text(&workshop.nix.host_path("/nix/store")),
        root = text(root),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    command.arg(drv["builder"].as_str().unwrap());
    command.args(drv["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
    let variables = drv["env"].as_object().unwrap().iter();
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.envs(
        variables
            .filter(|(name, _)| *name != "out")
            .map(|(name, value)| (name, value.as_str().unwrap())),
    );
    command.envs([
        ("out", copy.as_str()),
        ("TMPDIR", "/build"),
        ("HOME", "/homeless-shelter"),
        ("NIX_BUILD_CORES", "2"),
    ]);
    let begun = Instant::now();
    let output = command.current_dir(root).output().unwrap();
    let took = begun.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(workshop.nix.host_path(&copy)).unwrap();
    took
}
