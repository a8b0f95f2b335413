//! Builders that reach for what lies outside.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::arena::{Arena, FILE, OBJECT};
use super::harness::{BUSYBOX, TOOLS};

pub fn network(arena: &Arena) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    arena.built(&arena.job(&["network", &port]));
    let script = "wget -T 2 -q -O - http://localhost:80/ && echo ESCAPED; \
        ip addr | grep -v -e lo -e ::1 -e 127.0.0.1 | grep -E 'inet' && echo ESCAPED; echo > $out";
    arena.built(&arena.script(script));
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// CVE-2024-27297: handing an open file to somebody outside.
pub fn abstract_socket(arena: &Arena) {
    let address = SocketAddr::from_abstract_name(&arena.mark).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    for (job, _) in arena.worlds(&["abstract", &arena.mark]) {
        arena.built(&job);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn not_its_own(arena: &Arena) -> Vec<String> {
    let mut paths: Vec<String> = ["", "/bin", "/bin/busybox", "/bin/sh"]
        .map(|inner| format!("/nix/store/{TOOLS}{inner}"))
        .into();
    paths.extend([
        format!("/nix/store/{FILE}"),
        format!("/nix/store/{OBJECT}/bin/attacks"),
        "/bin/sh".to_owned(),
        "/proc/1/exe".to_owned(),
    ]);
    if arena.kind.separates_owner() {
        paths.extend(["/etc/passwd", "/etc", "/", "/nix"].map(String::from));
    }
    paths
}

pub fn damage(arena: &Arena) {
    let paths = not_its_own(arena);
    let arguments: Vec<&str> =
        ["damage"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    for (mut job, _) in arena.worlds(&arguments) {
        job.derivation.args.pop();
        job.shell = Some(BUSYBOX.into());
        arena.built(&job);
    }
}

pub fn nested_namespaces(arena: &Arena) {
    let paths = not_its_own(arena);
    let paths =
        paths.iter().map(String::as_str).filter(|path| *path != "/" && !path.starts_with("/proc"));
    let arguments: Vec<&str> = ["nested"].into_iter().chain(paths).collect();
    for (mut job, _) in arena.worlds(&arguments) {
        job.derivation.args.pop();
        job.shell = Some(BUSYBOX.into());
        arena.built(&job);
    }
}

pub fn proc_tricks(arena: &Arena) {
    let secret = arena.outside.path().join("secret");
    arena.built(&arena.job(&["proc", secret.to_str().unwrap()]));
}

/// Before a builder becomes its program it is ours; whoever gets hold of that
/// file must not be able to change it.
pub fn own_program(arena: &Arena) {
    for builder in ["/proc/self/exe", "/proc/1/exe"] {
        let mut job = arena.script("");
        job.derivation.builder = builder.into();
        job.derivation.args = vec![b"--version".to_vec()];
        arena.failed(&job);
    }
    let mut job = arena.script("");
    job.derivation.builder = format!("/nix/store/{OBJECT}/bin/script").into_bytes();
    arena.failed(&job);
}

pub fn descriptors(arena: &Arena) {
    for (job, _) in arena.worlds(&["descriptors"]) {
        arena.built(&job);
    }
}

pub fn environment(arena: &Arena) {
    let script = "env; cat /proc/self/environ /proc/1/environ | tr '\\0' '\\n'; \
        cat /proc/1/cmdline /proc/self/mountinfo >/dev/null; echo > $out";
    let (_, log) = arena.built(&arena.script(script));
    assert!(!log.contains("TOKEN") && log.contains("HOME=/homeless-shelter"), "{log}");
}
