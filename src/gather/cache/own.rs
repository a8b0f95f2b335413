//! A signed cache of our own making, on disk.
//!
//! It is read like any other cache, through the same client. Its key is made
//! with it and never leaves this process.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use crate::gather::cache::answers::AskedCache;
use crate::gather::cache::url::CacheUrl;
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::narinfo::NarInfo;
use crate::nix::signature::{SecretKey, TrustedKeys};
use crate::nix::store_path::{StoreDir, StorePath};

/// The name of the key.
const KEY_NAME: &str = "verify-own-cache-1";

/// Why such a cache cannot be made or filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnCacheError {
    /// A file or directory.
    #[error("cannot {action} '{}'", .path.display())]
    Path {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A path or key that this code itself got wrong.
    #[error("cannot make a cache: {0}")]
    Format(String),
}

fn format(error: &dyn std::fmt::Display) -> OwnCacheError {
    OwnCacheError::Format(error.to_string())
}

/// The cache.
#[derive(Debug)]
pub struct OwnCache {
    directory: PathBuf,
    store_dir: StoreDir,
    key: SecretKey,
    keys: TrustedKeys,
    asked: [AskedCache; 1],
}

impl OwnCache {
    /// Makes an empty one at `directory`, which must not exist.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn make(directory: PathBuf, store_dir: &StoreDir) -> Result<Self, OwnCacheError> {
        let failed = |action, path: &PathBuf| {
            let path = path.clone();
            move |source| OwnCacheError::Path { action, path, source }
        };
        let random = PathBuf::from("/dev/urandom");
        let mut seed = [0; 32];
        File::open(&random)
            .and_then(|mut file| file.read_exact(&mut seed))
            .map_err(failed("read", &random))?;
        for path in [directory.clone(), directory.join("nar")] {
            DirBuilder::new().mode(0o700).create(&path).map_err(failed("make", &path))?;
        }
        let info = directory.join("nix-cache-info");
        std::fs::write(&info, format!("StoreDir: {}\n", store_dir.as_str()))
            .map_err(failed("write", &info))?;
        let name = KEY_NAME.parse().map_err(|error| format(&error))?;
        let key = SecretKey::from_seed(name, &seed);
        let mut keys = TrustedKeys::new();
        keys.insert(key.public_key()).map_err(|error| format(&error))?;
        let url = directory.to_str().ok_or_else(|| format(&"its directory has no UTF-8 name"))?;
        let url = CacheUrl::parse(url).map_err(|error| format(&error))?;
        let asked = [AskedCache { url, named: true }];
        Ok(Self { directory, store_dir: store_dir.clone(), key, keys, asked })
    }

    /// Claims, signed, that `path` is what `nar` holds.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn publish(
        &self,
        path: &StorePath,
        nar: &[u8],
        references: &BTreeSet<StorePath>,
    ) -> Result<(), OwnCacheError> {
        let url = format!("nar/{}.nar", path.hash_part());
        let references: Vec<String> = references.iter().map(ToString::to_string).collect();
        let text = format!(
            "StorePath: {}\nURL: {url}\nCompression: none\nNarHash: {}\nNarSize: {}\nReferences: {}\n",
            self.store_dir.full(path),
            Hash::of(HashAlgorithm::Sha256, nar),
            nar.len(),
            references.join(" ")
        );
        let mut info =
            NarInfo::parse(text.as_bytes(), &self.store_dir).map_err(|error| format(&error))?;
        info.sign(&self.store_dir, &self.key);
        let write = |name: String, bytes: &[u8]| {
            let path = self.directory.join(name);
            std::fs::write(&path, bytes).map_err(|source| OwnCacheError::Path {
                action: "write",
                path,
                source,
            })
        };
        write(url, nar)?;
        write(format!("{}.narinfo", path.hash_part()), info.to_text(&self.store_dir).as_bytes())
    }

    /// The key, as others have to trust it.
    #[must_use]
    pub const fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// The cache as questions are put to it.
    #[must_use]
    pub const fn asked(&self) -> &[AskedCache; 1] {
        &self.asked
    }
}
