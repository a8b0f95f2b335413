//! Builders whose outputs are the attack.

use std::path::Path;

use nix_verify::build::FailureReason;
use nix_verify::gather::nar::tree::hash_tree;

use super::arena::{Arena, tree};

pub fn setuid_bits(arena: &Arena) {
    for (mut job, world) in arena.worlds(&[]) {
        let old = if world.filters_fchmodat2 { "0" } else { "1" };
        job.derivation.args = [b"setids", old.as_bytes()].map(Into::into).into();
        let (built, _) = arena.built(&job);
        let out = &built.outputs["out"].host_path;
        let all = tree(out);
        assert_eq!(all.len(), 7, "{all:?}");
        for (path, mode) in all {
            assert!(matches!(mode & 0o7777, 0o444 | 0o555), "{} {mode:o}", path.display());
        }
    }
}

pub fn special_files(arena: &Arena) {
    arena.built(&arena.job(&["devices"]));
    for (attack, found) in [("fifo", "a fifo"), ("socket", "a socket")] {
        match arena.failed(&arena.job(&[attack])).reason {
            FailureReason::BadOutput { why, .. } => {
                assert!(why.contains(found), "{why}");
                assert!(!why.chars().any(|c| c.is_control() || c == '\u{202e}'), "{why:?}");
            }
            other => panic!("{attack}: {other}"),
        }
    }
    // Whole outputs.
    for make in ["mkfifo $out", "nc -l -p 9 local:$out 2>&1; mkfifo $out"] {
        let reason = arena.failed(&arena.script(make)).reason;
        assert!(matches!(reason, FailureReason::BadOutput { .. }), "{reason}");
    }
}

/// Links are outputs like others, and nobody follows them.
pub fn links_out(arena: &Arena) {
    let secret = arena.outside.path().join("secret");
    for target in
        ["/etc", "/etc/shadow", "../../../../../../etc/passwd", "/", secret.to_str().unwrap()]
    {
        for script in [
            format!("ln -s {target} $out"),
            format!("mkdir $out; touch $out/x; rm -r $out; ln -s {target} $out"),
            format!("mkdir $out; ln -s {target} $out/link; mkdir d; mv d /tmp/d; ln -s {target} d"),
        ] {
            let (built, _) = arena.built(&arena.script(&script));
            let out = &built.outputs["out"].host_path;
            let link = if out.is_symlink() { out.clone() } else { out.join("link") };
            assert_eq!(std::fs::read_link(link).unwrap(), Path::new(target));
            let (hash, _) = hash_tree(out, &mut []).unwrap();
            assert_eq!(hash, built.outputs["out"].nar_hash);
        }
    }
    // The directories on the way to the output swapped for links.
    let script = "mv /nix/store /nix/x; mv /nix /x; rm -rf /nix; ln -s /etc /nix; \
        rmdir /build; ln -s /etc /build; mv /tmp /t; ln -s /etc /tmp; echo > $out";
    arena.built(&arena.script(script));
}

pub fn attributes(arena: &Arena) {
    let (built, _) = arena.built(&arena.job(&["attributes"]));
    let out = &built.outputs["out"].host_path;
    for (path, mode) in tree(out) {
        let mut names = [0_u8; 4096];
        let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap_or(0);
        let names = String::from_utf8_lossy(&names[..length]).replace("security.selinux\0", "");
        assert_eq!(names, "", "{}", path.display());
        assert!(matches!(mode & 0o7777, 0o444 | 0o555), "{} {mode:o}", path.display());
    }
}

pub fn depth(arena: &Arena) {
    arena.built(&arena.job(&["deep", "63"]));
    for levels in ["65", "66", "1000"] {
        match arena.failed(&arena.job(&["deep", levels])).reason {
            FailureReason::BadOutput { why, .. } => assert!(why.contains("deep"), "{why}"),
            other => panic!("{levels}: {other}"),
        }
    }
}

pub fn names(arena: &Arena) {
    let (built, _) = arena.built(&arena.job(&["names"]));
    let out = &built.outputs["out"];
    assert_eq!(tree(&out.host_path).len(), 1 + 254 + 1 + 1);
    let (hash, size) = hash_tree(&out.host_path, &mut []).unwrap();
    assert_eq!((hash, size), (out.nar_hash, out.nar_size));
}

pub fn modes(arena: &Arena) {
    let script = "mkdir -p $out/a/b a/b /tmp/a/b /dev/shm/a; echo x > $out/a/b/c; \
        dd if=/dev/zero of=/tmp/a/big bs=1M count=64 2>/dev/null; \
        dd if=/dev/zero of=/dev/shm/a/big bs=1M count=64 2>/dev/null; \
        chmod 000 $out/a/b/c $out/a/b $out/a /tmp/a/b /tmp/a a/b a; chmod 500 $out";
    arena.built(&arena.script(script));
    let reason = arena.failed(&arena.script(&format!("{script}; chmod 777 $out"))).reason;
    assert!(matches!(reason, FailureReason::BadOutput { .. }), "{reason}");
}
