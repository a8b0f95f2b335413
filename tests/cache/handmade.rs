//! A cache made by hand, so that it can be wrong in exactly one place.

use std::collections::BTreeSet;
use std::path::Path;

use nix_verify::nix::compression::Compression;
use nix_verify::nix::hash::{FileHash, Hash, HashAlgorithm, NarHash};
use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::nix::narinfo::{NarInfo, NarUrl};
use nix_verify::nix::path_info::PathInfo;
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};

/// A key of the tests.
pub fn key(name: &str) -> SecretKey {
    let seed = name.bytes().fold(7_u8, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte));
    SecretKey::from_seed(name.parse().unwrap(), &[seed; 32])
}

/// A store path by its name.
pub fn path(name: &str) -> StorePath {
    let hash = Hash::of(HashAlgorithm::Sha256, name.as_bytes());
    StorePath::new(hash.digest()[..20].try_into().unwrap(), name).unwrap()
}

/// The full path of the object of that name.
pub fn full(name: &str) -> String {
    StoreDir::default().full(&path(name))
}

/// The NAR of a plain file.
pub fn nar(content: &[u8]) -> Vec<u8> {
    let mut writer = NarWriter::new(Vec::new());
    writer.write(Event::File { executable: false, size: content.len() as u64 }).unwrap();
    if !content.is_empty() {
        writer.write(Event::Contents(content)).unwrap();
    }
    writer.finish().unwrap()
}

/// A narinfo of the NAR of a plain file, unsigned.
pub fn narinfo(name: &str, content: &[u8], references: &[&str]) -> NarInfo {
    let nar = nar(content);
    let hash = Hash::of(HashAlgorithm::Sha256, &nar);
    NarInfo {
        store_path: path(name),
        url: NarUrl::new(format!("nar/{}.nar", hash.nix32())),
        compression: Compression::None,
        file_hash: Some(FileHash(hash)),
        file_size: Some(nar.len() as u64),
        nar_hash: NarHash::from_sha256(&hash).unwrap(),
        nar_size: nar.len() as u64,
        references: references
            .iter()
            .map(|name| path(name))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        deriver: None,
        system: None,
        signatures: Vec::new(),
        ca: None,
        unknown_fields: Vec::new(),
    }
}

/// A cache in a directory.
pub struct Handmade {
    pub place: tempfile::TempDir,
}

impl Handmade {
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("nar")).unwrap();
        std::fs::write(place.path().join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
        Self { place }
    }

    pub fn directory(&self) -> &Path {
        self.place.path()
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.directory().display())
    }

    /// Puts in a file, signed by these keys.
    pub fn add(&self, name: &str, content: &[u8], references: &[&str], keys: &[&str]) -> &Self {
        let mut info = narinfo(name, content, references);
        for name in keys {
            info.sign(&StoreDir::default(), &key(name));
        }
        std::fs::write(self.directory().join(info.url.as_written()), nar(content)).unwrap();
        self.put(name, info.to_text(&StoreDir::default()))
    }

    /// Puts in a narinfo as it is.
    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let file = format!("{}.narinfo", path(name).hash_part());
        std::fs::write(self.directory().join(file), text).unwrap();
        self
    }

    /// The narinfo of an object.
    pub fn text(&self, name: &str) -> String {
        let file = format!("{}.narinfo", path(name).hash_part());
        std::fs::read_to_string(self.directory().join(file)).unwrap()
    }

    /// Changes text in a narinfo, which has to be there.
    pub fn change(&self, name: &str, from: &str, to: &str) -> &Self {
        let text = self.text(name);
        assert!(text.contains(from), "no {from:?} in {text}");
        self.put(name, text.replace(from, to))
    }

    /// Where the NAR of an object is.
    pub fn nar_file(&self, name: &str) -> std::path::PathBuf {
        let text = self.text(name);
        let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
        self.directory().join(url)
    }
}

/// The public half of a key, as options take it.
pub fn public(name: &str) -> String {
    key(name).public_key().to_string()
}

/// The signed facts of a handmade object, to be signed otherwise.
pub fn facts(info: &NarInfo) -> PathInfo {
    info.path_info()
}
