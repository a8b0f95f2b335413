//! Escapes that were published for other builders, tried on this one
//! (SECURITY.md names them).

use std::io::{IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix_verify::build::{BuildJob, BuildOutcome, FailureReason};
use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::Output;
use nix_verify::nix::derivation::paths::fixed_path;
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::store_path::StoreDir;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::NOBODY;
use super::arena::{Arena, OBJECT, SECRET};

/// A job whose output is fixed, with the network of the host.
fn fixed(mut job: BuildJob, method: Method, content: &[u8]) -> BuildJob {
    let hash = Hash::of(HashAlgorithm::Sha256, content);
    let path = fixed_path(method, &hash, "test", &StoreDir::default()).unwrap();
    job.derivation.env.insert(b"out".to_vec(), format!("/nix/store/{path}").into_bytes());
    job.derivation.outputs =
        [("out".to_owned(), Output::Fixed { path: path.clone(), method, hash })].into();
    job.outputs = [("out".to_owned(), Some(path))].into();
    job.network = true;
    job
}

/// CVE-2024-27297: a fixed output's builder hands the open output to somebody
/// outside, who changes it when its hash has been taken.
pub fn handed_over_output(arena: &Arena) {
    let address = SocketAddr::from_abstract_name(&arena.mark).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let accomplice = std::thread::spawn(move || receive(&listener.accept().unwrap().0));
    let job = fixed(arena.job(&["hand-over", &arena.mark]), Method::Flat, b"made\n");
    let outcome = arena.place.build(&job);
    let BuildOutcome::Built(built) = outcome else { panic!("{outcome:#?}") };
    let mut handle = std::fs::File::from(accomplice.join().unwrap());
    handle.write_all(b"and changed").unwrap();
    let out = &built.outputs["out"];
    assert_eq!(std::fs::read(&out.host_path).unwrap(), b"made\n");
    let found = hash_tree(&out.host_path, &mut []).unwrap();
    assert_eq!(found, (out.nar_hash, out.nar_size));
}

fn receive(stream: &UnixStream) -> OwnedFd {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::empty()).unwrap();
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
            _ => None,
        })
        .unwrap()
}

/// CVE-2024-38531, CVE-2024-52867: while setuid bits still stand in the build
/// directory or an output, other users must not reach them.
pub fn unreachable_while_building(arena: &Arena) {
    if !rustix::process::geteuid().is_root() || arena.kind != nix_verify::build::RootKind::HostRoot
    {
        return;
    }
    let state = arena.place.state.root().to_owned();
    let mark = arena.mark.clone();
    let spy = std::thread::spawn(move || {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < Duration::from_secs(60), "{mark}");
            let builds = std::fs::read_dir(state.join("builds")).unwrap().flatten();
            let found = builds.map(|build| build.path()).find(|build| {
                build.join("build/ready").exists() && build.join("build/suid").exists()
            });
            if let Some(build) = found {
                let seen = Command::new("/bin/busybox")
                    .args(["cat", build.join("build/suid").to_str().unwrap()])
                    .uid(NOBODY)
                    .gid(NOBODY)
                    .output()
                    .unwrap();
                return (seen.status.success(), build);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let job = arena.script(
        "umask 0; busybox touch suid; busybox chmod 777 suid .; touch ready; sleep 2; umask 022; echo > $out",
    );
    let (built, _) = arena.built(&job);
    let (seen, _) = spy.join().unwrap();
    assert!(!seen);
    drop(built);
}

/// CVE-2026-39860 and kin: the output of a builder with the network of the
/// host is copied; the copy must not follow what the builder put in its place.
pub fn copied_through_links(arena: &Arena) {
    let secret = arena.outside.path().join("secret");
    let secret = secret.to_str().unwrap();
    for script in [
        format!("ln -s {secret} $out"),
        format!("ln -s {} $out", arena.outside.path().display()),
        "ln -s /etc/shadow $out".to_owned(),
    ] {
        let job = fixed(arena.script(&script), Method::Flat, b"x");
        let reason = arena.failed(&job).reason;
        assert!(matches!(reason, FailureReason::BadOutput { .. }), "{reason}");
        let job = fixed(arena.script(&script), Method::Recursive, b"x");
        let reason = arena.failed(&job).reason;
        assert!(matches!(reason, FailureReason::HashMismatch { .. }), "{reason}");
    }
}

/// CVE-2025-46415 and kin: what a build leaves is cleared away by name. Names
/// that lead elsewhere, locked and endless directories change nothing outside.
pub fn cleared_by_name(arena: &Arena) {
    let outside = arena.outside.path().display();
    let script = format!(
        "for d in /build /tmp /nix/store; do ln -s {outside} $d/link; mkdir -p $d/a/b; \
         ln -s / $d/a/b/root; ln -s ../../../../../../../../../../{outside} $d/a/b/up; \
         chmod 0 $d/a/b $d/a; done; rm -rf /build/..; exit 3"
    );
    let failed = arena.failed(&arena.script(&script));
    assert_eq!(failed.reason, FailureReason::ExitCode(3));
    arena.built(&arena.job(&["abyss", "3000"]));
}

/// CVE-2024-51481, CVE-2025-53819, and Guix in September 2025: builders that
/// are part of the tool itself work inside too, and unknown ones not at all.
pub fn own_builders(arena: &Arena) {
    let secret = arena.outside.path().join("secret");
    let text = |text: &str| text.as_bytes().to_vec();
    for (builder, variables) in [
        ("builtin:unpack-channel", vec![("src", secret.to_str().unwrap()), ("channelName", "x")]),
        ("builtin:buildenv", vec![("derivations", secret.to_str().unwrap())]),
        ("builtin:download", vec![("url", "file:///etc/passwd")]),
        ("builtin:fetchurl", vec![("url", "file:///etc/passwd")]),
        ("builtin:", vec![]),
        ("builtin:../../bin/sh", vec![]),
    ] {
        let mut job = arena.script("");
        job.derivation.builder = text(builder);
        job.derivation.args.clear();
        job.derivation.env.extend(variables.iter().map(|(name, value)| (text(name), text(value))));
        match arena.place.build(&job) {
            BuildOutcome::Failed(failed) => {
                let log = failed.tail.join("\n");
                assert!(!log.contains(SECRET), "{builder}: {log}");
            }
            BuildOutcome::Built(built) => {
                // A channel of nothing is an empty one; nothing of outside is in it.
                let mut found = Vec::new();
                for (path, _) in super::arena::tree(&built.outputs["out"].host_path) {
                    if path.is_file() {
                        std::fs::File::open(path).unwrap().read_to_end(&mut found).unwrap();
                    }
                }
                let found = String::from_utf8_lossy(&found).into_owned();
                assert!(!found.contains(SECRET) && !found.contains("root:"), "{builder}");
            }
        }
    }
}

/// Control groups, which have a history of running programs of the builder's
/// choice outside (CVE-2022-0492).
pub fn control_groups(arena: &Arena) {
    arena.built(&arena.job(&["groups"]));
}

/// With `--hardened` much is refused, and builds still work.
pub fn hardened(arena: &Arena) {
    for (mut job, _) in arena.worlds(&["hardened"]) {
        job.hardened = true;
        let (built, log) = arena.built(&job);
        assert!(log.contains("worked"), "{log}");
        let said = built.surroundings.differences.join("\n");
        assert!(said.contains("hardened"), "{said}");
    }
    // The same attacks as elsewhere, against the tighter world.
    let mut job = arena.job(&["nested", "/etc/passwd", "/bin/sh"]);
    job.derivation.args.pop();
    job.hardened = true;
    let (_, log) = arena.built(&job);
    assert!(log.contains("no nested namespaces"), "{log}");
    let mut job =
        arena.script(&format!("/nix/store/{OBJECT}/bin/attacks forks 20; echo x > $out/x"));
    job.hardened = true;
    arena.built(&job);
}
