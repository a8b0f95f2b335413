//! Builds for tests: a store object with busybox, and jobs that run scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix_verify::build::{
    BuildJob, BuildOutcome, Built, Executor as _, Failed, InputObject, Limits, SandboxExecutor,
    World,
};
use nix_verify::nix::derivation::{ByOutput, Derivation, Output};
use nix_verify::nix::hash::NarHash;
use nix_verify::nix::store_path::{StoreDir, StorePath};
use nix_verify::state::StateDir;

/// The static busybox of the machine that runs the tests.
pub const BUSYBOX: &str = "/bin/busybox";

/// Applets that scripts of the tests call.
const APPLETS: &[&str] = &[
    "sh",
    "ls",
    "cat",
    "env",
    "id",
    "mount",
    "uname",
    "mkdir",
    "sleep",
    "tty",
    "stat",
    "grep",
    "sort",
    "touch",
    "ln",
    "chmod",
    "chown",
    "rm",
    "mv",
    "cp",
    "find",
    "sed",
    "awk",
    "ps",
    "od",
    "wc",
    "head",
    "tail",
    "tr",
    "cut",
    "test",
    "true",
    "false",
    "echo",
    "printf",
    "hostname",
    "dd",
    "mkfifo",
    "mknod",
    "kill",
    "setsid",
    "nohup",
    "sha256sum",
    "xargs",
    "readlink",
    "ip",
    "ifconfig",
    "stty",
    "seq",
    "yes",
    "nice",
    "dirname",
    "basename",
    "nc",
    "ping",
    "wget",
    "umount",
    "unshare",
    "df",
    "date",
    "tee",
    "ulimit",
    "pwd",
    "hexdump",
    "timeout",
    "usleep",
];

/// A state directory with an executor's needs, and busybox as a store object.
pub struct Place {
    _directory: tempfile::TempDir,
    pub state: StateDir,
}

pub const TOOLS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-tools";

pub fn store_path(text: &str) -> StorePath {
    text.parse().unwrap()
}

impl Place {
    /// Makes one; `None` (and a word about it) where builds cannot be tested.
    pub fn new() -> Option<Self> {
        if !Path::new(BUSYBOX).exists() {
            eprintln!("skipped: no {BUSYBOX} (install busybox-static)");
            return None;
        }
        if nix_verify::sys::namespace::current_root().unwrap().is_none() {
            eprintln!("skipped: neither root nor in a user namespace");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        let place = Self { _directory: directory, state };
        let bin = place.input_path(TOOLS).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
        std::fs::set_permissions(bin.join("busybox"), PermissionsExt::from_mode(0o555)).unwrap();
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        for path in [bin.clone(), place.input_path(TOOLS)] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o555)).unwrap();
        }
        Some(place)
    }

    /// Where an input of that name lies.
    pub fn input_path(&self, name: &str) -> PathBuf {
        self.state.root().join("objects").join(name)
    }

    pub fn executor(&self) -> SandboxExecutor<'_> {
        let program = std::env::var_os("VERIFY_TEST_PROGRAM");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_verify").into());
        SandboxExecutor::new(&self.state, program.into()).unwrap()
    }

    /// An input that lies where `input_path` says.
    pub fn input(&self, name: &str) -> (StorePath, InputObject) {
        let input = InputObject {
            host_path: self.input_path(name),
            nar_hash: NarHash::from_digest([7; 32]),
            nar_size: 1000,
            references: BTreeSet::new(),
            ca: None,
            deriver: None,
        };
        (store_path(name), input)
    }

    /// A job that runs `script` with busybox's shell and has one output.
    pub fn job(&self, script: &str) -> BuildJob {
        let out = store_path("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-test");
        let tools = format!("/nix/store/{TOOLS}");
        let mut job = BuildJob {
            drv_path: store_path("cccccccccccccccccccccccccccccccc-test.drv"),
            derivation: Derivation {
                outputs: ByOutput::default(),
                input_drvs: BTreeMap::new(),
                input_srcs: BTreeSet::from([store_path(TOOLS)]),
                platform: b"x86_64-linux".to_vec(),
                builder: format!("{tools}/bin/sh").into_bytes(),
                args: vec![b"-c".to_vec(), script.as_bytes().to_vec()],
                env: BTreeMap::from([
                    (b"PATH".to_vec(), format!("{tools}/bin").into_bytes()),
                    (b"name".to_vec(), b"test".to_vec()),
                    (b"out".to_vec(), format!("/nix/store/{out}").into_bytes()),
                ]),
            },
            outputs: ByOutput::default(),
            inputs: BTreeMap::from([self.input(TOOLS)]),
            world: World::by_name("nix-2.8").unwrap(),
            cores: 1,
            limits: Limits::default(),
            shell: None,
            network: false,
            keep_failed: false,
            hardened: false,
            round: 0,
            store_dir: StoreDir::default(),
        };
        add_output(&mut job, "out", out);
        job
    }

    pub fn build(&self, job: &BuildJob) -> BuildOutcome {
        self.executor().build(job).unwrap()
    }

    /// Builds, and answers with the log.
    pub fn built(&self, job: &BuildJob) -> (Built, String) {
        match self.build(job) {
            BuildOutcome::Built(built) => {
                let log = std::fs::read(&built.log.path).unwrap();
                (built, String::from_utf8_lossy(&log).into_owned())
            }
            BuildOutcome::Failed(failed) => panic!("{failed:#?}"),
        }
    }

    pub fn failed(&self, job: &BuildJob) -> Failed {
        match self.build(job) {
            BuildOutcome::Built(built) => panic!("{built:#?}"),
            BuildOutcome::Failed(failed) => failed,
        }
    }
}

pub fn add_output(job: &mut BuildJob, name: &str, path: StorePath) {
    job.derivation.outputs.insert(name.to_owned(), Output::InputAddressed { path: path.clone() });
    job.outputs.insert(name.to_owned(), Some(path));
}
