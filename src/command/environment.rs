//! The process environment as a value, read once by `main.rs`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// Everything a command may know about the process it runs in.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The arguments, the program's own name first.
    pub arguments: Vec<OsString>,
    /// The environment variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// The working directory; empty when it could not be told.
    pub directory: PathBuf,
    /// The time the process began, by the wall clock.
    pub now: SystemTime,
    /// The same moment, for measuring how long things take.
    pub started: Instant,
    /// The process id.
    pub process: u32,
    /// How many threads may truly run at once.
    pub parallelism: usize,
    /// Whether standard output is a terminal.
    pub stdout_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_terminal: bool,
    /// Columns of the terminal behind standard output.
    pub terminal_width: Option<usize>,
}

impl Environment {
    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// `path` as seen from the working directory.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// Whether the locale says that the terminal shows UTF-8, by the order
    /// POSIX gives: `LC_ALL`, `LC_CTYPE`, `LANG`.
    #[must_use]
    pub fn speaks_utf8(&self) -> bool {
        ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| self.variable(name))
            .map(|locale| locale.to_string_lossy().to_ascii_lowercase())
            .is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
    }
}
