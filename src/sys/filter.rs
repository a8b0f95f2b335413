//! Giving up rights for good: seccomp filters and Landlock scopes.

#![expect(unsafe_code, reason = "neither seccomp(2) nor landlock(7) is in rustix")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
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

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct BeneathAttributes {
    allowed_access: u64,
    parent_fd: i32,
}

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const RULESET_VERSION: libc::c_long = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const RULE_PATH_BENEATH: libc::c_long = 1;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
/// `LANDLOCK_SCOPE_SIGNAL`.
const SCOPE_SIGNAL: u64 = 2;
/// The first ABI with scopes.
const SCOPES_SINCE: libc::c_long = 6;

/// The rights to files that each ABI knows, newest first: each adds one to the
/// thirteen of the first (REFER, TRUNCATE, IOCTL_DEV).
const FILE_RIGHTS: [(libc::c_long, u64); 4] = [(5, 0xffff), (3, 0x7fff), (2, 0x3fff), (1, 0x1fff)];

/// What a process gives up for good, with all its future children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confinement<'a> {
    /// Abstract Unix sockets of others.
    pub abstract_sockets: bool,
    /// Signals to others.
    pub signals: bool,
    /// Files that do not lie below this directory, however they are reached.
    /// Mounting anything is given up with them.
    pub below: Option<&'a CStr>,
}

/// The Landlock ABI of this kernel; none if it has none, or it is turned off.
#[must_use]
pub fn landlock_version() -> Option<u32> {
    // SAFETY: with this flag the kernel ignores the other arguments.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttributes>(),
            0_usize,
            RULESET_VERSION,
        )
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// Gives up what `confinement` says, as far as the kernel can.
/// `no_new_privs` must be set.
///
/// # Errors
/// A kernel that claims to be able and then fails.
pub fn confine(confinement: &Confinement<'_>) -> Result<(), Errno> {
    let Some(version) = landlock_version().map(libc::c_long::from) else { return Ok(()) };
    let mut scoped = 0;
    if version >= SCOPES_SINCE {
        scoped |= if confinement.abstract_sockets { SCOPE_ABSTRACT_UNIX_SOCKET } else { 0 };
        scoped |= if confinement.signals { SCOPE_SIGNAL } else { 0 };
    }
    let known = FILE_RIGHTS.iter().find(|(since, _)| version >= *since);
    let files = known.filter(|_| confinement.below.is_some()).map_or(0, |(_, rights)| *rights);
    if scoped == 0 && files == 0 {
        return Ok(());
    }
    let attributes = RulesetAttributes { handled_access_fs: files, handled_access_net: 0, scoped };
    // Older kernels refuse fields they do not know, even when they are 0.
    let size = if version >= SCOPES_SINCE { size_of::<RulesetAttributes>() } else { 8 };
    // SAFETY: the kernel reads `size` bytes, no more than the live structure has.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, NONE)
    })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    let ruleset = unsafe { OwnedFd::from_raw_fd(fd) };
    let ruleset_fd = libc::c_long::from(ruleset.as_raw_fd());
    if let (Some(path), true) = (confinement.below, files != 0) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty())?;
        let rule = BeneathAttributes { allowed_access: files, parent_fd: top.as_raw_fd() };
        // SAFETY: the kernel reads a live structure of the layout it expects.
        check(unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset_fd,
                RULE_PATH_BENEATH,
                &raw const rule,
                NONE,
            )
        })?;
    }
    // SAFETY: no memory is passed.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset_fd, NONE) }).map(drop)
}
