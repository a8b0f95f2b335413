//! What `--hardened` takes away beyond a world: the system calls, by number.
//!
//! Numbers are those of the kernel's `syscall_64.tbl`, `syscall_32.tbl`,
//! `unistd.h` (asm-generic) and `syscall.tbl` of arm. From 424 on they are the
//! same everywhere.

/// The calls of one ABI.
pub struct Calls {
    /// Fail with EPERM: tracing and reading others, mounts, namespaces,
    /// keyrings, loading code into the kernel, performance counters, page
    /// faults in user space, descriptor tables, and what only root may anyway.
    pub refused: &'static [u32],
    /// Fail with ENOSYS, as on a kernel without them: calls whose arguments a
    /// filter cannot see.
    pub absent: &'static [u32],
    /// `clone`: its flags are argument 0.
    pub clone: u32,
    /// `socket`: its family is argument 0.
    pub socket: u32,
}

/// `ptrace mount umount2 pivot_root unshare setns add_key request_key keyctl
/// bpf userfaultfd perf_event_open process_vm_readv process_vm_writev kcmp
/// kexec_load kexec_file_load init_module finit_module delete_module
/// modify_ldt open_by_handle_at acct swapon swapoff reboot syslog quotactl`
pub const X86_64: Calls = Calls {
    refused: &[
        101, 165, 166, 155, 272, 308, 248, 249, 250, 321, 323, 298, 310, 311, 312, 246, 320, 175,
        313, 176, 154, 304, 163, 167, 168, 169, 103, 179,
    ],
    absent: &[],
    clone: 56,
    socket: 41,
};

/// The same, with `umount`; there is no `kexec_file_load`. `socketcall` hides
/// what kind of socket it makes.
pub const I386: Calls = Calls {
    refused: &[
        26, 21, 22, 52, 217, 310, 346, 286, 287, 288, 357, 374, 336, 347, 348, 349, 283, 128, 350,
        129, 123, 342, 51, 87, 115, 88, 103, 131,
    ],
    absent: &[102],
    clone: 120,
    socket: 359,
};

/// The same as on x86_64; there is no `modify_ldt`.
pub const AARCH64: Calls = Calls {
    refused: &[
        117, 40, 39, 41, 97, 268, 217, 218, 219, 280, 282, 241, 270, 271, 272, 104, 294, 105, 273,
        106, 265, 89, 224, 225, 142, 116, 60,
    ],
    absent: &[],
    clone: 220,
    socket: 198,
};

/// The same; there is no `modify_ldt`.
pub const ARM: Calls = Calls {
    refused: &[
        26, 21, 52, 218, 337, 375, 309, 310, 311, 386, 388, 364, 376, 377, 378, 347, 401, 128, 379,
        129, 371, 51, 87, 115, 88, 103, 131,
    ],
    absent: &[102],
    clone: 120,
    socket: 281,
};

/// Refused with EPERM, with one number on every machine: `io_uring_setup
/// io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig
/// fsmount fspick pidfd_getfd mount_setattr quotactl_fd memfd_secret
/// setxattrat open_tree_attr`.
pub const REFUSED_EVERYWHERE: [u32; 15] =
    [425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 443, 447, 463, 467];

/// `clone3`, whose flags lie in memory: C libraries then use `clone`.
pub const CLONE3: u32 = 435;

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`,
/// `NEWNET`.
pub const NAMESPACE_FLAGS: u32 = 0x7e02_0000;

/// Families of sockets that builds use: Unix, IPv4, IPv6, netlink. Not among
/// them is AF_VSOCK, which reaches the host of a virtual machine past every
/// network namespace.
pub const SOCKET_FAMILIES: [u32; 4] = [1, 2, 10, 16];

/// EAFNOSUPPORT: what a kernel without that family says.
pub const REFUSED_SOCKET: u32 = 97;
