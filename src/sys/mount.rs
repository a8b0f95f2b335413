//! Changing a whole mount tree at once, before it is attached.

#![expect(unsafe_code, reason = "mount_setattr(2) is not in rustix")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use super::check;

/// Whether a mount may be written through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Writes fail with EROFS.
    ReadOnly,
    /// Writes are left to ownership and modes.
    ReadWrite,
}

/// Sets the access of a mount and everything mounted below it.
///
/// # Errors
/// What the kernel says; `NOSYS` before Linux 5.12, `PERM` where a mount
/// inherited from a more privileged namespace is locked read-only.
pub fn set_access(tree: BorrowedFd<'_>, access: Access) -> Result<(), Errno> {
    let (set, clear) = match access {
        Access::ReadOnly => (libc::MOUNT_ATTR_RDONLY, 0),
        Access::ReadWrite => (0, libc::MOUNT_ATTR_RDONLY),
    };
    let attributes =
        libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    // SAFETY: an empty path with AT_EMPTY_PATH means the descriptor itself,
    // and the kernel reads `size_of` bytes of a live structure.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::c_long::from(tree.as_raw_fd()),
            c"".as_ptr(),
            libc::c_long::from(libc::AT_EMPTY_PATH | libc::AT_RECURSIVE),
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}
