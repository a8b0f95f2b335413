//! Outputs whose path follows from their content, against what Nix 2.8.0
//! (`--option sandbox true`, `ca-derivations`) registered.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use super::{Build, DEP, mode, path, set_mode, write};
use nix_verify::build::FailureReason;
use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::Output;
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::store_path::StoreDir;

/// What the builder of `ca.drv` did: three outputs, all ways to mention a
/// path, hard links, a file named after the output.
fn floating() -> Build {
    let what = Output::FloatingCa { method: Method::Recursive, algorithm: HashAlgorithm::Sha256 };
    let outputs = ["out", "dev", "lib"].map(|name| (name, what.clone()));
    let build = Build::new("ca", outputs);
    let dep = format!("/nix/store/{DEP}");
    let [out, dev, lib] = ["out", "dev", "lib"].map(|name| build.path_of(name));
    let at = |output: &str, name: &str| build.out(output).join(name);
    write(at("lib", "share/a"), format!("lib of {dep}\n"));
    write(at("out", "bin/tool"), format!("I am {out} and use {lib}\n"));
    set_mode(at("out", "bin/tool"), 0o755);
    symlink(format!("{out}/bin/tool"), at("out", "tool")).unwrap();
    write(at("out", "twice"), format!("{out}{out}\n"));
    write(at("out", Path::new(&out).file_name().unwrap().to_str().unwrap()), "named\n");
    write(at("dev", "all"), format!("{out} {dev} {lib} {dep}\n"));
    fs::hard_link(at("dev", "all"), at("dev", "again")).unwrap();
    symlink(&lib, at("dev", "lib")).unwrap();
    build
}

#[test]
fn floating_outputs_get_the_paths_that_nix_gave_them() {
    let build = floating().world("nix-2.8");
    let built = build.finish().unwrap();
    let lib = "h8pi8b9sq1yivxzrq4g6y4s3ab3lgi36-ca-lib";
    let out = "45lapyaxy4yd2rrqxivfvipvrmzfz5av-ca";
    let dev = "xxn7rrywaixsrb9k9x28lkz3nm2z2n4x-ca-dev";
    for (name, wanted, hash, size, ca, references) in [
        (
            "lib",
            lib,
            "0008b76e4f169df7a645104fbce47461c30e51bd1837b18f775796ad3eaf9f31",
            504,
            "fixed:r:sha256:0cczmwzav5jpfy7v2dqqpm8hxhv1fkjbqkqh8nkgg78n9xpbf200",
            vec![DEP],
        ),
        (
            "out",
            out,
            "30deb289afc6da661b1e0f46490eec2897fd09b5a48da16120876e7bf18e030d",
            1336,
            "fixed:r:sha256:0jby67nsw7vgv6nzj9bmjg4r9164wvhvd0bir9bfdgcd5jiyhi3g",
            vec![lib, out],
        ),
        (
            "dev",
            dev,
            "a8c73eb36534f76cfd17d5c1cdba135c0e3f8f3659a8d43531bb23490767c586",
            1104,
            "fixed:r:sha256:1q40wr8di7pyj04iyzvd90dma3mj1wlw1yhcwmlki7pmv2jd78zp",
            vec![DEP, lib, out, dev],
        ),
    ] {
        let output = &built[name];
        assert_eq!(output.path.to_string(), wanted);
        assert_eq!(output.nar_hash.hash().base16(), hash);
        assert_eq!(output.nar_size, size);
        assert_eq!(output.ca.unwrap().to_string(), ca);
        assert_eq!(output.references, references.into_iter().map(path).collect());
        let kept = hash_tree(&output.host_path, &mut []).unwrap();
        assert_eq!(kept, (output.nar_hash, output.nar_size));
        assert_eq!(output.host_path.file_name().unwrap().to_str(), Some(wanted));
    }
    let out = &built["out"].host_path;
    assert_eq!(mode(out.join("bin/tool")), 0o555);
    for name in ["", "bin", "bin/tool", "tool", "twice"] {
        assert_eq!(fs::symlink_metadata(out.join(name)).unwrap().mtime(), 1, "{name}");
    }
}

#[test]
fn offsets_count_by_world() {
    let paths = |world: &str| {
        let built = floating().world(world).finish().unwrap();
        (built["lib"].path.clone(), built["out"].path.clone())
    };
    let with = paths("nix-2.8");
    assert_eq!(paths("nix-2.35"), with);
    let without = paths("nix-2.24");
    assert_eq!(paths("nix-2.18"), without);
    assert_eq!(without.0, with.0, "no self-reference, no difference");
    assert_ne!(without.1, with.1);
}

#[test]
fn a_floating_flat_output_may_not_refer_to_anything() {
    let flat = Output::FloatingCa { method: Method::Flat, algorithm: HashAlgorithm::Sha256 };
    let build = Build::new("flat", [("out", flat.clone())]);
    fs::write(build.out("out"), "hello\n").unwrap();
    let built = build.finish_out();
    let hash = Hash::of(HashAlgorithm::Sha256, b"hello\n");
    assert_eq!(built.ca.unwrap().to_string(), format!("fixed:{hash}"));

    let build = Build::new("flat", [("out", flat)]);
    fs::write(build.out("out"), DEP).unwrap();
    assert!(build.refusal().contains("no store path"));
}

const HELLO: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// Worked example A of the format notes: a flat fixed output.
#[test]
fn flat_fixed_outputs_are_hashed_as_files() {
    let hello = || {
        let path = "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt";
        Build::fixed("data.txt", path, Method::Flat, HELLO)
    };
    let build = hello();
    fs::write(build.out("out"), "hello\n").unwrap();
    let built = build.finish_out();
    assert_eq!(built.path.to_string(), "snvwng24c1v75d5hqy346rp3122n7yk4-data.txt");
    assert!(built.references.is_empty());

    let build = hello();
    fs::write(build.out("out"), "hullo\n").unwrap();
    match *build.finish().unwrap_err() {
        FailureReason::HashMismatch { expected, found, .. } => {
            assert_eq!(expected, Hash::parse(HELLO, None).unwrap());
            assert_eq!(found, Hash::of(HashAlgorithm::Sha256, b"hullo\n"));
        }
        other => panic!("{other}"),
    }

    let build = hello();
    fs::write(build.out("out"), "hello\n").unwrap();
    set_mode(build.out("out"), 0o744);
    assert!(build.refusal().contains("executable"));
    let build = hello();
    fs::create_dir(build.out("out")).unwrap();
    assert!(build.refusal().contains("directory"));
    let build = hello();
    symlink("hello", build.out("out")).unwrap();
    assert!(build.refusal().contains("symbolic link"));
}

/// Fixed outputs that contain their own path, as Nix 2.8.0 registered them.
#[test]
fn fixed_outputs_are_hashed_modulo_themselves() {
    for (name, base, method, hash, nar_hash) in [
        (
            "f256",
            "wjrm7n8dmgvdl6m892djxwab888p5hyl-f256",
            Method::Flat,
            "sha256-mUy2OXmNFqFzWaD31pVkbuX/ViDe6epxEu/kxhKnZ44=",
            "074902b2434c4b6e6d74100ab56d69c54aaf83c4389843cf02e5be0f92869912",
        ),
        (
            "r1",
            "n43b6yqkdi621yagcpzasfw2xrdyqgjs-r1",
            Method::Recursive,
            "sha1-VFilbIeTLRnsdkQ+c8bWWC7cahw=",
            "0d86da466d15b91ef1091c36a36ebd03d834d99d01b9006cbaca9d0ef5a3e0f6",
        ),
    ] {
        let build = || {
            let build = Build::fixed(name, base, method, hash);
            fs::write(build.out("out"), format!("/nix/store/{base}\n")).unwrap();
            build
        };
        let honest = build().world("nix-2.8");
        let built = honest.finish_out();
        assert_eq!(built.nar_hash.hash().base16(), nar_hash);
        assert_eq!(built.path.to_string(), base);
        assert_eq!(built.references, [path(base)].into());
        let why = build().world("nix-2.35").refusal();
        assert!(why.contains("must not refer to store paths"), "{why}");
        // Between them the hash was another one.
        let reason = build().world("nix-2.24").finish().unwrap_err();
        assert!(matches!(*reason, FailureReason::HashMismatch { .. }), "{reason}");
    }
}

/// Nix 2.8.0 builds these and registers them under another path than the
/// derivation's, so that its output is never there; 2.16 and later refuse.
#[test]
fn fixed_outputs_must_not_refer_to_inputs() {
    let build = |method, hash: &str, contents: &str| {
        let hash = Hash::parse(hash, None).unwrap();
        let ca = nix_verify::nix::content_address::ContentAddress::new(method, hash).unwrap();
        let path = ca.store_path(&StoreDir::default(), "fod", &Default::default()).unwrap();
        let build = Build::new("fod", [("out", Output::Fixed { path, method, hash })]);
        fs::write(build.out("out"), contents).unwrap();
        build
    };
    let recursive = "sha256-xfAuyZL8h7cUHdl9IYIlZRYf5bboafm+tM9Tr2Uhv+k=";
    let contents = format!("/nix/store/{DEP}\n");
    let flat = Hash::of(HashAlgorithm::Sha256, contents.as_bytes()).to_string();
    for world in ["nix-2.8", "nix-2.24", "nix-2.35"] {
        for (method, hash) in [(Method::Recursive, recursive), (Method::Flat, flat.as_str())] {
            let why = build(method, hash, &contents).world(world).refusal();
            assert!(why.contains(DEP), "{why}");
        }
    }
}
