//! Where an object can be had from, best way first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Lack, Proof, Way, WayKey};
use crate::check::cache::rules::CLAIMS_CONFLICT;
use crate::check::rebuild::{Contents, Source, Standing};
use crate::check::{Finding, Reason};
use crate::gather::cache::answers::{Answers, CacheAnswer};
use crate::gather::derivations::graph::DerivationGraph;
use crate::gather::fetch::plan::{FetchImpossible, FetchPlan, Mirrors};
use crate::gather::store::local::LocalStore;
use crate::nix::content_address::ContentAddress;
use crate::nix::derivation::{Derivation, Output};
use crate::nix::narinfo::NarInfo;
use crate::nix::path_info::PathInfo;
use crate::nix::signature::TrustedKeys;
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::Objects;

/// Everything that objects can come from.
pub struct Locator<'a> {
    /// What caches say.
    pub answers: &'a Answers<'a>,
    /// The local store, if it was asked for.
    pub local: Option<&'a LocalStore>,
    /// The derivations that could make an object.
    pub graph: &'a DerivationGraph,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// Whose signatures count.
    pub keys: &'a TrustedKeys,
    /// Whether fixed outputs may be fetched.
    pub offline: bool,
    /// Whether builders of fixed outputs may use the network.
    pub network_builders: bool,
    /// What earlier runs have fetched.
    pub kept: &'a Objects,
    /// Inputs that trusted sources disagree about.
    pub conflicts: Mutex<BTreeMap<StorePath, Finding>>,
}

impl Locator<'_> {
    /// The best way to come by `path` that `failed` does not rule out.
    ///
    /// # Errors
    /// Says what was tried, if there is no way.
    pub fn locate(&self, path: &StorePath, failed: impl Fn(WayKey) -> bool) -> Result<Way, Lack> {
        let mut tried = Vec::new();
        let fixed = self.fixed_content(path);
        if fixed.is_none()
            && let Some(conflict) = self.conflict(path)
        {
            tried.push(conflict.message.clone());
            let mut conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
            conflicts.insert(path.clone(), conflict);
            drop(conflicts);
            return self.make(path, &failed, tried);
        }
        if let Some(local) = self.local {
            if failed(WayKey::Local) {
                tried.push("what the local store holds could not be proven".to_owned());
            } else {
                match self.in_local_store(local, path, fixed.as_ref()) {
                    Ok(way) => return Ok(way),
                    Err(why) => tried.push(why),
                }
            }
        }
        for cache in 0..self.answers.len() {
            if failed(WayKey::Cache(cache)) {
                tried.push(format!("what {} serves could not be used", self.answers.name(cache)));
                continue;
            }
            match self.in_cache(cache, path, fixed.as_ref()) {
                Ok(way) => return Ok(way),
                Err(why) => tried.push(why),
            }
        }
        self.make(path, &failed, tried)
    }

    /// What trusted sources say about `path`, if they contradict each other.
    /// What proves itself by its content can come from anybody.
    fn conflict(&self, path: &StorePath) -> Option<Finding> {
        let mut claims: Vec<(String, Vec<String>, Contents)> = Vec::new();
        let known = self.local.and_then(|local| Some((local, local.query(path).ok()??)));
        if let Some((local, known)) = known {
            let signatures =
                known.info.check_signatures(self.store_dir, &known.signatures, self.keys);
            if signatures.is_trusted() {
                let source = Source::LocalStore(local.root().display().to_string());
                let keys = signatures.good().iter().map(ToString::to_string).collect();
                let PathInfo { nar_hash, nar_size, references, .. } = known.info;
                claims.push((
                    source.to_string(),
                    keys,
                    Contents { nar_hash, nar_size, references },
                ));
            }
        }
        for cache in 0..self.answers.len() {
            if let CacheAnswer::Known(answer) = &*self.answers.ask(cache, path)
                && let Standing::Trusted { keys } = &answer.claim.standing
                && let Some(contents) = &answer.claim.contents
            {
                claims.push((self.answers.name(cache), keys.clone(), contents.clone()));
            }
        }
        let (_, _, first) = claims.first()?;
        if claims.iter().all(|(_, _, contents)| contents == first) {
            return None;
        }
        let sources: Vec<&str> = claims.iter().map(|(source, ..)| source.as_str()).collect();
        let message = format!("{} claim different contents of it", sources.join(" and "));
        let subject = self.store_dir.full(path);
        let finding = Finding::new(&CLAIMS_CONFLICT, subject, message);
        Some(claims.iter().fold(finding, |finding, (source, keys, contents)| {
            let label = format!("claimed by {source}, signed by {}", keys.join(", "));
            finding.with(label, contents.nar_hash)
        }))
    }

    fn in_local_store(
        &self,
        local: &LocalStore,
        path: &StorePath,
        fixed: Option<&ContentAddress>,
    ) -> Result<Way, String> {
        let known = local
            .query(path)
            .map_err(|error| format!("the local store cannot be read: {error}"))?
            .ok_or("the local store does not have it")?;
        let signatures = known.info.check_signatures(self.store_dir, &known.signatures, self.keys);
        let own = known.ca.filter(|ca| known.info.is_content_addressed_by(ca, self.store_dir));
        let proof = if let Some(ca) = fixed {
            Proof::Fixed(*ca)
        } else if signatures.is_trusted() {
            let keys = signatures.good().iter().map(ToString::to_string).collect();
            Proof::Signed { keys, ca: own }
        } else if let Some(ca) = own {
            Proof::ContentAddressed(ca)
        } else {
            return Err(
                "the local store's copy is neither signed by a trusted key nor content-addressed"
                    .to_owned(),
            );
        };
        let contents = Contents {
            nar_hash: known.info.nar_hash,
            nar_size: known.info.nar_size,
            references: known.info.references,
        };
        Ok(Way::Local { contents, proof })
    }

    fn in_cache(
        &self,
        cache: usize,
        path: &StorePath,
        fixed: Option<&ContentAddress>,
    ) -> Result<Way, String> {
        let name = self.answers.name(cache);
        match &*self.answers.ask(cache, path) {
            CacheAnswer::Absent => Err(format!("{name} does not have it")),
            CacheAnswer::Unreachable(why) => Err(format!("{name} does not answer: {why}")),
            CacheAnswer::Bad(finding) => Err(finding.message.clone()),
            CacheAnswer::Known(answer) => {
                let proof = self.proof(&answer.claim.standing, &answer.narinfo, fixed).ok_or_else(
                    || {
                        format!(
                            "what {name} has is not signed by a trusted key ({})",
                            answer.claim.standing.name()
                        )
                    },
                )?;
                Ok(Way::Cache { cache, narinfo: Box::new(answer.narinfo.clone()), proof })
            }
        }
    }

    /// What can prove an object that a cache serves. Fixed content is proven by
    /// its hash even where it is signed; a forged claim proves nothing.
    fn proof(
        &self,
        standing: &Standing,
        narinfo: &NarInfo,
        fixed: Option<&ContentAddress>,
    ) -> Option<Proof> {
        let own = narinfo.ca.filter(|_| narinfo.is_content_addressed(self.store_dir));
        match (standing, fixed) {
            (Standing::Forged { .. }, _) => None,
            (_, Some(ca)) => Some(Proof::Fixed(*ca)),
            (Standing::Trusted { keys }, None) => {
                Some(Proof::Signed { keys: keys.clone(), ca: own })
            }
            (Standing::UnsortedReferences { .. } | Standing::Untrusted { .. }, None) => {
                own.map(Proof::ContentAddressed)
            }
        }
    }

    /// What a derivation of the graph fixes the content of `path` to be.
    fn fixed_content(&self, path: &StorePath) -> Option<ContentAddress> {
        let (drv_path, output) = self.graph.producer(path)?;
        fixed_content(self.graph.get(drv_path)?.outputs.get(output)?)
    }

    /// Making it, when nobody has it.
    fn make(
        &self,
        path: &StorePath,
        failed: &impl Fn(WayKey) -> bool,
        mut tried: Vec<String>,
    ) -> Result<Way, Lack> {
        let lack = |reason, tried: Vec<String>| {
            Err(Lack {
                reason,
                detail: format!("{}: {}", self.store_dir.full(path), tried.join("; ")),
            })
        };
        let Some((drv_path, _)) = self.graph.producer(path) else {
            tried.push("no derivation at hand makes it".to_owned());
            return lack(Reason::InputMissing, tried);
        };
        let Some((derivation, _)) = self.graph.usable(drv_path) else {
            let unusable = super::plan::unusable(drv_path, self.graph);
            tried.push(unusable.detail);
            return lack(unusable.reason, tried);
        };
        let drv_path = drv_path.clone();
        if !derivation.is_fixed() {
            return Ok(Way::Build { drv_path });
        }
        if !failed(WayKey::Fetch) && !self.kept.hashes(path).is_empty() {
            return Ok(Way::Fetch { drv_path });
        }
        match fetch_plan(derivation, self.graph) {
            _ if self.offline => {
                tried.push("--offline forbids fetching it".to_owned());
                return lack(Reason::Offline, tried);
            }
            Ok(_) if failed(WayKey::Fetch) => tried.push("fetching it failed".to_owned()),
            Ok(_) => return Ok(Way::Fetch { drv_path }),
            Err(why) => tried.push(why.to_string()),
        }
        if self.network_builders && !is_fetchurl(&derivation.builder) {
            return Ok(Way::Build { drv_path });
        }
        lack(Reason::FetchImpossible, tried)
    }
}

/// Whether a builder is `builtin:fetchurl`, whose work this program does itself
/// and never in a sandbox.
#[must_use]
pub fn is_fetchurl(builder: &[u8]) -> bool {
    builder == b"builtin:fetchurl"
}

/// The content address of a fixed output.
#[must_use]
pub fn fixed_content(output: &Output) -> Option<ContentAddress> {
    match output {
        Output::Fixed { method, hash, .. } => ContentAddress::new(*method, *hash).ok(),
        _ => None,
    }
}

/// How a fixed output can be fetched without running anything. The list of
/// mirrors that nixpkgs' `fetchurl` uses is read from its derivation.
///
/// # Errors
/// Why plain fetching cannot make it.
pub fn fetch_plan(
    derivation: &Derivation,
    graph: &DerivationGraph,
) -> Result<FetchPlan, FetchImpossible> {
    let mirrors = Mirrors::input_of(derivation).and_then(|list| graph.get(list)).map(Mirrors::of);
    FetchPlan::of(derivation, mirrors.as_ref())
}
