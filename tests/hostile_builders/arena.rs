//! Where builders attack, and how what they must not touch is watched.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix_verify::build::{BuildJob, Built, Failed, RootKind, World};
use nix_verify::gather::nar::tree::hash_tree;

use super::harness::{BUSYBOX, Place, TOOLS};

/// The store object that holds the attacks.
pub const OBJECT: &str = "ffffffffffffffffffffffffffffffff-attacks";

/// An input that is a plain file.
pub const FILE: &str = "dddddddddddddddddddddddddddddddd-file";

/// How long anything of a build may be seen after it.
pub const SOON: Duration = Duration::from_secs(1);

/// What no builder may learn.
pub const SECRET: &str = "secret-of-the-caller";

/// The machine as builders must leave it, and what they are built with.
pub struct Arena {
    pub place: Place,
    pub kind: RootKind,
    /// In the command line of every process of an attack.
    pub mark: String,
    pub outside: tempfile::TempDir,
}

impl Arena {
    pub fn new(attacks: &Path, kind: RootKind) -> Self {
        let place = Place::new().unwrap();
        let bin = place.input_path(OBJECT).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy(attacks, bin.join("attacks")).unwrap();
        std::fs::write(place.input_path(FILE), b"content").unwrap();
        std::fs::write(bin.join("script"), "#!/proc/self/exe\n").unwrap();
        for (path, mode) in [
            (bin.join("attacks"), 0o555),
            (bin.join("script"), 0o555),
            (bin, 0o555),
            (place.input_path(OBJECT), 0o555),
            (place.input_path(FILE), 0o444),
        ] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), SECRET).unwrap();
        let mark = format!("hostile-{}-{:08x}", std::process::id(), fastrand::u32(..));
        Self { place, kind, mark, outside }
    }

    /// A job that runs one attack; the mark is its last argument.
    pub fn job(&self, arguments: &[&str]) -> BuildJob {
        let mut job = self.script("");
        job.derivation.builder = format!("/nix/store/{OBJECT}/bin/attacks").into_bytes();
        job.derivation.args =
            arguments.iter().copied().chain([self.mark.as_str()]).map(Into::into).collect();
        job
    }

    pub fn script(&self, script: &str) -> BuildJob {
        let mut job = self.place.job(&format!(": {}; {script}", self.mark));
        job.inputs.extend([self.place.input(OBJECT), self.place.input(FILE)]);
        job.limits.timeout = Some(Duration::from_secs(60));
        job
    }

    /// Builds, and finds nothing in the log that must not be.
    pub fn built(&self, job: &BuildJob) -> (Built, String) {
        let (built, log) = self.place.built(job);
        assert!(!log.contains("ESCAPED") && !log.contains(SECRET), "{log}");
        (built, log)
    }

    pub fn failed(&self, job: &BuildJob) -> Failed {
        let failed = self.place.failed(job);
        if let Some(log) = &failed.log {
            let log = String::from_utf8_lossy(&std::fs::read(&log.path).unwrap()).into_owned();
            assert!(!log.contains("ESCAPED") && !log.contains(SECRET), "{log}");
        }
        failed
    }

    pub fn worlds(&self, arguments: &[&str]) -> Vec<(BuildJob, World)> {
        ["nix-2.8", "nix-2.35"]
            .into_iter()
            .map(|name| {
                let world = World::by_name(name).unwrap();
                let mut job = self.job(arguments);
                job.world = world;
                (job, world)
            })
            .collect()
    }

    /// What lies outside the sandbox and within reach of whoever gets out.
    pub fn fingerprint(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for path in [
            self.place.input_path(TOOLS),
            self.place.input_path(OBJECT),
            self.place.input_path(FILE),
            self.outside.path().to_owned(),
        ] {
            let hash = hash_tree(&path, &mut []).unwrap();
            found.insert(path.display().to_string(), format!("{hash:?}"));
        }
        let program = std::env::var_os("VERIFY_TEST_PROGRAM");
        let program = program.map_or_else(|| env!("CARGO_BIN_EXE_verify").into(), PathBuf::from);
        let watched = ["/", "/etc", "/etc/passwd", "/etc/hosts", "/dev/null", "/bin", BUSYBOX];
        let inputs = [TOOLS, OBJECT, FILE].map(|name| self.place.input_path(name));
        for path in watched.iter().map(PathBuf::from).chain(inputs).chain([program]) {
            let stat = std::fs::metadata(&path).unwrap();
            // Devices are written to, and programs get installed meanwhile.
            let others = path.starts_with("/dev") || path == Path::new("/bin");
            let time = if others { 0 } else { stat.mtime() };
            let facts = format!("{:o} {} {} {time}", stat.mode(), stat.uid(), stat.gid());
            found.insert(format!("metadata of {}", path.display()), facts);
        }
        for name in ["hostname", "core_pattern"] {
            let setting = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
            found.insert(name.to_owned(), setting);
        }
        found
    }

    /// No process, mount or directory of a build is left.
    pub fn all_gone(&self, name: &str) {
        let started = Instant::now();
        loop {
            let alive = self.alive();
            if alive.is_empty() {
                break;
            }
            assert!(started.elapsed() < SOON, "{name}: alive: {alive:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        let state = self.place.state.root();
        assert_eq!(std::fs::read_dir(state.join("builds")).unwrap().count(), 0, "{name}");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(state.to_str().unwrap()), "{name}: {mounts}");
    }

    pub fn alive(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").unwrap();
        processes
            .filter_map(|entry| {
                let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let line = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).into_owned();
                line.contains(&self.mark).then_some(line)
            })
            .collect()
    }

    pub fn all_gone_but_outputs(&self) {
        let started = Instant::now();
        while !self.alive().is_empty() {
            assert!(started.elapsed() < SOON, "{:?}", self.alive());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// All entries of a tree with their modes.
pub fn tree(path: &Path) -> Vec<(PathBuf, u32)> {
    let stat = path.symlink_metadata().unwrap();
    let mut all = vec![(path.to_owned(), stat.mode())];
    if stat.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            all.extend(tree(&entry.unwrap().path()));
        }
    }
    all
}
