//! The root directory of a sandbox, assembled on the host.
//!
//! Everything is made through directory handles inside the build's private
//! directory, with explicit modes (our umask is the caller's), and owned as
//! under the Nix daemon: by root, which the builder sees as nobody it knows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
};

use crate::build::environment::{BuildFile, os_name};
use crate::build::job::{BuildJob, InputObject};
use crate::build::outcome::BuildError;
use crate::build::users::BuildUser;
use crate::sys::namespace::RootKind;

use super::plan::{Bind, Source};

/// Device nodes of the host that every builder has.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Host files that builders with network see.
const NETWORK_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/services", "/etc/hosts"];

/// Where CA certificates are looked for (`getDefaultSSLCertFile`).
const CA_FILES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt",
];

const PASSWD: &str = "root:x:0:0:Nix build user:/build:/noshell\n\
    nixbld:x:1000:100:Nix build user:/build:/noshell\n\
    nobody:x:65534:65534:Nobody:/:/noshell\n";
const GROUP: &str = "root:x:0:\nnixbld:!:100:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";
const NSSWITCH: &str = "hosts: files dns\nservices: files\n";

/// What a root directory is made for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The private directory of the build.
    pub top: &'a Path,
    /// The state directory: inputs below it need one mount source in all.
    pub state: &'a Path,
    /// The job.
    pub job: &'a BuildJob,
    /// Files for the build directory.
    pub files: &'a [BuildFile],
    /// Who builds.
    pub user: &'a BuildUser,
    /// What kind of root we are.
    pub kind: RootKind,
    /// Whether the builder gets the network of the host.
    pub network: bool,
}

/// A root directory, and what has to be mounted in it.
#[derive(Debug)]
pub struct Root {
    /// The directory.
    pub path: PathBuf,
    /// Its store directory, relative to it.
    pub store: PathBuf,
    /// Directories that mounts come from.
    pub directories: Vec<PathBuf>,
    /// What is mounted, in order.
    pub binds: Vec<Bind>,
}

/// Where the build directory is on the host.
#[must_use]
pub fn build_directory(top: &Path) -> PathBuf {
    top.join("build")
}

/// Where the root directory is on the host.
#[must_use]
pub fn root_directory(top: &Path) -> PathBuf {
    top.join("root")
}

/// Makes the root directory and the build directory of a job.
///
/// # Errors
/// What the system says.
pub fn assemble(request: &Request<'_>) -> Result<Root, BuildError> {
    let top = open_directory(request.top)?;
    let builder = (Uid::from_raw(request.user.uid), Gid::from_raw(request.user.gid));
    // A single id owns everything. What other builders may not write, this
    // one may not either, though it could change the modes back.
    let single = !request.kind.separates_owner();

    let build = Place::make(&top, build_directory(request.top), 0o700)?;
    for file in request.files {
        let owner = file.owned.then_some(builder);
        build.file(Path::new(os_name(&file.name)), &file.content, owner)?;
    }
    build.give(Some(builder.0), Some(builder.1))?;

    let root = Place::make(&top, root_directory(request.top), 0o750)?;
    root.give(None, Some(builder.1))?;
    for (directory, mode) in [
        ("tmp", 0o1777),
        ("etc", 0o755),
        ("build", 0o755),
        ("proc", 0o755),
        ("dev", 0o755),
        ("dev/shm", 0o755),
        ("dev/pts", 0o755),
    ] {
        root.directory(Path::new(directory), mode)?;
    }
    root.file(Path::new("etc/passwd"), PASSWD.as_bytes(), None)?;
    root.file(Path::new("etc/group"), GROUP.as_bytes(), None)?;
    for (link, target) in [
        ("dev/fd", c"/proc/self/fd"),
        ("dev/stdin", c"/proc/self/fd/0"),
        ("dev/stdout", c"/proc/self/fd/1"),
        ("dev/stderr", c"/proc/self/fd/2"),
        ("dev/ptmx", c"/dev/pts/ptmx"),
    ] {
        root.link(target, Path::new(link))?;
    }

    let mut mounts = Mounts::default();
    let source = mounts.source(request.state, &build.path)?;
    mounts.add("build", source, false);
    add_devices(&root, &mut mounts)?;
    add_network(&root, &mut mounts, request)?;
    if let Some(shell) = &request.job.shell {
        root.directory(Path::new("bin"), 0o755)?;
        root.file(Path::new("bin/sh"), b"", None)?;
        mounts.add("bin/sh", Source::Host(shell.clone()), single);
    }
    let store = make_store(&root, request, builder.1)?;
    add_inputs(&root, &store, &mut mounts, request)?;

    if request.job.world.etc_read_only || single {
        root.mode("etc", 0o555)?;
    }
    if single {
        root.mode(".", 0o550)?;
    }
    let Mounts { directories, mut binds, .. } = mounts;
    // As they are listed in Nix's sandboxes: what lies in the store first.
    let order = |bind: &Bind| (!bind.target.starts_with(&store), bind.target.clone());
    binds.sort_by_cached_key(order);
    Ok(Root { path: root.path, store, directories, binds })
}

fn add_devices(root: &Place, mounts: &mut Mounts) -> Result<(), BuildError> {
    // The feature is on by default wherever it can be used.
    let kvm = rustix::fs::access("/dev/kvm", Access::READ_OK | Access::WRITE_OK).is_ok();
    for device in DEVICES.iter().copied().chain(kvm.then_some("kvm")) {
        let target = Path::new("dev").join(device);
        root.file(&target, b"", None)?;
        let source = Source::Public(Path::new("/dev").join(device));
        mounts.add(target, source, false);
    }
    Ok(())
}

fn add_network(root: &Place, mounts: &mut Mounts, request: &Request<'_>) -> Result<(), BuildError> {
    if !request.network {
        return root.file(Path::new("etc/hosts"), HOSTS.as_bytes(), None);
    }
    root.file(Path::new("etc/nsswitch.conf"), NSSWITCH.as_bytes(), None)?;
    let exists = |path: &&str| rustix::fs::stat(*path).is_ok();
    let certificates = CA_FILES.iter().find(|path| exists(path));
    let certificates = certificates.filter(|_| request.job.world.ca_certificates);
    if certificates.is_some() {
        root.directory(Path::new("etc/ssl"), 0o755)?;
        root.directory(Path::new("etc/ssl/certs"), 0o755)?;
    }
    let files = NETWORK_FILES.iter().filter(|path| exists(path)).map(|path| (*path, *path));
    let [as_certificates, _] = CA_FILES;
    for (target, source) in files.chain(certificates.map(|path| (as_certificates, *path))) {
        let target = relative(target);
        root.file(target, b"", None)?;
        mounts.add(target, Source::Public(source.into()), false);
    }
    Ok(())
}

fn relative(path: &str) -> &Path {
    Path::new(path.trim_start_matches('/'))
}

/// The store directory: root's, the builders' group may add to it.
fn make_store(root: &Place, request: &Request<'_>, group: Gid) -> Result<PathBuf, BuildError> {
    let store = relative(request.job.store_dir.as_str());
    let mut path = PathBuf::new();
    for component in store.components() {
        path.push(component);
        // A store below a directory of the world is unusual but allowed.
        if !root.has(&path)? {
            root.directory(&path, 0o755)?;
        }
    }
    root.mode(&path, 0o1775)?;
    rustix::fs::chownat(&root.handle, &path, None, Some(group), AtFlags::empty())
        .map_err(BuildError::path("give to the build group", root.path.join(&path)))?;
    Ok(path)
}

fn add_inputs(
    root: &Place,
    store: &Path,
    mounts: &mut Mounts,
    request: &Request<'_>,
) -> Result<(), BuildError> {
    let job = request.job;
    let linked = job.world.file_inputs_linked && request.kind.separates_owner();
    let made: Vec<_> = job.outputs.values().flatten().collect();
    for (path, input) in &job.inputs {
        // What is to be built now is not there yet.
        if made.contains(&path) {
            continue;
        }
        let host = &input.host_path;
        let stat = rustix::fs::lstat(host).map_err(BuildError::path("look at", host))?;
        let target = store.join(path.to_string());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => root.directory(&target, 0o755)?,
            FileType::RegularFile if linked => {
                root.link_or_copy(input, &stat, &target)?;
                continue;
            }
            FileType::RegularFile => root.file(&target, b"", None)?,
            FileType::Symlink => {
                root.copy_link(input, &target)?;
                continue;
            }
            _ => {
                return Err(BuildError::Job(format!(
                    "the input '{}' is no file, directory or symbolic link",
                    host.display()
                )));
            }
        }
        let source = mounts.source(request.state, host)?;
        mounts.add(target, source, !request.kind.separates_owner());
    }
    Ok(())
}

/// Mounts as they are collected.
#[derive(Default)]
struct Mounts {
    directories: Vec<PathBuf>,
    known: BTreeMap<PathBuf, u32>,
    binds: Vec<Bind>,
}

impl Mounts {
    fn add(&mut self, target: impl Into<PathBuf>, source: Source, read_only: bool) {
        self.binds.push(Bind { target: target.into(), source, read_only });
    }

    /// An input's place as an entry of a directory that many inputs share.
    fn source(&mut self, state: &Path, host: &Path) -> Result<Source, BuildError> {
        let (directory, name) = match (host.strip_prefix(state), host.parent(), host.file_name()) {
            (Ok(name), ..) => (state, name),
            (_, Some(parent), Some(name)) => (parent, Path::new(name)),
            _ => {
                let problem = format!("'{}' cannot be an input", host.display());
                return Err(BuildError::Job(problem));
            }
        };
        let index = match self.known.get(directory) {
            Some(index) => *index,
            None => {
                let index = u32::try_from(self.directories.len())
                    .map_err(|_| BuildError::Job("too many input directories".to_owned()))?;
                self.directories.push(directory.to_owned());
                self.known.insert(directory.to_owned(), index);
                index
            }
        };
        Ok(Source::Entry { directory: index, name: name.to_owned() })
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, BuildError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(BuildError::path("open", path))
}

/// A directory that is being filled, by its handle.
struct Place {
    path: PathBuf,
    handle: OwnedFd,
}

impl Place {
    /// Makes the directory `path`, whose parent is open as `parent`.
    fn make(parent: &OwnedFd, path: PathBuf, mode: u32) -> Result<Self, BuildError> {
        let name = path.file_name().unwrap_or_default();
        rustix::fs::mkdirat(parent, name, Mode::RWXU)
            .map_err(BuildError::path("make the directory", &path))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(BuildError::path("open", &path))?;
        let place = Self { path, handle };
        place.mode(".", mode)?;
        Ok(place)
    }

    fn give(&self, user: Option<Uid>, group: Option<Gid>) -> Result<(), BuildError> {
        rustix::fs::fchown(&self.handle, user, group)
            .map_err(BuildError::path("give to the build user", &self.path))
    }

    fn mode(&self, name: impl AsRef<Path>, mode: u32) -> Result<(), BuildError> {
        let name = name.as_ref();
        rustix::fs::chmodat(&self.handle, name, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(BuildError::path("set the mode of", self.path.join(name)))
    }

    fn has(&self, name: &Path) -> Result<bool, BuildError> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(errno) => Err(BuildError::path("look at", self.path.join(name))(errno)),
        }
    }

    fn directory(&self, name: &Path, mode: u32) -> Result<(), BuildError> {
        rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(mode))
            .map_err(BuildError::path("make the directory", self.path.join(name)))?;
        self.mode(name, mode)
    }

    /// A file of mode 0644.
    fn file(
        &self,
        name: &Path,
        content: &[u8],
        owner: Option<(Uid, Gid)>,
    ) -> Result<(), BuildError> {
        let wrong = |action| BuildError::path(action, self.path.join(name));
        let mut file = self.create(name)?;
        file.write_all(content).map_err(|source| BuildError::Path {
            action: "write",
            path: self.path.join(name),
            source,
        })?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644)).map_err(wrong("set the mode of"))?;
        if let Some((user, group)) = owner {
            rustix::fs::fchown(&file, Some(user), Some(group))
                .map_err(wrong("give to the build user"))?;
        }
        Ok(())
    }

    fn create(&self, name: &Path) -> Result<File, BuildError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(BuildError::path("create", self.path.join(name)))?;
        Ok(file.into())
    }

    fn link(&self, target: &std::ffi::CStr, name: &Path) -> Result<(), BuildError> {
        rustix::fs::symlinkat(target, &self.handle, name)
            .map_err(BuildError::path("link", self.path.join(name)))
    }

    /// A hard link to a regular input, as Nix makes it; a copy where the
    /// input is on another file system or belongs to somebody else.
    fn link_or_copy(
        &self,
        input: &InputObject,
        stat: &Stat,
        name: &Path,
    ) -> Result<(), BuildError> {
        let host = &input.host_path;
        if rustix::fs::linkat(CWD, host, &self.handle, name, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        let wrong = |action| BuildError::path(action, self.path.join(name));
        let failed = |source| BuildError::Path { action: "copy", path: host.clone(), source };
        let mut source = File::open(host).map_err(failed)?;
        let mut copy = self.create(name)?;
        std::io::copy(&mut source, &mut copy).map_err(failed)?;
        let mode = Mode::from_raw_mode(stat.st_mode) & Mode::from_raw_mode(0o555);
        rustix::fs::fchmod(&copy, mode).map_err(wrong("set the mode of"))?;
        rustix::fs::futimens(copy.as_fd(), &STORE_TIMES).map_err(wrong("set the times of"))
    }

    fn copy_link(&self, input: &InputObject, name: &Path) -> Result<(), BuildError> {
        let host = &input.host_path;
        let target =
            rustix::fs::readlink(host, Vec::new()).map_err(BuildError::path("read", host))?;
        self.link(&target, name)?;
        rustix::fs::utimensat(&self.handle, name, &STORE_TIMES, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(BuildError::path("set the times of", self.path.join(name)))
    }
}

/// The times of a store object: modified one second after the epoch.
const STORE_TIMES: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
};
