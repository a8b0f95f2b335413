//! Git's objects, attributes, URLs, packs and protocol, and keys and signatures: nothing that is
//! read makes a signature good.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nix_verify::check::lock::evidence::Signed;
use nix_verify::check::signers::{AllowedSigners, Keyring, Signers};
use nix_verify::nix::git::attributes::Attributes;
use nix_verify::nix::git::commit::{Commit, Signature, Tag};
use nix_verify::nix::git::pack::{PackLimits, examine};
use nix_verify::nix::git::pkt_line::PacketReader;
use nix_verify::nix::git::protocol::{Capabilities, RemoteReference};
use nix_verify::nix::git::{ObjectId, RepositoryName, tree, wildmatch};

fuzz_target!(|bytes: &[u8]| {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    if let Ok(commit) = Commit::parse(bytes)
        && let Some(signature) = &commit.signature
    {
        assert!(signature.payload.len() <= bytes.len());
    }
    let _ = Tag::parse(bytes);
    if let Ok(entries) = tree::parse(bytes) {
        assert!(entries.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
    let _ = wildmatch::matches(first, second);
    let mut attributes = Attributes::new();
    attributes.push(b"", first);
    attributes.push(b"sub", second);
    let _ = attributes.of(b"sub/file.c", false);
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(id) = ObjectId::parse(text) {
            assert_eq!(ObjectId::parse(&id.to_string()), Ok(id));
        }
        let _ = RepositoryName::of_url(text);
    }
    let limits = PackLimits { objects: 1000, object: 1 << 20, total: 4 << 20 };
    for pack in [bytes, &[b"PACK\0\0\0\x02\0\0\0\x02", bytes].concat()] {
        if let Ok(found) = examine(pack, &limits) {
            assert!(found.objects <= limits.objects && found.total <= limits.total);
        }
    }
    let mut packets = PacketReader::new(bytes);
    while let Ok(Some(_)) = packets.next_packet() {}
    if let Ok(text) = std::str::from_utf8(bytes) {
        Capabilities::default().take(text);
        if let Some(reference) = RemoteReference::parse(text) {
            assert!(reference.name.starts_with("refs/") && !reference.name.contains(".."));
        }
    }
    let signers = Signers {
        allowed: AllowedSigners::parse(first).unwrap_or_default(),
        keyring: Keyring::parse(first).unwrap_or_default(),
        now: 0,
    };
    for begin in ["-----BEGIN SSH SIGNATURE-----\n", "-----BEGIN PGP SIGNATURE-----\n"] {
        let armor = [begin.as_bytes(), second].concat();
        let signature = Signature { armor, payload: b"payload".to_vec() };
        assert!(!matches!(signers.verify(&signature, 0), Signed::By(_)));
    }
});
