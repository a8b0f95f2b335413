//! What every output goes through.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::{Build, DEP, is_root, mode, path, set_mode, write};
use nix_verify::build::FailureReason;

#[test]
fn modes_times_and_owners_become_those_of_a_store() {
    for world in ["nix-2.8", "nix-2.35"] {
        let build = Build::plain(&["out"]).world(world);
        let out = build.out("out");
        write(out.join("plain"), "x");
        write(out.join("wide-open"), "x");
        set_mode(out.join("wide-open"), 0o666);
        write(out.join("bin/tool"), "x");
        set_mode(out.join("bin/tool"), 0o4711);
        write(out.join("group-only"), "x");
        set_mode(out.join("group-only"), 0o654);
        set_mode(out.join("bin"), 0o3777);
        symlink("/nowhere", out.join("link")).unwrap();
        set_mode(&out, 0o755);

        let built = build.finish_out().host_path;
        for (name, wanted) in [
            ("", 0o555),
            ("plain", 0o444),
            ("wide-open", 0o444),
            ("bin", 0o555),
            ("bin/tool", 0o555),
            ("group-only", 0o444),
            ("link", 0o777),
        ] {
            let found = fs::symlink_metadata(built.join(name)).unwrap();
            assert_eq!(mode(built.join(name)), wanted, "{name}");
            assert_eq!((found.mtime(), found.mtime_nsec()), (1, 0), "{name}");
            assert_eq!(found.uid(), rustix::process::geteuid().as_raw(), "{name}");
        }
        assert_eq!(fs::read_link(built.join("link")).unwrap(), Path::new("/nowhere"));
    }
}

#[test]
fn directories_without_search_permission_depend_on_the_world() {
    if !is_root() {
        return; // Only a user with capabilities, as in a namespace, gets in.
    }
    for (world, wanted) in [("nix-2.8", 0o444), ("nix-2.24", 0o444), ("nix-2.31", 0o555)] {
        let build = Build::plain(&["out"]).world(world);
        write(build.out("out").join("closed/file"), "x");
        set_mode(build.out("out").join("closed"), 0o600);
        let built = build.finish_out();
        assert_eq!(mode(built.host_path.join("closed")), wanted, "{world}");
    }
}

#[test]
fn extended_attributes_are_removed() {
    let build = Build::plain(&["out"]);
    let out = build.out("out");
    write(out.join("file"), "x");
    let set = |path: &Path| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(path, "user.test", b"value", flags)
    };
    if set(&out).is_err() {
        return; // This file system has none.
    }
    set(&out.join("file")).unwrap();
    let built = build.finish_out().host_path;
    for path in [built.clone(), built.join("file")] {
        let mut list = [0_u8; 100];
        let length = rustix::fs::llistxattr(&path, &mut list).unwrap();
        let names = list[..length].split(|&byte| byte == 0);
        assert!(names.into_iter().all(|name| name != b"user.test"), "{}", path.display());
    }
}

#[test]
fn references_are_found_in_contents_names_and_targets() {
    let build = Build::plain(&["out", "dev", "lib"]);
    let dep = path(DEP).hash_part();
    write(build.out("out").join("file"), format!("xx{dep}xx"));
    let lib = build.path_of("lib");
    write(build.out("dev").join(Path::new(&lib).file_name().unwrap()), "");
    symlink(build.path_of("out"), build.out("dev").join("link")).unwrap();
    // A hash part that is split over two files does not count.
    write(build.out("lib").join("a"), &dep[..20]);
    write(build.out("lib").join("b"), &dep[20..]);
    write(build.out("lib").join("self"), &lib);

    let built = build.finish().unwrap();
    assert_eq!(built["out"].references, [path(DEP)].into());
    let wanted = [built["out"].path.clone(), built["lib"].path.clone()].into();
    assert_eq!(built["dev"].references, wanted);
    assert_eq!(built["lib"].references, [built["lib"].path.clone()].into());
}

#[test]
fn outputs_may_be_files_and_links() {
    let build = Build::plain(&["out", "link"]);
    fs::write(build.out("out"), "text").unwrap();
    symlink("/etc/passwd", build.out("link")).unwrap();
    let before = fs::metadata("/etc/passwd").unwrap();
    let built = build.finish().unwrap();
    assert_eq!(mode(&built["out"].host_path), 0o444);
    assert!(fs::symlink_metadata(&built["link"].host_path).unwrap().is_symlink());
    let after = fs::metadata("/etc/passwd").unwrap();
    assert_eq!((before.mode(), before.mtime()), (after.mode(), after.mtime()));
}

#[test]
fn what_is_no_output_is_left_behind() {
    let build = Build::plain(&["out"]);
    write(build.out("out").join("file"), "x");
    write(build.store().join("junk"), "x");
    build.finish_out();
    assert!(build.store().join("junk").exists());
}

#[test]
fn every_output_must_be_there() {
    let build = Build::plain(&["out", "dev"]);
    write(build.out("out").join("file"), "x");
    match *build.finish().unwrap_err() {
        FailureReason::MissingOutput { output, path } => {
            assert_eq!((output.as_str(), path), ("dev", build.path_of("dev")));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn circles_between_outputs_are_refused() {
    let build = Build::plain(&["out", "dev", "lib"]);
    write(build.out("out").join("file"), build.path_of("dev"));
    write(build.out("dev").join("file"), build.path_of("out"));
    write(build.out("lib").join("file"), build.path_of("lib"));
    match *build.finish().unwrap_err() {
        FailureReason::ReferenceCycle(circle) => assert_eq!(circle, ["dev", "out", "dev"]),
        other => panic!("{other}"),
    }
}
