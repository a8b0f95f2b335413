//! Building with an installed Nix: a second opinion on our own sandbox, in a
//! world that is Nix's by definition.
//!
//! Each job gets a store of its own below the state directory, a chroot store
//! (`local?root=`) that holds exactly the inputs, which we have proven, and the
//! derivations that lead to them. The outputs are not there, and nothing may
//! fetch them, so Nix can only build: a normal build, never `--check` or
//! `--rebuild`, which compare in ways of their own and not in every case. What
//! comes out is taken from the store and measured by our own code.
//!
//! Command lines follow the manual of Nix 2.8 and later (`nix-store --load-db`,
//! `nix-store --realise`).

mod store;

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::nix::derivation::options::Options;
use crate::nix::derivation::{Derivation, Kind, name_of};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::{StoreDir, StorePath};
use crate::state::StateDir;
use crate::sys::namespace::{RootKind, current_root};

use super::content_addressed::scratch_paths;
use super::executor::Executor;
use super::job::BuildJob;
use super::limits::{Held, Limits, Mechanism};
use super::log::LogWriter;
use super::outcome::{BuildError, BuildOutcome, Built, Failed, FailureReason, Surroundings};
use super::outputs::{FinishRequest, finish};
use super::pty::Terminal;
use super::requirements::{Machine, foreseen, obstacle};
use super::sandbox::plan::{Errand, Guard, c_string};
use super::sandbox::session::{End, Supervisor};

use self::store::{Scratch, make_directory, register};

/// The group whose members build for a Nix that root runs.
const BUILD_USERS_GROUP: &str = "nixbld";

/// How long writing paths into the database of a new store may take.
const REGISTER_TIME: Duration = Duration::from_secs(600);

/// How long asking for a version may take.
const VERSION_TIME: Duration = Duration::from_secs(60);

/// What Nix itself may say besides the builder.
const REGISTER_LOG_BYTES: u64 = 1 << 20;

/// Gives the derivations that a job builds on, by path.
pub type Derivations<'a> = dyn Fn(&StorePath) -> Option<Derivation> + Sync + 'a;

/// Builds with `nix-store`.
pub struct NixExecutor<'a> {
    state: &'a StateDir,
    /// This program, which also watches over Nix.
    program: PathBuf,
    /// The `nix-store` that is run.
    nix_store: PathBuf,
    derivations: &'a Derivations<'a>,
    kind: RootKind,
    /// What Nix calls itself.
    version: String,
    machine: Machine,
}

impl<'a> NixExecutor<'a> {
    /// Prepares to build below `state` with the `nix-store` at that path. The
    /// process must be root already, see
    /// [`crate::sys::namespace::enter_private_root`].
    ///
    /// # Errors
    /// No Nix that works, or none that may be trusted with builders: as root of
    /// the machine it needs users to build as.
    pub fn new(
        state: &'a StateDir,
        program: PathBuf,
        nix_store: PathBuf,
        derivations: &'a Derivations<'a>,
    ) -> Result<Self, BuildError> {
        let kind = current_root()?.ok_or_else(|| {
            BuildError::Other(
                "building with Nix needs root or a user namespace, and this process has neither"
                    .to_owned(),
            )
        })?;
        if kind == RootKind::HostRoot && !group_has_members(BUILD_USERS_GROUP) {
            return Err(BuildError::Other(format!(
                "the group '{BUILD_USERS_GROUP}' has no members: Nix would run builders as root, \
                 without a limit on processes (make the build users that Nix's installer makes, \
                 or run as an ordinary user)"
            )));
        }
        let mut executor = Self {
            state,
            program,
            nix_store,
            derivations,
            kind,
            version: String::new(),
            machine: Machine::here(),
        };
        executor.version = executor.ask_version()?;
        Ok(executor)
    }

    /// What Nix calls itself, such as `nix-store (Nix) 2.8.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How root is this process, which decides as whom Nix builds.
    #[must_use]
    pub const fn root_kind(&self) -> RootKind {
        self.kind
    }

    fn ask_version(&self) -> Result<String, BuildError> {
        let room = self.state.build_dir().map_err(|error| BuildError::Other(error.to_string()))?;
        let call = Call { room: room.path(), arguments: vec!["--version".to_owned()], input: None };
        let limits = Limits { timeout: Some(VERSION_TIME), ..Limits::default() };
        let (end, tail) = self.run(&call, &limits, Vec::new())?;
        match (end, tail.iter().find(|line| line.contains("Nix)"))) {
            (End::Success, Some(version)) => Ok(version.clone()),
            (End::Success, None) => Err(self.odd("says nothing about its version")),
            (End::Failure(reason), _) => Err(self.odd(&format!("{reason}: {}", tail.join(" ")))),
        }
    }

    fn odd(&self, what: &str) -> BuildError {
        BuildError::Other(format!("cannot use '{}': {what}", self.nix_store.display()))
    }

    /// Runs `nix-store` for us alone; gives how it ended and what it said last.
    fn run(
        &self,
        call: &Call<'_>,
        limits: &Limits,
        watched: Vec<PathBuf>,
    ) -> Result<(End, Vec<String>), BuildError> {
        let mut log = LogWriter::new(call.room.join("said"));
        let (end, _) = self.run_into(call, limits, watched, &mut log)?;
        let said = call.room.join("said-whole");
        let (_, tail) = log.finish(|_| said.clone())?;
        std::fs::remove_file(&said).map_err(|source| BuildError::Path {
            action: "remove",
            path: said,
            source,
        })?;
        Ok((end, tail))
    }

    fn run_into(
        &self,
        call: &Call<'_>,
        limits: &Limits,
        watched: Vec<PathBuf>,
        log: &mut LogWriter,
    ) -> Result<(End, Duration), BuildError> {
        let text = |text: &str| c_string(text.as_bytes().to_vec());
        let path = |name: &str, path: &Path| {
            c_string([name.as_bytes(), b"=", path.as_os_str().as_bytes()].concat())
        };
        let room = call.room;
        let users = if self.kind == RootKind::HostRoot { BUILD_USERS_GROUP } else { "" };
        let mut arguments =
            ["nix-store", "--option", "build-users-group", users].map(text).to_vec();
        arguments.extend(call.arguments.iter().map(|argument| text(argument)));
        let errand = Errand {
            program: c_string(self.nix_store.as_os_str().as_bytes().to_vec()),
            arguments,
            // Nothing of the caller's: no settings, no other store, no proxies.
            environment: vec![
                path("HOME", &room.join("home")),
                path("NIX_CONF_DIR", &room.join("conf")),
                text("NIX_USER_CONF_FILES="),
                // Nor its daemon, nor its own store.
                path("NIX_DAEMON_SOCKET_PATH", &room.join("home/none")),
                path("NIX_STATE_DIR", &room.join("home/state")),
                path("NIX_LOG_DIR", &room.join("home/log")),
                text("PATH=/usr/bin:/bin"),
                text("TERM=dumb"),
                path("TMPDIR", &room.join("tmp")),
            ],
            input: call.input.clone().unwrap_or_else(|| PathBuf::from("/dev/null")),
            // As root Nix drops groups, which only root of a machine can.
            ordinary: self.kind != RootKind::HostRoot,
            guard: Guard {
                processes: limits.max_processes,
                watch_processes: true,
                group: None,
                memory: limits.max_memory,
                disk: limits.max_disk,
                watched,
                uid: None,
            },
        };
        let terminal = Terminal::open(rustix::process::geteuid().as_raw())?;
        Supervisor::start(&self.program)?.run_errand(&errand, terminal, limits, log)
    }

    /// Why this job is none for Nix.
    fn refusal(&self, job: &BuildJob, options: &Options) -> Option<String> {
        if let Some(why) = obstacle(job, options, &self.machine) {
            return Some(why);
        }
        if let Some(why) = unsuited(job.derivation.kind()) {
            return Some(why.to_owned());
        }
        let name = name_of(&job.drv_path)?;
        (job.derivation.drv_path(name, &job.store_dir).ok().as_ref() != Some(&job.drv_path)).then(
            || "its inputs were resolved first, which --executor nix cannot follow".to_owned(),
        )
    }

    /// All derivations that the job's own builds on, with itself. Below a fixed
    /// output there is nothing that Nix asks for.
    fn closure(&self, job: &BuildJob) -> Result<BTreeMap<StorePath, Derivation>, BuildError> {
        let mut all = BTreeMap::from([(job.drv_path.clone(), job.derivation.clone())]);
        let mut open: Vec<StorePath> = job.derivation.input_drvs.keys().cloned().collect();
        while let Some(path) = open.pop() {
            if all.contains_key(&path) {
                continue;
            }
            let derivation = (self.derivations)(&path).ok_or_else(|| {
                BuildError::Job(format!("the derivation {path} is not at hand for Nix"))
            })?;
            if !derivation.is_fixed() {
                open.extend(derivation.input_drvs.keys().cloned());
            }
            all.insert(path, derivation);
        }
        Ok(all)
    }

    /// Fills the store of a job and has Nix take note of what is in it.
    fn furnish(&self, job: &BuildJob, scratch: &Scratch) -> Result<(), BuildError> {
        let mut registration = String::new();
        for (path, input) in &job.inputs {
            scratch.copy(&input.host_path, path)?;
            let hash = input.nar_hash.hash();
            register(&mut registration, path, &hash, input.nar_size, &input.references, job);
        }
        let closure = self.closure(job)?;
        for (path, derivation) in &closure {
            // What a derivation of an input reads need not be here.
            let is_here =
                |path: &&StorePath| closure.contains_key(*path) || job.inputs.contains_key(*path);
            let references = derivation.input_drvs.keys().chain(&derivation.input_srcs);
            let references = references.filter(is_here).cloned().collect();
            let text = derivation.to_aterm(&job.store_dir);
            let nar = scratch.write(path, &text)?;
            let hash = Hash::of(HashAlgorithm::Sha256, &nar);
            let size = u64::try_from(nar.len()).unwrap_or(u64::MAX);
            register(&mut registration, path, &hash, size, &references, job);
        }
        let file = scratch.room.join("registration");
        std::fs::write(&file, registration).map_err(|source| BuildError::Path {
            action: "write",
            path: file.clone(),
            source,
        })?;
        let limits = Limits {
            timeout: Some(REGISTER_TIME),
            max_log_bytes: Some(REGISTER_LOG_BYTES),
            ..job.limits
        };
        let call = Call {
            room: scratch.room,
            arguments: scratch.arguments(&["--load-db"]),
            input: Some(file),
        };
        let (end, tail) = self.run(&call, &limits, Vec::new())?;
        match end {
            End::Success => Ok(()),
            End::Failure(_) => Err(BuildError::Other(format!(
                "Nix does not take the inputs into a store of its own: {}",
                tail.join(" ")
            ))),
        }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            root_kind: self.kind,
            shell: None,
            differences: vec![format!(
                "built by {} in its own sandbox: the world is that of this Nix, whatever world \
                 was asked for",
                self.version
            )],
            varied: Vec::new(),
            held: Held {
                processes: Mechanism::Rlimit,
                memory: Mechanism::Watched,
                disk: Mechanism::Watched,
            },
        }
    }
}

impl Executor for NixExecutor<'_> {
    fn name(&self) -> &'static str {
        "nix"
    }

    fn obstacle(&self, derivation: &Derivation, store_dir: &StoreDir) -> Option<FailureReason> {
        foreseen(derivation, store_dir, &self.machine).or_else(|| {
            let resolved = derivation
                .needs_resolving()
                .then_some("its inputs are resolved first, which --executor nix cannot follow");
            let why = unsuited(derivation.kind()).or(resolved)?;
            Some(FailureReason::Unsupported(why.to_owned()))
        })
    }

    fn build(&self, job: &BuildJob) -> Result<BuildOutcome, BuildError> {
        let not_run = |reason| {
            Ok(BuildOutcome::Failed(Failed { reason, log: None, tail: Vec::new(), kept: None }))
        };
        let options = match Options::of(&job.derivation, &job.store_dir) {
            Ok(options) => options,
            Err(error) => return not_run(FailureReason::BadDerivation(error.to_string())),
        };
        if let Some(why) = self.refusal(job, &options) {
            return not_run(FailureReason::Unsupported(why));
        }
        let name = name_of(&job.drv_path).unwrap_or_else(|| job.drv_path.name());
        let places = scratch_paths(&job.store_dir, &job.drv_path, name, &job.derivation)
            .map_err(|error| BuildError::Job(error.to_string()))?;
        let room = self.state.build_dir().map_err(|error| BuildError::Other(error.to_string()))?;
        let scratch = Scratch::make(room.path(), &job.store_dir)?;
        self.furnish(job, &scratch)?;

        let mut arguments = scratch.arguments(&["--realise", &job.store_dir.full(&job.drv_path)]);
        let shell = job.shell.as_ref().map(|shell| format!("/bin/sh={}", shell.display()));
        for (setting, value) in [
            // Nothing from anywhere else, nobody else builds.
            ("substitute", "false"),
            ("substituters", ""),
            ("builders", ""),
            ("sandbox", "true"),
            ("sandbox-fallback", "false"),
            ("sandbox-paths", shell.as_deref().unwrap_or_default()),
            ("max-jobs", "1"),
            ("cores", &job.cores.to_string()),
            ("keep-failed", "false"),
            ("gc-reserved-space", "0"),
        ] {
            arguments.extend(["--option".to_owned(), setting.to_owned(), value.to_owned()]);
        }
        let call = Call { room: room.path(), arguments, input: None };
        let mut log = LogWriter::new(room.path().join("log"));
        let inputs: u64 = job.inputs.values().map(|input| input.nar_size).sum();
        let limits = Limits {
            max_disk: job.limits.max_disk.map(|bytes| bytes.saturating_add(inputs)),
            ..job.limits
        };
        let deadline = job.limits.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let watched = vec![room.path().to_owned()];
        let (end, duration) = self.run_into(&call, &limits, watched, &mut log)?;
        let (log, tail) = log.finish(|hash| self.state.logs().path(hash))?;
        let ended = match end {
            End::Failure(FailureReason::ExitCode(status)) => {
                let said = tail.iter().rev().find(|line| line.contains("error:"));
                let said = said.or(tail.last()).cloned().unwrap_or_default();
                Err(FailureReason::Nix { status, said })
            }
            End::Failure(FailureReason::TooMuchDisk(_)) => {
                Err(FailureReason::TooMuchDisk(job.limits.max_disk.unwrap_or(u64::MAX)))
            }
            End::Failure(reason) => Err(reason),
            End::Success => {
                let dest = room.path().join("outputs");
                make_directory(&dest)?;
                finish(&FinishRequest {
                    job,
                    options: &options,
                    name,
                    scratch: &places,
                    store: scratch.store.as_fd(),
                    dest_dir: &dest,
                    // Nix has made them its own.
                    build_uid: rustix::process::geteuid().as_raw(),
                    leaky: false,
                    deadline,
                })?
            }
        };
        match ended {
            Err(reason) => {
                Ok(BuildOutcome::Failed(Failed { reason, log: Some(log), tail, kept: None }))
            }
            Ok(outputs) => {
                scratch.remove()?;
                Ok(BuildOutcome::Built(Built {
                    outputs,
                    log,
                    surroundings: self.surroundings(),
                    duration,
                    room: Some(Arc::new(room)),
                }))
            }
        }
    }
}

/// Why outputs of that kind are none for Nix.
const fn unsuited(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::InputAddressed => None,
        Kind::Fixed => Some("fixed outputs are fetched by their hash, not built by Nix"),
        Kind::FloatingCa | Kind::Deferred | Kind::Impure => {
            Some("content-addressed outputs are not built by --executor nix")
        }
    }
}

/// One run of `nix-store`.
struct Call<'a> {
    /// Where its own files lie.
    room: &'a Path,
    arguments: Vec<String>,
    /// What it reads.
    input: Option<PathBuf>,
}

/// Whether `/etc/group` lists members of a group.
fn group_has_members(group: &str) -> bool {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    groups.lines().any(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(group) && fields.nth(2).is_some_and(|members| !members.is_empty())
    })
}
