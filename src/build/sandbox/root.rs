//! The root directory of a sandbox, assembled on the host.
//!
//! Everything is made through directory handles inside the build's private
//! directory, with explicit modes (our umask is the caller's), and owned as
//! under the Nix daemon: by root, which the builder sees as nobody it knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FileType, Gid, Uid, access};

use crate::build::environment::{BuildFile, os_name};
use crate::build::job::BuildJob;
use crate::build::outcome::BuildError;
use crate::build::users::BuildUser;
use crate::build::variation::Variation;
use crate::state::BuildDir;
use crate::state::remove::remove_tree;
use crate::sys::namespace::RootKind;

use super::place::{Place, open_directory};
use super::plan::{Bind, Shuffle, Source};

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
    /// What is otherwise because this is a repetition.
    pub variation: &'a Variation,
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

/// Makes the build directory of a job.
///
/// # Errors
/// What the system says.
pub fn make_build_directory(request: &Request<'_>) -> Result<(), BuildError> {
    let top = open_directory(request.top)?;
    let builder = (Uid::from_raw(request.user.uid), Gid::from_raw(request.user.gid));
    let build = Place::make(&top, build_directory(request.top), 0o700)?;
    for file in request.files {
        let owner = file.owned.then_some(builder);
        build.file(Path::new(os_name(&file.name)), &file.content, owner)?;
    }
    build.give(Some(builder.0), Some(builder.1))
}

/// What one root directory has in common with another that could take its
/// place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    store: PathBuf,
    shell: bool,
    kvm: bool,
    etc_read_only: bool,
    certificates: Option<&'static str>,
    network: bool,
    single: bool,
}

impl Shape {
    /// The shape that a job needs.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        let job = request.job;
        let single = !request.kind.separates_owner();
        let certificates = CA_FILES.into_iter().find(|path| rustix::fs::stat(*path).is_ok());
        Self {
            store: relative(job.store_dir.as_str()).to_owned(),
            shell: job.shell.is_some(),
            // The feature is on by default wherever it can be used.
            kvm: access("/dev/kvm", Access::READ_OK | Access::WRITE_OK).is_ok(),
            // A single id owns everything. What other builders may not write,
            // this one may not either, though it could change the modes back.
            etc_read_only: job.world.etc_read_only || single,
            certificates: certificates.filter(|_| request.network && job.world.ca_certificates),
            network: request.network,
            single,
        }
    }

    /// Whether a builder leaves such a directory as it was, but for `/tmp`
    /// and the store: it owns nothing else. With the network of the host it
    /// could hand open directories to others.
    const fn lasts(&self) -> bool {
        !self.single && !self.network
    }

    fn devices(&self) -> impl Iterator<Item = &'static str> {
        DEVICES.into_iter().chain(self.kvm.then_some("kvm"))
    }

    /// Files of the host that are mounted: target and source.
    fn host_files(&self) -> Vec<(&'static Path, &'static str)> {
        if !self.network {
            return Vec::new();
        }
        let [as_certificates, ..] = CA_FILES;
        let exists = |path: &&str| rustix::fs::stat(*path).is_ok();
        let files = NETWORK_FILES.into_iter().filter(exists).map(|path| (relative(path), path));
        let certificates = self.certificates.map(|path| (relative(as_certificates), path));
        files.chain(certificates).collect()
    }
}

/// A root directory that may serve one build after the other, in a private
/// directory of its own. Making files is most of what a short build costs.
#[derive(Debug)]
pub struct RootDirectory {
    _room: BuildDir,
    root: Place,
    shape: Shape,
    group: Option<Gid>,
    /// Host files that are mounted.
    host_files: Vec<(&'static Path, &'static str)>,
    /// What inputs are mounted on, below the store: directories, else files.
    mount_points: BTreeMap<PathBuf, bool>,
    /// The sizes of `/tmp` and the store as the builder finds them: on many
    /// file systems directories grow and never shrink.
    sizes: [i64; 2],
}

impl RootDirectory {
    /// Makes a new one.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(room: BuildDir, shape: Shape) -> Result<Self, BuildError> {
        let top = open_directory(room.path())?;
        let root = Place::make(&top, room.path().join("root"), 0o750)?;
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
        for device in shape.devices() {
            root.file(&Path::new("dev").join(device), b"", None)?;
        }
        let host_files = shape.host_files();
        if shape.network {
            root.file(Path::new("etc/nsswitch.conf"), NSSWITCH.as_bytes(), None)?;
        } else {
            root.file(Path::new("etc/hosts"), HOSTS.as_bytes(), None)?;
        }
        if shape.certificates.is_some() {
            root.directory(Path::new("etc/ssl"), 0o755)?;
            root.directory(Path::new("etc/ssl/certs"), 0o755)?;
        }
        for (target, _) in &host_files {
            root.file(target, b"", None)?;
        }
        if shape.shell {
            root.directory(Path::new("bin"), 0o755)?;
            root.file(Path::new("bin/sh"), b"", None)?;
        }
        let mut path = PathBuf::new();
        for component in shape.store.components() {
            path.push(component);
            // A store below a directory of the world is unusual but allowed.
            if !root.has(&path)? {
                root.directory(&path, 0o755)?;
            }
        }
        if shape.etc_read_only {
            root.mode("etc", 0o555)?;
        }
        if shape.single {
            root.mode(".", 0o550)?;
        }
        let mount_points = BTreeMap::new();
        Ok(Self { _room: room, root, shape, group: None, host_files, mount_points, sizes: [0; 2] })
    }

    /// Whether it can serve a job of that shape.
    #[must_use]
    pub fn fits(&self, shape: &Shape) -> bool {
        self.shape == *shape
    }

    /// Prepares it for a job, whose build directory has been made.
    ///
    /// # Errors
    /// What the system says.
    pub fn furnish(&mut self, request: &Request<'_>) -> Result<Root, BuildError> {
        let group = Gid::from_raw(request.user.gid);
        if self.group != Some(group) {
            self.root.give(None, Some(group))?;
            self.root.give_entry(&self.shape.store, group)?;
            self.root.mode(&self.shape.store, 0o1775)?;
            self.group = Some(group);
        }
        let mut mounts = Mounts::default();
        let build = mounts.source(request.state, &build_directory(request.top))?;
        mounts.add("build", build, false);
        mounts.shuffle(request.variation.build);
        for device in self.shape.devices() {
            let source = Source::Public(Path::new("/dev").join(device));
            mounts.add(Path::new("dev").join(device), source, false);
        }
        for (target, source) in &self.host_files {
            mounts.add(*target, Source::Public(source.into()), false);
        }
        if let Some(shell) = &request.job.shell {
            mounts.add("bin/sh", Source::Host(shell.clone()), self.shape.single);
        }
        self.add_inputs(&mut mounts, request)?;
        self.sizes = self.current_sizes()?;
        let Mounts { directories, mut binds, .. } = mounts;
        // As they are listed in Nix's sandboxes: what lies in the store first.
        let store = &self.shape.store;
        binds.sort_by_cached_key(|bind| (!bind.target.starts_with(store), bind.target.clone()));
        Ok(Root { path: self.root.path.clone(), store: store.clone(), directories, binds })
    }

    fn add_inputs(&mut self, mounts: &mut Mounts, request: &Request<'_>) -> Result<(), BuildError> {
        let job = request.job;
        let linked = job.world.file_inputs_linked && !self.shape.single;
        let made: Vec<_> = job.outputs.values().flatten().collect();
        let mut left = std::mem::take(&mut self.mount_points);
        for (path, input) in &job.inputs {
            // What is to be built now is not there yet.
            if made.contains(&path) {
                continue;
            }
            let host = &input.host_path;
            let stat = rustix::fs::lstat(host).map_err(BuildError::path("look at", host))?;
            let target = self.shape.store.join(path.to_string());
            let directory = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => true,
                FileType::RegularFile if linked => {
                    self.root.link_or_copy(input, &stat, &target)?;
                    continue;
                }
                FileType::RegularFile => false,
                FileType::Symlink => {
                    self.root.copy_link(input, &target)?;
                    continue;
                }
                _ => {
                    return Err(BuildError::Job(format!(
                        "the input '{}' is no file, directory or symbolic link",
                        host.display()
                    )));
                }
            };
            match left.remove(&target) {
                Some(known) if known == directory => {}
                known => {
                    if let Some(known) = known {
                        self.root.remove(&target, known)?;
                    }
                    if directory {
                        self.root.directory(&target, 0o755)?;
                    } else {
                        self.root.file(&target, b"", None)?;
                    }
                }
            }
            let source = mounts.source(request.state, host)?;
            mounts.add(target.clone(), source, self.shape.single);
            if directory {
                mounts.shuffle(request.variation.input(path));
            }
            self.mount_points.insert(target, directory);
        }
        for (target, directory) in left {
            self.root.remove(&target, directory)?;
        }
        Ok(())
    }

    /// Clears away what a builder left, so that the next build finds nothing
    /// of it. Answers whether it may serve another one; if not, or if
    /// clearing failed, it is to be dropped.
    ///
    /// # Errors
    /// What the system says.
    pub fn clear(&self) -> Result<bool, BuildError> {
        if !self.shape.lasts() {
            return Ok(false);
        }
        for directory in [Path::new("tmp"), &self.shape.store] {
            for name in self.root.entries(directory)? {
                let entry = directory.join(name);
                if self.mount_points.contains_key(&entry) {
                    continue;
                }
                let path = self.root.path.join(entry);
                remove_tree(&path).map_err(|source| BuildError::Path {
                    action: "remove",
                    path,
                    source,
                })?;
            }
        }
        let sizes = self.current_sizes()?;
        Ok(sizes.iter().zip(self.sizes).all(|(size, before)| *size <= before))
    }

    fn current_sizes(&self) -> Result<[i64; 2], BuildError> {
        Ok([self.root.size(Path::new("tmp"))?, self.root.size(&self.shape.store)?])
    }
}

fn relative(path: &str) -> &Path {
    Path::new(path.trim_start_matches('/'))
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
        let shuffled = None;
        self.binds.push(Bind { target: target.into(), source, read_only, shuffled });
    }

    /// Has what was added last come as a copy in memory.
    fn shuffle(&mut self, how: Option<Shuffle>) {
        if let Some(bind) = self.binds.last_mut() {
            bind.shuffled = how;
        }
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
