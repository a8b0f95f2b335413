//! Outputs made to harm: each is refused, or disarmed before it is kept.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Build, is_root, mode, set_mode, write};
use nix_verify::build::outputs::finish;
use nix_verify::gather::nar::tree::hash_tree;

#[test]
fn only_files_directories_and_links_are_taken() {
    let build = Build::plain(&["out"]);
    fs::create_dir(build.out("out")).unwrap();
    let fifo = build.out("out").join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(build.refusal().contains("is a fifo"));

    let build = Build::plain(&["out"]);
    fs::create_dir(build.out("out")).unwrap();
    let short = tempfile::tempdir().unwrap();
    let _socket = UnixListener::bind(short.path().join("s")).unwrap();
    let moved = fs::rename(short.path().join("s"), build.out("out").join("socket"));
    if moved.is_ok() {
        assert!(build.refusal().contains("is a socket"));
    }

    let build = Build::plain(&["out"]);
    mknodat(CWD, build.out("out"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(build.refusal().contains("is a fifo"));

    if is_root() {
        let build = Build::plain(&["out"]);
        fs::create_dir(build.out("out")).unwrap();
        let null = build.out("out").join("null");
        let device = rustix::fs::makedev(1, 3);
        if mknodat(CWD, &null, FileType::CharacterDevice, Mode::RUSR, device).is_ok() {
            assert!(build.refusal().contains("is a character device"));
        }
    }
}

#[test]
fn others_must_not_have_been_able_to_write_an_output() {
    for bits in [0o775, 0o757, 0o777] {
        let build = Build::plain(&["out"]);
        fs::create_dir(build.out("out")).unwrap();
        set_mode(build.out("out"), bits);
        assert!(build.refusal().contains("suspicious ownership or permission"), "{bits:o}");
        let build = Build::plain(&["out"]);
        fs::write(build.out("out"), "").unwrap();
        set_mode(build.out("out"), bits);
        assert!(build.refusal().contains("suspicious ownership or permission"), "{bits:o}");
    }
}

#[test]
fn only_what_the_builder_made_is_taken() {
    let mut build = Build::plain(&["out"]);
    write(build.out("out").join("file"), "x");
    build.build_uid += 1;
    assert!(build.refusal().contains("suspicious ownership"));

    if is_root() {
        for name in ["foreign", "foreign/inside", "link"] {
            let build = Build::plain(&["out"]);
            let out = build.out("out");
            write(out.join("foreign/inside"), "x");
            symlink("x", out.join("link")).unwrap();
            std::os::unix::fs::lchown(out.join(name), Some(12345), None).unwrap();
            assert!(build.refusal().contains("invalid ownership (user 12345"), "{name}");
        }
    }
}

#[test]
fn a_build_user_that_is_not_us_is_taken_over() {
    if !is_root() {
        return;
    }
    let mut build = Build::plain(&["dev", "out"]);
    build.build_uid = 12345;
    let (dev, out) = (build.out("dev"), build.out("out"));
    write(out.join("one"), "x");
    fs::hard_link(out.join("one"), out.join("two")).unwrap();
    write(dev.join("own"), "x");
    fs::hard_link(out.join("one"), dev.join("three")).unwrap();
    symlink("x", out.join("link")).unwrap();
    for path in [&out, &out.join("one"), &dev, &dev.join("own")] {
        chown(path, Some(12345), Some(12345)).unwrap();
    }
    std::os::unix::fs::lchown(out.join("link"), Some(12345), Some(12345)).unwrap();
    let built = build.finish().unwrap();
    for path in [
        built["out"].host_path.join("one"),
        built["out"].host_path.join("link"),
        built["dev"].host_path.join("three"),
    ] {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (0, 0), "{}", path.display());
    }
}

#[test]
fn links_within_and_between_outputs_are_fine() {
    let build = Build::plain(&["dev", "out"]);
    write(build.out("out").join("one"), "x");
    fs::create_dir(build.out("dev")).unwrap();
    fs::hard_link(build.out("out").join("one"), build.out("out").join("two")).unwrap();
    fs::hard_link(build.out("out").join("one"), build.out("dev").join("three")).unwrap();
    let built = build.finish().unwrap();
    let inode =
        |output: &str, name: &str| fs::metadata(built[output].host_path.join(name)).unwrap().ino();
    assert_eq!(inode("out", "one"), inode("out", "two"));
    assert_eq!(inode("out", "one"), inode("dev", "three"));
}

#[test]
fn a_whole_output_that_is_a_file_of_another_is_refused() {
    let build = Build::plain(&["dev", "out"]);
    fs::write(build.out("out"), "x").unwrap();
    fs::hard_link(build.out("out"), build.out("dev")).unwrap();
    assert!(build.refusal().contains("suspicious ownership"));
}

#[test]
fn links_from_outside_lose_their_hold() {
    let build = Build::plain(&["out"]);
    let out = build.out("out");
    write(out.join("deep/one"), "honest");
    fs::hard_link(out.join("deep/one"), out.join("two")).unwrap();
    fs::hard_link(out.join("deep/one"), build.store().join("hold")).unwrap();
    let built = build.finish_out();
    set_mode(build.store().join("hold"), 0o600);
    fs::write(build.store().join("hold"), "forged").unwrap();
    for name in ["deep/one", "two"] {
        assert_eq!(fs::read(built.host_path.join(name)).unwrap(), b"honest");
        assert_eq!(mode(built.host_path.join(name)), 0o444);
        assert_eq!(fs::metadata(built.host_path.join(name)).unwrap().mtime(), 1);
    }
    assert_eq!(fs::metadata(built.host_path.join("deep")).unwrap().mtime(), 1);
    assert_eq!(mode(built.host_path.join("deep")), 0o555);
    let again = hash_tree(&built.host_path, &mut []).unwrap();
    assert_eq!(again, (built.nar_hash, built.nar_size));
}

/// CVE-2024-27297: a builder with network sends an open file to a process
/// outside, which writes to it after the hash was taken.
#[test]
fn open_files_lose_their_hold() {
    for leaky in [false, true] {
        let mut build = Build::plain(&["out"]);
        build.leaky = leaky;
        let out = build.out("out");
        write(out.join("bin/tool"), "honest");
        set_mode(out.join("bin/tool"), 0o755);
        symlink("bin/tool", out.join("link")).unwrap();
        let mut held = File::options().write(true).open(out.join("bin/tool")).unwrap();
        let built = build.finish_out();
        held.write_all(b"forged").unwrap();
        let kept = fs::read(built.host_path.join("bin/tool")).unwrap();
        // Without network there is no one to send it to, and no copy.
        assert_eq!(kept, if leaky { b"honest" } else { b"forged" });
        assert_eq!(mode(built.host_path.join("bin/tool")), 0o555);
        assert_eq!(mode(built.host_path.join("bin")), 0o555);
        assert_eq!(fs::symlink_metadata(built.host_path.join("link")).unwrap().mtime(), 1);
    }
}

/// CVE-2026-39860: nothing on the way may be a link that leads elsewhere.
#[test]
fn links_are_never_followed() {
    let victim = tempfile::tempdir().unwrap();
    write(victim.path().join("file"), "precious");
    set_mode(victim.path().join("file"), 0o640);
    for leaky in [false, true] {
        let mut build = Build::plain(&["dev", "out"]);
        build.leaky = leaky;
        fs::create_dir(build.out("out")).unwrap();
        symlink(victim.path(), build.out("out").join("directory")).unwrap();
        symlink(victim.path().join("file"), build.out("out").join("file")).unwrap();
        symlink(victim.path(), build.out("dev")).unwrap();
        build.finish().unwrap();
        assert_eq!(mode(victim.path().join("file")), 0o640);
        assert_eq!(fs::read(victim.path().join("file")).unwrap(), b"precious");
    }
}

#[test]
fn setuid_bits_are_gone_before_anything_else() {
    let build = Build::plain(&["out"]);
    let out = build.out("out");
    write(out.join("a"), "x");
    set_mode(out.join("a"), 0o6755);
    let built = build.finish_out();
    assert_eq!(mode(built.host_path.join("a")), 0o555);
}

#[test]
fn trees_may_be_as_deep_as_a_nar() {
    for (levels, fine) in [(63, true), (64, false), (200, false)] {
        let build = Build::plain(&["out"]);
        let mut deep = build.out("out");
        for _ in 1..levels {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        match build.finish() {
            Ok(_) => assert!(fine, "{levels}"),
            Err(error) => {
                assert!(!fine, "{levels}: {error}");
                assert!(error.to_string().contains("deeper than 64 levels"), "{error}");
            }
        }
    }
}

#[test]
fn names_are_escaped_in_messages() {
    let build = Build::plain(&["out"]);
    fs::create_dir(build.out("out")).unwrap();
    let fifo = build.out("out").join("\u{1b}]0;evil\n");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let why = build.refusal();
    assert!(!why.bytes().any(|byte| byte.is_ascii_control()), "{why:?}");
}

/// A builder that owns the directories around its store can put a link in
/// their place, to a store of the host that has the very output it should
/// have built.
#[test]
fn the_store_is_not_looked_for_by_its_path() {
    let host = tempfile::tempdir().unwrap();
    let build = Build::plain(&["out"]);
    let name = build.out("out").file_name().unwrap().to_owned();
    write(host.path().join(&name).join("file"), "precious");
    write(build.out("out").join("file"), "built");
    let store = File::open(build.store()).unwrap();
    fs::rename(build.store(), build.store().with_file_name("aside")).unwrap();
    symlink(host.path(), build.store()).unwrap();
    let built = build.with_store(&store, finish).unwrap().unwrap();
    assert_eq!(fs::read(built["out"].host_path.join("file")).unwrap(), b"built");
    assert_eq!(fs::read(host.path().join(&name).join("file")).unwrap(), b"precious");
}
