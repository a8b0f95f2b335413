//! Becoming root in a namespace of one's own.
//!
//! A sandbox needs somebody who may mount, map users and change owners.
//! Root may. An ordinary user becomes root of a private user namespace:
//! with a range of subordinate ids (`/etc/subuid`, through the setuid
//! helpers `newuidmap` and `newgidmap`) builder and owner of the inputs are
//! different users as under a Nix daemon, without one they are the same.
//! From there on the two are treated alike.

#![expect(unsafe_code, reason = "unshare(2) is unsafe in rustix for a flag that is not used here")]

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Command;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, WaitOptions, getegid, geteuid, getpid, waitpid};
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::process::{Fork, ForkError, exit_now, fork};

/// What being root means to this process: who owns files, and how many
/// users it can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// Root of the machine (or of a container that maps many ids).
    HostRoot,
    /// An ordinary user as root of a user namespace with a range of
    /// subordinate ids, from `/etc/subuid`.
    SubIds,
    /// An ordinary user as root of a user namespace that knows only itself:
    /// builder and owner of the inputs are one and the same.
    SingleId,
}

impl RootKind {
    /// A short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostRoot => "root",
            Self::SubIds => "subordinate-ids",
            Self::SingleId => "single-id",
        }
    }

    /// Whether builder and owner of the inputs are different users, as under
    /// a Nix daemon.
    #[must_use]
    pub const fn separates_owner(self) -> bool {
        !matches!(self, Self::SingleId)
    }
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why namespaces cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The kernel or its settings forbid user namespaces.
    #[error(
        "user namespaces are forbidden here: {setting} (ask the administrator to allow them, or run as root)"
    )]
    Forbidden {
        /// The setting that forbids them, and its value.
        setting: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Namespaces must be entered before any thread is started.
    #[error("cannot enter a namespace: {0}")]
    Fork(#[from] ForkError),
    /// A step of entering a namespace failed.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

fn failed<E: Into<std::io::Error>>(action: &'static str) -> impl FnOnce(E) -> NamespaceError {
    move |error| NamespaceError::System { action, source: error.into() }
}

/// One line of an id map: `inside` to `inside + count` are `outside` and up
/// in the namespace of whoever reads the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id in this namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The user ids this process can name, from `/proc/self/uid_map`.
///
/// # Errors
/// An unreadable `/proc`.
pub fn user_ids() -> Result<Vec<IdRange>, NamespaceError> {
    let map = fs::read_to_string("/proc/self/uid_map");
    map.map(|map| parse_map(&map)).map_err(failed("read /proc/self/uid_map"))
}

/// The group ids this process can name, from `/proc/self/gid_map`.
///
/// # Errors
/// An unreadable `/proc`.
pub fn group_ids() -> Result<Vec<IdRange>, NamespaceError> {
    let map = fs::read_to_string("/proc/self/gid_map");
    map.map(|map| parse_map(&map)).map_err(failed("read /proc/self/gid_map"))
}

fn parse_map(map: &str) -> Vec<IdRange> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace().map(str::parse);
        let mut next = || fields.next()?.ok();
        Some(IdRange { inside: next()?, outside: next()?, count: next()? })
    };
    map.lines().filter_map(line).collect()
}

/// What kind of root this process is already, if it is one that may mount
/// and map users.
///
/// # Errors
/// An unreadable `/proc`.
pub fn current_root() -> Result<Option<RootKind>, NamespaceError> {
    let needed = CapabilitySet::SYS_ADMIN
        | CapabilitySet::SETUID
        | CapabilitySet::SETGID
        | CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER;
    let held = rustix::thread::capabilities(None).map_err(failed("read capabilities"))?;
    if !geteuid().is_root() || !held.effective.contains(needed) {
        return Ok(None);
    }
    Ok(Some(kind_of(&user_ids()?)))
}

/// Tells from its user ids what kind of root somebody is.
fn kind_of(ids: &[IdRange]) -> RootKind {
    match ids {
        [] | [IdRange { count: 1, .. }] => RootKind::SingleId,
        [IdRange { inside: 0, count: 1, .. }, ..] => RootKind::SubIds,
        _ => RootKind::HostRoot,
    }
}

/// Enters a new mount namespace with copies of all mounts.
///
/// # Errors
/// What the kernel says; `PERM` without capabilities in the user namespace.
pub fn copy_mounts() -> Result<(), rustix::io::Errno> {
    // SAFETY: the flag that makes this unsafe, FILES, is not used.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Makes this process root: does nothing for a root that may mount and map
/// users, else enters a private user and mount namespace. To be called
/// before any thread is started.
///
/// # Errors
/// [`NamespaceError::Forbidden`] names the setting that stands in the way.
pub fn enter_private_root() -> Result<RootKind, NamespaceError> {
    if let Some(kind) = current_root()? {
        return Ok(kind);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let (mapper, start, done) = start_mapper(uid, gid)?;

    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS;
    // SAFETY: the flag that makes this unsafe, FILES, is not used.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(forbidden)?;
    // Entering a user namespace makes /proc/self belong to the machine's root.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
        .map_err(failed("make this process readable to itself"))?;

    let mapped = run_mapper(mapper, start, done);
    if !mapped {
        map_only_self(uid, gid)?;
    }
    // Proof that the namespace is worth something: AppArmor may let it be
    // made and then take every capability in it away.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(forbidden)?;
    current_root()?.ok_or_else(|| forbidden(rustix::io::Errno::PERM))
}

/// Forks a helper that stays outside and, told so, has the subordinate ids
/// mapped into this process's new namespace: it has to be told by somebody
/// who is not inside.
fn start_mapper(uid: u32, gid: u32) -> Result<(Pid, fs::File, fs::File), NamespaceError> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (start_read, start_write) = pipe().map_err(failed("make a pipe"))?;
    let (done_read, done_write) = pipe().map_err(failed("make a pipe"))?;
    let target = getpid();
    match fork()? {
        Fork::Parent(helper) => Ok((helper, start_write.into(), done_read.into())),
        Fork::Child => {
            drop((start_write, done_read));
            let mut go = [0];
            let told = fs::File::from(start_read).read_exact(&mut go).is_ok();
            if told && map_range(target, uid, gid) {
                let _ = fs::File::from(done_write).write_all(&[1]);
            }
            exit_now(0)
        }
    }
}

/// Has the helper work, and answers whether it could.
fn run_mapper(helper: Pid, mut start: fs::File, mut done: fs::File) -> bool {
    let mut answer = [0];
    let mapped = start.write_all(&[1]).is_ok() && done.read_exact(&mut answer).is_ok();
    let _ = waitpid(Some(helper), WaitOptions::empty());
    mapped
}

/// Maps root of the namespace of `target` to `uid` and `gid`, and ids from 1
/// to their subordinate ids, through the setuid helpers.
fn map_range(target: Pid, uid: u32, gid: u32) -> bool {
    let name = user_name(uid);
    let (Some(users), Some(groups)) = (
        subordinate("/etc/subuid", uid, name.as_deref()),
        subordinate("/etc/subgid", uid, name.as_deref()),
    ) else {
        return false;
    };
    let run = |program: &str, own: u32, range: IdRange| {
        Command::new(program)
            .arg(target.as_raw_pid().to_string())
            .args(["0", &own.to_string(), "1"])
            .args(["1", &range.outside.to_string(), &range.count.to_string()])
            .env("PATH", HELPER_PATH)
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    // Groups last: once users are mapped, a failure cannot be taken back,
    // and a namespace without groups would be useless.
    run("newgidmap", gid, groups) && run("newuidmap", uid, users)
}

/// Where the setuid helpers are found, NixOS included.
const HELPER_PATH: &str = "/run/wrappers/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin";

/// The name of a user in `/etc/passwd`.
fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read("/etc/passwd").ok()?;
    let passwd = String::from_utf8_lossy(&passwd);
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The largest range that `file` gives to a user, at most as many ids as 16
/// bits can name.
fn subordinate(file: &str, uid: u32, name: Option<&str>) -> Option<IdRange> {
    let text = fs::read(file).ok()?;
    largest_range(&String::from_utf8_lossy(&text), uid, name)
}

/// Ids mapped at most; the usual grant, and far more than builds at once.
const MAX_SUBORDINATE: u32 = 65536;

fn largest_range(text: &str, uid: u32, name: Option<&str>) -> Option<IdRange> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let owner = fields.next()?;
            let outside = fields.next()?.parse().ok()?;
            let count: u32 = fields.next()?.trim_end().parse().ok()?;
            let ours = Some(owner) == name || owner.parse() == Ok(uid);
            (ours && count > 0).then_some(IdRange {
                inside: 1,
                outside,
                count: count.min(MAX_SUBORDINATE),
            })
        })
        .max_by_key(|range| range.count)
}

/// Maps root of this namespace to `uid` and `gid`, and nobody else.
fn map_only_self(uid: u32, gid: u32) -> Result<(), NamespaceError> {
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))
        .map_err(failed("map this user in a user namespace"))?;
    fs::write("/proc/self/setgroups", "deny")
        .map_err(failed("give up setgroups in a user namespace"))?;
    match fs::write("/proc/self/gid_map", format!("0 {gid} 1")) {
        // The helper for groups worked and the one for users did not.
        Err(_) if group_ids()?.iter().any(|range| range.inside == 0) => Ok(()),
        result => result.map_err(failed("map this group in a user namespace")),
    }
}

/// The user and group that a process becomes by [`leave_root`].
const ORDINARY: u32 = 1000;

/// Makes a root of a private namespace an ordinary user of another one, in
/// which everything that was root's is this user's. For programs that expect
/// of root what only root of a machine can do.
///
/// # Errors
/// What the system says.
pub fn leave_root() -> Result<(), NamespaceError> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    // SAFETY: the flag that makes this unsafe, FILES, is not used.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(forbidden)?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
        .map_err(failed("make this process readable to itself"))?;
    fs::write("/proc/self/uid_map", format!("{ORDINARY} {uid} 1"))
        .map_err(failed("map this user in a user namespace"))?;
    fs::write("/proc/self/setgroups", "deny")
        .map_err(failed("give up setgroups in a user namespace"))?;
    fs::write("/proc/self/gid_map", format!("{ORDINARY} {gid} 1"))
        .map_err(failed("map this group in a user namespace"))
}

/// Names what stands in the way of user namespaces.
fn forbidden(errno: rustix::io::Errno) -> NamespaceError {
    NamespaceError::Forbidden { setting: forbidding_setting(), source: errno.into() }
}

/// Settings that forbid user namespaces, with the value that does.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("kernel.unprivileged_userns_clone", "/proc/sys/kernel/unprivileged_userns_clone", "0"),
    ("user.max_user_namespaces", "/proc/sys/user/max_user_namespaces", "0"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ),
];

/// The setting that forbids user namespaces here.
#[must_use]
pub fn forbidding_setting() -> String {
    SETTINGS
        .iter()
        .find(|(_, path, bad)| fs::read_to_string(path).is_ok_and(|value| value.trim() == *bad))
        .map_or_else(
            || {
                "no sysctl forbids them, so a container's seccomp profile, \
                 its capability set or a security module does"
                    .to_owned()
            },
            |(name, _, bad)| format!("{name} is {bad}"),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_tell_the_kind_of_root() {
        let kind = |map: &str| kind_of(&parse_map(map));
        assert_eq!(kind("         0          0 4294967295\n"), RootKind::HostRoot);
        assert_eq!(kind("0 100000 65536\n"), RootKind::HostRoot);
        assert_eq!(kind("0 1000 1\n1 100000 65536\n"), RootKind::SubIds);
        assert_eq!(kind("0 1000 1\n"), RootKind::SingleId);
        assert_eq!(kind(""), RootKind::SingleId);
    }

    #[test]
    fn the_largest_own_range_is_taken() {
        let text = "other:1:70000\nme:100000:10\n1000:200000:65536\nme:bad:5\nme:7:0\n";
        let range = largest_range(text, 1000, Some("me")).unwrap();
        assert_eq!((range.inside, range.outside, range.count), (1, 200_000, 65536));
        assert_eq!(largest_range(text, 1000, None).unwrap().outside, 200_000);
        assert_eq!(largest_range(text, 5, Some("me")).unwrap().count, 10);
        assert_eq!(largest_range(text, 5, None), None);
        assert_eq!(largest_range("me:1:999999", 5, Some("me")).unwrap().count, MAX_SUBORDINATE);
    }
}
