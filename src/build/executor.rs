//! What builds: anything that takes a job and answers with an outcome, and
//! the sandbox of our own that does.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use rustix::process::{Resource, getrlimit};

use crate::nix::derivation::options::Options;
use crate::nix::derivation::{Derivation, Kind, name_of};
use crate::nix::hash::{Hash, HashAlgorithm, Hasher};
use crate::nix::store_path::StoreDir;
use crate::state::remove::remove_tree;
use crate::state::{BuildDir, StateDir};
use crate::sys::filter::landlock_version;
use crate::sys::namespace::{RootKind, current_root};
use crate::sys::process::{ADDR_NO_RANDOMIZE, PER_LINUX32};

use super::cgroup::{Group, Groups};
use super::environment::{Start, StartError, prepare};
use super::job::BuildJob;
use super::limits::{Held, Mechanism};
use super::log::LogWriter;
use super::outcome::{BuildError, BuildOutcome, Built, Failed, FailureReason, Surroundings};
use super::outputs::handles::open_directory;
use super::outputs::{FinishRequest, finish};
use super::pty::Terminal;
use super::requirements::{Machine, foreseen, obstacle};
use super::sandbox::BUILD_DIR;
use super::sandbox::plan::{Guard, Plan, Program, c_string};
use super::sandbox::root::{
    Request, Root, RootDirectory, Shape, build_directory, make_build_directory,
};
use super::sandbox::session::{End, Supervisor};
use super::seccomp;
use super::users::{BuildUser, BuildUsers};
use super::variation::Variation;

/// Something that can build a derivation.
///
/// A job is idempotent: the same derivation and round may be asked for again,
/// by this process or a later one.
pub trait Executor: Sync {
    /// A short name for reports, such as `sandbox`.
    fn name(&self) -> &'static str;

    /// Why it will not build `derivation`, as far as that can be told before the
    /// inputs are known: what a plan says. Building says the same.
    fn obstacle(&self, derivation: &Derivation, store_dir: &StoreDir) -> Option<FailureReason>;

    /// Builds, and answers how that went.
    ///
    /// # Errors
    /// Only when the executor itself failed; then nothing is known about the
    /// derivation.
    fn build(&self, job: &BuildJob) -> Result<BuildOutcome, BuildError>;
}

/// Builds in namespaces of its own making, without a Nix daemon.
#[derive(Debug)]
pub struct SandboxExecutor<'s> {
    state: &'s StateDir,
    /// This program, which is also the supervisor of each build.
    program: PathBuf,
    kind: RootKind,
    users: BuildUsers,
    machine: Machine,
    processors: usize,
    /// Root directories that wait for the next build.
    roots: Mutex<Vec<RootDirectory>>,
    /// Supervisors that wait for the next build of their thread.
    supervisors: Mutex<HashMap<ThreadId, Supervisor>>,
    /// Where control groups can be made, if anywhere.
    groups: Option<Groups>,
    /// Shells that have been hashed.
    shells: Mutex<BTreeMap<PathBuf, Hash>>,
}

impl<'s> SandboxExecutor<'s> {
    /// Prepares to build below `state`. `program` is the `verify` binary, to
    /// be run as `PROGRAM __sandbox`. The process must be root already, see
    /// [`crate::sys::namespace::enter_private_root`].
    ///
    /// # Errors
    /// A process that may not mount or map users.
    pub fn new(state: &'s StateDir, program: PathBuf) -> Result<Self, BuildError> {
        let kind = current_root()?.ok_or_else(|| {
            BuildError::Other(
                "the sandbox needs root or a user namespace, and this process has neither"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            users: BuildUsers::new(kind, &state.root().join("locks"))?,
            state,
            program,
            kind,
            machine: Machine::here(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            roots: Mutex::default(),
            supervisors: Mutex::default(),
            groups: Groups::find(),
            shells: Mutex::default(),
        })
    }

    /// What kind of root runs the builds.
    #[must_use]
    pub const fn root_kind(&self) -> RootKind {
        self.kind
    }

    /// A root directory for a job: one that is left from another, or a new one.
    fn root_directory(&self, request: &Request<'_>) -> Result<RootDirectory, BuildError> {
        let shape = Shape::of(request);
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = roots.iter().rposition(|root| root.fits(&shape)) {
            return Ok(roots.swap_remove(index));
        }
        drop(roots);
        let room = self.state.build_dir().map_err(|error| BuildError::Other(error.to_string()))?;
        RootDirectory::make(room, shape)
    }

    /// This thread's supervisor, or a new one.
    fn supervisor(&self) -> Result<Supervisor, BuildError> {
        let mut waiting = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = waiting.remove(&std::thread::current().id());
        drop(waiting);
        kept.map_or_else(|| Supervisor::start(&self.program), Ok)
    }

    /// Keeps a supervisor for the next build. One of an ordinary user has
    /// dropped the groups that the user may need to reach inputs.
    fn keep_supervisor(&self, supervisor: Supervisor) {
        if self.kind == RootKind::HostRoot {
            let mut waiting = self.supervisors.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.insert(std::thread::current().id(), supervisor);
        }
    }

    fn hash_shell(&self, path: &Path) -> Result<Hash, BuildError> {
        let mut known = self.shells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = known.get(path) {
            return Ok(*hash);
        }
        let failed = |source| BuildError::Path { action: "read", path: path.to_owned(), source };
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(&std::fs::read(path).map_err(failed)?);
        let hash = hasher.finish();
        known.insert(path.to_owned(), hash);
        Ok(hash)
    }

    /// Where the sandbox differs from the world asked for.
    fn differences(&self, job: &BuildJob, network: bool) -> Vec<String> {
        let mut differences = Vec::new();
        if !self.kind.separates_owner() {
            differences.push(
                "started by an ordinary user without subordinate ids: everything in the sandbox \
                 belongs to the builder, inputs are mounted read-only (writing to them fails with \
                 EROFS instead of EACCES), '/' has mode 0550 and '/etc' 0555"
                    .to_owned(),
            );
        }
        if job.derivation.is_fixed() && !network {
            differences.push(
                "a fixed output was built without network; under Nix it has the host's".to_owned(),
            );
        }
        if job.hardened {
            let landlock = match landlock_version() {
                Some(version) => format!("Landlock of version {version}"),
                None => "no Landlock, which this kernel lacks".to_owned(),
            };
            differences.push(format!(
                "hardened: tracing, mounts, namespaces, keyrings, io_uring, other system call ABIs \
                 and sockets but Unix, IP and netlink are refused; {landlock}"
            ));
        }
        differences
    }

    fn surroundings(
        &self,
        job: &BuildJob,
        network: bool,
        variation: &Variation,
    ) -> Result<Surroundings, BuildError> {
        let shell = match &job.shell {
            Some(path) => Some((path.clone(), self.hash_shell(path)?)),
            None => None,
        };
        let differences = self.differences(job, network);
        Ok(Surroundings {
            root_kind: self.kind,
            shell,
            differences,
            varied: variation.sentences(),
            held: self.held(job),
        })
    }

    /// What holds the limits of a job.
    fn held(&self, job: &BuildJob) -> Held {
        let groups = self.groups.as_ref();
        let memory = match groups {
            Some(groups) if groups.limit_memory() => Mechanism::Cgroup,
            _ => Mechanism::Watched,
        };
        Held {
            processes: groups.map_or(Mechanism::Rlimit, |_| Mechanism::Cgroup),
            memory: job.limits.max_memory.map_or(Mechanism::None, |_| memory),
            disk: job.limits.max_disk.map_or(Mechanism::None, |_| Mechanism::Watched),
        }
    }

    /// The control groups of a job, where there are any.
    fn group(&self, job: &BuildJob) -> Result<Option<Group>, BuildError> {
        let made = self.groups.as_ref().map(|groups| groups.make(&job.limits)).transpose();
        made.map_err(|(path, source)| BuildError::Path { action: "make the group", path, source })
    }

    /// What the supervisor of a job has to look after.
    fn guard(
        &self,
        job: &BuildJob,
        group: Option<&Group>,
        watched: Vec<PathBuf>,
        uid: u32,
    ) -> Guard {
        let watch_memory = self.held(job).memory == Mechanism::Watched;
        // Under a lower limit of our own a builder stays, as under Nix.
        let ours = getrlimit(Resource::Nproc).current.unwrap_or(u64::MAX);
        Guard {
            processes: job.limits.max_processes.min(ours),
            watch_processes: group.is_none(),
            group: group.map(Group::inner),
            memory: job.limits.max_memory.filter(|_| watch_memory),
            disk: job.limits.max_disk,
            watched,
            uid: Some(uid),
        }
    }
}

/// A failure before anything was run.
const fn not_run(reason: FailureReason) -> BuildOutcome {
    BuildOutcome::Failed(Failed { reason, log: None, tail: Vec::new(), kept: None })
}

impl Executor for SandboxExecutor<'_> {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn obstacle(&self, derivation: &Derivation, store_dir: &StoreDir) -> Option<FailureReason> {
        foreseen(derivation, store_dir, &self.machine)
    }

    fn build(&self, job: &BuildJob) -> Result<BuildOutcome, BuildError> {
        let options = match Options::of(&job.derivation, &job.store_dir) {
            Ok(options) => options,
            Err(error) => return Ok(not_run(FailureReason::BadDerivation(error.to_string()))),
        };
        if let Some(why) = obstacle(job, &options, &self.machine) {
            return Ok(not_run(FailureReason::Unsupported(why)));
        }
        let start = match prepare(job, &options, self.processors, |name| std::env::var_os(name)) {
            Ok(start) => start,
            Err(StartError::Refused(reason)) => return Ok(not_run(*reason)),
            Err(StartError::Build(error)) => return Err(error),
        };
        let network = job.network && matches!(job.derivation.kind(), Kind::Fixed);
        let variation = Variation::of(job);
        let surroundings = self.surroundings(job, network, &variation)?;

        let user = self.users.acquire(variation.first_user)?;
        let room = self.state.build_dir().map_err(|error| BuildError::Other(error.to_string()))?;
        let request = Request {
            top: room.path(),
            state: self.state.root(),
            job,
            files: &start.files,
            user: &user,
            kind: self.kind,
            network,
            variation: &variation,
        };
        make_build_directory(&request)?;
        let mut directory = self.root_directory(&request)?;
        let assembled = directory.furnish(&request)?;
        // Opened while the path still leads where it should.
        let store = open_directory(&assembled.path.join(&assembled.store))?;
        let group = self.group(job)?;
        let watched = vec![build_directory(room.path()), assembled.path.clone()];
        let guard = self.guard(job, group.as_ref(), watched, user.uid);
        let plan = plan(job, &start, assembled, &user, network, guard)?;
        let terminal = Terminal::open(user.uid)?;
        let mut log = LogWriter::new(room.path().join("log"));
        let supervisor = self.supervisor()?;
        // Reading what was made is part of the build.
        let deadline = job.limits.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let (end, duration) = supervisor.run(&plan, terminal, &job.limits, &mut log)?;
        self.keep_supervisor(supervisor);
        // What was made against the kernel's refusals is not what was asked for.
        let end = match (end, group.as_ref().and_then(Group::breach)) {
            (End::Failure(reason), _) if reason.is_limit() => End::Failure(reason),
            (_, Some(breach)) => End::Failure(breach.reason(&job.limits)),
            (end, None) => end,
        };
        drop(group);
        let (log, tail) = log.finish(|hash| self.state.logs().path(hash))?;

        let outcome = match end {
            End::Failure(reason) => Err(reason),
            End::Success => {
                finish(&FinishRequest {
                    job,
                    options: &options,
                    name: name_of(&job.drv_path).unwrap_or_else(|| job.drv_path.name()),
                    scratch: &start.scratch,
                    store: store.as_fd(),
                    // Nothing in it has the name of a store object.
                    dest_dir: room.path(),
                    build_uid: user.uid,
                    leaky: network,
                    deadline,
                })?
            }
        };
        // What cannot be cleared away does not come back; that is no failure
        // of this build, whose outputs are out of its reach.
        if matches!(directory.clear(), Ok(true)) {
            self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
        }
        match outcome {
            Err(reason) => {
                let kept = if job.keep_failed { Some(keep(room)?) } else { None };
                Ok(BuildOutcome::Failed(Failed { reason, log: Some(log), tail, kept }))
            }
            Ok(outputs) => {
                // The outputs stay as long as somebody holds on to the room.
                let done = build_directory(room.path());
                remove_tree(&done).map_err(|source| BuildError::Path {
                    action: "remove",
                    path: done,
                    source,
                })?;
                Ok(BuildOutcome::Built(Built {
                    outputs,
                    log,
                    surroundings,
                    duration,
                    room: Some(Arc::new(room)),
                }))
            }
        }
    }
}

/// Keeps a failed build, and says where its build directory is.
fn keep(room: BuildDir) -> Result<PathBuf, BuildError> {
    let kept = room.keep().map_err(|error| BuildError::Other(error.to_string()))?;
    Ok(build_directory(&kept))
}

/// What the supervisor is told.
fn plan(
    job: &BuildJob,
    start: &Start,
    root: Root,
    user: &BuildUser,
    network: bool,
    guard: Guard,
) -> Result<Plan, BuildError> {
    let machine = seccomp::Machine::here().ok_or_else(|| {
        BuildError::Other("no system call filter is known for this processor".to_owned())
    })?;
    let builder = &job.derivation.builder;
    let builtin = builder.strip_prefix(b"builtin:");
    let (program, environment) = match builtin {
        Some(name) => {
            let name = String::from_utf8_lossy(name).into_owned();
            (Program::Builtin { name }, &start.own_environment)
        }
        None => {
            let path = c_string(builder.clone());
            (Program::Exec { path, arguments: start.arguments.clone() }, &start.environment)
        }
    };
    Ok(Plan {
        root: root.path,
        store: root.store,
        directories: root.directories,
        binds: root.binds,
        private_network: !network,
        uid: user.uid,
        gid: user.gid,
        personality: personality(job),
        filter: if job.hardened {
            let narrow = personality(job) & PER_LINUX32 != 0;
            seccomp::hardened(&job.world, machine, narrow)
        } else {
            seccomp::program(&job.world, machine)
        },
        scope_abstract_sockets: job.world.scopes_abstract_sockets,
        directory: c_string(BUILD_DIR.into()),
        program,
        environment: environment.clone(),
        guard,
        hardened: job.hardened,
    })
}

/// The personality of a platform (`setPersonality`).
fn personality(job: &BuildJob) -> u64 {
    let narrow = match job.derivation.platform.as_slice() {
        b"i686-linux" => cfg!(target_arch = "x86_64"),
        b"armv7l-linux" | b"armv6l-linux" => true,
        b"armv5tel-linux" => job.world.armv5tel_personality,
        _ => false,
    };
    ADDR_NO_RANDOMIZE | if narrow { PER_LINUX32 } else { 0 }
}
