//! Kills a process right before its n-th operation on files, whichever of its
//! threads does it. Builders and supervisors are processes of their own and
//! not looked at.

#![expect(unsafe_code, reason = "ptrace(2) is in no crate that is used here")]

use std::collections::BTreeSet;
use std::ffi::c_long;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::ptr::null_mut;

/// How a traced process ended.
pub enum Ended {
    /// Before the operation.
    Killed,
    /// There are not so many.
    Done {
        /// How many there are.
        operations: u64,
    },
}

const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// Runs a command and kills it before its operation of that number, from 1.
pub fn killed_before(command: Command, number: u64) -> Ended {
    // A shell that stops itself becomes the program when it is let go.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(command.get_program());
    shell.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.current_dir(command.get_current_dir().unwrap());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let pid = i32::try_from(shell.spawn().unwrap().id()).unwrap();

    assert_eq!(wait(pid, libc::WUNTRACED).0, pid);
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    trace(libc::PTRACE_SEIZE, pid, options.into());
    // SAFETY: a signal to a child of ours.
    unsafe { libc::kill(pid, libc::SIGCONT) };

    let (mut running, mut operations) = (false, 0);
    loop {
        // Only what this thread started or traces: other tests run beside it.
        let (thread, status) = wait(-1, libc::__WALL | libc::__WNOTHREAD);
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if thread == pid {
                return Ended::Done { operations };
            }
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let mut pass_on = 0;
        if signal == SYSCALL_STOP {
            if running && is_operation(thread) {
                operations += 1;
                if operations == number {
                    // SAFETY: a signal to a child of ours.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    reap(pid);
                    return Ended::Killed;
                }
            }
        } else if event == libc::PTRACE_EVENT_EXEC {
            running = true;
        } else if event == 0 {
            pass_on = signal;
        }
        trace_if_alive(libc::PTRACE_SYSCALL, thread, pass_on.into());
    }
}

/// Waits until nothing of the process is left.
fn reap(pid: i32) {
    loop {
        let (thread, status) = wait(-1, libc::__WALL | libc::__WNOTHREAD);
        if thread == pid && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)) {
            return;
        }
        if !libc::WIFEXITED(status) && !libc::WIFSIGNALED(status) {
            trace_if_alive(libc::PTRACE_CONT, thread, 0);
        }
    }
}

fn wait(pid: i32, options: i32) -> (i32, i32) {
    let mut status = 0;
    // SAFETY: the kernel writes one number, which lives across the call.
    let thread = unsafe { libc::waitpid(pid, &raw mut status, options) };
    assert!(thread > 0, "{}", std::io::Error::last_os_error());
    (thread, status)
}

fn trace(request: libc::c_uint, thread: i32, data: c_long) {
    assert!(trace_if_alive(request, thread, data), "{}", std::io::Error::last_os_error());
}

fn trace_if_alive(request: libc::c_uint, thread: i32, data: c_long) -> bool {
    // SAFETY: none of the requests made here reads or writes our memory.
    unsafe { libc::ptrace(request, thread, null_mut::<u8>(), data) == 0 }
}

/// Whether a thread that has stopped is about to change a file system.
fn is_operation(thread: i32) -> bool {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: the kernel writes at most `size` bytes to `info`, for which all
    // zeros and whatever the kernel writes are valid.
    let info = unsafe {
        let length = libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, size, info.as_mut_ptr());
        if length <= 0 {
            return false;
        }
        info.assume_init()
    };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return false;
    }
    // SAFETY: at an entry, this is the part that the kernel has written.
    let entry = unsafe { info.u.entry };
    let number = c_long::try_from(entry.nr).unwrap();
    let changing = BTreeSet::from([
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_mkdir,
        libc::SYS_mkdirat,
        libc::SYS_unlink,
        libc::SYS_unlinkat,
        libc::SYS_rmdir,
        libc::SYS_link,
        libc::SYS_linkat,
        libc::SYS_symlink,
        libc::SYS_symlinkat,
        libc::SYS_ftruncate,
        libc::SYS_flock,
    ]);
    let creates = |flags: u64| flags & u64::try_from(libc::O_CREAT).unwrap() != 0;
    changing.contains(&number)
        || (number == libc::SYS_openat && creates(entry.args[2]))
        || (number == libc::SYS_open && creates(entry.args[1]))
}
