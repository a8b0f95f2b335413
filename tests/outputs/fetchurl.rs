//! `builtin:fetchurl`, run by this process.

use std::collections::BTreeMap;

use super::gather_support::{Server, options, respond};
use super::{Build, mode};
use nix_verify::build::builtin::fetchurl::build;
use nix_verify::build::{BuiltOutput, FailureReason};
use nix_verify::gather::credentials::Netrc;
use nix_verify::gather::http::{HttpClient, HttpOptions};
use nix_verify::gather::tree::hash_tree;
use nix_verify::nix::content_address::{ContentAddress, Method};
use nix_verify::nix::derivation::Output;
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::store_path::StoreDir;

const TEXT: &[u8] = b"hello\n";

fn nar() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    super::write(tree.join("bin/tool"), "tool");
    super::set_mode(tree.join("bin/tool"), 0o755);
    let mut nar = Vec::new();
    hash_tree(&tree, &mut [&mut nar]).unwrap();
    nar
}

fn file_nar(executable: bool) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f");
    std::fs::write(&file, TEXT).unwrap();
    super::set_mode(&file, if executable { 0o755 } else { 0o644 });
    let mut nar = Vec::new();
    hash_tree(&file, &mut [&mut nar]).unwrap();
    nar
}

fn fetch(
    path: &str,
    method: Method,
    content: &[u8],
    env: &[(&str, &str)],
) -> Result<BuiltOutput, Box<FailureReason>> {
    let server = Server::start(|seen, stream| match seen.target.as_str() {
        "/text" => respond(stream, 200, &[], TEXT),
        "/nar" => respond(stream, 200, &[], &nar()),
        "/nar.xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            std::io::Write::write_all(&mut encoder, &nar()).unwrap();
            respond(stream, 200, &[], &encoder.finish().unwrap())
        }
        _ => respond(stream, 404, &[], b""),
    });
    let hash = Hash::of(HashAlgorithm::Sha256, content);
    let ca = ContentAddress::new(method, hash).unwrap();
    let out = ca.store_path(&StoreDir::default(), "fetched", &Default::default()).unwrap();
    let mut fetched = Build::new("fetched", [("out", Output::Fixed { path: out, method, hash })]);
    fetched.derivation.builder = b"builtin:fetchurl".to_vec();
    // No user of that number made it.
    fetched.build_uid += 1;
    fetched = fetched.env("url", server.url(path).as_str());
    for (name, value) in env {
        fetched = fetched.env(name, value);
    }
    let named_origins = [server.url("/").origin().ascii_serialization()].into();
    let http = HttpClient::new(HttpOptions { named_origins, ..options() });
    let built = fetched.with_request(|request| build(&http, &Netrc::default(), request)).unwrap();
    let mut built: BTreeMap<_, _> = built.map_err(Box::new)?;
    let out = built.remove("out").unwrap();
    let kept = hash_tree(&out.host_path, &mut []).unwrap();
    assert_eq!(kept, (out.nar_hash, out.nar_size));
    if env.iter().any(|(name, _)| *name == "executable") {
        assert_eq!(mode(&out.host_path), 0o555);
    }
    Ok(out)
}

#[test]
fn files_trees_and_executables_are_fetched() {
    let unpack = ("unpack", "1");
    for (path, method, content, env) in [
        ("/text", Method::Flat, TEXT.to_vec(), vec![]),
        ("/text", Method::Recursive, file_nar(false), vec![]),
        ("/text", Method::Recursive, file_nar(true), vec![("executable", "1")]),
        ("/nar", Method::Recursive, nar(), vec![unpack]),
        ("/nar.xz", Method::Recursive, nar(), vec![unpack]),
    ] {
        let built = fetch(path, method, &content, &env).unwrap();
        assert_eq!(*built.ca.unwrap().hash(), Hash::of(HashAlgorithm::Sha256, &content));
    }
}

#[test]
fn what_is_served_must_have_the_hash() {
    let reason = fetch("/text", Method::Flat, b"hullo\n", &[]).unwrap_err();
    assert!(matches!(*reason, FailureReason::HashMismatch { .. }), "{reason}");
    let reason = fetch("/gone", Method::Flat, TEXT, &[]).unwrap_err();
    assert!(matches!(*reason, FailureReason::Unsupported(_)), "{reason}");
}
