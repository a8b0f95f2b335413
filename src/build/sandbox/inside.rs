//! The builder's process from its birth in new namespaces to the moment it
//! becomes the derivation's builder (`runChild` and `enterChroot` in Nix).

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{
    Resource, Rlimit, WaitOptions, chdir, fchdir, getrlimit, pivot_root, setrlimit, setsid, waitpid,
};
use rustix::thread::{Gid, Uid, set_no_new_privs, set_thread_gid, set_thread_uid};

use crate::build::builtin;
use crate::sys::filter::{Confinement, confine, load_seccomp};
use crate::sys::mount::{Access, set_access};
use crate::sys::namespace::{copy_mounts, leave_root};
use crate::sys::network::loopback_up;
use crate::sys::process::{
    Fork, ForkError, add_personality, execve, exit_now, fork, leave_session_keyring, reset_signals,
};

use super::plan::{Errand, Plan, Program, Source};
use super::{BUILDER_GID, BUILDER_UID};

/// Options of the new `/dev/shm` (the default of `sandbox-dev-shm-size`).
const SHM_OPTIONS: &std::ffi::CStr = c"size=50%";
/// Options of the new `/dev/pts`.
const PTS_OPTIONS: &std::ffi::CStr = c"newinstance,mode=0620";
/// Where there is nothing to be read.
const NULL: &str = "/dev/null";
/// Where source directories are attached until everything is mounted.
const MEANWHILE: &str = "proc";
/// What builders may not add to the modes of new files.
const UMASK: u32 = 0o022;
/// The exit status of a builder that could not be executed, as in Nix.
const NOT_EXECUTED: i32 = 1;

/// Detached copies of mounts on the host, ready to be attached.
#[derive(Debug)]
pub struct Trees {
    /// The root directory.
    pub root: OwnedFd,
    /// Its store directory, once more: a mount of its own.
    pub store: OwnedFd,
    /// The plan's directories.
    pub directories: Vec<OwnedFd>,
    /// The plan's binds from single host paths, `None` for the others.
    pub hosts: Vec<Option<OwnedFd>>,
}

/// Builds the world and runs the plan's program in it. Answers with an exit
/// status if there is no program to become, or it could not be executed.
/// What goes wrong before is told to the supervisor.
pub fn run(plan: &Plan, trees: Trees, terminal: OwnedFd, mut supervisor: UnixStream) -> i32 {
    if let Err(complaint) = prepare(plan, trees, terminal, &mut supervisor) {
        let _ = supervisor.write_all(complaint.as_bytes());
        return NOT_EXECUTED;
    }
    match &plan.program {
        Program::Exec { path, arguments } => {
            // The socket closes by itself when the program is there.
            let errno = execve(path, arguments, &plan.environment);
            let name = path.to_string_lossy();
            tell(&format!("error: executing '{name}': {}\n", std::io::Error::from(errno)));
            NOT_EXECUTED
        }
        Program::Builtin { name } => {
            drop(supervisor);
            run_builtin(plan, name)
        }
    }
}

/// Becomes the program of an errand. Only returns if that fails.
pub fn run_errand(errand: &Errand, terminal: OwnedFd, mut supervisor: UnixStream) -> i32 {
    let prepared = || {
        setsid().map_err(failed("start a session"))?;
        connect(&errand.input, terminal)?;
        if errand.ordinary {
            leave_root().map_err(failed("become an ordinary user"))?;
        }
        // Those who build for it have users of their own, who count.
        let limit = Some(errand.guard.processes);
        setrlimit(Resource::Nproc, Rlimit { current: limit, maximum: limit })
            .map_err(failed("limit the number of processes"))?;
        reset_signals();
        Ok::<_, String>(())
    };
    if let Err(complaint) = prepared() {
        let _ = supervisor.write_all(complaint.as_bytes());
        return NOT_EXECUTED;
    }
    let errno = execve(&errand.program, &errand.arguments, &errand.environment);
    let name = errand.program.to_string_lossy();
    let complaint = format!("cannot run '{name}': {}", std::io::Error::from(errno));
    let _ = supervisor.write_all(complaint.as_bytes());
    NOT_EXECUTED
}

/// Writes to the builder's terminal.
fn tell(text: &str) {
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}

fn run_builtin(plan: &Plan, name: &str) -> i32 {
    // No program is started that would lose them by itself.
    let none = rustix::thread::CapabilitySets {
        effective: rustix::thread::CapabilitySet::empty(),
        permitted: rustix::thread::CapabilitySet::empty(),
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    if let Err(errno) = rustix::thread::set_capabilities(None, none) {
        tell(&format!("error: cannot drop capabilities: {errno}\n"));
        return NOT_EXECUTED;
    }
    let environment = plan.environment.iter().filter_map(|variable| {
        let bytes = variable.as_bytes();
        let equals = bytes.iter().position(|byte| *byte == b'=')?;
        let (name, value) = bytes.split_at_checked(equals)?;
        Some((name.to_vec(), value.get(1..)?.to_vec()))
    });
    builtin::run_builtin(name, &environment.collect())
}

/// A failure of one step, as a sentence.
fn failed<E: std::fmt::Display>(action: &str) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {action}: {error}")
}

fn prepare(
    plan: &Plan,
    trees: Trees,
    terminal: OwnedFd,
    supervisor: &mut UnixStream,
) -> Result<(), String> {
    introduce(supervisor)?;
    setsid().map_err(failed("start a session"))?;
    let mut go = [0];
    supervisor.read_exact(&mut go).map_err(failed("wait for the user map"))?;

    if plan.private_network {
        loopback_up().map_err(failed("bring up the loopback interface"))?;
    }
    rustix::system::sethostname(b"localhost").map_err(failed("set the host name"))?;
    rustix::system::setdomainname(b"(none)").map_err(failed("set the domain name"))?;
    mount_world(plan, trees)?;
    enter_root(plan)?;
    connect(Path::new(NULL), terminal)?;
    if plan.hardened {
        forbid_user_namespaces()?;
    }

    set_thread_gid(Gid::from_raw(BUILDER_GID)).map_err(failed("become the build group"))?;
    set_thread_uid(Uid::from_raw(BUILDER_UID)).map_err(failed("become the build user"))?;
    leave_session_keyring().map_err(failed("leave the session keyring"))?;
    chdir(&*plan.directory).map_err(failed("change to the build directory"))?;
    add_personality(plan.personality).map_err(failed("set the personality"))?;
    limit_core_dumps()?;
    if plan.guard.group.is_none() {
        limit_processes(plan.guard.processes)?;
    }
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    reset_signals();
    set_no_new_privs(true).map_err(failed("give up new privileges"))?;
    let confinement = Confinement {
        abstract_sockets: plan.scope_abstract_sockets || plan.hardened,
        signals: plan.hardened,
        below: plan.hardened.then_some(c"/"),
    };
    confine(&confinement).map_err(failed("confine the builder with Landlock"))?;
    load_seccomp(&plan.filter).map_err(failed("load the system call filter"))
}

/// Tells the supervisor our number as the host's `/proc` has it.
fn introduce(supervisor: &mut UnixStream) -> Result<(), String> {
    let link = rustix::fs::readlink("/proc/self", Vec::new()).map_err(failed("read /proc/self"))?;
    let number: u32 = link
        .to_str()
        .ok()
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| "cannot tell the own process number from /proc/self".to_owned())?;
    supervisor.write_all(&number.to_le_bytes()).map_err(failed("speak to the supervisor"))
}

/// Standard input from a file, the other two to the terminal; everything else
/// is closed when the program starts.
fn connect(input: &Path, terminal: OwnedFd) -> Result<(), String> {
    // As Nix opens /dev/null: the builder can ask how it was opened.
    let flags = if input == Path::new(NULL) { OFlags::RDWR } else { OFlags::RDONLY };
    let input = rustix::fs::open(input, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open the standard input"))?;
    let connect = || {
        rustix::stdio::dup2_stdin(&input)?;
        rustix::stdio::dup2_stdout(&terminal)?;
        rustix::stdio::dup2_stderr(&terminal)
    };
    connect().map_err(failed("connect the terminal"))
}

/// Attaches everything below the root directory, in the order Nix does.
fn mount_world(plan: &Plan, trees: Trees) -> Result<(), String> {
    make_private("/")?;
    // The only mount that may lie on the old root when the two change places:
    // what lies on top would stay.
    attach(trees.root.as_fd(), Path::new("/"))?;
    fchdir(&trees.root).map_err(failed("enter the new root"))?;
    make_private(".")?;
    // Mounts can only be taken from what is attached, so these are for a
    // while, one on top of the other.
    for tree in &trees.directories {
        attach(tree.as_fd(), Path::new(MEANWHILE))?;
    }
    attach(trees.store.as_fd(), &plan.store)?;
    for (bind, host) in plan.binds.iter().zip(trees.hosts) {
        let tree = match (&bind.source, host) {
            (Source::Entry { directory, name }, None) => {
                let index = usize::try_from(*directory).unwrap_or(usize::MAX);
                let directory = trees.directories.get(index).ok_or("the plan lacks a directory")?;
                open(directory.as_fd(), name, OpenTreeFlags::AT_SYMLINK_NOFOLLOW)?
            }
            (Source::Public(path), None) => open(CWD, path, OpenTreeFlags::empty())?,
            (_, Some(tree)) => tree,
            (Source::Host(path), None) => return Err(format!("no mount of '{}'", path.display())),
        };
        let wrong = |errno: Errno| format!("cannot mount '{}': {errno}", bind.target.display());
        if bind.read_only {
            set_access(tree.as_fd(), Access::ReadOnly).map_err(wrong)?;
        }
        attach(tree.as_fd(), &bind.target)?;
    }
    for _ in &trees.directories {
        unmount(MEANWHILE, UnmountFlags::DETACH).map_err(failed("unmount what was needed"))?;
    }
    let new = |kind: &std::ffi::CStr, target: &str, options: Option<&std::ffi::CStr>| {
        mount("none", target, kind, MountFlags::empty(), options)
            .map_err(|errno| format!("cannot mount a new '{target}': {errno}{}", hint(kind, errno)))
    };
    new(c"proc", "proc", None)?;
    new(c"tmpfs", "dev/shm", Some(SHM_OPTIONS))?;
    new(c"devpts", "dev/pts", Some(PTS_OPTIONS))?;
    // Some kernels make it with no permissions at all.
    rustix::fs::chmod("dev/pts/ptmx", Mode::from_raw_mode(0o666))
        .map_err(failed("open '/dev/pts/ptmx' to all"))
}

/// What usually stands in the way of a mount.
fn hint(kind: &std::ffi::CStr, errno: Errno) -> &'static str {
    if kind == c"proc" && errno == Errno::PERM {
        " (a container that hides parts of its /proc forbids this: run it with an unmasked /proc)"
    } else {
        ""
    }
}

fn make_private(path: &str) -> Result<(), String> {
    mount_change(path, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(failed("make mounts private"))
}

fn attach(tree: BorrowedFd<'_>, target: &Path) -> Result<(), String> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| format!("cannot attach a mount to '{}': {errno}", target.display()))
}

/// A detached copy of the mount at a path.
fn open(directory: BorrowedFd<'_>, path: &Path, how: OpenTreeFlags) -> Result<OwnedFd, String> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(directory, path, flags | how)
        .map_err(|errno| format!("cannot prepare a mount of '{}': {errno}", path.display()))
}

/// Makes the working directory the root and lets go of the old one.
///
/// Nix marks the store as shared, so that it could add inputs later, and copies
/// all mounts once more, which gives them their order in `/proc/self/mountinfo`.
fn enter_root(plan: &Plan) -> Result<(), String> {
    pivot_root(".", ".").map_err(failed("change the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(failed("unmount the old root"))?;
    chdir("/").map_err(failed("enter the new root"))?;
    make_private("/")?;
    mount_change(&plan.store, MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .map_err(failed("share the store among mount namespaces"))?;
    copy_mounts().map_err(failed("copy the mounts"))
}

/// No core dumps by default; builders may ask for them.
fn limit_core_dumps() -> Result<(), String> {
    let free = Rlimit { current: Some(0), maximum: None };
    if setrlimit(Resource::Core, free).is_ok() {
        return Ok(());
    }
    // Raising a lowered hard limit takes a capability nobody here has.
    let maximum = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum })
        .map_err(failed("limit core dumps"))
}

/// Limits processes and threads of the user that this process has become. Its
/// user namespace is new, and the kernel (from 5.14 on) counts for each of
/// them: nobody else counts. Proves first that it counts at all: it does not
/// for root of the machine, by whatever number it is known here.
fn limit_processes(limit: u64) -> Result<(), String> {
    const DOING: &str = "limit the number of processes";
    let before = getrlimit(Resource::Nproc);
    let least = Rlimit { current: Some(1), maximum: before.maximum };
    setrlimit(Resource::Nproc, least).map_err(failed(DOING))?;
    match fork() {
        Err(ForkError::System(Errno::AGAIN)) => {}
        Err(error) => return Err(failed(DOING)(error)),
        Ok(Fork::Child) => exit_now(0),
        Ok(Fork::Parent(child)) => {
            let _ = waitpid(Some(child), WaitOptions::empty());
            return Err(
                "no limit on processes holds for this user, and without one a builder could stop \
                 the machine (run as an ordinary user, give root more user ids than its own, or \
                 run in a control group that may be divided: systemd-run --scope -p Delegate=yes)"
                    .to_owned(),
            );
        }
    }
    setrlimit(Resource::Nproc, Rlimit { current: Some(limit), maximum: Some(limit) })
        .map_err(failed(DOING))
}

/// Nobody in the builder's user namespace can make another one. To be called
/// while this process still has all rights in it.
fn forbid_user_namespaces() -> Result<(), String> {
    std::fs::write("/proc/sys/user/max_user_namespaces", "0")
        .map_err(failed("forbid user namespaces"))
}
