//! Handing two store objects to an installed diffoscope.
//!
//! Diffoscope runs dozens of programs over files that anybody may have made.
//! So it gets namespaces of its own without a network, sees the two trees at
//! `/tmp`, runs as nobody where there is such a user to become, may not take
//! longer nor write more than a bound, and everything it started ends with it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::check::Reason;
use crate::gather::nar::restore::restore;
use crate::nix::store_path::StorePath;
use crate::state::StateDir;

/// How long one comparison may take: packages of some megabytes take a minute.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// From then on diffoscope opens no further archives, to end in time.
const SOFT_TIMEOUT: &str = "480";

/// Bytes of each report.
const MAX_REPORT: &str = "20971520";

/// The largest file it may write, in blocks of 512 bytes: what it unpacks.
const MAX_FILE_BLOCKS: &str = "8388608";

/// Bytes of each that are kept: twice as many, for it may miss its own bound.
const MAX_KEPT: u64 = 40 << 20;

/// What it writes, and how that is called where it is kept.
const REPORTS: [(&str, &str); 2] =
    [("out/report.txt", "diffoscope.txt"), ("out/report.html", "diffoscope.html")];

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Bytes of what it says last that are shown.
const MAX_SAID: u64 = 2048;

/// In the new namespaces: the work directory ($1) becomes /tmp, and if $2
/// says so diffoscope runs as nobody.
const INSIDE: &str = r#"
set -e
mount --bind "$1" /tmp
cd /tmp
ulimit -c 0
ulimit -f "$3"
if [ "$2" = nobody ]; then
  shift 3
  exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all "$@"
fi
shift 3
exec "$@"
"#;

/// Why there is no report of diffoscope's.
#[derive(Debug, thiserror::Error)]
pub enum DiffoscopeError {
    /// A program that is needed is not there.
    #[error(
        "there is no '{0}' on the PATH: install diffoscope and util-linux, or leave --diffoscope out"
    )]
    Missing(&'static str),
    /// It could not be started or its report not be kept.
    #[error("cannot {action}: {message}")]
    Environment {
        /// What was to be done.
        action: &'static str,
        /// Why it could not.
        message: String,
    },
    /// It took too long.
    #[error("diffoscope was stopped after {} seconds", TIMEOUT.as_secs())]
    Timeout,
    /// It failed.
    #[error("diffoscope ended with {status}: {said}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The last of what it said.
        said: String,
    },
}

impl DiffoscopeError {
    /// The reason in the closed list.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Timeout => Reason::LimitReached,
            _ => Reason::Environment,
        }
    }
}

fn environment<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> DiffoscopeError {
    move |error| DiffoscopeError::Environment { action, message: error.to_string() }
}

/// An installed diffoscope.
#[derive(Debug, Clone)]
pub struct Diffoscope {
    /// The search path of the user.
    path: OsString,
    /// Whether other users than our own can be named.
    nobody: bool,
}

impl Diffoscope {
    /// One that is looked for on the search path `path`. `nobody` says whether
    /// this process can become another user.
    #[must_use]
    pub fn new(path: Option<&OsStr>, nobody: bool) -> Self {
        let usual = OsStr::new("/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        Self { path: path.unwrap_or(usual).to_owned(), nobody }
    }

    fn find(&self, name: &'static str) -> Result<PathBuf, DiffoscopeError> {
        std::env::split_paths(&self.path)
            .filter(|place| place.is_absolute())
            .map(|place| place.join(name))
            .find(|file| file.is_file())
            .ok_or(DiffoscopeError::Missing(name))
    }

    /// Compares two NARs, each with the name it has in the reports, as text and
    /// as HTML; the reports are kept in the state directory.
    ///
    /// # Errors
    /// A missing program, a machine that forbids it, a bound that was reached.
    pub fn compare(
        &self,
        state: &StateDir,
        path: &StorePath,
        sides: [(&str, &Path); 2],
    ) -> Result<Vec<PathBuf>, DiffoscopeError> {
        let program = self.find("diffoscope")?;
        let unshare = self.find("unshare")?;
        let shell = self.find("sh")?;
        for needed in ["mount", "setpriv"] {
            self.find(needed)?;
        }
        let work = state.build_dir().map_err(environment("make a directory for diffoscope"))?;
        let at = |name: &str| work.path().join(name);
        let open = |mode, path: &Path| std::fs::set_permissions(path, Permissions::from_mode(mode));
        // Inside of the state directory, which nobody else may enter.
        open(0o755, work.path()).map_err(environment("open a directory to diffoscope"))?;
        for (side, nar) in sides {
            let dir = at(side);
            std::fs::create_dir(&dir).map_err(environment("make a directory for diffoscope"))?;
            let nar = File::open(nar).map_err(environment("open a NAR for diffoscope"))?;
            restore(BufReader::new(nar), &dir.join(path.name()))
                .map_err(environment("unpack a NAR for diffoscope"))?;
        }
        for dir in ["out", "home"] {
            std::fs::create_dir(at(dir)).map_err(environment("make a directory for diffoscope"))?;
            open(0o1777, &at(dir)).map_err(environment("open a directory to diffoscope"))?;
        }
        let errors = OpenOptions::new().write(true).create_new(true).open(at("errors"));
        let errors = errors.map_err(environment("make a file for diffoscope"))?;

        let mut command = Command::new(unshare);
        command
            .args(["--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child"])
            .arg(shell)
            .args(["-c", INSIDE, "sh"])
            .arg(work.path())
            .args([if self.nobody { "nobody" } else { "same" }, MAX_FILE_BLOCKS])
            .arg(program)
            .args(["--text", "out/report.txt", "--html", "out/report.html"])
            .args(["--jquery", "disable", "--no-progress", "--timeout", SOFT_TIMEOUT])
            .args(["--exclude-directory-metadata", "yes"])
            .args(["--max-report-size", MAX_REPORT, "--max-text-report-size", MAX_REPORT])
            .args(sides.map(|(side, _)| Path::new(side).join(path.name())))
            .env_clear()
            .env("PATH", &self.path)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/tmp/home")
            .env("TMPDIR", "/tmp/home")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        let mut child = command.spawn().map_err(environment("start diffoscope"))?;
        let status = wait(&mut child)?;
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(DiffoscopeError::Failed { status, said: said(&at("errors")) });
        }
        let mut kept = Vec::new();
        for (name, extension) in REPORTS {
            let mut report = open_report(&at(name))
                .map_err(environment("open what diffoscope wrote"))?
                .take(MAX_KEPT);
            let reports = state.nars().with_extension(extension);
            let report =
                reports.put(&mut report).map_err(environment("keep what diffoscope wrote"))?;
            kept.push(report.path);
        }
        Ok(kept)
    }
}

/// Opens a report as what it should be, a plain file: what runs over hostile
/// files may have been made to leave something else.
fn open_report(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::other(format!("'{}' is no file", path.display())))
    }
}

/// Waits for the end, or ends it.
fn wait(child: &mut Child) -> Result<ExitStatus, DiffoscopeError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match child.try_wait().map_err(environment("wait for diffoscope"))? {
            Some(status) => return Ok(status),
            None if Instant::now() >= deadline => {
                // What it started is in its process namespace and ends with it.
                child.kill().map_err(environment("stop diffoscope"))?;
                child.wait().map_err(environment("wait for diffoscope"))?;
                return Err(DiffoscopeError::Timeout);
            }
            None => sleep(TICK),
        }
    }
}

/// The last lines of what it complained about.
fn said(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let length = file.metadata().map_or(0, |data| data.len());
    let skip = length.saturating_sub(MAX_SAID);
    let mut text = Vec::new();
    let read = std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(skip))
        .and_then(|_| file.take(MAX_SAID).read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).trim().to_owned(),
        Err(error) => error.to_string(),
    }
}
