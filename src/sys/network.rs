//! Fresh network namespaces and their loopback interface.

#![expect(
    unsafe_code,
    reason = "setting the flags of an interface is not in rustix; unshare(2) is unsafe there for a flag that is not used here"
)]

use std::os::fd::AsRawFd as _;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::check;

/// `SIOCSIFFLAGS` of `linux/sockios.h`, as the C library at hand wants it.
const SET_FLAGS: libc::Ioctl = 0x8914;

/// Brings `lo` up; the kernel then gives it 127.0.0.1 and ::1.
///
/// # Errors
/// What the kernel says.
pub fn loopback_up() -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let flags = libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING;
    let mut name = [0; libc::IFNAMSIZ];
    for (slot, byte) in name.iter_mut().zip(*b"lo") {
        *slot = libc::c_char::from_ne_bytes([byte]);
    }
    let request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: libc::c_short::try_from(flags).map_err(|_| Errno::INVAL)?,
        },
    };
    // SAFETY: the kernel reads one `ifreq`, which lives across the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SET_FLAGS, &raw const request) }.into())
        .map(drop)
}

/// Moves the calling thread, and what it starts from then on, into a network
/// namespace with nothing in it, not even a loopback interface that is up.
///
/// # Errors
/// What the kernel says, if the process may not make namespaces.
pub fn leave_network() -> Result<(), Errno> {
    // SAFETY: the flag that makes this unsafe, FILES, is not used.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
}
