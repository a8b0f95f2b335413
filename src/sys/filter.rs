//! Giving up rights for good: seccomp filters and Landlock scopes.

#![expect(unsafe_code, reason = "neither seccomp(2) nor landlock(7) is in rustix")]

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use super::check;

/// One instruction of a classic BPF program, as the kernel takes it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip if it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// No flags.
const NONE: libc::c_long = 0;

/// Instructions a program may have (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Filters every later system call of this process and its children.
/// `no_new_privs` must be set, or the process must have `CAP_SYS_ADMIN`.
///
/// # Errors
/// What the kernel says; `INVAL` for a program it does not accept.
pub fn load_seccomp(program: &[Instruction]) -> Result<(), Errno> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let header = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of `sock_filter`, and the kernel
    // copies `len` of them before the call returns, writing nothing.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_long::from(libc::SECCOMP_SET_MODE_FILTER),
            NONE,
            &raw const header,
        )
    })
    .map(drop)
}

/// `struct landlock_ruleset_attr` (ABI 6).
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const RULESET_VERSION: libc::c_long = 1;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
/// The first ABI with scopes.
const SCOPES_SINCE: libc::c_long = 6;

/// Puts abstract Unix sockets outside this process's future Landlock domain
/// out of its reach. Answers whether the kernel could do it.
///
/// # Errors
/// A kernel that claims to be able and then fails.
pub fn scope_abstract_sockets() -> Result<bool, Errno> {
    // SAFETY: with this flag the kernel ignores the other arguments.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttributes>(),
            0_usize,
            RULESET_VERSION,
        )
    };
    if version < SCOPES_SINCE {
        return Ok(false);
    }
    let attributes = RulesetAttributes {
        handled_access_fs: 0,
        handled_access_net: 0,
        scoped: SCOPE_ABSTRACT_UNIX_SOCKET,
    };
    // SAFETY: the kernel reads `size_of` bytes of a live structure.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<RulesetAttributes>(),
            NONE,
        )
    })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    let ruleset = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: no memory is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_restrict_self,
            libc::c_long::from(ruleset.as_raw_fd()),
            NONE,
        )
    })?;
    Ok(true)
}
