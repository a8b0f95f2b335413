//! Getting an object, proving it, and only then unpacking it.

use std::collections::BTreeSet;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use tempfile::SpooledTempFile;

use super::content::{ContentError, prove};
use super::locate::fetch_plan;
use super::{Object, Proof, Way};
use crate::build::InputObject;
use crate::check::Finding;
use crate::check::rebuild::facts::Origin;
use crate::check::rebuild::{Contents, Source, rules};
use crate::gather::cache::answers::Answers;
use crate::gather::derivations::graph::DerivationGraph;
use crate::gather::fetch::{self, FetchError};
use crate::gather::http::HttpClient;
use crate::gather::http::credentials::Netrc;
use crate::gather::nar::download::NarFetchError;
use crate::gather::nar::restore::{RestoreError, restore};
use crate::gather::nar::tree::{TreeError, hash_tree};
use crate::gather::store::local::LocalStore;
use crate::nix::content_address::ContentAddress;
use crate::nix::hash::NarHash;
use crate::nix::narinfo::NarInfo;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::{ObjectInfo, StateDir, StateError, StoredObject};

/// NARs up to this size wait for their proof in memory, larger ones in a file:
/// most are smaller, and a dozen are under way at once.
const MAX_IN_MEMORY: usize = 4 << 20;

/// Why an object could not be admitted by one way.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// What came is not what was claimed: a finding against its source.
    #[error("{}", .0.message)]
    Refused(Box<Finding>),
    /// The source gave nothing usable; nobody is to blame for lies.
    #[error("{0}")]
    Unavailable(String),
    /// The state directory failed us.
    #[error(transparent)]
    State(#[from] StateError),
    /// The disk failed us.
    #[error("cannot keep an object: {0}")]
    Restore(#[from] RestoreError),
    /// A tree of ours cannot be read back.
    #[error("cannot read an object: {0}")]
    Tree(#[from] TreeError),
    /// A temporary file failed us.
    #[error("cannot keep a download: {0}")]
    Spool(#[source] std::io::Error),
}

impl AdmitError {
    /// Whether *we* failed: then another way would not help.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Unavailable(_))
    }
}

/// Brings objects into the state directory.
pub struct Admission<'a> {
    /// Caches and their answers.
    pub answers: &'a Answers<'a>,
    /// The local store, if it was asked for.
    pub local: Option<&'a LocalStore>,
    /// Fetches fixed outputs.
    pub http: &'a HttpClient,
    /// Credentials for fetching them.
    pub netrc: &'a Netrc,
    /// The derivations of fixed outputs.
    pub graph: &'a DerivationGraph,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// Where objects are kept.
    pub state: &'a StateDir,
}

/// A NAR whose hash is known, not unpacked yet.
struct Waiting {
    nar: SpooledTempFile,
    nar_hash: NarHash,
    nar_size: u64,
}

impl Waiting {
    /// The NAR from its beginning.
    fn rewound(&mut self) -> Result<&mut SpooledTempFile, AdmitError> {
        self.nar.seek(SeekFrom::Start(0)).map_err(AdmitError::Spool)?;
        Ok(&mut self.nar)
    }
}

impl Admission<'_> {
    /// Brings `path` here by `way`; `None` for [`Way::Build`], which is an
    /// executor's work.
    ///
    /// # Errors
    /// Says whether the source lied, gave nothing, or we failed.
    pub fn admit(&self, path: &StorePath, way: &Way) -> Result<Option<Object>, AdmitError> {
        match way {
            Way::Local { contents, proof } => self.copy(path, contents, proof).map(Some),
            Way::Cache { cache, narinfo, proof } => {
                self.download(path, *cache, narinfo, proof).map(Some)
            }
            Way::Fetch { drv_path } => self.fetch(path, drv_path).map(Some),
            Way::Build { .. } => Ok(None),
        }
    }

    fn download(
        &self,
        path: &StorePath,
        cache: usize,
        narinfo: &NarInfo,
        proof: &Proof,
    ) -> Result<Object, AdmitError> {
        let name = self.answers.name(cache);
        let contents = Contents {
            nar_hash: narinfo.nar_hash,
            nar_size: narinfo.nar_size,
            references: narinfo.reference_set(),
        };
        if let Some(object) = self.at_hand(path, &contents, proof, &name)? {
            return Ok(object);
        }
        let url = self
            .answers
            .cache(cache)
            .ok_or_else(|| AdmitError::Unavailable("no such cache".to_owned()))?;
        let mut nar = self.spool();
        self.answers
            .client()
            .download_nar(url, narinfo, &mut nar)
            .map_err(|error| self.bad_download(path, &name, error))?;
        let waiting = Waiting { nar, nar_hash: contents.nar_hash, nar_size: contents.nar_size };
        self.keep(path, waiting, contents, proof, &name)
    }

    fn copy(
        &self,
        path: &StorePath,
        contents: &Contents,
        proof: &Proof,
    ) -> Result<Object, AdmitError> {
        let local = self
            .local
            .ok_or_else(|| AdmitError::Unavailable("no local store is read".to_owned()))?;
        let name = Source::LocalStore(local.root().display().to_string()).to_string();
        if let Some(object) = self.at_hand(path, contents, proof, &name)? {
            return Ok(object);
        }
        let waiting = self
            .read_tree(&local.host_path(path))
            .map_err(|error| AdmitError::Unavailable(format!("{name}: {error}")))?;
        if waiting.nar_hash != contents.nar_hash || waiting.nar_size != contents.nar_size {
            return Err(self.mismatch(path, &name, contents, waiting.nar_hash, waiting.nar_size));
        }
        self.keep(path, waiting, contents.clone(), proof, &name)
    }

    fn fetch(&self, path: &StorePath, drv_path: &StorePath) -> Result<Object, AdmitError> {
        let unavailable =
            |why: &str| AdmitError::Unavailable(format!("{}: {why}", self.store_dir.full(path)));
        let derivation =
            self.graph.get(drv_path).ok_or_else(|| unavailable("its derivation is not at hand"))?;
        let ca = derivation
            .outputs
            .values()
            .find_map(super::locate::fixed_content)
            .ok_or_else(|| unavailable("its derivation fixes no content"))?;
        if let Some(object) = self.fetched_before(path, &ca)? {
            return Ok(object);
        }
        let plan =
            fetch_plan(derivation, self.graph).map_err(|why| unavailable(&why.to_string()))?;
        let staged = self.state.objects().stage()?;
        let fetched = fetch::fetch(self.http, self.netrc, &plan, &staged.tree()).map_err(
            |error| match error {
                FetchError::Mismatch { url, found, expected } => AdmitError::Refused(Box::new(
                    Finding::new(
                        &rules::FIXED_OUTPUT_MISMATCH,
                        self.store_dir.full(path),
                        "what was fetched does not have the hash that the derivation fixes",
                    )
                    .with("url", url)
                    .with("expected hash", expected)
                    .with("fetched hash", found),
                )),
                FetchError::Io { source, .. } => AdmitError::Spool(source),
                FetchError::Restore(error) => AdmitError::Restore(error),
                FetchError::Tree(error) => AdmitError::Tree(error),
                error @ (FetchError::Impossible(_) | FetchError::Unreachable(_)) => {
                    unavailable(&error.to_string())
                }
            },
        )?;
        let contents = Contents {
            nar_hash: fetched.nar_hash,
            nar_size: fetched.nar_size,
            references: BTreeSet::new(),
        };
        let stored = staged.commit(info(path, &contents, Some(&ca), &fetched.url))?;
        Ok(self.object(stored, contents, &Proof::Fixed(ca), &fetched.url))
    }

    /// What an earlier run has fetched, or had from anybody, if its bytes have
    /// the content that is fixed.
    fn fetched_before(
        &self,
        path: &StorePath,
        ca: &ContentAddress,
    ) -> Result<Option<Object>, AdmitError> {
        let objects = self.state.objects();
        let proof = Proof::Fixed(*ca);
        for nar_hash in objects.hashes(path) {
            let rehash = |tree: &Path| Ok::<_, AdmitError>(hash_tree(tree, &mut [])?.0);
            let Some(stored) = objects.lookup(path, &nar_hash, rehash)? else { continue };
            let StoredObject { info, tree } = &stored;
            let contents =
                Contents { nar_hash, nar_size: info.nar_size, references: info.references.clone() };
            let from = info.origin.clone();
            let mut waiting = self.read_tree(tree)?;
            match self.prove(path, &mut waiting, &contents, &proof, &from) {
                Ok(()) if waiting.nar_size == contents.nar_size => {
                    return Ok(Some(self.object(stored, contents, &proof, &from)));
                }
                // Somebody's other object of that name: it blames nobody here.
                Ok(()) | Err(AdmitError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The object with these contents, if an earlier run left it and it can be
    /// proven anew.
    fn at_hand(
        &self,
        path: &StorePath,
        contents: &Contents,
        proof: &Proof,
        from: &str,
    ) -> Result<Option<Object>, AdmitError> {
        let rehash = |tree: &Path| Ok::<_, AdmitError>(hash_tree(tree, &mut [])?.0);
        let Some(stored) = self.state.objects().lookup(path, &contents.nar_hash, rehash)? else {
            return Ok(None);
        };
        if stored.info.nar_size != contents.nar_size {
            return Ok(None);
        }
        if !matches!(proof, Proof::Signed { .. }) {
            let mut waiting = self.read_tree(&stored.tree)?;
            self.prove(path, &mut waiting, contents, proof, from)?;
        }
        Ok(Some(self.object(stored, contents.clone(), proof, from)))
    }

    /// A tree as a NAR, hashed.
    fn read_tree(&self, tree: &Path) -> Result<Waiting, TreeError> {
        let mut nar = self.spool();
        let (nar_hash, nar_size) = hash_tree(tree, &mut [&mut nar])?;
        Ok(Waiting { nar, nar_hash, nar_size })
    }

    fn spool(&self) -> SpooledTempFile {
        tempfile::spooled_tempfile_in(MAX_IN_MEMORY, self.state.root().join("downloads"))
    }

    /// Proves what came, then unpacks it.
    fn keep(
        &self,
        path: &StorePath,
        mut waiting: Waiting,
        contents: Contents,
        proof: &Proof,
        from: &str,
    ) -> Result<Object, AdmitError> {
        self.prove(path, &mut waiting, &contents, proof, from)?;
        let staged = self.state.objects().stage()?;
        let (nar_hash, nar_size) = restore(waiting.rewound()?, &staged.tree())?;
        if nar_hash != contents.nar_hash || nar_size != contents.nar_size {
            return Err(AdmitError::Spool(std::io::Error::other(
                "the download changed while it waited",
            )));
        }
        let info = info(path, &contents, proof.content_address(), from);
        let stored = staged.commit(info)?;
        Ok(self.object(stored, contents, proof, from))
    }

    /// Signatures were checked over the hash that the bytes have; a content
    /// address is checked against the bytes themselves.
    fn prove(
        &self,
        path: &StorePath,
        waiting: &mut Waiting,
        contents: &Contents,
        proof: &Proof,
        from: &str,
    ) -> Result<(), AdmitError> {
        if matches!(proof, Proof::Signed { .. }) {
            return Ok(());
        }
        let Some(ca) = proof.content_address() else { return Ok(()) };
        prove(waiting.rewound()?, path, &contents.references, ca, self.store_dir).map_err(|error| {
            if let ContentError::Nar(error) = error {
                return AdmitError::Spool(std::io::Error::other(error));
            }
            let message =
                format!("the object from {from} is not what its content address says: {error}");
            AdmitError::Refused(Box::new(Finding::new(
                &rules::NAR_MISMATCH,
                self.store_dir.full(path),
                message,
            )))
        })
    }

    fn object(
        &self,
        stored: StoredObject,
        contents: Contents,
        proof: &Proof,
        from: &str,
    ) -> Object {
        let deriver = self.graph.producer(&stored.info.path).map(|(drv_path, _)| drv_path.clone());
        let origin: Origin = proof.origin(from.to_owned());
        let input = InputObject {
            host_path: stored.tree,
            nar_hash: contents.nar_hash,
            nar_size: contents.nar_size,
            references: contents.references,
            ca: proof.content_address().cloned(),
            deriver,
        };
        Object { input, origin }
    }

    /// The finding for bytes that are not the ones claimed.
    fn mismatch(
        &self,
        path: &StorePath,
        from: &str,
        claimed: &Contents,
        found_hash: NarHash,
        found_size: u64,
    ) -> AdmitError {
        let message = format!("{from} holds other bytes than it claims");
        AdmitError::Refused(Box::new(
            Finding::new(&rules::NAR_MISMATCH, self.store_dir.full(path), message)
                .with("claimed NarHash", claimed.nar_hash)
                .with("found NarHash", found_hash)
                .with("claimed NarSize", claimed.nar_size)
                .with("found NarSize", found_size),
        ))
    }

    /// A download that ended badly: a lie is a finding, a silence is not.
    fn bad_download(&self, path: &StorePath, from: &str, error: NarFetchError) -> AdmitError {
        match error {
            NarFetchError::Sink(error) => AdmitError::Spool(error),
            error if error.is_corrupt() => {
                let message = format!("{from} serves other bytes than its narinfo claims: {error}");
                AdmitError::Refused(Box::new(Finding::new(
                    &rules::NAR_MISMATCH,
                    self.store_dir.full(path),
                    message,
                )))
            }
            error => AdmitError::Unavailable(format!("{from}: {error}")),
        }
    }
}

/// What is recorded with an object.
fn info(
    path: &StorePath,
    contents: &Contents,
    ca: Option<&ContentAddress>,
    from: &str,
) -> ObjectInfo {
    ObjectInfo {
        path: path.clone(),
        nar_hash: contents.nar_hash,
        nar_size: contents.nar_size,
        references: contents.references.clone(),
        content_address: ca.map(ToString::to_string),
        origin: from.to_owned(),
    }
}
