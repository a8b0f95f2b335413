//! Starting the supervisor of a build from a process with many threads.
//!
//! The supervisor is process 1 of a process namespace of its own and dies
//! with the thread that started it; when it dies, for whatever reason, the
//! kernel kills everything below it. So nothing of a build survives us.

#![expect(
    unsafe_code,
    reason = "clone(2) with shared memory, as posix_spawn(3) does, is not in rustix"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::null;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::Pid;

use super::last_errno;
use super::mount::{Access, set_access};

/// The descriptor of the control socket in the supervisor.
pub const CONTROL_FD: c_int = 3;
/// Descriptors above that one, where the program is kept meanwhile.
const PARKED_FDS: c_int = 10;

/// Stack of the child until it execs; its calls need a few hundred bytes.
const STACK_BYTES: usize = 64 * 1024;

/// A program to be started many times, through a mount that is read-only: a
/// builder can name the program it had been before (`/proc/self/exe`), and
/// where that belongs to the user it runs as, could change it (CVE-2019-5736).
#[derive(Debug)]
pub struct Image {
    path: CString,
    /// None where the file has no name any more, or is where nothing may be
    /// mounted from.
    mount: Option<OwnedFd>,
}

impl Image {
    /// Prepares the program at a path. The process must be root already.
    #[must_use]
    pub fn open(path: CString) -> Self {
        let mount = read_only(&path);
        Self { path, mount }
    }
}

/// A read-only mount of one file. A link in `/proc` may lead to where our mount
/// namespace came from; what it says leads to the same file in ours.
fn read_only(path: &CStr) -> Option<OwnedFd> {
    let wanted = rustix::fs::stat(path).ok()?;
    let said = rustix::fs::readlink(path, Vec::new());
    [Some(path.to_owned()), said.ok()].into_iter().flatten().find_map(|path| {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let mount = open_tree(CWD, &path, flags).ok()?;
        let found = rustix::fs::fstat(&mount).ok()?;
        let same = (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino);
        (same && set_access(mount.as_fd(), Access::ReadOnly).is_ok()).then_some(mount)
    })
}

/// What the child needs, prepared before it exists: it may not allocate.
struct Start {
    program: *const c_char,
    /// The program's mount, or a negative number.
    image: c_int,
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
    program: &Image,
    arguments: &[&CStr],
    control: BorrowedFd<'_>,
) -> Result<Pid, Errno> {
    let mut argv: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(null());
    let envp = [null()];
    let mut start = Start {
        program: program.path.as_ptr(),
        image: program.mount.as_ref().map_or(-1, AsRawFd::as_raw_fd),
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
        let image = libc::fcntl((*start).image, libc::F_DUPFD_CLOEXEC, PARKED_FDS);
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
        if image >= 0 {
            libc::syscall(
                libc::SYS_execveat,
                libc::c_long::from(image),
                c"".as_ptr(),
                (*start).arguments,
                (*start).environment,
                libc::c_long::from(libc::AT_EMPTY_PATH),
            );
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    /// Both when it is named itself and through a link like `/proc/self/exe`.
    #[test]
    fn a_program_cannot_change_its_own_file() {
        let busybox = std::path::Path::new("/bin/busybox");
        let root = super::super::namespace::current_root();
        if !busybox.exists() || !matches!(root, Ok(Some(_))) {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("busybox");
        std::fs::copy(busybox, &file).unwrap();
        let link = place.path().join("link");
        symlink(&file, &link).unwrap();
        let mode = file.metadata().unwrap().mode();
        let null = std::fs::File::open("/dev/null").unwrap();
        for path in [&file, &link] {
            let image = Image::open(CString::new(path.to_str().unwrap()).unwrap());
            assert!(image.mount.is_some());
            for (change, code) in [
                ([c"busybox", c"true", c""], 0),
                ([c"busybox", c"chmod", c"0777"], 1),
                ([c"busybox", c"chown", c"12345"], 1),
            ] {
                let arguments = [change.as_slice(), &[c"/proc/self/exe"]].concat();
                let pid = supervisor(&image, &arguments, null.as_fd()).unwrap();
                let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
                assert_eq!(status.exit_status(), Some(code), "{arguments:?}");
            }
        }
        let stat = file.metadata().unwrap();
        assert_eq!((stat.mode(), stat.uid()), (mode, rustix::process::geteuid().as_raw()));
    }
}
