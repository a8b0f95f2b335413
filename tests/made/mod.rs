//! What tests over the real binary put before it: derivations whose paths are
//! right, and claims about store objects that are plain files.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::Path;

use nix_verify::nix::derivation::placeholder::output_placeholder;
use nix_verify::nix::derivation::{Derivation, Output, OutputPathCheck, check_paths};
use nix_verify::nix::hash::{Hash, HashAlgorithm};
use nix_verify::nix::nar::{Event, NarWriter};
use nix_verify::nix::narinfo::NarInfo;
use nix_verify::nix::signature::SecretKey;
use nix_verify::nix::store_path::{StoreDir, StorePath};

/// The NAR of a plain file.
pub fn nar(content: &[u8]) -> Vec<u8> {
    let mut writer = NarWriter::new(Vec::new());
    let size = content.len().try_into().unwrap();
    writer.write(Event::File { executable: false, size }).unwrap();
    writer.write(Event::Contents(content)).unwrap();
    writer.finish().unwrap()
}

/// What a cache says of a store path.
#[derive(Clone, Copy, Default)]
pub struct Said<'a> {
    pub references: &'a [&'a StorePath],
    /// Further fields of the narinfo.
    pub fields: &'a [(&'a str, &'a str)],
    pub key: Option<&'a SecretKey>,
}

/// Has a cache that is a directory serve that NAR as `path`.
pub fn publish(cache: &Path, store_dir: &StoreDir, path: &StorePath, nar: &[u8], said: Said<'_>) {
    let url = format!("nar/{}.nar", path.hash_part());
    let references: Vec<String> = said.references.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "StorePath: {}\nURL: {url}\nCompression: none\nNarHash: {}\nNarSize: {}\nReferences: {}\n",
        store_dir.full(path),
        Hash::of(HashAlgorithm::Sha256, nar),
        nar.len(),
        references.join(" ")
    );
    for (field, value) in said.fields {
        text.push_str(&format!("{field}: {value}\n"));
    }
    let mut info = NarInfo::parse(text.as_bytes(), store_dir).unwrap();
    if let Some(key) = said.key {
        info.sign(store_dir, key);
    }
    std::fs::create_dir_all(cache.join("nar")).unwrap();
    let file = cache.join(format!("{}.narinfo", path.hash_part()));
    std::fs::write(file, info.to_text(store_dir)).unwrap();
    std::fs::write(cache.join(url), nar).unwrap();
}

/// Puts right what a derivation states of its outputs, and writes it into
/// `directory`. Gives its path, and those of its outputs that are known.
pub fn settle(
    derivation: &mut Derivation,
    name: &str,
    store_dir: &StoreDir,
    below: &BTreeMap<StorePath, Derivation>,
    directory: &Path,
) -> (StorePath, BTreeMap<String, StorePath>) {
    let drv_path = derivation.drv_path(name, store_dir).unwrap();
    let report = check_paths(derivation, &drv_path, store_dir, below).unwrap();
    let mut paths = BTreeMap::new();
    for (name, check) in &report.outputs {
        let right = match check {
            OutputPathCheck::Differs { expected, .. } => Some(expected),
            OutputPathCheck::VariableDiffers { path, .. } => Some(path),
            OutputPathCheck::NoPathYet => None,
            other => panic!("{other:?}"),
        };
        let variable = match (right, derivation.outputs.get_mut(name).unwrap()) {
            (Some(right), Output::InputAddressed { path } | Output::Fixed { path, .. }) => {
                *path = right.clone();
                paths.insert(name.clone(), right.clone());
                store_dir.full(right)
            }
            (None, Output::FloatingCa { .. }) => output_placeholder(name),
            _ => String::new(),
        };
        derivation.env.insert(name.as_bytes().to_vec(), variable.into_bytes());
    }
    let drv_path = derivation.drv_path(name, store_dir).unwrap();
    let file = directory.join(drv_path.to_string());
    std::fs::write(file, derivation.to_aterm(store_dir)).unwrap();
    (drv_path, paths)
}
