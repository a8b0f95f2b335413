//! The sandbox as an ordinary user sees it: with subordinate ids, and without.
//!
//! Entering a private user namespace takes a process without threads, so this
//! is a program of its own, not a set of `#[test]` functions. Started by root
//! it starts itself once as each kind of user.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests state what they expect and touch the world"
)]

#[path = "sandbox/harness.rs"]
mod harness;
#[path = "sandbox/users.rs"]
mod users;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use harness::{BUSYBOX, Place, TOOLS};
use nix_verify::build::{BuildOutcome, Executor as _, FailureReason, RootKind, World};
use nix_verify::sys::namespace::{NamespaceError, enter_private_root};
use users::user_with_subordinate_ids;

/// Says that this process is to be the kind of root of that name.
const EXPECTED: &str = "VERIFY_TEST_ROOT_KIND";

/// A user without subordinate ids on every machine.
const NOBODY: u32 = 65534;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    if !std::path::Path::new(BUSYBOX).exists() {
        eprintln!("skipped: no {BUSYBOX} (install busybox-static)");
        return;
    }
    if rustix::process::geteuid().is_root() && std::env::var_os(EXPECTED).is_none() {
        run_as(NOBODY, NOBODY, RootKind::SingleId);
        match user_with_subordinate_ids() {
            Some((uid, gid)) => run_as(uid, gid, RootKind::SubIds),
            None => eprintln!("skipped: no user in /etc/subuid, or no newuidmap"),
        }
        return;
    }
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
    assert!(rustix::process::geteuid().is_root());
    the_kernel_obeys_the_filters();
    builders_see_the_same_world(kind);
    inputs_cannot_be_damaged(kind);
    locked_up_leftovers_are_removed();
    the_forbidding_setting_is_named();
    println!("ok: {kind}");
}

fn run_as(uid: u32, gid: u32, kind: RootKind) {
    // Where the test binary itself is out of reach for the user, a copy is not.
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = place.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let verify = place.path().join("verify");
    std::fs::copy(env!("CARGO_BIN_EXE_verify"), &verify).unwrap();
    let status = Command::new(&program)
        .uid(uid)
        .gid(gid)
        .env(EXPECTED, kind.name())
        .env("VERIFY_TEST_PROGRAM", &verify)
        .env("TMPDIR", "/tmp")
        .current_dir("/")
        .status()
        .unwrap();
    assert!(status.success(), "as {kind}: {status}");
}

/// Loads the filter of each world in a child and tries what it filters.
fn the_kernel_obeys_the_filters() {
    use nix_verify::build::{seccomp, world::WORLDS};
    use nix_verify::sys::filter::load_seccomp;
    use nix_verify::sys::process::{Fork, exit_now, fork};
    use rustix::fs::{Mode, XattrFlags};
    use rustix::io::Errno;

    let Some(machine) = seccomp::Machine::here() else { return };
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for world in WORLDS {
        let child = match fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                rustix::thread::set_no_new_privs(true).unwrap();
                load_seccomp(&seccomp::program(&world, machine)).unwrap();
                let chmod = |mode| rustix::fs::chmod(&file, Mode::from_raw_mode(mode));
                let filtered =
                    |yes, result: Result<(), Errno>| yes == matches!(result, Err(Errno::NOTSUP));
                let mut buffer = [0_u8; 64];
                let get = rustix::fs::getxattr(&file, "user.x", &mut buffer).map(drop);
                let list = rustix::fs::listxattr(&file, &mut buffer).map(drop);
                let set = rustix::fs::setxattr(&file, "user.x", b"", XattrFlags::empty());
                let held = chmod(0o4755) == Err(Errno::PERM)
                    && chmod(0o2755) == Err(Errno::PERM)
                    && chmod(0o1755) == Ok(())
                    && filtered(true, set)
                    && filtered(world.filters_getxattr, get)
                    && filtered(world.filters_listxattr, list);
                exit_now(i32::from(!held))
            }
        };
        let (_, status) =
            rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())
                .unwrap()
                .unwrap();
        assert_eq!(status.exit_status(), Some(0), "{world}");
    }
}

fn builders_see_the_same_world(kind: RootKind) {
    let Some(place) = Place::new() else { panic!("no place") };
    let mut job = place.job(
        "id; stat -c '%n %a %u %g' / /etc /nix/store /build /etc/passwd; hostname; \
         for f in /x /etc/x /etc/passwd /nix/x; do touch $f 2>&1; done; \
         grep -E 'CapEff|NoNewPrivs|Seccomp:|Groups' /proc/1/status; \
         isatty() { test -t 1 && echo tty; }; isatty; stat -c '%u' -L /proc/self/fd/1; \
         mkdir $out; echo x > $out/x",
    );
    job.world = World::by_name("nix-2.8").unwrap();
    let (built, log) = place.built(&job);
    assert_eq!(built.surroundings.root_kind, kind);
    assert_eq!(built.surroundings.differences.is_empty(), kind.separates_owner(), "{built:?}");
    let (root, owner) = match kind {
        RootKind::SingleId => ("550", 1000),
        _ => ("750", 65534),
    };
    for line in [
        "uid=1000(nixbld) gid=100(nixbld)".to_owned(),
        format!("/ {root} {owner} 100"),
        format!("/nix/store 1775 {owner} 100"),
        "/build 700 1000 100".to_owned(),
        "localhost".to_owned(),
        "touch: /x: Permission denied".to_owned(),
        "touch: /etc/x: Permission denied".to_owned(),
        "CapEff:\t0000000000000000".to_owned(),
        "NoNewPrivs:\t1".to_owned(),
        "Seccomp:\t2".to_owned(),
        "tty".to_owned(),
        "1000".to_owned(),
    ] {
        assert!(log.lines().any(|found| found.starts_with(&line)), "{line}:\n{log}");
    }
    if kind.separates_owner() {
        assert!(log.contains("touch: /nix/x: Permission denied"), "{log}");
        assert!(log.contains("touch: /etc/passwd: Permission denied"), "{log}");
    }
}

fn inputs_cannot_be_damaged(kind: RootKind) {
    let Some(place) = Place::new() else { panic!("no place") };
    let file = "dddddddddddddddddddddddddddddddd-file";
    let host = place.input_path(file);
    std::fs::write(&host, b"content").unwrap();
    std::fs::set_permissions(&host, PermissionsExt::from_mode(0o444)).unwrap();
    for world in ["nix-2.8", "nix-2.35"] {
        let mut job = place.job(&format!(
            "cd /nix/store; chmod 755 {TOOLS} {TOOLS}/bin {TOOLS}/bin/busybox {file} 2>&1; \
             echo bad > {TOOLS}/bin/x; echo bad > {TOOLS}/bin/busybox; echo bad > {file}; \
             rm -rf {TOOLS}/bin/ls {file}; mv {TOOLS} other; echo > $out"
        ));
        job.inputs.extend([place.input(file)]);
        job.world = World::by_name(world).unwrap();
        let (_, log) = place.built(&job);
        let refusal = if kind.separates_owner() { "not permitted" } else { "Read-only" };
        assert!(log.contains(refusal), "{log}");
        let busybox = place.input_path(TOOLS).join("bin/busybox");
        assert_eq!(std::fs::read(busybox).unwrap(), std::fs::read(BUSYBOX).unwrap());
        assert_eq!(std::fs::read(&host).unwrap(), b"content");
        let mode = host.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o444);
        assert!(place.input_path(TOOLS).join("bin/ls").symlink_metadata().is_ok());
        assert!(!place.input_path(TOOLS).join("bin/x").exists());
    }
}

fn locked_up_leftovers_are_removed() {
    let Some(place) = Place::new() else { panic!("no place") };
    let script = "mkdir -p /tmp/a/b $out/a/b; echo x > /tmp/a/b/c; ln -s / /tmp/a/root; \
        mkdir -p a/b; echo > a/b/c; chmod 000 a/b/c a/b a /tmp/a/b /tmp/a $out/a/b; exit 3";
    let failed = place.failed(&place.job(script));
    assert_eq!(failed.reason, FailureReason::ExitCode(3));
    let builds = place.state.root().join("builds");
    assert_eq!(std::fs::read_dir(builds).unwrap().count(), 0);
    let mut job = place.job(script);
    job.keep_failed = true;
    let kept = match place.build(&job) {
        BuildOutcome::Failed(failed) => failed.kept.unwrap(),
        BuildOutcome::Built(built) => panic!("{built:?}"),
    };
    assert!(kept.join("a").exists());
    nix_verify::state::remove::remove_tree(kept.parent().unwrap()).unwrap();
}

/// The setting counts per namespace, so this one may be spoilt: nothing else
/// can be built in it afterwards.
fn the_forbidding_setting_is_named() {
    let Some(place) = Place::new() else { panic!("no place") };
    std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
    let error = place.executor().build(&place.job("echo > $out")).unwrap_err().to_string();
    assert!(error.contains("user.max_user_namespaces is 0"), "{error}");
}
