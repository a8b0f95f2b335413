//! What becomes of a builder's outputs: honest ones compared with what Nix
//! 2.8.0 registered for the same trees, hostile ones refused or disarmed.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod checks;
mod content_addressed;
mod honest;
mod hostile;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix_verify::build::content_addressed::scratch_paths;
use nix_verify::build::outputs::{FinishRequest, finish};
use nix_verify::build::{
    BuildError, BuildJob, BuiltOutput, FailureReason, InputObject, Limits, World,
};
use nix_verify::gather::nar::tree::hash_tree;
use nix_verify::nix::content_address::Method;
use nix_verify::nix::derivation::options::Options;
use nix_verify::nix::derivation::{Derivation, Output, name_of};
use nix_verify::nix::hash::{Hash, HashAlgorithm, NarHash};
use nix_verify::nix::store_path::{StoreDir, StorePath};

/// An input that every build here has.
pub(crate) const DEP: &str = "c61i4gz5k01hfwfm979s0m23hxb0c733-dep";

pub(crate) fn path(base: &str) -> StorePath {
    base.parse().unwrap()
}

/// A build whose builder is about to have run.
pub(crate) struct Build {
    temp: tempfile::TempDir,
    pub(crate) drv_path: StorePath,
    pub(crate) derivation: Derivation,
    pub(crate) inputs: BTreeMap<StorePath, InputObject>,
    pub(crate) world: World,
    pub(crate) leaky: bool,
    pub(crate) build_uid: u32,
}

impl Build {
    /// A derivation called `name` with these outputs.
    pub(crate) fn new(
        name: &str,
        outputs: impl IntoIterator<Item = (&'static str, Output)>,
    ) -> Self {
        let derivation = Derivation {
            outputs: outputs.into_iter().map(|(name, what)| (name.to_owned(), what)).collect(),
            input_drvs: BTreeMap::new(),
            input_srcs: [path(DEP)].into(),
            platform: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            args: Vec::new(),
            env: BTreeMap::new(),
        };
        Self::of(path(&format!("kkbw1a16iwbdq66gd6hmdcr80jrb5rbw-{name}.drv")), derivation)
    }

    pub(crate) fn of(drv_path: StorePath, derivation: Derivation) -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("store")).unwrap();
        fs::create_dir(temp.path().join("dest")).unwrap();
        let dep = InputObject {
            host_path: "/nonexistent".into(),
            nar_hash: NarHash::from_digest([1; 32]),
            nar_size: 1000,
            references: [path(DEP)].into(),
            ca: None,
            deriver: None,
        };
        Self {
            temp,
            drv_path,
            derivation,
            inputs: [(path(DEP), dep)].into(),
            world: World::newest(),
            leaky: false,
            build_uid: rustix::process::geteuid().as_raw(),
        }
    }

    /// Input-addressed outputs with made-up paths.
    pub(crate) fn plain(outputs: &[&'static str]) -> Self {
        let output = |name: &&'static str| {
            let hash = Hash::of(HashAlgorithm::Sha256, name.as_bytes());
            let path = StorePath::make(&StoreDir::default(), "output", &hash, name).unwrap();
            (*name, Output::InputAddressed { path })
        };
        Self::new("plain", outputs.iter().map(output))
    }

    /// One fixed output.
    pub(crate) fn fixed(name: &str, path: &str, method: Method, hash: &str) -> Self {
        let hash = Hash::parse(hash, None).unwrap();
        Self::new(name, [("out", Output::Fixed { path: crate::path(path), method, hash })])
    }

    pub(crate) fn world(mut self, name: &str) -> Self {
        self.world = World::by_name(name).unwrap();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.derivation.env.insert(name.into(), value.into());
        self
    }

    fn name(&self) -> &str {
        name_of(&self.drv_path).unwrap()
    }

    fn scratch(&self) -> BTreeMap<String, StorePath> {
        let store_dir = StoreDir::default();
        scratch_paths(&store_dir, &self.drv_path, self.name(), &self.derivation).unwrap()
    }

    /// Where the builder makes an output.
    pub(crate) fn out(&self, output: &str) -> PathBuf {
        self.store().join(self.scratch()[output].to_string())
    }

    /// What the builder calls that place.
    pub(crate) fn path_of(&self, output: &str) -> String {
        StoreDir::default().full(&self.scratch()[output])
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.temp.path().join("store")
    }

    pub(crate) fn finish(&self) -> Result<BTreeMap<String, BuiltOutput>, Box<FailureReason>> {
        self.try_finish().unwrap().map_err(Box::new)
    }

    pub(crate) fn try_finish(
        &self,
    ) -> Result<Result<BTreeMap<String, BuiltOutput>, FailureReason>, BuildError> {
        self.with_request(finish)
    }

    /// Calls `work` with what is asked of this build.
    pub(crate) fn with_request<T>(&self, work: impl FnOnce(&FinishRequest<'_>) -> T) -> T {
        self.with_store(&fs::File::open(self.store()).unwrap(), work)
    }

    /// The same, with the store opened some time ago.
    pub(crate) fn with_store<T>(
        &self,
        store: &fs::File,
        work: impl FnOnce(&FinishRequest<'_>) -> T,
    ) -> T {
        let store_dir = StoreDir::default();
        let options = Options::of(&self.derivation, &store_dir).unwrap();
        let outputs = self.derivation.outputs.iter();
        let job = BuildJob {
            drv_path: self.drv_path.clone(),
            derivation: self.derivation.clone(),
            outputs: outputs.map(|(name, what)| (name.clone(), what.path().cloned())).collect(),
            inputs: self.inputs.clone(),
            world: self.world,
            cores: 1,
            limits: Limits::default(),
            shell: None,
            network: false,
            keep_failed: false,
            hardened: false,
            round: 0,
            store_dir,
        };
        work(&FinishRequest {
            job: &job,
            options: &options,
            name: self.name(),
            scratch: &self.scratch(),
            store: store.as_fd(),
            dest_dir: &self.temp.path().join("dest"),
            build_uid: self.build_uid,
            leaky: self.leaky,
            deadline: None,
        })
    }

    /// The one output of a build that succeeds.
    pub(crate) fn finish_out(&self) -> BuiltOutput {
        let output = self.finish().unwrap().remove("out").unwrap();
        assert_eq!(
            hash_tree(&output.host_path, &mut []).unwrap(),
            (output.nar_hash, output.nar_size),
            "what is reported is what is kept"
        );
        output
    }

    /// Why the one output of a build is refused.
    pub(crate) fn refusal(&self) -> String {
        match *self.finish().unwrap_err() {
            FailureReason::BadOutput { why, .. } => why,
            other => panic!("{other}"),
        }
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        // Sealed directories cannot be emptied by an ordinary user.
        unseal(self.temp.path());
    }
}

fn unseal(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unseal(&entry.path());
        }
    }
}

/// Writes a file and the directories that lead to it.
pub(crate) fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
