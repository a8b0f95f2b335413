//! System calls: the one place where `unsafe` is allowed.
//!
//! Whatever `rustix` offers safely is taken from there; these modules hold
//! only what it does not, each behind a safe function.

#![allow(
    clippy::disallowed_methods,
    reason = "this is where the system is touched, on behalf of the rooms that may"
)]

pub mod filter;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod process;
pub mod spawn;

use rustix::io::Errno;

/// The result of a raw system call: `-1` means `errno`.
fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

/// The `errno` of this thread.
fn last_errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
