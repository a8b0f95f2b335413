//! Derivations out of binary caches, where somebody has copied them there.
//!
//! A `.drv` is a store object whose path follows from its bytes, so it needs
//! no signature: what is served is parsed, and has to make the path that was
//! asked for ([`crate::gather::derivations::files`] sees to that). It is small, so it is read
//! into memory and never kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::gather::cache::answers::AskedCache;
use crate::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer};
use crate::gather::nar::download::why;
use crate::nix::derivation::aterm::MAX_DRV_LEN;
use crate::nix::nar::{Event, NarReader};
use crate::nix::narinfo::NarInfo;
use crate::nix::store_path::{StoreDir, StorePath};

/// What a NAR of one file has besides its content.
const NAR_FRAME: u64 = 4096;

/// Caches that may have derivations.
pub struct DrvCache<'a> {
    client: &'a CacheClient,
    caches: &'a [AskedCache],
    store_dir: &'a StoreDir,
    /// Caches that did not answer, each with the reason; not asked again.
    silent: Mutex<BTreeMap<usize, String>>,
}

impl std::fmt::Debug for DrvCache<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrvCache").field("caches", &self.caches).finish_non_exhaustive()
    }
}

/// A derivation as a cache serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The cache.
    pub cache: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl<'a> DrvCache<'a> {
    /// Looks into `caches`, in that order.
    #[must_use]
    pub fn new(client: &'a CacheClient, caches: &'a [AskedCache], store_dir: &'a StoreDir) -> Self {
        Self { client, caches, store_dir, silent: Mutex::default() }
    }

    /// The derivation's bytes, from the first cache that serves any that
    /// `is_right` takes. Otherwise says of each cache why not.
    ///
    /// # Errors
    /// What came of each cache, in words.
    pub fn load<T>(
        &self,
        path: &StorePath,
        is_right: impl Fn(&Served) -> Result<T, String>,
    ) -> Result<T, Vec<String>> {
        let mut tried = Vec::new();
        for (place, asked) in self.caches.iter().enumerate() {
            let cache = asked.url.to_string();
            let found = self
                .ask(place, &asked.url, path)
                .and_then(|bytes| is_right(&Served { cache: cache.clone(), bytes }));
            match found {
                Ok(found) => return Ok(found),
                Err(why) => tried.push(format!("{cache} ({why})")),
            }
        }
        Err(tried)
    }

    fn ask(&self, place: usize, cache: &CacheUrl, path: &StorePath) -> Result<Vec<u8>, String> {
        let silent = || self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = silent().get(&place) {
            return Err(why.clone());
        }
        let text = match self.client.narinfo(cache, path) {
            NarInfoAnswer::Present(text) => text,
            NarInfoAnswer::Absent => return Err("does not have it".to_owned()),
            NarInfoAnswer::Unreachable(why) => {
                let why = format!("does not answer: {why}");
                silent().entry(place).or_insert_with(|| why.clone());
                return Err(why);
            }
        };
        let narinfo = NarInfo::parse(&text, self.store_dir)
            .map_err(|error| format!("serves a malformed narinfo: {error}"))?;
        if narinfo.store_path != *path {
            return Err("answers with the narinfo of another store path".to_owned());
        }
        let most = u64::try_from(MAX_DRV_LEN).unwrap_or(u64::MAX).saturating_add(NAR_FRAME);
        if narinfo.nar_size > most {
            return Err(format!("has one of {} bytes, more than any", narinfo.nar_size));
        }
        self.content(cache, &narinfo)
    }

    /// The content of the one file that the NAR has to be.
    fn content(&self, cache: &CacheUrl, narinfo: &NarInfo) -> Result<Vec<u8>, String> {
        let source = self.client.nar(cache, narinfo).map_err(|error| error.to_string())?;
        let mut nar = NarReader::new(source);
        let mut content = Vec::new();
        let mut is_file = false;
        loop {
            match nar.next_event().map_err(|error| why(error).to_string())? {
                Some(Event::File { executable: false, .. }) => is_file = true,
                Some(Event::Contents(bytes)) => content.extend_from_slice(bytes),
                Some(_) => return Err("serves something that is no plain file".to_owned()),
                None if is_file => return Ok(content),
                None => return Err("serves something that is no plain file".to_owned()),
            }
        }
    }
}
