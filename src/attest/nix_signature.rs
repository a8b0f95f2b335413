//! Plain Nix signatures over reproduced outputs, as a cache of narinfos.
//!
//! `nix store copy-sigs --substituter file://DIR` takes the signatures from
//! it, and `nix store verify --sigs-needed N` counts them. There are no NARs in
//! it: it says what they are and not where, and its priority is the last that
//! anybody asks. Follows `src/nix/sigs.cc` and `src/libstore/nar-info.cc`.

use super::rebuild::Reproduced;
use crate::nix::compression::Compression;
use crate::nix::narinfo::{NarInfo, NarInfoError, NarUrl};
use crate::nix::path_info::PathInfo;
use crate::nix::signature::SecretKey;
use crate::nix::store_path::StoreDir;

/// The name of the file that says whose paths a cache has.
pub const CACHE_INFO: &str = "nix-cache-info";

/// Asked after every other cache, if anybody takes it for one.
const PRIORITY: u32 = 1000;

/// Why a signature cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum SignatureFileError {
    /// What is there is no narinfo.
    #[error("what is there already is no narinfo: {0}")]
    NarInfo(#[from] NarInfoError),
    /// What is there is of another content.
    #[error("what is there already is about other content ({found}, reproduced was {reproduced})")]
    OtherContent {
        /// The NAR hash there.
        found: String,
        /// The NAR hash that was reproduced.
        reproduced: String,
    },
}

/// What [`CACHE_INFO`] holds.
#[must_use]
pub fn cache_info(store_dir: &StoreDir) -> String {
    format!("StoreDir: {store_dir}\nWantMassQuery: 0\nPriority: {PRIORITY}\n")
}

/// The name of the file with the signatures over a path.
#[must_use]
pub fn file_name(info: &PathInfo) -> String {
    format!("{}.narinfo", info.path.hash_part())
}

/// The file with the signatures of `keys` over an output, and with those that
/// `there`, the file as it is, has already.
///
/// # Errors
/// A file that is no narinfo, or that is about something else.
pub fn signed(
    one: &Reproduced<'_>,
    keys: &[SecretKey],
    there: Option<&[u8]>,
) -> Result<String, SignatureFileError> {
    let store_dir = &one.path.dir;
    let mut narinfo = match there {
        Some(bytes) => {
            let narinfo = NarInfo::parse(bytes, store_dir)?;
            narinfo.check_path(&one.info.path)?;
            if narinfo.path_info() != one.info {
                return Err(SignatureFileError::OtherContent {
                    found: narinfo.nar_hash.to_string(),
                    reproduced: one.info.nar_hash.to_string(),
                });
            }
            narinfo
        }
        None => NarInfo {
            store_path: one.info.path.clone(),
            url: NarUrl::new(format!("nar/{}.nar", one.info.nar_hash.hash().nix32())),
            compression: Compression::None,
            file_hash: None,
            file_size: None,
            nar_hash: one.info.nar_hash,
            nar_size: one.info.nar_size,
            references: one.info.references.iter().cloned().collect(),
            deriver: Some(one.deriver.path.clone()),
            system: None,
            signatures: Vec::new(),
            ca: None,
            unknown_fields: Vec::new(),
        },
    };
    for key in keys {
        let signature = one.info.sign(store_dir, key);
        if !narinfo.signatures.contains(&signature) {
            narinfo.signatures.push(signature);
        }
    }
    Ok(narinfo.to_text(store_dir))
}
