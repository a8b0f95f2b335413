//! narinfo: what a binary cache says about a store object.
//!
//! Follows `src/libstore/nar-info.cc` and is stricter where strictness costs no
//! genuine file: a doubled field, a control character, a missing blank behind
//! the colon or a number with a sign is an error. A parsed [`NarInfo`] is a
//! claim; a [`VerifiedNarInfo`] comes only from good signatures and shows
//! only what they cover.

mod parse;
mod report;
mod url;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::content_address::ContentAddress;
use super::hash::{FileHash, NarHash};
use super::path_info::PathInfo;
use super::signature::{SecretKey, Signature, TrustedKeys};
use super::store_path::{StoreDir, StorePath};

pub use super::compression::Compression;
pub use parse::{
    MAX_NARINFO_LEN, MAX_REFERENCES, MAX_SIGNATURES, MAX_UNKNOWN_FIELDS, MAX_VALUE_LEN,
    NarInfoError,
};
pub use report::{SignatureReport, VerifiedNarInfo};
pub use url::{MAX_URL_LEN, NarUrl, UrlError};

/// What legacy tools write where no deriver is known.
const UNKNOWN_DERIVER: &str = "unknown-deriver";

/// A narinfo as a cache claims it.
///
/// Signed, once a signature has been checked: `store_path`, `nar_hash`,
/// `nar_size` and the set of `references`. All else is a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The store object that is described.
    pub store_path: StorePath,
    /// Where its NAR lies. Not signed.
    pub url: NarUrl,
    /// How its NAR is packed. Not signed.
    pub compression: Compression,
    /// The hash of the packed NAR. Not signed.
    pub file_hash: Option<FileHash>,
    /// The length of the packed NAR. Not signed.
    pub file_size: Option<u64>,
    /// The hash of the NAR.
    pub nar_hash: NarHash,
    /// The length of the NAR.
    pub nar_size: u64,
    /// The references in the order of the file, each once.
    pub references: Vec<StorePath>,
    /// The derivation that made it. Not signed, and often another one with the
    /// same output path.
    pub deriver: Option<StorePath>,
    /// The platform, in old files. Not signed.
    pub system: Option<String>,
    /// The signatures in the order of the file.
    pub signatures: Vec<Signature>,
    /// The content address. Not signed, but it can be recomputed.
    pub ca: Option<ContentAddress>,
    /// Fields that Nix would ignore, as they are written.
    pub unknown_fields: Vec<(String, String)>,
}

impl NarInfo {
    /// Reads a narinfo.
    ///
    /// # Errors
    /// Says which line and field is wrong, and how.
    pub fn parse(bytes: &[u8], store_dir: &StoreDir) -> Result<Self, NarInfoError> {
        parse::parse(bytes, store_dir)
    }

    /// Checks that the file describes the path that was asked for. A cache that
    /// answers with another path, signed as it may be, answers nothing.
    ///
    /// # Errors
    /// It describes another path.
    pub fn check_path(&self, asked: &StorePath) -> Result<(), NarInfoError> {
        if self.store_path == *asked {
            Ok(())
        } else {
            Err(NarInfoError::OtherPath { found: self.store_path.clone(), asked: asked.clone() })
        }
    }

    /// The address of the NAR relative to the cache.
    ///
    /// # Errors
    /// As [`NarUrl::inside_cache`].
    pub fn check_url(&self) -> Result<&str, UrlError> {
        self.url.inside_cache()
    }

    /// The references as a set, as Nix keeps them.
    #[must_use]
    pub fn reference_set(&self) -> BTreeSet<StorePath> {
        self.references.iter().cloned().collect()
    }

    /// Whether the references stand in the order in which they are signed.
    #[must_use]
    pub fn has_sorted_references(&self) -> bool {
        self.references.is_sorted()
    }

    /// The facts a signature covers.
    #[must_use]
    pub fn path_info(&self) -> PathInfo {
        PathInfo {
            path: self.store_path.clone(),
            nar_hash: self.nar_hash,
            nar_size: self.nar_size,
            references: self.reference_set(),
        }
    }

    /// Whether the store path is what the content address and the references
    /// make it. See [`PathInfo::is_content_addressed_by`].
    #[must_use]
    pub fn is_content_addressed(&self, store_dir: &StoreDir) -> bool {
        self.ca.as_ref().is_some_and(|ca| self.path_info().is_content_addressed_by(ca, store_dir))
    }

    /// Judges the signatures: over the text that is rebuilt from the parsed
    /// fields, and for a bad one also over the references in the file's order.
    #[must_use]
    pub fn verify(&self, store_dir: &StoreDir, trusted: &TrustedKeys) -> SignatureReport {
        SignatureReport::new(self, store_dir, trusted)
    }

    /// Adds a signature by `key`.
    pub fn sign(&mut self, store_dir: &StoreDir, key: &SecretKey) {
        self.signatures.push(self.path_info().sign(store_dir, key));
    }

    /// The file as Nix writes it: fixed order, hashes in Nix32. Unknown fields
    /// come last.
    #[must_use]
    pub fn to_text(&self, store_dir: &StoreDir) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{name}: {value}");
        };
        line("StorePath", &store_dir.full(&self.store_path));
        line("URL", &self.url);
        line("Compression", &self.compression);
        if let Some(hash) = &self.file_hash {
            line("FileHash", hash);
        }
        if let Some(size) = &self.file_size {
            line("FileSize", size);
        }
        line("NarHash", &self.nar_hash);
        line("NarSize", &self.nar_size);
        let references: Vec<String> = self.references.iter().map(ToString::to_string).collect();
        line("References", &references.join(" "));
        if let Some(deriver) = &self.deriver {
            line("Deriver", deriver);
        }
        if let Some(system) = &self.system {
            line("System", system);
        }
        for signature in &self.signatures {
            line("Sig", signature);
        }
        if let Some(ca) = &self.ca {
            line("CA", ca);
        }
        for (name, value) in &self.unknown_fields {
            line(name, value);
        }
        text
    }
}
