//! The supervisor of builds, one after the other: starts the builder in its
//! namespaces, maps its users, and ends it when told to or when nobody is
//! left to tell.
//!
//! It runs as process 1 of a process namespace of its own and talks over one
//! socket: a plan comes in with the builder's terminal, then perhaps a byte
//! that says "end it"; out goes one message, how the builder ended or why it
//! never began. When the socket closes, so does the supervisor.

use std::io::{IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, OpenTreeFlags, mount, mount_change};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::build::limits::Breach;
use crate::sys::namespace::copy_mounts;
use crate::sys::process::{Fork, Namespaces, exit_now, fork, fork_into};
use crate::sys::spawn::{CONTROL_FD, inherited};

use super::inside::{self, Trees};
use super::plan::{Errand, Plan, Source};
use super::shuffled;
use super::watcher::Watcher;
use super::{BUILDER_GID, BUILDER_UID};

/// Over the socket: a plan follows; the terminal comes with this byte.
pub const PLAN: u8 = b'P';

/// Over the socket: an errand follows; the terminal comes with this byte.
pub const ERRAND: u8 = b'R';

/// Over the socket: end the builder. Means nothing while there is none, as
/// when it has ended by itself at the same moment.
pub const END: u8 = b'E';

/// The largest plan that is read: far above what the kernel's limits on
/// arguments and environment let through anyway.
const MAX_PLAN_BYTES: u64 = 256 << 20;

/// How the builder ended, or why it never began, as told over the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// It was stopped at a limit.
    Stopped(Breach),
    /// It never began, or could not be watched; a sentence says why.
    Failed(String),
}

impl Message {
    /// As bytes for the socket: a length, and what has that length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, rest) = match self {
            Self::Exited(code) => (b'X', code.to_le_bytes().to_vec()),
            Self::Killed(signal) => (b'K', signal.to_le_bytes().to_vec()),
            Self::Stopped(breach) => (b'S', vec![breach.number()]),
            Self::Failed(why) => (b'F', why.clone().into_bytes()),
        };
        let length = u64::try_from(rest.len() + 1).unwrap_or(u64::MAX);
        [length.to_le_bytes().to_vec(), vec![tag], rest].concat()
    }

    /// Reads it back; `None` while it is not complete.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (tag, rest) = rest.get(..length)?.split_first()?;
        let number = || rest.try_into().ok().map(i32::from_le_bytes);
        match tag {
            b'X' => number().map(Self::Exited),
            b'K' => number().map(Self::Killed),
            b'S' => rest.first().copied().and_then(Breach::of_number).map(Self::Stopped),
            b'F' => Some(Self::Failed(String::from_utf8_lossy(rest).into_owned())),
            _ => None,
        }
    }
}

/// The whole life of the supervisor process.
#[must_use]
pub fn main() -> ExitCode {
    // Its own group: what the terminal sends to ours is not for it.
    let _ = rustix::process::setpgid(None, None);
    let Some(control) = inherited(CONTROL_FD) else { return ExitCode::from(2) };
    let mut control = Some(UnixStream::from(control));
    while let Some((kind, terminal)) = receive_terminal(control.as_ref()) {
        let message = match kind {
            ERRAND => run_errand(&mut control, terminal),
            _ => supervise(&mut control, terminal),
        };
        let message = message.unwrap_or_else(Message::Failed);
        let told = control.as_mut().map(|control| control.write_all(&message.encode()));
        if !matches!(told, Some(Ok(()))) {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Waits for the next build; the terminal comes before the plan. `None` when
/// there is nobody to ask for one.
fn receive_terminal(control: Option<&UnixStream>) -> Option<(u8, OwnedFd)> {
    loop {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [IoSliceMut::new(&mut byte)];
        match recvmsg(control?, &mut buffer, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) if received.bytes == 0 => return None,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        let terminal = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
            _ => None,
        });
        let [kind] = byte;
        if matches!(kind, PLAN | ERRAND) {
            return terminal.map(|terminal| (kind, terminal));
        }
    }
}

/// A failure of one step, as a sentence.
fn failed<E: std::fmt::Display>(action: &str) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {action}: {error}")
}

/// The socket is taken out of `control` in the builder's process.
fn supervise(control: &mut Option<UnixStream>, terminal: OwnedFd) -> Result<Message, String> {
    let bytes = read_plan(control.as_mut().ok_or("nobody to ask")?)?;
    let plan = Plan::decode(&bytes).map_err(|error| error.to_string())?;
    let trees = open_trees(&plan)?;
    // Groups the caller is in would stay with the builder. In a namespace
    // that knows one group only, they cannot be dropped.
    match rustix::thread::set_thread_groups(&[]) {
        Ok(()) | Err(Errno::PERM) => {}
        Err(errno) => return Err(failed("drop supplementary groups")(errno)),
    }
    let (mut ours, theirs) = UnixStream::pair().map_err(failed("make a socket pair"))?;
    let namespaces = Namespaces { network: plan.private_network };
    match fork_into(namespaces).map_err(|error| fork_failed(&error))? {
        Fork::Child => {
            drop((ours, control.take()));
            let code = inside::run(&plan, trees, terminal, theirs);
            exit_now(code)
        }
        Fork::Parent(builder) => {
            drop((theirs, terminal, trees));
            let handle = pidfd_open(builder, PidfdFlags::empty())
                .map_err(failed("open a handle on the builder"))?;
            let began = join_group(&plan, builder).and_then(|()| map_users(&plan, &mut ours));
            if began.is_err() {
                end(handle.as_fd());
            }
            let mut watcher = Watcher::new(&plan.guard);
            let seen = watch(control.as_ref(), &mut ours, handle.as_fd(), &mut watcher);
            let message = reap(builder)?;
            began?;
            Ok(seen.message(message))
        }
    }
}

/// Runs a program of the host, with a `/proc` of this process namespace: what
/// it reads there about itself has to be true.
fn run_errand(control: &mut Option<UnixStream>, terminal: OwnedFd) -> Result<Message, String> {
    let bytes = read_plan(control.as_mut().ok_or("nobody to ask")?)?;
    let errand = Errand::decode(&bytes).map_err(|error| error.to_string())?;
    copy_mounts().map_err(failed("copy the mounts"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(failed("make mounts private"))?;
    mount("none", "/proc", c"proc", MountFlags::empty(), None)
        .map_err(failed("mount a new '/proc'"))?;
    let (mut ours, theirs) = UnixStream::pair().map_err(failed("make a socket pair"))?;
    match fork().map_err(|error| fork_failed(&error))? {
        Fork::Child => {
            drop((ours, control.take()));
            exit_now(inside::run_errand(&errand, terminal, theirs))
        }
        Fork::Parent(child) => {
            drop((theirs, terminal));
            let handle = pidfd_open(child, PidfdFlags::empty())
                .map_err(failed("open a handle on the program"))?;
            let mut watcher = Watcher::new(&errand.guard);
            let seen = watch(control.as_ref(), &mut ours, handle.as_fd(), &mut watcher);
            Ok(seen.message(reap(child)?))
        }
    }
}

fn read_plan(control: &mut UnixStream) -> Result<Vec<u8>, String> {
    let mut length = [0; 8];
    control.read_exact(&mut length).map_err(failed("read the plan"))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_PLAN_BYTES {
        return Err(format!("the plan has {length} bytes (expected at most {MAX_PLAN_BYTES})"));
    }
    let mut bytes = Vec::new();
    control.take(length).read_to_end(&mut bytes).map_err(failed("read the plan"))?;
    Ok(bytes)
}

/// Copies of the mounts the world is made of, taken while we still may
/// go wherever they are.
fn open_trees(plan: &Plan) -> Result<Trees, String> {
    let open = |path: &std::path::Path| {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        rustix::mount::open_tree(rustix::fs::CWD, path, flags)
            .map_err(|errno| format!("cannot prepare a mount of '{}': {errno}", path.display()))
    };
    let hosts = plan.binds.iter().map(|bind| match (&bind.source, bind.shuffled) {
        (Source::Entry { directory, name }, Some(shuffle)) => {
            let index = usize::try_from(*directory).unwrap_or(usize::MAX);
            let directory = plan.directories.get(index).ok_or("the plan lacks a directory")?;
            shuffled::copy(&directory.join(name), shuffle).map(Some)
        }
        (Source::Host(path), _) => open(path).map(Some),
        (Source::Entry { .. } | Source::Public(_), _) => Ok(None),
    });
    // In the order in which Nix mounts, which is how they are listed inside.
    Ok(Trees {
        root: open(&plan.root)?,
        store: open(&plan.root.join(&plan.store))?,
        directories: plan.directories.iter().map(|path| open(path)).collect::<Result<_, _>>()?,
        hosts: hosts.collect::<Result<_, _>>()?,
    })
}

fn fork_failed(error: &crate::sys::process::ForkError) -> String {
    let hint = match error {
        crate::sys::process::ForkError::System(Errno::PERM | Errno::NOSPC | Errno::USERS) => {
            format!(" ({})", crate::sys::namespace::forbidding_setting())
        }
        _ => String::new(),
    };
    format!("cannot clone into new namespaces: {error}{hint}")
}

/// Writes the builder's id maps and lets it go on.
fn map_users(plan: &Plan, builder: &mut UnixStream) -> Result<(), String> {
    // Its number in the /proc we see, which is not that of our namespace.
    let mut number = [0; 4];
    builder.read_exact(&mut number).map_err(failed("hear from the builder"))?;
    let process = u32::from_le_bytes(number);
    let write = |file: &str, text: String| {
        let path = format!("/proc/{process}/{file}");
        std::fs::write(&path, text).map_err(|error| format!("cannot write '{path}': {error}"))
    };
    write("uid_map", format!("{BUILDER_UID} {} 1", plan.uid))?;
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("{BUILDER_GID} {} 1", plan.gid))?;
    builder.write_all(&[1]).map_err(failed("let the builder go on"))
}

/// Puts the builder, which waits, into the control group that holds it.
fn join_group(plan: &Plan, builder: Pid) -> Result<(), String> {
    let Some(group) = &plan.guard.group else { return Ok(()) };
    let path = group.join("cgroup.procs");
    std::fs::write(&path, builder.as_raw_pid().to_string())
        .map_err(|error| format!("cannot write '{}': {error}", path.display()))
}

fn end(builder: BorrowedFd<'_>) {
    // It may have ended by itself.
    let _ = pidfd_send_signal(builder, Signal::KILL);
}

/// What was seen of a builder before its end.
#[derive(Debug, Default)]
struct Seen {
    /// What went wrong before it became the derivation's program, or with
    /// watching it.
    complaint: String,
    /// The limit it was stopped at.
    breach: Option<Breach>,
}

impl Seen {
    /// What to tell of a builder that ended as `message` says.
    fn message(self, message: Message) -> Message {
        match self {
            Self { complaint, .. } if !complaint.is_empty() => Message::Failed(complaint),
            Self { breach: Some(breach), .. } => Message::Stopped(breach),
            Self { .. } => message,
        }
    }
}

/// Waits for the builder to end; ends it when told to, when it reaches a
/// limit, or when the socket closes because nobody is there any more.
fn watch(
    mut control: Option<&UnixStream>,
    builder: &mut UnixStream,
    handle: BorrowedFd<'_>,
    watcher: &mut Watcher<'_>,
) -> Seen {
    let mut seen = Seen::default();
    let mut complaint = Vec::new();
    let mut may_complain = true;
    let mut ending = false;
    loop {
        let mut polled = vec![PollFd::from_borrowed_fd(handle, PollFlags::IN)];
        if let Some(control) = &control {
            polled.push(PollFd::new(*control, PollFlags::IN));
        }
        if may_complain {
            polled.push(PollFd::new(builder, PollFlags::IN));
        }
        let period = watcher.period();
        let pause =
            Timespec { tv_sec: 0, tv_nsec: i64::from(period.subsec_nanos()).min(999_999_999) };
        match poll(&mut polled, (!ending).then_some(&pause)) {
            Ok(0) if !ending => {
                match watcher.look() {
                    Ok(None) => continue,
                    Ok(breach) => seen.breach = breach,
                    Err(why) => complaint.extend_from_slice(why.as_bytes()),
                }
                ending = true;
                end(handle);
                continue;
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => end(handle),
        }
        let ready: Vec<i32> = polled
            .iter()
            .filter(|fd| !fd.revents().is_empty())
            .map(|fd| fd.as_fd().as_raw_fd())
            .collect();
        if let Some(mut told) = control.take_if(|control| ready.contains(&control.as_raw_fd())) {
            let _ = told.read(&mut [0]);
            ending = true;
            end(handle);
        }
        if may_complain && ready.contains(&builder.as_raw_fd()) {
            let mut chunk = [0; 1024];
            match builder.read(&mut chunk) {
                Ok(length) if length > 0 => {
                    complaint.extend_from_slice(chunk.get(..length).unwrap_or_default());
                }
                _ => may_complain = false,
            }
        } else if ready.contains(&handle.as_raw_fd()) {
            seen.complaint = String::from_utf8_lossy(&complaint).into_owned();
            return seen;
        }
    }
}

fn reap(builder: Pid) -> Result<Message, String> {
    loop {
        match waitpid(Some(builder), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(code) = status.exit_status() {
                    return Ok(Message::Exited(code));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Message::Killed(signal));
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("wait for the builder")(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back() {
        for message in [
            Message::Exited(0),
            Message::Exited(255),
            Message::Killed(9),
            Message::Stopped(Breach::Disk),
            Message::Failed("no".to_owned()),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(b""), None);
        assert_eq!(Message::decode(b"X\0"), None);
        assert_eq!(Message::decode(b"?"), None);
    }
}
