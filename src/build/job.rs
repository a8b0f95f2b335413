//! What an executor is asked to build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::nix::content_address::ContentAddress;
use crate::nix::derivation::{ByOutput, Derivation};
use crate::nix::hash::NarHash;
use crate::nix::store_path::{StoreDir, StorePath};

use super::limits::Limits;
use super::world::World;

/// One derivation to build, once. Building the same job twice is harmless;
/// `round` tells deliberate repetitions apart.
#[derive(Debug, Clone)]
pub struct BuildJob {
    /// The path of the `.drv`.
    pub drv_path: StorePath,
    /// The derivation, already resolved: its builder, arguments and
    /// environment name real paths, and every input is in `inputs`.
    pub derivation: Derivation,
    /// Every output, with its final path where that is known beforehand.
    pub outputs: ByOutput<Option<StorePath>>,
    /// The closure of the inputs: exactly what the sandbox's store holds.
    pub inputs: BTreeMap<StorePath, InputObject>,
    /// The world to build in.
    pub world: World,
    /// The setting `cores`.
    pub cores: u32,
    /// When to stop it.
    pub limits: Limits,
    /// What becomes `/bin/sh`; none leaves `/bin` away.
    pub shell: Option<PathBuf>,
    /// Whether a fixed output may be built with the network of the host.
    pub network: bool,
    /// Whether the build directory of a failed build stays.
    pub keep_failed: bool,
    /// Whether the builder gets less than its world has: see
    /// [`super::seccomp::hardened`]. Outputs may differ for it.
    pub hardened: bool,
    /// Which repetition this is, from 0. From 1 on the executor varies what it
    /// can that no output may depend on, and says what it was.
    pub round: u32,
    /// The store directory.
    pub store_dir: StoreDir,
}

/// A store object that a build may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputObject {
    /// Where it is on this machine.
    pub host_path: PathBuf,
    /// SHA-256 of its NAR.
    pub nar_hash: NarHash,
    /// Size of its NAR.
    pub nar_size: u64,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// Its content address, if it has one.
    pub ca: Option<ContentAddress>,
    /// The derivation it was built from, if known.
    pub deriver: Option<StorePath>,
}
