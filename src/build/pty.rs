//! The terminal a builder writes to.
//!
//! Nix gives builders a pseudoterminal in raw mode, of no size, so that
//! `isatty` holds and nothing is translated. Its slave side belongs to the
//! builder; its name does not exist in the sandbox.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::outcome::BuildError;

/// Both sides of a pseudoterminal.
#[derive(Debug)]
pub struct Terminal {
    /// Our side: yields what the builder writes, and EIO when the other side
    /// is closed everywhere.
    pub master: OwnedFd,
    /// The builder's side.
    pub slave: OwnedFd,
}

impl Terminal {
    /// Opens a new one whose slave side belongs to `owner`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(owner: u32) -> Result<Self, BuildError> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).map_err(BuildError::system("open a pseudoterminal"))?;
        unlockpt(&master).map_err(BuildError::system("unlock a pseudoterminal"))?;
        // By its name, as Nix does: the builder can ask how it was opened. Where
        // the name leads nowhere, the kernel knows it all the same.
        let slave = ptsname(&master, Vec::new())
            .and_then(|name| {
                let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open(name, flags, Mode::empty())
            })
            .or_else(|_| ioctl_tiocgptpeer(&master, flags))
            .map_err(BuildError::system("open the slave side of a pseudoterminal"))?;
        let mut settings =
            tcgetattr(&slave).map_err(BuildError::system("read terminal settings"))?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)
            .map_err(BuildError::system("put a terminal into raw mode"))?;
        give(&slave, owner).map_err(BuildError::system("give the terminal to the build user"))?;
        Ok(Self { master, slave })
    }
}

fn give(slave: &OwnedFd, owner: u32) -> Result<(), Errno> {
    let slave = slave.as_fd();
    rustix::fs::fchmod(slave, Mode::RUSR | Mode::WUSR)?;
    // The group first: in a private user namespace the terminal's group is
    // unknown, and only files of known groups may change hands.
    rustix::fs::fchown(slave, None, Some(Gid::ROOT))?;
    rustix::fs::fchown(slave, Some(Uid::from_raw(owner)), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_unchanged_and_the_end_is_seen() {
        let terminal = Terminal::open(rustix::process::getuid().as_raw()).unwrap();
        assert!(rustix::termios::isatty(&terminal.slave));
        let size = rustix::termios::tcgetwinsize(&terminal.slave).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (0, 0));
        let bytes = b"a\nb\r\x04\x03\x1a\xff";
        rustix::io::write(&terminal.slave, bytes).unwrap();
        let mut buffer = [0; 64];
        let length = rustix::io::read(&terminal.master, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], bytes);
        drop(terminal.slave);
        assert_eq!(rustix::io::read(&terminal.master, &mut buffer), Err(Errno::IO));
    }
}
