//! Starting the builder: clone into namespaces, signals, personality, exec.

#![expect(
    unsafe_code,
    reason = "clone(2), sigaction(2), personality(2), keyctl(2) and execve(2) are not in rustix"
)]

use std::ffi::{CStr, CString};
use std::ptr::null;

use rustix::io::Errno;
use rustix::process::Pid;

use super::check;

/// Which namespaces a builder gets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces {
    /// A network namespace too; without it the builder is on the network of
    /// whoever starts it.
    pub network: bool,
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Fork {
    /// The process that called; holds the new process.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Why a fork cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// Other threads exist, whose locks the child would hold for ever.
    #[error("the process has {0} threads where one is expected")]
    Threads(usize),
    /// What the kernel says.
    #[error(transparent)]
    System(#[from] Errno),
}

/// Forks into new user, process, mount, IPC and host name namespaces.
/// The child is process 1 of its process namespace and has all capabilities
/// in its user namespace, whose id maps are empty until the parent writes
/// them.
///
/// # Errors
/// Refused in a process with several threads.
pub fn fork_into(namespaces: Namespaces) -> Result<Fork, ForkError> {
    let mut flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::SIGCHLD;
    if namespaces.network {
        flags |= libc::CLONE_NEWNET;
    }
    fork_with(flags)
}

/// A plain fork.
///
/// # Errors
/// Refused in a process with several threads.
pub fn fork() -> Result<Fork, ForkError> {
    fork_with(libc::SIGCHLD)
}

fn fork_with(flags: libc::c_int) -> Result<Fork, ForkError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(ForkError::Threads(threads));
    }
    // SAFETY: without a stack and without CLONE_VM this is fork(2): the
    // child has a copy of all memory. No other thread exists (checked above)
    // whose locks the copy could hold, and thread-local data of the C
    // library stays right because the child's only thread is the caller's.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags),
            null::<u8>(),
            null::<u8>(),
            null::<u8>(),
            null::<u8>(),
        )
    })?;
    let pid = i32::try_from(pid).map_err(|_| Errno::INVAL)?;
    Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Ends this process at once, running nothing of its exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) cannot fail and touches no memory.
    unsafe { libc::_exit(code) }
}

/// `struct sigaction` as the kernel takes it, large enough for every machine.
#[repr(C)]
struct KernelAction {
    handler: usize,
    rest: [u64; 4],
}

/// The size of the kernel's signal sets, in bytes.
const SIGNAL_SET_BYTES: usize = 8;
/// Signals are numbered from 1 to this.
const LAST_SIGNAL: libc::c_int = 64;

/// Puts every signal back to its default action and unblocks all: also the
/// two that C libraries keep for themselves and that callers may have left
/// ignored.
pub fn reset_signals() {
    let default = KernelAction { handler: libc::SIG_DFL, rest: [0; 4] };
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the default action runs no code. The kernel reads less
        // than this structure holds. Signals whose action cannot be changed
        // answer with an error, which is fine.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                libc::c_long::from(signal),
                &raw const default,
                null::<KernelAction>(),
                SIGNAL_SET_BYTES,
            )
        };
    }
    let none = 0_u64;
    // SAFETY: the kernel reads 8 bytes of a live number.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::c_long::from(libc::SIG_SETMASK),
            &raw const none,
            null::<u64>(),
            SIGNAL_SET_BYTES,
        )
    };
}

/// Makes this process and its children see a 32-bit machine.
pub const PER_LINUX32: u64 = 0x0008;
/// Makes memory addresses the same in every run.
pub const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;

/// Adds to the personality of this process; `PER_LINUX32` replaces it.
///
/// # Errors
/// What the kernel says.
pub fn add_personality(bits: u64) -> Result<(), Errno> {
    /// Asks for the personality without changing it.
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: personality(2) takes and returns plain numbers.
    let current = check(unsafe { libc::personality(QUERY) }.into())?;
    let current = u64::try_from(current).map_err(|_| Errno::INVAL)?;
    // SAFETY: as above.
    check(unsafe { libc::personality(current | bits) }.into()).map(drop)
}

/// `KEYCTL_JOIN_SESSION_KEYRING`.
const JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Leaves the session keyring that this process inherited for a new empty
/// one: keyrings belong to no namespace, and whoever holds one may read its
/// keys, whatever user that is. A kernel without keys has nothing to leave,
/// and where the call is filtered it is so for all that comes after.
///
/// # Errors
/// What the kernel says, such as `DQUOT` for a user with too many keys.
pub fn leave_session_keyring() -> Result<(), Errno> {
    // SAFETY: without a name no memory is passed.
    match check(unsafe {
        libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, null::<libc::c_char>())
    }) {
        Ok(_) | Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Becomes another program. Only returns if that fails.
#[must_use]
pub fn execve(program: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(null());
        pointers
    };
    let (argv, envp) = (pointers(arguments), pointers(environment));
    // SAFETY: all three are terminated arrays of terminated strings that
    // live until the call replaces this process or returns.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    super::last_errno()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forking_with_threads_is_refused() {
        // The test harness itself runs tests in threads.
        assert!(matches!(fork(), Err(ForkError::Threads(n)) if n > 1));
    }
}
