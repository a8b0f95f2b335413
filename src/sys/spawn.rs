//! Starting the supervisor of a build from a process with many threads.
//!
//! The supervisor is process 1 of a process namespace of its own and dies
//! with the thread that started it; when it dies, for whatever reason, the
//! kernel kills everything below it. So nothing of a build survives us.

#![expect(
    unsafe_code,
    reason = "clone(2) with shared memory, as posix_spawn(3) does, is not in rustix"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::null;

use rustix::io::Errno;
use rustix::process::Pid;

use super::last_errno;

/// The descriptor of the control socket in the supervisor.
pub const CONTROL_FD: c_int = 3;

/// Stack of the child until it execs; its calls need a few hundred bytes.
const STACK_BYTES: usize = 64 * 1024;

/// What the child needs, prepared before it exists: it may not allocate.
struct Start {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    control: c_int,
    /// Where the child leaves the reason it could not exec.
    errno: c_int,
}

/// Starts `program` as process 1 of a new process namespace, with `control`
/// as descriptor 3 and an empty environment. Its signals are blocked until it
/// unblocks them. It dies with the calling thread.
///
/// # Errors
/// What the kernel says, to the clone or to the exec.
pub fn supervisor(
    program: &CStr,
    arguments: &[&CStr],
    control: BorrowedFd<'_>,
) -> Result<Pid, Errno> {
    let mut argv: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(null());
    let envp = [null()];
    let mut start = Start {
        program: program.as_ptr(),
        arguments: argv.as_ptr(),
        environment: envp.as_ptr(),
        control: control.as_raw_fd(),
        errno: 0,
    };
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK_BYTES / size_of::<u128>());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_NEWPID | libc::SIGCHLD;

    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: plain initialisation, then a swap of this thread's mask: no
    // handler may run in the child while it shares our memory.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    // SAFETY: `capacity` elements of 16 bytes are allocated from the start,
    // so the end is in bounds (one past) and aligned for a stack growing
    // down. CLONE_VFORK stops this thread until the child has exec'd or
    // exited, so stack and `start` outlive its use, and nothing else writes
    // to them. `child` only makes system calls.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(child, top.cast(), flags, (&raw mut start).cast())
    };
    let failed = (pid < 0).then(last_errno);
    // SAFETY: `before` was filled by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };

    if let Some(errno) = failed {
        return Err(errno);
    }
    let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
    // SAFETY: the child wrote it, if at all, before this thread went on.
    let errno = unsafe { (&raw const start.errno).read_volatile() };
    if errno == 0 {
        return Ok(pid);
    }
    // The child has exited; collect it.
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    Err(Errno::from_raw_os_error(errno))
}

/// The child between clone and exec: system calls only, no allocation, no
/// panic, no return.
extern "C" fn child(start: *mut c_void) -> c_int {
    let start = start.cast::<Start>();
    // SAFETY: `start` points to the parent's live structure; the parent is
    // stopped. All calls are async-signal-safe.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // A descriptor that is in its place already keeps its close-on-exec.
        let placed = if (*start).control == CONTROL_FD {
            libc::fcntl(CONTROL_FD, libc::F_SETFD, 0)
        } else {
            libc::dup2((*start).control, CONTROL_FD)
        };
        if placed < 0 {
            (*start).errno = *libc::__errno_location();
            libc::_exit(127);
        }
        // Whatever else is open without close-on-exec is none of its business.
        libc::syscall(
            libc::SYS_close_range,
            libc::c_long::from(CONTROL_FD + 1),
            libc::c_long::from(c_int::MAX),
            libc::c_long::from(libc::CLOSE_RANGE_CLOEXEC),
        );
        libc::execve((*start).program, (*start).arguments, (*start).environment);
        (*start).errno = *libc::__errno_location();
        libc::_exit(127);
    }
}

/// Takes over a descriptor that this process was started with. `None` if
/// nothing is open there.
#[must_use]
pub fn inherited(fd: c_int) -> Option<OwnedFd> {
    // SAFETY: fcntl on a number that may not be open only answers EBADF.
    let flags = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the descriptor is open, was set up by `supervisor` for this
    // purpose, and is taken here once at the very start of the process.
    (flags == 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}
