//! Builders that try to get out, to stay, or to change what they leave after
//! it was hashed: each gets its verdict, nothing of it is alive a second
//! later, and what lies outside is as it was.
//!
//! Like `sandbox_rootless` a program of its own: started by root it runs as
//! root and starts itself once as each kind of ordinary user.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests state what they expect and touch the world"
)]

mod arena;
#[path = "../sandbox/harness.rs"]
mod harness;
mod leaving;
mod outputs;
mod published;
mod reaching;
mod taking;
#[path = "../sandbox/users.rs"]
mod users;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use arena::{Arena, SECRET};
use harness::BUSYBOX;
use nix_verify::build::RootKind;
use nix_verify::sys::namespace::{NamespaceError, enter_private_root};
use users::user_with_subordinate_ids;

/// Says that this process is to be the kind of root of that name.
const EXPECTED: &str = "VERIFY_TEST_ROOT_KIND";

/// Where the compiled attacks are.
const ATTACKS: &str = "VERIFY_TEST_ATTACKS";

/// A user without subordinate ids on every machine.
const NOBODY: u32 = 65534;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    if !Path::new(BUSYBOX).exists() {
        eprintln!("skipped: no {BUSYBOX} (install busybox-static)");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    if std::env::var_os(ATTACKS).is_none() && std::env::var_os(EXPECTED).is_none() {
        let Some(attacks) = compile(place.path()) else { return };
        if rustix::process::geteuid().is_root() {
            run_as(None, &attacks, RootKind::HostRoot);
            run_as(Some((NOBODY, NOBODY)), &attacks, RootKind::SingleId);
            match user_with_subordinate_ids() {
                Some(user) => run_as(Some(user), &attacks, RootKind::SubIds),
                None => eprintln!("skipped: no user in /etc/subuid, or no newuidmap"),
            }
            return;
        }
        attack(&attacks);
        return;
    }
    attack(Path::new(&std::env::var_os(ATTACKS).unwrap()));
}

/// Compiles the attacks; `None` where that cannot be done.
fn compile(place: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_builders/attacks.c");
    let program = place.join("attacks");
    let compiled = Command::new("cc")
        .args(["-O1", "-static", "-no-pie", "-o"])
        .args([&program, &source])
        .stderr(Stdio::null())
        .status();
    if compiled.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    eprintln!("skipped: cc cannot make a static program");
    None
}

fn run_as(user: Option<(u32, u32)>, attacks: &Path, kind: RootKind) {
    // Where the test binary itself is out of reach for the user, a copy is not.
    let place = tempfile::tempdir().unwrap();
    let copied = |name: &str, from: &Path| {
        let to = place.path().join(name);
        std::fs::copy(from, &to).unwrap();
        if let Some((uid, gid)) = user {
            // Its own program is what a user could have changed.
            std::os::unix::fs::chown(&to, Some(uid), Some(gid)).unwrap();
        }
        to
    };
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = copied("program", &std::env::current_exe().unwrap());
    let attacks = copied("attacks", attacks);
    let mut command = Command::new(&attacks);
    command.arg("with-session").arg(&program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    let status = command
        .env(EXPECTED, kind.name())
        .env(ATTACKS, &attacks)
        .env("VERIFY_TEST_PROGRAM", copied("verify", Path::new(env!("CARGO_BIN_EXE_verify"))))
        .env("TMPDIR", "/tmp")
        .env("GITHUB_TOKEN", SECRET)
        .env("HOME", format!("/{SECRET}"))
        .current_dir("/")
        .status()
        .unwrap();
    assert!(status.success(), "as {kind}: {status}");
}

/// An attack, or several of a kind.
type Round = (&'static str, fn(&Arena));

fn attack(attacks: &Path) {
    let kind = match enter_private_root() {
        Ok(kind) => kind,
        Err(error @ NamespaceError::Forbidden { .. }) => {
            eprintln!("skipped: {error}");
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    if let Ok(expected) = std::env::var(EXPECTED) {
        assert_eq!(kind.name(), expected);
    }
    let arena = Arena::new(attacks, kind);
    let rounds: &[Round] = &[
        ("processes", leaving::processes),
        ("limits", leaving::limits),
        ("leftover daemon", leaving::leftover_daemon),
        ("closed terminal", leaving::closed_terminal),
        ("network", reaching::network),
        ("abstract socket", reaching::abstract_socket),
        ("setuid bits", outputs::setuid_bits),
        ("special files", outputs::special_files),
        ("links out", outputs::links_out),
        ("damage", reaching::damage),
        ("nested namespaces", reaching::nested_namespaces),
        ("proc", reaching::proc_tricks),
        ("own program", reaching::own_program),
        ("descriptors", reaching::descriptors),
        ("terminal", leaving::terminal),
        ("attributes", outputs::attributes),
        ("keys", leaving::keys),
        ("depth", outputs::depth),
        ("many files", leaving::many_files),
        ("names", outputs::names),
        ("modes", outputs::modes),
        ("environment", reaching::environment),
        ("endless output", leaving::endless_output),
        ("fork bomb", taking::fork_bomb),
        ("many processes", taking::many_processes),
        ("memory", taking::memory),
        ("shared memory", taking::shared_memory),
        ("disk", taking::disk),
        ("handed over output", published::handed_over_output),
        ("unreachable while building", published::unreachable_while_building),
        ("copied through links", published::copied_through_links),
        ("cleared by name", published::cleared_by_name),
        ("own builders", published::own_builders),
        ("control groups", published::control_groups),
        ("hardened", published::hardened),
    ];
    for (name, round) in rounds {
        let before = arena.fingerprint();
        let started = Instant::now();
        round(&arena);
        arena.all_gone(name);
        assert_eq!(arena.fingerprint(), before, "{name}");
        println!("{kind}: {name} ({:.1?})", started.elapsed());
    }
}
